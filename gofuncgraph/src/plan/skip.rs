use std::fmt;

use crate::binary::VirtualAddress;

/// Why a function that a pattern chose is not attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipReason {
    /// An exclude pattern matches it.
    Excluded,
    /// Its name holds `/vendor/`.
    Vendored,
    /// Part of the runtime's inside, and no matching pattern begins with the package's own name.
    RuntimeInternal,
    /// The tracer watches its entry for its own purposes.
    Watched,
    /// Its name has no `.`: C code, or data among the code.
    NotGo,
    /// Written in assembly: R14 need not hold g.
    Assembly,
    /// Moves SP to another stack.
    WritesStackPointer,
    /// Entry point of a thread or goroutine: nothing called it.
    TopFrame,
    /// Leaves by a jump into another function, whose RET returns for both: how the compiler
    /// adapts promoted methods and calling conventions.
    TailJump,
    /// Made by the compiler to call another function, which is shown for both, and not named itself:
    /// method values, promoted methods, calling conventions, `go` and `defer` with arguments.
    Wrapper,
    /// A loop of the function jumps to its entry site.
    MayRepeat,
    /// The kernel refuses a probe on the instruction at its entry site.
    EntryNotProbeable,
    /// Its bytes are not in the file, or are not all instructions.
    Undecodable,
}

impl SkipReason {
    /// What the user can do about it, as the end of a sentence; `None` where nothing can be done.
    pub fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Excluded => Some("drop the --exclude that matches"),
            Self::Vendored => Some("use --exclude-vendor=false"),
            Self::RuntimeInternal => {
                Some("begin the pattern with the package's name, for instance 'runtime.*'")
            }
            Self::TailJump => Some("trace the function that it wraps"),
            Self::Wrapper => Some("trace the function that it calls, or give its whole name"),
            Self::Watched
            | Self::NotGo
            | Self::Assembly
            | Self::WritesStackPointer
            | Self::TopFrame
            | Self::MayRepeat
            | Self::EntryNotProbeable
            | Self::Undecodable => None,
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Excluded => "excluded",
            Self::Vendored => "vendored",
            Self::RuntimeInternal => "runtime internals",
            Self::Watched => "watched by the tracer itself",
            Self::NotGo => "not Go code",
            Self::Assembly => "assembly",
            Self::WritesStackPointer => "writes SP",
            Self::TopFrame => "top frame",
            Self::TailJump => "leaves by a tail jump",
            Self::Wrapper => "wrapper of another function",
            Self::MayRepeat => "may repeat: a loop jumps to its entry",
            Self::EntryNotProbeable => "entry instruction cannot be probed",
            Self::Undecodable => "undecodable code",
        })
    }
}

/// A function that a pattern chose but that is not attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedFunction {
    /// Full Go name.
    pub name: String,
    /// First instruction.
    pub start: VirtualAddress,
    /// Why.
    pub reason: SkipReason,
}

/// Number of skipped functions per reason, in the order of [`SkipReason`]; reasons that do not
/// occur are left out.
pub fn count_reasons(reasons: impl IntoIterator<Item = SkipReason>) -> Vec<(SkipReason, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}
