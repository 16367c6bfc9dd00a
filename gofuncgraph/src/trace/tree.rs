use std::time::Duration;

use super::buffer::{TreeBuffer, has_measured_end};
use super::frame::{Entry, Frame};
use super::handover::Handover;
use super::line::{CallEnd, LineBody, Note, PartEnd};
use super::loss_marks::LossMarks;
use crate::binary::VirtualAddress;
use crate::events::{CloseCause, EndProbe, FrameDepth, MonotonicTime, ObservedPlace};
use crate::plan::{FunctionId, SiteId};

/// Calls that can be open at the same time, of all goroutines together. A goroutine that
/// recurses until its stack is full gets further; what is deeper is counted, and not shown.
pub const MAX_OPEN_CALLS: usize = 1 << 21;

/// What is known of a tree's root.
#[derive(Clone, Copy, Debug)]
enum Root {
    Open,
    /// Its entry was lost.
    Unknown,
    Ended {
        how: CallEnd,
        duration: Option<Duration>,
    },
}

/// What became of a tree that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its root returned or was unwound, and it is shown.
    Finished,
    /// Anything else.
    Other,
}

/// One goroutine's tree from its root's entry to its root's end.
#[derive(Debug)]
pub(super) struct Tree {
    frames: Vec<Frame>,
    /// `None` while streaming.
    buffer: Option<TreeBuffer>,
    marks: LossMarks,
    root: Root,
    events: u64,
    /// How often events of it were lost.
    losses: u64,
    first_event: MonotonicTime,
    last_event: MonotonicTime,
    /// It is among `Statistics::trees`.
    counted: bool,
    cut: bool,
    /// An earlier part was handed over.
    part_shown: bool,
    dropped_calls: u64,
}

impl Tree {
    /// A tree whose first event comes at `time`: its root's entry, unless `root_lost`.
    pub fn new(time: MonotonicTime, root_lost: bool, stream: bool) -> Self {
        Self {
            frames: Vec::new(),
            buffer: (!stream).then(TreeBuffer::default),
            marks: LossMarks::default(),
            root: if root_lost { Root::Unknown } else { Root::Open },
            events: 0,
            losses: 0,
            first_event: time,
            last_event: time,
            counted: false,
            cut: false,
            part_shown: false,
            dropped_calls: 0,
        }
    }

    /// When it began, as far as is known.
    pub fn begin(&self) -> MonotonicTime {
        self.first_event
    }

    /// Calls that wait to be handed over.
    pub fn buffered_calls(&self) -> usize {
        self.buffer.as_ref().map_or(0, TreeBuffer::calls)
    }

    /// `events` of the goroutine were lost before what comes next.
    pub fn lost(&mut self, time: MonotonicTime, events: u64, handover: &mut Handover<'_>) {
        self.events += 1;
        self.losses += 1;
        match &mut self.buffer {
            Some(buffer) => {
                buffer.lost(time, events);
                self.entries_may_be_missing();
            }
            None => handover.line(
                &mut self.counted,
                time,
                self.frames.len(),
                LineBody::Note(Note::Lost { events }),
            ),
        }
    }

    /// Entries were lost here, whether or not that is said here.
    pub fn entries_may_be_missing(&mut self) {
        self.losses += 1;
        if let Some(buffer) = &self.buffer {
            self.marks
                .lost(self.events, buffer.next_position(), self.frames.len());
        }
    }

    /// A call begins.
    pub fn entry(&mut self, time: MonotonicTime, entry: Entry, handover: &mut Handover<'_>) {
        let Entry {
            function,
            depth,
            call,
            end_probe,
        } = entry;
        self.events += 1;
        if end_probe != EndProbe::Return {
            handover.shared.promoted_functions.insert(function);
        }
        self.end_unseen_while(time, handover, |frame| frame.depth >= depth);
        self.marks.happened(depth);
        if handover.shared.open_calls >= MAX_OPEN_CALLS {
            handover.shared.statistics.calls_without_room += 1;
            return;
        }
        handover.shared.open_calls += 1;
        self.make_room(time, handover);
        match &mut self.buffer {
            Some(buffer) => {
                buffer.entry(time, function, call);
                handover.shared.buffered_calls += 1;
            }
            None => handover.line(
                &mut self.counted,
                time,
                self.frames.len(),
                LineBody::Entry {
                    function,
                    call: Some(call),
                },
            ),
        }
        self.frames.push(Frame {
            function,
            depth,
            entry_time: time,
            order: self.events,
            call,
            end_probe,
            losses_before: self.losses,
        });
        self.last_event = time;
    }

