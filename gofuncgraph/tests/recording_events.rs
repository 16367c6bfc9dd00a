//! What is recorded is what is replayed.

#[path = "support/gate_simulator.rs"]
mod gate_simulator;
#[path = "support/golden.rs"]
mod golden;
#[path = "support/recordings.rs"]
mod recordings;

use std::collections::BTreeMap;

use gate_simulator::GateSimulator;
use gofuncgraph::binary::{LoadBias, RuntimeAddress, VirtualAddress};
use gofuncgraph::events::{
    CloseCause, CodeAddress, EndProbe, Event, FrameDepth, Goroutine, GoroutineEvent, MonotonicTime,
    ObservedPlace, Panic, PanickingCall, ProcessEnd, ProcessEnding, Reason, SequencePosition,
};
use gofuncgraph::output::{RenderingSink, Symbols, TextLayout, TextRenderer, TextSettings};
use gofuncgraph::plan::{FunctionId, SiteId};
use gofuncgraph::recording::{ReadEnd, RecordedEnd, RecordingReader};
use gofuncgraph::trace::{Assembler, AssemblerSettings};
use golden::{ELSEWHERE, FIRST, HOSTILE, LEAF, MIDDLE, OTHER, ROOT, SECOND, plain_tree, program};
use proptest::prelude::*;
use recordings::{end, header, plan, read, record, writer};

/// Everything that a simulated program can do, once.
fn varied_program() -> GateSimulator {
    let mut program = program();
    program.searches_already_open = true;
    for function in [ROOT, MIDDLE] {
        program.call_unseen(FIRST, function);
    }
    program.call(FIRST, LEAF);
    for _ in 0..3 {
        program.ret(FIRST);
    }
    plain_tree(&mut program, FIRST);
    program.call(SECOND, ROOT);
    program.call(FIRST, ROOT);
    program.call(SECOND, MIDDLE);
    program.losing(|program| program.call(SECOND, LEAF));
    program.ret(SECOND);
    program.call(FIRST, HOSTILE);
    program.call(FIRST, OTHER);
    program.recover(FIRST, 1);
    plain_tree(&mut program, ELSEWHERE);
    program.goexit(SECOND);
    program.call(ELSEWHERE, ROOT);
    program.end_process(ELSEWHERE.pid, ProcessEnd::Executed);
    plain_tree(&mut program, ELSEWHERE);
    program.end_process(ELSEWHERE.pid, ProcessEnd::Exited);
    program.stop();
    program
}

#[test]
fn a_program_is_replayed_event_by_event() {
    let program = varied_program();
    let (events, read_end) = read(&record(&program.events, program.now));
    assert_eq!(events, program.events);
    let events = program.events.len() as u64;
    let expected = RecordedEnd {
        events,
        ..end(program.now)
    };
    assert_eq!(read_end.expect("it is whole"), ReadEnd::Whole(expected));
}

#[test]
fn the_header_arrives() {
    let bytes = record(&[], MonotonicTime::default());
    let reader = RecordingReader::new(&bytes[..]).expect("it is whole");
    assert_eq!(reader.header(), &header());
}

#[test]
fn every_function_is_defined_before_the_first_event() {
    let bytes = record(&varied_program().events, MonotonicTime::default());
    let mut reader = RecordingReader::new(&bytes[..]).expect("it is whole");
    let symbols = reader.symbols();
    let mut checked = false;
    reader
        .read_events(&mut |_| checked = symbols.functions().len() == plan().functions.len())
        .expect("it is whole");
    assert!(checked);
    for (recorded, planned) in symbols.functions().iter().zip(plan().functions) {
        assert_eq!(*recorded.name, *planned.name);
        assert_eq!(
            (recorded.start, recorded.is_target),
            (planned.start, planned.is_target)
        );
    }
}

