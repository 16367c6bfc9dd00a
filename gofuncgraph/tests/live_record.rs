//! Recordings of real programs: their replay is what was shown live, wherever and however the
//! recording ended.

mod support;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gofuncgraph::recording::{EndReason, ReadEnd, RecordingReader};
use rustix::process::Signal;
use support::http::Connection;
use support::memory::changed_code_bytes;
use support::private_binary::{NEWEST, PrivateBinary};
use support::program::Program;
use support::text::{Layout, Trace};
use support::tracer::{self, Outcome, Tracer};

/// A directory for what a test writes.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("there is room"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        let path = self.path(name);
        path.to_str().expect("a temporary path is text").to_owned()
    }
}

fn replay(recording: &str, options: &[&str]) -> Outcome {
    tracer::run(&[&["replay", recording], options].concat())
}

/// Events in what there is of a recording so far.
fn events(recording: &Path) -> u64 {
    let file = File::open(recording).expect("it was made");
    let Ok(mut reader) = RecordingReader::new(file) else {
        return 0;
    };
    while reader.read_events(&mut |_| {}).expect("it is not damaged") != 0 {}
    reader.end().expect("it was read to its end").events()
}

/// How a recording that is whole ended.
fn end(recording: &Path) -> ReadEnd {
    let file = File::open(recording).expect("it was written");
    let mut reader = RecordingReader::new(file).expect("it is a recording");
    while reader.read_events(&mut |_| {}).expect("it is not damaged") != 0 {}
    *reader.end().expect("it was read to its end")
}

fn reason(recording: &Path) -> EndReason {
    match end(recording) {
        ReadEnd::Whole(end) => end.reason,
        cut => panic!("{cut:?}"),
    }
}

/// The last line of standard error: what was counted.
fn summary_line(outcome: &Outcome) -> &str {
    let lines = outcome.stderr.iter();
    let mut summaries = lines.filter(|line| line.starts_with("summary: "));
    summaries.next().expect("there is a summary")
}

/// Demands that what was shown live and its replay are the same, to the byte and the count.
fn assert_replayed(live: &Outcome, recording: &str, options: &[&str]) {
    let replayed = replay(recording, options);
    replayed.assert_code(0);
    assert!(
        replayed.stdout == live.stdout,
        "--- live\n{}--- replayed\n{}",
        live.stdout,
        replayed.stdout
    );
    assert_eq!(summary_line(&replayed), summary_line(live));
}

#[test]
fn text_and_replay_are_equal_byte_for_byte() {
    let place = Place::new();
    let binary = PrivateBinary::example(NEWEST);
    let arguments = ["-addr", "127.0.0.1:0", "-max-delay", "20ms"];
    let mut program = Program::spawn(binary.path(), &arguments);
    let address = program.line();
    let cases: [(&str, &[&str], &[&str]); 6] = [
        ("trees", &["-u", "net/http*"], &["*handleBar"]),
        ("stream", &["-u", "net/http*", "--stream"], &["*handle*"]),
        ("count", &["-u", "net/http*", "--count", "3"], &["*handle*"]),
        ("module", &[], &[]),
        ("slow", &["--slower-than", "2ms"], &["*handle*"]),
        ("pieces", &["--max-calls", "4", "-u", "*"], &["*handleSend"]),
    ];
    for (name, options, targets) in cases {
        let recording = place.text(&format!("{name}.rec"));
        let sink = format!("record:{recording}");
        let options = [options, &["-f", "text", "-f", &sink]].concat();
        let tracer = Tracer::start(binary.path(), &options, targets);
        for path in ["/bar", "/send?a", "/send?b", "/bar"] {
            assert!(Connection::open(&address).get(path).is_some(), "{name}");
        }
        let live = if name == "count" {
            tracer.wait()
        } else {
            tracer.stop()
        };
        assert!(live.summary().calls > 3, "{name}");
        assert_replayed(&live, &recording, &[]);
        let expected = match name {
            "count" => EndReason::CountReached,
            _ => EndReason::Interrupted,
        };
        assert_eq!(reason(Path::new(&recording)), expected, "{name}");
    }
}

