//! Random programs that lose events at random, in formats that have rules.

#[path = "support/gate_simulator.rs"]
mod gate_simulator;
#[path = "support/golden.rs"]
mod golden;
#[path = "support/trace_events.rs"]
mod trace_events;
#[path = "support/viewed.rs"]
mod viewed;

use gate_simulator::GateSimulator;
use gofuncgraph::events::Goroutine;
use gofuncgraph::plan::FunctionId;
use golden::{ELSEWHERE, FIRST, HOSTILE, LEAF, MIDDLE, OTHER, ROOT, SECOND};
use proptest::prelude::*;
use serde_json::Value;
use trace_events::check_chrome;
use viewed::output;

const GOROUTINES: [Goroutine; 3] = [FIRST, SECOND, ELSEWHERE];
const FUNCTIONS: [FunctionId; 5] = [ROOT, MIDDLE, LEAF, OTHER, HOSTILE];

#[derive(Clone, Copy, Debug)]
enum Action {
    Call(FunctionId),
    Return,
    /// The goroutine's stack is unwound to so many percent of its height.
    Recover(usize),
    Goexit,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    goroutine: Goroutine,
    action: Action,
    is_lost: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let action = prop_oneof![
        8 => prop::sample::select(&FUNCTIONS[..]).prop_map(Action::Call),
        6 => Just(Action::Return),
        1 => (0..100_usize).prop_map(Action::Recover),
        1 => Just(Action::Goexit),
    ];
    let goroutine = prop::sample::select(&GOROUTINES[..]);
    let step = (goroutine, action, prop::bool::weighted(0.15));
    let step = step.prop_map(|(goroutine, action, is_lost)| Step {
        goroutine,
        action,
        is_lost,
    });
    prop::collection::vec(step, 0..120)
}

fn run(steps: &[Step]) -> GateSimulator {
    let mut program = golden::program();
    for step in steps {
        program.ring_is_full = step.is_lost;
        let height = program.stack_height(step.goroutine);
        match step.action {
            Action::Call(function) => program.call(step.goroutine, function),
            _ if height == 0 => {}
            Action::Return => program.ret(step.goroutine),
            Action::Recover(percent) => program.recover(step.goroutine, height * percent / 100),
            Action::Goexit => program.goexit(step.goroutine),
        }
    }
    program.ring_is_full = false;
    program.stop();
    program
}

fn options() -> impl Strategy<Value = Vec<String>> {
    let option = prop_oneof![
        Just(vec!["--stream".to_owned()]),
        (1..5_u32).prop_map(|calls| vec!["--max-calls".to_owned(), calls.to_string()]),
        (1..5_u32, 1..20_u32).prop_map(|(calls, time)| {
            let slower = format!("{time}ms");
            let calls = calls.to_string();
            ["--max-calls", &calls, "--slower-than", &slower]
                .map(str::to_owned)
                .to_vec()
        }),
        (1..4_u32).prop_map(|trees| vec!["--top".to_owned(), trees.to_string()]),
    ];
    let hidden =
        (1..10_u32).prop_map(|time| vec!["--calls-slower-than".to_owned(), format!("{time}ms")]);
    (prop::option::of(option), prop::option::of(hidden)).prop_map(|options| {
        [options.0, options.1]
            .into_iter()
            .flatten()
            .flatten()
            .collect()
    })
}

fn shown(format: &str, options: &[String], program: &GateSimulator) -> String {
    let options = options.iter().map(String::as_str);
    let options: Vec<&str> = ["-f", format].into_iter().chain(options).collect();
    output(&options, program)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Trace events keep the format's rules, and are of the calls that JSON Lines tell of.
    #[test]
    fn trace_events_keep_the_formats_rules(steps in steps(), options in options()) {
        let program = run(&steps);
        let slices = check_chrome(&shown("chrome", &options, &program));
        let mut told: Vec<(u64, u64, String)> = shown("jsonl", &options, &program)
            .lines()
            .map(|line| serde_json::from_str(line).expect("every line is JSON"))
            .filter(|line: &Value| line.get("function").is_some())
            .map(|call| {
                let number = |field: &str| call[field].as_u64().expect("a number");
                let function = call["function"].as_str().expect("text").to_owned();
                (number("pid"), number("goid"), function)
            })
            .collect();
        told.sort();
        let mut slices: Vec<_> = slices
            .into_iter()
            .map(|(pid, tid, function, ..)| (pid, tid, function))
            .collect();
        slices.sort();
        prop_assert_eq!(slices, told);
    }
}
