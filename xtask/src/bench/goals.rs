//! What the project wants to reach, held against what was measured.

use super::report::{Case, Goal, Unit};
use super::rival::Rival;
use super::{attach, cost, http, tracer_cost};

/// The goals that the cases tell of: of a case that was not measured there are none.
pub fn of(cases: &[Case]) -> Vec<Goal> {
    let auto = Rival::Promoting.name();
    let returns = Rival::Returns.name();
    let classic = Rival::Classic.name();
    let (many, off_many) = (
        http::subject(http::MANY, Rival::Promoting),
        http::subject(http::MANY, Rival::Returns),
    );
    let checks = [
        at_most(
            cases,
            "a hot call: at most 3 us",
            ("call", auto, cost::ADDED),
            Unit::Nanoseconds,
            3000.0,
        ),
        factor(
            cases,
            "a hot call: at least 4 times cheaper than `--promote off`",
            "call",
            cost::ADDED,
            returns,
            auto,
            4.0,
        ),
        factor(
            cases,
            "a hot call: at least 6 times cheaper than `--placement classic`",
            "call",
            cost::ADDED,
            classic,
            auto,
            6.0,
        ),
        at_most(
            cases,
            "a hot call outside of any tree: at most 1.6 us",
            ("outside", auto, cost::ADDED),
            Unit::Nanoseconds,
            1600.0,
        ),
        factor(
            cases,
            "an HTTP server with 2,000 probes: at least 3 times the throughput of `--promote off`",
            "http",
            http::THROUGHPUT,
            &many,
            &off_many,
            3.0,
        ),
        below(
            cases,
            "2,000 probes in and out: below 0.15 s",
            ("attach", attach::MANY, attach::BOTH),
            Unit::Seconds,
            0.15,
        ),
        below(
            cases,
            "50,000 probes in and out: below 1 s",
            ("attach", attach::VERY_MANY, attach::BOTH),
            Unit::Seconds,
            1.0,
        ),
        below(
            cases,
            "`-u '*'` on the 80 MB server: ready in below 1 s",
            ("startup", attach::LARGE, attach::READY),
            Unit::Seconds,
            1.0,
        ),
        below(
            cases,
            "the tracer's CPU time: below 10 % of the target's in probes",
            ("cost", tracer_cost::USUAL_WAY, tracer_cost::SHARE),
            Unit::Percent,
            10.0,
        ),
    ];
    checks.into_iter().flatten().collect()
}

/// A row: its case, subject and metric.
type Of<'a> = (&'a str, &'a str, &'a str);

fn case<'a>(cases: &'a [Case], name: &str) -> Option<&'a Case> {
    // A quick run promises less, and a row that was not promised has no goal.
    cases.iter().find(|case| case.name == name)
}

fn promised(case: &Case, subject: &str, metric: &str) -> bool {
    let mut rows = case.rows.iter();
    rows.any(|row| row.subject == subject && row.metric == metric)
}

fn at_most(cases: &[Case], what: &'static str, of: Of<'_>, unit: Unit, most: f64) -> Option<Goal> {
    compared(cases, what, of, unit, |value| value <= most)
}

fn below(cases: &[Case], what: &'static str, of: Of<'_>, unit: Unit, bound: f64) -> Option<Goal> {
    compared(cases, what, of, unit, |value| value < bound)
}

fn compared(
    cases: &[Case],
    what: &'static str,
    (name, subject, metric): Of<'_>,
    unit: Unit,
    holds: impl Fn(f64) -> bool,
) -> Option<Goal> {
    let case = case(cases, name)?;
    promised(case, subject, metric).then(|| {
        let value = case.median(subject, metric);
        Goal {
            what,
            measured: value.map(|value| unit.format(value)),
            met: value.map(holds),
        }
    })
}

fn factor(
    cases: &[Case],
    what: &'static str,
    name: &str,
    metric: &str,
    dividend: &str,
    divisor: &str,
    least: f64,
) -> Option<Goal> {
    let case = case(cases, name)?;
    let both = [dividend, divisor];
    both.iter()
        .all(|subject| promised(case, subject, metric))
        .then(|| {
            let medians = case
                .median(dividend, metric)
                .zip(case.median(divisor, metric));
            let factor = medians.map(|(dividend, divisor)| dividend / divisor);
            Goal {
                what,
                measured: factor.map(|factor| format!("{factor:.1} times")),
                met: factor.map(|factor| factor >= least),
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(auto_ns: Option<f64>) -> Vec<Case> {
        let mut case = Case::new("call", "", "");
        for rival in [Rival::Promoting, Rival::Returns, Rival::Classic] {
            case.promise(rival.name(), cost::ADDED, Unit::Nanoseconds, None);
        }
        if let Some(value) = auto_ns {
            case.push(Rival::Promoting.name(), cost::ADDED, value);
        }
        case.push(Rival::Returns.name(), cost::ADDED, 12_000.0);
        case.push(Rival::Classic.name(), cost::ADDED, 24_000.0);
        vec![case.finish()]
    }

    #[test]
    fn goals_are_met_or_not() {
        let goals = of(&calls(Some(3500.0)));
        let told: Vec<_> = goals
            .iter()
            .map(|goal| (goal.measured.as_deref(), goal.met))
            .collect();
        let expected = [
            (Some("3.50 us"), Some(false)),
            (Some("3.4 times"), Some(false)),
            (Some("6.9 times"), Some(true)),
        ];
        assert_eq!(told, expected);
        assert!(
            of(&calls(Some(3000.0)))
                .iter()
                .all(|goal| goal.met == Some(true))
        );
    }

    #[test]
    fn what_was_not_measured_is_neither() {
        let goals = of(&calls(None));
        assert_eq!(goals.len(), 3);
        assert!(
            goals
                .iter()
                .all(|goal| goal.met.is_none() && goal.measured.is_none())
        );
    }

    #[test]
    fn a_case_that_did_not_run_has_no_goals() {
        assert_eq!(of(&[]), []);
    }
}
