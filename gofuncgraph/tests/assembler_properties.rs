//! Random programs, seen with and without losses: what the assembler shows is balanced and
//! accounted for, and true where nothing was lost.

#[path = "support/gate_simulator.rs"]
mod gate_simulator;
#[path = "support/truth.rs"]
mod truth;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::time::Duration;

use gate_simulator::{GateSimulator, code_address, only_return, return_address, return_site};
use gofuncgraph::events::{
    EndProbe, Event, Goroutine, GoroutineEvent, MonotonicTime, ProcessEnd, ProcessEnding,
};
use gofuncgraph::plan::FunctionId;
use gofuncgraph::trace::{
    Assembler, AssemblerSettings, CallEnd, Delivery, LineBody, PartEnd, Statistics, TraceLine,
    TraceSink, Unwinding,
};
use proptest::prelude::*;
use truth::Truth;

const GOROUTINES: [Goroutine; 3] = [
    Goroutine { pid: 7, goid: 1 },
    Goroutine { pid: 7, goid: 2 },
    Goroutine { pid: 9, goid: 1 },
];

/// Functions 0 and 1 are targets, 2 to 4 are not.
const TARGETS: [FunctionId; 2] = [FunctionId(0), FunctionId(1)];

#[derive(Clone, Copy, Debug)]
enum Action {
    Call(FunctionId),
    Return,
    /// The innermost function panics, and its deferred calls begin.
    Panic,
    /// The same, and it is recovered so many calls further out.
    Recover(usize),
    Goexit,
    Exec,
    /// The process ends, and said why.
    Exit,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    goroutine: Goroutine,
    action: Action,
    lost: bool,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        50 => (0..5_u32).prop_map(|function| Action::Call(FunctionId(function))),
        45 => Just(Action::Return),
        2 => Just(Action::Panic),
        3 => (0..4_usize).prop_map(Action::Recover),
        1 => Just(Action::Goexit),
        1 => Just(Action::Exec),
        1 => Just(Action::Exit),
    ]
}

/// Programs of which the share `lost_share` of all records is lost.
fn steps(lost_share: f64) -> impl Strategy<Value = Vec<Step>> {
    let step = (
        0..GOROUTINES.len(),
        action(),
        prop::bool::weighted(lost_share),
    )
        .prop_map(|(goroutine, action, lost)| Step {
            goroutine: GOROUTINES[goroutine],
            action,
            lost,
        });
    prop::collection::vec(step, 0..400)
}

fn lossy_steps() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![steps(0.02), steps(0.2), steps(0.5), steps(0.9)]
}

/// Runs the program; gives what the kernel side made of it and what was true.
fn run(steps: &[Step]) -> (GateSimulator, Truth) {
    run_on(GateSimulator::new(TARGETS), steps)
}

/// The same with functions of which observers tell that they return.
fn run_promoted(promoted: &BTreeSet<u32>, steps: &[Step]) -> (GateSimulator, Truth) {
    let mut gate = GateSimulator::new(TARGETS);
    gate.promoted = promoted.iter().copied().map(FunctionId).collect();
    run_on(gate, steps)
}

/// The same where calls of functions were open on every goroutine when tracing began.
fn run_with_open(
    mut gate: GateSimulator,
    open: &[Vec<u32>; 3],
    steps: &[Step],
) -> (GateSimulator, Truth) {
    gate.searches_already_open = true;
    let mut truth = Truth::new(TARGETS);
    for (goroutine, functions) in GOROUTINES.into_iter().zip(open) {
        for function in functions.iter().copied().map(FunctionId) {
            gate.call_unseen(goroutine, function);
            truth.call_unseen(goroutine, function);
        }
    }
    run_from(gate, truth, steps)
}

fn run_on(gate: GateSimulator, steps: &[Step]) -> (GateSimulator, Truth) {
    run_from(gate, Truth::new(TARGETS), steps)
}

