//! Scripted programs, shown through the command line's own options.

#![allow(dead_code, reason = "every test uses its part of it")]

use std::num::NonZero;

use crate::gate_simulator::{GateSimulator, code_address};
use crate::golden::{
    ELSEWHERE, FIRST, HOSTILE, LEAF, MIDDLE, OTHER, REALTIME_MINUS_MONOTONIC_NS, ROOT, SECOND,
    TestSymbols, plain_tree, program,
};
use gofuncgraph::cli::{self, Command, Environment, OutputSettings};
use gofuncgraph::events::{Goroutine, ProcessEnd, ProcessEnding};
use gofuncgraph::kernel::{HitCosts, PerKind};
use gofuncgraph::output::WallClock;
use gofuncgraph::session::{View, ViewContext};
use gofuncgraph::trace::NetCosts;
use jiff::tz::{TimeZone, offset};

/// What `replay` would show with `options`.
pub fn settings(options: &[&str]) -> OutputSettings {
    let words = ["gofuncgraph", "replay"].iter().chain(options);
    let words: Vec<&str> = words.copied().chain(["trace.rec"]).collect();
    match cli::parse_in(&Environment { no_color: false }, &words) {
        Ok(Command::Replay(replay)) => replay.view,
        other => panic!("{words:?} gave {other:?}"),
    }
}

/// What `--net` takes off.
pub fn net_costs() -> NetCosts {
    let costs = HitCosts {
        inside_ns: PerKind::from_array([100, 900, 150, 60]),
        outside_ns: PerKind::default(),
        least_by_return_ns: 90,
        least_by_observer_ns: 80,
    };
    NetCosts::new(costs, [OTHER])
}

/// A view that has seen nothing yet, of whole trees unless `--stream` is among the options.
pub fn view(options: &[&str]) -> View<'static> {
    let settings = settings(options);
    let context = ViewContext {
        symbols: Box::new(TestSymbols),
        wall_clock: WallClock::new(REALTIME_MINUS_MONOTONIC_NS, TimeZone::fixed(offset(2))),
        beginning: None,
        program: "server".to_owned(),
        mode: settings.mode(true),
        max_calls: settings.max_calls.unwrap_or(NonZero::<u64>::MAX),
        count: None,
        net: settings.net.then(net_costs),
        promotes: false,
        output_is_terminal: false,
        screen: None,
    };
    View::new(&settings, context)
}

/// Everything that is written for each `--format`, in their order.
pub fn outputs(options: &[&str], program: &GateSimulator) -> Vec<String> {
    let mut view = view(options);
    for event in &program.events {
        view.handle(event);
    }
    view.finish(program.now);
    let mut outputs = vec![String::new(); view.destinations().len()];
    for (destination, bytes) in view.take_output() {
        outputs[destination.0] = String::from_utf8(bytes).expect("every format is UTF-8");
    }
    outputs
}

/// What is written in the only format.
pub fn output(options: &[&str], program: &GateSimulator) -> String {
    let mut outputs = outputs(options, program);
    assert_eq!(outputs.len(), 1, "{options:?}");
    outputs.remove(0)
}

/// Goroutines of two processes; leaves, recursion, durations of every size, a recovered panic, a
/// goroutine's exit, lost entries and exits, hostile names, calls that are still open.
pub fn story() -> GateSimulator {
    let mut program = program();
    program.step_ns = 400;
    plain_tree(&mut program, FIRST);
    program.step_ns = 15_000;
    program.call(FIRST, ROOT);
    program.call(SECOND, ROOT);
    program.call(FIRST, MIDDLE);
    program.call(SECOND, HOSTILE);
    program.ret(SECOND);
    program.call(FIRST, MIDDLE);
    program.wait_ns(2_345_678);
    program.ret(FIRST);
    program.ret(FIRST);
    program.wait_ns(123_456_789);
    program.ret(SECOND);
    program.ret(FIRST);
    // A panic two calls deep.
    program.call(SECOND, ROOT);
    program.call(SECOND, MIDDLE);
    program.call(SECOND, LEAF);
    program.recover(SECOND, 1);
    program.call(SECOND, OTHER);
    program.ret(SECOND);
    program.ret(SECOND);
    // The ring is full for a while.
    program.call(FIRST, ROOT);
    program.losing(|program| program.call(FIRST, MIDDLE));
    program.call(FIRST, LEAF);
    program.ret(FIRST);
    program.ret(FIRST);
    program.call(FIRST, OTHER);
    program.losing(|program| program.ret(FIRST));
    program.call(FIRST, LEAF);
    program.wait_ns(1_500_000_000);
    program.ret(FIRST);
    program.ret(FIRST);
    // Another process, which exits.
    program.call(ELSEWHERE, ROOT);
    program.call(ELSEWHERE, LEAF);
    program.end_process(ELSEWHERE.pid, ProcessEnd::Exited);
    program.call(SECOND, ROOT);
    program.call(SECOND, MIDDLE);
    program.goexit(SECOND);
    program.call(FIRST, ROOT);
    program.call(FIRST, MIDDLE);
    program.stop();
    program
}

