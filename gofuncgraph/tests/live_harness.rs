//! What the live tests rely on: the reader of the tracer's text, on text written by hand, and the
//! traced programs, untraced.

mod support;

use std::time::Duration;

use support::memory::changed_code_bytes;
use support::private_binary::PrivateBinary;
use support::program::Program;
use support::text::{Counts, End, Layout, Trace};
use support::tracer::Summary;

const BLANKS: &str = "          ";

/// A line as the grammar spells it; the root is on level 0.
fn line(time: &str, duration: &str, level: usize, body: &str) -> String {
    let duration = if duration.is_empty() {
        BLANKS
    } else {
        duration
    };
    format!(
        "{time} {duration} {:indent$} {body}\n",
        "",
        indent = 2 * level
    )
}

fn two_trees() -> String {
    [
        line(
            "02 15:04:05.000001",
            "",
            0,
            "main.a() { main.main+12 /src/main.go:3",
        ),
        line(
            "02 15:04:05.000002",
            "",
            1,
            "main.(*T[go.shape.int]).m() { main.a+5 /my src/a.go:7",
        ),
        line(
            "02 15:04:05.000005",
            "000.000003",
            1,
            "} main.(*T[go.shape.int]).m+9 /my src/a.go:8",
        ),
        line("02 15:04:05.000006", "", 1, "// lost 12 events"),
        line("02 15:04:05.000007", "", 1, "main.b() { // entry lost"),
        line("02 15:04:05.000008", "", 1, "} main.b"),
        line("02 15:04:05.000009", "000.000008", 0, "} main.a // unwound"),
        "\n".to_owned(),
        line(
            "02 15:04:06.500000",
            "",
            0,
            "main.a() { main.main+12 /src/main.go:3",
        ),
        line("02 15:04:06.500001", "", 0, "} main.a // still open"),
    ]
    .concat()
}

fn read(text: &str) -> Trace {
    Trace::parse(text, Layout::Trees, 6, None)
}

#[test]
fn trees_are_read() {
    let trace = read(&two_trees());
    assert_eq!(
        trace.shapes(),
        ["main.a(main.(*T[go.shape.int]).m main.b)", "main.a"]
    );
    assert_eq!(trace.notes, ["lost 12 events"]);
    let ends: Vec<&End> = trace.calls.iter().map(|call| &call.end).collect();
    assert!(matches!(
        ends[..],
        [
            End::Unwound,
            End::Returned(Some(_)),
            End::Returned(None),
            End::StillOpen
        ]
    ));
    let method = &trace.calls[1];
    assert_eq!(method.duration, Some(Duration::from_micros(3)));
    let call_site = method.call_site.as_ref().expect("it was seen");
    assert_eq!(
        (
            call_site.function.as_str(),
            call_site.offset,
            call_site.file.as_str(),
            call_site.line
        ),
        ("main.a", 5, "/my src/a.go", 7)
    );
    assert_eq!(
        trace.counts()["main.a"],
        Counts {
            entries: 2,
            unwound: 1,
            ended_otherwise: 1,
            ..Counts::default()
        }
    );
    assert_eq!(trace.total().entries_lost, 1);
}

#[test]
fn streams_are_read_by_goroutine() {
    let text = [
        line(
            "g[7] 02 15:04:05.000001",
            "",
            0,
            "main.a() { main.main+12 /src/main.go:3",
        ),
        line(
            "g[8] 02 15:04:05.000002",
            "",
            0,
            "main.b() { main.main+12 /src/main.go:3",
        ),
        line(
            "[41] g[7] 02 15:04:05.000003",
            "",
            1,
            "main.c() { main.a+1 /src/main.go:3",
        ),
        line(
            "[42] g[7] 02 15:04:05.000003",
            "",
            0,
            "main.d() { main.a+1 /src/main.go:3",
        ),
        line(
            "[41] g[8] 02 15:04:05.000004",
            "000.000002",
            0,
            "} main.b+1 /src/main.go:4",
        ),
        line(
            "[41] g[7] 02 15:04:05.000005",
            "000.000002",
            1,
            "} main.c+1 /src/main.go:4",
        ),
        line(
            "[41] g[7] 02 15:04:05.000006",
            "000.000005",
            0,
            "} main.a+1 /src/main.go:4",
        ),
        line(
            "[42] g[7] 02 15:04:05.000006",
            "000.000003",
            0,
            "} main.d+1 /src/main.go:4",
        ),
    ]
    .concat();
    let trace = Trace::parse(&text, Layout::Stream, 6, Some(41));
    assert_eq!(trace.shapes(), ["main.a(main.c)", "main.b", "main.d"]);
    assert_eq!(trace.trees[2].pid, Some(42));
    assert_eq!(trace.trees[1].goid, Some(8));
}

#[test]
fn every_number_of_digits_is_read() {
    for digits in 4..=9 {
        let fraction = "1".repeat(digits);
        let text = format!(
            "02 15:04:05.{fraction} {blanks}  main.a() {{ main.main+1 /m.go:1\n\
             02 15:04:05.{fraction} 000.{zeros}  }} main.a+7 /m.go:2\n",
            blanks = " ".repeat(digits + 4),
            zeros = "0".repeat(digits),
        );
        assert_eq!(
            Trace::parse(&text, Layout::Trees, digits, None).shapes(),
            ["main.a"]
        );
    }
}

