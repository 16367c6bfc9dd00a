use std::num::NonZero;
use std::time::Duration;

use super::zone::RecordedZone;
use crate::events::MonotonicTime;
use crate::kernel::{HitCosts, HitCounts, KernelCounters};
use crate::plan::FunctionId;

/// What a recording says of itself before any event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingHeader {
    /// Version of the gofuncgraph that recorded.
    pub tool_version: String,
    /// Where it ran.
    pub host: RecordedHost,
    /// What it traced.
    pub target: RecordedTarget,
    /// Which functions.
    pub plan: RecordedPlan,
    /// What moments mean.
    pub clock: RecordedClock,
    /// What a live trace with the same options would have shown.
    pub view: RecordedView,
    /// What tracing cost the program.
    pub cost: RecordedCost,
}

/// The machine of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedHost {
    /// Kernel release, as `uname -r`.
    pub kernel: String,
    /// Machine, as `uname -m`.
    pub architecture: String,
    /// Model name of the first CPU, empty if it has none.
    pub cpu_model: String,
    /// CPUs that the tracer could run on.
    pub cpus: u64,
}

/// The program of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedTarget {
    /// Absolute path of the executable; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// Of the file.
    pub size_bytes: u64,
    /// As Go's linker wrote it (`go tool buildid`).
    pub build_id: Option<String>,
    /// For instance `go1.26.8`.
    pub go_version: String,
    /// Path of the main module.
    pub main_module: Option<String>,
}

/// What was asked to be traced, and how much that was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedPlan {
    /// Patterns of where trees start.
    pub targets: Vec<String>,
    /// Patterns of what is shown.
    pub wildcards: Vec<String>,
    /// Patterns of what is taken away.
    pub excludes: Vec<String>,
    /// Names with `/vendor/` were taken away.
    pub exclude_vendor: bool,
    /// Functions that were attached; each is defined.
    pub functions: u64,
    /// Instructions that got probes.
    pub probes: u64,
    /// Functions that patterns chose but that could not be attached.
    pub skipped: u64,
    /// Probes that the kernel refused.
    pub refused: u64,
    /// Functions may have been promoted.
    pub promotes: bool,
}

/// What moments mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedClock {
    /// Nanoseconds from a moment of CLOCK_MONOTONIC to the same of CLOCK_REALTIME.
    pub realtime_minus_monotonic_ns: i64,
    /// When tracing began.
    pub start: MonotonicTime,
    /// Local time at that place.
    pub zone: RecordedZone,
}

/// What is shown unless the user says otherwise, so that a replay shows what the live trace did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedView {
    /// Lines as they happened, not trees.
    pub stream: bool,
    /// Only trees that took at least so long.
    pub slower_than: Option<Duration>,
    /// Calls that a tree may hold.
    pub max_calls: NonZero<u64>,
    /// The trace ended after so many trees.
    pub count: Option<NonZero<u64>>,
}

/// What hits of probes cost the program; the default is that of recordings that do not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedCost {
    /// When probes began to tell of calls.
    pub enabled: MonotonicTime,
    /// As measured before; `None` if that failed.
    pub hits: Option<HitCosts>,
    /// Functions whose entries are single-stepped, in order.
    pub stepped_functions: Vec<FunctionId>,
}

/// What was counted of events that are not in the recording, and what cost the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossCounters {
    /// By the programs in the kernel.
    pub kernel: KernelCounters,
    /// Hits of probes, with or without an event; all 0 where the recording does not say.
    pub hits: HitCounts,
    /// Records of kinds that the tracer did not know.
    pub unknown_records: u64,
    /// Records that made no sense to the tracer.
    pub malformed_records: u64,
}

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// By a signal, such as Ctrl-C.
    Interrupted,
    /// `--duration` was over.
    DurationOver,
    /// `--count` trees were finished.
    CountReached,
    /// What was shown beside could not be written any more.
    OutputEnded,
    /// Something failed.
    Failed,
    /// The processes that were traced had ended.
    ProcessesEnded,
    /// A reason that this version does not know.
    Other,
}

/// How a recording that is whole ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedEnd {
    /// Why.
    pub reason: EndReason,
    /// When: what was open then is `still open`.
    pub time: MonotonicTime,
    /// Events in the recording.
    pub events: u64,
    /// What was lost all in all.
    pub losses: LossCounters,
}
