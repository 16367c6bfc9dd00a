use std::time::Duration;

use crate::binary::VirtualAddress;
use crate::events::{CodeAddress, Goroutine, MonotonicTime, ProcessEnding};
use crate::plan::{FunctionId, SiteId};

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceLine {
    /// Whose.
    pub goroutine: Goroutine,
    /// When it happened. For what was only inferred: when it was certain.
    pub time: MonotonicTime,
    /// Number of shown calls around it; 0 for a root.
    pub level: u32,
    /// What happened.
    pub body: LineBody,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineBody {
    /// A call begins.
    Entry {
        /// The called function.
        function: FunctionId,
        /// What is known of that.
        beginning: Beginning,
    },
    /// The innermost open call ends.
    End {
        /// The function whose call it was.
        function: FunctionId,
        /// How it ended.
        how: CallEnd,
        /// From entry to end, where both were seen.
        duration: Option<Duration>,
    },
    /// A remark.
    Note(Note),
}

/// How a call began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Beginning {
    /// Its entry was seen.
    Seen {
        /// Where the call returns to.
        call: VirtualAddress,
    },
    /// It was open when tracing began. The line's time is when that was found out.
    AlreadyOpen {
        /// Where the call returns to.
        call: VirtualAddress,
    },
    /// Its entry was lost; the call is known by its return only.
    Lost,
}

impl Beginning {
    /// Where the call returns to, if that is known.
    pub fn call(self) -> Option<VirtualAddress> {
        match self {
            Self::Seen { call } | Self::AlreadyOpen { call } => Some(call),
            Self::Lost => None,
        }
    }

    /// Whether the line's time is when it began.
    pub fn is_seen(self) -> bool {
        matches!(self, Self::Seen { .. })
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallEnd {
    /// It returned.
    Returned {
        /// By which RET, where that is known.
        site: Option<SiteId>,
    },
    /// It returned some time before; its duration is an upper bound.
    Approximate,
    /// By a recovered panic or `runtime.Goexit`.
    Unwound(Unwinding),
    /// It is over, but its end was not seen.
    ExitLost,
    /// It did not end before tracing, or the shown part of its tree, did.
    StillOpen,
    /// Its process exited or runs another program image.
    ProcessExited(ProcessEnding),
}

/// What unwound a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unwinding {
    /// It is not known.
    #[default]
    Unknown,
    /// A panic that was recovered.
    Panic {
        /// The call itself panicked.
        panicked: bool,
        /// Where it came from, if that is no call that is traced.
        origin: Option<CodeAddress>,
        /// Where the function goes on whose deferred call recovered.
        resumed: Option<CodeAddress>,
    },
    /// `runtime.Goexit`.
    Goexit,
}

/// A remark between the lines of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Events of the goroutine were lost here.
    Lost {
        /// How many.
        events: u64,
    },
    /// The tree is printed so far because it grew too large; all open calls end after this.
    Cut {
        /// Calls that the part ending here shows.
        calls: u64,
    },
    /// The calls of the tree so far were dropped, because the tree was neither within bounds nor
    /// long enough to be shown.
    Dropped {
        /// How many, from the tree's beginning.
        calls: u64,
    },
    /// Begins the next part of a tree that was cut.
    Continued {
        /// The open calls, root first. Their entries are shown in earlier parts or were dropped.
        path: Vec<FunctionId>,
    },
    /// A call whose entry is not in this part of the tree ended.
    EndedAfterCut {
        /// The function whose call it was.
        function: FunctionId,
        /// How it ended.
        how: CallEnd,
        /// From entry to end, where both were seen.
        duration: Option<Duration>,
    },
    /// Calls that happened here are not shown.
    Hidden {
        /// How many, calls inside of them included.
        calls: u64,
        /// Because each was shorter than this; `None` if there was no room for them.
        shorter_than: Option<Duration>,
        /// How long they took together, calls inside of them not counted twice.
        total: Duration,
    },
}

/// What ends with the lines since the last end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartEnd {
    /// A tree.
    Tree,
    /// A part of a tree that goes on: its next part begins with [`Note::Continued`].
    Cut,
}

/// Takes the lines of a trace.
pub trait TraceSink {
    /// Takes the next line. A goroutine's lines come in order, its entries and ends in pairs.
    fn line(&mut self, line: &TraceLine);

    /// Takes the news that `goroutine`'s tree, or a part of it, is complete.
    fn part_end(&mut self, goroutine: Goroutine, end: PartEnd);
}
