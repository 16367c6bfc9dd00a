//! How long probes take to be put in place and taken away, and how long a trace takes to start.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::child::{Child, Ended, Stdout};
use super::http::{HANDLER, Server};
use super::report::{Case, Unit, grouped};
use super::rival::{self, PATIENCE, Rival, Tools};
use super::{Plan, words_of};
use crate::figures::Timings;
use crate::go;
use crate::process::{Run, as_root};

/// The sum of both.
pub const BOTH: &str = "attach and detach";
const ATTACH: &str = "attach";
const DETACH: &str = "detach";
/// From the start of the tracer's process.
pub const READY: &str = "ready";
const TRACER_MEMORY: &str = "memory of the tracer";

/// The row of 2,000 probes.
pub const MANY: &str = "2,000 probes";
/// The row of 50,000 probes.
pub const VERY_MANY: &str = "50,000 probes";
/// The row of the 80 MB server.
pub const LARGE: &str = "`-u '*'` on coredns, 80 MB";

/// About 100 probes in xtask/programs/loadserver.
pub const FEW_GLOBS: &str = "net/http.(*conn).*,net/http.Header.*,net/http.(*response).W*";
/// About 2,000 probes there.
pub const MANY_GLOBS: &str = "net/http.*";
const VERY_MANY_GLOBS: &str = "k8s.io/client-go/*,github.com/quic-go/*,github.com/miekg/*";

const RELEASE: &str = "go1.27.3";
const COREDNS: &str = "github.com/coredns/coredns@v1.15.0";
/// It listens on a free port of the loopback, and says so.
const COREFILE: &str = ".:0 {\n  bind 127.0.0.1\n  whoami\n}\n";
const COREDNS_LISTENS: &str = ".:0 on ";

/// A program that runs, and which of its functions are attached.
struct Subject<'a> {
    name: &'static str,
    binary: Option<&'a Path>,
    globs: &'static str,
    target: &'static str,
}

/// A binary of about 80 MB, built from the Go module proxy.
pub fn large_server() -> Result<PathBuf> {
    // Without symbols and DWARF, which the tracer does not read, it has that size.
    rival::built("coredns", COREDNS, &["-ldflags=-s -w"])
}

/// Attaching and detaching.
pub fn attach_and_detach(loadserver: &Path, plan: &Plan, tools: &Tools) -> Case {
    let mut case = Case::new(
        "attach",
        "Putting probes in place and taking them away",
        format!(
            "What `-v` says that attaching and detaching took, while the program runs: for about \
             100 and 2,000 probes xtask/programs/loadserver (`{FEW_GLOBS}` and `{MANY_GLOBS}`), \
             for about 50,000 coredns ({COREDNS}, `{VERY_MANY_GLOBS}`). Parsing the binary and \
             loading the eBPF programs is not in it."
        ),
    );
    let coredns = (!plan.quick).then(large_server);
    let small = |name, globs| Subject {
        name,
        binary: Some(loadserver),
        globs,
        target: HANDLER,
    };
    let mut subjects = vec![small("100 probes", FEW_GLOBS), small(MANY, MANY_GLOBS)];
    let coredns_path = coredns.as_ref().and_then(|built| built.as_ref().ok());
    if coredns.is_some() {
        subjects.push(Subject {
            name: VERY_MANY,
            binary: coredns_path.map(PathBuf::as_path),
            globs: VERY_MANY_GLOBS,
            target: "",
        });
    }
    for subject in &subjects {
        for metric in [ATTACH, DETACH, BOTH] {
            case.promise(subject.name, metric, Unit::Seconds, None);
        }
    }
    if let Some(Err(error)) = &coredns {
        case.give_up(VERY_MANY, &words_of(error));
    }
    run(&mut case, plan, tools, &subjects);
    case.finish()
}

