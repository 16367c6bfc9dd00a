//! The panics of a tree that are not over, and what they will have unwound.

use super::frame::Frame;
use super::line::Unwinding;
use crate::events::{CloseCause, CodeAddress, FrameDepth, Panic, Reason};

/// More panics inside of one another than a program has that is not made up.
const MAX_PANICS: usize = 1 << 10;

/// A panic that is not over, as far as is known.
#[derive(Clone, Copy, Debug)]
struct ActivePanic {
    depth: FrameDepth,
    origin: Option<CodeAddress>,
    /// `Frame::order` of the traced call that panicked.
    frame: Option<u64>,
    /// How often events of the tree were lost before.
    losses_before: u64,
}

/// What tells why calls of a tree end.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    /// The outermost first.
    panics: Vec<ActivePanic>,
    /// Sequence number of the close that tells what was unwound, and where a function goes on.
    recovery: Option<(u64, Option<CodeAddress>)>,
    /// `runtime.Goexit` was called.
    goexit: bool,
}

/// What a close unwinds, and why.
#[derive(Debug)]
pub(super) struct Unwound {
    /// `Frame::order` of the calls that panicked.
    panicked: Vec<u64>,
    how: Unwinding,
    /// A panic is known that it ends.
    is_panic_known: bool,
    /// How often events of the tree were lost before.
    losses: u64,
}

impl Reasons {
    /// Something is about to end calls of the tree whose open calls are `frames`, which lost
    /// events `losses` times; the next event of its goroutine has the number `sequence`.
    pub fn take(&mut self, reason: Reason, frames: &[Frame], losses: u64, sequence: u64) {
        match reason {
            Reason::Panic(panic) => self.panic(panic, frames, losses),
            Reason::Recovery { resumed } => self.recovery = Some((sequence, resumed)),
            Reason::Goexit => self.goexit = true,
        }
    }

    fn panic(&mut self, panic: Panic, frames: &[Frame], losses: u64) {
        self.over_from(panic.depth);
        if self.panics.len() >= MAX_PANICS {
            return;
        }
        let is_it = |frame: &&Frame| panic.call.is_some_and(|it| it.is(frame.depth, frame.call));
        // Mostly one of the innermost.
        let frame = frames.iter().rev().find(is_it).map(|frame| frame.order);
        self.panics.push(ActivePanic {
            depth: panic.depth,
            origin: panic.origin,
            frame,
            losses_before: losses,
        });
    }

    /// Everything at `depth` or deeper is over.
    pub fn over_from(&mut self, depth: FrameDepth) {
        while self.panics.pop_if(|panic| panic.depth >= depth).is_some() {}
    }

    /// Everything deeper than `depth` is over.
    pub fn over_below(&mut self, depth: FrameDepth) {
        while self.panics.pop_if(|panic| panic.depth > depth).is_some() {}
    }

    /// The close with the number `sequence` ends everything deeper than `depth`, in a tree that
    /// lost events `losses` times.
    pub fn unwound(
        &mut self,
        cause: CloseCause,
        depth: FrameDepth,
        sequence: u64,
        losses: u64,
    ) -> Unwound {
        let first = self.panics.partition_point(|panic| panic.depth <= depth);
        let over = self.panics.split_off(first);
        let recovery = self
            .recovery
            .take()
            .filter(|(number, _)| *number == sequence);
        let is_certain = |panic: &&ActivePanic| panic.losses_before == losses;
        let how = match cause {
            CloseCause::GoroutineExit if self.goexit => Unwinding::Goexit,
            // Nothing says what it was: the recording of a version that did not look.
            CloseCause::Recovered if recovery.is_none() && over.is_empty() => Unwinding::Unknown,
            CloseCause::Recovered => Unwinding::Panic {
                panicked: false,
                // What was recovered is the one that came last. Where the call that panicked is
                // traced, it says so itself.
                origin: over
                    .last()
                    .filter(|panic| is_certain(panic) && panic.frame.is_none())
                    .and_then(|panic| panic.origin),
                resumed: recovery.and_then(|(_, resumed)| resumed),
            },
            _ => Unwinding::Unknown,
        };
        let certain = over.iter().filter(is_certain);
        Unwound {
            is_panic_known: !over.is_empty(),
            panicked: certain.filter_map(|panic| panic.frame).collect(),
            how,
            losses,
        }
    }
}

impl Unwound {
    /// What it was for the call that `frame` is of. Nothing is certain if events were lost since
    /// it began: one of them may have been its end.
    pub fn of(&self, frame: &Frame) -> Unwinding {
        match self.how {
            _ if frame.losses_before != self.losses => Unwinding::Unknown,
            Unwinding::Panic { resumed, .. } if self.panicked.contains(&frame.order) => {
                Unwinding::Panic {
                    panicked: true,
                    origin: None,
                    resumed,
                }
            }
            // It may have panicked before its tree was found.
            Unwinding::Panic { .. } if frame.is_already_open() && !self.is_panic_known => {
                Unwinding::Unknown
            }
            how => how,
        }
    }

    /// What it was for calls that are not known.
    pub fn of_all(&self) -> Unwinding {
        self.how
    }
}
