//! What of a tree is handed over, and when.

use std::time::Duration;

use super::super::buffer::{EarlierCall, TreeBuffer, has_measured_end};
use super::super::frame::Frame;
use super::super::handover::Handover;
use super::super::line::{CallEnd, Note, PartEnd};
use super::super::net::EndedBy;
use super::{Outcome, Root, Tree};
use crate::events::MonotonicTime;

/// A root that was open when tracing began may never end. What has ended in it is handed over when
/// so much time has passed since the part began.
const OPEN_ROOT_INTERVAL: Duration = Duration::from_secs(1);

/// More are not found on a stack (gofuncgraph-common: `OPEN_FRAMES`); only a recording that was made up
/// has more.
const MOST_ALREADY_OPEN: usize = 64;

impl Tree {
    /// Hands over what has ended in a tree whose root may never end, if nothing else is open and it is
    /// time to.
    pub fn hand_over_ended(&mut self, time: MonotonicTime, handover: &mut Handover<'_>) {
        let is_due = time - self.part_began >= OPEN_ROOT_INTERVAL
            && self.buffered_calls() > 0
            && self.frames.len() <= MOST_ALREADY_OPEN
            && self.frames.iter().all(Frame::is_already_open)
            && (self.part_shown || self.has_lasted(time, handover));
        if is_due {
            self.cut(time, handover);
        }
    }

    /// Whether it took as long by `time` as is asked for.
    fn has_lasted(&self, time: MonotonicTime, handover: &Handover<'_>) -> bool {
        let limits = handover.shared.limits;
        let slower_than = limits.and_then(|limits| limits.slower_than);
        let probes = Duration::from_nanos(self.probes_ns);
        let so_far = (time - self.first_event).saturating_sub(probes);
        so_far >= slower_than.unwrap_or_default()
    }

    /// Cuts the tree if it has no room for another call.
    pub(super) fn make_room(&mut self, time: MonotonicTime, handover: &mut Handover<'_>) {
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
        let is_shown = self.part_shown || self.has_lasted(time, handover);
        let Some(buffer) = &mut self.buffer else {
            return;
        };
        self.part_began = time;
        let calls = buffer.calls() as u64;
        let statistics = &mut handover.shared.statistics;
        if !std::mem::replace(&mut self.cut, true) {
            statistics.trees_cut += 1;
        }
        let mut introduction = Vec::with_capacity(2);
        if is_shown {
            buffer.note(time, Note::Cut { calls });
            for _ in &self.frames {
                buffer.end(time, CallEnd::StillOpen, EndedBy::Other);
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
            .map(|frame| EarlierCall {
                function: frame.function,
                begin: frame.entry_time,
                probes_before_ns: frame.probes_before_ns,
            })
            .collect();
        *buffer = TreeBuffer::continued(introduction, earlier_calls, self.probes_ns);
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
            Root::Ended { how, .. }
                if self.counted && !self.root_was_open && has_measured_end(how) =>
            {
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
        let probes = Duration::from_nanos(self.probes_ns);
        let at_least = (self.last_event - self.first_event).saturating_sub(probes);
        if at_least < slower_than {
            statistics.trees_of_unknown_duration += 1;
        }
        at_least >= slower_than
    }
}
