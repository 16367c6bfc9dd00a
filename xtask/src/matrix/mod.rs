//! `cargo xtask matrix`: every Go release to be had, linked in every way, traced and compared with
//! what the program says it did. The result stands in docs/SUPPORT.md.

mod build;
mod modes;
mod program;
pub(crate) mod support;
mod truth;

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::bench::child::{Child, Stdout};
use crate::ebpf::install;
use crate::process::{self, Run, as_root};
use crate::workspace;
use modes::{MODES, Mode, Shape};
use program::Program;

/// One release of each minor version, the oldest first: the last one that the module proxy has,
/// or had when this was written.
pub const RELEASES: [&str; 11] = [
    "go1.17.13",
    "go1.18.10",
    "go1.19.13",
    "go1.20.14",
    "go1.21.13",
    "go1.22.12",
    "go1.23.12",
    "go1.24.9",
    "go1.25.5",
    "go1.26.8",
    "go1.27.3",
];

/// What the tests run: the oldest one, the first whose entry probes are cheap, the last one before
/// another layout of `runtime.m`, and the newest one.
pub const CORE_RELEASES: [&str; 4] = ["go1.17.13", "go1.21.13", "go1.24.9", "go1.27.3"];

/// What is followed: every function of the program but `main`.
const PATTERNS: &str = "*/matrix/work.*,*/matrix/foreign.*";
const PATTERNS_WITHOUT_C: &str = "*/matrix/work.*";

/// Minor version of the first release whose plugins have build information.
const TELLS_THAT_IT_IS_A_PLUGIN: u32 = 21;

/// What the tracer needs at most to begin, or to end.
const TRACER_AT_MOST: Duration = Duration::from_secs(120);

/// Arguments of `cargo xtask matrix`.
#[derive(clap::Args)]
pub struct Options {
    /// Only what the tests run; nothing is written
    #[arg(long)]
    core: bool,
    /// Only this release, as in go1.24.9; repeatable; nothing is written
    #[arg(long, value_name = "RELEASE")]
    release: Vec<String>,
    /// Only this way of building, as in pie-lld; repeatable; nothing is written
    #[arg(long, value_name = "MODE")]
    mode: Vec<String>,
}

/// What became of one way of building with one release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    mode: &'static str,
    release: &'static str,
    result: Outcome,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// All calls, depths and the duration were right, with RET probes and with observers.
    Exact(String),
    /// The same but for how calls ended that a recovered panic ended.
    ExactButForPanics(String),
    /// The tracer refused the file, as it has to.
    Refused(String),
    /// The tracer showed something else than what happened, or refused what it should not.
    Wrong(String),
    /// The program does not run here, traced or not.
    DoesNotRun(String),
    /// The release cannot build it.
    NotBuilt(String),
}

impl Outcome {
    /// One word for tables.
    fn word(&self) -> &'static str {
        match self {
            Self::Exact(_) => "exact",
            Self::ExactButForPanics(_) => "exact, but",
            Self::Refused(_) => "refused",
            Self::Wrong(_) => "WRONG",
            Self::DoesNotRun(_) => "does not run",
            Self::NotBuilt(_) => "not built",
        }
    }

    /// The rest.
    fn remark(&self) -> String {
        match self {
            Self::Exact(text)
            | Self::ExactButForPanics(text)
            | Self::Refused(text)
            | Self::Wrong(text)
            | Self::DoesNotRun(text)
            | Self::NotBuilt(text) => text.clone(),
        }
    }
}

/// Runs `cargo xtask matrix`.
pub fn run(options: &Options) -> Result<()> {
    let tracer = workspace::build_tracer()?;
    let wanted_modes: Vec<&Mode> = MODES
        .iter()
        .filter(|mode| !options.core || mode.is_core)
        .filter(|mode| options.mode.is_empty() || options.mode.iter().any(|it| it == mode.name))
        .collect();
    let releases: Vec<&'static str> = RELEASES
        .into_iter()
        .filter(|release| !options.core || CORE_RELEASES.contains(release))
        .filter(|release| {
            options.release.is_empty() || options.release.iter().any(|it| it == release)
        })
        .collect();
    if wanted_modes.is_empty() || releases.is_empty() {
        let names: Vec<_> = MODES.iter().map(|mode| mode.name).collect();
        bail!("there is nothing to do: releases are {RELEASES:?}, modes are {names:?}");
    }
    install_what_is_missing(options.core)?;
    let rows = rows(&tracer, &wanted_modes, &releases)?;
    let is_whole = !options.core && options.release.is_empty() && options.mode.is_empty();
    if is_whole {
        support::write(&rows)?;
    }
    let wrong: Vec<_> = rows
        .iter()
        .filter(|row| matches!(row.result, Outcome::Wrong(_)))
        .collect();
    if !wrong.is_empty() {
        bail!("{} of {} are wrong, see above", wrong.len(), rows.len());
    }
    Ok(())
}

