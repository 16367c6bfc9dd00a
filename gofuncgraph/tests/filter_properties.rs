//! Random programs through random filters: what is shown balances, is what was asked for, and
//! nothing else is left out.

#[path = "support/gate_simulator.rs"]
mod gate_simulator;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::time::Duration;

use gate_simulator::GateSimulator;
use gofuncgraph::events::{Goroutine, MonotonicTime};
use gofuncgraph::filter::{Filter, FilterSettings, FunctionChoice};
use gofuncgraph::plan::FunctionId;
use gofuncgraph::trace::{
    Assembler, AssemblerSettings, CallEnd, Delivery, LineBody, Note, PartEnd, TraceLine, TraceSink,
};
use proptest::prelude::*;

const GOROUTINES: [Goroutine; 2] = [Goroutine { pid: 7, goid: 1 }, Goroutine { pid: 7, goid: 2 }];

/// When a call ends that is still open.
const NEVER: MonotonicTime = MonotonicTime { time_ns: u64::MAX };

#[derive(Clone, Copy, Debug)]
struct Step {
    goroutine: Goroutine,
    /// Calls a function, or returns.
    call: Option<FunctionId>,
    lost: bool,
    wait_ns: u64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (
        0..GOROUTINES.len(),
        prop::option::of((0..4_u32).prop_map(FunctionId)),
        prop::bool::weighted(0.05),
        0..200_u64,
    );
    let step = step.prop_map(|(goroutine, call, lost, wait_ns)| Step {
        goroutine: GOROUTINES[goroutine],
        call,
        lost,
        wait_ns,
    });
    prop::collection::vec(step, 0..200)
}

/// Functions 0 and 1 start trees.
fn run(steps: &[Step], with_losses: bool) -> GateSimulator {
    let mut program = GateSimulator::new([FunctionId(0), FunctionId(1)]);
    program.step_ns = 1;
    for step in steps {
        program.wait_ns(step.wait_ns);
        program.ring_is_full = step.lost && with_losses;
        match step.call {
            Some(function) => program.call(step.goroutine, function),
            None if program.stack_height(step.goroutine) > 0 => program.ret(step.goroutine),
            None => {}
        }
    }
    program.ring_is_full = false;
    program.stop();
    program
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let trees = (1..40_usize).prop_map(|max_calls| Delivery::Trees {
        max_calls,
        max_buffered_calls: 1_000,
        slower_than: None,
    });
    prop_oneof![
        Just(Delivery::Stream),
        Just(AssemblerSettings::trees().delivery),
        trees
    ]
}

#[derive(Debug)]
enum Shown {
    Line(TraceLine),
    PartEnd(Goroutine, PartEnd),
}

#[derive(Default)]
struct Collected(Vec<Shown>);

impl TraceSink for Collected {
    fn line(&mut self, line: &TraceLine) {
        self.0.push(Shown::Line(line.clone()));
    }

    fn part_end(&mut self, goroutine: Goroutine, end: PartEnd) {
        self.0.push(Shown::PartEnd(goroutine, end));
    }
}

/// What is shown of `program`, everything if there is no filter.
fn shown(
    program: &GateSimulator,
    delivery: Delivery,
    filter: Option<(FilterSettings, Option<FunctionChoice<'static>>)>,
) -> Vec<Shown> {
    let mut assembler = Assembler::new(AssemblerSettings {
        delivery,
        count: None,
    });
    let mut collected = Collected::default();
    let mut filter = filter.map(|(settings, chosen)| Filter::new(settings, chosen));
    for event in &program.events {
        match &mut filter {
            Some(filter) => assembler.handle(event, &mut filter.sink(&mut collected)),
            None => assembler.handle(event, &mut collected),
        }
    }
    match &mut filter {
        Some(filter) => {
            assembler.finish(program.now, &mut filter.sink(&mut collected));
            filter.finish(&mut collected);
        }
        None => assembler.finish(program.now, &mut collected),
    }
    collected.0
}

/// A call that is shown, put together across cuts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    goroutine: Goroutine,
    begin: MonotonicTime,
    end: MonotonicTime,
    function: FunctionId,
    duration: Option<Duration>,
    level: u32,
}

#[derive(Default)]
struct Stack {
    earlier: usize,
    open: Vec<Call>,
    is_cut: bool,
}