fn text(settings: AssemblerSettings, symbols: impl Symbols, events: &[Event]) -> String {
    let layout = if settings == AssemblerSettings::stream() {
        TextLayout::Stream
    } else {
        TextLayout::Trees
    };
    let text = TextSettings {
        layout,
        time_digits: 9.try_into().expect("4 to 9"),
        wall_clock: gofuncgraph::output::WallClock::new(
            header().clock.realtime_minus_monotonic_ns,
            header().clock.zone.to_time_zone(),
        ),
        colour: false,
    };
    let mut renderer = TextRenderer::new(symbols, text);
    let mut out = Vec::new();
    let mut sink = RenderingSink {
        renderer: &mut renderer,
        out: &mut out,
    };
    let mut assembler = Assembler::new(settings);
    for event in events {
        assembler.handle(event, &mut sink);
    }
    assembler.finish(
        events.last().map(Event::time).unwrap_or_default(),
        &mut sink,
    );
    String::from_utf8(out).expect("text is UTF-8")
}

#[test]
fn text_from_a_recording_is_the_live_text() {
    let program = varied_program();
    let bytes = record(&program.events, program.now);
    for settings in [AssemblerSettings::trees(), AssemblerSettings::stream()] {
        let mut reader = RecordingReader::new(&bytes[..]).expect("it is whole");
        let mut events = Vec::new();
        while reader
            .read_events(&mut |event| events.push(event))
            .expect("it is whole")
            != 0
        {}
        let replayed = text(settings, reader.symbols(), &events);
        assert_eq!(
            replayed,
            text(settings, golden::TestSymbols, &program.events)
        );
        assert!(replayed.contains("/src/main.go:12"), "{replayed}");
    }
}

#[test]
fn blocks_stand_by_themselves() {
    let program = varied_program();
    let mut writer = writer();
    let mut pieces = vec![writer.take_output().0];
    let losses = recordings::losses();
    let mut now = program.now;
    for event in &program.events {
        writer.handle(event);
        // Each event waits too long, so that each is a block.
        now.time_ns += 1_000_000_000;
        writer.tick(now, &losses);
        let (piece, events) = writer.take_output();
        assert_eq!(events, 1);
        pieces.push(piece);
    }
    let (events, read_end) = read(&pieces.concat());
    assert_eq!(events, program.events);
    let events = program.events.len() as u64;
    let expected = ReadEnd::Cut {
        time: now,
        events,
        losses,
    };
    assert_eq!(read_end.expect("blocks are whole"), expected);
}

#[test]
fn a_block_is_closed_within_a_second() {
    let mut writer = writer();
    writer.take_output();
    let start = MonotonicTime {
        time_ns: 5_000_000_000,
    };
    writer.handle(&Event::ProcessEnded {
        pid: 1,
        time: start,
        cause: ProcessEnd::Exited,
    });
    let mut after = |time_ns| {
        let now = MonotonicTime {
            time_ns: start.time_ns + time_ns,
        };
        writer.tick(now, &recordings::losses());
        writer.take_output().1
    };
    assert_eq!(after(799_999_999), 0);
    assert_eq!(after(800_000_000), 1);
    assert_eq!(after(9_000_000_000), 0);
}

#[test]
fn many_events_are_few_bytes_and_many_blocks() {
    let mut program = GateSimulator::new([ROOT]);
    program.step_ns = 1_357;
    for _ in 0..20_000 {
        plain_tree(&mut program, FIRST);
        plain_tree(&mut program, SECOND);
    }
    let mut writer = writer();
    for event in &program.events {
        writer.handle(event);
    }
    let (bytes, events) = writer.take_output();
    assert_eq!(events, 4 * 65_536, "whole blocks only");
    assert!(bytes.len() < 2_000_000, "{} bytes", bytes.len());
    writer.finish(&end(program.now));
    let all = [bytes, writer.take_output().0].concat();
    let (events, _) = read(&all);
    assert!(events == program.events);
}

#[test]
fn more_images_and_calls_than_are_kept_at_once() {
    let bias = |number: u64| LoadBias(number << 12);
    let events: Vec<Event> = (0..700_000u64)
        .map(|number| Event::Goroutine {
            goroutine: Goroutine {
                pid: 7,
                goid: number % 3,
            },
            position: SequencePosition {
                sequence: number / 3,
                tree: 0,
            },
            time: MonotonicTime { time_ns: number },
            kind: GoroutineEvent::Entry {
                function: LEAF,
                depth: FrameDepth { bytes: 16 },
                return_address: RuntimeAddress(number.wrapping_add(bias(number).0)),
                load_bias: bias(number),
                starts_tree: false,
                end_probe: EndProbe::Return,
                is_already_open: false,
            },
        })
        .collect();
    let (read_events, end) = read(&record(&events, MonotonicTime::default()));
    assert!(read_events == events);
    end.expect("it is whole");
}

