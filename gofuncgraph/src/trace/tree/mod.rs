//! One goroutine's tree, and how what happens changes it.
//!
//! - `parts`: what of it is handed over, and when.

mod parts;

use std::time::Duration;

use super::buffer::{TreeBuffer, has_measured_end};
use super::frame::{Entry, Frame};
use super::handover::Handover;
use super::line::{Beginning, CallEnd, LineBody, Note};
use super::loss_marks::LossMarks;
use super::net::EndedBy;
use super::reasons::Reasons;
use crate::binary::VirtualAddress;
use crate::events::{CloseCause, EndProbe, FrameDepth, MonotonicTime, ObservedPlace, Reason};
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
    reasons: Reasons,
    root: Root,
    events: u64,
    /// How often events of it were lost.
    losses: u64,
    /// What hits cost so far, in nanoseconds, if durations are without that.
    probes_ns: u64,
    first_event: MonotonicTime,
    last_event: MonotonicTime,
    /// When the part began that is not handed over yet.
    part_began: MonotonicTime,
    /// It is among `Statistics::trees`.
    counted: bool,
    /// Its root was open when tracing began.
    root_was_open: bool,
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
            reasons: Reasons::default(),
            root: if root_lost { Root::Unknown } else { Root::Open },
            events: 0,
            losses: 0,
            probes_ns: 0,
            first_event: time,
            last_event: time,
            part_began: time,
            counted: false,
            root_was_open: false,
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

    /// A call begins, or is open already.
    pub fn entry(&mut self, time: MonotonicTime, entry: Entry, handover: &mut Handover<'_>) {
        let Entry {
            function,
            depth,
            call,
            end_probe,
            is_already_open,
        } = entry;
        self.events += 1;
        // Of a call that was open already it is not certain.
        if end_probe != EndProbe::Return && !is_already_open {
            handover.shared.note_promoted(function);
        }
        self.end_unseen_while(time, handover, |frame| frame.depth >= depth);
        self.marks.happened(depth);
        // A call at the depth of a panic is that of `runtime.gopanic`.
        self.reasons.over_below(depth);
        if handover.shared.open_calls >= MAX_OPEN_CALLS {
            handover.shared.statistics.calls_without_room += 1;
            return;
        }
        handover.shared.open_calls += 1;
        self.make_room(time, handover);
        // After a cut, which tells what there was before.
        if !is_already_open {
            let cost_ns = handover.shared.entry_ns(function);
            self.probes_ns = self.probes_ns.saturating_add(cost_ns);
        }
        match &mut self.buffer {
            Some(buffer) => {
                buffer.entry(time, &entry);
                handover.shared.buffered_calls += 1;
            }
            None => handover.line(
                &mut self.counted,
                time,
                self.frames.len(),
                LineBody::Entry {
                    function,
                    beginning: if is_already_open {
                        Beginning::AlreadyOpen { call }
                    } else {
                        Beginning::Seen { call }
                    },
                },
            ),
        }
        self.frames.push(Frame {
            function,
            depth,
            entry_time: (!is_already_open).then_some(time),
            order: self.events,
            call,
            end_probe,
            losses_before: self.losses,
            probes_before_ns: self.probes_ns,
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
        self.reasons.over_from(depth);
        let how = CallEnd::Returned { site: Some(site) };
        let living = self.frames.iter().rposition(|frame| frame.depth <= depth);
        self.end_chained(
            time,
            handover,
            living.map_or(0, |innermost| innermost + 1),
            [EndedBy::CallersReturn; 2],
            |place| place == ObservedPlace::CallersReturn(depth),
        );
        match self.frames.last() {
            Some(top) if top.depth == depth && top.function == function => {
                self.marks.was_open_since(top.order);
                self.end_innermost(time, how, EndedBy::Return, handover);
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
                beginning: Beginning::Lost,
            };
            let end = LineBody::End {
                function,
                how,
                duration: None,
            };
            handover.line(&mut self.counted, time, level, entry);
            handover.line(&mut self.counted, time, level, end);
            let cost_ns = handover.shared.end_ns(EndedBy::Return);
            self.probes_ns = self.probes_ns.saturating_add(cost_ns);
            return;
        };
        handover.shared.buffered_calls += 1;
        let (position, over_before) = self
            .marks
            .take_entry_of(depth, self.frames.len())
            .unwrap_or((buffer.next_position(), 0));
        buffer.end_without_entry(position, over_before, function, time, how);
        let cost_ns = handover.shared.end_ns(EndedBy::Return);
        self.probes_ns = self.probes_ns.saturating_add(cost_ns);
    }

    /// Something will end calls; the next event of the goroutine has the number `sequence`.
    pub fn reason(&mut self, reason: Reason, sequence: u64) {
        self.reasons
            .take(reason, &self.frames, self.losses, sequence);
    }

    /// Everything deeper than `depth` is over; with `ends_tree` the root too. `sequence` is the
    /// event's number.
    pub fn close(
        &mut self,
        time: MonotonicTime,
        sequence: u64,
        depth: FrameDepth,
        cause: CloseCause,
        ends_tree: bool,
        handover: &mut Handover<'_>,
    ) {
        self.events += 1;
        let unwound = self.reasons.unwound(cause, depth, sequence, self.losses);
        match cause {
            CloseCause::Recovered | CloseCause::GoroutineExit => {
                while let Some(innermost) = self.frames.last()
                    && (ends_tree || innermost.depth > depth)
                {
                    let how = innermost
                        .end_unwound(&handover.shared.promoted_functions, unwound.of(innermost));
                    self.end_innermost(time, how, EndedBy::Other, handover);
                }
                if ends_tree {
                    self.end(time, CallEnd::Unwound(unwound.of_all()), handover);
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
        self.reasons.over_below(depth);
        handover.shared.promotes = true;
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
        let inside = EndedBy::CallersObserver;
        if let Some((order, _, own)) = returned {
            self.end_chained(time, handover, living + 1, [inside; 2], is_seen_there);
            self.marks.was_open_since(order);
            how = own;
            self.end_innermost(time, how, EndedBy::Observer, handover);
        } else {
            let ended_by = [EndedBy::Observer, inside];
            self.end_chained(time, handover, living, ended_by, is_seen_there);
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

    /// Another root has begun where this tree's was: everything that is open was over before, and
    /// nothing told of it.
    pub fn superseded(&mut self, time: MonotonicTime, handover: &mut Handover<'_>) {
        self.end_unseen_while(time, handover, |_| true);
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
            self.end_innermost(time, how, EndedBy::Other, handover);
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

    /// All but the outermost `living` are over; those that are seen to end where `is_seen_there`
    /// holds ended now. `ended_by` is for the outermost of what is over, and for those inside.
    fn end_chained(
        &mut self,
        time: MonotonicTime,
        handover: &mut Handover<'_>,
        living: usize,
        ended_by: [EndedBy; 2],
        is_seen_there: impl Fn(ObservedPlace) -> bool,
    ) {
        let [outermost, inside] = ended_by;
        while self.frames.len() > living
            && let Some(innermost) = self.frames.last()
        {
            let order = innermost.order;
            let is_outermost = self.frames.len() == living + 1;
            let ended_by = if is_outermost { outermost } else { inside };
            match innermost.end_chained(self.losses, &is_seen_there) {
                Some(how) => {
                    self.marks.was_open_since(order);
                    self.end_innermost(time, how, ended_by, handover);
                }
                None => self.end_innermost_unseen(time, handover),
            }
        }
    }

    fn end_innermost_unseen(&mut self, time: MonotonicTime, handover: &mut Handover<'_>) {
        if let Some(innermost) = self.frames.last() {
            let shared = &*handover.shared;
            let how =
                innermost.end_unseen(&shared.promoted_functions, shared.promotes, self.losses);
            self.end_innermost(time, how, EndedBy::Other, handover);
        }
    }

    fn end_innermost(
        &mut self,
        time: MonotonicTime,
        how: CallEnd,
        ended_by: EndedBy,
        handover: &mut Handover<'_>,
    ) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        handover.shared.open_calls = handover.shared.open_calls.saturating_sub(1);
        let function = frame.function;
        let inside_ns = self.probes_ns.saturating_sub(frame.probes_before_ns);
        let begin = frame.entry_time.filter(|_| has_measured_end(how));
        let duration = begin.map(|begin| {
            handover
                .shared
                .net(time - begin, function, inside_ns, ended_by)
        });
        let cost_ns = handover.shared.end_ns(ended_by);
        self.probes_ns = self.probes_ns.saturating_add(cost_ns);
        let level = self.frames.len();
        if level == 0 && matches!(self.root, Root::Open) {
            self.root = Root::Ended { how, duration };
            self.root_was_open |= frame.is_already_open();
        }
        match &mut self.buffer {
            Some(buffer) => buffer.end(time, how, ended_by),
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
}