#[test]
fn summaries_are_read() {
    let summary =
        Summary::parse("trees 3, calls 20, lost entries 1, lost exits 2, began before tracing 4");
    assert_eq!((summary.trees, summary.calls), (3, 20));
    assert_eq!((summary.lost_entries, summary.lost_exits), (1, 2));
    assert_eq!(summary.other("began before tracing"), 4);
    assert_eq!(summary.other("trees refused"), 0);
}

/// Reads [`two_trees`] with one line changed.
fn read_changed(from: &str, to: &str) {
    let text = two_trees();
    let changed = text.replacen(from, to, 1);
    assert_ne!(text, changed);
    read(&changed);
}

#[test]
#[should_panic = "main.b is the call that is open"]
fn an_end_of_another_function_is_refused() {
    read_changed("} main.b", "} main.c");
}

#[test]
#[should_panic = "level 2 inside 1 calls"]
fn a_jump_of_levels_is_refused() {
    read_changed("  main.b()", "    main.b()");
}

#[test]
#[should_panic = "an indent is two blanks per level"]
fn half_a_level_is_refused() {
    read_changed("  main.b()", "   main.b()");
}

#[test]
#[should_panic = "no end of [\"main.a\"]"]
fn a_call_without_end_is_refused() {
    let text = two_trees();
    let end = text.trim_end().rfind('\n').expect("there are lines");
    read(&text[..=end]);
}

#[test]
#[should_panic = "nothing is open here"]
fn a_second_end_is_refused() {
    let text = two_trees();
    read(&format!(
        "{text}{}",
        line("02 15:04:07.000000", "", 0, "} main.a")
    ));
}

#[test]
#[should_panic = "an empty line that separates nothing"]
fn two_empty_lines_are_refused() {
    read_changed("\n\n", "\n\n\n");
}

#[test]
#[should_panic = "an empty line at the end"]
fn an_empty_line_at_the_end_is_refused() {
    read(&format!("{}\n", two_trees()));
}

#[test]
#[should_panic = "not a way to end"]
fn an_unknown_end_is_refused() {
    read_changed("unwound", "vanished");
}

#[test]
#[should_panic = "took"]
fn a_duration_that_contradicts_the_times_is_refused() {
    read_changed("000.000008", "000.001008");
}

#[test]
#[should_panic = "a duration is not padded with zeros"]
fn a_duration_without_zeros_is_refused() {
    read_changed("000.000008", "  0.000008");
}

#[test]
#[should_panic = "an entry has no duration"]
fn an_entry_with_a_duration_is_refused() {
    read_changed(&format!("000002 {BLANKS}"), "000002 000.000001");
}

#[test]
#[should_panic = "not a time"]
fn a_time_that_is_none_is_refused() {
    read_changed("15:04:05.000007", "15:94:05.000007");
}

#[test]
#[should_panic = "the goroutine is named in streams only"]
fn a_stream_is_not_read_as_trees() {
    read(&line(
        "g[7] 02 15:04:05.000001",
        "",
        0,
        "main.a() { main.main+12 /src/main.go:3",
    ));
}

#[test]
#[should_panic = "the last line is not whole"]
fn half_a_line_is_refused() {
    read(two_trees().trim_end());
}

#[test]
fn the_oracle_finds_its_results_right() {
    let binary = PrivateBinary::program("oracle");
    let mut oracle = Program::start(binary.path(), &[]);
    let first = oracle.ask_until("go", "done");
    let second = oracle.ask_until("go", "done");
    assert!(first.iter().any(|line| line == "entered main.worker 1000"));
    assert!(
        first
            .iter()
            .any(|line| line == "unwound main.indexTooHigh 60")
    );
    assert_eq!(first.last().map(String::as_str), Some("ok"));
    let counts = |lines: &[String]| -> Vec<String> {
        let counts = lines.iter().filter(|line| !line.starts_with("slept "));
        counts.cloned().collect()
    };
    assert_eq!(counts(&first), counts(&second));
    assert!(oracle.finish().1.success());
}

#[test]
fn a_program_that_nobody_traces_has_no_probes() {
    let binary = PrivateBinary::program("hot");
    let mut program = Program::start(binary.path(), &[]);
    assert!(program.ask("check").starts_with("ok "));
    assert_eq!(changed_code_bytes(&program, binary.path()), 0);
    let (lines, status) = program.finish();
    assert!(status.success());
    assert!(lines[0].starts_with("count main.nested "), "{lines:?}");
}

#[test]
#[should_panic = "the program ended"]
fn a_program_that_ends_instead_of_answering_is_noticed() {
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    program.ask("exit 3");
}

#[test]
#[should_panic = "the answer to"]
fn an_answer_that_was_not_expected_is_noticed() {
    let binary = PrivateBinary::program("sleeper");
    Program::start(binary.path(), &[]).tell("call", "left");
}
