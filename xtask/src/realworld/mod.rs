//! `cargo xtask realworld`: well-known Go programs, as they are shipped, traced while they work. The
//! result stands in docs/SUPPORT.md.

mod programs;

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::bench::child::{Child, Stdout};
use crate::ebpf::install;
use crate::figures::machine;
use crate::go;
use crate::matrix::support;
use crate::process::{self, Run, as_root};
use crate::workspace;
use programs::{PROGRAMS, RealProgram, Source};

/// What the tracer needs at most to begin, or to end.
const TRACER_AT_MOST: Duration = Duration::from_secs(120);

/// What is in front of every script.
const PRELUDE: &str = "until_it_answers() {
    curl --silent --fail --output /dev/null --retry 300 --retry-delay 1 --retry-connrefused \"$1\"
}
";

const BEGIN: &str = "<!-- realworld -->\n";
const END: &str = "<!-- /realworld -->\n";

/// Arguments of `cargo xtask realworld`.
#[derive(clap::Args)]
pub struct Options {
    /// Only this program; repeatable; nothing is written
    #[arg(value_name = "PROGRAM")]
    programs: Vec<String>,
}

/// What became of a program.
struct Traced {
    version: String,
    release: String,
    functions: u64,
    probes: u64,
    calls: u64,
    /// What the summary says beside calls and trees.
    rest: String,
    untraced: Duration,
    traced: Duration,
}

/// Runs `cargo xtask realworld`.
pub fn run(options: &Options) -> Result<()> {
    let tracer = workspace::build_tracer()?;
    process::prepare_sudo()?;
    install_what_is_missing()?;
    let wanted: Vec<&RealProgram> = PROGRAMS
        .iter()
        .filter(|program| {
            options.programs.is_empty() || options.programs.iter().any(|it| it == program.name)
        })
        .collect();
    if wanted.is_empty() {
        let names: Vec<_> = PROGRAMS.iter().map(|program| program.name).collect();
        bail!("there is no such program; there are {}", names.join(", "));
    }
    let mut rows = Vec::new();
    for program in wanted {
        let traced =
            trace(&tracer, program).with_context(|| format!("while tracing {}", program.name))?;
        let row = row(program, &traced);
        eprint!("{row}");
        rows.push(row);
    }
    if options.programs.is_empty() {
        write(&rows.concat())?;
    }
    Ok(())
}

fn install_what_is_missing() -> Result<()> {
    let missing: Vec<&str> = ["curl", "python3", "npm"]
        .into_iter()
        .filter(|tool| workspace::find_in_path(tool).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    install::update_and_install(&missing)
}

/// Gets the program, lets it work untraced, then traced, and compares.
fn trace(tracer: &Path, program: &RealProgram) -> Result<Traced> {
    let folder = workspace::target_dir()?
        .join("realworld")
        .join(program.name);
    let (binary, version) = fetch(program, &folder)?;
    let release = go::go()
        .env("GOTOOLCHAIN", "local")
        .arg("version")
        .arg(&binary)
        .read()?;
    let release = release.rsplit(' ').next().unwrap_or_default();
    let release = match release.starts_with("go1.") {
        true => release.to_owned(),
        false => "not told by `go version`".to_owned(),
    };

    let begun = Instant::now();
    let expected = work(program, &binary)?;
    let untraced = begun.elapsed();
    if !expected.status.success() || expected.stdout.is_empty() {
        bail!("it does not work untraced: {expected:?}");
    }

    let temporary = tempfile::tempdir().context("cannot make a temporary folder")?;
    let run = as_root(tracer)
        .args(["-f", "summary", "-u", program.patterns, "-o"])
        .args([&temporary.path().join("summary"), &binary]);
    let tracing = Child::start(run, Stdout::Discarded)?;
    tracing
        .wait_for(|line| line.starts_with("tracing started"), TRACER_AT_MOST)?
        .context("the tracer does not begin")?;
    let begun = Instant::now();
    let found = work(program, &binary)?;
    let traced = begun.elapsed();
    tracing.interrupt()?;
    let ended = tracing.finish(TRACER_AT_MOST)?;
    if found != expected {
        bail!("it answered {found:?}, and untraced {expected:?}");
    }
    let line = |start: &str| {
        let mut lines = ended.lines.iter();
        lines
            .find_map(|line| line.strip_prefix(start))
            .with_context(|| format!("the tracer did not say {start:?}"))
    };
    let started = line("tracing started: ")?;
    let summary = line("summary: ")?;
    Ok(Traced {
        version,
        release,
        functions: number_before(started, " functions")?,
        probes: number_before(started, " probes")?,
        calls: number_after(summary, "calls ")?,
        rest: summary
            .split(", ")
            .filter(|part| !part.starts_with("calls ") && !part.starts_with("trees "))
            .collect::<Vec<_>>()
            .join(", "),
        untraced,
        traced,
    })
}

/// Runs the program's script in a folder of its own.
fn work(program: &RealProgram, binary: &Path) -> Result<Output> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let path = workspace::root()?
        .join("xtask/programs/realworld")
        .join(format!("{}.sh", program.name));
    let script =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let newest = go::TESTED_RELEASES.last().context("there are releases")?;
    Run::new("bash")
        .args(["-c", &format!("{PRELUDE}{script}")])
        .env("BIN", binary)
        .env("PORT", free_port()?.to_string())
        .env("GOROOT", go::release_root(newest)?)
        .current_dir(folder.path())
        .into_command()
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", path.display()))
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("there is no free port")?;
    Ok(listener.local_addr()?.port())
}

