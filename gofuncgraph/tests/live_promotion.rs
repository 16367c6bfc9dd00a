//! Functions whose returns are seen where they return to: everything that happens is still shown,
//! once and where it belongs.

mod support;

use std::fs;
use std::time::Instant;

use support::PATIENCE;
use support::go_build::{Flavor, Variant};
use support::memory;
use support::oracle::{self, RETURNING, RETURNING_STAGES, Truth, counts_by_counted_name};
use support::private_binary::{PrivateBinary, releases};
use support::program::Program;
use support::text::{Call, End, Layout, Trace};
use support::tracer::{self, Outcome, Tracer};

/// Said with `-v` when probes were changed.
const PROMOTED: &str = "promoted by now: ";

const ROUNDS: usize = 4;

/// Runs the oracle until functions are promoted, and then some rounds.
fn trace_rounds(binary: &PrivateBinary, options: &[&str]) -> (Outcome, Truth) {
    let mut program = Program::start(binary.path(), &[]);
    // Goroutines that spin take the processors that the tracer would need.
    let options = [&["-v", "-u", "main.*", "--buffer", "64M"], options].concat();
    let mut tracer = Tracer::start(binary.path(), &options, &[]);
    let mut truth = oracle::round(&mut program);
    tracer.wait_until_said(PROMOTED);
    for _ in 0..ROUNDS {
        truth.add(oracle::round(&mut program));
    }
    (tracer.stop(), truth)
}

