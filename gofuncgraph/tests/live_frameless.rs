//! Functions without a frame, whose entry probes go to an emulated instruction behind their first,
//! or to their RET, where that is exact: every call is counted, in this placement and in the classic one.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use support::go_build::{Flavor, Variant};
use support::oracle::{self, Truth, counts_by_counted_name, trace_round};
use support::private_binary::{PrivateBinary, releases};
use support::program::Program;
use support::text::End;
use support::tracer::{Tracer, run};

/// A loop jumps to its first instruction.
const NOT_TRACED: &str = "main.spin";

/// By name, where the entry probes of the counted functions are, for instance `+3 emulated`.
fn entries(binary: &PrivateBinary, placement: &str) -> BTreeMap<String, String> {
    let path = binary.path().as_os_str();
    let options = ["--dry-run", "-u", "main.*", "--placement", placement].map(AsRef::as_ref);
    let outcome = run(&[&options[..], &[path]].concat());
    outcome.assert_code(0);
    let line = |line: &str| {
        let (name, rest) = line.strip_prefix("function ")?.split_once(" // entry ")?;
        let (entry, _) = rest.split_once(" at ")?;
        Some((name.to_owned(), entry.to_owned()))
    };
    outcome.stdout.lines().filter_map(line).collect()
}

/// A round, compared with the truth.
fn trace_in(program: &mut Program, binary: &PrivateBinary, placement: &str) -> Truth {
    let options = ["--placement", placement, "-u", "main.*"];
    let (outcome, truth) = trace_round(program, binary.path(), &options, &[]);
    outcome.summary().assert_nothing_lost();
    let trace = outcome.stream();
    let traced = counts_by_counted_name(&trace);
    let traced_of = |name: &String| traced.get(name).copied().unwrap_or_default();
    let differences: Vec<_> = truth
        .counts
        .iter()
        .filter(|(name, counts)| *name != NOT_TRACED && traced_of(name) != **counts)
        .map(|(name, counts)| format!("{name}: traced {:?}, in truth {counts:?}", traced_of(name)))
        .collect();
    assert!(
        differences.is_empty(),
        "{placement}:\n{}",
        differences.join("\n")
    );
    assert!(!traced.contains_key(NOT_TRACED));
    truth
}

fn every_call_is_counted(variant: Variant) {
    let binary = PrivateBinary::program_variant("frameless", variant);
    let standard = entries(&binary, "standard");
    let classic = entries(&binary, "classic");
    let moved: BTreeSet<_> = standard
        .iter()
        .filter(|(name, entry)| {
            entry.ends_with(" emulated") && classic[*name] == "+0 single-stepped"
        })
        .map(|(name, _)| name.as_str())
        .collect();
    // What begins with a branch, a jump into a loop, a load from the stack or of a variable.
    for name in [
        "main.sign",
        "main.sumTo",
        "main.halvings",
        "main.(*node).length",
        "main.(*node).orZero",
        "main.(*node).nextValue",
        "main.many",
        "main.pick",
        "main.note",
        "main.larger",
        "main.started",
        "main.deferred",
    ] {
        assert!(moved.contains(name), "{name} is at {}", standard[name]);
    }
    assert_eq!(standard["main.add"], "+3 single-stepped", "its RET");
    // What may panic or write before it branches.
    for name in ["main.(*node).get", "main.(*node).isBig", "main.set"] {
        assert_eq!(standard[name], "+0 single-stepped", "{name}");
    }

    let mut program = Program::start(binary.path(), &[]);
    let first = trace_in(&mut program, &binary, "standard");
    let second = trace_in(&mut program, &binary, "classic");
    assert_eq!(first.counts, second.counts);
    assert!(first.counts["main.(*node).isBig"].unwound > 100);
    assert!(first.calls() > 20_000);
    let (rest, status) = program.finish();
    assert!(status.success(), "{status}: {rest:?}");
}

#[test]
fn every_call_is_counted_in_plain_programs() {
    releases(Flavor::Plain)
        .into_iter()
        .for_each(every_call_is_counted);
}

#[test]
fn every_call_is_counted_in_position_independent_programs() {
    releases(Flavor::PieNoSymbols)
        .into_iter()
        .for_each(every_call_is_counted);
}

/// Their returns are seen where they return to, their entries where they branch.
#[test]
fn every_call_is_counted_when_functions_are_promoted() {
    for variant in releases(Flavor::Plain) {
        let binary = PrivateBinary::program_variant("frameless", variant);
        let mut program = Program::start(binary.path(), &[]);
        let options = ["-v", "--promote", "all", "-u", "main.*"];
        let mut tracer = Tracer::start(binary.path(), &options, &[]);
        let mut truth = oracle::round(&mut program);
        tracer.wait_until_said("promoted by now: ");
        for _ in 0..4 {
            truth.add(oracle::round(&mut program));
        }
        let outcome = tracer.stop();
        outcome.summary().assert_nothing_lost();
        let trace = outcome.stream();
        let traced = counts_by_counted_name(&trace);
        for (name, truth) in truth.counts.iter().filter(|(name, _)| *name != NOT_TRACED) {
            let traced = traced[name];
            let ended = traced.returned + traced.unwound + traced.ended_otherwise;
            assert!(
                traced.entries == truth.entries
                    && ended == truth.entries
                    && traced.returned <= truth.returned
                    && traced.unwound <= truth.unwound,
                "{name}: traced {traced:?}, in truth {truth:?}"
            );
        }
        let was_observed = |name| {
            trace
                .calls_of(name)
                .any(|call| call.end == End::Returned(None))
        };
        assert!(was_observed("main.sign") && was_observed("main.(*node).orZero"));
        // Its RET is where it is entered, and keeps its probe.
        assert!(!was_observed("main.add"));
        let (rest, status) = program.finish();
        assert!(status.success(), "{status}: {rest:?}");
    }
}