    /// A call returns; with `ends_tree` it is the root.
    pub fn returned(
        &mut self,
        time: MonotonicTime,
        function: FunctionId,
        depth: FrameDepth,
        site: SiteId,
        ends_tree: bool,
        handover: &mut Handover<'_>,
    ) {
        self.events += 1;
        let how = CallEnd::Returned { site: Some(site) };
        self.end_chained_while(
            time,
            handover,
            |frame| frame.depth > depth,
            |place| place == ObservedPlace::CallersReturn(depth),
        );
        match self.frames.last() {
            Some(top) if top.depth == depth && top.function == function => {
                self.marks.was_open_since(top.order);
                self.end_innermost(time, how, handover);
            }
            _ => {
                self.end_unseen_while(time, handover, |frame| frame.depth >= depth);
                self.returned_without_entry(time, function, depth, how, handover);
            }
        }
        self.marks.happened(depth);
        if ends_tree && matches!(self.root, Root::Unknown) {
            self.root = Root::Ended {
                how,
                duration: None,
            };
        }
        self.last_event = time;
    }

    fn returned_without_entry(
        &mut self,
        time: MonotonicTime,
        function: FunctionId,
        depth: FrameDepth,
        how: CallEnd,
        handover: &mut Handover<'_>,
    ) {
        self.make_room(time, handover);
        let Some(buffer) = &mut self.buffer else {
            let level = self.frames.len();
            let entry = LineBody::Entry {
                function,
                call: None,
            };
            let end = LineBody::End {
                function,
                how,
                duration: None,
            };
            handover.line(&mut self.counted, time, level, entry);
            handover.line(&mut self.counted, time, level, end);
            return;
        };
        handover.shared.buffered_calls += 1;
        let (position, over_before) = self
            .marks
            .take_entry_of(depth, self.frames.len())
            .unwrap_or((buffer.next_position(), 0));
        buffer.end_without_entry(position, over_before, function, time, how);
    }

    /// Everything deeper than `depth` is over; with `ends_tree` the root too.
    pub fn close(
        &mut self,
        time: MonotonicTime,
        depth: FrameDepth,
        cause: CloseCause,
        ends_tree: bool,
        handover: &mut Handover<'_>,
    ) {
        self.events += 1;
        match cause {
            CloseCause::Recovered | CloseCause::GoroutineExit => {
                while let Some(innermost) = self.frames.last()
                    && (ends_tree || innermost.depth > depth)
                {
                    let how = innermost.end_unwound(&handover.shared.promoted_functions);
                    self.end_innermost(time, how, handover);
                }
                if ends_tree {
                    self.end(time, CallEnd::Unwound, handover);
                    return;
                }
            }
            CloseCause::Superseded | CloseCause::ReturnedUnobserved | CloseCause::SignalPanic => {
                self.end_unseen_while(time, handover, |frame| ends_tree || frame.depth > depth);
                if ends_tree {
                    self.end(time, CallEnd::ExitLost, handover);
                    return;
                }
            }
        }
        self.marks.happened(FrameDepth {
            bytes: depth.bytes.saturating_add(1),
        });
        self.last_event = time;
    }

