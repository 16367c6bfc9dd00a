use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::{HashMap, HashSet};

use super::frame::Entry;
use super::handover::{Handover, Shared, TreeLimits};
use super::line::{CallEnd, LineBody, Note, TraceSink};
use super::net::NetCosts;
use super::settings::{AssemblerSettings, Delivery};
use super::statistics::Statistics;
use super::tree::{Outcome, Tree};
use crate::events::{
    Event, Goroutine, GoroutineEvent, MonotonicTime, ProcessEnd, ProcessEnding, Reason,
    SequencePosition,
};

/// Goroutines that can have something open, or losses to be told of, at once. The kernel side
/// has room for a quarter of them; only recordings that were made up have more.
pub const MAX_GOROUTINES: usize = 1 << 18;

/// Processes whose end is remembered: as many as Linux has numbers.
const MAX_EXITED_PIDS: usize = 1 << 22;

/// A goroutine that has an open tree, or lost records since its numbers last started at 0.
#[derive(Debug, Default)]
struct GoroutineState {
    next_sequence: u64,
    /// Of the tree that is open.
    tree_number: u16,
    /// Records were lost since the numbers started at 0, so the next tree continues them.
    lost_records: bool,
    tree: Option<Box<Tree>>,
}

/// Makes call trees of events.
///
/// Takes events in the order of each goroutine, with goroutines interleaved in any way. Costs
/// amortised constant time an event; keeps memory for the open calls of every goroutine, and
/// within the bounds of [`Delivery::Trees`] for lines that wait.
///
/// Whatever the events are, every line that begins a call is followed by one that ends it, and
/// calls nest.
#[derive(Debug)]
pub struct Assembler {
    settings: AssemblerSettings,
    goroutines: HashMap<Goroutine, GoroutineState>,
    /// Processes that are gone: what is said of their goroutines later is no news.
    exited_pids: HashSet<u32>,
    /// Why processes end that are about to be told of as ended.
    endings: HashMap<u32, ProcessEnding>,
    shared: Shared,
    is_complete: bool,
}

impl Assembler {
    /// One that has seen nothing yet.
    pub fn new(settings: AssemblerSettings) -> Self {
        Self {
            settings,
            goroutines: HashMap::default(),
            exited_pids: HashSet::default(),
            endings: HashMap::default(),
            shared: Shared {
                limits: TreeLimits::of(settings.delivery),
                statistics: Statistics::default(),
                buffered_calls: 0,
                open_calls: 0,
                promoted_functions: HashSet::default(),
                promotes: false,
                last_promoted: None,
                net: None,
            },
            is_complete: false,
        }
    }

    /// The same, but durations are without what hits of probes cost.
    #[must_use]
    pub fn with_net(mut self, net: Option<Arc<NetCosts>>) -> Self {
        self.shared.net = net;
        self
    }

    /// The same, but returns of functions may go unseen though nothing was lost, because they are
    /// promoted.
    #[must_use]
    pub fn with_promotion(mut self, promotes: bool) -> Self {
        self.shared.promotes = promotes;
        self
    }

    /// Takes the next event and hands what it completes to `sink`.
    pub fn handle(&mut self, event: &Event, sink: &mut dyn TraceSink) {
        if self.is_complete {
            return;
        }
        match *event {
            Event::Goroutine {
                goroutine,
                position,
                time,
                kind,
            } => self.goroutine_event(goroutine, position, time, kind, sink),
            Event::Reason {
                goroutine,
                position,
                reason,
                ..
            } => self.reason(goroutine, position, reason),
            Event::ProcessEnding { pid, ending, .. } => {
                if self.endings.len() < MAX_EXITED_PIDS {
                    self.endings.insert(pid, ending);
                }
            }
            Event::ProcessEnded { pid, time, cause } => {
                let ending = self.endings.remove(&pid).unwrap_or_default();
                if cause == ProcessEnd::Exited && self.exited_pids.len() < MAX_EXITED_PIDS {
                    self.exited_pids.insert(pid);
                }
                let how = CallEnd::ProcessExited(ending);
                self.end_goroutines(time, how, sink, |goroutine| goroutine.pid == pid);
            }
            Event::LossNoticed {
                goroutine,
                position,
                time,
                goroutine_ended,
            } => self.loss_noticed(goroutine, position, time, goroutine_ended, sink),
        }
    }

