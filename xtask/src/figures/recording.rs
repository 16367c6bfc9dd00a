//! What a recording costs: the traced program, and the disk.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::per_call::{BATCHES, CALLS, batches};
use super::{Figure, median};
use crate::example::{self, Example, ExampleServer};
use crate::http::Requests;
use crate::line_program::LineProgram;
use crate::process::Run;
use crate::tracer::Tracing;
use crate::{go, workspace};

const ROUNDS: usize = 11;

/// Requests that the recorded server answers at the same time.
const CLIENTS: usize = 4;

/// What its recording is made of: every function that is called for a request.
const SERVER_ARGUMENTS: [&str; 4] = ["--duration", "8s", "-u", "*"];

/// Compares a traced call of a live trace with one that is recorded, in turns.
pub fn measure(root: &Path, tracer: &Path) -> Result<Vec<Figure>> {
    go::ensure()?;
    let binary = example::build_go(&root.join("xtask/programs/percall"), "percall")?;
    let mut program = LineProgram::start(&binary)?;
    let mut live = Vec::new();
    let mut recorded = Vec::new();
    for round in 1..=ROUNDS {
        eprintln!("live and recorded calls: round {round} of {ROUNDS}");
        let nothing = ["-o", "/dev/null"];
        live.push(traced(tracer, &binary, &mut program, &[], &nothing)?);
        recorded.push(traced(
            tracer,
            &binary,
            &mut program,
            &["record"],
            &nothing,
        )?);
    }
    let (live, recorded) = median(&live)
        .zip(median(&recorded))
        .context("no call was measured")?;
    let figure = |what: &str, measured: String, goal| Figure {
        what: what.to_owned(),
        measured,
        goal,
    };
    Ok(vec![
        figure(
            "a traced call, live as text to /dev/null: CPU time of the program",
            format!("{:.2} us", live / 1000.0),
            "",
        ),
        figure(
            "a traced call, recorded to /dev/null: CPU time of the program",
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

/// Nanoseconds on a CPU per call: wall time would tell of what else runs on the machine.
fn traced(
    tracer: &Path,
    binary: &Path,
    program: &mut LineProgram,
    command: &[&str],
    output: &[&str],
) -> Result<f64> {
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
    let before_ns = program.cpu_ns()?;
    batches(program, CALLS)?;
    let taken_ns = program.cpu_ns()? - before_ns;
    let printed = tracing.finish()?;
    let calls = BATCHES * (CALLS + 1);
    let expected = format!("trees {BATCHES}, calls {calls}, lost entries 0, lost exits 0");
    if !printed.stderr.contains(&expected) {
        bail!(
            "not every call was traced, so the figures would flatter; the tracer said:\n{}",
            printed.stderr
        );
    }
    Ok(taken_ns / calls as f64)
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
