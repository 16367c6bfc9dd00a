//! What tracing cost the program, in words.

use std::fmt::Write;
use std::time::Duration;

use super::SessionError;
use crate::kernel::{HitCosts, HitCounts, PromotedHits};
use crate::plan::ProbePlan;

/// The line of the summary; `None` if no probe was hit. `traced`: since probes tell of calls.
pub(super) fn text(hits: &HitCounts, costs: Option<&HitCosts>, traced: Duration) -> Option<String> {
    if hits.is_empty() {
        return None;
    }
    let outside = hits
        .outside
        .entries
        .saturating_add(hits.outside.stepped_entries);
    let calls = match hits.calls() {
        1 => "1 call".to_owned(),
        calls => format!("{} calls", grouped(calls)),
    };
    let calls = match outside {
        0 => calls,
        // These are estimated from samples.
        _ if hits.calls() == outside => format!("about {calls}, all outside of trees"),
        outside => format!("about {calls}, {} outside of trees", grouped(outside)),
    };
    let Some(costs) = costs else {
        return Some(format!(
            "cost to the program: {calls}; what a hit costs was not measured"
        ));
    };
    let total_ns = costs.total_ns(hits);
    Some(format!(
        "cost to the program: {calls}, about {}, {} of one CPU",
        time(total_ns),
        share(total_ns as f64 / traced.as_nanos().max(1) as f64)
    ))
}

/// What `-v` says of promotion, after something else.
pub(super) fn saved(hits: &PromotedHits, costs: &HitCosts) -> String {
    let saved_ns = costs.saved_ns(hits);
    let calls = grouped(hits.calls_inside.saturating_add(hits.calls_outside));
    let what = if saved_ns < 0 { "cost" } else { "saved" };
    format!(
        "so far this {what} the program about {}: {calls} calls hit no probe on a RET, \
         and observers were hit {} times",
        time(saved_ns.unsigned_abs()),
        grouped(hits.observed.saturating_add(hits.idle))
    )
}

/// What `--dry-run` says of the cost: lines.
pub(super) fn of_each_hit(plan: &ProbePlan, costs: Result<&HitCosts, &SessionError>) -> String {
    let costs = match costs {
        Ok(costs) => costs,
        Err(error) => return format!("cost not measured: {error}\n"),
    };
    let mut text = String::new();
    for (place, costs) in [
        ("in a tree", costs.inside_ns),
        ("outside of trees", costs.outside_ns),
    ] {
        let call = |entry: u64| {
            format!(
                "a call costs about {}, {} once its function is promoted",
                time(entry + costs.returns),
                time(entry + costs.observers)
            )
        };
        // Writing to a String does not fail.
        let _ = write!(text, "cost {place}: {}", call(costs.entries));
        if plan.stepped_functions().next().is_some() {
            let _ = write!(
                text,
                "; with a single-stepped entry {} and {}",
                time(costs.stepped_entries + costs.returns),
                time(costs.stepped_entries + costs.observers)
            );
        }
        text.push('\n');
    }
    text
}

/// `12,345`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Two digits: it is an estimate.
pub(super) fn time(time_ns: u64) -> String {
    let (size, unit) = match time_ns {
        0..1_000 => return format!("{time_ns} ns"),
        1_000..999_500 => (time_ns as f64 / 1e3, "us"),
        999_500..999_500_000 => (time_ns as f64 / 1e6, "ms"),
        _ => (time_ns as f64 / 1e9, "s"),
    };
    let decimals = usize::from(size < 9.95);
    format!("{size:.decimals$} {unit}")
}

