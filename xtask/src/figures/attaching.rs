//! How long it takes to get ready on large binaries, and to attach and detach their probes.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use super::{Figure, median};
use crate::go;
use crate::process;
use crate::tracer::Tracing;

const ROUNDS: usize = 5;
const RELEASE: &str = "go1.27.3";
/// The number of probes that the goals for attaching and detaching speak of.
const PROBES: f64 = 50_000.0;

/// Measures the `go` command's binary and the compiler's, which is larger.
pub fn measure(tracer: &Path) -> Result<Vec<Figure>> {
    let root = go::release_root(RELEASE)?;
    let go = root.join("bin/go");
    let compiler = root.join("pkg/tool/linux_amd64/compile");
    let mut figures = Vec::new();
    let runs = Runs::of(tracer, &go)?;
    let seconds = |values: &[f64]| median(values).map(|value| format!("{value:.3} s"));
    let row = |what: String, measured: Option<String>, goal| Figure {
        what,
        measured: measured.unwrap_or_else(|| "not measured".to_owned()),
        goal,
    };
    figures.push(row(
        format!("`-u '*'` on {RELEASE}'s `go` command: from the start to `tracing started`"),
        seconds(&runs.ready_s),
        "0.3 s",
    ));
    figures.push(row(
        format!("`-u '*' --dry-run` on {RELEASE}'s `go` command"),
        seconds(&dry_runs(tracer, &go)?),
        "",
    ));
    for (name, runs) in [("go", runs), ("compile", Runs::of(tracer, &compiler)?)] {
        let scaled = |values: &[f64]| {
            median(values).map(|value| {
                let per_goal = value * PROBES / runs.probes;
                format!("{value:.3} s ({per_goal:.3} s per 50,000)")
            })
        };
        let probes = runs.probes;
        let attach = format!("attach {probes} probes (`{name}`)");
        let detach = format!("detach {probes} probes (`{name}`)");
        figures.push(row(attach, scaled(&runs.attach_s), "0.5 s per 50,000"));
        figures.push(row(detach, scaled(&runs.detach_s), "0.5 s per 50,000"));
    }
    Ok(figures)
}

#[derive(Default)]
struct Runs {
    probes: f64,
    ready_s: Vec<f64>,
    attach_s: Vec<f64>,
    detach_s: Vec<f64>,
}

impl Runs {
    fn of(tracer: &Path, binary: &Path) -> Result<Self> {
        let mut runs = Self::default();
        for round in 1..=ROUNDS {
            eprintln!(
                "attaching to {}: round {round} of {ROUNDS}",
                binary.display()
            );
            let words = ["-v", "--duration", "100ms", "-u", "*"];
            let arguments: Vec<&OsStr> = words
                .iter()
                .map(OsStr::new)
                .chain([binary.as_os_str()])
                .collect();
            let mut tracing = Tracing::start(tracer, &arguments)?;
            let ready = tracing.ready_after();
            let printed = tracing.finish()?;
            let timings = Timings::read(&printed.stderr).with_context(|| {
                format!(
                    "the tracer did not say how long attaching took:\n{}",
                    printed.stderr
                )
            })?;
            runs.probes = timings.probes;
            runs.ready_s.push(ready.as_secs_f64());
            runs.attach_s.push(timings.attach_ms / 1000.0);
            runs.detach_s.push(timings.detach_ms / 1000.0);
        }
        Ok(runs)
    }
}

/// Wall times of `--dry-run`, which needs no rights and attaches nothing.
fn dry_runs(tracer: &Path, binary: &Path) -> Result<Vec<f64>> {
    (0..ROUNDS)
        .map(|_| {
            let run = process::Run::new(tracer)
                .args(["--dry-run", "-u", "*"])
                .arg(binary);
            let begun = Instant::now();
            run.read()?;
            Ok(begun.elapsed().as_secs_f64())
        })
        .collect()
}

/// What `--verbose` tells.
#[derive(Debug, PartialEq)]
pub(crate) struct Timings {
    pub(crate) probes: f64,
    pub(crate) attach_ms: f64,
    pub(crate) detach_ms: f64,
}

impl Timings {
    /// Reads `attached N probes in X ms` and `detached in X ms`.
    pub(crate) fn read(messages: &str) -> Option<Self> {
        let after = |mark: &str| {
            messages
                .lines()
                .find_map(|line| Some(line.split_once(mark)?.1))
        };
        let number = |text: &str| text.replace(',', "").parse::<f64>().ok();
        let (probes, attach) = after("attached ")?.split_once(" probes in ")?;
        let detach = after("detached in ")?;
        let milliseconds = |text: &str| number(text.split(' ').next()?);
        Some(Self {
            probes: number(probes)?,
            attach_ms: milliseconds(attach)?,
            detach_ms: milliseconds(detach)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_are_read_between_other_messages() {
        let messages = "found 3 uprobes\nattached 45,210 probes in 201.5 ms\n\
                        tracing started: 1 functions, 2 probes\ndetached in 98 ms\n";
        assert_eq!(
            Timings::read(messages),
            Some(Timings {
                probes: 45_210.0,
                attach_ms: 201.5,
                detach_ms: 98.0
            })
        );
        assert_eq!(Timings::read("attached 3 probes in 2 ms\n"), None);
        assert_eq!(
            Timings::read("attached many probes in 2 ms\ndetached in 1 ms\n"),
            None
        );
    }
}