    /// Tracing is over: hands over what is open, unless the asked-for number of trees was
    /// reached. `time` is the present.
    pub fn finish(&mut self, time: MonotonicTime, sink: &mut dyn TraceSink) {
        self.end_goroutines(time, CallEnd::StillOpen, sink, |_| true);
    }

    /// Processes of which calls are open.
    pub fn pids_with_open_calls(&self) -> BTreeSet<u32> {
        self.goroutines
            .iter()
            .filter(|(_, state)| state.tree.is_some())
            .map(|(goroutine, _)| goroutine.pid)
            .collect()
    }

    /// The asked-for number of finished trees was handed over; no more lines will come.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Counted so far.
    pub fn statistics(&self) -> &Statistics {
        &self.shared.statistics
    }

    fn has_room_for(&self, goroutine: Goroutine) -> bool {
        self.goroutines.len() < MAX_GOROUTINES || self.goroutines.contains_key(&goroutine)
    }

    fn goroutine_event(
        &mut self,
        goroutine: Goroutine,
        position: SequencePosition,
        time: MonotonicTime,
        kind: GoroutineEvent,
        sink: &mut dyn TraceSink,
    ) {
        let starts_tree = matches!(
            kind,
            GoroutineEvent::Entry {
                starts_tree: true,
                ..
            }
        );
        if self.exited_pids.contains(&goroutine.pid) {
            if !starts_tree {
                // A thread that was still on its way out.
                self.shared.statistics.events_after_exit += 1;
                return;
            }
            // The number of a process that is gone was given to another.
            self.exited_pids.remove(&goroutine.pid);
        }
        if !self.has_room_for(goroutine) {
            self.shared.statistics.events_without_room += 1;
            return;
        }
        let state = self.goroutines.entry(goroutine).or_default();
        let handover = &mut Handover {
            goroutine,
            shared: &mut self.shared,
            sink,
        };

        if position.sequence < state.next_sequence {
            handover.shared.statistics.events_out_of_order += 1;
            if !starts_tree {
                return;
            }
            // The numbers started again, though nothing said that the goroutine was over.
            state.end_tree(time, CallEnd::ExitLost, handover);
            *state = GoroutineState::default();
        }
        let lost = position.sequence.saturating_sub(state.next_sequence);
        let numbers = u64::from(kind.has_number());
        state.advance(position.sequence.saturating_add(numbers), lost, handover);
        let lost_here = state.end_tree_if_other(position.tree, starts_tree, lost, time, handover);

        if state.tree.is_none() {
            let root_lost = !starts_tree;
            if root_lost && lost == 0 {
                handover.shared.statistics.events_out_of_order += 1;
                state.tree_number = position.tree;
                if !state.lost_records {
                    self.goroutines.remove(&goroutine);
                }
                return;
            }
            let stream = handover.shared.limits.is_none();
            state.tree = Some(Box::new(Tree::new(time, root_lost, stream)));
            state.tree_number = position.tree;
        }
        let Some(tree) = &mut state.tree else {
            return;
        };
        if lost_here > 0 {
            tree.lost(time, lost_here, handover);
        } else if lost > 0 {
            tree.entries_may_be_missing();
        }

        let tree_ends = match kind {
            GoroutineEvent::Entry {
                function,
                depth,
                return_address,
                load_bias,
                end_probe,
                is_already_open,
                ..
            } => {
                let entry = Entry {
                    function,
                    depth,
                    call: return_address.to_virtual(load_bias),
                    end_probe,
                    is_already_open,
                };
                tree.entry(time, entry, handover);
                None
            }
            GoroutineEvent::Observed {
                depth,
                return_address,
                ends_tree,
            } => {
                tree.observed(time, depth, return_address, ends_tree, handover);
                ends_tree.then_some(CallEnd::ExitLost)
            }
            GoroutineEvent::Checked { .. } => None,
            GoroutineEvent::Return {
                function,
                site,
                depth,
                ends_tree,
            } => {
                tree.returned(time, function, depth, site, ends_tree, handover);
                ends_tree.then_some(CallEnd::ExitLost)
            }
            GoroutineEvent::Close {
                depth,
                cause,
                ends_tree,
            } => {
                let sequence = position.sequence;
                tree.close(time, sequence, depth, cause, ends_tree, handover);
                ends_tree.then_some(CallEnd::ExitLost)
            }
        };
        let begins = matches!(kind, GoroutineEvent::Entry { .. });
        if tree_ends.is_none() && !begins {
            tree.hand_over_ended(time, handover);
        }
        if let Some(how_left_open) = tree_ends {
            let outcome = state.end_tree(time, how_left_open, handover);
            if !state.lost_records {
                self.goroutines.remove(&goroutine);
            }
            if outcome == Outcome::Finished {
                self.stop_if_complete(time, sink);
            }
        }
        self.cut_largest_trees(time, sink);
    }

