//! What a recording costs: the traced program, and the disk.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::Figure;
use super::per_call::{BATCHES, CALLS, Program};
use crate::example::{self, Example, ExampleServer};
use crate::http::Requests;
use crate::process::Run;
use crate::tracer::Tracing;
use crate::{go, workspace};

const ROUNDS: usize = 7;

/// Requests that the recorded server answers at the same time.
const CLIENTS: usize = 4;

/// What its recording is made of: every function that is called for a request.
const SERVER_ARGUMENTS: [&str; 4] = ["--duration", "8s", "-u", "*"];

/// Compares a traced call of a live trace with one that is recorded, in turns.
pub fn measure(root: &Path, tracer: &Path) -> Result<Vec<Figure>> {
    go::ensure()?;
    let binary = example::build_go(&root.join("xtask/programs/percall"), "percall")?;
    let mut program = Program::start(&binary)?;
    let mut live = Vec::new();
    let mut recorded = Vec::new();
    for round in 1..=ROUNDS {
        eprintln!("live and recorded calls: round {round} of {ROUNDS}");
        let nothing = ["-o", "/dev/null"];
        live.extend(traced(tracer, &binary, &mut program, &[], &nothing)?);
        recorded.extend(traced(
            tracer,
            &binary,
            &mut program,
            &["record"],
            &nothing,
        )?);
    }
    // What else runs on the machine makes calls slower, never faster.
    let least = |values: &[f64]| values.iter().copied().min_by(f64::total_cmp);
    let (live, recorded) = least(&live)
        .zip(least(&recorded))
        .context("no call was measured")?;
    let figure = |what: &str, measured: String, goal| Figure {
        what: what.to_owned(),
        measured,
        goal,
    };
    Ok(vec![
        figure(
            "a traced call, live as text to /dev/null",
            format!("{:.2} us", live / 1000.0),
            "",
        ),
        figure(
            "a traced call, recorded to /dev/null",
            format!("{:.2} us", recorded / 1000.0),
            "",
        ),
        figure(
            "recorded, compared with live",
            format!("{:.2}", recorded / live),
            "at most 1, but for noise",
        ),
    ])
}

/// Nanoseconds per call of each batch.
fn traced(
    tracer: &Path,
    binary: &Path,
    program: &mut Program,
    command: &[&str],
    output: &[&str],
) -> Result<Vec<f64>> {
    let count = BATCHES.to_string();
    let ends = ["--count", &count, "--duration", "120s"];
    let arguments: Vec<&OsStr> = command
        .iter()
        .chain(output)
        .chain(&ends)
        .chain(&["--uprobe-wildcards", "main.leaf"])
        .map(OsStr::new)
        .chain([binary.as_os_str(), OsStr::new("main.root")])
        .collect();
    let mut tracing = Tracing::start(tracer, &arguments)?;
    let nanoseconds = program.batches(CALLS)?;
    let printed = tracing.finish()?;
    let calls = BATCHES * (CALLS + 1);
    let expected = format!("trees {BATCHES}, calls {calls}, lost entries 0, lost exits 0");
    if !printed.stderr.contains(&expected) {
        bail!(
            "not every call was traced, so the figures would flatter; the tracer said:\n{}",
            printed.stderr
        );
    }
    Ok(nanoseconds)
}

/// Records the example server under load, every call of its connections; gives the recording.
pub fn record_server(tracer: &Path) -> Result<PathBuf> {
    let example = Example::build()?;
    let server = ExampleServer::start(&example)?;
    let folder = workspace::target_dir()?.join("recordings");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let recording = folder.join("server.rec");
    let arguments: Vec<&OsStr> = [
        OsStr::new("record"),
        OsStr::new("-o"),
        recording.as_os_str(),
    ]
    .into_iter()
    .chain(SERVER_ARGUMENTS.map(OsStr::new))
    .chain([example.binary().as_os_str()])
    .chain([OsStr::new("net/http.(*conn).serve")])
    .collect();
    eprintln!("$ {}", Run::new(tracer).args(&arguments).line());
    let mut tracing = Tracing::start(tracer, &arguments)?;
    // Not one of its slow pages.
    let clients: Vec<Requests> = (0..CLIENTS)
        .map(|_| Requests::start(server.address(), "/"))
        .collect();
    let printed = tracing.finish()?;
    for client in clients {
        client.stop()?;
    }
    eprint!("{}", printed.stderr);
    Ok(recording)
}