/// As [`run`] with `--core`; every row has to be right.
pub fn core(tracer: &Path) -> Result<()> {
    let modes: Vec<_> = MODES.iter().filter(|mode| mode.is_core).collect();
    install_what_is_missing(true)?;
    for row in rows(tracer, &modes, &CORE_RELEASES)? {
        if !matches!(row.result, Outcome::Exact(_)) {
            bail!("{} of {} is not exact, see above", row.mode, row.release);
        }
    }
    Ok(())
}

fn rows(tracer: &Path, modes: &[&Mode], releases: &[&'static str]) -> Result<Vec<Row>> {
    process::prepare_sudo()?;
    let mut rows = Vec::new();
    for mode in modes {
        for release in releases {
            if minor(release) < mode.first_minor {
                continue;
            }
            let result = outcome(tracer, mode, release);
            eprintln!(
                "{:18} {release:10} {:13} {}",
                mode.name,
                result.word(),
                result.remark()
            );
            rows.push(Row {
                mode: mode.name,
                release,
                result,
            });
        }
    }
    Ok(rows)
}

fn minor(release: &str) -> u32 {
    let mut numbers = release.trim_start_matches("go").split('.');
    numbers
        .nth(1)
        .and_then(|minor| minor.parse().ok())
        .unwrap_or_default()
}

/// What the ways of building need beside Go.
fn install_what_is_missing(is_core: bool) -> Result<()> {
    const TOOLS: [(&str, &str); 6] = [
        ("gcc", "gcc"),
        ("strip", "binutils"),
        ("python3", "python3"),
        ("ld.lld", "lld"),
        ("mold", "mold"),
        ("musl-gcc", "musl-tools"),
    ];
    let needed = if is_core { &TOOLS[..2] } else { &TOOLS };
    let missing: Vec<&str> = needed
        .iter()
        .filter(|(tool, _)| workspace::find_in_path(tool).is_none())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("not in PATH, so they are installed: {}", missing.join(", "));
    install::update_and_install(&missing)
}

fn outcome(tracer: &Path, mode: &Mode, release: &str) -> Outcome {
    let built = match build::build(mode, release) {
        Ok(built) => built,
        Err(error) => {
            // What the compiler or the linker says follows the command.
            let text = format!("{error:#}");
            let said = text
                .split_once('\n')
                .map_or(text.as_str(), |(_, said)| said);
            return Outcome::NotBuilt(in_a_line(said));
        }
    };
    if let Some((words, _)) = mode.refused_with.filter(|(_, from)| minor(release) < *from) {
        return refusal(tracer, &built.traced, words);
    }
    let mut program = match Program::start(built.run()) {
        Ok(program) => program,
        Err(error) => return Outcome::DoesNotRun(in_a_line(&format!("{error:#}"))),
    };
    if let Err(error) = program.round() {
        return Outcome::DoesNotRun(in_a_line(&format!("{error:#}")));
    }
    let has_callbacks = mode.arguments.contains(&"-tags=callbacks");
    let patterns = match has_callbacks {
        true => PATTERNS,
        false => PATTERNS_WITHOUT_C,
    };
    let mut calls = 0;
    let mut functions = 0;
    for promote in ["off", "all"] {
        let is_plugin = mode.shape == Shape::Plugin;
        let allowed = truth::Allowed {
            late_ends: promote == "all",
            lost_unwinding: is_plugin,
            has_to_be_said: is_plugin && minor(release) >= TELLS_THAT_IT_IS_A_PLUGIN,
        };
        let arguments = ["--promote", promote, "-u", patterns];
        match traced_round(tracer, &built.traced, &arguments, allowed, &mut program) {
            Ok(truth) => {
                calls += truth.total();
                functions = truth.calls.len();
            }
            Err(error) => {
                return Outcome::Wrong(format!(
                    "`--promote {promote}`: {}",
                    in_a_line(&format!("{error:#}"))
                ));
            }
        }
    }
    if let Err(error) = program.finish() {
        return Outcome::Wrong(in_a_line(&format!("{error:#}")));
    }
    let counted = format!("{calls} calls of {functions} functions");
    if mode.shape != Shape::Plugin {
        return Outcome::Exact(counted);
    }
    let said = match minor(release) {
        ..TELLS_THAT_IT_IS_A_PLUGIN => "",
        TELLS_THAT_IT_IS_A_PLUGIN.. => ", which is said when tracing begins",
    };
    Outcome::ExactButForPanics(format!(
        "{counted}; those that a recovered panic ended are shown as `exit lost`{said}"
    ))
}

/// Runs the tracer on a file that it has to refuse with a message that has these words.
fn refusal(tracer: &Path, file: &Path, words: &str) -> Outcome {
    const UNSUPPORTED: i32 = 5;
    let mut command = Run::new(tracer)
        .args([OsStr::new("--dry-run"), file.as_os_str()])
        .into_command();
    match command.output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().replace(&format!("{}", file.display()), "FILE");
            if output.status.code() == Some(UNSUPPORTED) && said.contains(words) {
                Outcome::Refused(in_a_line(&said))
            } else {
                Outcome::Wrong(in_a_line(&format!("{}: {said}", output.status)))
            }
        }
        Err(error) => Outcome::Wrong(error.to_string()),
    }
}

