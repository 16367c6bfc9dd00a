//! Text of trees that are cut, left out or counted, and how lines are written.

#[path = "support/gate_simulator.rs"]
mod gate_simulator;
#[path = "support/golden.rs"]
mod golden;

use std::num::NonZeroU64;
use std::time::Duration;

use gate_simulator::GateSimulator;
use gofuncgraph::events::{
    Event, FrameDepth, Goroutine, GoroutineEvent, MonotonicTime, ProcessEnd, ProcessEnding,
    SequencePosition,
};
use gofuncgraph::output::{TextLayout, TextRenderer, TextSettings, TimeDigits, WallClock};
use gofuncgraph::plan::SiteId;
use gofuncgraph::trace::{
    Assembler, AssemblerSettings, CallEnd, Delivery, LineBody, TraceLine, Unwinding,
};
use golden::*;
use jiff::tz::TimeZone;

/// A root that calls `middle` again and again, which calls `leaf`.
fn long_tree(program: &mut GateSimulator, goroutine: Goroutine, calls: usize) {
    program.call(goroutine, ROOT);
    for _ in 0..calls {
        program.call(goroutine, MIDDLE);
        program.call(goroutine, LEAF);
        program.ret(goroutine);
        program.ret(goroutine);
    }
    program.ret(goroutine);
}

#[test]
fn tree_with_too_many_calls_is_cut() {
    let mut program = program();
    long_tree(&mut program, FIRST, 3);
    plain_tree(&mut program, FIRST);
    let settings = trees_with(|max_calls, _, _| *max_calls = 4);
    let (text, statistics) = render(settings, 6, &program.events, program.now);
    check_golden("cut_tree", &text);
    assert_eq!((statistics.trees, statistics.trees_finished), (2, 2));
    assert_eq!((statistics.trees_cut, statistics.calls), (1, 11));
}

#[test]
fn tree_is_cut_inside_deep_calls() {
    let mut program = program();
    program.call(FIRST, ROOT);
    for _ in 0..5 {
        program.call(FIRST, MIDDLE);
    }
    program.recover(FIRST, 2);
    program.call(FIRST, LEAF);
    program.losing(|program| program.ret(FIRST));
    program.end_process(FIRST.pid, ProcessEnd::Exited);
    let settings = trees_with(|max_calls, _, _| *max_calls = 2);
    let (text, statistics) = render(settings, 6, &program.events, program.now);
    check_golden("cut_deep", &text);
    assert_eq!((statistics.trees, statistics.trees_cut), (1, 1));
}

#[test]
fn deep_path_is_abbreviated() {
    let mut program = program();
    for _ in 0..30 {
        program.call(FIRST, ROOT);
    }
    let settings = trees_with(|max_calls, _, _| *max_calls = 29);
    let (text, _) = render(settings, 6, &program.events, program.now);
    let continued: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("continued after a cut"))
        .map(|line| line.trim_start_matches(|character: char| character != '/'))
        .collect();
    let eight = ["main.root"; 8].join(" > ");
    assert_eq!(
        continued,
        [format!(
            "// continued after a cut, inside {eight} > (13 more) > {eight}"
        )]
    );
}

#[test]
fn largest_tree_is_cut_when_all_are_too_large() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(SECOND, ROOT);
    for _ in 0..4 {
        program.call(SECOND, LEAF);
        program.ret(SECOND);
    }
    program.call(FIRST, LEAF);
    program.ret(FIRST);
    program.ret(FIRST);
    program.ret(SECOND);
    let settings = trees_with(|_, max_buffered_calls, _| *max_buffered_calls = 5);
    let (text, statistics) = render(settings, 6, &program.events, program.now);
    check_golden("cut_total", &text);
    assert_eq!((statistics.trees, statistics.trees_cut), (2, 1));
}

