//! What is written keeps the rules of its format; tests/format_readers.rs lets others read it.

#[path = "support/gate_simulator.rs"]
mod gate_simulator;
#[path = "support/golden.rs"]
mod golden;
#[path = "support/json_schema.rs"]
mod json_schema;
#[path = "support/trace_events.rs"]
mod trace_events;
#[path = "support/viewed.rs"]
mod viewed;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use gate_simulator::GateSimulator;
use gofuncgraph::events::Goroutine;
use gofuncgraph::recording::RecordingReader;
use serde_json::Value;
use trace_events::check_chrome;
use viewed::*;

const VARIANTS: [&[&str]; 6] = [
    &[],
    &["--stream"],
    &["--max-calls", "2"],
    &["--max-calls", "2", "--slower-than", "5ms"],
    &["--max-calls", "3", "--calls-slower-than", "2ms"],
    &["--top", "2", "--hide", "main.root"],
];

/// Every variant of the options, with every program.
fn outputs_in(format: &str) -> impl Iterator<Item = String> {
    let programs: [fn() -> GateSimulator; 3] = [story, long_tree, panics];
    VARIANTS.iter().flat_map(move |variant| {
        programs.map(|program| output(&[&["-f", format], *variant].concat(), &program()))
    })
}

fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/jsonl.schema.json");
    let text = fs::read(path).expect("it is there");
    serde_json::from_slice(&text).expect("the schema is JSON")
}

#[test]
fn every_line_of_json_lines_fits_its_schema() {
    let schema = schema();
    let mut types = BTreeSet::new();
    for text in outputs_in("jsonl") {
        assert!(text.is_empty() || text.ends_with('\n'));
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).expect("every line is JSON");
            json_schema::validate(&schema, &value).unwrap_or_else(|reason| panic!("{reason}"));
            types.insert(value["type"].as_str().expect("it has one").to_owned());
        }
    }
    let all = ["call", "cut", "dropped", "hidden", "lost", "open"];
    assert_eq!(types, all.map(str::to_owned).into());
}

#[test]
fn what_does_not_fit_the_schema_is_noticed() {
    let schema = schema();
    let line = output(&["-f", "jsonl"], &story());
    let line = line.lines().next().expect("there is one");
    let good: Value = serde_json::from_str(line).expect("it is JSON");
    json_schema::validate(&schema, &good).expect("it fits");
    for (field, bad) in [
        ("type", Value::from("calls")),
        ("id", Value::from(0)),
        ("parent_id", Value::from("2")),
        ("goid", Value::from(-1)),
        ("start", Value::from("2026-03-04 07:06:08")),
        ("duration_ns", Value::from(0.5)),
        ("ended", Value::from("exit lost")),
        ("more", Value::Null),
    ] {
        let mut value = good.clone();
        value[field] = bad;
        assert!(json_schema::validate(&schema, &value).is_err(), "{field}");
    }
    for field in good.as_object().expect("it is one").keys() {
        let mut value = good.clone();
        value.as_object_mut().expect("it is one").remove(field);
        assert!(json_schema::validate(&schema, &value).is_err(), "{field}");
    }
}

/// Ids name calls once, parents are told of, and times add up.
#[test]
fn json_lines_agree_with_one_another() {
    for text in outputs_in("jsonl") {
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("every line is JSON"))
            .collect();
        let calls: BTreeMap<u64, &Value> = lines
            .iter()
            .filter_map(|line| Some((line["id"].as_u64()?, line)))
            .collect();
        let with_id = lines.iter().filter(|line| line.get("id").is_some());
        assert_eq!(with_id.count(), calls.len());
        let mut inside: BTreeMap<u64, Option<u64>> = BTreeMap::new();
        for line in &lines {
            let Some(parent_id) = line["parent_id"].as_u64() else {
                assert_eq!(line["depth"], 0);
                continue;
            };
            let parent = calls[&parent_id];
            assert_eq!(line["tree_id"], parent["tree_id"]);
            assert_eq!(line["goid"], parent["goid"]);
            assert_eq!(
                line["depth"].as_u64(),
                parent["depth"].as_u64().map(|it| it + 1)
            );
            let spent = match line["type"].as_str() {
                Some("call" | "open") => line["duration_ns"].as_u64(),
                Some("hidden") => line["total_ns"].as_u64(),
                _ => Some(0),
            };
            let sum = inside.entry(parent_id).or_insert(Some(0));
            *sum = sum.zip(spent).map(|(sum, spent)| sum + spent);
        }
        for (id, call) in &calls {
            if let (Some(duration), Some(start), Some(end)) = (
                call["duration_ns"].as_i64(),
                call["start_unix_ns"].as_i64(),
                call["end_unix_ns"].as_i64(),
            ) {
                assert_eq!(end - start, duration);
            }
            if let Some(self_ns) = call["self_ns"].as_u64() {
                let inside = inside.get(id).copied().unwrap_or(Some(0));
                let inside = inside.expect("all times inside are known");
                assert_eq!(Some(self_ns + inside), call["duration_ns"].as_u64());
            }
        }
    }
}