/// Traces one round, and fails unless the trace says what happened.
fn traced_round(
    tracer: &Path,
    file: &Path,
    arguments: &[&str],
    allowed: truth::Allowed,
    program: &mut Program,
) -> Result<truth::Truth> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let trace = folder.path().join("trace.jsonl");
    let run = as_root(tracer)
        .args(arguments)
        .args(["-f", "jsonl", "-o"])
        .args([&trace, file]);
    let tracing = Child::start(run, Stdout::Discarded)?;
    tracing
        .wait_for(|line| line.starts_with("tracing started"), TRACER_AT_MOST)?
        .context("the tracer does not begin")?;
    let truth = program.round()?;
    tracing.interrupt()?;
    let ended = tracing.finish(TRACER_AT_MOST)?;
    let text = std::fs::read_to_string(&trace).context("the tracer wrote nothing")?;
    let is_said = ended.lines.iter().any(|line| line.contains("is a plugin"));
    if allowed.has_to_be_said && !is_said {
        bail!("the tracer does not say that it is a plugin");
    }
    let mut differences = truth.differences(&text, allowed)?;
    let summary = ended.lines.iter().find(|line| line.starts_with("summary:"));
    match summary {
        Some(summary) if summary.contains("lost entries 0, lost exits 0") => {}
        other => differences.push(format!("{other:?}")),
    }
    if !differences.is_empty() {
        bail!("{}", differences.join("; "));
    }
    Ok(truth)
}

/// The beginning of a message, in a line, without folders of this machine.
fn in_a_line(text: &str) -> String {
    const LIMIT: usize = 300;
    let words: Vec<&str> = text
        .split_whitespace()
        .map(|word| match word.trim_matches(['(', ')', ':', '\'', '`']) {
            path if path.starts_with('/') => path.rsplit('/').next().unwrap_or_default(),
            _ => word,
        })
        .collect();
    let line = words.join(" ").replace('|', "\\|");
    match line.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_is_part_of_the_whole() {
        assert!(CORE_RELEASES.iter().all(|it| RELEASES.contains(it)));
        assert!(RELEASES.is_sorted_by_key(|release| minor(release)));
        assert_eq!(MODES.iter().filter(|mode| mode.is_core).count(), 4);
        let mut names: Vec<_> = MODES.iter().map(|mode| mode.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), MODES.len());
    }

    #[test]
    fn messages_fit_into_a_table() {
        assert_eq!(in_a_line("a\n  b | c\n"), "a b \\| c");
        assert_eq!(
            in_a_line("cannot run `/home/me/go`: no"),
            "cannot run go no"
        );
        assert!(in_a_line(&"long ".repeat(1000)).ends_with('…'));
    }
}
