//! Command lines that cannot be obeyed, and files that cannot be traced.

mod support;

use std::ffi::OsString;
use std::path::Path;

use support::private_binary::PrivateBinary;
use support::tracer::{Outcome, Tracer, executable, run};

const USAGE: i32 = 2;
const NOTHING_MATCHED: i32 = 3;
const UNSUPPORTED: i32 = 5;

/// Runs the tracer on `binary` between options and targets.
fn trace(options: &[&str], binary: &Path, targets: &[&str]) -> Outcome {
    let mut arguments: Vec<OsString> = options.iter().map(OsString::from).collect();
    arguments.push(binary.into());
    arguments.extend(targets.iter().map(OsString::from));
    run(&arguments)
}

fn assert_refused(outcome: &Outcome, code: i32, says: &[&str]) {
    outcome.assert_code(code);
    outcome.assert_says(says);
    assert_eq!(outcome.stdout, "", "standard output is for trees");
    let started = outcome
        .stderr
        .iter()
        .any(|line| line.starts_with("tracing started"));
    assert!(!started, "{:?}", outcome.stderr);
}

#[test]
fn no_arguments() {
    assert_refused(&run::<&str>(&[]), USAGE, &["Usage"]);
}

#[test]
fn options_that_make_no_sense() {
    let binary = PrivateBinary::program("sleeper");
    let refused: [&[&str]; 10] = [
        &["--no-such-option"],
        &["--stream", "--slower-than", "5ms"],
        &["--time-digits", "3"],
        &["--time-digits", "10"],
        &["--buffer", "0"],
        &["--buffer", "lots"],
        &["--count", "0"],
        &["--duration", "10"],
        &["--color", "sometimes"],
        &["-u", ""],
    ];
    for options in refused {
        let outcome = trace(options, binary.path(), &["main.outer"]);
        assert_refused(&outcome, USAGE, &[]);
        assert!(
            !outcome.stderr.is_empty(),
            "{options:?} is refused in silence"
        );
    }
}

#[test]
fn a_rule_for_arguments() {
    let binary = PrivateBinary::program("sleeper");
    let outcome = trace(&[], binary.path(), &["main.outer(code=+0(%ax):s64)"]);
    assert_refused(&outcome, USAGE, &["main.outer(code=+0(%ax):s64)", "yet"]);
}

#[test]
fn patterns_that_match_nothing() {
    let binary = PrivateBinary::program("sleeper");
    let outcome = trace(&[], binary.path(), &["main.hled"]);
    assert_refused(&outcome, NOTHING_MATCHED, &["main.hled", "main.held"]);
    let outcome = trace(&["-u", "nowhere/*"], binary.path(), &["main.held"]);
    assert_refused(&outcome, NOTHING_MATCHED, &["nowhere/*"]);
    let outcome = trace(&["--exclude", "main.*"], binary.path(), &["main.held"]);
    assert_refused(&outcome, NOTHING_MATCHED, &["main.held"]);
}

#[test]
fn functions_that_were_inlined() {
    let binary = PrivateBinary::program("inlining");
    let outcome = trace(&[], binary.path(), &["main.square"]);
    assert_refused(
        &outcome,
        NOTHING_MATCHED,
        &["'main.square' was inlined everywhere", "-gcflags=-l"],
    );
    let outcome = Tracer::start(binary.path(), &[], &["main.called"]).stop();
    outcome.assert_code(0);
    outcome.assert_says(&[
        "warning: some calls of 'main.called' are not seen",
        "-gcflags=-l",
    ]);
}

#[test]
fn files_that_are_no_go_executables() {
    let binary = PrivateBinary::program("sleeper");
    let text = binary.beside("text");
    std::fs::write(&text, "#!/bin/sh\n").expect("our directory can be written");
    let empty = binary.beside("empty");
    std::fs::write(&empty, "").expect("our directory can be written");
    for file in [&text, &empty] {
        let outcome = trace(&[], file, &["main.held"]);
        assert_refused(&outcome, UNSUPPORTED, &["ELF"]);
    }
    let outcome = trace(&[], executable(), &["main.held"]);
    assert_refused(&outcome, UNSUPPORTED, &["Go"]);
}

#[test]
fn go_executables_that_are_not_supported() {
    let binary = PrivateBinary::program("sleeper");
    let bytes = std::fs::read(binary.path()).expect("it was built");

    let truncated = binary.beside("truncated");
    let part = &bytes[..bytes.len() / 3];
    std::fs::write(&truncated, part).expect("our directory can be written");
    let outcome = trace(&[], &truncated, &["main.held"]);
    assert_refused(&outcome, UNSUPPORTED, &[]);
    assert!(!outcome.stderr.is_empty(), "refused in silence");

    // e_machine of the ELF header, here of AArch64.
    let mut other_machine = bytes;
    other_machine[18..20].copy_from_slice(&183u16.to_le_bytes());
    let file = binary.beside("other-machine");
    std::fs::write(&file, other_machine).expect("our directory can be written");
    let outcome = trace(&[], &file, &["main.held"]);
    assert_refused(&outcome, UNSUPPORTED, &["x86-64"]);
}

#[test]
fn a_file_that_is_not_there() {
    let outcome = trace(&[], Path::new("/nonexistent/server"), &["main.held"]);
    outcome.assert_code(2);
    outcome.assert_says(&["/nonexistent/server"]);
}

#[test]
fn help_names_every_exit_code() {
    let outcome = run(&["--help"]);
    outcome.assert_code(0);
    let (_, codes) = outcome
        .stdout
        .split_once("Exit")
        .expect("help has a section on them");
    for code in 0..=5 {
        let code = code.to_string();
        let named = codes
            .lines()
            .any(|line| line.split_whitespace().next() == Some(&code));
        assert!(named, "{code} is not explained in:\n{codes}");
    }
}
