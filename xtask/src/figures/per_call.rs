//! What a traced call costs, with the standard placement of probes and with the classic one:
//! on a function's first instruction and on each RET.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, bail};

use super::{Figure, median};
use crate::example;
use crate::process::Run;
use crate::tracer::Tracing;
use crate::tree_text;

const ROUNDS: usize = 5;
/// Batches of a round; the first warms up and is not counted.
pub(super) const BATCHES: usize = 4;
/// Calls of a batch: few enough for one tree to keep them all.
pub(super) const CALLS: usize = 20_000;
const CALLS_UNTRACED: usize = 2_000_000;

/// Measures untraced calls and both placements in turns, several times.
pub fn measure(root: &Path, tracer: &Path) -> Result<Vec<Figure>> {
    let binary = example::build_go(&root.join("xtask/programs/percall"), "percall")?;
    let mut program = Program::start(&binary)?;
    let mut untraced = Vec::new();
    let mut standard = Vec::new();
    let mut classic = Vec::new();
    for round in 1..=ROUNDS {
        eprintln!("calls: round {round} of {ROUNDS}");
        untraced.extend(program.batches(CALLS_UNTRACED)?);
        standard.extend(traced(tracer, &binary, &mut program, "standard")?);
        classic.extend(traced(tracer, &binary, &mut program, "classic")?);
    }
    let untraced = median(&untraced).context("no untraced call was measured")?;
    let cost = |values: &[f64]| median(values).map(|value| value - untraced);
    let standard = cost(&standard).context("no traced call was measured")?;
    let classic = cost(&classic).context("no traced call was measured")?;
    let figure = |what: &str, measured: String, goal| Figure {
        what: what.to_owned(),
        measured,
        goal,
    };
    let microseconds = |nanoseconds: f64| format!("{:.2} us", nanoseconds / 1000.0);
    Ok(vec![
        figure("a call that is not traced", format!("{untraced:.1} ns"), ""),
        figure(
            "a traced call adds (entry and exit; before its function is promoted)",
            microseconds(standard),
            "",
        ),
        figure(
            "the same with probes on offset 0 and RET (`--placement classic`)",
            microseconds(classic),
            "",
        ),
        figure(
            "traced call, compared with offset 0 and RET",
            format!("{:.2}", standard / classic),
            "at most 0.65",
        ),
    ])
}

/// Nanoseconds per call of each batch while a tracer is attached.
fn traced(
    tracer: &Path,
    binary: &Path,
    program: &mut Program,
    placement: &str,
) -> Result<Vec<f64>> {
    let count = BATCHES.to_string();
    let words = [
        "--promote",
        "off",
        "--placement",
        placement,
        "--count",
        &count,
        "--duration",
        "120s",
    ];
    let arguments: Vec<&OsStr> = words
        .iter()
        .map(OsStr::new)
        .chain(["--uprobe-wildcards", "main.leaf"].map(OsStr::new))
        .chain([binary.as_os_str(), OsStr::new("main.root")])
        .collect();
    let mut tracing = Tracing::start(tracer, &arguments)?;
    let nanoseconds = program.batches(CALLS)?;
    let printed = tracing.finish()?;
    let trees = tree_text::trees(&printed.stdout)?;
    // The root is a call too. The classic placement counts a call twice when the runtime restarts
    // it to preempt it or to grow its stack, so there it can be more.
    let calls: usize = trees.iter().map(|tree| tree.calls.len()).sum();
    let expected = BATCHES * (CALLS + 1);
    let all_traced = match placement {
        "classic" => calls >= expected,
        _ => calls == expected && trees.len() == BATCHES,
    };
    if !all_traced || !printed.stderr.contains("lost entries 0, lost exits 0") {
        bail!(
            "not every call was traced, so the figures would flatter; the tracer said:\n{}",
            printed.stderr
        );
    }
    Ok(nanoseconds)
}

/// The Go program that is measured; dropping it ends it.
pub(super) struct Program {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Program {
    pub(super) fn start(binary: &Path) -> Result<Self> {
        let mut command = Run::new(binary).into_command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        example::end_with_parent(&mut command);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (stdin, stdout) = pipes.context("the measured program has no pipes")?;
        Ok(Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        })
    }

    /// Nanoseconds that its threads were on a CPU so far, in the program and in the kernel.
    pub(super) fn cpu_ns(&self) -> Result<f64> {
        let folder = format!("/proc/{}/task", self.child.id());
        let mut sum_ns = 0.0;
        for task in std::fs::read_dir(&folder).context("the measured program has ended")? {
            let path = task?.path().join("schedstat");
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let time_ns = text
                .split(' ')
                .next()
                .and_then(|word| word.parse::<f64>().ok());
            sum_ns += time_ns.with_context(|| format!("{} is {text:?}", path.display()))?;
        }
        Ok(sum_ns)
    }

    /// Nanoseconds per call of each counted batch of `calls` calls.
    pub(super) fn batches(&mut self, calls: usize) -> Result<Vec<f64>> {
        let mut values = Vec::new();
        for _ in 0..BATCHES {
            writeln!(self.stdin, "{calls}").context("the measured program has ended")?;
            let mut line = String::new();
            self.stdout
                .read_line(&mut line)
                .context("the measured program's output cannot be read")?;
            let value = line.trim_end().parse::<f64>();
            values.push(value.with_context(|| format!("the measured program printed {line:?}"))?);
        }
        values.remove(0);
        Ok(values)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
