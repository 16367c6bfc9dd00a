//! Recordings made in memory.

#![allow(dead_code, reason = "every test uses its part of it")]

use std::num::NonZero;

use crate::golden::{NAMES, REALTIME_MINUS_MONOTONIC_NS, TestSymbols};
use gofuncgraph::binary::VirtualAddress;
use gofuncgraph::events::{Event, MonotonicTime};
use gofuncgraph::kernel::{HitCosts, HitCounts, KernelCounters, PerKind};
use gofuncgraph::plan::{FunctionId, PlannedFunction, ProbePlan};
use gofuncgraph::recording::{
    EndReason, LossCounters, ReadEnd, RecordedClock, RecordedCost, RecordedEnd, RecordedHost,
    RecordedPlan, RecordedTarget, RecordedView, RecordedZone, RecordingError, RecordingHeader,
    RecordingReader, RecordingWriter, ZoneChange,
};

pub fn header() -> RecordingHeader {
    RecordingHeader {
        tool_version: "1.2.3".to_owned(),
        host: RecordedHost {
            kernel: "6.18.0".to_owned(),
            architecture: "x86_64".to_owned(),
            cpu_model: "A CPU".to_owned(),
            cpus: 2,
        },
        target: RecordedTarget {
            path: "/srv/server".to_owned(),
            size_bytes: 4711,
            build_id: Some("a/b/c".to_owned()),
            go_version: "go1.26.8".to_owned(),
            main_module: None,
        },
        plan: RecordedPlan {
            targets: vec!["main.root".to_owned()],
            wildcards: vec!["main.*".to_owned(), "net/http*".to_owned()],
            excludes: vec!["x".to_owned()],
            exclude_vendor: true,
            functions: 5,
            probes: 15,
            skipped: 1,
            refused: 2,
            promotes: true,
        },
        clock: RecordedClock {
            realtime_minus_monotonic_ns: REALTIME_MINUS_MONOTONIC_NS,
            start: MonotonicTime { time_ns: 12 },
            zone: RecordedZone {
                utc_offset_seconds: 7200,
                changes: vec![ZoneChange {
                    unix_seconds: 1_800_000_000,
                    utc_offset_seconds: 3600,
                }],
            },
        },
        view: RecordedView {
            stream: false,
            slower_than: None,
            max_calls: NonZero::new(1000).expect("it is not zero"),
            count: None,
        },
        cost: RecordedCost {
            enabled: MonotonicTime { time_ns: 13 },
            hits: Some(HitCosts {
                inside_ns: PerKind::from_array([900, 11_900, 11_000, 600]),
                outside_ns: PerKind::from_array([800, 11_800, 10_900, 500]),
                least_by_return_ns: 700,
                least_by_observer_ns: 650,
            }),
            stepped_functions: vec![FunctionId(1), FunctionId(3)],
        },
    }
}

/// Functions with the names of the golden tests.
pub fn plan() -> ProbePlan {
    let functions = NAMES
        .iter()
        .enumerate()
        .map(|(index, name)| PlannedFunction {
            name: (*name).to_owned(),
            start: VirtualAddress(0x40_0000 + 0x1000 * index as u64),
            is_target: index == 0,
        });
    ProbePlan {
        functions: functions.collect(),
        ..ProbePlan::default()
    }
}

pub fn writer() -> RecordingWriter<'static> {
    RecordingWriter::new(&header(), &plan(), Box::new(TestSymbols))
}

/// Losses that tell their counters apart.
pub fn losses() -> LossCounters {
    LossCounters {
        kernel: KernelCounters {
            entries_lost: 1,
            returns_lost: 2,
            closes_lost: 3,
            process_records_lost: 4,
            trees_refused: 5,
            returns_without_tree: 6,
            off_goroutine_stack: 7,
            unreadable: 8,
            goroutine_check_failed: 9,
            observations_lost: 12,
        },
        hits: HitCounts {
            inside: PerKind::from_array([13, 14, 15, 16]),
            outside: PerKind::from_array([17, 18, 19, 20]),
        },
        unknown_records: 10,
        malformed_records: 11,
    }
}

pub fn end(time: MonotonicTime) -> RecordedEnd {
    RecordedEnd {
        reason: EndReason::DurationOver,
        time,
        events: 0,
        losses: losses(),
    }
}

/// A whole recording of `events`.
pub fn record(events: &[Event], time: MonotonicTime) -> Vec<u8> {
    let mut writer = writer();
    for event in events {
        writer.handle(event);
    }
    writer.finish(&end(time));
    writer.take_output().0
}

/// Everything that can be read, and how that ended.
pub fn read(bytes: &[u8]) -> (Vec<Event>, Result<ReadEnd, RecordingError>) {
    let mut events = Vec::new();
    let mut read = || {
        let mut reader = RecordingReader::new(bytes)?;
        while reader.read_events(&mut |event| events.push(event))? != 0 {}
        Ok(*reader.end().expect("it was read to its end"))
    };
    let end = read();
    (events, end)
}
