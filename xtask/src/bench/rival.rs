//! Who is measured: this project's tracer in its modes, other tracers, and nobody.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::child::{Child, Ended, Stdout};
use crate::ebpf::install;
use crate::line_program::LineProgram;
use crate::process::{Run, as_root};
use crate::{go, workspace};

/// The release whose `trace` is measured.
const DELVE: &str = "github.com/go-delve/delve/cmd/dlv@v1.27.2";

/// A tracer is ready, and ends when it is asked to, within this.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Should a run get stuck below sudo, the tracer ends by itself.
pub const LONGEST_TRACE: &str = "600s";
/// What tracers say when calls are seen from now on.
const STARTED: &str = "tracing started";
/// Said with `-v` when functions were promoted.
const PROMOTED: &str = "promoted by now: ";

/// Somebody who traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// Nobody does.
    Untraced,
    /// This project's tracer; hot functions are promoted.
    Promoting,
    /// This project's tracer with probes on RETs only.
    Returns,
    /// This project's tracer with probes where others place them.
    Classic,
    /// bpftrace.
    Bpftrace,
    /// `dlv trace`.
    Delve,
    /// go-ftrace.
    GoFtrace,
}

impl Rival {
    /// Everybody, in the order in which they are measured.
    pub const ALL: [Self; 7] = [
        Self::Untraced,
        Self::Promoting,
        Self::Returns,
        Self::Classic,
        Self::Bpftrace,
        Self::Delve,
        Self::GoFtrace,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Untraced => "no tracing",
            Self::Promoting => "gofuncgraph `--promote auto`",
            Self::Returns => "gofuncgraph `--promote off`",
            Self::Classic => "gofuncgraph `--promote off --placement classic`",
            Self::Bpftrace => "bpftrace",
            Self::Delve => "`dlv trace`",
            Self::GoFtrace => "go-ftrace",
        }
    }

    /// It needs nothing but this repository.
    pub fn is_ours(self) -> bool {
        self.options().is_some() || self == Self::Untraced
    }

    /// Of this project's tracer.
    pub fn options(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Promoting => Some(&["--promote", "auto"]),
            Self::Returns => Some(&["--promote", "off"]),
            Self::Classic => Some(&["--promote", "off", "--placement", "classic"]),
            _ => None,
        }
    }
}

/// What is to be traced.
pub struct Job<'a> {
    /// The program.
    pub binary: &'a Path,
    /// Where a tree starts.
    pub target: &'a str,
    /// What else is attached: a glob.
    pub shown: &'a str,
    /// What the program calls for each unit of its work, directly or not.
    pub caller: &'a str,
}

/// Where the tracers are, or why one is not.
pub struct Tools {
    /// This project's.
    pub tracer: PathBuf,
    bpftrace: Result<Bpftrace>,
    delve: Result<PathBuf>,
    go_ftrace: Result<PathBuf>,
}

impl Tools {
    /// This project's tracer only.
    pub fn ours(tracer: PathBuf) -> Self {
        const WHY: &str = "it is not part of this run";
        Self {
            tracer,
            bpftrace: Err(anyhow!(WHY)),
            delve: Err(anyhow!(WHY)),
            go_ftrace: Err(anyhow!(WHY)),
        }
    }

    /// Installs what is not here yet; what cannot be is missing in the tables only.
    pub fn install(tracer: PathBuf) -> Self {
        Self {
            tracer,
            bpftrace: bpftrace(),
            delve: built("dlv", DELVE, &[]),
            go_ftrace: workspace::find_in_path("go-ftrace")
                .context("there is no `go-ftrace` in PATH"),
        }
    }

    /// Lets the rival trace, and returns when it sees every call. `None` if nobody traces.
    pub fn attach(
        &self,
        rival: Rival,
        job: &Job<'_>,
        program: &mut LineProgram,
    ) -> Result<Option<Child>> {
        if let Some(options) = rival.options() {
            let words = [options, &["-u", job.shown]].concat();
            return self.trace(&words, job.binary, job.target).map(Some);
        }
        match rival {
            Rival::Untraced => Ok(None),
            Rival::Bpftrace => {
                let bpftrace = tool(&self.bpftrace)?;
                let script = self.script(job, bpftrace.places_on_instructions)?;
                let run = as_root(&bpftrace.path).args(["-e", &script]);
                let child = Child::start(run, Stdout::Read)?;
                // Whatever the order in which it attaches: both are in place when all are.
                for map in ["@first: ", "@last: "] {
                    let counted = |line: &str| line.strip_prefix(map).is_some_and(|it| it != "0");
                    prime(&child, program, counted)?;
                }
                Ok(Some(child))
            }
            Rival::Delve => {
                let pid = program.pid().to_string();
                let run = as_root(tool(&self.delve)?).args(["trace", "--pid", &pid, job.shown]);
                let child = Child::start(run, Stdout::Read)?;
                prime(&child, program, |line| line.contains(job.shown))?;
                Ok(Some(child))
            }
            Rival::GoFtrace => {
                let run = as_root(tool(&self.go_ftrace)?)
                    .args(["-u", job.shown])
                    .arg(job.binary)
                    .arg(job.target);
                let child = Child::start(run, Stdout::Read)?;
                prime(&child, program, |line| line.contains(job.shown))?;
                Ok(Some(child))
            }
            Rival::Promoting | Rival::Returns | Rival::Classic => bail!("it has options"),
        }
    }