#[test]
fn short_trees_are_left_out() {
    let mut program = program();
    plain_tree(&mut program, FIRST);
    program.call(FIRST, ROOT);
    program.wait_ns(50_000_000);
    program.ret(FIRST);
    // Open for 2 ms when tracing ends.
    program.call(SECOND, ROOT);
    program.stop();
    let settings = slower_than(Duration::from_millis(20));
    let (text, statistics) = render(settings, 6, &program.events, program.now);
    check_golden("slower_than", &text);
    assert_eq!((statistics.trees, statistics.calls), (1, 1));
    assert_eq!(statistics.trees_too_short, 1);
    assert_eq!(statistics.trees_of_unknown_duration, 1);
}

#[test]
fn long_trees_with_unknown_ends_are_kept() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(SECOND, ROOT);
    program.wait_ns(50_000_000);
    program.call(SECOND, LEAF);
    // Both roots' ends are lost. The first may have ended at once, the second after its leaf.
    program.losing(|program| {
        program.ret(FIRST);
        program.ret(SECOND);
        program.ret(SECOND);
    });
    program.call(FIRST, ROOT);
    program.call(SECOND, ROOT);
    program.wait_ns(50_000_000);
    program.stop();
    let settings = slower_than(Duration::from_millis(20));
    let (text, statistics) = render(settings, 6, &program.events, program.now);
    check_golden("slower_than_unknown", &text);
    assert_eq!(
        (statistics.trees, statistics.trees_of_unknown_duration),
        (3, 1)
    );
}

#[test]
fn cut_trees_that_are_short_so_far_are_dropped() {
    let mut program = program();
    long_tree(&mut program, FIRST, 3);
    program.call(FIRST, ROOT);
    program.call(FIRST, MIDDLE);
    program.call(FIRST, LEAF);
    program.ret(FIRST);
    program.call(FIRST, LEAF);
    program.wait_ns(50_000_000);
    program.ret(FIRST);
    program.ret(FIRST);
    program.ret(FIRST);
    let mut settings = slower_than(Duration::from_millis(40));
    if let Delivery::Trees { max_calls, .. } = &mut settings.delivery {
        *max_calls = 3;
    }
    let (text, statistics) = render(settings, 6, &program.events, program.now);
    check_golden("cut_and_dropped", &text);
    assert_eq!((statistics.trees, statistics.trees_too_short), (1, 1));
    assert_eq!((statistics.trees_cut, statistics.calls_dropped), (2, 9));
}

#[test]
fn count_of_trees() {
    let mut program = program();
    program.call(SECOND, ROOT);
    program.call(SECOND, MIDDLE);
    plain_tree(&mut program, FIRST);
    program.call(FIRST, OTHER);
    program.call(FIRST, ROOT);
    program.recover(FIRST, 1);
    program.ret(FIRST);
    plain_tree(&mut program, FIRST);
    program.ret(SECOND);
    program.ret(SECOND);
    for (mut settings, name) in [
        (AssemblerSettings::trees(), "count"),
        (AssemblerSettings::stream(), "count_stream"),
    ] {
        settings.count = NonZeroU64::new(2);
        let (text, statistics) = render(settings, 6, &program.events, program.now);
        check_golden(name, &text);
        assert_eq!(statistics.trees_finished, 2);
    }
}

#[test]
fn count_is_complete_with_the_last_event_of_the_tree() {
    let mut program = program();
    plain_tree(&mut program, FIRST);
    let mut settings = AssemblerSettings::trees();
    settings.count = NonZeroU64::new(1);
    let mut assembler = Assembler::new(settings);
    let mut lines = Vec::new();
    for event in &program.events {
        assert!(!assembler.is_complete());
        assembler.handle(event, &mut Lines(&mut lines));
    }
    assert!(assembler.is_complete());
    assert_eq!(lines.len(), 8);
}

#[test]
fn every_number_of_time_digits() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(FIRST, MIDDLE);
    program.wait_ns(1_001_800_000);
    program.ret(FIRST);
    program.wait_ns(1_234_000_000_000);
    program.ret(FIRST);
    for digits in 4..=9 {
        let (text, _) = render(
            AssemblerSettings::trees(),
            digits,
            &program.events,
            program.now,
        );
        check_golden(&format!("time_digits_{digits}"), &text);
    }
}