/// Panics that are recovered, in a call with probes, in one without, inside of one another, and
/// with records lost; `runtime.Goexit`; processes that end in every way that is told apart.
pub fn panics() -> GateSimulator {
    let mut program = program();
    let calls = |program: &mut GateSimulator, goroutine| {
        for function in [ROOT, MIDDLE, LEAF] {
            program.call(goroutine, function);
        }
    };
    calls(&mut program, FIRST);
    program.panic(FIRST);
    program.call(FIRST, OTHER);
    program.ret(FIRST);
    program.recover_told(FIRST, 1);
    // `leaf` calls what has no probes.
    program.call(FIRST, LEAF);
    program.panic_in(FIRST, OTHER);
    program.recover_told(FIRST, 1);
    program.ret(FIRST);
    // `other` is a deferred call of `middle`, and panics as well.
    for function in [ROOT, MIDDLE] {
        program.call(FIRST, function);
    }
    program.panic(FIRST);
    for function in [OTHER, LEAF] {
        program.call(FIRST, function);
    }
    program.panic(FIRST);
    program.recover_told(FIRST, 1);
    program.ret(FIRST);
    // What tells of the panic is lost, then what tells of the recovery.
    calls(&mut program, FIRST);
    program.losing(|program| program.panic(FIRST));
    program.recover_told(FIRST, 2);
    program.ret(FIRST);
    program.ret(FIRST);
    calls(&mut program, FIRST);
    program.panic(FIRST);
    program.losing(|program| program.recover_told(FIRST, 1));
    program.call(FIRST, OTHER);
    program.ret(FIRST);
    program.ret(FIRST);
    calls(&mut program, SECOND);
    program.goexit_told(SECOND);
    let place = code_address(Some(OTHER));
    let endings = [
        ProcessEnding::Panic { origin: place },
        ProcessEnding::Panic { origin: None },
        ProcessEnding::Exit {
            code: -1,
            call: place,
        },
        ProcessEnding::FatalError,
        ProcessEnding::Signal { number: 9 },
        ProcessEnding::Signal { number: 40 },
        ProcessEnding::Unknown,
    ];
    for (pid, ending) in (80..).zip(endings) {
        let goroutine = Goroutine { pid, goid: 1 };
        program.call(goroutine, ROOT);
        program.call(goroutine, LEAF);
        program.process_ending(pid, ending);
        program.end_process(pid, ProcessEnd::Exited);
    }
    program.stop();
    program
}

/// A root that calls `middle` three times, which calls `leaf`; then a plain tree.
pub fn long_tree() -> GateSimulator {
    let mut program = program();
    program.call(FIRST, ROOT);
    for _ in 0..3 {
        program.call(FIRST, MIDDLE);
        program.call(FIRST, LEAF);
        program.ret(FIRST);
        program.ret(FIRST);
    }
    program.ret(FIRST);
    plain_tree(&mut program, FIRST);
    program
}

/// Calls that were open when tracing began: with calls in them, with none, and up to the end.
pub fn already_open() -> GateSimulator {
    let mut program = program();
    program.searches_already_open = true;
    program.step_ns = 15_000;
    for function in [OTHER, ROOT, MIDDLE] {
        program.call_unseen(FIRST, function);
    }
    for goroutine in [SECOND, ELSEWHERE] {
        program.call_unseen(goroutine, ROOT);
    }
    program.call(FIRST, LEAF);
    program.ret(SECOND);
    program.ret(FIRST);
    program.ret(FIRST);
    program.call(ELSEWHERE, LEAF);
    program.ret(ELSEWHERE);
    program.wait_ns(123_456_789);
    for function in [MIDDLE, LEAF] {
        program.call(FIRST, function);
    }
    for _ in 0..4 {
        program.ret(FIRST);
    }
    plain_tree(&mut program, SECOND);
    program.stop();
    program
}