#[test]
fn everything_that_the_oracle_does_is_replayed() {
    let place = Place::new();
    for options in [
        &["--stream"][..],
        &["--count", "100000", "--time-digits", "9"],
    ] {
        let recording = place.text("oracle.rec");
        let sink = format!("record:{recording}");
        let binary = PrivateBinary::program("oracle");
        let mut program = Program::start(binary.path(), &[]);
        let all = [&["-u", "main.*", "-f", "text", "-f", &sink], options].concat();
        let tracer = Tracer::start(binary.path(), &all, &[]);
        program.ask_until("go", "done");
        let live = tracer.stop();
        let digits = if options.len() == 1 {
            &[][..]
        } else {
            &options[2..]
        };
        assert_replayed(&live, &recording, digits);
        assert!(live.summary().calls > 1000);
    }
}

#[test]
fn lost_events_are_lost_in_the_recording_as_well() {
    let place = Place::new();
    let recording = place.text("lost.rec");
    let sink = format!("record:{recording}");
    let binary = PrivateBinary::program("hot");
    let mut program = Program::start(binary.path(), &[]);
    let options = [
        "--buffer",
        "4K",
        "--stream",
        "-u",
        "main.nested",
        "-f",
        "text",
        "-f",
        &sink,
    ];
    let tracer = Tracer::start(binary.path(), &options, &[]);
    assert!(program.ask("check").starts_with("ok"));
    let live = tracer.stop();
    assert!(live.summary().lost_entries > 0);
    assert_replayed(&live, &recording, &[]);
}

