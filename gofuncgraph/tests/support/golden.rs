//! Scripted programs, rendered as text and compared whole with `tests/golden/NAME.txt`.
//! `UPDATE_GOLDEN=1` rewrites the files.

#![allow(dead_code, reason = "every test uses its part of it")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::gate_simulator::GateSimulator;
use gofuncgraph::binary::{SourceLine, VirtualAddress};
use gofuncgraph::events::{Event, Goroutine, MonotonicTime};
use gofuncgraph::output::{
    CallSite, CodePosition, RenderingSink, Symbols, TextLayout, TextRenderer, TextSettings,
    TimeDigits, WallClock,
};
use gofuncgraph::plan::{FunctionId, SiteId};
use gofuncgraph::trace::{
    Assembler, AssemblerSettings, Delivery, PartEnd, Statistics, TraceLine, TraceSink,
};
use jiff::tz::{TimeZone, offset};

pub const ROOT: FunctionId = FunctionId(0);
pub const MIDDLE: FunctionId = FunctionId(1);
pub const LEAF: FunctionId = FunctionId(2);
pub const OTHER: FunctionId = FunctionId(3);
pub const HOSTILE: FunctionId = FunctionId(4);

pub const NAMES: [&str; 5] = [
    "main.root",
    "main.(*Middle).Work",
    "net/http.leaf",
    "main.Other[...]",
    "main.evil\n\u{1b}[31m name",
];

/// 2026-03-04 05:06:07 UTC at monotonic zero.
pub const REALTIME_MINUS_MONOTONIC_NS: i64 = 1_772_600_767_000_000_000;

pub const FIRST: Goroutine = Goroutine { pid: 100, goid: 1 };
pub const SECOND: Goroutine = Goroutine { pid: 100, goid: 27 };
pub const ELSEWHERE: Goroutine = Goroutine { pid: 200, goid: 1 };

pub struct TestSymbols;

impl Symbols for TestSymbols {
    fn function_name(&mut self, function: FunctionId) -> Option<&str> {
        NAMES.get(function.0 as usize).copied()
    }

    fn return_site(&mut self, site: SiteId) -> Option<CodePosition<'_>> {
        let line = SourceLine {
            file: "/src/main.go",
            line: site.0 + 30,
        };
        (site.0 % 10 == 7).then_some(CodePosition {
            offset: u64::from(site.0) + 100,
            line: (site.0 != 37).then_some(line),
        })
    }

    fn call_site(&mut self, return_address: VirtualAddress) -> Option<CallSite<'_>> {
        let caller = return_address.0.checked_sub(0x40_0000)? / 0x1000;
        let line = SourceLine {
            file: "/src/main.go",
            line: u32::try_from(caller).ok()? + 10,
        };
        let caller = match caller {
            0 => "runtime.goexit",
            caller => NAMES.get(usize::try_from(caller).ok()? - 1)?,
        };
        Some(CallSite {
            caller,
            offset: return_address.0 % 0x1000,
            line: Some(line),
        })
    }
}

pub fn renderer(layout: TextLayout, digits: u32) -> TextRenderer<TestSymbols> {
    TextRenderer::new(
        TestSymbols,
        TextSettings {
            layout,
            time_digits: TimeDigits::try_from(digits).expect("4 to 9"),
            wall_clock: WallClock::new(REALTIME_MINUS_MONOTONIC_NS, TimeZone::fixed(offset(2))),
            colour: false,
        },
    )
}

pub fn render(
    settings: AssemblerSettings,
    digits: u32,
    events: &[Event],
    end: MonotonicTime,
) -> (String, Statistics) {
    let layout = match settings.delivery {
        Delivery::Stream => TextLayout::Stream,
        Delivery::Trees { .. } => TextLayout::Trees,
    };
    let mut renderer = renderer(layout, digits);
    let mut out = Vec::new();
    let mut sink = RenderingSink {
        renderer: &mut renderer,
        out: &mut out,
    };
    let mut assembler = Assembler::new(settings);
    for event in events {
        assembler.handle(event, &mut sink);
    }
    assembler.finish(end, &mut sink);
    let statistics = *assembler.statistics();
    assert_eq!(
        statistics.ends.total(),
        statistics.calls + statistics.calls_already_open + statistics.calls_without_entry
    );
    let text = String::from_utf8(out).expect("text is UTF-8");
    (text, statistics)
}

#[track_caller]
pub fn check_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
        .with_extension("txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).expect("the golden file can be written");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == golden,
        "{} differs.\n--- expected\n{golden}--- actual\n{text}",
        path.display()
    );
}

pub fn program() -> GateSimulator {
    GateSimulator::new([ROOT])
}

pub fn trees_with(
    change: impl FnOnce(&mut usize, &mut usize, &mut Option<Duration>),
) -> AssemblerSettings {
    let mut settings = AssemblerSettings::trees();
    if let Delivery::Trees {
        max_calls,
        max_buffered_calls,
        slower_than,
    } = &mut settings.delivery
    {
        change(max_calls, max_buffered_calls, slower_than);
    }
    settings
}

pub fn slower_than(duration: Duration) -> AssemblerSettings {
    trees_with(|_, _, slower_than| *slower_than = Some(duration))
}

/// Compares what the program did, shown as trees, with the golden file.
#[track_caller]
pub fn check_trees(name: &str, program: &GateSimulator) -> Statistics {
    let (text, statistics) = render(AssemblerSettings::trees(), 6, &program.events, program.now);
    check_golden(name, &text);
    statistics
}

#[track_caller]
pub fn check_stream(name: &str, program: &GateSimulator) -> Statistics {
    let (text, statistics) = render(AssemblerSettings::stream(), 6, &program.events, program.now);
    check_golden(name, &text);
    statistics
}

/// `root { middle { leaf } leaf }` on `goroutine`.
pub fn plain_tree(program: &mut GateSimulator, goroutine: Goroutine) {
    program.call(goroutine, ROOT);
    program.call(goroutine, MIDDLE);
    program.call(goroutine, LEAF);
    program.ret(goroutine);
    program.ret(goroutine);
    program.call(goroutine, LEAF);
    program.ret(goroutine);
    program.ret(goroutine);
}

/// Collects lines.
pub struct Lines<'a>(pub &'a mut Vec<TraceLine>);

impl TraceSink for Lines<'_> {
    fn line(&mut self, line: &TraceLine) {
        self.0.push(line.clone());
    }

    fn part_end(&mut self, _: Goroutine, _: PartEnd) {}
}
