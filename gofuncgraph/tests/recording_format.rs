//! `docs/FORMAT.md` is enough to read a recording: a reader in Python that was written from it
//! alone finds the same as ours.

#[path = "support/gate_simulator.rs"]
mod gate_simulator;
#[path = "support/golden.rs"]
mod golden;
#[path = "support/reason_rows.rs"]
mod reason_rows;
#[path = "support/recordings.rs"]
mod recordings;
#[path = "support/viewed.rs"]
mod viewed;

use std::fmt::{Display, Write};
use std::path::Path;
use std::process::{Command, Output};

use gofuncgraph::binary::SourceLine;
use gofuncgraph::events::{
    CloseCause, EndProbe, Event, FrameDepth, GoroutineEvent, ObservedPlace, Panic, PanickingCall,
    ProcessEnd, Reason, SequencePosition, Symbols,
};
use gofuncgraph::kernel::PerKind;
use gofuncgraph::recording::{
    EndReason, LossCounters, ReadEnd, RecordedCost, RecordedSymbols, RecordingReader,
};
use reason_rows::describe_reason;

/// Runs the reader in Python.
fn read_in_python(recording: &Path) -> Output {
    Command::new("python3")
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/readers/read_recording.py"
        ))
        .arg(recording)
        .output()
        .expect("python3 is installed")
}

fn row(fields: &[&dyn Display], out: &mut String) {
    for (number, field) in fields.iter().enumerate() {
        let separator = if number == 0 { "" } else { "\t" };
        write!(out, "{separator}{field}").expect("a String takes everything");
    }
    out.push('\n');
}

/// What the reader in Python prints.
fn rows(recording: &[u8]) -> String {
    let mut reader = RecordingReader::new(recording).expect("it is a recording");
    let mut symbols = reader.symbols();
    let mut out = String::new();
    let header = reader.header();
    row(
        &[
            &"header",
            &header.target.path,
            &header.target.go_version,
            &header.clock.start.time_ns,
            &header.clock.realtime_minus_monotonic_ns,
            &header.clock.zone.utc_offset_seconds,
            &cost(&header.cost),
        ],
        &mut out,
    );
    loop {
        let mut events = Vec::new();
        let taken = reader.read_events(&mut |event| events.push(event));
        if taken.expect("it is not damaged") == 0 {
            break;
        }
        for event in &events {
            event_row(event, &mut symbols, &mut out);
        }
        let losses = losses(reader.losses());
        out.push_str(&format!("losses\t{losses}\n"));
    }
    match reader.end() {
        Some(ReadEnd::Whole(end)) => {
            let reason = match end.reason {
                EndReason::Interrupted => 1,
                EndReason::DurationOver => 2,
                EndReason::CountReached => 3,
                EndReason::OutputEnded => 4,
                EndReason::Failed => 5,
                EndReason::ProcessesEnded => 6,
                EndReason::Other => 0,
            };
            let losses = losses(&end.losses);
            let fields: [&dyn Display; 5] =
                [&"end", &reason, &end.events, &end.time.time_ns, &losses];
            row(&fields, &mut out);
        }
        Some(ReadEnd::Cut { events, .. }) => row(&[&"cut", events], &mut out),
        None => panic!("it was read to its end"),
    }
    out
}

fn event_row(event: &Event, symbols: &mut RecordedSymbols, out: &mut String) {
    let time_ns = event.time().time_ns;
    match *event {
        Event::ProcessEnded { pid, cause, .. } => {
            let mark = u8::from(cause == ProcessEnd::Executed);
            let none = "-";
            row(
                &[
                    &"process-end",
                    &pid,
                    &none,
                    &none,
                    &none,
                    &mark,
                    &none,
                    &none,
                    &time_ns,
                    &none,
                ],
                out,
            );
        }
        Event::Reason { .. } | Event::ProcessEnding { .. } => describe_reason(event, symbols, out),
        Event::LossNoticed {
            goroutine,
            position,
            goroutine_ended,
            ..
        } => row(
            &[
                &"loss",
                &goroutine.pid,
                &goroutine.goid,
                &position.sequence,
                &position.tree,
                &u8::from(goroutine_ended),
                &"-",
                &"-",
                &time_ns,
                &"-",
            ],
            out,
        ),
        Event::Goroutine {
            goroutine,
            position,
            kind,
            ..
        } => {
            let (name, mark, depth, function, place) = describe(kind, symbols);
            row(
                &[
                    &name,
                    &goroutine.pid,
                    &goroutine.goid,
                    &position.sequence,
                    &position.tree,
                    &u8::from(mark),
                    &depth,
                    &function,
                    &time_ns,
                    &place,
                ],
                out,
            );
        }
    }
}

