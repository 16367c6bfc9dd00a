//! Names are shown, and may be given, as the source has them.

mod support;

use std::process::Command;

use support::private_binary::PrivateBinary;
use support::program::Program;
use support::tracer::{Tracer, executable};

const PACKAGE: &str = "example.com/names/dotted.v2";
const ESCAPED: &str = "example.com/names/dotted%2ev2";

/// Traces a call of `dotted.Outer`, chosen by patterns for this spelling of the package.
fn record(package: &str, recording: &str) -> String {
    let binary = PrivateBinary::program("names");
    let mut program = Program::start(binary.path(), &[]);
    let options = ["--count", "1", "-u", &format!("{package}.*")];
    let file = format!("record:{recording}");
    let options: Vec<&str> = options
        .into_iter()
        .chain(["-f", &file, "-f", "text"])
        .collect();
    let target = format!("{package}.Outer");
    let tracer = Tracer::start(binary.path(), &options, &[&target]);
    program.tell("call", "called");
    let outcome = tracer.wait();
    outcome.assert_code(0);
    outcome.stdout
}

#[test]
fn dots_in_paths_are_dots_in_every_format() {
    let folder = tempfile::tempdir().expect("one can be made");
    let recording = folder.path().join("names.rec");
    let recording = recording.to_str().expect("it is UTF-8");
    for package in [PACKAGE, ESCAPED] {
        let text = record(package, recording);
        for name in ["Outer()", "inner()", "(*Node).Value()"] {
            assert!(
                text.contains(&format!("{PACKAGE}.{name}")),
                "{name}: {text}"
            );
        }
        assert!(
            text.contains(&format!("{PACKAGE}.Outer+")),
            "the caller: {text}"
        );
        assert!(!text.contains("%2e"), "{text}");
    }
    for format in [
        "text",
        "graph",
        "functrace",
        "jsonl",
        "chrome",
        "folded",
        "summary",
    ] {
        for only in [PACKAGE, ESCAPED] {
            let shown = replay(&[
                "replay",
                "-f",
                format,
                "--only",
                &format!("{only}.inner"),
                recording,
            ]);
            assert!(
                shown.contains(&format!("{PACKAGE}.inner")),
                "{format}: {shown}"
            );
            assert!(
                !shown.contains("%2e") && !shown.contains("Value"),
                "{format}: {shown}"
            );
        }
        let shown = replay(&["replay", "-f", format, recording]);
        assert!(
            shown.contains(&format!("{PACKAGE}.(*Node).Value")),
            "{format}: {shown}"
        );
        assert!(!shown.contains("%2e"), "{format}: {shown}");
        if matches!(format, "jsonl" | "chrome") {
            assert!(
                shown.contains(&format!("\"{PACKAGE}\"")),
                "{format}: {shown}"
            );
        }
    }
    let report = replay(&["report", recording]) + &replay(&["report", "--tree", recording]);
    assert!(report.contains(&format!("{PACKAGE}.inner")), "{report}");
    assert!(!report.contains("%2e"), "{report}");
    for package in [PACKAGE, ESCAPED] {
        // A pattern that no function fits would let it end otherwise.
        let rule = format!("calls({package}.inner) > 1 per {package}.Outer");
        let checked = replay(&["check", recording, "--fail-if", &rule]);
        assert!(!checked.contains("no call of"), "{checked}");
    }
}

/// What a command on the recording prints.
fn replay(arguments: &[&str]) -> String {
    let output = Command::new(executable())
        .args(arguments)
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it is UTF-8")
}
