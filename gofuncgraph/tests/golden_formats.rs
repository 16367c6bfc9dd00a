//! Every format, from event sequences. `UPDATE_GOLDEN=1` rewrites the files in
//! `tests/golden/formats`.

#[path = "support/gate_simulator.rs"]
mod gate_simulator;
#[path = "support/golden.rs"]
mod golden;
#[path = "support/viewed.rs"]
mod viewed;

use std::fs;
use std::path::Path;

use gate_simulator::GateSimulator;
use gofuncgraph::cli::Format;
use golden::*;
use viewed::*;

/// Compares what is written with `tests/golden/formats/NAME`.
#[track_caller]
fn check(name: &str, options: &[&str], program: &GateSimulator) {
    let text = output(options, program);
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/formats")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        fs::write(&path, &text).expect("the golden file can be written");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == golden,
        "{} differs.\n--- expected\n{golden}--- actual\n{text}",
        path.display()
    );
}

#[test]
fn graph() {
    check("story.graph", &["-f", "graph"], &story());
    check("story_stream.graph", &["-f", "graph", "--stream"], &story());
    check(
        "story_colour.graph",
        &["-f", "graph", "--color", "always", "--trim-prefix", "main."],
        &story(),
    );
    check(
        "cut.graph",
        &["-f", "graph", "--max-calls", "4"],
        &long_tree(),
    );
}

/// Each says that something was taken off durations, where it has a place for that.
#[test]
fn net() {
    for format in ["text", "graph", "jsonl", "folded", "summary"] {
        let name = format!("net.{format}");
        check(&name, &["-f", format, "--net"], &story());
    }
    let options = ["-f", "jsonl", "--net", "--max-calls", "4"];
    let options = [&options[..], &["--slower-than", "10ms"]].concat();
    check("net_dropped.jsonl", &options, &long_tree());
}

#[test]
fn functrace() {
    check("story.functrace", &["-f", "functrace"], &story());
    let stream = output(&["-f", "functrace", "--stream"], &story());
    assert_eq!(stream, output(&["-f", "functrace"], &story()));
    let slow = ["-f", "functrace", "--slower-than", "100ms"];
    check("slow.functrace", &slow, &story());
}

/// The names of the fields are a promise.
#[test]
fn jsonl() {
    check("story.jsonl", &["-f", "jsonl"], &story());
    check("story_stream.jsonl", &["-f", "jsonl", "--stream"], &story());
    check(
        "cut.jsonl",
        &["-f", "jsonl", "--max-calls", "4"],
        &long_tree(),
    );
    let dropped = ["-f", "jsonl", "--max-calls", "4", "--slower-than", "10ms"];
    check("dropped.jsonl", &dropped, &long_tree());
    let hidden = ["-f", "jsonl", "--calls-slower-than", "1ms"];
    check("hidden.jsonl", &hidden, &story());
}

#[test]
fn chrome() {
    check("story.json", &["-f", "chrome"], &story());
    check(
        "cut.json",
        &["-f", "chrome", "--max-calls", "4"],
        &long_tree(),
    );
}

#[test]
fn folded() {
    check("self.folded", &["-f", "folded"], &story());
    check(
        "total.folded",
        &["-f", "folded", "--fold-by", "total"],
        &story(),
    );
    check(
        "calls.folded",
        &["-f", "folded", "--fold-by", "calls"],
        &story(),
    );
}

/// Each says which call panicked, what recovered, and why a process ended.
#[test]
fn panics_and_ends_of_processes() {
    for format in ["text", "graph", "functrace", "jsonl", "summary"] {
        check(&format!("panics.{format}"), &["-f", format], &panics());
    }
    check("panics_stream.text", &["--stream"], &panics());
    check("panics.json", &["-f", "chrome"], &panics());
    let trimmed = ["-f", "graph", "--trim-prefix", "main."];
    check("panics_trimmed.graph", &trimmed, &panics());
    let cut = ["-f", "text", "--max-calls", "2"];
    check("panics_cut.text", &cut, &panics());
}

/// What was open when tracing began has no beginning and no duration, in any format.
#[test]
fn calls_that_were_open_already() {
    for format in ["text", "graph", "functrace", "jsonl", "summary"] {
        check(
            &format!("already_open.{format}"),
            &["-f", format],
            &already_open(),
        );
    }
    check("already_open.json", &["-f", "chrome"], &already_open());
    check(
        "already_open_total.folded",
        &["-f", "folded", "--fold-by", "total"],
        &already_open(),
    );
    check("already_open_stream.text", &["--stream"], &already_open());
    let cut = ["-f", "text", "--max-calls", "2"];
    check("already_open_cut.text", &cut, &already_open());
    let slow = ["-f", "text", "--calls-slower-than", "1ms"];
    check("already_open_slow.text", &slow, &already_open());
}

