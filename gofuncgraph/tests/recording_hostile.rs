//! Recordings and rules that were made or found to do harm, each looked at in every way: what
//! `cargo xtask fuzz` finds is kept in `hostile/`.

#[path = "../../fuzz/src/pipeline.rs"]
mod pipeline;
#[path = "../../fuzz/src/rules.rs"]
mod rules;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gofuncgraph::binary::{LoadBias, RuntimeAddress, VirtualAddress};
use gofuncgraph::cli::Format;
use gofuncgraph::events::{
    CallSite, CodePosition, EndProbe, Event, FrameDepth, Goroutine, GoroutineEvent, MonotonicTime,
    SequencePosition, Symbols,
};
use gofuncgraph::plan::{FunctionId, PlannedFunction, ProbePlan, SiteId};
use gofuncgraph::recording::{RecordingReader, RecordingWriter};
use gofuncgraph::trace::{
    Assembler, AssemblerSettings, LineBody, MAX_GOROUTINES, MAX_OPEN_CALLS, PartEnd, TraceLine,
    TraceSink,
};

/// See `pipeline::look_at`: this byte chooses how a recording is looked at.
const CHOICE_AT: usize = 10;

fn kept(kind: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/hostile")
        .join(kind);
    let files = fs::read_dir(&folder).expect("they are checked in");
    let kept: Vec<_> = files
        .map(|file| file.expect("the folder can be read").path())
        .map(|path| (path.clone(), fs::read(path).expect("it can be read")))
        .collect();
    assert!(kept.len() > 2, "{}", folder.display());
    kept
}

#[test]
fn kept_recordings_are_looked_at_in_every_way() {
    for (path, mut recording) in kept("recording") {
        println!("{}", path.display());
        for choice in 0..pipeline::CHOICES {
            recording[CHOICE_AT] = choice;
            pipeline::look_at(&recording);
        }
    }
}

#[test]
fn kept_rules_are_read_and_applied() {
    for (path, text) in kept("rules") {
        println!("{}", path.display());
        let text = String::from_utf8(text).expect("it is text");
        rules::apply(&text);
        text.lines().for_each(rules::apply);
    }
}

struct NoSymbols;

impl Symbols for NoSymbols {
    fn function_name(&mut self, _: FunctionId) -> Option<&str> {
        None
    }

    fn return_site(&mut self, _: SiteId) -> Option<CodePosition<'_>> {
        None
    }

    fn call_site(&mut self, _: VirtualAddress) -> Option<CallSite<'_>> {
        None
    }
}

/// The entry of a call so many calls deep.
fn entry(goroutine: Goroutine, call: u64) -> Event {
    Event::Goroutine {
        goroutine,
        position: SequencePosition {
            sequence: call,
            tree: 0,
        },
        time: MonotonicTime { time_ns: call },
        kind: GoroutineEvent::Entry {
            function: FunctionId(0),
            depth: FrameDepth {
                bytes: 64 * (call + 1),
            },
            return_address: RuntimeAddress(0x2000),
            load_bias: LoadBias(0),
            starts_tree: call == 0,
            end_probe: EndProbe::Return,
            is_already_open: false,
        },
    }
}

/// Calls in one another of a function with a long name, none of which ends.
fn deep_recursion(calls: u64) -> Vec<u8> {
    let empty = {
        let golden = include_bytes!("golden/recordings/example.rec");
        RecordingReader::new(&golden[..]).expect("it is a recording")
    };
    let plan = ProbePlan {
        functions: vec![PlannedFunction {
            name: format!("main.{}", "f".repeat(2000)),
            start: VirtualAddress(0x1000),
            is_target: true,
        }],
        ..ProbePlan::default()
    };
    let mut writer = RecordingWriter::new(empty.header(), &plan, Box::new(NoSymbols));
    for call in 0..calls {
        writer.handle(&entry(Goroutine { pid: 7, goid: 18 }, call));
    }
    let mut recording = writer.take_output().0;
    writer.tick(
        MonotonicTime { time_ns: u64::MAX },
        &gofuncgraph::recording::LossCounters::default(),
    );
    recording.extend(writer.take_output().0);
    recording
}

/// Lines that begin calls, and lines that end them.
#[derive(Default)]
struct Counts {
    entries: usize,
    ends: usize,
}

impl TraceSink for Counts {
    fn line(&mut self, line: &TraceLine) {
        self.entries += usize::from(matches!(line.body, LineBody::Entry { .. }));
        self.ends += usize::from(matches!(line.body, LineBody::End { .. }));
    }

    fn part_end(&mut self, _: Goroutine, _: PartEnd) {}
}

#[test]
fn what_too_many_goroutines_do_is_counted_not_kept() {
    const BEYOND: usize = 10;
    for settings in [AssemblerSettings::stream(), AssemblerSettings::trees()] {
        let mut assembler = Assembler::new(settings);
        let mut counts = Counts::default();
        for goid in 0..MAX_GOROUTINES + BEYOND {
            let goroutine = Goroutine {
                pid: 7,
                goid: goid as u64,
            };
            assembler.handle(&entry(goroutine, 0), &mut counts);
        }
        let room = assembler.statistics().events_without_room;
        assert_eq!(room, BEYOND as u64);
        assembler.finish(MonotonicTime { time_ns: 9 }, &mut counts);
        assert_eq!(counts.entries, MAX_GOROUTINES);
        assert_eq!(counts.ends, MAX_GOROUTINES);
    }
}

#[test]
fn what_is_too_deep_is_counted_not_kept() {
    const BEYOND: usize = 10;
    let goroutine = Goroutine { pid: 7, goid: 1 };
    let mut assembler = Assembler::new(AssemblerSettings::stream());
    let mut counts = Counts::default();
    for number in 0..MAX_OPEN_CALLS + BEYOND {
        assembler.handle(&entry(goroutine, number as u64), &mut counts);
    }
    assert_eq!(assembler.statistics().calls_without_room, BEYOND as u64);
    assembler.finish(MonotonicTime { time_ns: 9 }, &mut counts);
    assert_eq!(
        (counts.entries, counts.ends),
        (MAX_OPEN_CALLS, MAX_OPEN_CALLS)
    );
    // There is room again.
    assembler.handle(&entry(Goroutine { pid: 8, goid: 1 }, 0), &mut counts);
    assert_eq!(counts.entries, MAX_OPEN_CALLS + 1);
}

/// What is shown of it is a thousand times as large.
#[test]
fn a_small_recording_makes_no_large_process() {
    const LIMIT_KILOBYTES: u32 = 128 << 10;
    let recording = deep_recursion(60_000);
    assert!(recording.len() < 300_000, "{} bytes", recording.len());
    let file = tempfile::NamedTempFile::new().expect("there is room");
    fs::write(file.path(), recording).expect("there is room");
    for format in Format::ALL.map(Format::name) {
        let output = Command::new("sh")
            .args([
                "-c",
                &format!("ulimit -v {LIMIT_KILOBYTES}; exec \"$@\""),
                "sh",
            ])
            .arg(env!("CARGO_BIN_EXE_gofuncgraph"))
            .args(["replay", "-f", format])
            .arg(file.path())
            // Room that the allocator reserves for each thread counts as well.
            .env("MALLOC_ARENA_MAX", "1")
            .stdout(Stdio::null())
            .output()
            .expect("there is a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{format}: {said}");
        assert!(said.contains("still open 60000"), "{format}: {said}");
    }
}
