//! What is known of the calls of one or several recordings.

use std::time::Duration;

use super::durations::{Durations, Reservoir};

/// What a call did to one tree: how often it was made and how long it took there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeShare {
    /// Calls, whether or not their end was seen.
    pub calls: u64,
    /// Time inside, that of callees included, in nanoseconds. Time of a call inside another of
    /// the same function counts once.
    pub total_ns: u64,
    /// Time inside without that of the callees that are traced, in nanoseconds.
    pub self_ns: u64,
}

impl TreeShare {
    pub(super) fn add(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
        self.self_ns = self.self_ns.saturating_add(other.self_ns);
    }
}

/// How calls ended that have no measured duration, or none that is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unmeasured {
    /// They were open when tracing began.
    pub already_open: u64,
    /// Their entry was lost.
    pub entry_lost: u64,
    /// Their end was lost.
    pub exit_lost: u64,
    /// They were open when tracing ended, or where the rest of their tree was not shown.
    pub still_open: u64,
    /// Their process ended before they did.
    pub process_exited: u64,
    /// Their duration is an upper bound. It counts in total and self time, not in percentiles.
    pub approximate: u64,
}

impl Unmeasured {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.already_open
            + self.entry_lost
            + self.exit_lost
            + self.still_open
            + self.process_exited
            + self.approximate
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.already_open += other.already_open;
        self.entry_lost += other.entry_lost;
        self.exit_lost += other.exit_lost;
        self.still_open += other.still_open;
        self.process_exited += other.process_exited;
        self.approximate += other.approximate;
    }
}

/// What is known of the calls of one function, or at one call path.
#[derive(Clone, Debug)]
pub struct CallStatistics {
    /// Calls, times and self times of all trees.
    pub all: TreeShare,
    /// Of that, what stands in finished trees: those whose root has a measured duration. Shares
    /// and averages per tree are taken from these.
    pub in_finished_trees: TreeShare,
    /// Durations of the calls that have one.
    pub durations: Durations,
    /// Of the calls with durations, how many were unwound by a panic or Goexit.
    pub unwound: u64,
    /// The calls without.
    pub unmeasured: Unmeasured,
    /// What each finished tree that has such a call has of it.
    pub(super) per_tree: Reservoir<TreeShare>,
}

impl CallStatistics {
    pub(super) fn new(exact_durations: usize, tree_samples: usize) -> Self {
        Self {
            all: TreeShare::default(),
            in_finished_trees: TreeShare::default(),
            durations: Durations::new(exact_durations),
            unwound: 0,
            unmeasured: Unmeasured::default(),
            per_tree: Reservoir::new(tree_samples),
        }
    }
}

/// One function.
#[derive(Clone, Debug)]
pub struct FunctionProfile {
    /// Its full Go name.
    pub name: String,
    /// Its calls.
    pub calls: CallStatistics,
}

/// The calls that have the same functions around them.
#[derive(Clone, Debug)]
pub struct PathProfile {
    /// The path of the caller, as an index into [`Profile::paths`]; `None` for a root.
    pub parent: Option<usize>,
    /// The called function, as an index into [`Profile::functions`].
    pub function: usize,
    /// Number of calls around it.
    pub level: usize,
    /// The calls.
    pub calls: CallStatistics,
}

/// The trees that one function is the root of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RootProfile {
    /// The function, as an index into [`Profile::functions`].
    pub function: usize,
    /// Its trees.
    pub trees: u64,
    /// Of those, how many have a root with a measured duration.
    pub finished: u64,
    /// The time of those, in nanoseconds.
    pub total_ns: u64,
}

/// What is missing in a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Events that were lost between kernel and tracer.
    pub events: u64,
    /// Calls that were dropped where a tree was cut.
    pub calls_dropped: u64,
    /// Calls that a filter hides.
    pub calls_hidden: u64,
    /// How long those took together, calls inside of them not counted twice.
    pub hidden: Duration,
    /// Calls at paths that are not told apart, because there are too many or too long ones.
    pub calls_at_other_paths: u64,
    /// Trees that count as unfinished, because with too many open at the same time there was no
    /// room for what each of them has of every function.
    pub trees_without_room: u64,
    /// Lines that make no sense where they stand.
    pub out_of_order: u64,
}

/// What is known of all calls.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// In the order in which they appeared.
    pub functions: Vec<FunctionProfile>,
    /// In the order in which they appeared; a caller's before those of its callees.
    pub paths: Vec<PathProfile>,
    /// In the order in which they appeared.
    pub roots: Vec<RootProfile>,
    /// What is missing.
    pub losses: Losses,
    /// From the first line's moment to the last one's, in nanoseconds, of all recordings together.
    pub span_ns: u64,
    /// Durations are without what probes cost.
    pub is_net: bool,
}

impl Profile {
    /// Trees of all roots.
    pub fn trees(&self) -> u64 {
        self.roots.iter().map(|root| root.trees).sum()
    }

    /// Trees of all roots that have a root with a measured duration.
    pub fn finished_trees(&self) -> u64 {
        self.roots.iter().map(|root| root.finished).sum()
    }

    /// The time of the finished trees, in nanoseconds.
    pub fn finished_ns(&self) -> u64 {
        let total = self.roots.iter().map(|root| root.total_ns);
        total.fold(0, u64::saturating_add)
    }

    /// Calls of all functions.
    pub fn calls(&self) -> u64 {
        self.functions
            .iter()
            .map(|function| function.calls.all.calls)
            .sum()
    }

    /// The calls of all functions that have no exact duration.
    pub fn unmeasured(&self) -> Unmeasured {
        let mut sum = Unmeasured::default();
        for function in &self.functions {
            sum.add(&function.calls.unmeasured);
        }
        sum
    }

    /// The name of a function of this profile.
    pub fn function_name(&self, function: usize) -> &str {
        self.functions
            .get(function)
            .map_or("?", |function| function.name.as_str())
    }

    /// The functions from the root to the path itself, as indices into [`Profile::functions`].
    pub fn path_functions(&self, path: usize) -> Vec<usize> {
        let mut functions = Vec::new();
        let mut at = Some(path);
        while let Some(path) = at.and_then(|path| self.paths.get(path)) {
            functions.push(path.function);
            // A caller's path stands before, so this ends.
            at = path.parent;
        }
        functions.reverse();
        functions
    }

    /// The trees whose root a path begins with; none if no such tree is over.
    pub fn root_of_path(&self, path: usize) -> RootProfile {
        let function = self.path_functions(path).first().copied();
        let root = self.roots.iter().find(|it| Some(it.function) == function);
        root.copied().unwrap_or_default()
    }

    /// Share (0 to 1) of `time_ns` in the time of the finished trees; `None` if there is none.
    pub fn share_of_trees(&self, time_ns: u64) -> Option<f64> {
        let all = self.finished_ns();
        (all > 0).then(|| time_ns as f64 / all as f64)
    }
}