/// Kind, mark, depth, function and place.
fn describe(
    kind: GoroutineEvent,
    symbols: &mut RecordedSymbols,
) -> (&'static str, bool, u64, String, String) {
    let name = |symbols: &mut RecordedSymbols, function| {
        let name = symbols.function_name(function);
        name.expect("every function is defined").to_owned()
    };
    match kind {
        GoroutineEvent::Entry {
            function,
            depth,
            return_address,
            load_bias,
            starts_tree,
            end_probe,
            is_already_open,
        } => {
            let site = symbols.call_site(return_address.to_virtual(load_bias));
            let place = match site {
                Some(site) => format!("{}+{} {}", site.caller, site.offset, line(site.line)),
                None => "?+0 ?:0".to_owned(),
            };
            let end_probe = match end_probe {
                EndProbe::Return => String::new(),
                EndProbe::Observer { only_return, place } => {
                    let place = match place {
                        ObservedPlace::Own => " observer".to_owned(),
                        ObservedPlace::Caller(address) => format!(" observer@{:#x}", address.0),
                        ObservedPlace::CallersReturn(depth) => format!(" return@{}", depth.bytes),
                    };
                    let site = only_return.map(|site| format!(" {}", site.0));
                    place + &site.unwrap_or_default()
                }
                EndProbe::None => " unobserved".to_owned(),
            };
            let already_open = if is_already_open { " open" } else { "" };
            let place = format!("{:#x} {place}{already_open}{end_probe}", return_address.0);
            let function = name(symbols, function);
            ("entry", starts_tree, depth.bytes, function, place)
        }
        GoroutineEvent::Return {
            function,
            site,
            depth,
            ends_tree,
        } => {
            let place = match symbols.return_site(site) {
                Some(position) => format!("+{} {}", position.offset, line(position.line)),
                None => "+0 ?:0".to_owned(),
            };
            let function = name(symbols, function);
            ("return", ends_tree, depth.bytes, function, place)
        }
        GoroutineEvent::Close {
            depth,
            cause,
            ends_tree,
        } => {
            let cause = match cause {
                CloseCause::Recovered => "recovered",
                CloseCause::GoroutineExit => "goroutine-exit",
                CloseCause::Superseded => "superseded",
                CloseCause::ReturnedUnobserved => "unobserved",
                CloseCause::SignalPanic => "signal-panic",
            };
            ("close", ends_tree, depth.bytes, "-".into(), cause.into())
        }
        GoroutineEvent::Observed {
            depth,
            return_address,
            ends_tree,
        } => {
            let place = format!("{:#x}", return_address.0);
            ("observed", ends_tree, depth.bytes, "-".into(), place)
        }
        GoroutineEvent::Checked { function, depth } => {
            let function = name(symbols, function);
            ("checked", false, depth.bytes, function, "-".into())
        }
    }
}

fn line(line: Option<SourceLine<'_>>) -> String {
    match line {
        Some(SourceLine { file, line }) => format!("{file}:{line}"),
        None => "?:0".to_owned(),
    }
}

/// The header's `cost`.
fn cost(cost: &RecordedCost) -> String {
    let hits = cost.hits.map_or_else(
        || "-".to_owned(),
        |costs| {
            let kinds = [costs.inside_ns, costs.outside_ns].map(PerKind::to_array);
            let least = [costs.least_by_return_ns, costs.least_by_observer_ns];
            let numbers = kinds.as_flattened().iter().chain(&least);
            let numbers: Vec<String> = numbers.map(u64::to_string).collect();
            numbers.join(",")
        },
    );
    let stepped: Vec<String> = (cost.stepped_functions.iter())
        .map(|function| function.0.to_string())
        .collect();
    format!("{}\t{hits}\t{}", cost.enabled.time_ns, stepped.join(","))
}

fn losses(losses: &LossCounters) -> String {
    let kernel = &losses.kernel;
    let [inside, outside] = [losses.hits.inside, losses.hits.outside].map(PerKind::to_array);
    let kernel = [
        kernel.entries_lost,
        kernel.returns_lost,
        kernel.closes_lost,
        kernel.process_records_lost,
        kernel.trees_refused,
        kernel.returns_without_tree,
        kernel.off_goroutine_stack,
        kernel.unreadable,
        kernel.goroutine_check_failed,
        losses.unknown_records,
        losses.malformed_records,
        kernel.observations_lost,
    ];
    let counters = kernel.iter().chain(&inside).chain(&outside);
    let counters: Vec<String> = counters.map(u64::to_string).collect();
    counters.join("\t")
}

