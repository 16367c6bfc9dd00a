//! Lines become a profile.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::durations::SamplePool;
use super::open_tree::{OpenCall, OpenTree, Root, watch_end, watch_entry};
use super::outcome::Outcome;
use super::profile::{Profile, TreeShare};
use super::profile_rows::{NameOf, ProfileRows};
use super::slow_tree::{MAX_OPEN_CALLS, SlowTree};
use super::watch::{Example, FunctionWatches, Watch, Watched, Watches};
use crate::events::{Goroutine, MonotonicTime};
use crate::plan::FunctionId;
use crate::trace::{Beginning, CallEnd, LineBody, Note, PartEnd, TraceLine, TraceSink};

/// Bytes that the samples and histograms of one profile may take, unless it is told otherwise.
pub const DEFAULT_SAMPLE_BYTES: usize = 64 << 20;

/// Functions and paths of all open trees of which it is kept what each tree has of them, unless
/// it is told otherwise: some 50 MB.
pub const DEFAULT_TREE_RECORDS: usize = 1 << 18;

/// What an [`Aggregator`] looks out for, and what it may take.
#[derive(Clone, Debug)]
pub struct AggregatorSettings {
    /// Questions beyond what every profile holds.
    pub watches: Vec<Watch>,
    /// Bytes that samples and histograms may take.
    pub sample_bytes: usize,
    /// Functions and paths of open trees that it may keep. Trees beyond count as unfinished.
    pub tree_records: usize,
}

impl Default for AggregatorSettings {
    fn default() -> Self {
        Self {
            watches: Vec::new(),
            sample_bytes: DEFAULT_SAMPLE_BYTES,
            tree_records: DEFAULT_TREE_RECORDS,
        }
    }
}

/// Makes a [`Profile`] of the lines of one or several traces, in bounded memory: for each
/// function and path a bounded number of durations, and for open calls.
#[derive(Debug)]
pub struct Aggregator {
    profile: Profile,
    pool: SamplePool,
    rows: ProfileRows,
    function_watches: Vec<FunctionWatches>,
    /// Boxed, so that places of the map that are empty are small.
    trees: HashMap<Goroutine, Box<OpenTree>>,
    watches: Watches,
    open_calls_room: usize,
    tree_records_room: usize,
    first_and_last: Option<(MonotonicTime, MonotonicTime)>,
}

impl Aggregator {
    /// One that has seen nothing.
    pub fn new(settings: AggregatorSettings) -> Self {
        Self {
            profile: Profile::default(),
            pool: SamplePool::new(settings.sample_bytes),
            rows: ProfileRows::default(),
            function_watches: Vec::new(),
            trees: HashMap::new(),
            watches: Watches::new(settings.watches),
            open_calls_room: MAX_OPEN_CALLS,
            tree_records_room: settings.tree_records,
            first_and_last: None,
        }
    }

    /// What comes has durations that are without what probes cost.
    pub fn set_net(&mut self) {
        self.profile.is_net = true;
    }