    /// An observer was passed that is for calls that return to `return_address`: everything
    /// deeper than `depth` is over; with `ends_tree` the root too.
    pub fn observed(
        &mut self,
        time: MonotonicTime,
        depth: FrameDepth,
        return_address: VirtualAddress,
        ends_tree: bool,
        handover: &mut Handover<'_>,
    ) {
        self.events += 1;
        let how_own = |frame: &Frame| match frame.end_probe {
            EndProbe::Observer { only_return, .. } => CallEnd::Returned { site: only_return },
            EndProbe::Return | EndProbe::None => CallEnd::Returned { site: None },
        };
        let is_over = |frame: &Frame| ends_tree || frame.depth > depth;
        let over = self.frames.iter().rev().take_while(|frame| is_over(frame));
        let living = self.frames.len() - over.count();
        // The observer is for the outermost one. Those inside of it were over before, unless the
        // one around them returned as soon as they did.
        let outermost = self.frames.get(living);
        let returned = outermost.filter(|frame| frame.call == return_address);
        let returned = returned.map(|frame| (frame.order, frame.depth, how_own(frame)));
        let is_seen_there = |place| match place {
            ObservedPlace::Own => false,
            ObservedPlace::Caller(address) => address == return_address,
            ObservedPlace::CallersReturn(depth) => {
                returned.is_some_and(|(_, returned, _)| returned == depth)
            }
        };
        let mut how = CallEnd::Returned { site: None };
        if let Some((order, outermost, own)) = returned {
            let is_inside = |frame: &Frame| frame.depth > outermost;
            self.end_chained_while(time, handover, is_inside, is_seen_there);
            self.marks.was_open_since(order);
            how = own;
            self.end_innermost(time, how, handover);
        } else {
            self.end_chained_while(time, handover, is_over, is_seen_there);
        }
        if ends_tree && matches!(self.root, Root::Unknown) {
            self.root = Root::Ended {
                how,
                duration: None,
            };
        }
        self.marks.happened(FrameDepth {
            bytes: depth.bytes.saturating_add(1),
        });
        self.last_event = time;
    }

    /// Everything that is open is over.
    pub fn end(&mut self, time: MonotonicTime, how: CallEnd, handover: &mut Handover<'_>) {
        self.end_while(time, how, handover, |_| true);
        if matches!(self.root, Root::Unknown) {
            self.root = Root::Ended {
                how,
                duration: None,
            };
        }
        // Otherwise the root may have ended right after the last event that was seen.
        if how != CallEnd::ExitLost {
            self.last_event = time;
        }
    }

    fn end_while(
        &mut self,
        time: MonotonicTime,
        how: CallEnd,
        handover: &mut Handover<'_>,
        is_over: impl Fn(&Frame) -> bool,
    ) {
        while self.frames.last().is_some_and(&is_over) {
            self.end_innermost(time, how, handover);
        }
    }

    /// The same for calls whose own ends were not seen.
    fn end_unseen_while(
        &mut self,
        time: MonotonicTime,
        handover: &mut Handover<'_>,
        is_over: impl Fn(&Frame) -> bool,
    ) {
        while self.frames.last().is_some_and(&is_over) {
            self.end_innermost_unseen(time, handover);
        }
    }

    /// The same, but a call that is seen to end where `is_seen_there` holds ended now.
    fn end_chained_while(
        &mut self,
        time: MonotonicTime,
        handover: &mut Handover<'_>,
        is_over: impl Fn(&Frame) -> bool,
        is_seen_there: impl Fn(ObservedPlace) -> bool,
    ) {
        while let Some(innermost) = self.frames.last()
            && is_over(innermost)
        {
            let order = innermost.order;
            match innermost.end_chained(self.losses, &is_seen_there) {
                Some(how) => {
                    self.marks.was_open_since(order);
                    self.end_innermost(time, how, handover);
                }
                None => self.end_innermost_unseen(time, handover),
            }
        }
    }

    fn end_innermost_unseen(&mut self, time: MonotonicTime, handover: &mut Handover<'_>) {
        if let Some(innermost) = self.frames.last() {
            let how = innermost.end_unseen(&handover.shared.promoted_functions, self.losses);
            self.end_innermost(time, how, handover);
        }
    }