fn run_from(mut gate: GateSimulator, mut truth: Truth, steps: &[Step]) -> (GateSimulator, Truth) {
    for step in steps {
        let goroutine = step.goroutine;
        let height = gate.stack_height(goroutine);
        gate.ring_is_full = step.lost;
        match step.action {
            Action::Call(function) => {
                gate.call(goroutine, function);
                if let Some(root) = gate.take_found_root() {
                    truth.find_open(goroutine, root, gate.now);
                }
                truth.call(goroutine, function, gate.now);
            }
            Action::Return if height > 0 => {
                gate.ret(goroutine);
                if let Some(root) = gate.take_found_root() {
                    truth.find_open(goroutine, root, gate.now);
                }
                let promoted = &gate.promoted;
                let height = gate.stack_height(goroutine);
                truth.end_down_to(goroutine, height, gate.now, |function| {
                    let site = if promoted.contains(&function) {
                        only_return(function)
                    } else {
                        Some(return_site(function))
                    };
                    CallEnd::Returned { site }
                });
            }
            Action::Panic if height > 0 => {
                gate.panic(goroutine);
                truth.panic(goroutine);
            }
            Action::Recover(further_out) if height > 0 => {
                gate.panic(goroutine);
                truth.panic(goroutine);
                let height = height.saturating_sub(further_out).max(1);
                gate.recover_told(goroutine, height);
                truth.recover(goroutine, height, gate.now);
            }
            Action::Return | Action::Panic | Action::Recover(_) => {}
            Action::Goexit => {
                gate.goexit_told(goroutine);
                let how = CallEnd::Unwound(Unwinding::Goexit);
                truth.end_down_to(goroutine, 0, gate.now, |_| how);
            }
            Action::Exit => {
                let ending = ProcessEnding::Exit {
                    code: 3,
                    call: code_address(None),
                };
                gate.process_ending(goroutine.pid, ending);
                gate.end_process(goroutine.pid, ProcessEnd::Executed);
                let how = CallEnd::ProcessExited(ending);
                truth.end_all(gate.now, how, |pid| pid == goroutine.pid);
            }
            Action::Exec => {
                gate.end_process(goroutine.pid, ProcessEnd::Executed);
                let how = CallEnd::ProcessExited(ProcessEnding::Unknown);
                truth.end_all(gate.now, how, |pid| pid == goroutine.pid);
            }
        }
    }
    gate.stop();
    truth.end_all(gate.now, CallEnd::StillOpen, |_| true);
    (gate, truth)
}

/// Which call a line ends, and how.
fn end_of(line: &TraceLine) -> Option<((Goroutine, MonotonicTime, FunctionId), CallEnd)> {
    match line.body {
        LineBody::End { function, how, .. } => Some(((line.goroutine, line.time, function), how)),
        _ => None,
    }
}

/// What was open on each goroutine when tracing began.
fn open_before() -> impl Strategy<Value = [Vec<u32>; 3]> {
    let stack = || prop::collection::vec(0..5_u32, 0..8);
    [stack(), stack(), stack()]
}

/// What is said without why calls were unwound.
fn without_reasons(trees: &[Vec<TraceLine>]) -> Vec<Vec<TraceLine>> {
    let mut trees = trees.to_vec();
    for line in trees.iter_mut().flatten() {
        if let LineBody::End {
            how: CallEnd::Unwound(why),
            ..
        } = &mut line.body
        {
            *why = Unwinding::Unknown;
        }
    }
    trees
}

/// Whether nothing is claimed of why a call ended.
fn says_nothing(how: CallEnd) -> bool {
    !matches!(
        how,
        CallEnd::Unwound(Unwinding::Panic { .. } | Unwinding::Goexit)
    )
}

/// Whether all that is claimed is so; less can be claimed.
fn is_so(claimed: CallEnd, truth: CallEnd) -> bool {
    match (claimed, truth) {
        (
            CallEnd::Unwound(Unwinding::Panic {
                panicked,
                origin: None,
                resumed,
            }),
            CallEnd::Unwound(Unwinding::Panic {
                panicked: has_panicked,
                resumed: has_resumed,
                ..
            }),
        ) => (!panicked || has_panicked) && (resumed.is_none() || resumed == has_resumed),
        _ => claimed == truth,
    }
}

/// Collects what is handed over and checks that it is balanced.
#[derive(Default)]
struct CheckedTrees {
    open: BTreeMap<Goroutine, Vec<(FunctionId, u32)>>,
    part: Vec<TraceLine>,
    trees: Vec<Vec<TraceLine>>,
    part_goroutines: BTreeSet<Goroutine>,
    whole_trees: bool,
}

impl TraceSink for CheckedTrees {
    fn line(&mut self, line: &TraceLine) {
        let open = self.open.entry(line.goroutine).or_default();
        match &line.body {
            LineBody::Entry { function, .. } => open.push((*function, line.level)),
            LineBody::End { function, .. } => {
                assert_eq!(open.pop(), Some((*function, line.level)), "at {line:?}");
            }
            LineBody::Note(_) => {}
        }
        self.part_goroutines.insert(line.goroutine);
        self.part.push(line.clone());
    }

