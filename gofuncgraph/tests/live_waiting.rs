//! What is said where nothing is seen. These tests take the five seconds that it takes to be said.

mod support;

use std::process::Command;

use support::private_binary::PrivateBinary;
use support::program::Program;
use support::tracer::Tracer;

const NOTHING: &str = "nothing was seen in 5 s: ";

fn waited_for(tracer: &mut Tracer, words: &str) {
    tracer.wait_until_said(words);
    assert_eq!(tracer.times_said(words), 1);
}

#[test]
fn nobody_runs_the_program() {
    let binary = PrivateBinary::program("sleeper");
    let mut tracer = Tracer::start(binary.path(), &[], &["main.held"]);
    let path = binary.path().display();
    let at_start = format!("no process was seen running {path} yet: waiting for one to start");
    waited_for(&mut tracer, &at_start);
    let words = format!("{NOTHING}no process was seen running {path}; waiting for one to start");
    waited_for(&mut tracer, &words);
    // Whoever starts now is seen, and nothing more is said.
    let mut program = Program::start(binary.path(), &[]);
    program.tell("enter", "entered");
    program.tell("leave", "left");
    tracer.wait_for_output();
    let outcome = tracer.stop();
    outcome.assert_code(0);
    assert_eq!(outcome.summary().trees, 1);
}

#[test]
fn nobody_calls_the_target() {
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    program.tell("enter", "entered");
    let mut tracer = Tracer::start(binary.path(), &["-u", "main.quick"], &["main.outer"]);
    for _ in 0..200 {
        program.tell("call", "called");
    }
    let words = format!(
        "{NOTHING}no call of 'main.outer' began, and none that had begun before was seen to go on; \
         about 200 calls of -u functions were outside of the targets"
    );
    waited_for(&mut tracer, &words);
    program.tell("leave", "left");
    let outcome = tracer.stop();
    outcome.assert_code(0);
    assert_eq!(outcome.trees().shapes(), ["main.outer"]);
    assert_eq!(outcome.summary().other("already open"), 1);
}

#[test]
fn a_tree_is_open_or_short() {
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    let mut tracer = Tracer::start(binary.path(), &[], &["main.outer"]);
    program.tell("enter", "entered");
    waited_for(
        &mut tracer,
        "nothing is shown yet: a tree is open, and is printed when its root returns",
    );
    tracer.stop().assert_code(0);

    let mut tracer = Tracer::start(binary.path(), &["--slower-than", "9000s"], &["main.quick"]);
    program.tell("call", "called");
    waited_for(
        &mut tracer,
        "nothing is shown yet: 1 tree took less than --slower-than 9000s",
    );
    tracer.stop().assert_code(0);
}

#[test]
fn the_program_was_built_anew_while_it_runs() {
    let binary = PrivateBinary::program("sleeper");
    let program = Program::start(binary.path(), &[]);
    // As `go build` does it: another file gets the name.
    let anew = binary.beside("anew");
    let copied = Command::new("cp").arg(binary.path()).arg(&anew).status();
    assert!(copied.expect("cp runs").success());
    std::fs::rename(&anew, binary.path()).expect("it is beside");
    let mut tracer = Tracer::start(binary.path(), &[], &["main.held"]);
    let pid = program.pid();
    let path = binary.path().display();
    let words = format!(
        "process {pid} runs another file that is or was at {path} (perhaps it was built anew): start \
         the program again, or trace what runs with -p {pid}"
    );
    // At once.
    waited_for(&mut tracer, &words);
    let outcome = tracer.stop();
    outcome.assert_code(0);
    let waits = |line: &String| line.starts_with(NOTHING) || line.contains("no process was seen");
    let waited = outcome.stderr.iter().any(waits);
    assert!(!waited, "{:?}", outcome.stderr);
}