    /// Takes lines, whose functions `name_of` names, until the trace that they are of is over.
    pub fn sink<'a>(&'a mut self, name_of: &'a mut NameOf<'a>) -> AggregatingSink<'a> {
        AggregatingSink {
            aggregator: self,
            name_of,
        }
    }

    /// The trace is over: what comes next is another recording's.
    pub fn end_recording(&mut self) {
        let mut left: Vec<Goroutine> = self.trees.keys().copied().collect();
        left.sort_unstable();
        for goroutine in left {
            self.end_tree(goroutine);
        }
        self.rows.end_recording();
        if let Some((first, last)) = self.first_and_last.take() {
            let span = u64::try_from((last - first).as_nanos()).unwrap_or(u64::MAX);
            self.profile.span_ns = self.profile.span_ns.saturating_add(span);
        }
    }

    /// Events were lost of which no line tells: they belong to no tree that is shown.
    pub fn add_lost_events(&mut self, events: u64) {
        self.profile.losses.events = self.profile.losses.events.saturating_add(events);
    }

    /// What is known so far.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What the watches found so far, in their order.
    pub fn watched(&self) -> &[Watched] {
        &self.watches.found
    }

    /// What is known.
    pub fn into_parts(mut self) -> (Profile, Vec<Watched>) {
        self.end_recording();
        (self.profile, self.watches.found)
    }

    /// Takes the next line.
    pub fn line(&mut self, line: &TraceLine, name_of: &mut NameOf<'_>) {
        let (first, last) = self.first_and_last.get_or_insert((line.time, line.time));
        *first = (*first).min(line.time);
        *last = (*last).max(line.time);
        let goroutine = line.goroutine;
        match &line.body {
            LineBody::Entry {
                function,
                beginning,
            } => {
                let function = self.function(*function, name_of);
                self.entry(goroutine, function, *beginning, true);
            }
            LineBody::End {
                function,
                how,
                duration,
            } => {
                let function = self.function(*function, name_of);
                let is_being_cut = self
                    .trees
                    .get(&goroutine)
                    .is_some_and(|tree| tree.is_being_cut);
                // What is open where a tree is cut goes on in the next part.
                if !is_being_cut {
                    self.end(goroutine, function, *how, *duration);
                }
            }
            LineBody::Note(note) => self.note(goroutine, note, name_of),
        }
    }

    /// Takes the news that `goroutine`'s tree, or a part of it, is complete.
    pub fn part_end(&mut self, goroutine: Goroutine, end: PartEnd) {
        match end {
            PartEnd::Tree => self.end_tree(goroutine),
            PartEnd::Cut => {
                if let Some(tree) = self.trees.get_mut(&goroutine) {
                    tree.is_being_cut = false;
                }
            }
        }
    }

    fn note(&mut self, goroutine: Goroutine, note: &Note, name_of: &mut NameOf<'_>) {
        match note {
            Note::Lost { events } => {
                let lost = &mut self.profile.losses.events;
                *lost = lost.saturating_add(*events);
            }
            Note::Cut { .. } => self.trees.entry(goroutine).or_default().is_being_cut = true,
            Note::Dropped { calls } => {
                let dropped = &mut self.profile.losses.calls_dropped;
                *dropped = dropped.saturating_add(*calls);
            }
            Note::Continued { path } => {
                let path: Vec<usize> = path
                    .iter()
                    .map(|&function| self.function(function, name_of))
                    .collect();
                self.continued(goroutine, &path);
            }
            Note::EndedAfterCut {
                function,
                how,
                duration,
            } => {
                let function = self.function(*function, name_of);
                self.end(goroutine, function, *how, *duration);
            }
            Note::Hidden { calls, total, .. } => {
                let losses = &mut self.profile.losses;
                losses.calls_hidden = losses.calls_hidden.saturating_add(*calls);
                losses.hidden = losses.hidden.saturating_add(*total);
                let tree = self.trees.get_mut(&goroutine);
                if let Some(caller) = tree.and_then(|tree| tree.calls.last_mut()) {
                    let total_ns = u64::try_from(total.as_nanos()).unwrap_or(u64::MAX);
                    caller.callees_ns = caller.callees_ns.saturating_add(total_ns);
                }
            }
        }
    }

    /// The goroutine is inside the calls of `path`.
    fn continued(&mut self, goroutine: Goroutine, path: &[usize]) {
        let tree = self.trees.entry(goroutine).or_default();
        tree.is_being_cut = false;
        let known = tree
            .calls
            .iter()
            .zip(path)
            .take_while(|(call, function)| call.function == **function)
            .count();
        while let Some(function) = self
            .trees
            .get(&goroutine)
            .and_then(|tree| tree.calls.get(known..))
            .and_then(|unknown| unknown.last())
            .map(|call| call.function)
        {
            self.end(goroutine, function, CallEnd::StillOpen, None);
        }
        for &function in path.get(known..).unwrap_or_default() {
            self.entry(goroutine, function, Beginning::Lost, false);
        }
    }

    fn entry(
        &mut self,
        goroutine: Goroutine,
        function: usize,
        beginning: Beginning,
        is_kept: bool,
    ) {
        let parent = self
            .trees
            .get(&goroutine)
            .and_then(|tree| tree.calls.last())
            .map(|call| call.path.map(|(path, _)| path));
        let path = match parent {
            None => self.rows.path(&mut self.profile, None, function),
            Some(None) => None,
            Some(Some(parent)) => self.rows.path(&mut self.profile, Some(parent), function),
        };
        let tree = self.trees.entry(goroutine).or_default();
        let level = tree.calls.len();
        let room = &mut self.tree_records_room;
        let function_slot = tree.function_begins(function, room);
        let path = path.map(|path| (path, tree.path_begins(path, room)));

        if level == 0 {
            let root = tree.root.get_or_insert(Root {
                function,
                count: 0,
                duration_ns: None,
            });
            root.function = function;
            root.count = root.count.saturating_add(1);
            root.duration_ns = None;
        }
        if let Some(profile) = self.profile.functions.get_mut(function) {
            profile.calls.all.calls += 1;
        }
        match path {
            Some((path, _)) => {
                if let Some(profile) = self.profile.paths.get_mut(path) {
                    profile.calls.all.calls += 1;
                }
            }
            None => self.profile.losses.calls_at_other_paths += 1,
        }
        let mut kept = false;
        if !self.watches.watches.is_empty() {
            let of_function = self.function_watches.get(function);
            watch_entry(tree, level, of_function, &self.watches);
            if is_kept {
                kept = tree
                    .kept
                    .get_or_insert_with(|| Box::new(SlowTree::new(goroutine.pid, goroutine.goid)))
                    .began(function, level, &mut self.open_calls_room);
            }
        }
        tree.calls.push(OpenCall {
            function,
            function_slot,
            path,
            callees_ns: 0,
            beginning,
            is_kept: kept,
        });
    }

    /// The innermost open call, which is one of `function`, ends.
    fn end(
        &mut self,
        goroutine: Goroutine,
        function: usize,
        how: CallEnd,
        duration: Option<Duration>,
    ) {
        let Some(tree) = self.trees.get_mut(&goroutine) else {
            self.profile.losses.out_of_order += 1;
            return;
        };
        let Some(call) = tree.calls.pop_if(|call| call.function == function) else {
            self.profile.losses.out_of_order += 1;
            return;
        };
        let duration_ns =
            duration.map(|duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        let outcome = Outcome::of(how, call.beginning, duration_ns);
        let level = tree.calls.len();
        if call.is_kept
            && let Some(kept) = &mut tree.kept
        {
            kept.ended(duration);
        }
        if let Some(caller) = tree.calls.last_mut() {
            // Of a callee whose duration is not known, at least what it called is known.
            let inside_ns = duration_ns.unwrap_or(call.callees_ns);
            caller.callees_ns = caller.callees_ns.saturating_add(inside_ns);
        } else if let (Some(root), Outcome::Measured { duration_ns, .. }) =
            (&mut tree.root, outcome)
        {
            root.duration_ns = Some(duration_ns);
        }
        let mut share = TreeShare {
            calls: 0,
            total_ns: duration_ns.unwrap_or(0),
            self_ns: duration_ns
                .map_or(0, |duration_ns| duration_ns.saturating_sub(call.callees_ns)),
        };
        if let Some((path, slot)) = call.path {
            if let Some(in_tree) = tree.paths.get_mut(slot) {
                in_tree.share.add(share);
            }
            if let Some(path) = self.profile.paths.get_mut(path) {
                path.calls.all.add(share);
                outcome.record(&mut path.calls, &mut self.pool);
            }
        }
        if !self.watches.watches.is_empty() {
            let of_function = self.function_watches.get(function);
            let measured_ns = match outcome {
                Outcome::Measured { duration_ns, .. } => Some(duration_ns),
                _ => None,
            };
            for group in watch_end(tree, level, share, of_function) {
                if let Some(found) = self.watches.found.get_mut(group.watch as usize) {
                    found.group_ended(group.share, measured_ns, &mut self.pool);
                }
            }
        }
        tree.function_ends(function, call.function_slot, &mut share, duration_ns);
        if let Some(profile) = self.profile.functions.get_mut(function) {
            profile.calls.all.add(share);
            outcome.record(&mut profile.calls, &mut self.pool);
        }
    }

    fn end_tree(&mut self, goroutine: Goroutine) {
        // What an earlier part began and no later part ended.
        while let Some(function) = self
            .trees
            .get(&goroutine)
            .and_then(|tree| tree.calls.last())
            .map(|call| call.function)
        {
            self.end(goroutine, function, CallEnd::StillOpen, None);
        }
        let Some(mut tree) = self.trees.remove(&goroutine) else {
            return;
        };
        tree.give_back(&mut self.tree_records_room);
        self.profile.losses.trees_without_room += u64::from(!tree.has_records());
        let root_ns = tree.finished_root_ns();
        let finished_ns = root_ns.filter(|_| tree.has_records());
        if let Some(root) = tree.root {
            self.rows
                .count_tree(&mut self.profile, root.function, finished_ns);
        }
        if finished_ns.is_some() {
            for in_tree in &tree.functions {
                if let Some(function) = self.profile.functions.get_mut(in_tree.function) {
                    function.calls.in_finished_trees.add(in_tree.share);
                    function.calls.per_tree.push(in_tree.share, &mut self.pool);
                }
            }
            for in_tree in &tree.paths {
                if let Some(path) = self.profile.paths.get_mut(in_tree.path) {
                    path.calls.in_finished_trees.add(in_tree.share);
                    path.calls.per_tree.push(in_tree.share, &mut self.pool);
                }
            }
        }
        for group in std::mem::take(&mut tree.groups) {
            if let Some(found) = self.watches.found.get_mut(group.watch as usize) {
                found.group_ended(group.share, root_ns, &mut self.pool);
            }
        }
        self.keep_example(tree);
    }

    fn function(&mut self, id: FunctionId, name_of: &mut NameOf<'_>) -> usize {
        let function = self.rows.function(&mut self.profile, id, name_of);
        let without_watches = self.profile.functions.get(self.function_watches.len()..);
        for new in without_watches.unwrap_or_default() {
            self.function_watches
                .push(self.watches.of_function(&new.name));
        }
        function
    }

    fn keep_example(&mut self, mut tree: Box<OpenTree>) {
        let Some(kept) = tree.kept.take() else {
            return;
        };
        self.open_calls_room += kept.calls.len();
        let kept = Rc::from(kept);
        for (number, watch) in (0_u32..).zip(&self.watches.watches) {
            let counted = tree.functions.iter().filter(|in_tree| {
                self.function_watches
                    .get(in_tree.function)
                    .is_some_and(|watches| watches.counted_by.contains(&number))
            });
            let score = match watch.example {
                Example::SlowestCall => counted.filter_map(|it| it.longest_ns).max(),
                Example::MostCalls => Some(counted.map(|it| it.share.calls).sum()),
                Example::MostSelf => Some(
                    counted
                        .map(|it| it.share.self_ns)
                        .fold(0, u64::saturating_add),
                ),
                Example::SlowestTree => tree.root.and_then(|root| root.duration_ns),
            };
            let Some(found) = self.watches.found.get_mut(number as usize) else {
                continue;
            };
            if score.is_some_and(|score| score > found.example_score) {
                found.example_score = score.unwrap_or_default();
                found.example = Some(Rc::clone(&kept));
            }
        }
    }
}

/// An [`Aggregator`] together with the names of the trace that it is taking.
pub struct AggregatingSink<'a> {
    aggregator: &'a mut Aggregator,
    name_of: &'a mut NameOf<'a>,
}

impl TraceSink for AggregatingSink<'_> {
    fn line(&mut self, line: &TraceLine) {
        self.aggregator.line(line, self.name_of);
    }

    fn part_end(&mut self, goroutine: Goroutine, end: PartEnd) {
        self.aggregator.part_end(goroutine, end);
    }
}
