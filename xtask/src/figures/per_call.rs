//! What a traced call costs, with the standard placement of probes and with the classic one:
//! on a function's first instruction and on each RET.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Figure, median};
use crate::example;
use crate::line_program::LineProgram;
use crate::tracer::Tracing;
use crate::tree_text;

const ROUNDS: usize = 5;
/// Batches of a round; the first warms up and is not counted.
pub(super) const BATCHES: usize = 4;
/// Calls of a batch: few enough for one tree to keep them all.
pub(super) const CALLS: usize = 20_000;
const LONGEST_BATCH: Duration = Duration::from_secs(120);
const CALLS_UNTRACED: usize = 2_000_000;

/// Measures untraced calls and both placements in turns, several times.
pub fn measure(root: &Path, tracer: &Path) -> Result<Vec<Figure>> {
    let binary = example::build_go(&root.join("xtask/programs/percall"), "percall")?;
    let mut program = LineProgram::start(&binary)?;
    let mut untraced = Vec::new();
    let mut standard = Vec::new();
    let mut classic = Vec::new();
    for round in 1..=ROUNDS {
        eprintln!("calls: round {round} of {ROUNDS}");
        untraced.extend(batches(&mut program, CALLS_UNTRACED)?);
        standard.extend(traced(tracer, &binary, &mut program, "standard")?);
        classic.extend(traced(tracer, &binary, &mut program, "classic")?);
    }
    let untraced = median(&untraced).context("no untraced call was measured")?;
    let cost = |values: &[f64]| median(values).map(|value| value - untraced);
    let standard = cost(&standard).context("no traced call was measured")?;
    let classic = cost(&classic).context("no traced call was measured")?;
    let figure = |what: &str, measured: String, goal| Figure {
        what: what.to_owned(),
        measured,
        goal,
    };
    let microseconds = |nanoseconds: f64| format!("{:.2} us", nanoseconds / 1000.0);
    Ok(vec![
        figure("a call that is not traced", format!("{untraced:.1} ns"), ""),
        figure(
            "a traced call adds (entry and exit; before its function is promoted)",
            microseconds(standard),
            "",
        ),
        figure(
            "the same with probes on offset 0 and RET (`--placement classic`)",
            microseconds(classic),
            "",
        ),
        figure(
            "traced call, compared with offset 0 and RET",
            format!("{:.2}", standard / classic),
            "at most 0.65",
        ),
    ])
}

/// Nanoseconds per call of each batch while a tracer is attached.
fn traced(
    tracer: &Path,
    binary: &Path,
    program: &mut LineProgram,
    placement: &str,
) -> Result<Vec<f64>> {
    let count = BATCHES.to_string();
    let words = [
        "--promote",
        "off",
        "--placement",
        placement,
        "--count",
        &count,
        "--duration",
        "120s",
    ];
    let arguments: Vec<&OsStr> = words
        .iter()
        .map(OsStr::new)
        .chain(["--uprobe-wildcards", "main.leaf"].map(OsStr::new))
        .chain([binary.as_os_str(), OsStr::new("main.root")])
        .collect();
    let mut tracing = Tracing::start(tracer, &arguments)?;
    let nanoseconds = batches(program, CALLS)?;
    let printed = tracing.finish()?;
    let trees = tree_text::trees(&printed.stdout)?;
    // The root is a call too. The classic placement counts a call twice when the runtime restarts
    // it to preempt it or to grow its stack, so there it can be more.
    let calls: usize = trees.iter().map(|tree| tree.calls.len()).sum();
    let expected = BATCHES * (CALLS + 1);
    let all_traced = match placement {
        "classic" => calls >= expected,
        _ => calls == expected && trees.len() == BATCHES,
    };
    if !all_traced || !printed.stderr.contains("lost entries 0, lost exits 0") {
        bail!(
            "not every call was traced, so the figures would flatter; the tracer said:\n{}",
            printed.stderr
        );
    }
    Ok(nanoseconds)
}

/// Nanoseconds per call of each counted batch of `calls` calls.
pub(super) fn batches(program: &mut LineProgram, calls: usize) -> Result<Vec<f64>> {
    let mut values = Vec::new();
    for _ in 0..BATCHES {
        values.push(program.nanoseconds(&calls.to_string(), LONGEST_BATCH)?);
    }
    values.remove(0);
    Ok(values)
}
