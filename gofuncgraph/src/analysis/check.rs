//! Rules are applied to what was found.

use std::rc::Rc;

use super::durations::{Durations, quantile_of, rank};
use super::profile::{FunctionProfile, Profile, TreeShare};
use super::rule::{Comparison, Limit, Metric, Rule};
use super::significance::{Direction, Ranked, least_probability, level_of_each, permutation_test};
use super::slow_tree::SlowTree;
use super::watch::Watched;

/// The level of the tests unless the user says otherwise: a difference is called real if chance
/// alone makes one as large in one of a hundred cases.
pub const DEFAULT_LEVEL: f64 = 0.01;

/// With fewer samples on a side nothing is called real: what chance does to a handful of calls,
/// the first ones of a program say, no test tells.
const LEAST_SAMPLES: usize = 8;

/// Durations of all functions of a rule together that are rearranged, if it chooses several; more
/// would take too long.
const SAMPLES_OF_SEVERAL: usize = 1 << 16;

/// Least and most of one of several functions.
const SAMPLES_OF_EACH: std::ops::RangeInclusive<usize> = 256..=1024;

/// What was found in one or several recordings, read with the watches of the rules.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// How messages name it.
    pub name: String,
    /// Its calls.
    pub profile: Profile,
    /// One for each rule, in their order.
    pub watched: Vec<Watched>,
}

/// A number with its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// Nanoseconds.
    Time(f64),
    /// Calls or events.
    Count(f64),
    /// 1 is all of it.
    Share(f64),
}

impl Measure {
    fn number(self) -> f64 {
        match self {
            Self::Time(number) | Self::Count(number) | Self::Share(number) => number,
        }
    }
}

/// How something compares with a baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// Which baseline: of several the one that is closest.
    pub baseline: String,
    /// What it has.
    pub value: Measure,
    /// Probability of a difference like this, or a larger one, by chance; `None` if it was not
    /// asked for, because the factor is not reached.
    pub probability: Option<f64>,
    /// It is so improbable that the difference is called real.
    pub is_real: bool,
    /// Durations, calls or trees that were compared, of the baseline and the new recording.
    pub samples: (usize, usize),
    /// With fewer samples not even the clearest difference would be called real.
    pub is_enough: bool,
}

/// What a rule says of one function, or of all of its functions together.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The function; `None`: all that the rule chooses.
    pub function: Option<String>,
    /// What was found.
    pub found: Measure,
    /// What it was compared with.
    pub limit: Measure,
    /// How the limit came about, if from a baseline.
    pub compared: Option<Compared>,
    /// The rule's condition holds.
    pub fails: bool,
}

impl Finding {
    /// It could not have failed, whatever was found.
    pub fn cannot_fail(&self) -> bool {
        let compared = self.compared.as_ref();
        !self.fails && compared.is_some_and(|compared| !compared.is_enough)
    }
}

/// Why a rule cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// No function that the rule chooses has a call with a measured duration. Fails the rule: it
    /// may have been renamed.
    NoCalls,
    /// No call of the functions after `per` has a measured duration. Fails the rule.
    NoGroups,
    /// No tree has a measured duration. Fails the rule.
    NoTrees,
    /// The baselines have nothing to compare this function with. Does not fail the rule: it may
    /// be new.
    NotInBaseline {
        /// The function; `None`: what the rule counts in.
        function: Option<String>,
    },
    /// There is no call of a function that the rule counts. Does not fail the rule: that may be
    /// what it is for.
    NeverCalled,
}

impl Gap {
    fn fails(&self) -> bool {
        !matches!(self, Self::NotInBaseline { .. } | Self::NeverCalled)
    }
}

/// What became of a rule.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The rule.
    pub rule: Rule,
    /// What it found: first what fails, last what cannot fail, and of each the worst first.
    pub findings: Vec<Finding>,
    /// Where it could not be applied.
    pub gaps: Vec<Gap>,
    /// The tree in question, if the rule failed and there is one.
    pub example: Option<Rc<SlowTree>>,
}

