//! A recording of a live trace.

use std::path::Path;
use std::{fs, io, thread};

use jiff::tz::TimeZone;

use super::notice::notice;
use super::writer::{Chunk, RecordingFile};
use crate::binary::GoBinary;
use crate::cli::{OutputMode, PromotionChoice, Settings};
use crate::events::MonotonicTime;
use crate::kernel::AttachReport;
use crate::plan::ProbePlan;
use crate::recording::{
    RecordedClock, RecordedCost, RecordedHost, RecordedPlan, RecordedTarget, RecordedView,
    RecordedZone, RecordingHeader, RecordingWriter,
};

/// Moments of the trace, and what they are in local time.
pub(super) struct Clock {
    pub(super) realtime_minus_monotonic_ns: i64,
    pub(super) start: MonotonicTime,
    pub(super) zone: TimeZone,
}

/// Where a recording was asked for.
pub(super) fn file(settings: &Settings) -> Option<RecordingFile<'_>> {
    if settings.records {
        return Some(RecordingFile {
            option: "--output",
            path: settings.output.as_deref(),
        });
    }
    let path = settings.view.recording.as_deref()?;
    Some(RecordingFile {
        option: "--format",
        path: Some(path),
    })
}

/// Says what was recorded, and how to look at it.
pub(super) fn say(settings: &Settings, events: u64) {
    match file(settings) {
        Some(RecordingFile {
            path: Some(path), ..
        }) => notice(format_args!(
            "recorded {events} events in {0}; to look at them: gofuncgraph replay {0}",
            path.display()
        )),
        Some(_) => notice(format_args!("recorded {events} events")),
        None => {}
    }
}

/// What the recording says of itself.
pub(super) fn header(
    settings: &Settings,
    (path, binary): (&Path, &GoBinary<'_>),
    plan: &ProbePlan,
    attached: &AttachReport,
    clock: &Clock,
    cost: RecordedCost,
) -> RecordingHeader {
    let start_ns = i64::try_from(clock.start.time_ns)
        .unwrap_or(i64::MAX)
        .saturating_add(clock.realtime_minus_monotonic_ns);
    RecordingHeader {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        host: host(),
        target: target(path, binary),
        plan: RecordedPlan {
            targets: settings.patterns.targets.clone(),
            wildcards: settings.patterns.wildcards.clone(),
            excludes: settings.patterns.excludes.clone(),
            exclude_vendor: settings.patterns.exclude_vendor,
            functions: plan.functions.len() as u64,
            probes: plan.sites.len() as u64,
            skipped: plan.skipped.len() as u64,
            refused: attached.refused.len() as u64,
            promotes: settings.promote != PromotionChoice::Off,
        },
        clock: RecordedClock {
            realtime_minus_monotonic_ns: clock.realtime_minus_monotonic_ns,
            start: clock.start,
            zone: RecordedZone::of(&clock.zone, start_ns),
        },
        view: RecordedView {
            stream: settings.mode == OutputMode::Stream,
            slower_than: match settings.mode {
                OutputMode::Stream => None,
                OutputMode::Trees { slower_than } => slower_than,
            },
            max_calls: settings.max_calls,
            count: settings.count,
        },
        cost,
    }
}

/// What was written since the last time.
pub(super) fn take_chunk(writer: &mut RecordingWriter<'_>) -> Chunk {
    let (bytes, events) = writer.take_output();
    Chunk { bytes, events }
}

fn host() -> RecordedHost {
    let uname = rustix::system::uname();
    RecordedHost {
        kernel: uname.release().to_string_lossy().into_owned(),
        architecture: uname.machine().to_string_lossy().into_owned(),
        cpu_model: cpu_model().unwrap_or_default(),
        cpus: thread::available_parallelism().map_or(0, |cpus| cpus.get() as u64),
    }
}

fn cpu_model() -> io::Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo")?;
    let model = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_owned())
    });
    model.ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn target(path: &Path, binary: &GoBinary<'_>) -> RecordedTarget {
    RecordedTarget {
        path: fs::canonicalize(path)
            .unwrap_or_else(|_| path.to_owned())
            .to_string_lossy()
            .into_owned(),
        size_bytes: fs::metadata(path).map_or(0, |metadata| metadata.len()),
        build_id: binary.build_id().map(str::to_owned),
        go_version: binary.go_version().to_owned(),
        main_module: binary.main_module().map(str::to_owned),
    }
}