/// Demands that calls nest and balance with the right levels, and gives them.
fn balanced(shown: &[Shown]) -> Vec<Call> {
    let mut stacks: BTreeMap<Goroutine, Stack> = BTreeMap::new();
    let mut calls = Vec::new();
    for shown in shown {
        match shown {
            Shown::Line(line) => {
                let stack = stacks.entry(line.goroutine).or_default();
                match &line.body {
                    LineBody::Entry { function, .. } => {
                        assert!(!stack.is_cut);
                        assert_eq!(line.level as usize, stack.open.len(), "{line:?}");
                        stack.open.push(Call {
                            goroutine: line.goroutine,
                            begin: line.time,
                            end: line.time,
                            function: *function,
                            duration: None,
                            level: line.level,
                        });
                    }
                    LineBody::End {
                        function,
                        duration,
                        how,
                    } => {
                        if stack.is_cut {
                            // Of what goes on: each of this part once, the innermost first.
                            assert!(line.level as usize >= stack.earlier, "{line:?}");
                            assert_eq!(stack.open[line.level as usize].function, *function);
                            continue;
                        }
                        assert!(stack.open.len() > stack.earlier, "{line:?}");
                        let mut call = stack.open.pop().expect("it is open");
                        assert_eq!((call.function, call.level), (*function, line.level));
                        call.end = if *how == CallEnd::StillOpen {
                            NEVER
                        } else {
                            line.time
                        };
                        call.duration = *duration;
                        calls.push(call);
                    }
                    LineBody::Note(Note::Cut { .. }) => stack.is_cut = true,
                    LineBody::Note(Note::Continued { path }) => {
                        let open = stack.open.iter().map(|call| &call.function);
                        assert!(open.eq(path), "{line:?}");
                        stack.earlier = path.len();
                    }
                    LineBody::Note(Note::EndedAfterCut {
                        function, duration, ..
                    }) => {
                        assert_eq!(stack.open.len(), stack.earlier, "{line:?}");
                        let mut call = stack.open.pop().expect("it is open");
                        stack.earlier -= 1;
                        assert_eq!((call.function, call.level), (*function, line.level));
                        call.end = line.time;
                        call.duration = *duration;
                        calls.push(call);
                    }
                    LineBody::Note(Note::Hidden { .. }) => {
                        assert_eq!(line.level as usize, stack.open.len(), "{line:?}");
                    }
                    LineBody::Note(_) => assert!(line.level as usize <= stack.open.len()),
                }
            }
            Shown::PartEnd(goroutine, PartEnd::Cut) => {
                stacks.entry(*goroutine).or_default().is_cut = false;
            }
            Shown::PartEnd(goroutine, PartEnd::Tree) => {
                let stack = stacks.remove(goroutine).unwrap_or_default();
                assert!(stack.open.len() <= stack.earlier, "{:?}", stack.open);
                // What is open since before a cut is not told of again.
                calls.extend(
                    stack
                        .open
                        .into_iter()
                        .map(|call| Call { end: NEVER, ..call }),
                );
            }
        }
    }
    for (goroutine, stack) in stacks {
        assert!(stack.open.is_empty(), "{goroutine:?}: {:?}", stack.open);
    }
    calls
}

fn hidden(shown: &[Shown]) -> (u64, Duration) {
    let notes = shown.iter().filter_map(|shown| match shown {
        Shown::Line(TraceLine {
            body: LineBody::Note(Note::Hidden { calls, total, .. }),
            ..
        }) => Some((*calls, *total)),
        _ => None,
    });
    notes.fold((0, Duration::ZERO), |sum, note| {
        (sum.0 + note.0, sum.1 + note.1)
    })
}

/// Without levels, which filters change, in an order of its own.
fn without_levels(calls: &[Call], is_meant: impl Fn(&Call) -> bool) -> Vec<Call> {
    let meant = calls.iter().filter(|call| is_meant(call));
    let mut calls: Vec<Call> = meant
        .map(|call| Call {
            level: 0,
            ..call.clone()
        })
        .collect();
    calls.sort();
    calls
}

