//! What is written as JSON keeps the rules of its format, and others can read it.

#[path = "support/gate_simulator.rs"]
mod gate_simulator;
#[path = "support/golden.rs"]
mod golden;
#[path = "support/json_schema.rs"]
mod json_schema;
#[path = "support/viewed.rs"]
mod viewed;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gate_simulator::GateSimulator;
use serde_json::Value;
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
    let programs: [fn() -> GateSimulator; 2] = [story, long_tree];
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

/// The rules of the Trace Event Format, and what viewers need beyond it.
fn check_chrome(text: &str) {
    let events: Vec<Value> = serde_json::from_str(text).expect("the whole is JSON");
    let mut processes = BTreeSet::new();
    let mut tracks: BTreeMap<(u64, u64), (Vec<String>, f64)> = BTreeMap::new();
    for event in &events {
        let text = |field: &str| event[field].as_str().unwrap_or_else(|| panic!("{event}"));
        let number = |field: &str| event[field].as_u64().unwrap_or_else(|| panic!("{event}"));
        let track = (number("pid"), number("tid"));
        let name = text("name").to_owned();
        if text("ph") == "M" {
            assert!(event["args"]["name"].is_string(), "{event}");
            match name.as_str() {
                "process_name" => assert!(processes.insert(track.0), "{event}"),
                "thread_name" => assert!(tracks.insert(track, Default::default()).is_none()),
                _ => panic!("{event}"),
            }
            continue;
        }
        assert!(processes.contains(&track.0), "{event}");
        let (open, last) = tracks.get_mut(&track).expect("tracks are named first");
        let time = event["ts"].as_f64().expect("microseconds");
        let is_instant = text("ph") == "i";
        // Instants have no order among the others, and nor have trees: readers sort by time.
        if !is_instant {
            assert!(time >= *last || open.is_empty(), "{event} after {last}");
            *last = time;
        }
        match text("ph") {
            "B" => {
                assert!(event["cat"].is_string(), "{event}");
                open.push(name);
            }
            "E" => assert_eq!(open.pop(), Some(name), "{event}"),
            "i" => assert_eq!(text("s"), "t"),
            _ => panic!("{event}"),
        }
    }
    for (track, (open, _)) in tracks {
        assert!(open.is_empty(), "{track:?}: {open:?}");
    }
}

#[test]
fn trace_events_keep_the_formats_rules() {
    for text in outputs_in("chrome") {
        check_chrome(&text);
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

#[test]
fn jq_reads_json_lines() {
    let text = output(&["-f", "jsonl"], &story());
    let query = "[.[] | select(.type == \"call\" and .package == \"main\")] | length, \
                 (map(.duration_ns) | add), .[0].start_unix_ns";
    let mut jq = Command::new("jq")
        .args(["-s", query])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("jq is installed: cargo xtask test does that");
    let mut stdin = jq.stdin.take().expect("it is piped");
    stdin.write_all(text.as_bytes()).expect("jq reads");
    drop(stdin);
    let output = jq.wait_with_output().expect("jq ends");
    assert!(output.status.success());
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("every line is JSON"))
        .collect();
    let of_main: Vec<&Value> = lines
        .iter()
        .filter(|line| line["type"] == "call" && line["package"] == "main")
        .collect();
    let sum: u64 = of_main
        .iter()
        .filter_map(|line| line["duration_ns"].as_u64())
        .sum();
    let said = String::from_utf8(output.stdout).expect("text");
    let said: Vec<&str> = said.lines().collect();
    let first = of_main[0]["start_unix_ns"].to_string();
    assert_eq!(said[..2], [of_main.len().to_string(), sum.to_string()]);
    // jq before 1.7 keeps numbers as doubles, which are 256 apart here.
    let parsed = |text: &str| text.parse::<f64>().expect("a number");
    assert_eq!(parsed(said[2]), parsed(&first));
}

/// A Python with packages from PyPI, made once.
fn python() -> PathBuf {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readers-venv");
    let python = environment.join("bin/python");
    let run = |command: &mut Command| {
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}");
    };
    let has_packages = Command::new(&python)
        .args(["-c", "import duckdb, jsonschema"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_packages {
        run(Command::new("python3")
            .args(["-m", "venv"])
            .arg(&environment));
        run(Command::new(&python).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "duckdb==1.4.1",
            "jsonschema==4.25.1",
        ]));
    }
    python
}

const READ_WITH_PYTHON: &str = r#"
import json, sys
import duckdb, jsonschema

path, schema_path = sys.argv[1:]
schema = json.load(open(schema_path))
validator = jsonschema.Draft202012Validator(schema)
validator.check_schema(schema)
lines = [json.loads(line) for line in open(path)]
for line in lines:
    validator.validate(line)

calls = [line for line in lines if line["type"] == "call"]
table = f"read_json('{path}', format = 'newline_delimited')"
rows = duckdb.sql(
    f"SELECT package, count(*), sum(self_ns)::BIGINT, min(start_unix_ns)::BIGINT, min(start)::VARCHAR "
    f"FROM {table} WHERE type = 'call' GROUP BY package ORDER BY package").fetchall()
expected = []
for package in sorted({call["package"] for call in calls}):
    of_package = [call for call in calls if call["package"] == package]
    expected.append((
        package,
        len(of_package),
        sum(call["self_ns"] or 0 for call in of_package),
        min(call["start_unix_ns"] for call in of_package if call["start_unix_ns"]),
    ))
assert [row[:4] for row in rows] == expected, (rows, expected)
assert all(row[4].startswith("2026-03-04 ") or row[4].startswith("2026-03-04T") for row in rows), rows
print(len(lines), len(rows))
"#;

/// By DuckDB, and by the reference implementation of JSON Schema.
#[test]
fn duckdb_reads_json_lines() {
    let python = python();
    let directory = tempfile::tempdir().expect("one can be made");
    let file = directory.path().join("story.jsonl");
    fs::write(&file, output(&["-f", "jsonl"], &story())).expect("it can be written");
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/jsonl.schema.json");
    let output = Command::new(python)
        .args(["-c", READ_WITH_PYTHON])
        .args([&file, &schema])
        .output()
        .expect("Python runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(output.stdout, b"26 2\n");
}