impl Verdict {
    /// The build shall fail.
    pub fn failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.fails) || self.gaps.iter().any(Gap::fails)
    }

    /// The rule could not have failed: there is nothing to compare with, or too little.
    pub fn untold(&self) -> bool {
        !self.failed() && self.findings.iter().all(Finding::cannot_fail)
    }
}

/// Applies `rules` to `new`, whose watches are theirs, as are those of the `baselines`. A rule
/// with `baseline` fails only if its condition holds for each of the baselines, and each
/// difference is real at `level`.
pub fn check(rules: &[Rule], new: &Recorded, baselines: &[Recorded], level: f64) -> Vec<Verdict> {
    let verdicts = rules.iter().enumerate().map(|(number, rule)| {
        let mut verdict = Verdict {
            rule: rule.clone(),
            findings: Vec::new(),
            gaps: Vec::new(),
            example: None,
        };
        if let Some(watched) = new.watched.get(number) {
            let context = Context {
                rule,
                number,
                new,
                watched,
                baselines,
                level,
            };
            if rule.metric.is_of_durations() {
                context.check_durations(&mut verdict);
            } else {
                context.check_sums(&mut verdict);
            }
            if verdict.failed() {
                verdict.example = watched.example.clone();
            }
        }
        verdict
    });
    verdicts.collect()
}

struct Context<'a> {
    rule: &'a Rule,
    number: usize,
    new: &'a Recorded,
    watched: &'a Watched,
    baselines: &'a [Recorded],
    level: f64,
}

