//! The programs that formats are for read them: jq, DuckDB, the reference implementation of JSON
//! Schema, speedscope in a browser, and inferno.
//!
//! They read simulated programs, in which everything happens that can go wrong, and the recordings
//! that are checked in. `cargo xtask test` installs them.

#[path = "support/gate_simulator.rs"]
mod gate_simulator;
#[path = "support/golden.rs"]
mod golden;
#[path = "support/readers.rs"]
mod readers;
#[path = "support/viewed.rs"]
mod viewed;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use gate_simulator::GateSimulator;
use golden::{FIRST, LEAF, MIDDLE, OTHER, ROOT, SECOND, program};
use readers::{SpeedscopePage, jq, python, speedscope};
use serde_json::Value;
use viewed::{already_open, long_tree, output, story};

/// Something to be shown in a format.
struct Trace {
    name: &'static str,
    source: Source,
    options: &'static [&'static str],
}

enum Source {
    Simulated(fn() -> GateSimulator),
    Recording(&'static str),
}

use Source::{Recording, Simulated};

const TRACES: [Trace; 11] = [
    trace("story", Simulated(story), &[]),
    trace("cut", Simulated(story), &["--max-calls", "2"]),
    trace(
        "dropped",
        Simulated(story),
        &["--max-calls", "2", "--slower-than", "5ms"],
    ),
    trace(
        "dropped-long",
        Simulated(long_tree),
        &["--max-calls", "2", "--slower-than", "5ms"],
    ),
    trace(
        "hidden",
        Simulated(story),
        &["--max-calls", "3", "--calls-slower-than", "2ms"],
    ),
    trace("top", Simulated(story), &["--top", "3"]),
    trace("entries-lost", Simulated(entries_lost), &[]),
    trace("already-open", Simulated(already_open), &[]),
    trace(
        "already-open-cut",
        Simulated(already_open),
        &["--max-calls", "2"],
    ),
    trace("example", Recording("example.rec"), &[]),
    trace("go-list", Recording("go-list.rec"), &[]),
];

const fn trace(name: &'static str, source: Source, options: &'static [&'static str]) -> Trace {
    Trace {
        name,
        source,
        options,
    }
}

impl Trace {
    /// What is written with `options`, such as `-f jsonl`.
    fn shown(&self, options: &[&str]) -> String {
        let options = [self.options, options].concat();
        match self.source {
            Simulated(program) => output(&options, &program()),
            Recording(recording) => replayed(recording, &options),
        }
    }

    /// In a format, with a name for a file.
    fn file(&self, format: &str, extension: &str) -> (String, String) {
        let name = format!("{}.{extension}", self.name);
        (name, self.shown(&["-f", format]))
    }

    /// What processes are called.
    fn program(&self) -> &'static str {
        match self.source {
            Simulated(_) => "server",
            Recording("example.rec") => "example-go",
            Recording(_) => "go",
        }
    }
}

/// Of several calls around one another only the ends are seen: they begin at the same time, as far
/// as is known.
fn entries_lost() -> GateSimulator {
    let mut program = program();
    program.losing(|program| {
        program.call(FIRST, ROOT);
        program.call(FIRST, MIDDLE);
    });
    program.call(FIRST, LEAF);
    program.ret(FIRST);
    program.ret(FIRST);
    program.call(FIRST, OTHER);
    program.ret(FIRST);
    program.ret(FIRST);
    program.losing(|program| {
        program.call(SECOND, ROOT);
        program.call(SECOND, MIDDLE);
    });
    program.ret(SECOND);
    program.ret(SECOND);
    program
}

/// What the program prints of a recording that is checked in.
fn replayed(recording: &str, options: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/recordings")
        .join(recording);
    let output = Command::new(env!("CARGO_BIN_EXE_gofuncgraph"))
        .arg("replay")
        .arg(path)
        .args(options)
        .output()
        .expect("it was built");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).expect("every format is UTF-8")
}

fn lines_of(json_lines: &str) -> Vec<Value> {
    json_lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("every line is JSON"))
        .collect()
}

