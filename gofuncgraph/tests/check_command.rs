//! `check` and `diff` as commands: exit codes, warnings, and recordings that are not whole.

#[path = "support/analysis.rs"]
mod analysis;
#[path = "support/gate_simulator.rs"]
mod gate_simulator;
#[path = "support/golden.rs"]
mod golden;
#[path = "support/recordings.rs"]
mod recordings;

use std::fs;
use std::process::Command;

use analysis::{Requests, USUAL, server};
use gate_simulator::GateSimulator;
use gofuncgraph::kernel::KernelCounters;
use gofuncgraph::recording::{LossCounters, RecordedEnd, RecordingHeader, RecordingWriter};
use golden::TestSymbols;

struct Place(tempfile::TempDir);

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("there is room"))
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.path().join(name), bytes).expect("there is room");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).expect("it was written")
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_gofuncgraph"))
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .expect("it was built");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ended {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Ended {
    fn assert(&self, code: i32, said: &[&str]) {
        let all = format!("{}\n{}", self.stdout, self.stderr);
        assert_eq!(self.code, Some(code), "{all}");
        for words in said {
            assert!(all.contains(words), "{words:?} is not in:\n{all}");
        }
    }
}

fn recording_of(header: &RecordingHeader, program: &GateSimulator, malformed: u64) -> Vec<u8> {
    let mut writer = RecordingWriter::new(header, &recordings::plan(), Box::new(TestSymbols));
    for event in &program.events {
        writer.handle(event);
    }
    writer.finish(&RecordedEnd {
        losses: LossCounters {
            malformed_records: malformed,
            kernel: KernelCounters {
                trees_refused: malformed * 7,
                ..KernelCounters::default()
            },
            ..LossCounters::default()
        },
        ..recordings::end(program.now)
    });
    writer.take_output().0
}

fn recording(program: &GateSimulator) -> Vec<u8> {
    recording_of(&recordings::header(), program, 0)
}

fn few(count: u64, leaf_ns: u64) -> Vec<u8> {
    recording(&server(Requests {
        count,
        leaf_ns,
        ..USUAL
    }))
}

#[test]
fn the_exit_code_is_the_verdict() {
    let place = Place::new();
    place.write("new.rec", &recording(&server(USUAL)));
    place.write("rules", b"# never\nlost > 0\n\nmax(*) > 1h\n");
    let run = |arguments: &[&str]| place.run(&[&["check", "new.rec"], arguments].concat());
    run(&["--fail-if", "lost > 0"]).assert(0, &["1 rule passed"]);
    run(&["--fail-if", "lost > 0", "max(*) > 1ms"]).assert(10, &["1 of 2 rules failed"]);
    // Words after one option, and the option again.
    run(&["--fail-if", "max(*) > 1ms", "--fail-if", "lost > 0"])
        .assert(10, &["1 of 2 rules failed"]);
    run(&["--rules", "rules"]).assert(2, &["rules:4: 'h' is not a unit", "^"]);
    run(&["--rules", "none"]).assert(1, &["cannot read none"]);
    run(&["--fail-if", "p50(*) > baseline"]).assert(2, &["name a recording with --baseline"]);
    run(&["--fail-if", "lost > 0", "--level", "2"]).assert(2, &["0.001 to 0.5"]);
}

#[test]
fn an_option_that_takes_the_recording_is_explained() {
    let place = Place::new();
    place.write("new.rec", &recording(&server(USUAL)));
    let swallowed = place.run(&["check", "--fail-if", "lost > 0", "new.rec"]);
    swallowed.assert(2, &["tip: NEW stands before --baseline and --fail-if"]);
    let between = ["check", "--level", "0.05", "new.rec", "--fail-if"];
    place
        .run(&[&between[..], &["lost > 0"]].concat())
        .assert(0, &[]);
    let without_rule = place.run(&["check", "new.rec"]);
    without_rule.assert(
        2,
        &["--fail-if", "tip: rules can also stand in a file: --rules"],
    );
}

#[test]
fn recordings_that_cannot_be_read_are_no_verdict() {
    let place = Place::new();
    let whole = recording(&server(USUAL));
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    place.write("damaged.rec", &damaged);
    place.write("header.rec", &whole[..40]);
    place.write("text.rec", b"lost > 0\n");
    place.write("base.rec", &whole);
    for (name, problem) in [
        ("damaged.rec", "the recording is damaged: block"),
        ("header.rec", "cut in its header"),
        ("text.rec", "this is not a recording"),
        ("gone.rec", "No such file"),
    ] {
        let rule = ["--fail-if", "calls(*) > 1.1 * baseline"];
        let new = [&["check", name, "--baseline", "base.rec"], &rule[..]].concat();
        let base = [&["check", "base.rec", "--baseline", name], &rule[..]].concat();
        for arguments in [new, base] {
            let ended = place.run(&arguments);
            ended.assert(1, &[&format!("cannot read {name}: "), problem]);
            assert_eq!(ended.stdout, "", "{arguments:?}");
        }
    }
}

#[test]
fn what_makes_a_verdict_doubtful_is_said_everywhere() {
    let place = Place::new();
    let base = server(USUAL);
    let mut losing = server(Requests { seed: 2, ..USUAL });
    losing.losing(|program| program.call(golden::FIRST, golden::ROOT));
    losing.losing(|program| program.ret(golden::FIRST));
    losing.stop();
    let mut header = recordings::header();
    header.target.go_version = "go1.25.3".to_owned();
    header.target.main_module = Some("example.com/other".to_owned());
    header.host.cpu_model = "Another CPU".to_owned();
    header.host.kernel = "6.6.1".to_owned();
    header.plan.targets = vec!["main.other".to_owned()];
    let whole = recording(&losing);
    place.write("new.rec", &whole[..whole.len() - 3]);
    place.write("base.rec", &recording_of(&header, &base, 1));
    let warnings = [
        "new.rec was cut; it is read up to its last whole block",
        "base.rec has gaps: 1 event was lost",
        "base.rec has not all trees: 7 were refused",
        "base.rec comes from another program than new.rec: example.com/other against",
        "base.rec comes from another Go version than new.rec: go1.25.3 against go1.26.8",
        "base.rec comes from another kind of machine than new.rec: Another CPU, 2 CPUs, x86_64",
        "base.rec comes from another kernel than new.rec: 6.6.1 against 6.18.0",
        "base.rec comes from another choice of functions than new.rec: targets [main.other]",
    ];
    let check = ["check", "new.rec", "--baseline", "base.rec"];
    let options = ["--fail-if", "lost >= 0", "--junit", "j", "--markdown", "m"];
    let ended = place.run(&[&check[..], &options].concat());
    ended.assert(
        10,
        &warnings
            .map(|warning| format!("warning: {warning}"))
            .each_ref()
            .map(String::as_str),
    );
    let junit = place.read("j");
    let markdown = without_entities(&place.read("m"));
    let diff = place.run(&["diff", "base.rec", "new.rec"]);
    let diff_markdown = place.run(&["diff", "base.rec", "new.rec", "-f", "markdown"]);
    let diff_lines = place.run(&["diff", "base.rec", "new.rec", "-f", "jsonl"]);
    for warning in warnings {
        assert!(junit.contains(warning), "{warning}: {junit}");
        assert!(markdown.contains(warning), "{warning}: {markdown}");
        diff.assert(0, &[warning]);
        assert!(diff_lines.stderr.contains(warning), "{warning}");
        let diff_markdown = without_entities(&diff_markdown.stdout);
        assert!(
            diff_markdown.contains(warning),
            "{warning}: {diff_markdown}"
        );
    }
    for line in diff_lines.stdout.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("standard output is JSON alone");
    }
}