#[test]
fn a_recording_alone_says_what_the_live_trace_would() {
    let place = Place::new();
    let recording = place.text("alone.rec");
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    let options = ["record", "-o", &recording];
    let tracer = Tracer::start(binary.path(), &options, &["main.quick"]);
    program.tell("call", "called");
    let recorded = tracer.stop();
    assert_eq!(recorded.summary().trees, 1);
    assert_eq!(recorded.stdout, "");
    let replayed = replay(&recording, &[]);
    assert_eq!(replayed.trees().shapes(), ["main.quick"]);
    assert_eq!(summary_line(&replayed), summary_line(&recorded));
    // Standard input, where nothing can be sought.
    let bytes = fs::read(&recording).expect("it was written");
    let mut command = tracer::configured(Command::new(tracer::executable()));
    command
        .args(["replay", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("it was built");
    let mut stdin = child.stdin.take().expect("it is piped");
    std::io::Write::write_all(&mut stdin, &bytes).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it is our child");
    assert_eq!(String::from_utf8_lossy(&output.stdout), replayed.stdout);
}

#[test]
fn a_recording_goes_to_standard_output() {
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    let mut command = tracer::command();
    command.args(["record", "-o", "-", "--count", "1"]);
    command
        .arg(binary.path())
        .arg("main.quick")
        .stdout(Stdio::piped());
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .expect("it was built");
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("it is piped"));
    let mut line = String::new();
    while !line.starts_with("tracing started") {
        line.clear();
        let length = std::io::BufRead::read_line(&mut stderr, &mut line).expect("it is text");
        assert_ne!(length, 0, "it ended");
    }
    program.tell("call", "called");
    let mut bytes = Vec::new();
    let mut stdout = child.stdout.take().expect("it is piped");
    stdout.read_to_end(&mut bytes).expect("it ends by itself");
    assert!(child.wait().expect("it is our child").success());
    let mut reader = RecordingReader::new(&bytes[..]).expect("it is a recording");
    assert_eq!(reader.header().plan.targets, ["main.quick"]);
    while reader.read_events(&mut |_| {}).expect("it is not damaged") != 0 {}
    assert!(matches!(reader.end(), Some(ReadEnd::Whole(_))));
}

#[test]
fn the_header_tells_what_was_traced() {
    let place = Place::new();
    let recording = place.text("header.rec");
    let binary = PrivateBinary::example(NEWEST);
    let path = binary.path().to_str().expect("a temporary path is text");
    let options = [
        "-u",
        "net/http*",
        "--exclude",
        "net/http.bad",
        "--duration",
        "1ms",
    ];
    let words = [
        &["record", "-o", &recording],
        &options[..],
        &[path, "*handleBar"],
    ]
    .concat();
    tracer::run(&words).assert_code(0);
    let file = File::open(&recording).expect("it was written");
    let reader = RecordingReader::new(file).expect("it is a recording");
    let header = reader.header();
    let go_tool = |arguments: &[&str]| {
        let output = support::go_build::go("local")
            .args(arguments)
            .arg(path)
            .output();
        String::from_utf8(output.expect("go is there").stdout).expect("it is text")
    };
    let build_id = go_tool(&["tool", "buildid"]);
    assert_eq!(header.target.build_id.as_deref(), Some(build_id.trim()));
    let version = go_tool(&["version"]);
    assert!(
        version.trim().ends_with(&header.target.go_version),
        "{version}"
    );
    assert_eq!(
        Path::new(&header.target.path),
        fs::canonicalize(path).expect("it is there")
    );
    assert_eq!(
        header.target.size_bytes,
        fs::metadata(path).expect("it is there").len()
    );
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux has it");
    assert_eq!(header.host.kernel, release.trim());
    assert_eq!(header.plan.targets, ["*handleBar"]);
    assert_eq!(header.plan.wildcards, ["net/http*"]);
    assert_eq!(header.plan.excludes, ["net/http.bad"]);
    assert!(header.plan.functions > 100 && header.plan.probes > header.plan.functions);
    assert_eq!(
        header.clock.zone.utc_offset_seconds, 0,
        "the tests run in UTC"
    );
    assert_eq!(reason(Path::new(&recording)), EndReason::DurationOver);
}

#[test]
fn local_time_is_that_of_the_machine_that_recorded() {
    let place = Place::new();
    let recording = place.text("zone.rec");
    let sink = format!("record:{recording}");
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    let mut command = tracer::command();
    command.env("TZ", "<+0545>-5:45");
    command
        .args(["-f", "text", "-f", &sink])
        .arg(binary.path())
        .arg("main.quick");
    let mut tracer = Tracer::spawn(command, true);
    tracer.wait_until_started();
    program.tell("call", "called");
    let live = tracer.stop();
    let file = File::open(&recording).expect("it was written");
    let header = RecordingReader::new(file)
        .expect("it is a recording")
        .header()
        .clone();
    if std::env::var_os("GOFUNCGRAPH_SUDO").is_none() {
        assert_eq!(header.clock.zone.utc_offset_seconds, (5 * 60 + 45) * 60);
    }
    assert_replayed(&live, &recording, &[]);
}

#[test]
fn a_recorder_that_is_killed_leaves_all_but_the_last_second() {
    let place = Place::new();
    let recording = place.text("killed.rec");
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    let options = ["record", "-o", &recording];
    let tracer = Tracer::start(binary.path(), &options, &["main.quick"]);
    program.tell("call", "called");
    // The block is closed when its first event has waited for a second.
    let deadline = std::time::Instant::now() + support::PATIENCE;
    while events(Path::new(&recording)) < 2 {
        assert!(std::time::Instant::now() < deadline, "no block was written");
        std::thread::yield_now();
    }
    tracer.signal(Signal::KILL);
    drop(tracer);
    let replayed = replay(&recording, &[]);
    assert_eq!(replayed.trees().shapes(), ["main.quick"]);
    replayed.assert_says(&["warning: the recording was cut", "holds 2 events"]);
}

#[test]
fn a_full_disk_leaves_what_was_written_and_says_what_is_missing() {
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    let options = ["record", "-o", "/dev/full"];
    let tracer = Tracer::start(binary.path(), &options, &["main.quick"]);
    program.tell("call", "called");
    let outcome = tracer.wait();
    outcome.assert_code(1);
    outcome.assert_says(&["cannot write the recording /dev/full", "events are missing"]);
}

#[test]
fn a_recording_in_a_directory_that_vanished_is_an_error() {
    let place = Place::new();
    let directory = place.path("gone");
    fs::create_dir(&directory).expect("there is room");
    let recording = directory.join("a.rec");
    let recording = recording.to_str().expect("a temporary path is text");
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    let options = ["record", "-o", recording];
    let tracer = Tracer::start(binary.path(), &options, &["main.quick"]);
    program.tell("call", "called");
    fs::remove_dir_all(&directory).expect("nobody holds it");
    let outcome = tracer.stop();
    outcome.assert_code(1);
    outcome.assert_says(&["was removed while it was written", "summary: trees 1"]);
}

#[test]
fn a_pipe_whose_reader_goes_away_is_an_error_of_a_recording() {
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    let options = ["record", "-o", "-"];
    let mut tracer = Tracer::start_unread(binary.path(), &options, &["main.quick"]);
    program.tell("call", "called");
    tracer.close_stdout();
    let outcome = tracer.wait();
    outcome.assert_code(1);
    outcome.assert_says(&["cannot write the recording", "summary: trees 1"]);
}

#[test]
fn a_pipe_that_nobody_reads_keeps_no_probe_in_place() {
    let binary = PrivateBinary::program("hot");
    let mut program = Program::start(binary.path(), &[]);
    let options = ["record", "-o", "-"];
    let mut tracer = Tracer::start_unread(binary.path(), &options, &["main.nested"]);
    // Many times what a pipe holds.
    let calls = |answer: String| {
        answer
            .strip_prefix("ok ")
            .and_then(|calls| calls.parse().ok())
    };
    let first: u64 = calls(program.ask("check")).expect("a number");
    while calls(program.ask("check")).expect("a number") < first + 100_000 {}
    tracer.signal(Signal::TERM);
    tracer.wait_until_said("the probes are taken away; what is left to write, up to ");
    assert_eq!(changed_code_bytes(&program, binary.path()), 0);
    // Who reads on gets everything.
    let recording = tracer.read_stdout();
    let outcome = tracer.wait();
    outcome.assert_code(0);
    let mut reader = RecordingReader::new(&recording[..]).expect("it is a recording");
    while reader.read_events(&mut |_| {}).expect("it is not damaged") != 0 {}
    let Some(ReadEnd::Whole(end)) = reader.end() else {
        panic!("it was cut");
    };
    assert_eq!(
        end.losses.kernel.entries_lost,
        outcome.summary().lost_entries
    );
}

#[test]
fn a_replay_does_not_overwrite_its_recording() {
    let place = Place::new();
    let recording = place.text("kept.rec");
    let binary = PrivateBinary::program("sleeper");
    let path = binary.path().to_str().expect("a temporary path is text");
    let words = [
        "record",
        "-o",
        &recording,
        "--duration",
        "1ms",
        path,
        "main.quick",
    ];
    tracer::run(&words).assert_code(0);
    let before = fs::read(&recording).expect("it was written");
    let outcome = replay(&recording, &["-o", &recording]);
    outcome.assert_code(2);
    outcome.assert_says(&["--output", "is the recording"]);
    assert!(fs::read(&recording).expect("it is there") == before);

    fs::write(place.path("no.rec"), "no recording").expect("there is room");
    let outcome = replay(&place.text("no.rec"), &[]);
    outcome.assert_code(1);
    outcome.assert_says(&["not a recording of gofuncgraph"]);
    let outcome = replay(&place.text("missing.rec"), &[]);
    outcome.assert_code(1);
    outcome.assert_says(&["cannot open", "missing.rec"]);
}

#[test]
fn a_damaged_recording_is_shown_up_to_the_damage() {
    let place = Place::new();
    let recording = place.path("damaged.rec");
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    let name = recording.to_str().expect("a temporary path is text");
    let tracer = Tracer::start(binary.path(), &["record", "-o", name], &["main.quick"]);
    program.tell("call", "called");
    tracer.stop().assert_code(0);
    let mut bytes = fs::read(&recording).expect("it was written");
    let last = bytes.last_mut().expect("there is an end");
    *last ^= 1;
    fs::write(&recording, bytes).expect("there is room");
    let outcome = replay(name, &[]);
    outcome.assert_code(1);
    outcome.assert_says(&["is damaged: block", "summary: trees 1"]);
    let trace = Trace::parse(&outcome.stdout, Layout::Trees, 6, None);
    assert_eq!(trace.shapes(), ["main.quick"]);
}
