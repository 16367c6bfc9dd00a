//! What tracing costs the program is counted and told, and measuring it leaves nothing behind.

mod support;

use std::fs::File;

use gofuncgraph::recording::RecordingReader;
use support::oracle::{self, RETURNING, Truth};
use support::private_binary::PrivateBinary;
use support::program::Program;
use support::tracer::{self, Outcome, Tracer};

const COST: &str = "cost to the program: ";

/// Traces some rounds of the oracle.
fn trace_rounds(options: &[&str], targets: &[&str]) -> (Outcome, Truth) {
    let binary = PrivateBinary::program("oracle");
    let mut program = Program::start(binary.path(), &[]);
    let tracer = Tracer::start(
        binary.path(),
        &[&["-u", &RETURNING.join(",")], options].concat(),
        targets,
    );
    let mut truth = oracle::round(&mut program);
    truth.add(oracle::round(&mut program));
    truth.counts.retain(|name, _| RETURNING.contains(&&**name));
    (tracer.stop(), truth)
}

fn cost(outcome: &Outcome) -> &str {
    let mut lines = outcome.stderr.iter();
    let cost = lines.find_map(|line| line.strip_prefix(COST));
    cost.unwrap_or_else(|| panic!("no cost in {:?}", outcome.stderr))
}

fn number(text: &str) -> u64 {
    text.replace(',', "").parse().expect("it is a number")
}

#[test]
fn calls_in_trees_are_counted_exactly_and_recorded() {
    let directory = tempfile::tempdir().expect("there is room");
    let recording = directory.path().join("cost.rec");
    let sink = format!("record:{}", recording.display());
    let (outcome, truth) = trace_rounds(&["-f", "folded", "-f", &sink], &[]);
    let summary = outcome.summary();
    summary.assert_nothing_lost();
    let cost = cost(&outcome);
    // Where tracing begins in mid-call, a RET is hit outside of trees.
    let calls = cost.strip_prefix("about ").unwrap_or(cost);
    let (calls, rest) = calls.split_once(" calls, ").expect("calls were counted");
    let before = summary.other("began before tracing");
    assert_eq!(number(calls), summary.calls + before, "{cost}");
    assert!(rest.contains("about "), "it was measured: {cost}");
    assert_eq!(summary.calls, truth.calls(), "{cost}");
    assert!(rest.ends_with("% of one CPU"), "{cost}");

    let mut reader =
        RecordingReader::new(File::open(&recording).expect("it was written")).expect("it is one");
    while reader.read_events(&mut |_| {}).expect("it is whole") != 0 {}
    let costs = reader.header().cost.hits.expect("they were measured");
    for numbers in [costs.inside_ns, costs.outside_ns] {
        assert!(numbers.to_array().iter().all(|&ns| ns > 0), "{costs:?}");
    }
    assert_eq!(reader.losses().hits.calls(), summary.calls + before);

    let path = recording.to_str().expect("a temporary path is text");
    let replayed = tracer::run(&["replay", path, "-f", "folded"]);
    replayed.assert_says(&[&format!("{COST}{cost}")]);
}

/// What is shown live and what is replayed are the same, and shorter.
#[test]
fn durations_without_probes_are_replayed() {
    let directory = tempfile::tempdir().expect("there is room");
    let recording = directory.path().join("net.rec");
    let sink = format!("record:{}", recording.display());
    let (live, _) = trace_rounds(&["--net", "-f", "text", "-f", &sink], &["main.worker"]);
    live.summary().assert_nothing_lost();
    let remark = "// durations are without what probes cost\n";
    let shown = live.stdout.strip_prefix(remark).expect("it is said");

    let path = recording.to_str().expect("a temporary path is text");
    let replayed = tracer::run(&["replay", path, "--net"]);
    assert!(replayed.stdout == live.stdout, "{}", replayed.stdout);
    let durations = |text: &str| -> f64 {
        let columns = text.lines().filter_map(|line| line.get(19..29));
        columns
            .filter_map(|column| column.parse::<f64>().ok())
            .sum()
    };
    let with_probes = tracer::run(&["replay", path]).stdout;
    assert_eq!(with_probes.lines().count(), shown.lines().count());
    assert!(durations(shown) < durations(&with_probes));

    let report = tracer::run(&["report", path, "--net"]);
    let headline = report.stdout.lines().next().unwrap_or_default();
    assert!(
        headline.ends_with("; durations are without what probes cost"),
        "{headline}"
    );
}

