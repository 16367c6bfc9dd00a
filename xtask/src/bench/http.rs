//! What probes cost an HTTP server under load.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::load::{self, Load};
use super::report::{Case, Unit};
use super::rival::{self, Rival, Summary, Tools};
use super::{Plan, attach, words_of};
use crate::example;
use crate::process::Run;

/// Answers a second.
pub const THROUGHPUT: &str = "throughput";
const P99: &str = "p99";

const CONNECTIONS: usize = 8;
const PATH: &str = "/orders/4711";
pub(super) const HANDLER: &str = "main.handle";

/// What the rows of `net/http` begin with.
pub const MANY: &str = "2,000 probes";

/// Some of the server's functions, and the round number of probes that they take.
#[derive(Clone, Copy)]
struct Selection {
    /// A round number; the true one is noted in the rows.
    probes: &'static str,
    /// With commas in between.
    globs: &'static str,
}

const SELECTIONS: [Selection; 3] = [
    Selection {
        probes: "100 probes",
        globs: attach::FEW_GLOBS,
    },
    Selection {
        probes: MANY,
        globs: attach::MANY_GLOBS,
    },
    Selection {
        probes: "20,000 probes",
        globs: "*",
    },
];

/// The row of the server with so many probes.
pub fn subject(probes: &str, rival: Rival) -> String {
    match rival {
        Rival::Untraced => "no tracing".to_owned(),
        _ => format!("{probes}, {}", rival.name()),
    }
}

/// Requests a second and their p99.
pub fn measure(binary: &Path, plan: &Plan, tools: &Tools) -> Case {
    let seconds = plan.load_duration().as_secs_f64();
    let promotion = plan.promotion_duration().as_secs_f64();
    let mut case = Case::new(
        "http",
        "An HTTP server under load",
        format!(
            "xtask/programs/loadserver answers requests with a little JSON; {CONNECTIONS} keep-alive \
             connections ask again as soon as they are answered, from a program on the same \
             machine, for {seconds} s after as long to warm up, but {promotion} s with \
             `--promote auto`, most of whose promotions happen in that time. The target is the \
             handler (`{HANDLER}`), which most of the attached functions are called outside of. \
             About 100 probes are `{}`, about 2,000 are `{}`, about 20,000 are `{}`; the true \
             number is noted. p99 is of the requests of one round. The server's memory is its \
             resident set at the end of a round.",
            SELECTIONS[0].globs, SELECTIONS[1].globs, SELECTIONS[2].globs
        ),
    );
    let selections = if plan.quick {
        &SELECTIONS[..2]
    } else {
        &SELECTIONS
    };
    let mut configurations = vec![(subject("", Rival::Untraced), None)];
    promise(&mut case, &configurations[0].0, None);
    for selection in selections {
        let reference = subject(selection.probes, Rival::Returns);
        for rival in [Rival::Returns, Rival::Promoting] {
            let name = subject(selection.probes, rival);
            let compared_with = (rival != Rival::Returns).then_some(reference.as_str());
            promise(&mut case, &name, compared_with);
            configurations.push((name, Some((*selection, rival))));
        }
    }
    for round in 1..=plan.rounds {
        plan.progress(case.name, round);
        for (name, configuration) in &configurations {
            if case.is_hopeless(name) {
                continue;
            }
            match one_round(binary, plan, tools, *configuration) {
                Ok(measured) => {
                    case.push(name, THROUGHPUT, measured.load.requests_per_second);
                    case.push(name, P99, measured.load.p99_s);
                    case.push(name, MEMORY, measured.resident_bytes as f64);
                    for note in measured.notes {
                        case.note(name, &note);
                    }
                }
                Err(error) => case.fail(name, &words_of(&error)),
            }
        }
    }
    case.finish()
}

const MEMORY: &str = "memory of the server";

fn promise(case: &mut Case, name: &str, compared_with: Option<&str>) {
    case.promise(name, THROUGHPUT, Unit::PerSecond, compared_with);
    case.promise(name, P99, Unit::Seconds, compared_with);
    case.promise(name, MEMORY, Unit::Bytes, None);
}

struct Measured {
    load: Load,
    resident_bytes: u64,
    notes: Vec<String>,
}

fn one_round(
    binary: &Path,
    plan: &Plan,
    tools: &Tools,
    configuration: Option<(Selection, Rival)>,
) -> Result<Measured> {
    let server = Server::start(binary)?;
    let child = match configuration {
        None => None,
        Some((selection, rival)) => {
            let options = rival
                .options()
                .context("only this project's tracer is measured")?;
            let words = [options, &["-u", selection.globs]].concat();
            Some(tools.trace(&words, binary, HANDLER)?)
        }
    };
    let duration = plan.load_duration();
    let warm_up = match configuration {
        Some((_, Rival::Promoting)) => plan.promotion_duration(),
        _ => duration,
    };
    load::run(server.address, PATH, CONNECTIONS, warm_up)?;
    let load = load::run(server.address, PATH, CONNECTIONS, duration)?;
    let resident_bytes = super::system::resident_bytes(server.child.id())?;
    let mut notes = Vec::new();
    if let Some(child) = child {
        let ended = rival::end(child)?;
        let summary = Summary::of(&ended.lines)?;
        let probes = attach::timings(&ended.lines)?.probes;
        notes.push(format!("{} probes", super::report::grouped(probes)));
        if summary.lost != 0 {
            notes.push("events were lost in some rounds".to_owned());
        }
    }
    Ok(Measured {
        load,
        resident_bytes,
        notes,
    })
}

/// The running server; dropping it ends it.
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts it and waits until it listens.
    pub fn start(binary: &Path) -> Result<Self> {
        let mut command = Run::new(binary).into_command();
        // It ends when its standard input does.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        example::end_with_parent(&mut command);
        let child = command.spawn().context("cannot start the server")?;
        let mut server = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let stdout = server
            .child
            .stdout
            .take()
            .context("the server has no pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim_end().parse();
        server.address = address.with_context(|| format!("the server printed {line:?}"))?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Plan {
    /// The first promotions come after a fraction of a second, the later ones seconds apart.
    fn promotion_duration(&self) -> Duration {
        Duration::from_millis(if self.quick { 400 } else { 7000 })
    }

    fn load_duration(&self) -> Duration {
        Duration::from_millis(if self.quick { 400 } else { 2500 })
    }
}
