//! Two profiles, function by function and path by path.

use std::collections::BTreeMap;

use super::durations::{Reservoir, quantile_of};
use super::profile::{CallStatistics, Profile, TreeShare};
use super::significance::{Direction, discovery_threshold, mann_whitney, permutation_test};

/// Of the differences that a comparison calls real, on average at most this share is chance.
pub const DIFF_LEVEL: f64 = 0.01;

/// A smaller change of a time, as a share, is not called real. Two runs of one program differ by
/// as much: the machine was busier, or the program lies elsewhere in memory.
pub const LEAST_CHANGE: f64 = 0.05;

/// The same in nanoseconds. What the tracer costs stands in every duration, and varies.
pub const LEAST_CHANGE_NS: f64 = 1000.0;

/// A difference of 99th percentiles is called real if chance makes one like it in at most one of
/// a thousand cases. A permutation test with few rearrangements cannot tell more.
const P99_LEVEL: f64 = 0.001;

/// With fewer durations there is no 99th percentile to speak of.
const P99_LEAST: usize = 100;

/// Most durations that are rearranged; more would take too long for thousands of paths.
const P99_SAMPLES: usize = 1024;

/// What one side has of a function or path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Calls, whether or not they have a duration.
    pub calls: u64,
    /// Calls in a finished tree, on average; of a path in those trees that have its root.
    pub calls_per_tree: f64,
    /// Median of the durations, in nanoseconds.
    pub p50_ns: Option<u64>,
    /// 99 of 100 calls took at most so long, in nanoseconds.
    pub p99_ns: Option<u64>,
    /// Time inside in such a tree, callees included, on average, in nanoseconds.
    pub total_ns_per_tree: f64,
    /// Time inside in such a tree without traced callees, on average, in nanoseconds.
    pub self_ns_per_tree: f64,
}

/// Whether a difference is more than chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Probability that chance makes such a difference; `None` if there is too little to tell.
    pub probability: Option<f64>,
    /// It is called real.
    pub is_real: bool,
}

/// A function or path of one or both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct DiffRow {
    /// From the root's name on; for a function only its name.
    pub path: Vec<String>,
    /// What the base has.
    pub base: Option<Figures>,
    /// What the new one has.
    pub new: Option<Figures>,
    /// Of the durations of calls as a whole.
    pub duration: Change,
    /// Of their 99th percentile.
    pub p99: Change,
    /// Of the number of calls in a tree.
    pub calls: Change,
    /// Of the self time in a tree.
    pub self_time: Change,
    /// Of the time in a tree.
    pub total: Change,
}

impl DiffRow {
    /// How much more time a tree takes in the function or path itself, in nanoseconds.
    pub fn cost_ns(&self) -> f64 {
        let self_ns = |side: &Option<Figures>| side.map_or(0.0, |side| side.self_ns_per_tree);
        self_ns(&self.new) - self_ns(&self.base)
    }

    fn total_change_ns(&self) -> f64 {
        let total_ns = |side: &Option<Figures>| side.map_or(0.0, |side| side.total_ns_per_tree);
        total_ns(&self.new) - total_ns(&self.base)
    }

    /// At least one of its differences is real.
    pub fn is_real(&self) -> bool {
        self.p99.is_real || self.changes().iter().any(|change| change.is_real)
    }

    /// Changes of times that are too small are not called real.
    fn forget_small_changes(&mut self) {
        type Value = fn(&Figures) -> f64;
        let times: [(&mut Change, Value); 4] = [
            (&mut self.duration, |it| it.p50_ns.unwrap_or(0) as f64),
            (&mut self.p99, |it| it.p99_ns.unwrap_or(0) as f64),
            (&mut self.self_time, |it| it.self_ns_per_tree),
            (&mut self.total, |it| it.total_ns_per_tree),
        ];
        let (base, new) = (self.base, self.new);
        for (change, value) in times {
            let side = |side: &Option<Figures>| side.as_ref().map_or(0.0, value);
            let (base_ns, new_ns) = (side(&base), side(&new));
            let change_ns = (new_ns - base_ns).abs();
            change.is_real &= change_ns >= LEAST_CHANGE_NS && change_ns >= LEAST_CHANGE * base_ns;
        }
    }

    fn changes(&self) -> [Change; 4] {
        [self.duration, self.calls, self.self_time, self.total]
    }

    fn changes_mut(&mut self) -> [&mut Change; 4] {
        [
            &mut self.duration,
            &mut self.calls,
            &mut self.self_time,
            &mut self.total,
        ]
    }
}

/// Two profiles side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Diff {
    /// What costs most more or less time comes first.
    pub functions: Vec<DiffRow>,
    /// The same for paths.
    pub paths: Vec<DiffRow>,
    /// Finished trees of the base and the new one.
    pub finished_trees: (u64, u64),
}

/// Puts two profiles side by side. Differences of functions and of paths are called real such
/// that of each at most the share `level` is chance, on average.
pub fn diff(base: &Profile, new: &Profile, level: f64) -> Diff {
    Diff {
        functions: rows(&functions(base), &functions(new), level),
        paths: rows(&paths(base), &paths(new), level),
        finished_trees: (base.finished_trees(), new.finished_trees()),
    }
}

/// One side of the rows.
struct Side<'a> {
    calls: BTreeMap<Vec<String>, &'a CallStatistics>,
    trees: Trees,
}

/// The finished trees that a row's calls are counted in.
enum Trees {
    All(u64),
    /// Those with the path's root.
    ByRoot(BTreeMap<String, u64>),
}

impl Side<'_> {
    fn trees(&self, path: &[String]) -> u64 {
        match &self.trees {
            Trees::All(trees) => *trees,
            Trees::ByRoot(trees) => {
                let root = path.first().and_then(|root| trees.get(root));
                root.copied().unwrap_or(0)
            }
        }
    }
}

