//! Durations without what probes cost, from programs whose probes cost exactly what is known.

#[path = "support/gate_simulator.rs"]
mod gate_simulator;
#[path = "support/golden.rs"]
mod golden;

use std::sync::Arc;
use std::time::Duration;

use gate_simulator::GateSimulator;
use gofuncgraph::kernel::{HitCosts, PerKind};
use gofuncgraph::plan::FunctionId;
use gofuncgraph::trace::{
    Assembler, AssemblerSettings, DEFAULT_MAX_BUFFERED_CALLS, Delivery, LineBody, NetCosts, Note,
    TraceLine,
};
use golden::{FIRST, LEAF, Lines, MIDDLE, OTHER, ROOT};
use proptest::prelude::*;

/// What goes by before the moment of a hit is taken, and after it.
#[derive(Clone, Copy)]
struct Cost {
    before_ns: u64,
    after_ns: u64,
}

impl Cost {
    fn total_ns(self) -> u64 {
        self.before_ns + self.after_ns
    }
}

const ENTRY: Cost = Cost {
    before_ns: 300,
    after_ns: 600,
};
const STEPPED_ENTRY: Cost = Cost {
    before_ns: 300,
    after_ns: 11_600,
};
const RETURN: Cost = Cost {
    before_ns: 350,
    after_ns: 10_650,
};
const OBSERVER: Cost = Cost {
    before_ns: 320,
    after_ns: 250,
};

fn net_costs() -> NetCosts {
    let costs = HitCosts {
        inside_ns: PerKind {
            entries: ENTRY.total_ns(),
            stepped_entries: STEPPED_ENTRY.total_ns(),
            returns: RETURN.total_ns(),
            observers: OBSERVER.total_ns(),
        },
        outside_ns: PerKind::default(),
        least_by_return_ns: ENTRY.after_ns + RETURN.before_ns,
        least_by_observer_ns: ENTRY.after_ns + OBSERVER.before_ns,
    };
    NetCosts::new(costs, [MIDDLE])
}

/// A program that waits for its probes.
struct Waiting {
    gate: GateSimulator,
    /// Without probes, since the program began.
    own_ns: u64,
    open: Vec<(FunctionId, u64)>,
    end_of_middle: Cost,
    /// In the order in which calls end.
    durations_ns: Vec<(FunctionId, u64)>,
}

impl Waiting {
    fn new() -> Self {
        let mut gate = GateSimulator::new([ROOT]);
        gate.step_ns = 0;
        gate.promoted = [LEAF].into();
        Self {
            gate,
            own_ns: 0,
            open: Vec::new(),
            end_of_middle: RETURN,
            durations_ns: Vec::new(),
        }
    }

    fn work(&mut self, time_ns: u64) {
        self.own_ns += time_ns;
        self.gate.wait_ns(time_ns);
    }

    fn call(&mut self, function: FunctionId) {
        let cost = if function == MIDDLE {
            STEPPED_ENTRY
        } else {
            ENTRY
        };
        self.gate.wait_ns(cost.before_ns);
        self.gate.call(FIRST, function);
        self.gate.wait_ns(cost.after_ns);
        self.open.push((function, self.own_ns));
    }

    fn ret(&mut self) {
        let mut outermost = self.end_innermost();
        while let Some((caller, _)) = self.open.last()
            && self.gate.returning_at_once.contains(caller)
        {
            outermost = self.end_innermost();
        }
        let cost = match outermost {
            LEAF => OBSERVER,
            MIDDLE => self.end_of_middle,
            _ => RETURN,
        };
        self.gate.wait_ns(cost.before_ns);
        self.gate.ret(FIRST);
        self.gate.wait_ns(cost.after_ns);
    }

    fn end_innermost(&mut self) -> FunctionId {
        let (function, begin) = self.open.pop().expect("it was called");
        self.durations_ns.push((function, self.own_ns - begin));
        function
    }

    /// What is shown for each end.
    fn shown(&self, delivery: Delivery, net: Option<NetCosts>) -> Vec<(FunctionId, u64)> {
        let settings = AssemblerSettings {
            delivery,
            count: None,
        };
        let mut assembler = Assembler::new(settings).with_net(net.map(Arc::new));
        let mut lines = Vec::new();
        for event in &self.gate.events {
            assembler.handle(event, &mut Lines(&mut lines));
        }
        assembler.finish(self.gate.now, &mut Lines(&mut lines));
        lines.iter().filter_map(ended).collect()
    }
}