fn without_entities(markdown: &str) -> String {
    markdown
        .replace("&#91;", "[")
        .replace("&#93;", "]")
        .replace("&#95;", "_")
}

#[test]
fn a_report_that_cannot_be_written_does_not_hide_the_verdict() {
    let place = Place::new();
    place.write("new.rec", &recording(&server(USUAL)));
    let options = ["--fail-if", "max(*) > 1ms", "--junit", "gone/junit.xml"];
    let ended = place.run(&[&["check", "new.rec"], &options[..]].concat());
    ended.assert(1, &["FAIL max(*) > 1ms", "cannot write gone/junit.xml"]);
}

#[test]
fn one_report_can_take_the_place_of_the_text() {
    let place = Place::new();
    place.write("new.rec", &recording(&server(USUAL)));
    let run = |options: &[&str]| {
        let check = ["check", "new.rec", "--fail-if", "max(*) > 1ms"];
        place.run(&[&check[..], options].concat())
    };
    let both = run(&["--junit", "-", "--markdown", "m"]);
    both.assert(10, &[]);
    roxmltree::Document::parse(&both.stdout).expect("XML alone");
    let markdown = run(&["--markdown", "-"]);
    markdown.assert(10, &[]);
    assert_eq!(markdown.stdout, place.read("m"));
    run(&["--junit", "-", "--markdown", "-"]).assert(2, &["only one of --junit and --markdown"]);
    assert!(!place.0.path().join("-").exists());
}