/// Starting up.
pub fn start_up(plan: &Plan, tools: &Tools) -> Case {
    let mut case = Case::new(
        "startup",
        "Starting a trace of everything",
        format!(
            "Wall time from the start of the tracer's process until it says `tracing started`, with \
             `-u '*'`: on the `go` command of {RELEASE}, which does not run, and on coredns \
             (`go install -trimpath -ldflags='-s -w' {COREDNS}`), which runs and listens on the \
             loopback. The tracer's memory is the most that it has by its end."
        ),
    );
    const GO: &str = "`-u '*'` on the `go` command";
    let go = go::release_root(RELEASE).map(|root| root.join("bin/go"));
    let coredns = large_server();
    let path = |built: &'_ Result<PathBuf>| built.as_ref().ok().cloned();
    let (go_path, coredns_path) = (path(&go), path(&coredns));
    let subject = |name, binary| Subject {
        name,
        binary,
        globs: "*",
        target: "",
    };
    let subjects = [
        subject(GO, go_path.as_deref()),
        subject(LARGE, coredns_path.as_deref()),
    ];
    for subject in &subjects {
        for metric in [READY, BOTH] {
            case.promise(subject.name, metric, Unit::Seconds, None);
        }
        case.promise(subject.name, TRACER_MEMORY, Unit::Bytes, None);
    }
    for (name, built) in [(GO, &go), (LARGE, &coredns)] {
        if let Err(error) = built {
            case.give_up(name, &words_of(error));
        }
    }
    run(&mut case, plan, tools, &subjects);
    case.finish()
}

fn run(case: &mut Case, plan: &Plan, tools: &Tools, subjects: &[Subject<'_>]) {
    for round in 1..=plan.rounds {
        plan.progress(case.name, round);
        for subject in subjects {
            let Some(binary) = subject.binary else {
                continue;
            };
            if case.is_hopeless(subject.name) {
                continue;
            }
            match one_round(subject, binary, tools) {
                Ok((timings, ready, ended)) => {
                    let (attach, detach) = (timings.attach_ms / 1e3, timings.detach_ms / 1e3);
                    case.push(subject.name, ATTACH, attach);
                    case.push(subject.name, DETACH, detach);
                    case.push(subject.name, BOTH, attach + detach);
                    case.push(subject.name, READY, ready.as_secs_f64());
                    let memory = ended.peak_memory_bytes as f64;
                    case.push(subject.name, TRACER_MEMORY, memory);
                    let note = format!("{} probes", grouped(timings.probes));
                    case.note(subject.name, &note);
                }
                Err(error) => case.fail(subject.name, &words_of(&error)),
            }
        }
    }
}

fn one_round(
    subject: &Subject<'_>,
    binary: &Path,
    tools: &Tools,
) -> Result<(Timings, Duration, Ended)> {
    let _running = Running::start(binary)?;
    let run = as_root(&tools.tracer)
        .args(["-v", "--duration", "100ms", "-f", "summary"])
        .args(Rival::Promoting.options().unwrap_or_default())
        .args(["-u", subject.globs])
        .arg(binary);
    let run = match subject.target {
        "" => run,
        target => run.arg(target),
    };
    let child = Child::start(run, Stdout::Discarded)?;
    let ready = rival::ready_after(&child)?;
    let ended = child.finish(PATIENCE)?;
    Ok((timings(&ended.lines)?, ready, ended))
}

/// What the tracer said with `-v`.
pub(super) fn timings(lines: &[String]) -> Result<Timings> {
    Timings::read(&lines.join("\n")).context("the tracer did not say how long attaching took")
}

/// Whatever has to run while probes are attached.
enum Running {
    Nothing,
    Server {
        _server: Server,
    },
    Coredns {
        _server: Child,
        _folder: tempfile::TempDir,
    },
}

impl Running {
    fn start(binary: &Path) -> Result<Self> {
        match binary.file_name().and_then(|name| name.to_str()) {
            Some("coredns") => {
                let folder = tempfile::tempdir().context("cannot create a folder")?;
                let file = folder.path().join("Corefile");
                fs::write(&file, COREFILE)
                    .with_context(|| format!("cannot write {}", file.display()))?;
                let server = Child::start(Run::new(binary).arg("-conf").arg(&file), Stdout::Read)?;
                server
                    .wait_for(|line| line.starts_with(COREDNS_LISTENS), PATIENCE)?
                    .context("coredns does not listen")?;
                Ok(Self::Coredns {
                    _server: server,
                    _folder: folder,
                })
            }
            Some("loadserver") => Ok(Self::Server {
                _server: Server::start(binary)?,
            }),
            _ => Ok(Self::Nothing),
        }
    }
}
