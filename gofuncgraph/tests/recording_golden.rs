//! Recordings that are checked in (`cargo xtask golden-recordings` makes them anew): what
//! version 1 of the format wrote stays readable, and every format shows it as it did.
//! `UPDATE_GOLDEN=1` rewrites what is compared with.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use gofuncgraph::cli::Format;
use gofuncgraph::events::Event;
use gofuncgraph::recording::{EndReason, ReadEnd, RecordingReader};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/recordings")
        .join(name)
}

fn replay(recording: &Path, options: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_gofuncgraph"))
        .arg("replay")
        .arg(recording)
        .args(options)
        // Local time is the recording's.
        .env("TZ", "Asia/Tokyo")
        .output()
        .expect("it was built");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    output
}

#[track_caller]
fn assert_golden(name: &str, actual: &[u8]) {
    let path = golden(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, actual).expect("the golden file can be written");
    }
    let expected = fs::read(&path).unwrap_or_default();
    assert!(
        expected == actual,
        "{} differs; actual:\n{}",
        path.display(),
        String::from_utf8_lossy(actual)
    );
}

#[test]
fn the_examples_recording_as_text() {
    let recording = golden("example.rec");
    assert_golden("example.txt", &replay(&recording, &[]).stdout);
    let options = ["--stream", "--time-digits", "9", "--to", "100ms"];
    assert_golden("example_stream.txt", &replay(&recording, &options).stdout);
}

#[test]
fn the_examples_recording_in_every_format() {
    let recording = golden("example.rec");
    let others = Format::ALL.into_iter().filter(|it| *it != Format::Text);
    for format in others.map(Format::name) {
        let shown = replay(&recording, &["-f", format]).stdout;
        assert_golden(&format!("example.{format}"), &shown);
    }
}

/// Why calls ended, and why a process did.
#[test]
fn the_recording_of_panics_in_every_format() {
    let recording = golden("panics.rec");
    for format in Format::ALL.map(Format::name) {
        let shown = replay(&recording, &["-f", format]).stdout;
        assert_golden(&format!("panics.{format}"), &shown);
    }
    let text = String::from_utf8(replay(&recording, &[]).stdout).expect("text is UTF-8");
    for how in [
        "main.p3 // panicked, unwound, recovered in main.recovering",
        "main.p2 // unwound by panic, recovered in main.recovering",
        "unwound by panic in strings.Repeat, recovered in main.recovering",
        "main.goexit // goroutine ended by runtime.Goexit",
        "main.holder // process ended by os.Exit(3) called in main.leave",
    ] {
        assert!(text.contains(how), "{how}");
    }
}

/// All of it would be megabytes: what took long as it is shown, the whole as a checksum.
#[test]
fn the_go_commands_recording_in_every_format() {
    let recording = golden("go-list.rec");
    let slow = ["--calls-slower-than", "1ms", "--max-depth", "6"];
    let mut sums = String::new();
    for format in Format::ALL.map(Format::name) {
        let shown = replay(&recording, &[&["-f", format], &slow[..]].concat()).stdout;
        assert_golden(&format!("go-list-slow.{format}"), &shown);
        let whole = replay(&recording, &["-f", format]).stdout;
        let lines = whole.iter().filter(|byte| **byte == b'\n').count();
        let checksum = crc32fast::hash(&whole);
        sums += &format!("{format}: {lines} lines, CRC-32 {checksum:08x}\n");
    }
    assert_golden("go-list.sums", sums.as_bytes());
}

/// What a recording is shown as does not depend on how it is read.
#[test]
fn a_recording_from_standard_input_shows_the_same() {
    let recording = golden("example.rec");
    let mut from_pipe = Command::new(env!("CARGO_BIN_EXE_gofuncgraph"))
        .args(["replay", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it was built");
    let mut stdin = from_pipe.stdin.take().expect("it is piped");
    let bytes = fs::read(&recording).expect("it is checked in");
    let writer = std::thread::spawn(move || {
        for piece in bytes.chunks(977) {
            stdin.write_all(piece).expect("it reads to the end");
        }
    });
    let output = from_pipe.wait_with_output().expect("it ends");
    writer.join().expect("everything was written");
    assert!(output.status.success());
    assert!(output.stdout == replay(&recording, &[]).stdout);
}

#[test]
fn the_go_commands_recording_is_whole() {
    let recording = golden("go-list.rec");
    let output = replay(&recording, &[]);
    let text = String::from_utf8(output.stdout).expect("text is UTF-8");
    let said = String::from_utf8(output.stderr).expect("text is UTF-8");
    let entries = text.lines().filter(|line| line.contains("() { ")).count();
    let ends = text.lines().filter(|line| line.contains("  } ")).count();
    assert!(entries > 1000, "{entries}");
    assert_eq!(entries, ends);
    assert!(
        said.starts_with(&format!("summary: trees 1, calls {entries},")),
        "{said}"
    );
}

/// Whether a recording counts it.
fn has_number(event: &Event) -> bool {
    !matches!(event, Event::Reason { .. } | Event::ProcessEnding { .. })
}

#[test]
fn headers_and_ends_are_as_they_were_written() {
    for (name, target, count) in [
        ("example.rec", "/usr/local/bin/example-go", 14),
        ("go-list.rec", "/usr/local/bin/go", 1),
        ("panics.rec", "/usr/local/bin/panics", 6),
    ] {
        let file = File::open(golden(name)).expect("it is checked in");
        let mut reader = RecordingReader::new(file).expect("it is a recording");
        let header = reader.header().clone();
        assert_eq!(header.target.path, target);
        assert_eq!(header.target.go_version, "go1.26.8");
        assert_eq!(header.view.count.map(|count| count.get()), Some(count));
        assert_eq!(header.host.kernel, "6.18.0");
        let mut events = 0;
        while reader
            .read_events(&mut |event| events += u64::from(has_number(&event)))
            .expect("it is not damaged")
            != 0
        {}
        let Some(ReadEnd::Whole(end)) = reader.end() else {
            panic!("{name} was cut");
        };
        assert_eq!(end.events, events);
        assert_eq!(end.reason, EndReason::CountReached);
    }
}
