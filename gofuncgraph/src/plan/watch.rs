//! Places in the Go runtime that say that calls are over though no RET was executed.

use super::placement::{Placement, calls_to, place};
use super::{InstructionCost, PlanWarning, ReasonSite, SiteKind};
use crate::binary::{FileOffset, Function, GoBinary, VirtualAddress};

/// Every goroutine calls it last (Go: src/runtime/proc.go).
pub(super) const GOROUTINE_EXIT: &str = "runtime.goexit1";
/// Resumes a function that recovered a panic (Go: src/runtime/panic.go) …
const RECOVERY: &str = "runtime.recovery";
/// … by calling this.
const RESUME: &str = "runtime.gogo";

impl ReasonSite {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Panic,
        Self::Goexit,
        Self::Exit,
        Self::FatalPanic,
        Self::FatalError,
    ];

    /// The full name of the function (Go: src/runtime/panic.go, src/os/proc.go; the same in
    /// 1.17–1.27).
    pub fn function_name(self) -> &'static str {
        match self {
            Self::Panic => "runtime.gopanic",
            Self::Goexit => "runtime.Goexit",
            Self::Exit => "os.Exit",
            Self::FatalPanic => "runtime.fatalpanic",
            Self::FatalError => "runtime.fatalthrow",
        }
    }
}

/// A site that no function of the user's is behind.
pub(super) struct WatchSite {
    pub(super) kind: SiteKind,
    pub(super) address: VirtualAddress,
    pub(super) cost: InstructionCost,
}

/// The sites to watch, and what will be wrong where one was not found.
pub(super) fn watch_sites(
    binary: &GoBinary<'_>,
    functions: &[Function<'_>],
) -> (Vec<WatchSite>, Vec<PlanWarning>) {
    let mut recoveries = Vec::new();
    let mut resumes = Vec::new();
    let mut exits = Vec::new();
    let mut reasons = Vec::new();
    for function in functions {
        match function.name {
            RECOVERY => recoveries.push(function),
            RESUME => resumes.push(function.start.0),
            // Its ABI0 twin is a wrapper that jumps to it.
            GOROUTINE_EXIT if !function.is_wrapper => exits.push(function),
            name if !function.is_wrapper => {
                let mut all = ReasonSite::ALL.into_iter();
                if let Some(site) = all.find(|site| site.function_name() == name) {
                    reasons.push((SiteKind::Reason(site), function));
                }
            }
            _ => {}
        }
    }
    let code = |function: &Function<'_>| {
        binary
            .code(function.start..function.end)
            .unwrap_or_default()
    };

    let mut sites = Vec::new();
    let mut warnings = Vec::new();
    for function in recoveries {
        let start = function.start.0;
        let calls = calls_to(code(function), start, &resumes);
        sites.extend(calls.into_iter().filter_map(|offset| {
            Some(WatchSite {
                kind: SiteKind::Recovery,
                address: function.start.checked_add(u64::from(offset))?,
                cost: InstructionCost::Emulated,
            })
        }));
    }
    if sites.is_empty() {
        warnings.push(PlanWarning::RecoveryNotFound);
    }
    let entry = |kind, function: &Function<'_>| {
        let code = code(function);
        let entry = place(code, function.start.0, Placement::Standard, &mut Vec::new()).ok()?;
        Some(WatchSite {
            kind,
            address: function.start.checked_add(u64::from(entry.offset))?,
            cost: entry.cost,
        })
    };
    let exit = exits
        .into_iter()
        .find_map(|function| entry(SiteKind::GoroutineExit, function));
    // A program need not have them all.
    let reasons = reasons.into_iter();
    sites.extend(reasons.filter_map(|(kind, function)| entry(kind, function)));
    if exit.is_none() {
        warnings.push(PlanWarning::GoroutineExitNotFound);
    }
    sites.extend(exit);
    (sites, warnings)
}

/// What a fault of Go code is made to call (Go: src/runtime/signal_unix.go).
const SIGNAL_PANIC: &str = "runtime.sigpanic";

/// Where the entry of `runtime.sigpanic` is: at its depth no call is open that has returned.
/// `None` if it was not found.
pub fn signal_panic_site(binary: &GoBinary<'_>) -> Option<FileOffset> {
    let functions = binary.find_functions_named(SIGNAL_PANIC);
    let function = functions
        .into_iter()
        .find(|function| !function.is_wrapper)?;
    let code = binary.code(function.start..function.end)?;
    let start = function.start;
    let entry = place(code, start.0, Placement::Standard, &mut Vec::new()).ok()?;
    binary.file_offset(start.checked_add(u64::from(entry.offset))?)
}