    fn part_end(&mut self, goroutine: Goroutine, _: PartEnd) {
        assert!(self.open.get(&goroutine).is_none_or(Vec::is_empty));
        if self.whole_trees {
            assert!(self.part_goroutines.iter().all(|other| *other == goroutine));
            self.part_goroutines.clear();
            self.trees.push(std::mem::take(&mut self.part));
        }
    }
}

fn assemble(
    settings: AssemblerSettings,
    events: &[Event],
    end: MonotonicTime,
) -> (CheckedTrees, Statistics) {
    let mut checked = CheckedTrees {
        whole_trees: settings.delivery != Delivery::Stream,
        ..CheckedTrees::default()
    };
    let mut assembler = Assembler::new(settings);
    for event in events {
        assembler.handle(event, &mut checked);
    }
    assembler.finish(end, &mut checked);
    assert!(checked.open.values().all(Vec::is_empty));
    let statistics = *assembler.statistics();
    assert_eq!(
        statistics.ends.total(),
        statistics.calls + statistics.calls_already_open + statistics.calls_without_entry
    );
    (checked, statistics)
}

fn bounded(
    max_calls: usize,
    max_buffered_calls: usize,
    slower_than: Option<Duration>,
    count: Option<NonZeroU64>,
) -> AssemblerSettings {
    AssemblerSettings {
        delivery: Delivery::Trees {
            max_calls,
            max_buffered_calls,
            slower_than,
        },
        count,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn trees_are_true_where_nothing_is_lost(steps in steps(0.0)) {
        let (gate, truth) = run(&steps);
        let (checked, statistics) =
            assemble(AssemblerSettings::trees(), &gate.events, gate.now);
        prop_assert_eq!(checked.trees, truth.trees);
        prop_assert_eq!(statistics.calls, gate.counts.entries_written);
        prop_assert_eq!(statistics.events_lost, 0);
    }

    /// Observers tell as much as probes on RETs, but for which RET it was.
    #[test]
    fn trees_are_true_where_every_return_is_observed(
        steps in steps(0.0),
        promoted in prop::collection::btree_set(0..5_u32, 1..6),
    ) {
        let (gate, truth) = run_promoted(&promoted, &steps);
        let (checked, statistics) =
            assemble(AssemblerSettings::trees(), &gate.events, gate.now);
        prop_assert_eq!(checked.trees, truth.trees);
        prop_assert_eq!(statistics.calls, gate.counts.entries_written);
        prop_assert_eq!(statistics.ends.approximate, 0);
    }

    /// Where callers return at once, what tells of their end tells of the call's.
    #[test]
    fn trees_are_true_where_callers_return_at_once(
        steps in steps(0.0),
        roots_too in any::<bool>(),
        promoted in prop::collection::btree_set(2..5_u32, 0..4),
        returning_at_once in prop::collection::btree_set(0..5_u32, 1..6),
    ) {
        let mut gate = GateSimulator::new(TARGETS);
        // Outside of its root's tree, the RET of a function tells of nothing but that.
        let all: BTreeSet<u32> = (0..5).collect();
        let promoted = if roots_too { &all } else { &promoted };
        gate.promoted = promoted.iter().copied().map(FunctionId).collect();
        gate.returning_at_once = returning_at_once.iter().copied().map(FunctionId).collect();
        let (gate, truth) = run_on(gate, &steps);
        let (checked, statistics) =
            assemble(AssemblerSettings::trees(), &gate.events, gate.now);
        prop_assert_eq!(checked.trees, truth.trees);
        prop_assert_eq!(statistics.ends.approximate, 0);
    }

    /// What returns unobserved ends later, and is said to be approximate; everything else is as
    /// it was. Roots are left alone: when an unobserved one is over is for the kernel side to say.
    #[test]
    fn unobserved_returns_are_approximate_and_nothing_else_is(
        steps in steps(0.0),
        unobservable in prop::collection::btree_set(prop::option::of(0..5_u32), 1..4),
    ) {
        let mut gate = GateSimulator::new(TARGETS);
        gate.promoted = [2, 3, 4].map(FunctionId).into();
        gate.unobservable_returns = unobservable
            .iter()
            .map(|caller| return_address(caller.map(FunctionId)))
            .collect();
        let (gate, truth) = run_on(gate, &steps);
        let (checked, statistics) =
            assemble(AssemblerSettings::trees(), &gate.events, gate.now);
        prop_assert_eq!(statistics.calls, gate.counts.entries_written);
        prop_assert_eq!(statistics.ends.exit_lost, 0);
        let unobserved = gate.events.iter().filter(|event| {
            matches!(
                event,
                Event::Goroutine {
                    kind: GoroutineEvent::Entry {
                        end_probe: EndProbe::None,
                        ..
                    },
                    ..
                }
            )
        });
        prop_assert!(statistics.ends.approximate <= unobserved.count() as u64);
        let entries = |trees: &[Vec<TraceLine>]| -> Vec<TraceLine> {
            let lines = trees.iter().flatten();
            lines
                .filter(|line| matches!(line.body, LineBody::Entry { .. }))
                .cloned()
                .collect()
        };
        prop_assert_eq!(entries(&checked.trees), entries(&truth.trees));
    }

    /// What was open when tracing began is part of the tree, and has no beginning. Panics from before
    /// are not known.
    #[test]
    fn trees_are_true_where_calls_were_open_already(
        open in open_before(),
        steps in steps(0.0),
    ) {
        let gate = GateSimulator::new(TARGETS);
        let (gate, truth) = run_with_open(gate, &open, &steps);
        let (checked, statistics) =
            assemble(AssemblerSettings::trees(), &gate.events, gate.now);
        prop_assert_eq!(without_reasons(&checked.trees), without_reasons(&truth.trees));
        prop_assert_eq!(statistics.calls, gate.counts.entries_written);
        prop_assert_eq!(statistics.calls_already_open, gate.counts.already_open);
        prop_assert_eq!(statistics.events_lost, 0);
        prop_assert_eq!(statistics.events_out_of_order, 0);
    }

    #[test]
    fn calls_that_were_open_already_and_losses_make_what_happened(
        open in open_before(),
        steps in lossy_steps(),
        max_calls in 1..20_usize,
        step_ns in prop_oneof![Just(1_000_000), Just(200_000_000)],
    ) {
        let mut gate = GateSimulator::new(TARGETS);
        gate.step_ns = step_ns;
        let (gate, _) = run_with_open(gate, &open, &steps);
        let counts = gate.counts;
        for settings in [
            AssemblerSettings::trees(),
            AssemblerSettings::stream(),
            bounded(max_calls, 30, None, None),
        ] {
            let (_, statistics) = assemble(settings, &gate.events, gate.now);
            prop_assert_eq!(statistics.calls, counts.entries_written);
            prop_assert_eq!(statistics.calls_already_open, counts.already_open);
            prop_assert_eq!(
                statistics.events_lost,
                counts.entries_lost + counts.returns_lost + counts.closes_lost
            );
            prop_assert_eq!(statistics.events_out_of_order, 0);
        }
    }

    /// Whatever is lost, every call that is shown ends once.
    #[test]
    fn promoted_calls_and_losses_make_what_happened(
        steps in lossy_steps(),
        promoted in prop::collection::btree_set(0..5_u32, 1..6),
        returning_at_once in prop::collection::btree_set(0..5_u32, 0..4),
    ) {
        let mut gate = GateSimulator::new(TARGETS);
        gate.promoted = promoted.iter().copied().map(FunctionId).collect();
        gate.returning_at_once = returning_at_once.iter().copied().map(FunctionId).collect();
        let (gate, _) = run_on(gate, &steps);
        let counts = gate.counts;
        for settings in [AssemblerSettings::trees(), AssemblerSettings::stream()] {
            let (_, statistics) = assemble(settings, &gate.events, gate.now);
            prop_assert_eq!(statistics.calls, counts.entries_written);
            if returning_at_once.is_empty() {
                prop_assert!(
                    statistics.ends.returned
                        <= counts.returns_written + counts.observations_written
                );
            }
            prop_assert!(statistics.calls_without_entry <= counts.entries_lost);
            prop_assert_eq!(
                statistics.events_lost,
                counts.entries_lost
                    + counts.returns_lost
                    + counts.closes_lost
                    + counts.observations_lost
            );
            prop_assert_eq!(statistics.events_out_of_order, 0);
        }
    }

    #[test]
    fn stream_is_true_where_nothing_is_lost(steps in steps(0.0)) {
        let (gate, truth) = run(&steps);
        let (checked, _) = assemble(AssemblerSettings::stream(), &gate.events, gate.now);
        for goroutine in GOROUTINES {
            let shown: Vec<_> = checked
                .part
                .iter()
                .filter(|line| line.goroutine == goroutine)
                .collect();
            let happened: Vec<_> = truth
                .trees
                .iter()
                .flatten()
                .filter(|line| line.goroutine == goroutine)
                .collect();
            prop_assert_eq!(shown, happened);
        }
    }

    #[test]
    fn shown_and_lost_make_what_happened(steps in lossy_steps()) {
        let (gate, _) = run(&steps);
        let counts = gate.counts;
        for settings in [AssemblerSettings::trees(), AssemblerSettings::stream()] {
            let (_, statistics) = assemble(settings, &gate.events, gate.now);
            prop_assert_eq!(statistics.calls, counts.entries_written);
            prop_assert_eq!(statistics.ends.returned, counts.returns_written);
            prop_assert!(statistics.calls_without_entry <= counts.entries_lost);
            prop_assert_eq!(
                statistics.events_lost,
                counts.entries_lost + counts.returns_lost + counts.closes_lost
            );
            prop_assert_eq!(statistics.ends.approximate, 0);
            prop_assert_eq!(statistics.events_out_of_order, 0);
        }
    }

    /// Whatever is lost, what is said of panics is so.
    #[test]
    fn reasons_are_true_whatever_is_lost(steps in lossy_steps()) {
        let (gate, truth) = run(&steps);
        let true_ends: Vec<_> = truth.trees.iter().flatten().filter_map(end_of).collect();
        for settings in [AssemblerSettings::trees(), AssemblerSettings::stream()] {
            let (checked, _) = assemble(settings, &gate.events, gate.now);
            let lines = checked.trees.iter().flatten().chain(&checked.part);
            for (call, how) in lines.filter_map(end_of) {
                let mut happened = true_ends.iter().filter(|(it, _)| *it == call);
                prop_assert!(
                    says_nothing(how) || happened.any(|(_, truth)| is_so(how, *truth)),
                    "{call:?} {how:?}"
                );
            }
        }
    }

    #[test]
    fn cut_and_filtered_trees_are_balanced(
        steps in lossy_steps(),
        max_calls in 1..20_usize,
        max_buffered_calls in 1..40_usize,
        slower_than_steps in prop::option::of(0..40_u32),
        count in prop::option::of(1..10_u64),
    ) {
        let (gate, _) = run(&steps);
        let step = Duration::from_nanos(gate.step_ns);
        let slower_than = slower_than_steps.map(|steps| step * steps);
        let count = count.and_then(NonZeroU64::new);
        let settings = bounded(max_calls, max_buffered_calls, slower_than, count);
        let (_, statistics) = assemble(settings, &gate.events, gate.now);
        if let Some(count) = count {
            prop_assert!(statistics.trees_finished <= count.get());
        } else if slower_than.is_none() {
            prop_assert_eq!(statistics.calls, gate.counts.entries_written);
        }
        let stream = AssemblerSettings { count, ..AssemblerSettings::stream() };
        assemble(stream, &gate.events, gate.now);
    }

    /// Events that were mixed up by whatever means.
    #[test]
    fn no_sequence_of_events_unbalances_a_tree(
        steps in lossy_steps(),
        swaps in prop::collection::vec((0..400_usize, 0..400_usize), 0..40),
        max_calls in 1..20_usize,
    ) {
        let (mut gate, _) = run(&steps);
        let length = gate.events.len();
        for (left, right) in swaps {
            if left < length && right < length {
                gate.events.swap(left, right);
            }
        }
        for settings in [
            AssemblerSettings::trees(),
            AssemblerSettings::stream(),
            bounded(max_calls, 30, None, None),
        ] {
            assemble(settings, &gate.events, gate.now);
        }
    }
}

/// Its RETs have lost their probes, and no event has said so yet.
#[test]
fn a_call_that_was_open_when_its_function_was_promoted_is_approximate() {
    let [root, caller, callee] = [0, 2, 3].map(FunctionId);
    let mut gate = GateSimulator::new(TARGETS);
    for function in [root, caller, callee] {
        gate.call(GOROUTINES[0], function);
    }
    gate.returning_at_once = [caller].into();
    gate.promoted = [caller, callee].into();
    gate.ret(GOROUTINES[0]);
    gate.ret(GOROUTINES[0]);
    let (_, statistics) = assemble(AssemblerSettings::trees(), &gate.events, gate.now);
    let ends = statistics.ends;
    assert_eq!((ends.returned, ends.approximate), (2, 1));
    assert_eq!(ends.exit_lost, 0);
}