fn goroutine() -> impl Strategy<Value = Goroutine> {
    (0..3u32, prop_oneof![0..4u64, any::<u64>()]).prop_map(|(pid, goid)| Goroutine { pid, goid })
}

fn position() -> impl Strategy<Value = SequencePosition> {
    (prop_oneof![0..4u64, any::<u64>()], any::<u16>())
        .prop_map(|(sequence, tree)| SequencePosition { sequence, tree })
}

fn time() -> impl Strategy<Value = MonotonicTime> {
    prop_oneof![0..1000u64, any::<u64>()].prop_map(|time_ns| MonotonicTime { time_ns })
}

fn depth() -> impl Strategy<Value = FrameDepth> {
    prop_oneof![0..64u64, any::<u64>()].prop_map(|bytes| FrameDepth { bytes })
}

fn goroutine_event() -> impl Strategy<Value = GoroutineEvent> {
    let function = || (0..golden::NAMES.len() as u32).prop_map(FunctionId);
    let place = prop_oneof![
        2 => Just(ObservedPlace::Own),
        1 => any::<u64>().prop_map(|address| ObservedPlace::Caller(VirtualAddress(address))),
        1 => depth().prop_map(ObservedPlace::CallersReturn),
    ];
    let end_probe = prop_oneof![
        3 => Just(EndProbe::Return),
        4 => (prop::option::of((0..50u32).prop_map(SiteId)), place)
            .prop_map(|(only_return, place)| EndProbe::Observer { only_return, place }),
        1 => Just(EndProbe::None),
    ];
    let return_address = || prop_oneof![0..4u64, any::<u64>()];
    let entry = (
        function(),
        depth(),
        return_address(),
        0..3u64,
        any::<bool>(),
        end_probe,
    )
        .prop_map(
            |(function, depth, return_address, bias, starts_tree, end_probe)| {
                GoroutineEvent::Entry {
                    function,
                    depth,
                    return_address: RuntimeAddress(return_address),
                    load_bias: LoadBias(bias << 40),
                    starts_tree,
                    end_probe,
                    is_already_open: false,
                }
            },
        );
    let already_open = (
        function(),
        depth(),
        return_address(),
        0..3u64,
        any::<bool>(),
        prop_oneof![Just(EndProbe::Return), Just(EndProbe::None)],
    )
        .prop_map(
            |(function, depth, return_address, bias, starts_tree, end_probe)| {
                GoroutineEvent::Entry {
                    function,
                    depth,
                    return_address: RuntimeAddress(return_address),
                    load_bias: LoadBias(bias << 40),
                    starts_tree,
                    end_probe,
                    is_already_open: true,
                }
            },
        );
    let observed = (depth(), return_address(), any::<bool>()).prop_map(
        |(depth, return_address, ends_tree)| GoroutineEvent::Observed {
            depth,
            return_address: VirtualAddress(return_address),
            ends_tree,
        },
    );
    let checked = (function(), depth())
        .prop_map(|(function, depth)| GoroutineEvent::Checked { function, depth });
    let ret = (function(), 0..50u32, depth(), any::<bool>()).prop_map(
        |(function, site, depth, ends_tree)| GoroutineEvent::Return {
            function,
            site: SiteId(site),
            depth,
            ends_tree,
        },
    );
    let causes = [
        CloseCause::Recovered,
        CloseCause::GoroutineExit,
        CloseCause::Superseded,
        CloseCause::ReturnedUnobserved,
        CloseCause::SignalPanic,
    ];
    let close = (
        depth(),
        proptest::sample::select(causes.to_vec()),
        any::<bool>(),
    )
        .prop_map(|(depth, cause, ends_tree)| GoroutineEvent::Close {
            depth,
            cause,
            ends_tree,
        });
    prop_oneof![4 => entry, 2 => already_open, 4 => ret, 2 => close, 4 => observed, 1 => checked]
}