impl Context<'_> {
    fn check_durations(&self, verdict: &mut Verdict) {
        let chosen = |function: &&FunctionProfile| {
            let functions = self.rule.functions.as_ref();
            functions.is_some_and(|chosen| chosen.matches(&function.name))
        };
        let measured: Vec<(&FunctionProfile, f64)> = self
            .new
            .profile
            .functions
            .iter()
            .filter(chosen)
            .filter_map(|function| {
                let found = duration_metric(self.rule.metric, &function.calls.durations)?;
                Some((function, found))
            })
            .collect();
        for (function, found) in &measured {
            if let Limit::Baseline { factor } = self.rule.limit {
                let compared = self.compare_durations(function, *found, factor, measured.len());
                let found = Measure::Time(*found);
                self.compare(Some(&function.name), found, factor, compared, verdict);
            } else {
                let finding = self.finding(Some(&function.name), Measure::Time(*found));
                verdict.findings.push(finding);
            }
        }
        if measured.is_empty() {
            verdict.gaps.push(Gap::NoCalls);
        }
        verdict.findings.sort_by(|left, right| {
            let worse = right.found.number().total_cmp(&left.found.number());
            let weight = |finding: &Finding| (!finding.fails, finding.cannot_fail());
            weight(left).cmp(&weight(right)).then(worse)
        });
    }

    /// What each baseline that has the function says of it, being one of `functions`.
    fn compare_durations(
        &self,
        function: &FunctionProfile,
        found: f64,
        factor: f64,
        functions: usize,
    ) -> Vec<Compared> {
        let level = level_of_each(self.level, functions);
        let most = match functions {
            1 => usize::MAX,
            several => (SAMPLES_OF_SEVERAL / several.max(1))
                .clamp(*SAMPLES_OF_EACH.start(), *SAMPLES_OF_EACH.end()),
        };
        let new_ns = evenly_spaced(function.calls.durations.sample_ns(), most);
        let compared = self.baselines.iter().filter_map(|baseline| {
            let mut functions = baseline.profile.functions.iter();
            let same = functions.find(|other| other.name == function.name)?;
            let value = duration_metric(self.rule.metric, &same.calls.durations)?;
            let base_ns = evenly_spaced(same.calls.durations.sample_ns(), most);
            let test = || {
                permutation_test(&base_ns, &new_ns, self.direction(), level, |values| {
                    sample_metric(self.rule.metric, values)
                })
            };
            let probability = self.probability(found, value * factor, test);
            let samples = (base_ns.len(), new_ns.len());
            let is_enough = self.is_enough(samples, level);
            Some(Compared {
                baseline: baseline.name.clone(),
                value: Measure::Time(value),
                probability,
                is_real: is_enough && probability.is_some_and(|it| it <= level),
                samples,
                is_enough,
            })
        });
        compared.collect()
    }

    fn check_sums(&self, verdict: &mut Verdict) {
        let found = match self.sum_metric() {
            Ok(found) => found,
            Err(gap) => {
                verdict.gaps.push(gap);
                return;
            }
        };
        let is_never_called = self.rule.metric != Metric::Lost && self.watched.all.calls == 0;
        let Limit::Baseline { factor } = self.rule.limit else {
            let finding = self.finding(None, found);
            if is_never_called && !finding.fails {
                verdict.gaps.push(Gap::NeverCalled);
            }
            verdict.findings.push(finding);
            return;
        };
        let compared = self.baselines.iter().filter_map(|baseline| {
            let watched = baseline.watched.get(self.number)?;
            let value = per_group(self.rule.metric, watched)?;
            let test = || {
                permutation_test(
                    watched.sample(),
                    self.watched.sample(),
                    self.direction(),
                    self.level,
                    |shares| share_metric(self.rule.metric, shares),
                )
            };
            let probability = self.probability(found.number(), value.number() * factor, test);
            let samples = (watched.sample().len(), self.watched.sample().len());
            let is_enough = self.is_enough(samples, self.level);
            Some(Compared {
                baseline: baseline.name.clone(),
                value,
                probability,
                is_real: is_enough && probability.is_some_and(|it| it <= self.level),
                samples,
                is_enough,
            })
        });
        self.compare(None, found, factor, compared.collect(), verdict);
        if is_never_called && !verdict.failed() {
            verdict.gaps.push(Gap::NeverCalled);
        }
    }

    /// What is measured of the new recording. With a baseline it is that of a tree, since
    /// recordings are not equally long.
    fn sum_metric(&self) -> Result<Measure, Gap> {
        let watched = self.watched;
        let of_groups = self.rule.per.is_some() || self.rule.needs_baseline();
        let no_groups = if self.rule.per.is_some() {
            Gap::NoGroups
        } else {
            Gap::NoTrees
        };
        if let Limit::Share(_) = self.rule.limit {
            if watched.groups_ns == 0 {
                return Err(no_groups);
            }
            let time_ns = match self.rule.metric {
                Metric::SelfTime => watched.sum.self_ns,
                _ => watched.sum.total_ns,
            };
            return Ok(Measure::Share(time_ns as f64 / watched.groups_ns as f64));
        }
        if of_groups {
            return per_group(self.rule.metric, watched).ok_or(no_groups);
        }
        Ok(match self.rule.metric {
            Metric::Lost => Measure::Count(self.new.profile.losses.events as f64),
            Metric::Total => Measure::Time(watched.all.total_ns as f64),
            Metric::SelfTime => Measure::Time(watched.all.self_ns as f64),
            Metric::MostCalls => Measure::Count(watched.most_calls as f64),
            _ => Measure::Count(watched.all.calls as f64),
        })
    }

    fn finding(&self, function: Option<&str>, found: Measure) -> Finding {
        let limit = match self.rule.limit {
            Limit::Time { time_ns } => Measure::Time(time_ns as f64),
            Limit::Count(count) => Measure::Count(count),
            Limit::Share(share) => Measure::Share(share),
            Limit::Baseline { factor } => Measure::Count(factor),
        };
        Finding {
            function: function.map(str::to_owned),
            found,
            limit,
            compared: None,
            fails: self.rule.comparison.holds(found.number(), limit.number()),
        }
    }

    /// Whether samples of the baseline and the new recording can show a difference at `level`.
    fn is_enough(&self, (base, new): (usize, usize), level: f64) -> bool {
        let ranked = |count: usize| Ranked {
            count,
            rank: match self.rule.metric {
                Metric::Quantile { quantile } => rank(count, quantile) + 1,
                Metric::Max | Metric::MostCalls => count,
                _ => 1,
            },
        };
        let (base, new) = (ranked(base), ranked(new));
        let least = match self.direction() {
            Direction::Smaller => least_probability(new, base),
            Direction::Larger | Direction::Different => least_probability(base, new),
        };
        base.count.min(new.count) >= LEAST_SAMPLES && least <= level
    }

    fn direction(&self) -> Direction {
        match self.rule.comparison {
            Comparison::Above | Comparison::AtLeast => Direction::Larger,
            Comparison::Below | Comparison::AtMost => Direction::Smaller,
            Comparison::Equal | Comparison::NotEqual => Direction::Different,
        }
    }

    fn probability(
        &self,
        found: f64,
        limit: f64,
        test: impl FnOnce() -> Option<f64>,
    ) -> Option<f64> {
        // Where the factor is not reached the answer does not matter.
        if self.rule.comparison.holds(found, limit) {
            test()
        } else {
            None
        }
    }

    /// One finding of what the baselines say: the one that speaks most against failing.
    fn compare(
        &self,
        function: Option<&str>,
        found: Measure,
        factor: f64,
        compared: Vec<Compared>,
        verdict: &mut Verdict,
    ) {
        let all_fail = compared.iter().all(|compared| compared.is_real);
        let distance = |compared: &Compared| (found.number() - compared.value.number()).abs();
        let closest = compared.into_iter().min_by(|left, right| {
            let weight = |compared: &Compared| (compared.is_real, !compared.is_enough);
            let sooner = distance(left).total_cmp(&distance(right));
            weight(left).cmp(&weight(right)).then(sooner)
        });
        let Some(closest) = closest else {
            verdict.gaps.push(Gap::NotInBaseline {
                function: function.map(str::to_owned),
            });
            return;
        };
        let limit = match closest.value {
            Measure::Time(value) => Measure::Time(value * factor),
            Measure::Count(value) => Measure::Count(value * factor),
            Measure::Share(value) => Measure::Share(value * factor),
        };
        verdict.findings.push(Finding {
            function: function.map(str::to_owned),
            found,
            limit,
            compared: Some(closest),
            fails: all_fail,
        });
    }
}