    /// Starts this project's tracer and waits until calls are seen. The first of the options may
    /// be a command.
    pub fn trace(&self, options: &[&str], binary: &Path, target: &str) -> Result<Child> {
        let run = as_root(&self.tracer)
            .args(options)
            .args(["-v", "--duration", LONGEST_TRACE])
            .arg(binary)
            .arg(target);
        let child = Child::start(run, Stdout::Discarded)?;
        ready_after(&child)?;
        Ok(child)
    }

    /// What has to be known of how the rival traces in this run.
    pub fn note(&self, rival: Rival) -> Option<&'static str> {
        match (rival, &self.bpftrace) {
            (Rival::Bpftrace, Ok(bpftrace)) if !bpftrace.places_on_instructions => {
                Some("entries only: this bpftrace is built without what probes on RETs need")
            }
            _ => None,
        }
    }

    /// Counts hits of first instructions and of RETs: of the caller first and last, for [`prime`],
    /// and in between of the others, if the target is not the caller only inside of the target.
    fn script(&self, job: &Job<'_>, has_exits: bool) -> Result<String> {
        let listing = Run::new(&self.tracer)
            .args(["--dry-run", "--placement", "classic"])
            .args(["-u", job.shown, "-u", job.caller])
            .arg(job.binary)
            .arg(job.target)
            .read()?;
        let binary = job.binary.display().to_string();
        let mut functions = Function::of_listing(&listing);
        if !has_exits {
            functions
                .iter_mut()
                .for_each(|function| function.exits.clear());
        }
        script(&binary, job.target, job.caller, &functions)
    }
}

fn script(binary: &str, target: &str, caller: &str, functions: &[Function<'_>]) -> Result<String> {
    let mut lines = Vec::new();
    let mut last = Vec::new();
    for Function { name, exits } in functions {
        let at = format!("uprobe:{binary}:\"{name}\"");
        let exits = exits.iter().map(|exit| format!("{at}+{exit}"));
        if *name == caller {
            lines.insert(0, format!("{at} {{ @first = count(); }}"));
            last.extend(exits.map(|exit| format!("{exit} {{ @last = count(); }}")));
            if last.is_empty() {
                last.push(format!("{at} {{ @last = count(); }}"));
            }
        } else if *name == target {
            lines.push(format!("{at} {{ @inside[tid] = 1; }}"));
            lines.extend(exits.map(|exit| format!("{exit} {{ @inside[tid] = 0; }}")));
        } else {
            let condition = if target == caller {
                ""
            } else {
                "/@inside[tid]/ "
            };
            lines.push(format!("{at} {condition}{{ @entries = count(); }}"));
            lines.extend(exits.map(|exit| format!("{exit} {condition}{{ @returns = count(); }}")));
        }
    }
    if last.is_empty() {
        bail!("the tracer's plan has no function {caller}");
    }
    lines.extend(last);
    lines.push("interval:ms:50 { print(@first); print(@last); }".to_owned());
    Ok(lines.join("\n"))
}

/// How long after its start this project's tracer said that calls are seen.
pub fn ready_after(child: &Child) -> Result<Duration> {
    let ready = child.wait_for(|line| line.starts_with(STARTED), PATIENCE)?;
    ready.with_context(|| format!("the tracer was not ready within {} s", PATIENCE.as_secs()))
}

/// Whether this project's tracer has promoted functions by now.
pub fn has_promoted(child: &Child, at_most: Duration) -> Result<bool> {
    let promoted = child.wait_for(|line| line.starts_with(PROMOTED), at_most)?;
    Ok(promoted.is_some())
}

/// Ends a tracer as Ctrl-C does, and returns what it said.
pub fn end(child: Child) -> Result<Ended> {
    child.interrupt()?;
    child.finish(PATIENCE)
}

/// What this project's tracer sums up at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Calls that were shown.
    pub calls: u64,
    /// Events that did not reach the tracer.
    pub lost: u64,
}

impl Summary {
    /// Reads the line that begins with `summary: `.
    pub fn of(lines: &[String]) -> Result<Self> {
        let mut said = lines.iter().rev();
        let line = said.find_map(|line| line.strip_prefix("summary: "));
        let line = line.context("the tracer ended without a summary")?;
        let number = |what: &str| -> Result<u64> {
            let of = |item: &str| item.strip_prefix(what)?.trim().parse().ok();
            let found = line.split(", ").find_map(of);
            found.with_context(|| format!("no {what:?} in the tracer's summary {line:?}"))
        };
        Ok(Self {
            calls: number("calls ")?,
            lost: number("lost entries ")? + number("lost exits ")?,
        })
    }
}

/// Lets the program make one call at a time until the tracer shows that it sees them.
fn prime(child: &Child, program: &mut LineProgram, seen: impl Fn(&str) -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        program.nanoseconds("1", PATIENCE)?;
        let seen = child.wait_for(&seen, Duration::from_millis(100))?;
        if seen.is_some() {
            return Ok(());
        }
    }
    bail!("it showed no call within {} s", PATIENCE.as_secs())
}