/// Where the program is, a file that nobody else runs, and which version it is.
fn fetch(program: &RealProgram, folder: &Path) -> Result<(PathBuf, String)> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    match program.source {
        Source::Debian(package, file) => {
            Run::new("apt-get")
                .args(["download", package])
                .current_dir(folder)
                .hint("`apt-get update` reads the package lists")
                .read()?;
            let archive = only_file(folder)?;
            let version = Run::new("dpkg-deb")
                .arg("--field")
                .arg(&archive)
                .arg("Version")
                .read()?;
            Run::new("dpkg-deb")
                .arg("--extract")
                .arg(&archive)
                .arg(folder)
                .read()?;
            Ok((
                folder.join(file),
                format!("Debian's package {package} {version}"),
            ))
        }
        Source::Npm(package, file) => {
            Run::new("npm")
                .args(["pack", "--silent", package])
                .current_dir(folder)
                .read()?;
            Run::new("tar")
                .arg("--extract")
                .arg("--file")
                .arg(only_file(folder)?)
                .current_dir(folder)
                .read()?;
            let path = folder.join("package").join(file);
            Ok((path, format!("npm's package {package}")))
        }
        Source::Module(package) => {
            go::go()
                .args(["install", package])
                .env("GOBIN", folder)
                .current_dir("/")
                .read()?;
            Ok((folder.join(program.name), format!("module {package}")))
        }
        Source::Toolchain => {
            let newest = go::TESTED_RELEASES.last().context("there are releases")?;
            let path = folder.join(program.name);
            fs::copy(go::release_root(newest)?.join("bin/go"), &path)
                .with_context(|| format!("cannot copy `go` to {}", path.display()))?;
            Ok((path, format!("toolchain {newest}")))
        }
    }
}

/// The file in a folder that has just been filled with one.
fn only_file(folder: &Path) -> Result<PathBuf> {
    let mut entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    Ok(entries.next().context("nothing was downloaded")??.path())
}

fn number_before(text: &str, unit: &str) -> Result<u64> {
    let before = text.split(unit).next().unwrap_or_default();
    let digits = before.rsplit(' ').next().unwrap_or_default();
    digits
        .parse()
        .with_context(|| format!("no number of{unit} in {text:?}"))
}

fn number_after(text: &str, word: &str) -> Result<u64> {
    let (_, after) = text
        .split_once(word)
        .with_context(|| format!("no {word}in {text:?}"))?;
    let digits = after.split(',').next().unwrap_or_default();
    digits
        .parse()
        .with_context(|| format!("no number after {word}in {text:?}"))
}

fn row(program: &RealProgram, traced: &Traced) -> String {
    format!(
        "| {}, {} | {} | {} | `-u '{}'` | {} | {} | {} | {} | {:.1} s, {:.1} s | the same |\n",
        program.name,
        traced.version,
        traced.release,
        program.load,
        program.patterns,
        traced.functions,
        traced.probes,
        traced.calls,
        traced.rest,
        traced.untraced.as_secs_f64(),
        traced.traced.as_secs_f64()
    )
}

fn write(rows: &str) -> Result<()> {
    let path = workspace::root()?.join("docs/SUPPORT.md");
    let old =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut text = String::new();
    writeln!(
        text,
        "`cargo xtask realworld` on {}.\n",
        machine::describe()?
    )?;
    text.push_str(
        "| program | built by | load | what is followed | functions | probes | calls | else | untraced, traced | answers and exit status |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    text.push_str(rows);
    let new = support::replaced(&old, BEGIN, END, &text)
        .with_context(|| format!("{} has lost its marks", path.display()))?;
    fs::write(&path, new).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("written to {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_a_script() {
        let folder = workspace::root().unwrap().join("xtask/programs/realworld");
        for program in PROGRAMS {
            let script = folder.join(format!("{}.sh", program.name));
            assert!(script.is_file(), "{}", script.display());
        }
        assert_eq!(fs::read_dir(folder).unwrap().count(), PROGRAMS.len());
    }

    #[test]
    fn numbers_are_taken_out_of_what_the_tracer_says() {
        let started = "13390 functions, 40643 probes";
        assert_eq!(number_before(started, " functions").unwrap(), 13390);
        assert_eq!(number_before(started, " probes").unwrap(), 40643);
        assert!(number_before("none", " probes").is_err());
        let summary = "trees 3547, calls 81, lost entries 0";
        assert_eq!(number_after(summary, "calls ").unwrap(), 81);
        assert!(number_after("trees 1", "calls ").is_err());
    }
}
