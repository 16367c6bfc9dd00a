//! What stands in the lines. Fields are never renamed or taken away: docs/JSONL.md and
//! docs/jsonl.schema.json promise that.

use serde::Serialize;

use super::ended::EndReason;

/// A call.
#[derive(Debug, Serialize)]
pub(super) struct CallRecord<'a> {
    /// `call`, or `open` if it had not ended.
    pub r#type: &'static str,
    pub id: u64,
    pub parent_id: Option<u64>,
    pub tree_id: u64,
    pub depth: u64,
    pub goid: u64,
    pub pid: u32,
    pub function: &'a str,
    pub package: &'a str,
    pub caller: Option<&'a str>,
    pub file: Option<&'a str>,
    pub line: Option<u32>,
    pub start: Option<&'a str>,
    pub start_unix_ns: Option<i64>,
    pub end_unix_ns: Option<i64>,
    pub duration_ns: Option<u64>,
    pub self_ns: Option<u64>,
    /// Only where durations are without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes_ns: Option<Option<u64>>,
    /// Only where it is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub already_open: Option<bool>,
    pub ended: &'static str,
    #[serde(flatten)]
    pub reason: EndReason,
}

/// Something that is not shown.
#[derive(Debug, Serialize)]
pub(super) struct GapRecord<'a> {
    #[serde(flatten)]
    pub gap: Gap,
    pub parent_id: Option<u64>,
    pub tree_id: Option<u64>,
    pub depth: u64,
    pub goid: u64,
    pub pid: u32,
    pub time: &'a str,
    pub time_unix_ns: i64,
}

/// Why it is not shown.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Gap {
    /// Events were lost.
    Lost { events: u64 },
    /// The tree was handed on in parts.
    Cut { calls: u64 },
    /// The tree's first calls were dropped.
    Dropped { calls: u64 },
    /// A filter hides calls.
    Hidden {
        calls: u64,
        shorter_than_ns: Option<u64>,
        total_ns: u64,
    },
}
