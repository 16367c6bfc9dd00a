//! A program that knows how often each of its functions was called, traced and compared.

mod support;

use std::time::Duration;

use support::go_build::{Flavor, Variant};
use support::memory::Repaging;
use support::oracle::{
    self, RETURNING, RETURNING_STAGES, Truth, counts_by_counted_name, trace_round,
};
use support::private_binary::{PrivateBinary, releases};
use support::program::Program;
use support::text::{End, Layout, Trace};
use support::tracer::Tracer;

/// Demands that `trace` has what happened, of the functions that `is_traced`.
fn assert_is_true(trace: &Trace, truth: &Truth, is_traced: impl Fn(&str) -> bool) {
    let traced = counts_by_counted_name(trace);
    let mut differences = Vec::new();
    for (name, truth) in truth.counts.iter().filter(|(name, _)| is_traced(name)) {
        let traced = traced.get(name).copied().unwrap_or_default();
        if traced != *truth {
            differences.push(format!("{name}: traced {traced:?}, in truth {truth:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Demands that measured durations lie between what the program measured inside and around
/// each call.
fn assert_sleeps_are_measured(trace: &Trace, truth: &Truth) {
    let is_sleep = |name: &str| truth.sleeps.iter().any(|(sleep, _, _)| sleep == name);
    let traced: Vec<_> = trace
        .calls
        .iter()
        .filter(|call| is_sleep(&call.name))
        .collect();
    assert_eq!(traced.len(), truth.sleeps.len());
    assert!(!traced.is_empty(), "the stage of the sleeps was run");
    let rounding = Duration::from_micros(1);
    for (call, (name, inner, outer)) in traced.iter().zip(&truth.sleeps) {
        assert_eq!(call.name, *name);
        let duration = call.duration.expect("a seen call has a duration");
        assert!(
            *inner <= duration + rounding && duration <= *outer + rounding,
            "{name} took {inner:?} to {outer:?}, and is shown with {duration:?}"
        );
    }
}

/// What the programs read may not be mapped at the moment.
#[test]
fn pages_that_are_not_mapped_hide_no_call() {
    const ROUNDS: usize = 4;
    let [_, variant] = releases(Flavor::Plain);
    let binary = PrivateBinary::program_variant("oracle", variant);
    let mut oracle = Program::start(binary.path(), &[]);
    let tracer = Tracer::start(binary.path(), &["-u", "main.*", "--promote", "off"], &[]);
    let repaging = Repaging::start(&oracle);
    let mut truth = oracle::round(&mut oracle);
    for _ in 1..ROUNDS {
        truth.add(oracle::round(&mut oracle));
    }
    assert!(repaging.stop() > 100, "pages were taken away all the time");
    let outcome = tracer.stop();
    outcome.summary().assert_nothing_lost();
    let trace = outcome.stream();
    assert_eq!(trace.total().ended_otherwise, 0);
    assert_is_true(&trace, &truth, |_| true);
}

/// All functions together, then single ones, all in one process.
fn every_call_is_traced(variant: Variant) {
    let binary = PrivateBinary::program_variant("oracle", variant);
    let mut oracle = Program::start(binary.path(), &[]);

    let all = ["-u", "main.*"];
    let (outcome, truth) = trace_round(&mut oracle, binary.path(), &all, &[]);
    outcome.summary().assert_nothing_lost();
    let trace = outcome.stream();
    assert_eq!(
        trace.total().ended_otherwise,
        0,
        "each call ended while it was traced"
    );
    assert_is_true(&trace, &truth, |_| true);
    assert_sleeps_are_measured(&trace, &truth);
    let happened: u64 = truth.counts.values().map(|counts| counts.entries).sum();
    assert!(happened > 30_000, "only {happened} calls prove little");

    for alone in ["main.fall", "main.sumTree"] {
        let (outcome, truth) = trace_round(&mut oracle, binary.path(), &["-u", alone], &[]);
        outcome.summary().assert_nothing_lost();
        let trace = outcome.stream();
        assert_eq!(trace.names().into_iter().collect::<Vec<_>>(), [alone]);
        assert_is_true(&trace, &truth, |name| name == alone);
    }

    let (rest, status) = oracle.finish();
    assert!(status.success(), "the oracle ended with {status}: {rest:?}");
}

#[test]
fn every_call_is_traced_in_plain_programs() {
    releases(Flavor::Plain)
        .into_iter()
        .for_each(every_call_is_traced);
}

/// Entries are at the branch of the stack check, which is taken before a stack grows and when a
/// goroutine is preempted.
#[test]
fn every_call_is_traced_in_programs_of_older_releases() {
    every_call_is_traced(Variant {
        toolchain: "go1.20.14",
        flavor: Flavor::Plain,
    });
}

#[test]
fn every_call_is_traced_in_programs_without_symbols() {
    releases(Flavor::NoSymbols)
        .into_iter()
        .for_each(every_call_is_traced);
}

/// C calls back, also on threads of its own.
#[test]
fn every_call_is_traced_in_programs_with_c() {
    releases(Flavor::Cgo)
        .into_iter()
        .for_each(every_call_is_traced);
}

#[test]
fn every_call_is_traced_in_position_independent_programs() {
    releases(Flavor::Pie)
        .into_iter()
        .for_each(every_call_is_traced);
}

#[test]
fn a_target_shows_what_it_calls_and_nothing_else() {
    let binary = PrivateBinary::program("oracle");
    let mut oracle = Program::start(binary.path(), &["-stages", "goroutines,closures"]);
    let shown = ["-u", "main.middle,main.leaf,main.apply"];
    let (outcome, truth) = trace_round(&mut oracle, binary.path(), &shown, &["main.worker"]);

    let summary = outcome.summary();
    summary.assert_nothing_lost();
    let trace = outcome.trees();
    assert_eq!(truth.counts["main.worker"].entries, 1000);
    assert_eq!((summary.trees, summary.calls), (1000, 6000));
    let shape = "main.worker(main.middle(main.leaf) main.middle(main.leaf) main.leaf)";
    assert_eq!(trace.shapes(), vec![shape; 1000]);
    assert!(
        trace
            .calls
            .iter()
            .all(|call| matches!(call.end, End::Returned(Some(_))))
    );
}

#[test]
fn generic_functions_are_told_apart_by_their_shapes() {
    let binary = PrivateBinary::program("oracle");
    let mut oracle = Program::start(binary.path(), &["-stages", "generics"]);
    let one = "main.total[go.shape.int]";
    let (outcome, _) = trace_round(&mut oracle, binary.path(), &[], &[one]);
    assert_eq!(outcome.trees().shapes(), ["main.total[int]"]);
}

#[test]
fn only_slow_trees_are_kept() {
    let binary = PrivateBinary::program("oracle");
    let mut oracle = Program::start(binary.path(), &["-stages", "sleeps"]);
    let targets = ["main.sleep20ms", "main.sleep50ms"];
    let slow = ["--slower-than", "50ms"];
    let (outcome, truth) = trace_round(&mut oracle, binary.path(), &slow, &targets);
    let trace = outcome.trees();
    let certainly = truth
        .sleeps
        .iter()
        .filter(|(_, inner, _)| *inner >= Duration::from_millis(50));
    let possibly = truth
        .sleeps
        .iter()
        .filter(|(_, _, outer)| *outer >= Duration::from_millis(50));
    assert!((certainly.count()..=possibly.count()).contains(&trace.trees.len()));
    assert!(trace.calls_of("main.sleep50ms").count() >= 3);
    for call in &trace.calls {
        assert!(
            call.duration
                .is_some_and(|duration| duration >= Duration::from_millis(50))
        );
    }
}

#[test]
fn times_have_the_digits_that_were_asked_for() {
    let binary = PrivateBinary::program("oracle");
    let mut oracle = Program::start(binary.path(), &["-stages", "sleeps"]);
    for digits in [4, 9] {
        let option = digits.to_string();
        let options = ["--time-digits", &option];
        let (outcome, _) = trace_round(&mut oracle, binary.path(), &options, &["main.sleep20ms"]);
        let trace = Trace::parse(&outcome.stdout, Layout::Trees, digits, None);
        assert_eq!(trace.shapes(), ["main.sleep20ms"; 3]);
        for call in &trace.calls {
            assert!(
                call.duration
                    .is_some_and(|duration| duration >= Duration::from_millis(20))
            );
        }
    }
}

#[test]
fn trees_go_to_a_file() {
    let binary = PrivateBinary::program("oracle");
    let mut oracle = Program::start(binary.path(), &["-stages", "sleeps"]);
    let file = binary.beside("trees.txt");
    let options = ["-o", file.to_str().expect("our paths are UTF-8")];
    let (outcome, _) = trace_round(&mut oracle, binary.path(), &options, &["main.sleep20ms"]);
    outcome.assert_code(0);
    assert_eq!(outcome.stdout, "");
    let text = std::fs::read_to_string(&file).expect("the file was written");
    assert_eq!(
        Trace::parse(&text, Layout::Trees, 6, None).shapes(),
        ["main.sleep20ms"; 3]
    );
}

/// Traces more than fits into the ring. Whatever gets lost, it is counted exactly.
fn shown_and_lost_are_what_happened(buffer: &str) -> u64 {
    let binary = PrivateBinary::program("oracle");
    let mut oracle = Program::start(binary.path(), &RETURNING_STAGES);
    let functions = RETURNING.join(",");
    let options = ["--buffer", buffer, "-u", &functions];
    let (outcome, truth) = trace_round(&mut oracle, binary.path(), &options, &[]);

    let happened: u64 = RETURNING
        .iter()
        .map(|&name| truth.counts[name].entries)
        .sum();
    assert!(happened > 10_000, "only {happened} calls prove little");
    let summary = outcome.summary();
    let trace = outcome.stream();
    let shown = trace.total();
    assert_eq!(
        shown.entries + summary.lost_entries,
        happened,
        "entries; {summary:?}"
    );
    assert_eq!(
        shown.returned + summary.lost_exits,
        happened,
        "exits; {summary:?}"
    );
    for (name, shown) in trace.counts() {
        let truth = &truth.counts[name];
        assert!(
            shown.entries <= truth.entries,
            "more entries of {name} than calls"
        );
        assert!(
            shown.returned <= truth.returned,
            "more exits of {name} than calls"
        );
    }
    summary.lost_entries + summary.lost_exits
}

#[test]
fn what_a_tiny_buffer_loses_is_counted() {
    let lost = shown_and_lost_are_what_happened("4K");
    assert!(lost > 0, "the buffer was meant to be too small");
}

#[test]
fn what_a_small_buffer_loses_is_counted() {
    shown_and_lost_are_what_happened("64K");
}

#[test]
fn lost_entries_of_targets_are_counted() {
    let binary = PrivateBinary::program("oracle");
    let mut oracle = Program::start(binary.path(), &["-stages", "goroutines"]);
    let options = ["--buffer", "4K", "-u", "main.middle"];
    let (outcome, truth) = trace_round(&mut oracle, binary.path(), &options, &["main.worker"]);
    let summary = outcome.summary();
    let happened = truth.counts["main.worker"].entries + truth.counts["main.middle"].entries;
    let shown = outcome.trees().total();
    assert_eq!(
        shown.entries + summary.lost_entries,
        happened,
        "entries; {summary:?}"
    );
    assert_eq!(
        shown.returned + summary.lost_exits,
        happened,
        "exits; {summary:?}"
    );
}
