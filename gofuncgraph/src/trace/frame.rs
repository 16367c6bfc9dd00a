use foldhash::HashSet;

use super::line::{CallEnd, Unwinding};
use crate::binary::VirtualAddress;
use crate::events::{EndProbe, FrameDepth, MonotonicTime, ObservedPlace};
use crate::plan::FunctionId;

/// An open call that is known by more than its end.
#[derive(Debug)]
pub(super) struct Frame {
    pub function: FunctionId,
    pub depth: FrameDepth,
    /// `None`: it was open when tracing began.
    pub entry_time: Option<MonotonicTime>,
    /// Of the entry, in the tree's count of events.
    pub order: u64,
    /// Where it returns to.
    pub call: VirtualAddress,
    /// How its end will be seen.
    pub end_probe: EndProbe,
    /// How often events were lost of the tree before.
    pub losses_before: u64,
    /// What hits had cost in the tree when it began, its own entry included, in nanoseconds.
    pub probes_before_ns: u64,
}

impl Frame {
    /// It was open when tracing began.
    pub fn is_already_open(&self) -> bool {
        self.entry_time.is_none()
    }

    /// How it ended if it was open when everything at its place was unwound. Where nothing would
    /// have told of its return, it may have been over before.
    pub fn end_unwound(&self, promoted: &HashSet<FunctionId>, unwinding: Unwinding) -> CallEnd {
        match self.end_probe {
            EndProbe::Observer { .. } => CallEnd::Unwound(unwinding),
            EndProbe::Return if !promoted.contains(&self.function) => CallEnd::Unwound(unwinding),
            EndProbe::Return | EndProbe::None => CallEnd::Approximate,
        }
    }

    /// How it ended if the end of a caller has just been seen that returns as soon as it does.
    /// `None` if its own end is not seen there, or if events were lost meanwhile, because one of
    /// them may have been its end.
    pub fn end_chained(
        &self,
        losses: u64,
        is_seen_there: impl Fn(ObservedPlace) -> bool,
    ) -> Option<CallEnd> {
        match self.end_probe {
            EndProbe::Observer { only_return, place }
                if self.losses_before == losses && is_seen_there(place) =>
            {
                Some(CallEnd::Returned { site: only_return })
            }
            _ => None,
        }
    }

    /// How it ended if something else than its end proves that it is over, in a tree that lost
    /// events `losses` times. An end is lost only where events were; else nothing looked at it,
    /// because its function was promoted.
    pub fn end_unseen(
        &self,
        promoted: &HashSet<FunctionId>,
        promotes: bool,
        losses: u64,
    ) -> CallEnd {
        let is_promoting = promotes || !promoted.is_empty();
        let may_be_lost = self.losses_before != losses || !is_promoting;
        if may_be_lost && self.end_probe == EndProbe::Return && !promoted.contains(&self.function) {
            CallEnd::ExitLost
        } else {
            CallEnd::Approximate
        }
    }
}

/// A call, as its entry tells of it, or what was open already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The called function.
    pub function: FunctionId,
    /// Of the call.
    pub depth: FrameDepth,
    /// Where it returns to.
    pub call: VirtualAddress,
    /// How its end will be seen.
    pub end_probe: EndProbe,
    /// It was open when tracing began.
    pub is_already_open: bool,
}