    /// It says nothing about another tree than the one that is open, and nothing certain where
    /// events were lost before it, unless it names the event that it is about.
    fn reason(&mut self, goroutine: Goroutine, position: SequencePosition, reason: Reason) {
        if let Some(state) = self.goroutines.get_mut(&goroutine)
            && position.tree == state.tree_number
            && (position.sequence == state.next_sequence
                || matches!(reason, Reason::Recovery { .. }))
            && let Some(tree) = &mut state.tree
        {
            tree.reason(reason, position.sequence);
        }
    }

    fn loss_noticed(
        &mut self,
        goroutine: Goroutine,
        position: SequencePosition,
        time: MonotonicTime,
        goroutine_ended: bool,
        sink: &mut dyn TraceSink,
    ) {
        if self.exited_pids.contains(&goroutine.pid) {
            return;
        }
        if !self.has_room_for(goroutine) {
            self.shared.statistics.events_without_room += 1;
            return;
        }
        let state = self.goroutines.entry(goroutine).or_default();
        let handover = &mut Handover {
            goroutine,
            shared: &mut self.shared,
            sink,
        };
        let lost = position.sequence.saturating_sub(state.next_sequence);
        let next_sequence = position.sequence.max(state.next_sequence);
        state.advance(next_sequence, lost, handover);
        if lost > 0 {
            let lost = state.end_tree_if_other(position.tree, false, lost, time, handover);
            match &mut state.tree {
                Some(tree) if lost > 0 => tree.lost(time, lost, handover),
                None if lost > 0 => {
                    let outside = &mut handover.shared.statistics.events_lost_outside_trees;
                    *outside = outside.saturating_add(lost);
                    if self.settings.delivery == Delivery::Stream {
                        let body = LineBody::Note(Note::Lost { events: lost });
                        handover.line(&mut true, time, 0, body);
                    }
                }
                _ => {}
            }
        }
        if goroutine_ended {
            state.end_tree(time, CallEnd::ExitLost, handover);
            self.goroutines.remove(&goroutine);
        }
    }

    /// Ends everything on the goroutines for which `is_over` holds, oldest tree first.
    fn end_goroutines(
        &mut self,
        time: MonotonicTime,
        how: CallEnd,
        sink: &mut dyn TraceSink,
        is_over: impl Fn(&Goroutine) -> bool,
    ) {
        let mut over: Vec<(Goroutine, GoroutineState)> = self
            .goroutines
            .extract_if(|goroutine, _| is_over(goroutine))
            .collect();
        over.sort_by_key(|(goroutine, state)| {
            (state.tree.as_ref().map(|tree| tree.begin()), *goroutine)
        });
        for (goroutine, mut state) in over {
            let handover = &mut Handover {
                goroutine,
                shared: &mut self.shared,
                sink,
            };
            state.end_tree(time, how, handover);
        }
    }