#[track_caller]
fn assert_read_alike(recording: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), recording).expect("it can be written");
    let output = read_in_python(file.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let found = String::from_utf8(output.stdout).expect("it prints UTF-8");
    let expected = rows(recording);
    for (number, (expected, found)) in (1..).zip(expected.lines().zip(found.lines())) {
        assert_eq!(found, expected, "line {number}");
    }
    assert_eq!(found.lines().count(), expected.lines().count());
    expected
}

#[test]
fn golden_recordings_read_alike() {
    for name in ["example.rec", "go-list.rec", "panics.rec"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/recordings");
        let recording = std::fs::read(path.join(name)).expect("it is checked in");
        let rows = assert_read_alike(&recording);
        assert!(rows.contains("\nend\t3\t"), "{name} is whole");
        // A part of it, too.
        let cut = recording.get(..recording.len() - 30).expect("it is long");
        assert!(assert_read_alike(cut).contains("\ncut\t"));
    }
}

#[test]
fn every_kind_of_event_reads_alike() {
    let story = viewed::story();
    let mut events = story.events;
    // The same again, where observers tell of returns; one of them is checked.
    let mut observed = golden::program();
    observed.now = story.now;
    observed.promoted = [golden::ROOT, golden::MIDDLE, golden::LEAF].into();
    observed.unobservable_returns = [gate_simulator::return_address(Some(golden::MIDDLE))].into();
    golden::plain_tree(&mut observed, golden::ELSEWHERE);
    golden::plain_tree(&mut observed, golden::ELSEWHERE);
    // And where a function returns as soon as what it has called, promoted or not.
    observed.returning_at_once = [golden::MIDDLE].into();
    observed.unobservable_returns.clear();
    for middle_is_promoted in [true, false] {
        if !middle_is_promoted {
            observed.promoted.remove(&golden::MIDDLE);
        }
        for function in [golden::ROOT, golden::MIDDLE, golden::LEAF] {
            observed.call(golden::ELSEWHERE, function);
        }
        observed.ret(golden::ELSEWHERE);
        observed.ret(golden::ELSEWHERE);
    }
    observed.call(golden::ELSEWHERE, golden::ROOT);
    let (goroutine, time) = (golden::ELSEWHERE, observed.now);
    let mut position = SequencePosition {
        sequence: 1,
        tree: 0,
    };
    let mut told = |kind| {
        let event = Event::Goroutine {
            goroutine,
            position,
            time,
            kind,
        };
        position.sequence += 1;
        event
    };
    let depth = FrameDepth { bytes: 0x200 };
    observed.events.push(told(GoroutineEvent::Checked {
        function: golden::LEAF,
        depth,
    }));
    for cause in [CloseCause::ReturnedUnobserved, CloseCause::SignalPanic] {
        observed.events.push(told(GoroutineEvent::Close {
            depth,
            cause,
            ends_tree: false,
        }));
    }
    events.append(&mut observed.events);
    let mut panics = viewed::panics();
    events.append(&mut panics.events);
    // A fault in a function without a frame, and one that is not certain.
    let without_frame = PanickingCall {
        depth,
        return_address: None,
    };
    for call in [Some(without_frame), None] {
        events.push(Event::Reason {
            goroutine,
            position: SequencePosition {
                sequence: 9,
                tree: 2,
            },
            time,
            reason: Reason::Panic(Panic {
                depth,
                origin: None,
                call,
            }),
        });
    }
    events.push(Event::ProcessEnded {
        pid: 7,
        time,
        cause: ProcessEnd::Exited,
    });
    let rows = assert_read_alike(&recordings::record(&events, observed.now));
    for part in [
        " observer ",
        " observer\n",
        " observer@0x",
        " return@",
        " unobserved\n",
        "\tsignal-panic\n",
        " call@512\n",
        ":0x40",
        "\tpanic 0x",
        "\texit -1 0x",
        "\tfatal-error\n",
        "\tsignal 9\n",
    ] {
        assert!(rows.contains(part), "{part:?}");
    }
    for kind in [
        "entry",
        "observed",
        "checked",
        "return",
        "close",
        "process-end",
        "panic",
        "recovery",
        "goexit",
        "process-ending",
        "loss",
        "losses",
        "end",
    ] {
        assert!(
            rows.lines().any(|row| row.split('\t').next() == Some(kind)),
            "{kind}"
        );
    }
}

#[test]
fn the_reader_in_python_notices_damage() {
    let story = viewed::story();
    let mut recording = recordings::record(&story.events, story.now);
    let last = recording.last_mut().expect("it is not empty");
    *last ^= 1;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), recording).expect("it can be written");
    assert!(!read_in_python(file.path()).status.success());
}
