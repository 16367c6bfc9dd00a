//! Writes long recordings to standard output, for measuring what their replay takes:
//!
//! ```text
//! long_recording repeat EVENTS RECORDING   the events of a real one again and again, later each time
//! long_recording one-tree EVENTS           made up: one call that makes all the others
//! long_recording deep EVENTS               made up: calls inside of one another, 200,000 at a time
//! long_recording goroutines EVENTS         made up: 60,000 trees that are open at the same time
//! ```
//!
//! `repeat` keeps names, durations and the order of events, and shifts times and goroutine ids,
//! so that no goroutine goes on in the next round. `cargo xtask figures` uses it.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader, Write};

use gofuncgraph::binary::{LoadBias, RuntimeAddress, VirtualAddress};
use gofuncgraph::events::{
    CallSite, CodePosition, Event, FrameDepth, Goroutine, GoroutineEvent, MonotonicTime,
    SequencePosition, Symbols,
};
use gofuncgraph::plan::{FunctionId, PlannedFunction, ProbePlan, SiteId};
use gofuncgraph::recording::{
    EndReason, LossCounters, RecordedClock, RecordedCost, RecordedEnd, RecordedHost, RecordedPlan,
    RecordedTarget, RecordedView, RecordedZone, RecordingHeader, RecordingReader, RecordingWriter,
};
use gofuncgraph::trace::DEFAULT_MAX_CALLS;

/// Levels of the deepest calls of `deep`.
const DEPTH: u64 = 200_000;

/// Goroutines of `goroutines`.
const GOROUTINES: u64 = 60_000;

/// Functions of made-up recordings: a prime, so that every goroutine gets to all of them.
const FUNCTIONS: u64 = 499;

/// From one made-up event to the next.
const STEP_NS: u64 = 500;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["repeat", events, recording] => repeat(events.parse()?, recording),
        ["one-tree", events] => one_tree(events.parse()?),
        ["deep", events] => deep(events.parse()?),
        ["goroutines", events] => goroutines(events.parse()?),
        _ => Err("give `repeat EVENTS RECORDING`, or `one-tree`, `deep` or `goroutines` EVENTS")?,
    }
}

/// A recording that is written to standard output as it grows.
struct Long {
    writer: RecordingWriter<'static>,
    time: MonotonicTime,
}

impl Long {
    fn begin(header: &RecordingHeader, plan: &ProbePlan, symbols: Box<dyn Symbols>) -> Self {
        Self {
            writer: RecordingWriter::new(header, plan, symbols),
            time: header.clock.start,
        }
    }

    fn push(&mut self, event: &Event) -> io::Result<()> {
        self.writer.handle(event);
        self.time = self.time.max(event.time());
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        if self.writer.has_output() {
            io::stdout().write_all(&self.writer.take_output().0)?;
        }
        Ok(())
    }

    fn end(mut self) -> Outcome {
        self.writer.finish(&RecordedEnd {
            reason: EndReason::Interrupted,
            time: self.time,
            events: 0,
            losses: LossCounters::default(),
        });
        Ok(self.write()?)
    }
}

/// Writes the events of `recording` until there are `count`.
fn repeat(count: u64, recording: &str) -> Outcome {
    let mut reader = RecordingReader::new(BufReader::new(File::open(recording)?))?;
    let mut events = Vec::new();
    while reader.read_events(&mut |event| events.push(event))? != 0 {}
    eprintln!("{} events in {recording}", events.len());
    let header = reader.header().clone();
    let plan = reader.symbols().plan();
    let goids = events.iter().filter_map(|event| match event {
        Event::Goroutine { goroutine, .. }
        | Event::Reason { goroutine, .. }
        | Event::LossNoticed { goroutine, .. } => Some(goroutine.goid),
        Event::ProcessEnded { .. } | Event::ProcessEnding { .. } => None,
    });
    let highest_goid = goids.max().ok_or("the recording has no events")?;
    let round_ns = reader.time().time_ns - header.clock.start.time_ns;
    let mut long = Long::begin(&header, &plan, Box::new(reader.symbols()));
    let mut left = count;
    for round in 0.. {
        for event in &events {
            // Its goroutines may come again.
            if let Event::ProcessEnded { .. } | Event::ProcessEnding { .. } = event {
                continue;
            }
            if left == 0 {
                return long.end();
            }
            left -= 1;
            long.push(&shifted(event, round * round_ns, round * highest_goid))?;
        }
    }
    Ok(())
}

fn shifted(event: &Event, later_ns: u64, goids: u64) -> Event {
    let mut event = *event;
    match &mut event {
        Event::Goroutine {
            goroutine, time, ..
        }
        | Event::Reason {
            goroutine, time, ..
        }
        | Event::LossNoticed {
            goroutine, time, ..
        } => {
            goroutine.goid += goids;
            time.time_ns += later_ns;
        }
        Event::ProcessEnded { time, .. } | Event::ProcessEnding { time, .. } => {
            time.time_ns += later_ns;
        }
    }
    event
}

/// One root, and calls of three levels inside of it.
fn one_tree(count: u64) -> Outcome {
    let mut made = MadeUp::begin();
    let mut goroutine = MadeGoroutine::new(1);
    made.call(&mut goroutine)?;
    while made.events + 8 <= count {
        for _ in 0..3 {
            made.call(&mut goroutine)?;
        }
        for _ in 0..3 {
            made.ret(&mut goroutine)?;
        }
    }
    made.ret(&mut goroutine)?;
    made.long.end()
}