#[test]
fn names_cannot_break_lines() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(FIRST, HOSTILE);
    program.call(FIRST, LEAF);
    program.ret(FIRST);
    program.ret(FIRST);
    program.ret(FIRST);
    check_trees("hostile_names", &program);
}

#[test]
fn every_end_is_rendered() {
    use gofuncgraph::output::Renderer;
    let mut text = renderer(TextLayout::Trees, 6);
    let mut out = Vec::new();
    let duration = Some(Duration::from_micros(1500));
    for (how, duration) in [
        (
            CallEnd::Returned {
                site: Some(SiteId(7)),
            },
            duration,
        ),
        (CallEnd::Returned { site: None }, duration),
        (CallEnd::Approximate, duration),
        (CallEnd::Unwound(Unwinding::Unknown), duration),
        (CallEnd::ExitLost, None),
        (CallEnd::StillOpen, None),
        (CallEnd::ProcessExited(ProcessEnding::Unknown), None),
    ] {
        let line = TraceLine {
            goroutine: FIRST,
            time: MonotonicTime::default(),
            level: 1,
            body: LineBody::End {
                function: MIDDLE,
                how,
                duration,
            },
        };
        text.line(&line, &mut out);
    }
    check_golden("ends", &String::from_utf8(out).expect("text is UTF-8"));
}

#[test]
fn colour_only_adds_escape_sequences() {
    use gofuncgraph::output::Renderer;
    let mut program = program();
    program.call(FIRST, ROOT);
    program.wait_ns(2_000_000_000);
    program.losing(|program| program.call(FIRST, MIDDLE));
    program.ret(FIRST);
    program.ret(FIRST);
    let mut lines = Vec::new();
    let mut assembler = Assembler::new(AssemblerSettings::trees());
    for event in &program.events {
        assembler.handle(event, &mut Lines(&mut lines));
    }
    let [plain, coloured] = [false, true].map(|colour| {
        let mut out = Vec::new();
        let mut text = TextRenderer::new(
            TestSymbols,
            TextSettings {
                layout: TextLayout::Trees,
                time_digits: TimeDigits::default(),
                wall_clock: WallClock::new(0, TimeZone::UTC),
                colour,
            },
        );
        for line in &lines {
            text.line(line, &mut out);
        }
        String::from_utf8(out).expect("text is UTF-8")
    });
    assert!(!plain.contains('\u{1b}'));
    let mut uncoloured = String::new();
    for (index, piece) in coloured.split("\u{1b}[").enumerate() {
        let piece = match index {
            0 => piece,
            _ => piece.split_once('m').expect("a colour").1,
        };
        uncoloured.push_str(piece);
    }
    assert_ne!(coloured, plain);
    assert_eq!(uncoloured, plain);
}

/// Events that no kernel sends are survived and counted.
#[test]
fn impossible_sequences_are_counted() {
    let at = |sequence, tree, kind| Event::Goroutine {
        goroutine: FIRST,
        position: SequencePosition { sequence, tree },
        time: MonotonicTime { time_ns: 5 },
        kind,
    };
    let ret = GoroutineEvent::Return {
        function: ROOT,
        site: SiteId(7),
        depth: FrameDepth { bytes: 16 },
        ends_tree: true,
    };
    let entry = |starts_tree| GoroutineEvent::Entry {
        function: ROOT,
        depth: FrameDepth { bytes: 16 },
        return_address: gofuncgraph::binary::RuntimeAddress(0),
        load_bias: gofuncgraph::binary::LoadBias(0),
        starts_tree,
        end_probe: gofuncgraph::events::EndProbe::Return,
        is_already_open: false,
    };
    let events = [
        at(0, 0, ret),
        at(0, 0, entry(true)),
        at(1, 0, entry(false)),
        at(0, 0, entry(false)),
        at(u64::MAX, 9, ret),
        at(u64::MAX, 9, ret),
        at(7, 0, ret),
        at(2, 0, entry(true)),
    ];
    let (text, statistics) = render(
        AssemblerSettings::trees(),
        6,
        &events,
        MonotonicTime::default(),
    );
    check_golden("impossible", &text);
    assert_eq!(statistics.events_out_of_order, 5);
}
