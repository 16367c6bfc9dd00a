//! `cargo xtask golden-recordings`: makes the recordings that tests replay without root.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::example::{Example, ExampleServer};
use crate::tracer::Tracing;
use crate::{go, http, process, workspace};

/// Release of the `go` command that is traced.
const GO_RELEASE: &str = "go1.26.8";

/// All end by themselves.
const LIMIT: [&str; 2] = ["--duration", "60s"];

/// Runs `cargo xtask golden-recordings`.
pub fn run() -> Result<()> {
    process::prepare_sudo()?;
    let tracer = workspace::build_tracer()?;
    let folder = workspace::target_dir()?.join("recordings");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    example(&tracer, &folder)?;
    go_list(&tracer, &folder)?;
    panics(&tracer, &folder)
}

/// Requests to the example server: some slow, one that is not answered, several at once.
fn example(tracer: &Path, folder: &Path) -> Result<()> {
    let example = Example::build()?;
    let server = ExampleServer::start(&example)?;
    let options = ["-u", "net/http*", "-u", "*/internal/*", "--count", "14"];
    let raw = folder.join("example.raw");
    let mut tracing = record(
        tracer,
        &raw,
        &options,
        example.binary(),
        &["*handleBar", "*handleSend"],
    )?;
    let address = server.address();
    let bars: Vec<_> = (0..3)
        .map(|_| std::thread::spawn(move || http::get(address, "/bar").map(drop)))
        .collect();
    for number in 0..11 {
        http::get(address, &format!("/send?message-{number}"))?;
    }
    for bar in bars {
        if bar.join().map_or(true, |outcome| outcome.is_err()) {
            bail!("a request to /bar failed");
        }
    }
    tracing.finish()?;
    keep(&raw, "example.rec")
}

/// The `go` command, asked what a package needs.
fn go_list(tracer: &Path, folder: &Path) -> Result<()> {
    go::ensure()?;
    let root = go::release_root(GO_RELEASE)?;
    // A copy: other builds that run on this machine are not to be traced.
    let binary = folder.join("go");
    fs::copy(root.join("bin/go"), &binary)
        .with_context(|| format!("cannot copy the go command of {}", root.display()))?;
    let options = [
        "-u",
        "cmd/go/internal/load.*",
        "-u",
        "cmd/go/internal/modload.*",
        "-u",
        "cmd/go/internal/imports.*",
        "--count",
        "1",
    ];
    let raw = folder.join("go-list.raw");
    let mut tracing = record(
        tracer,
        &raw,
        &options,
        &binary,
        &["*load.PackagesAndErrors"],
    )?;
    process::Run::new(&binary)
        .args(["list", "-deps", "net/url"])
        .env("GOROOT", &root)
        .env("GOTOOLCHAIN", "local")
        .current_dir("/")
        .read()?;
    tracing.finish()?;
    keep(&raw, "go-list.rec")
}

/// A program that panics in several ways, and exits while calls are open.
fn panics(tracer: &Path, folder: &Path) -> Result<()> {
    go::ensure()?;
    let source = workspace::root()?.join("gofuncgraph/tests/programs/panics");
    let binary = folder.join("panics");
    go::at_release(GO_RELEASE)?
        .args(["build", "-trimpath", "-o"])
        .arg(&binary)
        .current_dir(source)
        .run()?;
    let raw = folder.join("panics.raw");
    let targets = [
        "main.recovering",
        "main.panicInDeferred",
        "main.startGoroutine",
        "main.holder",
    ];
    let options = ["-u", "main.*", "--count", "6"];
    let mut tracing = record(tracer, &raw, &options, &binary, &targets)?;
    tell(&binary, &[], "exit")?;
    let cases = ["plain", "leaf", "library", "nested", "deferred", "goexit"];
    tell(&binary, &cases, "return")?;
    tracing.finish()?;
    keep(&raw, "panics.rec")
}

/// Runs the program, which answers each of `cases` and ends when it is told the last.
fn tell(binary: &Path, cases: &[&str], last: &str) -> Result<()> {
    let mut program = Command::new(binary)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", binary.display()))?;
    let (Some(mut input), Some(output)) = (program.stdin.take(), program.stdout.take()) else {
        bail!("its input and output are piped");
    };
    let mut answers = BufReader::new(output).lines();
    let mut expect = |wanted: &str| match answers.next() {
        Some(Ok(answer)) if answer.starts_with(wanted) => Ok(()),
        answer => bail!("it answered {answer:?} instead of {wanted}"),
    };
    expect("ready")?;
    for case in cases {
        writeln!(input, "{case}")?;
        expect("done")?;
    }
    writeln!(input, "{last}")?;
    program.wait()?;
    Ok(())
}

fn record(
    tracer: &Path,
    recording: &Path,
    options: &[&str],
    binary: &Path,
    targets: &[&str],
) -> Result<Tracing> {
    let words = ["record", "-o"].map(OsStr::new).into_iter();
    let arguments: Vec<&OsStr> = words
        .chain([recording.as_os_str()])
        .chain(LIMIT.iter().chain(options).map(OsStr::new))
        .chain([binary.as_os_str()])
        .chain(targets.iter().map(OsStr::new))
        .collect();
    println!("$ {}", process::as_root(tracer).args(&arguments).line());
    Tracing::start(tracer, &arguments)
}

/// Puts the recording among the golden ones, without what it says of this machine.
fn keep(raw: &Path, name: &str) -> Result<()> {
    let kept: PathBuf = workspace::root()?
        .join("gofuncgraph/tests/golden/recordings")
        .join(name);
    let input = File::open(raw).with_context(|| format!("cannot open {}", raw.display()))?;
    let output =
        File::create(&kept).with_context(|| format!("cannot create {}", kept.display()))?;
    let mut command = workspace::cargo()?
        .args(["run", "--release", "--quiet", "--package", "gofuncgraph"])
        .args(["--example", "anonymous_recording"])
        .into_command();
    let status = command
        .stdin(input)
        .stdout(output)
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the recording {} could not be copied", raw.display());
    }
    println!("{}: {} bytes", kept.display(), fs::metadata(&kept)?.len());
    Ok(())
}
