use std::sync::Arc;
use std::time::Duration;

use foldhash::HashSet;

use super::line::{Beginning, LineBody, PartEnd, TraceLine, TraceSink};
use super::net::{EndedBy, NetCosts};
use super::settings::Delivery;
use super::statistics::Statistics;
use crate::events::{Goroutine, MonotonicTime};
use crate::plan::FunctionId;

/// Bounds of what trees may keep.
#[derive(Clone, Copy, Debug)]
pub(super) struct TreeLimits {
    /// Calls of one tree.
    pub max_calls: usize,
    /// Calls of all trees.
    pub max_buffered_calls: usize,
    /// Only trees at least this long are handed over.
    pub slower_than: Option<Duration>,
}

impl TreeLimits {
    /// `None` while streaming: nothing is kept.
    pub fn of(delivery: Delivery) -> Option<Self> {
        match delivery {
            Delivery::Stream => None,
            Delivery::Trees {
                max_calls,
                max_buffered_calls,
                slower_than,
            } => Some(Self {
                max_calls: max_calls.max(1),
                max_buffered_calls: max_buffered_calls.max(1),
                slower_than,
            }),
        }
    }
}

/// What the trees of all goroutines have in common.
#[derive(Debug)]
pub(super) struct Shared {
    /// `None` while streaming.
    pub limits: Option<TreeLimits>,
    /// Counted so far.
    pub statistics: Statistics,
    /// Calls in the buffers of all trees.
    pub buffered_calls: usize,
    /// Calls that are open in all trees.
    pub open_calls: usize,
    /// Functions of which an entry said that its RETs may have no probes.
    pub promoted_functions: HashSet<FunctionId>,
    /// Functions may be promoted. One can have lost its RETs' probes before any event says so.
    pub promotes: bool,
    /// The last of them that was seen: mostly the next one, too.
    pub last_promoted: Option<FunctionId>,
    /// Durations are without these.
    pub net: Option<Arc<NetCosts>>,
}

impl Shared {
    /// An entry said that the RETs of `function` may have no probes.
    pub fn note_promoted(&mut self, function: FunctionId) {
        if self.last_promoted.replace(function) != Some(function) {
            self.promoted_functions.insert(function);
        }
    }

    /// What a call that seemed to take `duration` took; see [`NetCosts`].
    pub fn net(
        &self,
        duration: Duration,
        function: FunctionId,
        inside_ns: u64,
        ended_by: EndedBy,
    ) -> Duration {
        match &self.net {
            Some(net) => net.net(duration, function, inside_ns, ended_by),
            None => duration,
        }
    }

    /// Of an entry, in nanoseconds; 0 if it is not to be taken off.
    pub fn entry_ns(&self, function: FunctionId) -> u64 {
        self.net.as_ref().map_or(0, |net| net.entry_ns(function))
    }

    /// The same of an end.
    pub fn end_ns(&self, ended_by: EndedBy) -> u64 {
        self.net.as_ref().map_or(0, |net| net.end_ns(ended_by))
    }
}

/// Hands over the lines of one tree and counts them.
pub(super) struct Handover<'a> {
    /// Whose tree.
    pub goroutine: Goroutine,
    /// What all trees have in common.
    pub shared: &'a mut Shared,
    /// Takes the lines.
    pub sink: &'a mut dyn TraceSink,
}

impl Handover<'_> {
    /// Hands over one line. `tree_counted` says whether the tree is among
    /// [`Statistics::trees`] yet.
    pub fn line(
        &mut self,
        tree_counted: &mut bool,
        time: MonotonicTime,
        level: usize,
        body: LineBody,
    ) {
        let statistics = &mut self.shared.statistics;
        match &body {
            LineBody::Entry { beginning, .. } => {
                if !std::mem::replace(tree_counted, true) {
                    statistics.trees += 1;
                }
                *match beginning {
                    Beginning::Seen { .. } => &mut statistics.calls,
                    Beginning::AlreadyOpen { .. } => &mut statistics.calls_already_open,
                    Beginning::Lost => &mut statistics.calls_without_entry,
                } += 1;
            }
            LineBody::End { how, .. } => statistics.ends.add(*how),
            LineBody::Note(_) => {}
        }
        self.sink.line(&TraceLine {
            goroutine: self.goroutine,
            time,
            level: u32::try_from(level).unwrap_or(u32::MAX),
            body,
        });
    }

    /// Hands over the news that a tree or a part of it is complete.
    pub fn part_end(&mut self, end: PartEnd) {
        self.sink.part_end(self.goroutine, end);
    }
}
