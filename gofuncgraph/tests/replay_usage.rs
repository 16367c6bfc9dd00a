//! What `replay` says beside what it shows, from a recording that is checked in.

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn replay(options: &[&str]) -> Output {
    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/recordings");
    Command::new(env!("CARGO_BIN_EXE_gofuncgraph"))
        .arg("replay")
        .arg(recordings.join("example.rec"))
        .args(options)
        .output()
        .expect("it was built")
}

/// What is said on standard error, and what is shown.
fn said_and_shown(options: &[&str]) -> (String, String) {
    let output = replay(options);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
    let said = text(output.stderr);
    assert!(output.status.success(), "{said}");
    (said, text(output.stdout))
}

#[test]
fn what_filters_leave_out_is_counted() {
    let (said, shown) = said_and_shown(&["--only", "*handleBar"]);
    assert_eq!(shown.matches("main.handleBar() {").count(), 3);
    assert_eq!(
        said,
        "summary: trees 14, calls 208, lost entries 0, lost exits 0, \
         calls left out by filters 205\n"
    );
    let (said, _) = said_and_shown(&["--max-depth", "100"]);
    assert!(!said.contains("left out"), "{said}");
    let (said, shown) = said_and_shown(&["--to", "1ns"]);
    assert!(said.contains("calls left out by filters 208"), "{said}");
    assert_eq!(shown, "");
}

/// One reader that has seen enough is no reason to write less for another.
#[test]
fn an_output_that_ends_leaves_the_others_whole() {
    let directory = tempfile::tempdir().expect("one can be made");
    let file = directory.path().join("calls.jsonl");
    let sink = format!("jsonl:{}", file.display());
    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/recordings");
    let mut child = Command::new(env!("CARGO_BIN_EXE_gofuncgraph"))
        .arg("replay")
        .arg(recordings.join("go-list.rec"))
        .args(["-f", "text", "-f", &sink])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it was built");
    drop(child.stdout.take());
    assert!(child.wait().expect("it ends").success());
    let calls = std::fs::read_to_string(&file).expect("it was written");
    assert_eq!(calls.lines().count(), 4353);
}

#[test]
fn a_pattern_that_matches_nothing_is_said() {
    let (said, shown) = said_and_shown(&["--only", "handleBar", "--hide", "net/http.*"]);
    assert_eq!(shown, "");
    assert!(
        said.starts_with("warning: --only 'handleBar' matches no function that is traced;"),
        "{said}"
    );
    assert!(!said.contains("--hide"), "{said}");
}

/// It was recorded before there was a cost in recordings.
#[test]
fn net_durations_need_the_cost_of_a_probe() {
    let output = replay(&["--net"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).expect("it is text");
    assert!(said.contains("this recording does not tell"), "{said}");
    assert!(said.contains("leave it out"), "{said}");

    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/recordings");
    let output = Command::new(env!("CARGO_BIN_EXE_gofuncgraph"))
        .args(["report", "--net"])
        .arg(recordings.join("example.rec"))
        .output()
        .expect("it was built");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).expect("it is text");
    assert!(said.contains("example.rec does not tell"), "{said}");
}
