//! Rules are applied to what was found.

use std::rc::Rc;

use super::durations::{Durations, quantile_of};
use super::profile::{Profile, TreeShare};
use super::rule::{Comparison, Limit, Metric, Rule};
use super::significance::{Direction, permutation_test};
use super::slow_tree::SlowTree;
use super::watch::Watched;

/// The level of the tests unless the user says otherwise: a difference is called real if chance
/// alone makes one as large in one of a hundred cases.
pub const DEFAULT_LEVEL: f64 = 0.01;

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
    /// Durations, calls or trees that were compared, of the baseline and the new recording.
    pub samples: (usize, usize),
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
}

impl Gap {
    fn fails(&self) -> bool {
        !matches!(self, Self::NotInBaseline { .. })
    }
}

/// What became of a rule.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The rule.
    pub rule: Rule,
    /// What it found, the worst first.
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
        for function in &self.new.profile.functions {
            let is_chosen = self
                .rule
                .functions
                .as_ref()
                .is_some_and(|chosen| chosen.matches(&function.name));
            let durations = &function.calls.durations;
            let Some(found) = duration_metric(self.rule.metric, durations).filter(|_| is_chosen)
            else {
                continue;
            };
            let Limit::Baseline { factor } = self.rule.limit else {
                verdict
                    .findings
                    .push(self.finding(Some(&function.name), Measure::Time(found)));
                continue;
            };
            let compared = self.baselines.iter().filter_map(|baseline| {
                let same = baseline
                    .profile
                    .functions
                    .iter()
                    .find(|other| other.name == function.name)?;
                let value = duration_metric(self.rule.metric, &same.calls.durations)?;
                let test = || {
                    permutation_test(
                        same.calls.durations.sample_ns(),
                        durations.sample_ns(),
                        self.direction(),
                        self.level,
                        |values| sample_metric(self.rule.metric, values),
                    )
                };
                Some(Compared {
                    baseline: baseline.name.clone(),
                    value: Measure::Time(value),
                    probability: self.probability(found, value * factor, test),
                    samples: (
                        same.calls.durations.sample_ns().len(),
                        durations.sample_ns().len(),
                    ),
                })
            });
            let found = Measure::Time(found);
            self.compare(
                Some(&function.name),
                found,
                factor,
                compared.collect(),
                verdict,
            );
        }
        if verdict.findings.is_empty() && verdict.gaps.is_empty() {
            verdict.gaps.push(Gap::NoCalls);
        }
        verdict.findings.sort_by(|left, right| {
            let worse = right.found.number().total_cmp(&left.found.number());
            right.fails.cmp(&left.fails).then(worse)
        });
    }

    fn check_sums(&self, verdict: &mut Verdict) {
        let found = match self.sum_metric() {
            Ok(found) => found,
            Err(gap) => {
                verdict.gaps.push(gap);
                return;
            }
        };
        let Limit::Baseline { factor } = self.rule.limit else {
            verdict.findings.push(self.finding(None, found));
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
            Some(Compared {
                baseline: baseline.name.clone(),
                value,
                probability: self.probability(found.number(), value.number() * factor, test),
                samples: (watched.sample().len(), self.watched.sample().len()),
            })
        });
        self.compare(None, found, factor, compared.collect(), verdict);
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
        let fails = |compared: &Compared| {
            compared
                .probability
                .is_some_and(|probability| probability <= self.level)
        };
        let all_fail = compared.iter().all(fails);
        let distance = |compared: &Compared| (found.number() - compared.value.number()).abs();
        let closest = compared.into_iter().min_by(|left, right| {
            let sooner = distance(left).total_cmp(&distance(right));
            fails(left).cmp(&fails(right)).then(sooner)
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