/// A line of `--dry-run`.
#[derive(Debug, PartialEq)]
struct Function<'a> {
    name: &'a str,
    exits: Vec<u64>,
}

impl<'a> Function<'a> {
    fn of_listing(listing: &'a str) -> Vec<Self> {
        listing.lines().filter_map(Self::of_line).collect()
    }

    fn of_line(line: &'a str) -> Option<Self> {
        let (name, sites) = line.strip_prefix("function ")?.split_once(" // ")?;
        let exits = sites
            .split("; ")
            .find_map(|part| part.strip_prefix("exits "));
        let exits = exits.unwrap_or_default().split_whitespace();
        let offset = |word: &str| word.strip_prefix('+')?.parse().ok();
        Some(Self {
            name,
            exits: exits.filter_map(offset).collect(),
        })
    }
}

fn tool<T>(found: &Result<T>) -> Result<&T> {
    match found {
        Ok(tool) => Ok(tool),
        Err(error) => bail!("{error:#}"),
    }
}

struct Bpftrace {
    path: PathBuf,
    /// Not only on first instructions. It has to be built with a disassembler for that, as Debian's
    /// is not, because it checks that an offset is an instruction's.
    places_on_instructions: bool,
}

fn bpftrace() -> Result<Bpftrace> {
    let find = || workspace::find_in_path("bpftrace");
    if find().is_none() {
        install::update_and_install(&["bpftrace"])?;
    }
    let path = find().context("the package was installed, but there is no `bpftrace` in PATH")?;
    // Written to either stream, as the release has it.
    let told = Child::start(as_root(&path).arg("--info"), Stdout::Read)?.finish(PATIENCE)?;
    Ok(Bpftrace {
        path,
        places_on_instructions: told.lines.iter().any(|line| line.trim() == "bfd: yes"),
    })
}

/// Builds a command from the Go module proxy into the target folder, unless it is there already.
pub fn built(name: &str, package: &str, options: &[&str]) -> Result<PathBuf> {
    // The release is part of the path: another one is built anew.
    let (_, release) = package.rsplit_once('@').context("it has no release")?;
    let folder = workspace::target_dir()?.join("bench").join(release);
    let binary = folder.join(name);
    if !binary.is_file() {
        go::go()
            .env("GOBIN", &folder)
            .current_dir("/")
            .args(["install", "-trimpath"])
            .args(options)
            .arg(package)
            .hint(
                "it is fetched from the Go module proxy: is GOPROXY (`go env GOPROXY`) reachable?",
            )
            .run()?;
    }
    Ok(binary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_are_read_from_a_plan() {
        let listing = "function a.(*T).M // entry +0 single-stepped at 0x1, file offset 0x1; \
                       exits +16 +32; starts a tree\n\
                       function b // entry +6 emulated at 0x2, file offset 0x2\n\
                       watch runtime.goexit1 // emulated at 0x3, file offset 0x3\n";
        let function = |name, exits: &[u64]| Function {
            name,
            exits: exits.to_vec(),
        };
        assert_eq!(
            Function::of_listing(listing),
            [function("a.(*T).M", &[16, 32]), function("b", &[])]
        );
    }

    #[test]
    fn a_script_knows_when_all_of_it_is_attached() {
        let listing = "function main.leaf // entry; exits +9\n\
                       function main.root // entry; exits +5; starts a tree";
        let functions = Function::of_listing(listing);
        let text = script("/b", "main.root", "main.root", &functions).unwrap();
        let expected = "uprobe:/b:\"main.root\" { @first = count(); }\n\
                        uprobe:/b:\"main.leaf\" { @entries = count(); }\n\
                        uprobe:/b:\"main.leaf\"+9 { @returns = count(); }\n\
                        uprobe:/b:\"main.root\"+5 { @last = count(); }\n\
                        interval:ms:50 { print(@first); print(@last); }";
        assert_eq!(text, expected);
        let text = script("/b", "main.never", "main.root", &functions).unwrap();
        assert!(text.contains("+9 /@inside[tid]/ { @returns"), "{text}");
        let entries = Function::of_listing("function main.root // entry; starts a tree");
        let text = script("/b", "main.root", "main.root", &entries).unwrap();
        let last = "\nuprobe:/b:\"main.root\" { @last = count(); }\n";
        assert!(text.contains(last), "{text}");
        assert!(script("/b", "main.root", "main.gone", &functions).is_err());
    }

    #[test]
    fn a_summary_counts_what_was_lost_of_both_kinds() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let text = "tracing started: 1\nsummary: trees 4, calls 80004, lost entries 2, lost exits 3, unwound 1\nnote: x";
        let summary = Summary::of(&lines(text)).unwrap();
        assert_eq!(
            summary,
            Summary {
                calls: 80_004,
                lost: 5
            }
        );
        assert!(Summary::of(&lines("summary: trees 4")).is_err());
        assert!(Summary::of(&[]).is_err());
    }
}