fn ended(line: &TraceLine) -> Option<(FunctionId, u64)> {
    match line.body {
        LineBody::End {
            function,
            duration: Some(duration),
            ..
        }
        | LineBody::Note(Note::EndedAfterCut {
            function,
            duration: Some(duration),
            ..
        }) => Some((function, duration.as_nanos() as u64)),
        _ => None,
    }
}

fn trees(max_calls: usize, slower_than: Option<Duration>) -> Delivery {
    Delivery::Trees {
        max_calls,
        max_buffered_calls: DEFAULT_MAX_BUFFERED_CALLS,
        slower_than,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Call(FunctionId),
    Return,
    Work(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let function = prop::sample::select(vec![MIDDLE, LEAF, OTHER]);
    prop::collection::vec(
        prop_oneof![
            function.prop_map(Step::Call),
            Just(Step::Return),
            (0..50_000_u64).prop_map(Step::Work),
        ],
        0..80,
    )
}

fn run(steps: &[Step]) -> Waiting {
    run_on(Waiting::new(), steps)
}

fn run_on(mut program: Waiting, steps: &[Step]) -> Waiting {
    program.call(ROOT);
    for step in steps {
        match *step {
            Step::Call(function) => program.call(function),
            Step::Return if program.open.len() > 1 => program.ret(),
            Step::Return => {}
            Step::Work(time_ns) => program.work(time_ns),
        }
    }
    while !program.open.is_empty() {
        program.ret();
    }
    program
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn durations_are_those_without_probes(steps in steps()) {
        let program = run(&steps);
        for delivery in [Delivery::Stream, trees(1_000, None), trees(3, None)] {
            let shown = program.shown(delivery, Some(net_costs()));
            prop_assert_eq!(&shown, &program.durations_ns, "{:?}", delivery);
        }
    }
}

/// One hit tells of the ends of both, and is taken off once.
#[test]
fn a_caller_that_returns_at_once_shares_the_hit() {
    let calls = [MIDDLE, LEAF].map(Step::Call);
    let steps = [&calls[..], &[Step::Work(1_000), Step::Return]].concat();
    for middle_is_promoted in [false, true] {
        let mut program = Waiting::new();
        program.gate.returning_at_once = [MIDDLE].into();
        if middle_is_promoted {
            program.gate.promoted.insert(MIDDLE);
            program.end_of_middle = OBSERVER;
        }
        let program = run_on(program, &steps);
        for delivery in [Delivery::Stream, trees(1_000, None), trees(3, None)] {
            let shown = program.shown(delivery, Some(net_costs()));
            assert_eq!(shown, [(LEAF, 1_000), (MIDDLE, 1_000), (ROOT, 1_000)]);
        }
    }
}

#[test]
fn without_it_durations_are_those_that_went_by() {
    let program = run(&[Step::Call(LEAF), Step::Work(1_000), Step::Return]);
    let leaf_ns = 1_000 + ENTRY.after_ns + OBSERVER.before_ns;
    let root_ns = 1_000 + ENTRY.after_ns + ENTRY.total_ns() + OBSERVER.total_ns();
    let expected = [(LEAF, leaf_ns), (ROOT, root_ns + RETURN.before_ns)];
    assert_eq!(program.shown(Delivery::Stream, None), expected);
}

#[test]
fn a_hit_that_was_cheaper_than_measured_makes_no_duration_negative() {
    let mut program = Waiting::new();
    program.gate.call(FIRST, ROOT);
    program.gate.call(FIRST, MIDDLE);
    program.gate.wait_ns(200);
    program.gate.ret(FIRST);
    program.gate.ret(FIRST);
    for delivery in [Delivery::Stream, trees(1_000, None)] {
        let shown = program.shown(delivery, Some(net_costs()));
        assert_eq!(shown, [(MIDDLE, 0), (ROOT, 0)]);
    }
}

#[test]
fn a_tree_is_slow_only_if_it_is_so_without_probes() {
    let program = run(&[Step::Call(MIDDLE), Step::Work(30_000), Step::Return]);
    for (least_us, is_shown) in [(30, true), (31, false)] {
        for max_calls in [1_000, 1] {
            let delivery = trees(max_calls, Some(Duration::from_micros(least_us)));
            let shown = program.shown(delivery, Some(net_costs()));
            assert_eq!(
                !shown.is_empty(),
                is_shown,
                "{least_us} us, {max_calls} calls"
            );
            let shown = program.shown(delivery, None);
            assert!(!shown.is_empty());
        }
    }
}