/// What is hidden is somewhere in the sums.
#[test]
fn hidden_calls_keep_their_place_in_folded_stacks() {
    let folded = |options: &[&str]| output(&[&["-f", "folded"], options].concat(), &long_tree());
    let sum = |text: &str| -> u64 {
        let values = text.lines().filter_map(|line| line.rsplit_once(' '));
        values
            .map(|(_, value)| value.parse::<u64>().expect("a number"))
            .sum()
    };
    for value in ["self", "calls"] {
        let whole = folded(&["--fold-by", value]);
        let hidden = folded(&["--fold-by", value, "--calls-slower-than", "2ms"]);
        assert!(hidden.contains(";(hidden) "), "{hidden}");
        assert_eq!(sum(&hidden), sum(&whole), "{hidden}");
    }
}

/// What a tree that was cut says of whole calls is what it says uncut.
#[test]
fn cuts_do_not_change_whole_calls() {
    let calls = |options: &[&str]| {
        let jsonl = output(&[&["-f", "jsonl"], options].concat(), &long_tree());
        let mut calls: Vec<String> = jsonl
            .lines()
            .filter(|line| line.contains("\"type\":\"call\""))
            .map(str::to_owned)
            .collect();
        calls.sort();
        calls
    };
    assert_eq!(calls(&["--max-calls", "2"]), calls(&[]));
    let folded = |options: &[&str]| output(&[&["-f", "folded"], options].concat(), &long_tree());
    assert_eq!(folded(&["--max-calls", "2"]), folded(&[]));
}

#[test]
fn several_formats_at_once_are_what_each_is_alone() {
    let formats = Format::ALL.map(Format::name);
    let names: Vec<String> = formats
        .iter()
        .map(|format| format!("{format}:{format}.out"))
        .collect();
    let options: Vec<&str> = names
        .iter()
        .flat_map(|name| ["-f", name.as_str()])
        .collect();
    let together = outputs(&options, &story());
    for (format, together) in formats.iter().zip(together) {
        assert_eq!(together, output(&["-f", format], &story()), "{format}");
        assert!(!together.is_empty(), "{format}");
    }
}

#[test]
fn filters() {
    check(
        "calls_slower_than.txt",
        &["--calls-slower-than", "1ms"],
        &story(),
    );
    check(
        "calls_slower_than_stream.txt",
        &["--calls-slower-than", "1ms", "--stream"],
        &story(),
    );
    check("max_depth.txt", &["--max-depth", "1"], &story());
    check("only.txt", &["--only", "*leaf,main.Other*"], &story());
    check("hide.txt", &["--hide", "main.root"], &story());
    check("goid.txt", &["--goid", "27"], &story());
    check("top.txt", &["--top", "2"], &story());
    check(
        "from_to.txt",
        &["--from", "100us", "--to", "130ms"],
        &story(),
    );
    check(
        "all_filters.txt",
        &[
            "--calls-slower-than",
            "20us",
            "--max-depth",
            "2",
            "--hide",
            "main.evil*",
            "--from",
            "07:06:08",
            "--to",
            "04 07:06:09.5",
            "--top",
            "3",
        ],
        &story(),
    );
    check(
        "cut_hidden.txt",
        &["--max-calls", "3", "--calls-slower-than", "2ms"],
        &long_tree(),
    );
}

/// Calls of the same function one after another, with their moments in the story's time zone.
#[test]
fn moments_can_be_written_in_every_way() {
    let mut program = program();
    for _ in 0..5 {
        plain_tree(&mut program, FIRST);
        program.wait_ns(1_000_000_000);
    }
    let shown = |from: &str, to: &str| output(&["--from", from, "--to", to], &program);
    let expected = shown("1.5s", "3.5s");
    assert_eq!(expected.matches("} main.root").count(), 2);
    for (from, to) in [
        ("07:06:09.5", "07:06:11.5"),
        ("04 07:06:09.5", "04 07:06:11.5"),
        ("2026-03-04T05:06:09.5Z", "2026-03-04T07:06:11.5+02:00"),
    ] {
        assert_eq!(shown(from, to), expected, "{from} to {to}");
    }
    assert_eq!(shown("05 07:06:09", "05 07:06:11"), "");
}