    fn stop_if_complete(&mut self, time: MonotonicTime, sink: &mut dyn TraceSink) {
        let finished = self.shared.statistics.trees_finished;
        if self
            .settings
            .count
            .is_none_or(|count| finished < count.get())
        {
            return;
        }
        self.is_complete = true;
        if self.settings.delivery == Delivery::Stream {
            self.end_goroutines(time, CallEnd::StillOpen, sink, |_| true);
        } else {
            let open = self.goroutines.values();
            let open_trees = open.filter(|state| state.tree.is_some()).count();
            self.shared.statistics.trees_after_count = open_trees as u64;
            self.goroutines.clear();
            self.shared.buffered_calls = 0;
            self.shared.open_calls = 0;
        }
    }

    /// Keeps the bound for all trees. A quarter of it is made free at once, so that looking for
    /// the largest trees stays rare.
    fn cut_largest_trees(&mut self, time: MonotonicTime, sink: &mut dyn TraceSink) {
        let Some(limits) = self.shared.limits else {
            return;
        };
        if self.shared.buffered_calls <= limits.max_buffered_calls {
            return;
        }
        let mut sizes: Vec<(usize, Goroutine)> = self
            .goroutines
            .iter()
            .filter_map(|(goroutine, state)| {
                let calls = state.tree.as_ref()?.buffered_calls();
                (calls > 0).then_some((calls, *goroutine))
            })
            .collect();
        sizes.sort_unstable_by(|left, right| right.0.cmp(&left.0).then(left.1.cmp(&right.1)));
        for (_, goroutine) in sizes {
            if self.shared.buffered_calls <= limits.max_buffered_calls / 4 * 3 {
                break;
            }
            let state = self.goroutines.get_mut(&goroutine);
            if let Some(tree) = state.and_then(|state| state.tree.as_mut()) {
                let handover = &mut Handover {
                    goroutine,
                    shared: &mut self.shared,
                    sink,
                };
                tree.cut(time, handover);
            }
        }
    }
}

impl GoroutineState {
    fn advance(&mut self, next_sequence: u64, lost: u64, handover: &mut Handover<'_>) {
        self.next_sequence = next_sequence;
        self.lost_records |= lost > 0;
        let statistics = &mut handover.shared.statistics;
        statistics.events_lost = statistics.events_lost.saturating_add(lost);
    }

    /// Ends the open tree if what comes next belongs to another, so that its end is among the
    /// `lost` events before. Gives the lost events that are still to be shown.
    fn end_tree_if_other(
        &mut self,
        tree_number: u16,
        starts_tree: bool,
        lost: u64,
        time: MonotonicTime,
        handover: &mut Handover<'_>,
    ) -> u64 {
        if !starts_tree && tree_number == self.tree_number {
            return lost;
        }
        let Some(tree) = &mut self.tree else {
            return lost;
        };
        // Without a loss, a new root that is no deeper proves that the old one is over.
        if lost > 0 {
            tree.lost(time, lost, handover);
        } else if starts_tree {
            tree.superseded(time, handover);
        } else {
            handover.shared.statistics.events_out_of_order += 1;
        }
        self.end_tree(time, CallEnd::ExitLost, handover);
        0
    }

    /// Ends the open tree, if there is one; what it has open ends by `how`.
    fn end_tree(
        &mut self,
        time: MonotonicTime,
        how: CallEnd,
        handover: &mut Handover<'_>,
    ) -> Outcome {
        let Some(mut tree) = self.tree.take() else {
            return Outcome::Other;
        };
        tree.end(time, how, handover);
        tree.hand_over(handover)
    }
}