/// Demands that every call is there and ended once, as it did as far as that is known.
fn assert_counted(trace: &Trace, truth: &Truth) {
    let shown = counts_by_counted_name(trace);
    let mut differences = Vec::new();
    for (name, truth) in &truth.counts {
        let shown = shown.get(name).copied().unwrap_or_default();
        let ended = shown.returned + shown.unwound + shown.ended_otherwise;
        let is_right = shown.entries == truth.entries
            && ended == truth.entries
            && shown.entries_lost == 0
            && shown.returned <= truth.returned
            && shown.unwound <= truth.unwound;
        if !is_right {
            differences.push(format!("{name}: traced {shown:?}, in truth {truth:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    // Nothing was lost, so nothing can have lost its end.
    let known = |end: &End| matches!(end, End::Returned(_) | End::Unwound | End::Approximate);
    let other = trace.calls.iter().find(|call| !known(&call.end));
    assert!(other.is_none(), "{other:?}");
}

fn every_call_is_traced(variant: Variant, promote: &str) {
    let binary = PrivateBinary::program_variant("oracle", variant);
    let (outcome, truth) = trace_rounds(&binary, &["--promote", promote]);
    outcome.summary().assert_nothing_lost();
    let trace = outcome.stream();
    assert_counted(&trace, &truth);
    assert!(truth.calls() > 100_000);
    let unknown_return = End::Returned(None);
    let observed = trace.calls.iter().filter(|call| call.end == unknown_return);
    assert!(observed.count() > 100, "observers did end calls");
}

#[test]
fn every_call_is_traced_when_all_functions_are_promoted() {
    for variant in releases(Flavor::Plain) {
        every_call_is_traced(variant, "all");
    }
}

#[test]
fn every_call_is_traced_when_functions_that_c_calls_are_promoted() {
    for variant in releases(Flavor::Cgo) {
        every_call_is_traced(variant, "all");
    }
}

#[test]
fn every_call_is_traced_when_hot_functions_are_promoted() {
    for variant in releases(Flavor::Pie) {
        every_call_is_traced(variant, "auto");
    }
}

/// Probes on RETs are kept beside the observers: no call is said to be over before it is.
#[test]
fn observers_are_never_early() {
    for variant in releases(Flavor::NoSymbols) {
        let binary = PrivateBinary::program_variant("oracle", variant);
        let (outcome, truth) = trace_rounds(&binary, &["--promote", "all", "--verify-exits"]);
        outcome.summary().assert_nothing_lost();
        assert_counted(&outcome.stream(), &truth);
        let said = outcome.stderr.iter();
        let mut counts = said.filter_map(|line| line.strip_prefix("verified exits: "));
        let counts = counts.next().expect("it was asked for");
        let number = |what: &str| -> u64 {
            let of = |item: &str| item.strip_prefix(what)?.trim().parse().ok();
            counts
                .split(", ")
                .find_map(of)
                .unwrap_or_else(|| panic!("no {what:?} in {counts:?}"))
        };
        assert_eq!((number("early"), number("unchecked")), (0, 0), "{counts}");
        assert!(number("exact") > number("late"), "{counts}");
    }
}

/// Tiers change while everything is called: nothing is lost, doubled, or shown where it was not.
#[test]
fn every_call_is_traced_while_functions_are_promoted_and_given_back() {
    // At each turn all functions of the oracle that were called move: hundreds in all.
    const TURNS: usize = 20;
    let [_, with_c] = releases(Flavor::Cgo);
    for variant in releases(Flavor::Plain).into_iter().chain([with_c]) {
        let binary = PrivateBinary::program_variant("oracle", variant);
        let mut program = Program::start(binary.path(), &[]);
        let options = ["-v", "-u", "main.*", "--promote", "alternate"];
        let mut tracer = Tracer::start(binary.path(), &options, &[]);
        let mut truth = oracle::round(&mut program);
        let deadline = Instant::now() + PATIENCE;
        while tracer.times_said(PROMOTED) < 2 * TURNS {
            assert!(Instant::now() < deadline, "tiers change too seldom");
            truth.add(oracle::round(&mut program));
        }
        let outcome = tracer.stop();
        outcome.summary().assert_nothing_lost();
        assert_counted(&outcome.stream(), &truth);
        let ends = |how: &str| {
            outcome
                .stderr
                .iter()
                .filter(|line| line.contains(how))
                .count()
        };
        assert!(ends("promoted by now: 0 functions") >= TURNS / 2);
    }
}

/// While probes on RETs are replaced there are two at each: the second finds that the first has
/// ended the tree.
#[test]
fn no_call_of_a_program_that_starts_later_began_before() {
    let binary = PrivateBinary::program("oracle");
    let options = [
        "-v",
        "-u",
        "main.*",
        "--promote",
        "alternate",
        "-f",
        "folded",
    ];
    let mut tracer = Tracer::start(binary.path(), &options, &[]);
    let mut program = Program::start(binary.path(), &RETURNING_STAGES);
    let deadline = Instant::now() + PATIENCE;
    while tracer.times_said(PROMOTED) < 20 {
        assert!(Instant::now() < deadline, "tiers change too seldom");
        oracle::round(&mut program);
    }
    let outcome = tracer.stop();
    assert_eq!(outcome.summary().other("began before tracing"), 0);
}

/// Two processes of a file that is loaded at other addresses in each.
#[test]
fn return_addresses_are_those_of_the_file() {
    let [_, variant] = releases(Flavor::Pie);
    let binary = PrivateBinary::program_variant("promotion", variant);
    let mut programs = [(); 2].map(|()| Program::start(binary.path(), &[]));
    let options = ["-v", "-u", "main.leaf", "--promote", "all"];
    let mut tracer = Tracer::start(binary.path(), &options, &["main.root"]);
    let (first, second) = programs.split_at_mut(1);
    first[0].tell("often", "done");
    tracer.wait_until_said(PROMOTED);
    second[0].tell("often", "done");
    first[0].tell("often", "done");
    let outcome = tracer.stop();
    let summary = outcome.summary();
    assert_eq!((summary.trees, summary.calls), (3, 3 * 301));
    // It has one RET, so that is where it returned.
    let pid = Some(programs[0].pid());
    let trace = Trace::parse(&outcome.stdout, Layout::Trees, 6, pid);
    let is_known = |call: &Call| matches!(call.end, End::Returned(Some(_)));
    assert!(trace.calls.iter().all(is_known));
    // Of the first tree the beginning was traced before.
    assert_eq!(summary.other("approximate"), 0);
}

/// Calls that no tree shows pay for their RETs as well.
#[test]
fn a_function_that_is_hot_outside_of_trees_is_promoted() {
    let binary = PrivateBinary::program("hot");
    let mut program = Program::start(binary.path(), &[]);
    let options = ["-v", "-u", "main.nested,main.twice", "--promote", "auto"];
    // It runs already, so that no tree begins.
    let mut tracer = Tracer::start(binary.path(), &options, &["main.main"]);
    tracer.wait_until_said(PROMOTED);
    assert!(program.ask("check").starts_with("ok"), "no result is wrong");
    let outcome = tracer.stop();
    assert_eq!(outcome.summary().calls, 0);
    assert!(program.ask("check").starts_with("ok"), "no result is wrong");
}

fn promotion_program() -> (PrivateBinary, Program) {
    let binary = PrivateBinary::program("promotion");
    let program = Program::start(binary.path(), &[]);
    (binary, program)
}

/// A call that returned unobserved takes in nothing that its caller calls later.
#[test]
fn a_call_from_a_new_place_adopts_nothing() {
    let (binary, mut program) = promotion_program();
    let options = ["-v", "-u", "main.leaf,main.inner", "--promote", "auto"];
    let targets = ["main.root", "main.rootOfNewPlace"];
    let mut tracer = Tracer::start(binary.path(), &options, &targets);
    let probes = memory::changed_code_bytes(&program, binary.path());
    program.tell("often", "done");
    tracer.wait_until_said(PROMOTED);
    // An observer and runtime.sigpanic have come, and the RET has gone.
    memory::wait_for_probes(probes + 1, &mut program, binary.path(), |_| {});
    program.tell("newplace", "done");
    let outcome = tracer.stop();
    let trace = outcome.trees();
    let new_place = "main.rootOfNewPlace(main.leaf main.inner)";
    assert_eq!(trace.shapes().last().map(String::as_str), Some(new_place));
    let last = trace.calls_of("main.leaf").last().expect("it was called");
    assert_eq!(last.end, End::Approximate);
}

/// The places that are observed are those that the callers return to, which are not traced.
#[test]
fn calls_of_callers_that_return_at_once_end_with_these() {
    let (binary, mut program) = promotion_program();
    let options = ["-v", "-u", "main.leaf", "--promote", "auto"];
    let mut tracer = Tracer::start(binary.path(), &options, &["main.rootOfChain"]);
    let probes = memory::changed_code_bytes(&program, binary.path());
    program.tell("chain", "done");
    tracer.wait_until_said(PROMOTED);
    // main.root is known to call it; runtime.sigpanic has come, and the RET has gone.
    memory::wait_for_probes(probes + 1, &mut program, binary.path(), |_| {});
    // Where a link returns to is told when it is missed.
    memory::wait_for_probes(probes + 2, &mut program, binary.path(), |program| {
        program.tell("chain", "done");
    });
    program.tell("chain", "done");
    let outcome = tracer.stop();
    outcome.summary().assert_nothing_lost();
    let trace = outcome.trees();
    let leaves: Vec<&Call> = trace.calls_of("main.leaf").collect();
    let is_exact = |leaf: &&Call| matches!(leaf.end, End::Returned(Some(_)));
    let (before, after) = leaves.split_at(leaves.len() - 300);
    assert!(before[..300].iter().all(is_exact), "by its RET");
    assert!(after.iter().all(is_exact), "by its callers' caller");
    let is_known = |leaf: &&Call| is_exact(leaf) || leaf.end == End::Approximate;
    assert!(before.iter().all(is_known) && !before.iter().all(is_exact));
}

/// A caller that is traced and has its RETs tells of both ends with them.
#[test]
fn a_call_ends_at_the_ret_of_a_caller_that_returns_at_once() {
    let (binary, mut program) = promotion_program();
    let options = ["-v", "-u", "main.leaf", "--promote", "auto"];
    let targets = ["main.rootOfChain", "main.link"];
    let mut tracer = Tracer::start(binary.path(), &options, &targets);
    program.tell("chain", "done");
    tracer.wait_until_said(PROMOTED);
    program.tell("chain", "done");
    let outcome = tracer.stop();
    outcome.summary().assert_nothing_lost();
    let trace = outcome.trees();
    let leaves: Vec<&Call> = trace.calls_of("main.leaf").collect();
    assert_eq!(leaves.len(), 2 * 300);
    let is_exact = |leaf: &&Call| matches!(leaf.end, End::Returned(Some(_)));
    assert!(leaves.iter().all(is_exact));
}

/// An observer that the program pays for again and again, and that tells nothing, is taken away.
#[test]
fn an_idle_observer_does_not_stay() {
    let (binary, mut program) = promotion_program();
    let options = ["-v", "-u", "main.leaf", "--promote", "auto"];
    let mut tracer = Tracer::start(binary.path(), &options, &["main.root", "main.loop"]);
    program.tell("often", "done");
    tracer.wait_until_said("promoted by now: 1 functions");
    program.send("loop");
    tracer.wait_until_said("promoted by now: 0 functions");
    assert_eq!(program.line(), "done");
    program.tell("often", "done");
    let outcome = tracer.stop();
    let summary = outcome.summary();
    assert_eq!((summary.trees, summary.calls), (3, 301 + 65 + 301));
    summary.assert_nothing_lost();
}

/// The caller uses what was returned, faults, and never comes to the observer.
#[test]
fn a_fault_behind_a_return_adopts_nothing() {
    let (binary, mut program) = promotion_program();
    let functions = "main.source,main.cleanup,main.inner";
    let options = ["-v", "-u", functions, "--promote", "all"];
    let mut tracer = Tracer::start(binary.path(), &options, &["main.faulting"]);
    program.tell("fault", "done");
    tracer.wait_until_said(PROMOTED);
    program.tell("fault", "done");
    program.tell("fault", "done");
    let outcome = tracer.stop();
    let shape = "main.faulting(main.source main.cleanup(main.inner))";
    let trace = outcome.trees();
    assert_eq!(trace.shapes(), vec![shape; 900]);
    let mut sources = trace.calls_of("main.source");
    assert!(sources.any(|source| source.end == End::Approximate));
}

#[test]
fn a_replay_of_promoted_calls_is_what_was_shown() {
    let directory = tempfile::tempdir().expect("one can be made");
    let recording = directory.path().join("promoted.rec");
    let path = recording.to_str().expect("a temporary path is text");
    let sink = format!("record:{path}");
    let binary = PrivateBinary::program("oracle");
    let options = ["--promote", "all", "-f", "text", "-f", &sink];
    let (live, _) = trace_rounds(&binary, &options);
    assert!(live.summary().other("approximate") > 0);
    let replayed = tracer::run(&["replay", path]);
    replayed.assert_code(0);
    assert!(replayed.stdout == live.stdout);
    assert_eq!(replayed.summary().calls, live.summary().calls);
    drop(fs::remove_file(&recording));
}

/// With a ring that is too small: what is shown and what is lost is what happened.
#[test]
fn entries_are_shown_or_counted_as_lost() {
    let binary = PrivateBinary::program("oracle");
    let mut program = Program::start(binary.path(), &RETURNING_STAGES);
    let functions = RETURNING.join(",");
    let options = ["-v", "--promote", "all", "--buffer", "4K", "-u", &functions];
    let mut tracer = Tracer::start(binary.path(), &options, &[]);
    let mut truth = oracle::round(&mut program);
    tracer.wait_until_said(PROMOTED);
    for _ in 0..ROUNDS {
        truth.add(oracle::round(&mut program));
    }
    let outcome = tracer.stop();
    let happened: u64 = RETURNING
        .iter()
        .map(|&name| truth.counts[name].entries)
        .sum();
    let summary = outcome.summary();
    let shown = outcome.stream().total();
    assert!(
        summary.lost_entries > 0,
        "the buffer was meant to be too small"
    );
    assert_eq!(shown.entries + summary.lost_entries, happened);
    assert_eq!(
        shown.returned + shown.unwound + shown.ended_otherwise,
        shown.entries + shown.entries_lost
    );
}
