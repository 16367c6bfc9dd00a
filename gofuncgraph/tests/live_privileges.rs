//! Running without the privileges that tracing takes.

mod support;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use support::private_binary::PrivateBinary;
use support::program::Program;
use support::tracer::{Outcome, Tracer, configured, executable};

/// The user who owns nothing.
const NOBODY: u32 = 65534;

fn run(mut command: Command, arguments: &[&str], binary: &Path) -> Outcome {
    command.args(arguments).arg(binary).arg("main.outer");
    Tracer::spawn(configured(command), true).wait()
}

/// As a user without capabilities.
fn run_as_nobody(arguments: &[&str], binary: &Path) -> Outcome {
    // The build's directory may be closed to other users.
    let tracer = PrivateBinary::for_every_user(executable());
    let mut command = Command::new(tracer.path());
    command.uid(NOBODY).gid(NOBODY);
    run(command, arguments, binary)
}

fn sleeper() -> PrivateBinary {
    let built = PrivateBinary::program("sleeper");
    PrivateBinary::for_every_user(built.path())
}

#[test]
fn another_user_is_told_which_capability_is_missing() {
    let binary = sleeper();
    let mut program = Program::start(binary.path(), &[]);
    let outcome = run_as_nobody(&[], binary.path());
    outcome.assert_code(4);
    outcome.assert_says(&["CAP_BPF", "CAP_PERFMON"]);
    assert_eq!(outcome.stdout, "");
    program.tell("call", "called");
}

#[test]
fn root_without_capabilities_is_told_which_is_missing() {
    let binary = sleeper();
    let mut command = Command::new("setpriv");
    command
        .args(["--bounding-set=-all", "--inh-caps=-all"])
        .arg(executable());
    let outcome = run(command, &[], binary.path());
    outcome.assert_code(4);
    outcome.assert_says(&["CAP_BPF"]);
}

#[test]
fn a_dry_run_takes_no_privileges() {
    let binary = sleeper();
    let outcome = run_as_nobody(&["--dry-run"], binary.path());
    outcome.assert_code(0);
    assert!(outcome.stdout.contains("main.outer"), "{}", outcome.stdout);
    let cost = "\ncost not measured: not permitted: ";
    assert!(outcome.stdout.contains(cost), "{}", outcome.stdout);
}