/// Every call that JSON Lines tell of is there, and no other. Trace events have the monotonic
/// clock.
fn check_chrome_against_json_lines(chrome: &str, json_lines: &str, realtime_minus_monotonic: u64) {
    let calls: Vec<Value> = json_lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("every line is JSON"))
        .filter(|line: &Value| line.get("function").is_some())
        .collect();
    let slices = check_chrome(chrome);
    assert_eq!(slices.len(), calls.len());
    let known: Vec<&Value> = calls
        .iter()
        .filter(|call| call["start_unix_ns"].is_u64() && call["end_unix_ns"].is_u64())
        // Of a call without a caller, the entry is not known; its start is told by its duration.
        .filter(|call| call["caller"].is_string())
        .collect();
    for call in known {
        let number = |field: &str| call[field].as_u64().expect("a number");
        let slice = (
            number("pid"),
            number("goid"),
            call["function"].as_str().expect("text").to_owned(),
            number("start_unix_ns") - realtime_minus_monotonic,
            number("end_unix_ns") - realtime_minus_monotonic,
        );
        assert!(slices.binary_search(&slice).is_ok(), "{slice:?} is missing");
    }
}

#[test]
fn trace_events_keep_the_formats_rules() {
    for (chrome, json_lines) in outputs_in("chrome").zip(outputs_in("jsonl")) {
        let offset = golden::REALTIME_MINUS_MONOTONIC_NS.unsigned_abs();
        check_chrome_against_json_lines(&chrome, &json_lines, offset);
    }
}

#[test]
fn trace_events_of_recordings_keep_the_formats_rules() {
    for recording in ["example.rec", "go-list.rec"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/recordings");
        let of_format = |format: &str| {
            let output = Command::new(env!("CARGO_BIN_EXE_gofuncgraph"))
                .args(["replay", "-f", format])
                .arg(path.join(recording))
                .output()
                .expect("it was built");
            String::from_utf8(output.stdout).expect("every format is UTF-8")
        };
        let file = File::open(path.join(recording)).expect("it is checked in");
        let reader = RecordingReader::new(file).expect("it is a recording");
        let offset = reader.header().clock.realtime_minus_monotonic_ns;
        let (chrome, json_lines) = (of_format("chrome"), of_format("jsonl"));
        check_chrome_against_json_lines(&chrome, &json_lines, offset.unsigned_abs());
    }
}

/// Perfetto would put them all on one track.
#[test]
fn goroutines_with_ids_beyond_32_bits_have_tracks_of_their_own() {
    let mut program = golden::program();
    let goroutines = [7, (1 << 31) - 1, 1 << 31, (1 << 32) + 7, u64::MAX].map(|goid| Goroutine {
        pid: golden::FIRST.pid,
        goid,
    });
    for goroutine in goroutines {
        program.call(goroutine, golden::ROOT);
        program.call(goroutine, golden::LEAF);
    }
    for goroutine in goroutines {
        program.ret(goroutine);
        program.ret(goroutine);
        golden::plain_tree(&mut program, goroutine);
    }
    let text = output(&["-f", "chrome"], &program);
    let slices = check_chrome(&text);
    let tracks: BTreeSet<u64> = slices.iter().map(|(_, tid, ..)| *tid).collect();
    let renumbered = [1 << 31, (1 << 31) + 1, (1 << 31) + 2];
    assert_eq!(
        tracks,
        [7, (1 << 31) - 1].into_iter().chain(renumbered).collect()
    );
    for goroutine in goroutines {
        assert!(text.contains(&format!("\"goroutine {}\"", goroutine.goid)));
    }
}

#[test]
fn trace_events_without_a_trace_are_an_empty_array() {
    let text = output(&["-f", "chrome"], &golden::program());
    assert_eq!(
        serde_json::from_str::<Vec<Value>>(&text).expect("JSON"),
        Vec::<Value>::new()
    );
}

/// Viewers take an array without its end: every line but the first is an event.
#[test]
fn trace_events_that_end_early_can_be_completed() {
    let text = output(&["-f", "chrome"], &story());
    let lines: Vec<&str> = text.lines().collect();
    for end in 2..lines.len() - 1 {
        let beginning = lines[..end].join("\n");
        let completed = format!("{}]", beginning.trim_end_matches(','));
        let events: Vec<Value> = serde_json::from_str(&completed).expect("JSON");
        assert_eq!(events.len(), end - 1);
    }
}

#[test]
fn folded_stacks_have_frames_and_a_number() {
    for text in outputs_in("folded") {
        for line in text.lines() {
            let (stack, value) = line.rsplit_once(' ').expect("a number follows");
            assert!(value.parse::<u64>().is_ok_and(|value| value > 0), "{line}");
            assert!(stack.split(';').all(|frame| !frame.is_empty()), "{line}");
        }
    }
}

/// Self times are parts of the times of roots: together they are as long, where every duration is
/// known. So a flame graph's width is the time in trees.
#[test]
fn self_times_add_up_to_the_time_of_roots() {
    let sum = |text: &str, is_meant: fn(&str) -> bool| -> u64 {
        let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        lines
            .filter(|(stack, _)| is_meant(stack))
            .map(|(_, value)| value.parse::<u64>().expect("a number"))
            .sum()
    };
    let mut program = golden::program();
    for goroutine in [golden::FIRST, golden::SECOND, golden::ELSEWHERE] {
        golden::plain_tree(&mut program, goroutine);
        program.call(goroutine, golden::HOSTILE);
        program.call(goroutine, golden::ROOT);
        program.recover(goroutine, 0);
    }
    for program in [program, long_tree()] {
        for options in [&[] as &[&str], &["--max-calls", "2"], &["--hide", "*root"]] {
            let of = |value| {
                output(
                    &[&["-f", "folded", "--fold-by", value], options].concat(),
                    &program,
                )
            };
            let self_times = sum(&of("self"), |_| true);
            let roots = sum(&of("total"), |stack| !stack.contains(';'));
            assert_eq!(self_times, roots, "{options:?}");
            assert!(roots > 0);
        }
    }
}