fn functions(profile: &Profile) -> Side<'_> {
    let functions = profile.functions.iter();
    Side {
        calls: functions
            .map(|function| (vec![function.name.clone()], &function.calls))
            .collect(),
        trees: Trees::All(profile.finished_trees()),
    }
}

fn paths(profile: &Profile) -> Side<'_> {
    let paths = profile.paths.iter().enumerate();
    let name = |function| profile.function_name(function).to_owned();
    let roots = profile.roots.iter();
    Side {
        calls: paths
            .map(|(index, path)| {
                let functions = profile.path_functions(index).into_iter();
                (functions.map(name).collect(), &path.calls)
            })
            .collect(),
        trees: Trees::ByRoot(
            roots
                .map(|root| (name(root.function), root.finished))
                .collect(),
        ),
    }
}

fn rows(base: &Side<'_>, new: &Side<'_>, level: f64) -> Vec<DiffRow> {
    let mut names: Vec<&Vec<String>> = base.calls.keys().chain(new.calls.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let mut rows: Vec<DiffRow> = names
        .into_iter()
        .map(|name| {
            let sides = (base.calls.get(name).copied(), new.calls.get(name).copied());
            let trees = (base.trees(name), new.trees(name));
            let per_tree = |value: fn(&TreeShare) -> u64| {
                undecided(mann_whitney(
                    &values_of_trees(sides.0, trees.0, value),
                    &values_of_trees(sides.1, trees.1, value),
                ))
            };
            let durations = |side: Option<&CallStatistics>| {
                side.map(|side| side.durations.sample_ns().to_vec())
                    .unwrap_or_default()
            };
            let (base_ns, new_ns) = (durations(sides.0), durations(sides.1));
            DiffRow {
                path: name.clone(),
                base: sides.0.map(|side| figures(side, trees.0)),
                new: sides.1.map(|side| figures(side, trees.1)),
                duration: undecided(mann_whitney(&base_ns, &new_ns)),
                p99: p99_change(base_ns, new_ns),
                calls: per_tree(|share| share.calls),
                self_time: per_tree(|share| share.self_ns),
                total: per_tree(|share| share.total_ns),
            }
        })
        .collect();
    let probabilities = rows
        .iter()
        .flat_map(|row| row.changes())
        .filter_map(|change| change.probability)
        .collect();
    let threshold = discovery_threshold(probabilities, level);
    for row in &mut rows {
        for change in row.changes_mut() {
            change.is_real = match (change.probability, threshold) {
                (Some(probability), Some(threshold)) => probability <= threshold,
                _ => false,
            };
        }
        row.forget_small_changes();
    }
    rows.sort_by(|left, right| {
        let by = |change: fn(&DiffRow) -> f64| change(right).abs().total_cmp(&change(left).abs());
        by(DiffRow::cost_ns).then_with(|| by(DiffRow::total_change_ns))
    });
    rows
}

/// Two samples can have the same middle and different tails, which ranks hardly show.
fn p99_change(mut base_ns: Vec<u64>, mut new_ns: Vec<u64>) -> Change {
    if base_ns.len().min(new_ns.len()) < P99_LEAST {
        return undecided(None);
    }
    for values in [&mut base_ns, &mut new_ns] {
        // Evenly spaced, because they may be in the order of time.
        let step = values.len().div_ceil(P99_SAMPLES).max(1);
        *values = values.iter().copied().step_by(step).collect();
    }
    let probability = permutation_test(
        &base_ns,
        &new_ns,
        Direction::Different,
        P99_LEVEL,
        |values| quantile_of(values, 0.99).unwrap_or(0) as f64,
    );
    Change {
        probability,
        is_real: probability.is_some_and(|probability| probability <= P99_LEVEL),
    }
}

fn undecided(probability: Option<f64>) -> Change {
    Change {
        probability,
        is_real: false,
    }
}

fn figures(calls: &CallStatistics, finished_trees: u64) -> Figures {
    let per_tree = |value: u64| {
        if finished_trees == 0 {
            0.0
        } else {
            value as f64 / finished_trees as f64
        }
    };
    let quantiles = calls.durations.quantiles();
    Figures {
        calls: calls.all.calls,
        calls_per_tree: per_tree(calls.in_finished_trees.calls),
        p50_ns: quantiles.map(|it| it.p50_ns),
        p99_ns: quantiles.map(|it| it.p99_ns),
        total_ns_per_tree: per_tree(calls.in_finished_trees.total_ns),
        self_ns_per_tree: per_tree(calls.in_finished_trees.self_ns),
    }
}

/// One value for each finished tree, or for a sample of them: 0 for those without such a call.
fn values_of_trees(
    calls: Option<&CallStatistics>,
    finished_trees: u64,
    value: fn(&TreeShare) -> u64,
) -> Vec<u64> {
    /// Trees that have none of a function count as much as a sample of this many.
    const MOST: u64 = 512;
    let empty = Reservoir::new(0);
    let per_tree = calls.map_or(&empty, |calls| &calls.per_tree);
    let mut values: Vec<u64> = per_tree.values().iter().map(value).collect();
    let others = finished_trees.saturating_sub(per_tree.seen());
    // In the proportion that the sample has to what it was taken of.
    let zeros = if values.is_empty() {
        others.min(MOST)
    } else {
        let seen = u128::from(per_tree.seen().max(1));
        let scaled = u128::from(others) * values.len() as u128 / seen;
        u64::try_from(scaled).unwrap_or(u64::MAX)
    };
    let zeros = usize::try_from(zeros.min(1 << 16)).unwrap_or(0);
    values.resize(values.len() + zeros, 0);
    values
}
