//! Patterns, sites and the probe plan: pure, ordered, printable.
//!
//! [`plan`] turns a [`Selection`] of functions into a [`ProbePlan`]: which instructions of the
//! file get probes, what each is for and what a hit costs. It reads the executable's tables and
//! code and nothing else, so the same file and selection always give the same plan.

mod build;
mod dry_run;
mod error;
mod frameless;
mod habit;
mod inlining;
mod instruction;
mod listing;
mod names;
mod nearest;
mod pattern;
mod placement;
mod selection;
mod skip;
mod target_calls;
mod watch;
mod wrapper;

pub use build::plan;
pub use error::{PlanError, PlanWarning, UnmatchedPattern};
pub use inlining::{Inlined, InlinedTotals, at_least};
pub use instruction::probe_cost;
pub use listing::{ListOrder, ListedFunction, Listing, NotTraced};
pub use pattern::Pattern;
pub use placement::Placement;
pub use selection::Selection;
pub use skip::{SkipReason, SkippedFunction, count_reasons};
pub use target_calls::{TargetCall, target_calls};
pub use watch::signal_panic_site;

use crate::binary::{FileOffset, VirtualAddress};

/// Names a site of one plan: its index in [`ProbePlan::sites`], and the cookie of its probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(pub u32);

/// Names a function of one plan: its index in [`ProbePlan::functions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId(pub u32);

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteKind {
    /// SP points at the return address of a call that begins.
    Entry(FunctionId),
    /// A RET of the function.
    Return(FunctionId),
    /// The `call runtime.gogo` in `runtime.recovery`.
    Recovery,
    /// The entry of `runtime.goexit1`.
    GoroutineExit,
    /// The entry of a function that tells why something will end.
    Reason(ReasonSite),
}

/// Functions of Go's own that tell why calls or a process will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasonSite {
    /// `runtime.gopanic`: the goroutine panics.
    Panic,
    /// `runtime.Goexit`: the goroutine ends when its deferred calls have run.
    Goexit,
    /// `os.Exit`: the process ends.
    Exit,
    /// `runtime.fatalpanic`: nothing recovered a panic, and the process ends.
    FatalPanic,
    /// `runtime.fatalthrow`: the runtime gives up, and the process ends.
    FatalError,
}

/// How the kernel executes the probed instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionCost {
    /// The kernel emulates it: cheap.
    Emulated,
    /// The same, for the branch of the stack check: where it is taken no call begins, but the stack
    /// is made larger first, and the check comes again.
    EmulatedStackCheck,
    /// The kernel single-steps a copy of it: a second exception.
    SingleStepped,
    /// The same, for a RET that takes nothing off the stack but its return address: where the
    /// kernel lets them, programs do that themselves.
    SingleSteppedRet,
}

impl InstructionCost {
    /// Whether it is the cheap one.
    pub fn is_emulated(self) -> bool {
        matches!(self, Self::Emulated | Self::EmulatedStackCheck)
    }
}

/// One place for a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// What it is for.
    pub kind: SiteKind,
    /// Of the probed instruction.
    pub address: VirtualAddress,
    /// Of the probed instruction.
    pub file_offset: FileOffset,
    /// What a hit costs.
    pub cost: InstructionCost,
}

/// A function that will be attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFunction {
    /// Full Go name, with the types it was made for where they are known.
    pub name: String,
    /// First instruction.
    pub start: VirtualAddress,
    /// It can start a tree.
    pub is_target: bool,
}

/// What will be attached to one file. Its `Display` is what `--dry-run` prints.
///
/// A function that is a straight line to its RET can have its entry and its exit at the same
/// address: the entry comes first among the sites, and has to be handled first at each hit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbePlan {
    /// In the order of addresses; indexed by [`FunctionId`]. Each has one entry site.
    pub functions: Vec<PlannedFunction>,
    /// In the order of addresses; indexed by [`SiteId`].
    pub sites: Vec<Site>,
    /// What patterns chose but is not attached, in the order of addresses.
    pub skipped: Vec<SkippedFunction>,
    /// What will be missing.
    pub warnings: Vec<PlanWarning>,
}

impl ProbePlan {
    /// The sites and what they are named by.
    pub fn sites_with_ids(&self) -> impl Iterator<Item = (SiteId, &Site)> {
        (0_u32..).map(SiteId).zip(&self.sites)
    }

    /// Whether a site is an entry whose instruction is single-stepped.
    pub fn is_stepped_entry(&self, id: SiteId) -> bool {
        let site = self.sites.get(id.0 as usize);
        site.is_some_and(|it| matches!(it.kind, SiteKind::Entry(_)) && !it.cost.is_emulated())
    }

    /// Whether a site is the entry of a function that can start a tree.
    pub fn is_target_entry(&self, id: SiteId) -> bool {
        match self.sites.get(id.0 as usize).map(|site| site.kind) {
            Some(SiteKind::Entry(function)) => {
                let function = self.functions.get(function.0 as usize);
                function.is_some_and(|function| function.is_target)
            }
            _ => false,
        }
    }

    /// Functions whose entries are single-stepped, in order.
    pub fn stepped_functions(&self) -> impl Iterator<Item = FunctionId> {
        let stepped = self.sites.iter().filter(|site| !site.cost.is_emulated());
        stepped.filter_map(|site| match site.kind {
            SiteKind::Entry(function) => Some(function),
            _ => None,
        })
    }

    /// Whether a site shares its instruction with the one before, as the RET of a function that
    /// is a straight line can.
    pub fn is_entry_too(&self, id: SiteId) -> bool {
        let index = id.0 as usize;
        let before = index
            .checked_sub(1)
            .and_then(|before| self.sites.get(before));
        match (before, self.sites.get(index)) {
            (Some(before), Some(site)) => before.address == site.address,
            _ => false,
        }
    }
}
