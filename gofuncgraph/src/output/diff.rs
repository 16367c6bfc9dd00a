//! Two recordings side by side.

use serde::Serialize;

use super::measure::{change, count, number_of, time};
use super::table::{Align, Table, markdown_code, markdown_text, plain};
use crate::analysis::{Change, Diff, DiffRow, Figures};

/// Marks a difference that is real.
const REAL: char = '*';

/// What a real difference of times is besides.
const ALSO: &str = ", and of times at least 5% and 1us";

/// What three of the columns mean.
const AVERAGES: &str = "calls, self and total are those of a tree, of paths a tree with that root";

/// What a comparison's text needs beside the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffHeading {
    /// How the base is called.
    pub base: String,
    /// How the new one is called.
    pub new: String,
    /// What makes the two hard to compare, a sentence each.
    pub warnings: Vec<String>,
    /// Rows that are shown of each table; `None`: all.
    pub top: Option<usize>,
}

/// Appends tables for a terminal.
pub fn write_diff_text(diff: &Diff, heading: &DiffHeading, out: &mut Vec<u8>) {
    let mut push = |line: String| {
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    };
    push(format!(
        "base: {}, {}",
        plain(&heading.base),
        trees(diff.finished_trees.0)
    ));
    push(format!(
        "new:  {}, {}",
        plain(&heading.new),
        trees(diff.finished_trees.1)
    ));
    for warning in &heading.warnings {
        push(format!("warning: {}", plain(warning)));
    }
    push(format!("{REAL} real: more than chance{ALSO}; {AVERAGES}"));
    for (title, rows) in [("function", &diff.functions), ("path", &diff.paths)] {
        out.push(b'\n');
        table(title, rows, heading.top, &|row| plain(&joined(row, " > "))).write(out);
        write_left_out(rows, heading.top, out);
    }
}

/// Appends GitHub-flavoured Markdown.
pub fn write_diff_markdown(diff: &Diff, heading: &DiffHeading, out: &mut Vec<u8>) {
    let mut push = |line: String| {
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    };
    push(format!(
        "Base: {} ({}), new: {} ({}). A `{REAL}` marks what is real: more than chance{ALSO}; {AVERAGES}.",
        markdown_code(&heading.base),
        trees(diff.finished_trees.0),
        markdown_code(&heading.new),
        trees(diff.finished_trees.1)
    ));
    for warning in &heading.warnings {
        push(format!("\n> [!WARNING]\n> {}", markdown_text(warning)));
    }
    for (title, rows) in [("function", &diff.functions), ("path", &diff.paths)] {
        out.push(b'\n');
        let name = |row: &DiffRow| {
            let parts: Vec<String> = row.path.iter().map(|part| markdown_code(part)).collect();
            parts.join(" &gt; ")
        };
        let mut table = table(title, rows, heading.top, &name);
        table.escape(&|cell| cell.replace(REAL, "\\*"), 1);
        table.write_markdown(out);
        if left_out(rows, heading.top) > 0 {
            out.push(b'\n');
        }
        write_left_out(rows, heading.top, out);
    }
}

fn trees(finished: u64) -> String {
    number_of(finished, "finished tree")
}

fn joined(row: &DiffRow, separator: &str) -> String {
    row.path.join(separator)
}

fn left_out(rows: &[DiffRow], top: Option<usize>) -> usize {
    rows.len().saturating_sub(top.unwrap_or(usize::MAX))
}

fn write_left_out(rows: &[DiffRow], top: Option<usize>, out: &mut Vec<u8>) {
    let left_out = left_out(rows, top);
    if left_out > 0 {
        out.extend_from_slice(format!("({left_out} more, which cost less)\n").as_bytes());
    }
}

