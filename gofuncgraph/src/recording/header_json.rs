use std::num::NonZero;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::header::{
    RecordedClock, RecordedCost, RecordedHost, RecordedPlan, RecordedTarget, RecordedView,
    RecordingHeader,
};
use super::zone::{RecordedZone, ZoneChange};
use crate::events::MonotonicTime;
use crate::kernel::{HitCosts, PerKind};
use crate::plan::FunctionId;

/// Payload of the header, as JSON. Fields that are not known are left out when it is read, and
/// those that are missing have their default, so that later revisions can add some.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct HeaderJson {
    tool_version: String,
    kernel: String,
    architecture: String,
    cpu_model: String,
    cpus: u64,
    target: TargetJson,
    plan: PlanJson,
    realtime_minus_monotonic_ns: i64,
    start_monotonic_ns: u64,
    utc_offset_seconds: i32,
    utc_offset_changes: Vec<(i64, i32)>,
    view: ViewJson,
    cost: CostJson,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct TargetJson {
    path: String,
    size_bytes: u64,
    build_id: Option<String>,
    go_version: String,
    main_module: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct PlanJson {
    targets: Vec<String>,
    wildcards: Vec<String>,
    excludes: Vec<String>,
    exclude_vendor: bool,
    functions: u64,
    probes: u64,
    skipped: u64,
    refused: u64,
    promotes: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct CostJson {
    enabled_monotonic_ns: u64,
    hits: Option<HitCostsJson>,
    stepped_functions: Vec<u32>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct HitCostsJson {
    inside_ns: PerKindJson,
    outside_ns: PerKindJson,
    least_by_return_ns: u64,
    least_by_observer_ns: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct PerKindJson {
    entry: u64,
    stepped_entry: u64,
    #[serde(rename = "return")]
    ret: u64,
    observer: u64,
}

impl From<RecordedCost> for CostJson {
    fn from(cost: RecordedCost) -> Self {
        let per_kind = |costs: PerKind| PerKindJson {
            entry: costs.entries,
            stepped_entry: costs.stepped_entries,
            ret: costs.returns,
            observer: costs.observers,
        };
        Self {
            enabled_monotonic_ns: cost.enabled.time_ns,
            hits: cost.hits.map(|costs| HitCostsJson {
                inside_ns: per_kind(costs.inside_ns),
                outside_ns: per_kind(costs.outside_ns),
                least_by_return_ns: costs.least_by_return_ns,
                least_by_observer_ns: costs.least_by_observer_ns,
            }),
            stepped_functions: cost.stepped_functions.iter().map(|it| it.0).collect(),
        }
    }
}

impl From<CostJson> for RecordedCost {
    fn from(json: CostJson) -> Self {
        let per_kind = |costs: PerKindJson| PerKind {
            entries: costs.entry,
            stepped_entries: costs.stepped_entry,
            returns: costs.ret,
            observers: costs.observer,
        };
        Self {
            enabled: MonotonicTime {
                time_ns: json.enabled_monotonic_ns,
            },
            hits: json.hits.map(|costs| HitCosts {
                inside_ns: per_kind(costs.inside_ns),
                outside_ns: per_kind(costs.outside_ns),
                least_by_return_ns: costs.least_by_return_ns,
                least_by_observer_ns: costs.least_by_observer_ns,
            }),
            stepped_functions: json.stepped_functions.into_iter().map(FunctionId).collect(),
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ViewJson {
    stream: bool,
    slower_than_ns: Option<u64>,
    max_calls: Option<NonZero<u64>>,
    count: Option<NonZero<u64>>,
}

/// Calls that a tree may hold if the header does not say.
const DEFAULT_MAX_CALLS: NonZero<u64> = NonZero::new(1_000_000).expect("it is not zero");

impl From<&RecordingHeader> for HeaderJson {
    fn from(header: &RecordingHeader) -> Self {
        let RecordingHeader {
            tool_version,
            host,
            target,
            plan,
            clock,
            view,
            cost,
        } = header.clone();
        Self {
            tool_version,
            kernel: host.kernel,
            architecture: host.architecture,
            cpu_model: host.cpu_model,
            cpus: host.cpus,
            target: TargetJson {
                path: target.path,
                size_bytes: target.size_bytes,
                build_id: target.build_id,
                go_version: target.go_version,
                main_module: target.main_module,
            },
            plan: PlanJson {
                targets: plan.targets,
                wildcards: plan.wildcards,
                excludes: plan.excludes,
                exclude_vendor: plan.exclude_vendor,
                functions: plan.functions,
                probes: plan.probes,
                skipped: plan.skipped,
                refused: plan.refused,
                promotes: plan.promotes,
            },
            realtime_minus_monotonic_ns: clock.realtime_minus_monotonic_ns,
            start_monotonic_ns: clock.start.time_ns,
            utc_offset_seconds: clock.zone.utc_offset_seconds,
            utc_offset_changes: (clock.zone.changes.iter())
                .map(|change| (change.unix_seconds, change.utc_offset_seconds))
                .collect(),
            view: ViewJson {
                stream: view.stream,
                slower_than_ns: view
                    .slower_than
                    .map(|duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
                max_calls: Some(view.max_calls),
                count: view.count,
            },
            cost: cost.into(),
        }
    }
}

impl From<HeaderJson> for RecordingHeader {
    fn from(json: HeaderJson) -> Self {
        Self {
            tool_version: json.tool_version,
            host: RecordedHost {
                kernel: json.kernel,
                architecture: json.architecture,
                cpu_model: json.cpu_model,
                cpus: json.cpus,
            },
            target: RecordedTarget {
                path: json.target.path,
                size_bytes: json.target.size_bytes,
                build_id: json.target.build_id,
                go_version: json.target.go_version,
                main_module: json.target.main_module,
            },
            plan: RecordedPlan {
                targets: json.plan.targets,
                wildcards: json.plan.wildcards,
                excludes: json.plan.excludes,
                exclude_vendor: json.plan.exclude_vendor,
                functions: json.plan.functions,
                probes: json.plan.probes,
                skipped: json.plan.skipped,
                refused: json.plan.refused,
                promotes: json.plan.promotes,
            },
            clock: RecordedClock {
                realtime_minus_monotonic_ns: json.realtime_minus_monotonic_ns,
                start: MonotonicTime {
                    time_ns: json.start_monotonic_ns,
                },
                zone: RecordedZone {
                    utc_offset_seconds: json.utc_offset_seconds,
                    changes: (json.utc_offset_changes.into_iter())
                        .take(u8::MAX.into())
                        .map(|(unix_seconds, utc_offset_seconds)| ZoneChange {
                            unix_seconds,
                            utc_offset_seconds,
                        })
                        .collect(),
                },
            },
            view: RecordedView {
                stream: json.view.stream,
                slower_than: json.view.slower_than_ns.map(Duration::from_nanos),
                max_calls: json.view.max_calls.unwrap_or(DEFAULT_MAX_CALLS),
                count: json.view.count,
            },
            cost: json.cost.into(),
        }
    }
}
