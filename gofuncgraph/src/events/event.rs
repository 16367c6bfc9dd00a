use std::ops::Sub;
use std::time::Duration;

use super::{ProcessEnding, Reason};
use crate::binary::{LoadBias, RuntimeAddress, VirtualAddress};
use crate::plan::{FunctionId, SiteId};

/// A moment of CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonotonicTime {
    /// Since the clock's start.
    pub time_ns: u64,
}

impl Sub for MonotonicTime {
    type Output = Duration;

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.time_ns.saturating_sub(earlier.time_ns))
    }
}

/// Names a goroutine of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Goroutine {
    /// Process id (thread group id) in the initial pid namespace.
    pub pid: u32,
    /// Go's goroutine id.
    pub goid: u64,
}

/// Frame identity: bytes from the stack's high end down to the frame's return address.
/// Survives stack copying; a callee is deeper than its caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameDepth {
    /// `stack.hi - SP`.
    pub bytes: u64,
}

/// Where an event stands in its goroutine's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequencePosition {
    /// Counts the goroutine's records from 0, lost ones included; starts again at 0 after a
    /// tree of which nothing was lost.
    pub sequence: u64,
    /// Number of the goroutine's tree; starts again at 0 together with `sequence`.
    pub tree: u16,
}

/// Something that happened in a traced process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something happened on a goroutine.
    Goroutine {
        /// On which.
        goroutine: Goroutine,
        /// Its place among the goroutine's records.
        position: SequencePosition,
        /// When.
        time: MonotonicTime,
        /// What.
        kind: GoroutineEvent,
    },
    /// Why calls of a goroutine will end. It has no number of its own, and changes nothing that is
    /// open.
    Reason {
        /// On which.
        goroutine: Goroutine,
        /// Of the goroutine's next record.
        position: SequencePosition,
        /// When.
        time: MonotonicTime,
        /// What.
        reason: Reason,
    },
    /// Why a process ends. The event that it ended follows.
    ProcessEnding {
        /// Which.
        pid: u32,
        /// When it had ended.
        time: MonotonicTime,
        /// Why.
        ending: ProcessEnding,
    },
    /// A process is gone or replaced its program image: everything it had open is over.
    ProcessEnded {
        /// Which.
        pid: u32,
        /// When.
        time: MonotonicTime,
        /// How.
        cause: ProcessEnd,
    },
    /// The kernel side says that the goroutine's next record would have had `position`, though
    /// the records before it never came: they were lost. Sent when a goroutine that lost records
    /// has ended, and at the end of tracing.
    LossNoticed {
        /// Whose.
        goroutine: Goroutine,
        /// Of the record that would come next.
        position: SequencePosition,
        /// When it was noticed.
        time: MonotonicTime,
        /// The goroutine has ended (its last record was lost), so what it has open is over.
        goroutine_ended: bool,
    },
}

impl Event {
    /// When it happened or was noticed.
    pub fn time(&self) -> MonotonicTime {
        match self {
            Self::Goroutine { time, .. }
            | Self::Reason { time, .. }
            | Self::ProcessEnding { time, .. }
            | Self::ProcessEnded { time, .. }
            | Self::LossNoticed { time, .. } => *time,
        }
    }
}

/// What happens on a goroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoroutineEvent {
    /// A call begins. Frames at this depth or deeper are over.
    Entry {
        /// The called function.
        function: FunctionId,
        /// Of the call.
        depth: FrameDepth,
        /// Where the call returns to.
        return_address: RuntimeAddress,
        /// Of the process.
        load_bias: LoadBias,
        /// The kernel side started a tree with it.
        starts_tree: bool,
        /// How its end will be seen.
        end_probe: EndProbe,
        /// It was open when tracing began: it is a target's, or inside of one. It has no number of
        /// its own: its position is that of the goroutine's next event. The outermost comes first.
        is_already_open: bool,
    },
    /// A call ends at a RET. Frames deeper than it are over.
    Return {
        /// The returning function.
        function: FunctionId,
        /// The RET.
        site: SiteId,
        /// Of the call.
        depth: FrameDepth,
        /// It was the root's: the goroutine has no tree any more.
        ends_tree: bool,
    },
    /// An instruction was reached that stands where a call has returned to: everything deeper
    /// than `depth` is over.
    Observed {
        /// What lives on is at most this deep.
        depth: FrameDepth,
        /// Where the call has returned to that the observer is for.
        return_address: VirtualAddress,
        /// The root was among what is over: the goroutine has no tree any more.
        ends_tree: bool,
    },
    /// A promoted function is at this RET. Says nothing that its observer does not say, and is
    /// there to check that.
    Checked {
        /// The returning function.
        function: FunctionId,
        /// Of the call.
        depth: FrameDepth,
    },
    /// Everything deeper than `depth` is over.
    Close {
        /// What lives on is at most this deep.
        depth: FrameDepth,
        /// Why.
        cause: CloseCause,
        /// The root was among it: the goroutine has no tree any more.
        ends_tree: bool,
    },
}

impl GoroutineEvent {
    /// Whether it counts a number of its goroutine's; if not, it has that of the next event.
    pub fn has_number(&self) -> bool {
        !matches!(
            self,
            Self::Entry {
                is_already_open: true,
                ..
            }
        )
    }
}

/// Why frames end together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// A panic was recovered; the frames were unwound.
    Recovered,
    /// The goroutine ended; the frames were unwound (`runtime.Goexit`) or left.
    GoroutineExit,
    /// A shallower event proved that the root is over though its RET was not seen.
    Superseded,
    /// The deepest of what is over had returned before, and no observer was there.
    ReturnedUnobserved,
    /// The deepest of what is over had returned, and its caller faulted before it reached the
    /// observer.
    SignalPanic,
}

/// How the end of a call will be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EndProbe {
    /// By probes on its function's RETs.
    #[default]
    Return,
    /// By an observer.
    Observer {
        /// The function's RET, if it has only one.
        only_return: Option<SiteId>,
        /// Where.
        place: ObservedPlace,
    },
    /// Only by what happens later: its function's RETs have no probes, and the place that it
    /// returns to was not known.
    None,
}

/// What tells of the end of a promoted function's call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ObservedPlace {
    /// The observer where it returns to.
    #[default]
    Own,
    /// The observer where a caller returns to, which returns as soon as the call does.
    Caller(VirtualAddress),
    /// The RET of the caller that has this depth, and returns as soon as the call does.
    CallersReturn(FrameDepth),
}

/// How a process stopped being what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessEnd {
    /// It is gone.
    Exited,
    /// It runs another program image.
    Executed,
}