/// Trees of [`DEPTH`] levels one after the other, each with one call a level.
fn deep(count: u64) -> Outcome {
    let mut made = MadeUp::begin();
    let mut goroutine = MadeGoroutine::new(1);
    while made.events + 2 * DEPTH <= count {
        for _ in 0..DEPTH {
            made.call(&mut goroutine)?;
        }
        for _ in 0..DEPTH {
            made.ret(&mut goroutine)?;
        }
    }
    made.long.end()
}

/// Every goroutine begins a tree, which ends when all have made their calls.
fn goroutines(count: u64) -> Outcome {
    let mut made = MadeUp::begin();
    let mut goroutines: Vec<MadeGoroutine> = (1..=GOROUTINES).map(MadeGoroutine::new).collect();
    for goroutine in &mut goroutines {
        made.call(goroutine)?;
    }
    while made.events + 3 * GOROUTINES <= count {
        for goroutine in &mut goroutines {
            made.call(goroutine)?;
        }
        for goroutine in &mut goroutines {
            made.ret(goroutine)?;
        }
    }
    for goroutine in &mut goroutines {
        made.ret(goroutine)?;
    }
    made.long.end()
}

struct MadeGoroutine {
    goroutine: Goroutine,
    sequence: u64,
    open: Vec<FunctionId>,
}

impl MadeGoroutine {
    fn new(goid: u64) -> Self {
        Self {
            goroutine: Goroutine { pid: 1000, goid },
            sequence: 0,
            open: Vec::new(),
        }
    }

    fn depth(&self) -> FrameDepth {
        FrameDepth {
            bytes: 64 * self.open.len() as u64,
        }
    }
}

struct MadeUp {
    long: Long,
    events: u64,
    calls: u64,
}

impl MadeUp {
    fn begin() -> Self {
        let function = |index: u64| PlannedFunction {
            name: name(index),
            start: VirtualAddress(0x40_0000 + 0x1000 * index),
            is_target: index == 0,
        };
        let plan = ProbePlan {
            functions: (0..FUNCTIONS).map(function).collect(),
            ..ProbePlan::default()
        };
        Self {
            long: Long::begin(&header(), &plan, Box::new(MadeSymbols::default())),
            events: 0,
            calls: 0,
        }
    }

    fn call(&mut self, goroutine: &mut MadeGoroutine) -> io::Result<()> {
        // Neither always the same nor in order.
        let function = FunctionId((self.calls * 7919 % FUNCTIONS) as u32);
        self.calls += 1;
        let starts_tree = goroutine.open.is_empty();
        goroutine.open.push(function);
        let kind = GoroutineEvent::Entry {
            function,
            depth: goroutine.depth(),
            return_address: RuntimeAddress(0x40_0000 + 0x1000 * u64::from(function.0) + 0x20),
            load_bias: LoadBias(0),
            starts_tree,
            end_probe: gofuncgraph::events::EndProbe::Return,
            is_already_open: false,
        };
        self.push(goroutine, kind)
    }

    fn ret(&mut self, goroutine: &mut MadeGoroutine) -> io::Result<()> {
        let depth = goroutine.depth();
        let Some(function) = goroutine.open.pop() else {
            return Ok(());
        };
        let kind = GoroutineEvent::Return {
            function,
            site: SiteId(function.0),
            depth,
            ends_tree: goroutine.open.is_empty(),
        };
        self.push(goroutine, kind)
    }

    fn push(&mut self, goroutine: &mut MadeGoroutine, kind: GoroutineEvent) -> io::Result<()> {
        self.events += 1;
        let event = Event::Goroutine {
            goroutine: goroutine.goroutine,
            position: SequencePosition {
                sequence: goroutine.sequence,
                tree: 0,
            },
            time: MonotonicTime {
                time_ns: self.events * STEP_NS,
            },
            kind,
        };
        goroutine.sequence = if goroutine.open.is_empty() {
            0
        } else {
            goroutine.sequence + 1
        };
        self.long.push(&event)
    }
}

fn name(index: u64) -> String {
    format!("example.com/module/package{}.function{index}", index % 20)
}

#[derive(Default)]
struct MadeSymbols {
    name: String,
}

impl Symbols for MadeSymbols {
    fn function_name(&mut self, function: FunctionId) -> Option<&str> {
        self.name = name(function.0.into());
        Some(&self.name)
    }

    fn return_site(&mut self, _: SiteId) -> Option<CodePosition<'_>> {
        Some(CodePosition {
            offset: 99,
            line: None,
        })
    }

    fn call_site(&mut self, return_address: VirtualAddress) -> Option<CallSite<'_>> {
        self.name = name((return_address.0 - 0x40_0000) / 0x1000);
        Some(CallSite {
            caller: &self.name,
            offset: 0x20,
            line: None,
        })
    }
}

fn header() -> RecordingHeader {
    RecordingHeader {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        host: RecordedHost::default(),
        target: RecordedTarget {
            path: "/made/up".to_owned(),
            ..RecordedTarget::default()
        },
        plan: RecordedPlan::default(),
        clock: RecordedClock {
            realtime_minus_monotonic_ns: 1_768_435_200_000_000_000,
            start: MonotonicTime { time_ns: 0 },
            zone: RecordedZone::default(),
        },
        view: RecordedView {
            stream: false,
            slower_than: None,
            max_calls: std::num::NonZero::new(DEFAULT_MAX_CALLS as u64)
                .unwrap_or(std::num::NonZero::<u64>::MAX),
            count: None,
        },
        cost: RecordedCost::default(),
    }
}