    fn end_innermost(&mut self, time: MonotonicTime, how: CallEnd, handover: &mut Handover<'_>) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        handover.shared.open_calls = handover.shared.open_calls.saturating_sub(1);
        let function = frame.function;
        let duration = has_measured_end(how).then(|| time - frame.entry_time);
        let level = self.frames.len();
        if level == 0 && matches!(self.root, Root::Open) {
            self.root = Root::Ended { how, duration };
        }
        match &mut self.buffer {
            Some(buffer) => buffer.end(time, how),
            None => handover.line(
                &mut self.counted,
                time,
                level,
                LineBody::End {
                    function,
                    how,
                    duration,
                },
            ),
        }
    }

    /// Cuts the tree if it has no room for another call.
    fn make_room(&mut self, time: MonotonicTime, handover: &mut Handover<'_>) {
        if handover
            .shared
            .limits
            .is_some_and(|limits| self.buffered_calls() >= limits.max_calls)
        {
            self.cut(time, handover);
        }
    }

    /// Hands over what there is so far, balanced, or drops it if the tree is not long enough
    /// yet; then goes on with a new part.
    pub fn cut(&mut self, time: MonotonicTime, handover: &mut Handover<'_>) {
        let Some(buffer) = &mut self.buffer else {
            return;
        };
        let calls = buffer.calls() as u64;
        let statistics = &mut handover.shared.statistics;
        if !std::mem::replace(&mut self.cut, true) {
            statistics.trees_cut += 1;
        }
        let slower_than = handover
            .shared
            .limits
            .and_then(|limits| limits.slower_than)
            .unwrap_or_default();
        let mut introduction = Vec::with_capacity(2);
        if self.part_shown || time - self.first_event >= slower_than {
            buffer.note(time, Note::Cut { calls });
            for _ in &self.frames {
                buffer.end(time, CallEnd::StillOpen);
            }
            statistics.calls_open_at_cuts += self.frames.len() as u64;
            buffer.hand_over(&mut self.counted, handover);
            handover.part_end(PartEnd::Cut);
            self.part_shown = true;
        } else {
            self.dropped_calls += calls;
            statistics.calls_dropped += calls;
            buffer.forget(&mut handover.shared.buffered_calls);
            let calls = self.dropped_calls;
            introduction.push((time, Note::Dropped { calls }));
        }
        let path = self.frames.iter().map(|frame| frame.function).collect();
        introduction.push((time, Note::Continued { path }));
        let earlier_calls = self
            .frames
            .iter()
            .map(|frame| (frame.function, frame.entry_time))
            .collect();
        *buffer = TreeBuffer::continued(introduction, earlier_calls);
        self.marks.clear();
    }

    /// Hands over what waits of the tree, which has ended, unless it is too short.
    pub fn hand_over(mut self, handover: &mut Handover<'_>) -> Outcome {
        if let Some(mut buffer) = self.buffer.take() {
            if !self.part_shown && !self.is_long_enough(handover) {
                buffer.forget(&mut handover.shared.buffered_calls);
                return Outcome::Other;
            }
            self.part_shown |= buffer.hand_over(&mut self.counted, handover);
            if !self.part_shown {
                return Outcome::Other;
            }
        }
        handover.part_end(PartEnd::Tree);
        match self.root {
            Root::Ended { how, .. } if self.counted && has_measured_end(how) => {
                handover.shared.statistics.trees_finished += 1;
                Outcome::Finished
            }
            _ => Outcome::Other,
        }
    }

    fn is_long_enough(&self, handover: &mut Handover<'_>) -> bool {
        let Some(slower_than) = handover.shared.limits.and_then(|limits| limits.slower_than) else {
            return true;
        };
        let statistics = &mut handover.shared.statistics;
        if let Root::Ended {
            duration: Some(duration),
            ..
        } = self.root
        {
            if duration < slower_than {
                statistics.trees_too_short += 1;
            }
            return duration >= slower_than;
        }
        let at_least = self.last_event - self.first_event;
        if at_least < slower_than {
            statistics.trees_of_unknown_duration += 1;
        }
        at_least >= slower_than
    }
}
