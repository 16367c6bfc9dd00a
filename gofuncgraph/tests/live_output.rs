//! Where the output goes, and what happens when it cannot.

mod support;

use std::fs::File;
use std::process::Stdio;

use rustix::process::Signal;
use support::memory::changed_code_bytes;
use support::private_binary::PrivateBinary;
use support::program::Program;
use support::tracer::{self, Tracer};

#[test]
fn a_reader_that_stops_reading_keeps_no_probe_in_place() {
    let binary = PrivateBinary::program("hot");
    let mut program = Program::start(binary.path(), &[]);
    let options = ["-v", "--stream", "-u", "main.nested"];
    let mut tracer = Tracer::start_unread(binary.path(), &options, &[]);
    // Enough lines to fill the pipe and what the tracer keeps for it many times over.
    for _ in 0..50 {
        assert!(program.ask("check").starts_with("ok"));
    }
    tracer.signal(Signal::INT);
    tracer.wait_until_said("detached in ");
    assert_eq!(changed_code_bytes(&program, binary.path()), 0);

    // It still waits for its reader; a second Ctrl-C does not.
    tracer.signal(Signal::INT);
    tracer.wait_until_said("ended at once");
    tracer.close_stdout();
    tracer.wait().assert_code(130);
    assert!(program.ask("check").starts_with("ok"));
}

#[test]
fn a_full_disk_ends_tracing_with_an_error() {
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    let options = ["-o", "/dev/full"];
    let tracer = Tracer::start(binary.path(), &options, &["main.quick"]);
    program.tell("call", "called");
    let outcome = tracer.wait();
    outcome.assert_code(1);
    outcome.assert_says(&["cannot write the output", "summary: trees 1"]);
}

#[test]
fn the_executable_is_not_overwritten() {
    let binary = PrivateBinary::program("sleeper");
    let before = std::fs::read(binary.path()).expect("it was built");
    let path = binary.path().to_str().expect("a temporary path is text");
    let outcome = tracer::run(&["-o", path, path, "main.quick"]);
    outcome.assert_code(2);
    outcome.assert_says(&["--output", "executable"]);
    assert!(std::fs::read(binary.path()).expect("it is there") == before);
}

#[test]
fn an_output_in_a_missing_directory_is_an_error_before_any_probe() {
    let binary = PrivateBinary::program("sleeper");
    let path = binary.path().to_str().expect("a temporary path is text");
    let file = format!("{path}.d/trace.txt");
    let outcome = tracer::run(&["-o", &file, path, "main.quick"]);
    outcome.assert_code(1);
    outcome.assert_says(&["cannot create", &file]);
}

#[test]
fn a_standard_error_that_takes_nothing_is_no_reason_to_stop() {
    let binary = PrivateBinary::program("sleeper");
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("Linux has it");
    let status = tracer::command()
        .args(["-v", "--duration", "1ms"])
        .arg(binary.path())
        .arg("main.quick")
        .stdout(Stdio::null())
        .stderr(full)
        .status()
        .expect("it was built");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn the_log_of_the_kernel_programs_is_printed_on_demand() {
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    let tracer = Tracer::start(binary.path(), &["--debug"], &["main.quick"]);
    program.tell("call", "called");
    let outcome = tracer.stop();
    assert_eq!(outcome.summary().trees, 1);
    outcome.assert_says(&[&format!("tree starts: process {}", program.pid())]);
}

#[test]
fn a_tree_that_is_too_large_is_cut_and_goes_on() {
    let binary = PrivateBinary::program("bare");
    let mut program = Program::start(binary.path(), &[]);
    let options = ["--max-calls", "40", "-u", "main.nothing"];
    let tracer = Tracer::start(binary.path(), &options, &["main.root"]);
    program.tell("run", "ran");
    let outcome = tracer.stop();
    let summary = outcome.summary();
    assert_eq!((summary.trees, summary.calls), (1, 101));
    assert_eq!(summary.other("trees cut"), 1);
    let count = |words: &str| outcome.stdout.matches(words).count();
    assert_eq!(count("main.nothing() { "), 100);
    assert_eq!(count("} main.nothing+"), 100);
    assert_eq!(count("main.root() { "), 1);
    assert_eq!(count("} main.root // still open"), 1);
    assert_eq!(count("// cut at 40 calls\n"), 2);
    assert_eq!(count("// continued after a cut, inside main.root\n"), 2);
    assert_eq!(count("// main.root returned after 0."), 1);
}