fn table(
    title: &str,
    rows: &[DiffRow],
    top: Option<usize>,
    name: &dyn Fn(&DiffRow) -> String,
) -> Table {
    let mut table = Table::new(&[
        (title, Align::Left),
        ("cost", Align::Right),
        ("calls", Align::Right),
        ("p50", Align::Right),
        ("p99", Align::Right),
        ("self", Align::Right),
        ("total", Align::Right),
    ]);
    for row in rows.iter().take(top.unwrap_or(usize::MAX)) {
        let cost_ns = row.cost_ns();
        table.push(vec![
            name(row),
            format!(
                "{}{}",
                if cost_ns >= 0.0 { "+" } else { "" },
                time(cost_ns.round())
            ),
            cell(row, row.calls, &|side| Some(side.calls_per_tree), &count),
            cell(
                row,
                row.duration,
                &|side| side.p50_ns.map(|it| it as f64),
                &time,
            ),
            cell(row, row.p99, &|side| side.p99_ns.map(|it| it as f64), &time),
            cell(
                row,
                row.self_time,
                &|side| Some(side.self_ns_per_tree.round()),
                &time,
            ),
            cell(
                row,
                row.total,
                &|side| Some(side.total_ns_per_tree.round()),
                &time,
            ),
        ]);
    }
    table
}

/// `10.1ms -> 13.2ms +30.7%*`, or one value if both are the same.
fn cell(
    row: &DiffRow,
    changed: Change,
    value: &dyn Fn(&Figures) -> Option<f64>,
    text: &dyn Fn(f64) -> String,
) -> String {
    let side = |figures: &Option<Figures>| figures.as_ref().and_then(value);
    let shown = |side: Option<f64>| side.map_or_else(|| "-".to_owned(), text);
    let (base, new) = (side(&row.base), side(&row.new));
    let mut cell = if base == new {
        shown(base)
    } else {
        format!("{} -> {}", shown(base), shown(new))
    };
    if let (Some(base), Some(new)) = (base, new)
        && base != new
    {
        cell.push(' ');
        cell.push_str(&change(base, new));
    }
    if changed.is_real && base != new {
        cell.push(REAL);
    }
    cell
}

/// A line of [`write_diff_json_lines`]. What is serialised is frozen: fields may be added, not
/// changed.
#[derive(Serialize)]
struct RowObject<'a> {
    /// `function` or `path`.
    kind: &'static str,
    function: &'a str,
    /// From the root on; only of paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a [String]>,
    /// Self time of a tree, new minus base.
    cost_ns: f64,
    base: Option<SideObject>,
    new: Option<SideObject>,
    change: ChangesObject,
}

#[derive(Serialize)]
struct SideObject {
    calls: u64,
    calls_per_tree: f64,
    p50_ns: Option<u64>,
    p99_ns: Option<u64>,
    total_ns_per_tree: f64,
    self_ns_per_tree: f64,
}

#[derive(Serialize)]
struct ChangesObject {
    duration: ChangeObject,
    p99: ChangeObject,
    calls: ChangeObject,
    #[serde(rename = "self")]
    self_time: ChangeObject,
    total: ChangeObject,
}

#[derive(Serialize)]
struct ChangeObject {
    /// Probability of such a difference by chance; null if there is too little to tell.
    p: Option<f64>,
    real: bool,
}

impl From<Figures> for SideObject {
    fn from(figures: Figures) -> Self {
        Self {
            calls: figures.calls,
            calls_per_tree: figures.calls_per_tree,
            p50_ns: figures.p50_ns,
            p99_ns: figures.p99_ns,
            total_ns_per_tree: figures.total_ns_per_tree,
            self_ns_per_tree: figures.self_ns_per_tree,
        }
    }
}

impl From<Change> for ChangeObject {
    fn from(change: Change) -> Self {
        Self {
            p: change.probability,
            real: change.is_real,
        }
    }
}

/// Appends one JSON object a line: functions, then paths, in the order of what they cost.
pub fn write_diff_json_lines(diff: &Diff, out: &mut Vec<u8>) {
    for (kind, rows) in [("function", &diff.functions), ("path", &diff.paths)] {
        for row in rows {
            let object = RowObject {
                kind,
                function: row.path.last().map_or("?", String::as_str),
                path: (kind == "path").then_some(&row.path),
                cost_ns: row.cost_ns(),
                base: row.base.map(SideObject::from),
                new: row.new.map(SideObject::from),
                change: ChangesObject {
                    duration: row.duration.into(),
                    p99: row.p99.into(),
                    calls: row.calls.into(),
                    self_time: row.self_time.into(),
                    total: row.total.into(),
                },
            };
            // Neither the types nor a Vec can fail.
            if serde_json::to_writer(&mut *out, &object).is_ok() {
                out.push(b'\n');
            }
        }
    }
}
