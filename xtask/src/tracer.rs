//! Running the tracer: as root, with its messages read while it runs.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::example;
use crate::process::{self, Run};

/// A tracer that runs; dropping it ends it.
pub struct Tracing {
    line: String,
    child: Child,
    stdout: Option<ChildStdout>,
    messages: Option<JoinHandle<String>>,
    ready_after: Duration,
}

/// What a tracer printed by its end.
#[derive(Debug)]
pub struct Printed {
    /// The trees.
    pub stdout: String,
    /// Notes and the summary.
    pub stderr: String,
}

impl Tracing {
    /// Starts the tracer and waits until it says `tracing started`.
    pub fn start(tracer: &Path, arguments: &[&OsStr]) -> Result<Self> {
        Self::spawn(process::as_root(tracer).args(arguments))
    }

    fn spawn(run: Run) -> Result<Self> {
        let line = run.line();
        let mut command = run.into_command();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        example::end_with_parent(&mut command);
        let begun = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        let stderr = child.stderr.take();
        let (started, ready) = mpsc::channel();
        let messages = stderr.map(|stderr| {
            std::thread::spawn(move || {
                let mut text = String::new();
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    if line.starts_with("tracing started") {
                        // Nobody listens any more only when the start has failed.
                        let _ = started.send(Instant::now());
                    }
                    text.push_str(&line);
                    text.push('\n');
                }
                text
            })
        });
        let mut tracing = Self {
            line,
            stdout: child.stdout.take(),
            child,
            messages,
            ready_after: Duration::ZERO,
        };
        tracing.ready_after = tracing.wait_until_ready(&ready)?.duration_since(begun);
        Ok(tracing)
    }

    /// Wall time from the start of the process (and of sudo) until it said `tracing started`.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// Reads until the tracer ends by itself; fails if it failed.
    pub fn finish(&mut self) -> Result<Printed> {
        let mut stdout = String::new();
        if let Some(mut pipe) = self.stdout.take() {
            pipe.read_to_string(&mut stdout)
                .with_context(|| format!("cannot read what `{}` prints", self.line))?;
        }
        let status = self
            .child
            .wait()
            .with_context(|| format!("cannot wait for `{}`", self.line))?;
        let stderr = self.messages();
        if !status.success() {
            bail!("`{}` failed ({status}):\n{stderr}", self.line);
        }
        Ok(Printed { stdout, stderr })
    }

    fn wait_until_ready(&mut self, ready: &Receiver<Instant>) -> Result<Instant> {
        if let Ok(instant) = ready.recv() {
            return Ok(instant);
        }
        // The other end is closed: the tracer has closed its standard error, so it has ended.
        match self.finish() {
            Ok(printed) => bail!(
                "`{}` ended without `tracing started`:\n{}",
                self.line,
                printed.stderr
            ),
            Err(error) => Err(error),
        }
    }

    fn messages(&mut self) -> String {
        let joined = self.messages.take().map(JoinHandle::join);
        joined.and_then(Result::ok).unwrap_or_default()
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        // Below sudo it cannot be killed by us, but it ends when nobody reads its trees.
        drop(self.stdout.take());
        // Both fail only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Tracing> {
        Tracing::spawn(Run::new("sh").args(["-c", script]))
    }

    #[test]
    fn both_streams_are_read_to_the_end() {
        let script =
            "echo found >&2; echo tracing started: 1 functions >&2; echo tree; echo end >&2";
        let printed = shell(script).unwrap().finish().unwrap();
        assert_eq!(printed.stdout, "tree\n");
        assert_eq!(printed.stderr, "found\ntracing started: 1 functions\nend\n");
    }

    #[test]
    fn a_tracer_that_cannot_start_is_quoted() {
        let error = shell("echo no such file >&2; exit 5")
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("exit status: 5") && error.contains("no such file"),
            "{error}"
        );
        let error = shell("echo nothing to do >&2").err().unwrap().to_string();
        assert!(error.contains("ended without `tracing started`"), "{error}");
        assert!(error.contains("nothing to do"), "{error}");
    }

    #[test]
    fn a_failure_after_the_start_is_quoted() {
        let mut tracing = shell("echo tracing started >&2; echo broke >&2; exit 1").unwrap();
        let error = tracing.finish().unwrap_err().to_string();
        assert!(
            error.contains("exit status: 1") && error.contains("broke"),
            "{error}"
        );
    }

    #[test]
    fn dropping_ends_it() {
        let tracing = shell("echo tracing started >&2; exec sleep 1000").unwrap();
        let process = format!("/proc/{}", tracing.child.id());
        assert!(Path::new(&process).exists());
        drop(tracing);
        assert!(!Path::new(&process).exists());
    }
}