#[test]
fn a_rule_that_cannot_fail_is_skipped_not_passed() {
    let place = Place::new();
    place.write("base.rec", &few(4, 10_000_000));
    place.write("slow.rec", &few(4, 90_000_000));
    place.write("enough.rec", &few(40, 10_000_000));
    let check = |new: &str, rules: &[&str]| {
        let options = ["--baseline", "base.rec", "--junit", "j", "--markdown", "m"];
        place.run(&[&["check", new], &options[..], &["--fail-if"], rules].concat())
    };
    let rules = [
        "p50(net/http.leaf) > 1.2 * baseline",
        "mean(net/http.leaf) > 1.2 * baseline",
        "calls(net/http.leaf) > baseline",
        "p50(main.*) > 1.2 * baseline",
    ];
    for new in ["base.rec", "slow.rec"] {
        let ended = check(new, &rules);
        ended.assert(
            0,
            &[
                "0 of 4 rules passed, 4 skipped",
                "skip p50(net/http.leaf) > 1.2 * baseline",
                "4 and 4 samples are too few to tell a difference from chance",
                "1 more function with too few samples",
            ],
        );
        let junit = place.read("j");
        let junit = roxmltree::Document::parse(&junit).expect("XML");
        let skipped = junit.descendants().filter(|it| it.has_tag_name("skipped"));
        let messages: Vec<_> = skipped.map(|it| it.attribute("message")).collect();
        assert_eq!(messages.len(), 4);
        assert!(
            messages
                .iter()
                .all(|message| message.is_some_and(|it| it.contains("too few")))
        );
        assert_eq!(place.read("m").matches("⚠️").count(), 4);
    }
    // A handful against many proves nothing either: these may be a program's first calls.
    check("enough.rec", &rules).assert(0, &["0 of 4 rules passed, 4 skipped"]);
    place.write("base.rec", &few(8, 10_000_000));
    check("enough.rec", &rules).assert(0, &["4 rules passed"]);
    place.write("slow.rec", &few(8, 90_000_000));
    check("slow.rec", &rules).assert(10, &["3 of 4 rules failed"]);
}

#[test]
fn functions_of_one_rule_share_its_level() {
    let place = Place::new();
    // Eight against eight: the least answer for a median is 35/12870, more than a third of 0.005.
    place.write("base.rec", &few(8, 10_000_000));
    place.write("slow.rec", &few(8, 90_000_000));
    let check = |rule: &str| {
        let options = [
            "--baseline",
            "base.rec",
            "--level",
            "0.005",
            "--fail-if",
            rule,
        ];
        place.run(&[&["check", "slow.rec"], &options[..]].concat())
    };
    check("p50(net/http.leaf) > 1.2 * baseline").assert(10, &["1 of 1 rule failed"]);
    check("p50(*) > 1.2 * baseline").assert(0, &["0 of 1 rule passed, 1 skipped"]);
}

#[test]
fn a_name_that_matches_nothing_is_said() {
    let place = Place::new();
    place.write("new.rec", &recording(&server(USUAL)));
    place.write("base.rec", &recording(&server(USUAL)));
    for rule in [
        "calls(main.misspelt) > 3",
        "calls(main.misspelt) > 3 per main.root",
        "self(main.misspelt) > 5%",
        "calls(main.misspelt) > 2 * baseline",
    ] {
        let check = ["check", "new.rec", "--baseline", "base.rec", "--fail-if"];
        let ended = place.run(&[&check[..], &[rule]].concat());
        ended.assert(
            0,
            &["no call of main.misspelt was recorded: if there should be"],
        );
    }
    let paths = ["check", "new.rec", "--fail-if", "p50(main.misspelt) > 1ms"];
    place
        .run(&paths)
        .assert(10, &["no call of main.misspelt has a measured duration"]);
}