fn event() -> impl Strategy<Value = Event> {
    let of_goroutine = (goroutine(), position(), time(), goroutine_event()).prop_map(
        |(goroutine, position, time, kind)| Event::Goroutine {
            goroutine,
            position,
            time,
            kind,
        },
    );
    let process_ended =
        (any::<u32>(), time(), any::<bool>()).prop_map(|(pid, time, exited)| Event::ProcessEnded {
            pid,
            time,
            cause: if exited {
                ProcessEnd::Exited
            } else {
                ProcessEnd::Executed
            },
        });
    let loss_noticed = (goroutine(), position(), time(), any::<bool>()).prop_map(
        |(goroutine, position, time, goroutine_ended)| Event::LossNoticed {
            goroutine,
            position,
            time,
            goroutine_ended,
        },
    );
    let reason = (goroutine(), position(), time(), reason()).prop_map(
        |(goroutine, position, time, reason)| Event::Reason {
            goroutine,
            position,
            time,
            reason,
        },
    );
    let process_ending = (any::<u32>(), time(), process_ending())
        .prop_map(|(pid, time, ending)| Event::ProcessEnding { pid, time, ending });
    prop_oneof![
        10 => of_goroutine,
        1 => process_ended,
        1 => loss_noticed,
        2 => reason,
        1 => process_ending,
    ]
}

fn place() -> impl Strategy<Value = Option<CodeAddress>> {
    any::<u32>().prop_map(|address| CodeAddress::new(VirtualAddress(address.into())))
}

fn reason() -> impl Strategy<Value = Reason> {
    let address = proptest::option::of(any::<u64>().prop_map(VirtualAddress));
    let call = (depth(), address).prop_map(|(depth, return_address)| PanickingCall {
        depth,
        return_address,
    });
    let call = proptest::option::of(call);
    prop_oneof![
        (depth(), place(), call).prop_map(|(depth, origin, call)| Reason::Panic(Panic {
            depth,
            origin,
            call,
        })),
        place().prop_map(|resumed| Reason::Recovery { resumed }),
        Just(Reason::Goexit),
    ]
}

fn process_ending() -> impl Strategy<Value = ProcessEnding> {
    prop_oneof![
        place().prop_map(|origin| ProcessEnding::Panic { origin }),
        (any::<i32>(), place()).prop_map(|(code, call)| ProcessEnding::Exit { code, call }),
        Just(ProcessEnding::FatalError),
        any::<u8>().prop_map(|number| ProcessEnding::Signal { number }),
    ]
}

proptest! {
    #[test]
    fn whatever_the_events_are(mut events in proptest::collection::vec(event(), 0..200)) {
        // Reasons are about what comes after them.
        let time = MonotonicTime { time_ns: 1 };
        events.push(Event::ProcessEnded { pid: 7, time, cause: ProcessEnd::Exited });
        let (replayed, end) = read(&record(&events, MonotonicTime::default()));
        prop_assert_eq!(replayed, events);
        prop_assert!(end.is_ok());
    }
}

#[test]
fn symbols_are_those_of_the_writer() {
    let program = varied_program();
    let bytes = record(&program.events, program.now);
    let mut reader = RecordingReader::new(&bytes[..]).expect("it is whole");
    while reader.read_events(&mut |_| {}).expect("it is whole") != 0 {}
    let (mut recorded, mut original) = (reader.symbols(), golden::TestSymbols);
    let mut sites = BTreeMap::new();
    for event in &program.events {
        let Event::Goroutine { kind, .. } = event else {
            continue;
        };
        match *kind {
            GoroutineEvent::Entry {
                function,
                return_address,
                load_bias,
                ..
            } => {
                let call = return_address.to_virtual(load_bias);
                assert_eq!(recorded.call_site(call), original.call_site(call));
                let name = original.function_name(function);
                assert_eq!(recorded.function_name(function), name);
            }
            GoroutineEvent::Return { site, .. } => {
                assert_eq!(recorded.return_site(site), original.return_site(site));
                sites.insert(site, ());
            }
            GoroutineEvent::Observed { .. }
            | GoroutineEvent::Checked { .. }
            | GoroutineEvent::Close { .. } => {}
        }
    }
    assert!(sites.len() > 2);
    assert_eq!(recorded.return_site(SiteId(9999)), None);
    assert_eq!(recorded.function_name(FunctionId(9999)), None);
}
