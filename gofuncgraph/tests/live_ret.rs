//! Who executes the RETs that have probes: the kernel, or the programs where it lets them.

mod support;

use support::go_build::Flavor;
use support::oracle::{self, RETURNING, RETURNING_STAGES, Truth};
use support::private_binary::{PrivateBinary, releases};
use support::program::Program;
use support::tracer::{self, Outcome, Tracer};

/// Said with `-v` when the programs are loaded.
const KERNEL: &str = "the kernel single-steps the RETs";
const PROGRAMS: &str = "they execute the RETs";

fn start(binary: &PrivateBinary, how: &str) -> Tracer {
    let functions = RETURNING.join(",");
    let options = ["-v", "--promote", "off", "-u", &functions, "--ret", how];
    let mut command = tracer::command();
    command.args(options).arg(binary.path());
    let mut tracer = Tracer::spawn(command, true);
    tracer.wait_until_started();
    tracer
}

/// Demands that every call of `truth` was seen to begin and to return.
fn assert_all_seen(outcome: &Outcome, truth: &Truth) {
    outcome.summary().assert_nothing_lost();
    let calls = RETURNING.map(|name| truth.counts[name].entries);
    let shown = outcome.stream().total();
    assert_eq!(shown.entries, calls.iter().sum::<u64>());
    assert_eq!(shown.returned, shown.entries);
}

/// Traces a round of the oracle.
fn traced(how: &str) -> Outcome {
    let binary = PrivateBinary::program("oracle");
    let mut program = Program::start(binary.path(), &RETURNING_STAGES);
    let tracer = start(&binary, how);
    let truth = oracle::round(&mut program);
    let outcome = tracer.stop();
    assert_all_seen(&outcome, &truth);
    outcome
}

#[test]
fn the_kernel_executes_rets_when_told_to() {
    traced("step").assert_says(&[KERNEL]);
}

/// What a kernel allows is asked of the kernel, so this holds on every one.
#[test]
fn programs_execute_rets_where_the_kernel_lets_them() {
    let by_itself = traced("auto").stderr.join("\n");
    if by_itself.contains(PROGRAMS) {
        traced("emulate").assert_says(&[PROGRAMS]);
        return;
    }
    assert!(by_itself.contains(KERNEL), "{by_itself}");
    let binary = PrivateBinary::program("sleeper");
    let path = binary.path().to_str().expect("our paths are UTF-8");
    let outcome = tracer::run(&["--ret", "emulate", path, "main.outer"]);
    outcome.assert_code(5);
    assert_eq!(outcome.stdout, "");
    outcome.assert_says(&["--ret emulate: ", "leave --ret out"]);
}

/// Each RET is executed once, whoever has a probe on it, and everybody sees it.
#[test]
fn two_tracers_see_the_same_calls() {
    for flavor in [Flavor::Plain, Flavor::Pie] {
        let [_, variant] = releases(flavor);
        let binary = PrivateBinary::program_variant("oracle", variant);
        let mut program = Program::start(binary.path(), &RETURNING_STAGES);
        let tracers = [(); 2].map(|()| start(&binary, "auto"));
        let truth = oracle::round(&mut program);
        let outcomes = tracers.map(Tracer::stop);
        for outcome in &outcomes {
            assert_all_seen(outcome, &truth);
        }
        let (rest, status) = program.finish();
        assert!(status.success(), "the oracle ended with {status}: {rest:?}");
    }
}