#[test]
fn jq_reads_json_lines() {
    let query = "[.[] | select(.type == \"call\")] | length, (map(.duration_ns) | add), \
                 (map(.function) | unique | join(\" \"))";
    for trace in &TRACES {
        let name = trace.name;
        let text = trace.shown(&["-f", "jsonl"]);
        let lines = lines_of(&text);
        let calls: Vec<&Value> = lines.iter().filter(|line| line["type"] == "call").collect();
        let sum: u64 = calls
            .iter()
            .filter_map(|call| call["duration_ns"].as_u64())
            .sum();
        let functions: BTreeSet<&str> = calls
            .iter()
            .filter_map(|call| call["function"].as_str())
            .collect();
        let functions: Vec<&str> = functions.into_iter().collect();
        let said: Vec<Value> = lines_of(&jq(&["-c", "-s", query], &text));
        let expected = [
            Value::from(calls.len()),
            Value::from(sum),
            Value::from(functions.join(" ")),
        ];
        assert_eq!(said, expected, "{name}");
        assert!(!calls.is_empty(), "{name}");
    }
}

#[test]
fn jq_takes_no_line_that_is_broken() {
    let text = output(&["-f", "jsonl"], &story());
    let broken = &text[..text.len() - 2];
    let run = std::panic::catch_unwind(|| jq(&["-c", "."], broken));
    assert!(run.is_err());
}

const READ_WITH_PYTHON: &str = r#"
import datetime, json, sys
import duckdb, jsonschema

schema_path, *paths = sys.argv[1:]
schema = json.load(open(schema_path))
validator = jsonschema.Draft202012Validator(schema)
validator.check_schema(schema)
utc = datetime.timezone.utc

for path in paths:
    lines = [json.loads(line) for line in open(path)]
    for line in lines:
        validator.validate(line)
    calls = [line for line in lines if line["type"] == "call"]
    rows = duckdb.sql(
        f"SELECT package, count(*), sum(self_ns)::BIGINT, min(start_unix_ns)::BIGINT, "
        f"count(DISTINCT goid)::BIGINT, min(start::TIMESTAMPTZ)::VARCHAR "
        f"FROM read_json('{path}', format = 'newline_delimited') "
        f"WHERE type = 'call' GROUP BY package ORDER BY package").fetchall()
    expected = []
    for package in sorted({call["package"] for call in calls}):
        of_package = [call for call in calls if call["package"] == package]
        expected.append((
            package,
            len(of_package),
            sum(call["self_ns"] or 0 for call in of_package),
            min(call["start_unix_ns"] for call in of_package if call["start_unix_ns"]),
            len({call["goid"] for call in of_package}),
        ))
    assert [row[:5] for row in rows] == expected, (path, rows, expected)
    for row in rows:
        told = datetime.datetime.fromisoformat(row[5]).astimezone(utc)
        moment = datetime.datetime.fromtimestamp(row[3] / 1e9, utc)
        assert abs(told - moment) < datetime.timedelta(milliseconds=1), (path, told, moment)
    print(len(lines), len(rows))
"#;

/// By DuckDB, and by the reference implementation of JSON Schema.
#[test]
fn duckdb_reads_json_lines() {
    let directory = tempfile::tempdir().expect("one can be made");
    let files = TRACES.map(|trace| {
        let (name, text) = trace.file("jsonl", "jsonl");
        let file = directory.path().join(name);
        fs::write(&file, text).expect("it can be written");
        file
    });
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/jsonl.schema.json");
    let said = python(READ_WITH_PYTHON, std::iter::once(&schema).chain(&files));
    assert_eq!(said.lines().count(), files.len(), "{said}");
    assert!(said.starts_with("26 2\n"), "{said}");
}

/// The functions of every goroutine's calls, by the name that speedscope has for its profile.
/// tests/format_rules.rs compares them with what other formats tell.
fn functions_by_profile(chrome: &str, program: &str) -> BTreeMap<String, BTreeSet<String>> {
    let events: Vec<Value> = serde_json::from_str(chrome).expect("the whole is JSON");
    let mut profiles: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["ph"] == "B") {
        let (pid, goid) = (&event["pid"], &event["tid"]);
        let function = event["name"].as_str().expect("it is text");
        profiles
            .entry(format!(
                "{program} (pid {pid}), goroutine {goid} (tid {goid})"
            ))
            .or_default()
            .insert(function.to_owned());
    }
    profiles
}