/// RETs are counted. Of promoted calls one of 64 is: of so many the estimate is within some
/// percent.
#[test]
fn calls_outside_of_trees_are_estimated() {
    for promote in ["off", "auto"] {
        let (outcome, truth) = trace_rounds(&["--promote", promote], &["flag.(*FlagSet).Parse"]);
        assert_eq!(outcome.summary().trees, 0);
        let cost = cost(&outcome);
        let calls = cost.strip_prefix("about ").expect("it is an estimate");
        let (calls, _) = calls
            .split_once(" calls, all outside of trees, about ")
            .expect("no call is in a tree");
        if promote == "off" {
            assert_eq!(number(calls), truth.calls(), "{cost}");
        }
        let share = number(calls) as f64 / truth.calls() as f64;
        assert!((0.8..1.25).contains(&share), "{cost}: {}", truth.calls());
    }
}

#[test]
fn promotion_says_what_it_saved() {
    let promoted = "promoted by now: ";
    let binary = PrivateBinary::program("oracle");
    // Others have loops in which an observer is passed again and again before it is taken away.
    let mut program = Program::start(binary.path(), &oracle::RETURNING_STAGES);
    let mut tracer = Tracer::start(binary.path(), &["-v", "-u", "main.*"], &[]);
    oracle::round(&mut program);
    tracer.wait_until_said(promoted);
    oracle::round(&mut program);
    let outcome = tracer.stop();
    let mut lines = outcome.stderr.iter().rev();
    let last = lines.find(|line| line.starts_with(promoted));
    let last = last.expect("it is said at the end as well");
    let saved = last.split_once("; so far this saved the program about ");
    let (_, saved) = saved.unwrap_or_else(|| panic!("{last}"));
    let (_, calls) = saved.split_once(": ").expect("calls follow");
    let (calls, _) = calls
        .split_once(" calls hit no probe on a RET, and observers were hit ")
        .expect("calls are counted");
    assert!(number(calls) > 1_000, "{last}");
}

#[test]
fn a_dry_run_measures_what_a_call_costs() {
    let binary = PrivateBinary::program("oracle");
    let path = binary.path().to_str().expect("a temporary path is text");
    let outcome = tracer::run(&["--dry-run", path, "main.leaf"]);
    outcome.assert_code(0);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let [.., inside, outside] = lines[..] else {
        panic!("{}", outcome.stdout);
    };
    assert!(inside.starts_with("cost in a tree: a call costs about "));
    assert!(outside.starts_with("cost outside of trees: a call costs about "));
}

#[test]
fn measuring_leaves_nothing_behind() {
    let binary = PrivateBinary::program("oracle");
    // Every function of a program that does not run: whatever there is comes from measuring.
    let mut tracer = Tracer::start(binary.path(), &["-v", "--stream"], &[]);
    tracer.wait_until_said("tracing started");
    let outcome = tracer.stop();
    assert_eq!(outcome.stdout, "");
    let last = outcome.stderr.last().map(String::as_str);
    let nothing = "summary: trees 0, calls 0, lost entries 0, lost exits 0";
    assert_eq!(last, Some(nothing), "{:?}", outcome.stderr);
    let measured = |line: &&String| line.starts_with("measured in ");
    let measured = outcome.stderr.iter().find(measured);
    let measured = measured.expect("it was measured");
    assert!(measured.contains(" a RET "), "{measured}");
}