fn share(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 0.1 {
        return "less than 0.1%".to_owned();
    }
    let decimals = usize::from(percent < 9.95);
    format!("{percent:.decimals$}%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::PerKind;

    const COSTS: HitCosts = HitCosts {
        inside_ns: PerKind {
            entries: 1_000,
            stepped_entries: 12_000,
            returns: 11_000,
            observers: 500,
        },
        outside_ns: PerKind {
            entries: 900,
            stepped_entries: 11_900,
            returns: 10_900,
            observers: 400,
        },
        least_by_return_ns: 700,
        least_by_observer_ns: 650,
    };

    fn hits_of(inside: [u64; 4], outside: [u64; 4]) -> HitCounts {
        HitCounts {
            inside: PerKind::from_array(inside),
            outside: PerKind::from_array(outside),
        }
    }

    #[test]
    fn calls_in_trees_are_known_exactly() {
        let hits = hits_of([12_345, 0, 45, 12_300], [0; 4]);
        assert_eq!(
            text(&hits, Some(&COSTS), Duration::from_secs(5)).unwrap(),
            "cost to the program: 12,345 calls, about 19 ms, 0.4% of one CPU"
        );
    }

    #[test]
    fn one_call_is_no_calls() {
        let hits = hits_of([1, 0, 1, 0], [0; 4]);
        assert_eq!(
            text(&hits, Some(&COSTS), Duration::from_secs(5)).unwrap(),
            "cost to the program: 1 call, about 12 us, less than 0.1% of one CPU"
        );
    }

    #[test]
    fn calls_outside_of_trees_are_estimated() {
        let hits = hits_of([1, 0, 1, 0], [1_280_000, 0, 1_200_000, 80_000]);
        assert_eq!(
            text(&hits, Some(&COSTS), Duration::from_secs(5)).unwrap(),
            "cost to the program: about 1,280,001 calls, 1,280,000 outside of trees, \
             about 14 s, 285% of one CPU"
        );
        let hits = hits_of([0; 4], [640, 0, 640, 0]);
        assert_eq!(
            text(&hits, Some(&COSTS), Duration::from_secs(5)).unwrap(),
            "cost to the program: about 640 calls, all outside of trees, about 7.6 ms, \
             0.2% of one CPU"
        );
    }

    #[test]
    fn what_is_not_known_is_said() {
        let hits = hits_of([7, 0, 7, 0], [0; 4]);
        assert_eq!(
            text(&hits, None, Duration::from_secs(5)).unwrap(),
            "cost to the program: 7 calls; what a hit costs was not measured"
        );
        assert_eq!(text(&HitCounts::default(), None, Duration::ZERO), None);
    }

    #[test]
    fn promotion_may_cost_more_than_it_saves() {
        let mut hits = PromotedHits {
            calls_inside: 100_000,
            calls_outside: 64_000,
            observed: 99_990,
            idle: 70_000,
        };
        assert_eq!(
            saved(&hits, &COSTS),
            "so far this saved the program about 1.7 s: 164,000 calls hit no probe on a RET, \
             and observers were hit 169,990 times"
        );
        hits.calls_inside = 0;
        hits.calls_outside = 0;
        assert!(saved(&hits, &COSTS).starts_with("so far this cost the program about 78 ms: 0 "));
    }

    #[test]
    fn a_dry_run_says_what_a_call_costs() {
        let mut plan = ProbePlan::default();
        assert_eq!(
            of_each_hit(&plan, Ok(&COSTS)),
            "cost in a tree: a call costs about 12 us, 1.5 us once its function is promoted\n\
             cost outside of trees: a call costs about 12 us, 1.3 us once its function is promoted\n"
        );
        plan.sites.push(crate::plan::Site {
            kind: crate::plan::SiteKind::Entry(crate::plan::FunctionId(0)),
            address: crate::binary::VirtualAddress(0),
            file_offset: crate::binary::FileOffset(0),
            cost: crate::plan::InstructionCost::SingleStepped,
        });
        let text = of_each_hit(&plan, Ok(&COSTS));
        let first = text.lines().next().unwrap();
        assert!(
            first.ends_with("promoted; with a single-stepped entry 23 us and 12 us"),
            "{first}"
        );
    }

    #[test]
    fn estimates_have_two_digits() {
        for (time_ns, expected) in [
            (7, "7 ns"),
            (1_234, "1.2 us"),
            (45_678, "46 us"),
            (999_600, "1.0 ms"),
            (15_400_000, "15 ms"),
            (2_000_000_000, "2.0 s"),
            (75_000_000_000, "75 s"),
        ] {
            assert_eq!(time(time_ns), expected);
        }
        assert_eq!(share(0.000_2), "less than 0.1%");
        assert_eq!(share(0.004), "0.4%");
        assert_eq!(share(0.25), "25%");
    }
}