/// Every goroutine is a profile in which exactly its functions are seen, and speedscope finds
/// nothing strange in them.
#[test]
fn speedscope_shows_trace_events() {
    let files = TRACES.map(|trace| trace.file("chrome", "json"));
    let pages = speedscope(&files);
    for ((trace, (name, text)), page) in TRACES.iter().zip(&files).zip(pages) {
        assert_eq!(page.error, None, "{name}");
        assert_eq!(page.warnings, Vec::<String>::new(), "{name}");
        let expected = functions_by_profile(text, trace.program());
        if expected.len() > 1 {
            let shown: BTreeMap<_, _> = page
                .profiles
                .into_iter()
                .map(|profile| (profile.name.unwrap_or_default(), profile.functions))
                .collect();
            assert_eq!(shown, expected, "{name}");
        } else {
            assert_eq!(page.profiles.len(), 1, "{name}");
            assert_eq!(
                Some(&page.profiles[0].functions),
                expected.values().next(),
                "{name}"
            );
        }
    }
}

#[test]
fn speedscope_shows_folded_stacks() {
    let files = TRACES.map(|trace| trace.file("folded", "folded"));
    for ((name, text), page) in files.iter().zip(speedscope(&files)) {
        assert_eq!(page.error, None, "{name}");
        assert_eq!(page.warnings, Vec::<String>::new(), "{name}");
        assert_eq!(page.profiles.len(), 1, "{name}");
        assert_eq!(page.profiles[0].functions, frames_of(text), "{name}");
    }
}

/// Shows that the tests above would notice: a file without its beginning, an end that is not
/// there, calls that overlap.
#[test]
fn speedscope_notices_what_is_wrong() {
    let good = output(&["-f", "chrome"], &story());
    let lines: Vec<&str> = good.lines().collect();
    let first_end = lines.iter().position(|line| line.contains("\"ph\":\"E\""));
    let first_end = first_end.expect("there is one");
    let without_end = [&lines[..first_end], &lines[first_end + 1..]].concat();
    let overlapping = [
        r#"[{"name":"a","ph":"B","ts":1,"pid":1,"tid":1}"#,
        r#"{"name":"b","ph":"B","ts":2,"pid":1,"tid":1}"#,
        r#"{"name":"a","ph":"E","ts":3,"pid":1,"tid":1}"#,
        r#"{"name":"b","ph":"E","ts":4,"pid":1,"tid":1}]"#,
    ];
    let files = [
        ("beginning.json".to_owned(), good[2..].to_owned()),
        ("end.json".to_owned(), without_end.join("\n")),
        ("overlap.json".to_owned(), overlapping.join(",\n")),
        ("empty.folded".to_owned(), "nothing\n".to_owned()),
    ];
    let is_fine = |page: &SpeedscopePage| page.error.is_none() && page.warnings.is_empty();
    let fine: Vec<bool> = speedscope(&files).iter().map(is_fine).collect();
    assert_eq!(fine, [false; 4]);
}

fn frames_of(folded: &str) -> BTreeSet<String> {
    let stacks = folded.lines().filter_map(|line| line.rsplit_once(' '));
    stacks
        .flat_map(|(stack, _)| stack.split(';'))
        .map(str::to_owned)
        .collect()
}

/// A flame graph has every function, and nothing was left out of it.
#[test]
fn inferno_draws_folded_stacks() {
    for trace in &TRACES {
        let name = trace.name;
        for value in ["self", "total", "calls"] {
            let text = trace.shown(&["-f", "folded", "--fold-by", value]);
            let mut options = inferno::flamegraph::Options::default();
            // No frame is too narrow to be drawn.
            options.min_width = 0.0;
            let mut drawn = Vec::new();
            inferno::flamegraph::from_lines(&mut options, text.lines(), &mut drawn)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let drawn = String::from_utf8(drawn).expect("SVG is text");
            let svg = roxmltree::Document::parse_with_options(
                &drawn,
                roxmltree::ParsingOptions {
                    allow_dtd: true,
                    ..Default::default()
                },
            )
            .expect("SVG is XML");
            let titles: BTreeSet<String> = svg
                .descendants()
                .filter(|node| node.has_tag_name("title"))
                .filter_map(|node| node.text())
                .filter_map(|title| title.rsplit_once(" (").map(|(name, _)| name.to_owned()))
                .collect();
            let all = std::iter::once("all".to_owned());
            let expected: BTreeSet<String> = frames_of(&text).into_iter().chain(all).collect();
            assert_eq!(titles, expected, "{name} by {value}");
            let sum: u64 = text
                .lines()
                .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
                .sum();
            let drawn_sum = format!("total_samples=\"{sum}\"");
            assert!(drawn.contains(&drawn_sum), "{name} by {value}: {sum}");
        }
    }
}
