//! What replaying ten million events takes: of a real server, and of made-up recordings that are
//! hard on memory. `gofuncgraph/examples/long_recording.rs` writes them: the first one by going
//! through a recording of the example server, made here and now, again and again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::measured::{Sink, Taken, run, run_into};
use super::{Figure, recording};
use crate::process::Run;
use crate::workspace;

const EVENTS: u64 = 10_000_000;

/// The best of so many counts: other programs only make it worse.
const ROUNDS: usize = 3;

const MEMORY_GOAL: &str = "300 MB";
const TEXT_GOAL: &str = "1 M events/s, 300 MB";

/// Ways to look at a recording; each stands before the file.
const VIEWS: [&[&str]; 12] = [
    &["replay"],
    &["replay", "--stream"],
    &["replay", "-f", "graph"],
    &["replay", "-f", "functrace"],
    &["replay", "-f", "jsonl"],
    &["replay", "-f", "chrome"],
    &["replay", "-f", "folded"],
    &["replay", "-f", "summary"],
    &["replay", "--slower-than", "1ms"],
    &["replay", "--top", "10"],
    &["report"],
    &["report", "--tree"],
];

/// Shapes of `long_recording`, and what they are.
const SHAPES: [(&str, &str); 3] = [
    ("one-tree", "one tree"),
    ("deep", "recursion 200,000 calls deep"),
    ("goroutines", "60,000 goroutines with open trees"),
];

/// A tab for every level makes terabytes of the deep recursion.
const TOO_DEEP: (&str, &str) = ("deep", "functrace");

/// Records, and replays in every format.
pub fn measure(tracer: &Path) -> Result<Vec<Figure>> {
    let maker = build_example()?;
    let server = recording::record_server(tracer)?;
    let long = server.with_file_name("long.rec");
    let make = |arguments: &[&str]| {
        let file =
            File::create(&long).with_context(|| format!("cannot create {}", long.display()))?;
        let events = EVENTS.to_string();
        let (shape, rest) = arguments.split_at(1);
        run_into(Run::new(&maker).args(shape).arg(events).args(rest), file)
    };
    let server_path = server.to_str().context("the target folder is no UTF-8")?;
    let said = make(&["repeat", server_path])?;
    let events = events_said(&said).context("the number of events was not said")?;
    let server_bytes = fs::metadata(&server)?.len() as f64;
    let mut figures = vec![Figure {
        what: "a million events of the example server, recorded with `-u '*'`".to_owned(),
        measured: format!("{:.1} MB", server_bytes / events),
        goal: "12 MB",
    }];
    for view in VIEWS {
        let sink = Sink::Nothing;
        let taken = best(tracer, view, &long, sink, ROUNDS)?;
        let goal = if view == ["replay"] {
            TEXT_GOAL
        } else {
            MEMORY_GOAL
        };
        figures.push(row(&format!("`{}`", view.join(" ")), &taken, goal));
    }
    let piped = best(tracer, &["replay"], &long, Sink::Pipe, ROUNDS)?;
    figures.push(row("`replay` into a pipe", &piped, TEXT_GOAL));
    for (shape, name) in SHAPES {
        make(&[shape])?;
        figures.push(largest(tracer, shape, name, &long)?);
    }
    fs::remove_file(&long).with_context(|| format!("cannot remove {}", long.display()))?;
    Ok(figures)
}

fn build_example() -> Result<PathBuf> {
    workspace::cargo()?
        .args(["build", "--release", "--package", "gofuncgraph"])
        .args(["--example", "long_recording"])
        .run()?;
    Ok(workspace::target_dir()?.join("release/examples/long_recording"))
}

/// The way to look at a recording that takes most memory.
fn largest(tracer: &Path, shape: &str, name: &str, recording: &Path) -> Result<Figure> {
    let mut most: Option<(&[&str], Taken)> = None;
    for view in VIEWS {
        if shape == TOO_DEEP.0 && view.contains(&TOO_DEEP.1) {
            continue;
        }
        let taken = best(tracer, view, recording, Sink::Nothing, 1)?;
        if most.is_none_or(|(_, most)| taken.peak_bytes > most.peak_bytes) {
            most = Some((view, taken));
        }
    }
    let (view, taken) = most.context("nothing was measured")?;
    let what = format!("{name}: most, for `{}`", view.join(" "));
    Ok(row(&what, &taken, MEMORY_GOAL))
}

/// The least of each of several runs.
fn best(
    tracer: &Path,
    view: &[&str],
    recording: &Path,
    sink: Sink,
    rounds: usize,
) -> Result<Taken> {
    let mut best: Option<Taken> = None;
    for _ in 0..rounds {
        let taken = run(Run::new(tracer).args(view).arg(recording), sink)?;
        eprintln!("{}: {}", view.join(" "), describe(&taken));
        best = Some(best.map_or(taken, |best| Taken {
            wall: best.wall.min(taken.wall),
            cpu: best.cpu.min(taken.cpu),
            peak_bytes: best.peak_bytes.max(taken.peak_bytes),
        }));
    }
    best.context("nothing was measured")
}

fn row(what: &str, taken: &Taken, goal: &'static str) -> Figure {
    Figure {
        what: format!("10 million events, {what}"),
        measured: describe(taken),
        goal,
    }
}

fn describe(taken: &Taken) -> String {
    format!(
        "{:.1} M events/s ({:.1} s, {:.1} s of CPU), {} MB",
        EVENTS as f64 / 1e6 / taken.wall.as_secs_f64(),
        taken.wall.as_secs_f64(),
        taken.cpu.as_secs_f64(),
        taken.peak_bytes.div_ceil(1_000_000),
    )
}

/// Reads `N events in PATH`.
fn events_said(said: &str) -> Option<f64> {
    let (events, _) = said.split_once(" events in ")?;
    let events = events.trim().parse::<f64>().ok()?;
    (events > 0.0).then_some(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn events_are_read() {
        assert_eq!(events_said("1234 events in a.rec\n"), Some(1234.0));
        assert_eq!(events_said("0 events in a.rec\n"), None);
        assert_eq!(events_said("error: no events\n"), None);
    }

    #[test]
    fn a_row_tells_speed_and_memory() {
        let taken = Taken {
            wall: Duration::from_secs(4),
            cpu: Duration::from_millis(2500),
            peak_bytes: 13_000_001,
        };
        assert_eq!(
            describe(&taken),
            "2.5 M events/s (4.0 s, 2.5 s of CPU), 14 MB"
        );
    }
}
