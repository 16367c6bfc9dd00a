//! Who executes the RETs that have probes: the kernel, or the programs where it lets them.

mod support;

use support::oracle::{self, RETURNING, RETURNING_STAGES};
use support::private_binary::PrivateBinary;
use support::program::Program;
use support::tracer::{self, Outcome, Tracer};

/// Said with `-v` when the programs are loaded.
const KERNEL: &str = "the kernel single-steps the RETs";
const PROGRAMS: &str = "they execute the RETs";

/// Traces a round of the oracle, and demands that all of it is seen.
fn traced(how: &str) -> Outcome {
    let binary = PrivateBinary::program("oracle");
    let mut program = Program::start(binary.path(), &RETURNING_STAGES);
    let functions = RETURNING.join(",");
    let options = ["-v", "--promote", "off", "-u", &functions, "--ret", how];
    let mut command = tracer::command();
    command.args(options).arg(binary.path());
    let mut tracer = Tracer::spawn(command, true);
    tracer.wait_until_started();
    let truth = oracle::round(&mut program);
    let outcome = tracer.stop();
    outcome.summary().assert_nothing_lost();
    let calls = RETURNING.map(|name| truth.counts[name].entries);
    let shown = outcome.stream().total();
    assert_eq!(shown.entries, calls.iter().sum::<u64>());
    assert_eq!(shown.returned, shown.entries);
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