fn moment(steps_ns: u64) -> MonotonicTime {
    MonotonicTime {
        time_ns: 1_000_000_000 + steps_ns,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_filter_that_leaves_nothing_out_changes_nothing(
        steps in steps(), lossy: bool, delivery in delivery()
    ) {
        let program = run(&steps, lossy);
        let all = shown(&program, delivery, None);
        let filtered = shown(&program, delivery, Some((FilterSettings::default(), None)));
        prop_assert_eq!(format!("{all:?}"), format!("{filtered:?}"));
    }

    #[test]
    fn whatever_is_left_out_the_rest_balances(
        steps in steps(), lossy: bool, delivery in delivery(),
        slower in prop::option::of(1..2_000_u64), depth in prop::option::of(1..4_u32),
        from in prop::option::of(0..10_000_u64), to in prop::option::of(0..20_000_u64),
        only in prop::option::of(0..4_u32), top in prop::option::of(1..4_usize),
    ) {
        let program = run(&steps, lossy);
        let settings = FilterSettings {
            calls_slower_than: slower.map(Duration::from_nanos),
            max_depth: depth.and_then(NonZero::new),
            from: from.map(moment),
            to: to.map(moment),
            top: top.filter(|_| delivery != Delivery::Stream).and_then(NonZero::new),
        };
        let chosen = only.map(|only| -> FunctionChoice<'static> {
            Box::new(move |function| function.0 != only)
        });
        let calls = balanced(&shown(&program, delivery, Some((settings, chosen))));
        for call in &calls {
            prop_assert!(only.is_none_or(|only| call.function.0 != only));
            prop_assert!(depth.is_none_or(|depth| call.level < depth));
            prop_assert!(settings.from.is_none_or(|from| call.end >= from));
            prop_assert!(settings.to.is_none_or(|to| call.begin < to));
        }
    }

    #[test]
    fn calls_are_shown_or_counted(
        steps in steps(), lossy: bool, delivery in delivery(), slower in 1..2_000_u64
    ) {
        let program = run(&steps, lossy);
        let all = balanced(&shown(&program, delivery, None));
        let settings = FilterSettings {
            calls_slower_than: Some(Duration::from_nanos(slower)),
            ..FilterSettings::default()
        };
        let shown = shown(&program, delivery, Some((settings, None)));
        let calls = balanced(&shown);
        let (hidden_calls, hidden_time) = hidden(&shown);
        prop_assert_eq!(calls.len() as u64 + hidden_calls, all.len() as u64);
        let least = Duration::from_nanos(slower);
        let is_short = |call: &Call| call.duration.is_some_and(|duration| duration < least);
        prop_assert_eq!(
            without_levels(&all, |call| !is_short(call)),
            without_levels(&calls, |call| !is_short(call))
        );
        if !lossy {
            // Only what holds a call that is still open is shown though it is short, and such
            // a call is not short itself: it has no duration.
            prop_assert!(!calls.iter().any(is_short));
            let roots_of_hidden = all.iter().filter(|call| {
                let is_around = |other: &&Call| {
                    other.goroutine == call.goroutine
                        && other.level + 1 == call.level
                        && other.begin <= call.begin
                        && call.end <= other.end
                };
                is_short(call) && !all.iter().find(is_around).is_some_and(is_short)
            });
            let sum: Duration = roots_of_hidden.filter_map(|call| call.duration).sum();
            prop_assert_eq!(sum, hidden_time);
        }
    }

    #[test]
    fn all_calls_of_a_window_are_shown(
        steps in steps(), delivery in delivery(), from in 0..10_000_u64, to in 0..20_000_u64
    ) {
        let program = run(&steps, false);
        let all = balanced(&shown(&program, delivery, None));
        let settings = FilterSettings {
            from: Some(moment(from)),
            to: Some(moment(to)),
            ..FilterSettings::default()
        };
        let calls = balanced(&shown(&program, delivery, Some((settings, None))));
        let last = program.now;
        // Nothing tells until when a call was open that began in an earlier part of a tree and
        // did not end.
        let is_cut = delivery != Delivery::Stream
            && delivery != AssemblerSettings::trees().delivery;
        let is_known = |call: &Call| !is_cut || call.duration.is_some();
        let overlaps = |call: &Call| call.end.min(last) >= moment(from) && call.begin < moment(to);
        prop_assert_eq!(
            without_levels(&all, |call| is_known(call) && overlaps(call)),
            without_levels(&calls, is_known)
        );
        prop_assert!(calls.iter().all(overlaps));
    }

    #[test]
    fn the_slowest_trees_are_shown(steps in steps(), top in 1..5_usize) {
        let program = run(&steps, false);
        let delivery = AssemblerSettings::trees().delivery;
        let roots = |shown: &[Shown]| -> Vec<Duration> {
            let all = balanced(shown).into_iter().filter(|call| call.level == 0);
            all.map(|call| call.end.min(program.now) - call.begin).collect()
        };
        let mut all = roots(&shown(&program, delivery, None));
        all.sort_by(|left, right| right.cmp(left));
        all.truncate(top);
        let settings = FilterSettings { top: NonZero::new(top), ..FilterSettings::default() };
        let shown = shown(&program, delivery, Some((settings, None)));
        prop_assert_eq!(roots(&shown), all);
    }
}