/// At most `most` of the values, which may be in the order of time.
fn evenly_spaced(values: &[u64], most: usize) -> Vec<u64> {
    let step = values.len().div_ceil(most).max(1);
    values.iter().copied().step_by(step).collect()
}

/// In nanoseconds; `None` if there are no durations.
fn duration_metric(metric: Metric, durations: &Durations) -> Option<f64> {
    match metric {
        Metric::Quantile { quantile } => durations.quantile_ns(quantile).map(|it| it as f64),
        Metric::Min => durations.min_ns().map(|it| it as f64),
        Metric::Max => durations.max_ns().map(|it| it as f64),
        _ => durations.mean_ns(),
    }
}

fn sample_metric(metric: Metric, values: &mut [u64]) -> f64 {
    match metric {
        Metric::Quantile { quantile } => quantile_of(values, quantile).unwrap_or(0) as f64,
        Metric::Min => values.iter().copied().min().unwrap_or(0) as f64,
        Metric::Max => values.iter().copied().max().unwrap_or(0) as f64,
        _ => mean(values.iter().map(|&value| value as f64)),
    }
}

/// The average of a call (or tree) that was counted in; `None` if there is none.
fn per_group(metric: Metric, watched: &Watched) -> Option<Measure> {
    let groups = watched.groups as f64;
    (watched.groups > 0).then(|| match metric {
        Metric::Total => Measure::Time(watched.sum.total_ns as f64 / groups),
        Metric::SelfTime => Measure::Time(watched.sum.self_ns as f64 / groups),
        Metric::MostCalls => Measure::Count(watched.most_calls as f64),
        _ => Measure::Count(watched.sum.calls as f64 / groups),
    })
}

fn share_metric(metric: Metric, shares: &mut [TreeShare]) -> f64 {
    match metric {
        Metric::Total => mean(shares.iter().map(|share| share.total_ns as f64)),
        Metric::SelfTime => mean(shares.iter().map(|share| share.self_ns as f64)),
        Metric::MostCalls => shares.iter().map(|share| share.calls).max().unwrap_or(0) as f64,
        _ => mean(shares.iter().map(|share| share.calls as f64)),
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}
