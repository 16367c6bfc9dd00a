//! The program that counts its calls, running.

use std::io::{BufRead, BufReader, Read as _, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::truth::Truth;
use crate::example;
use crate::process::Run;

/// For a round of calls under the most expensive probes.
const AT_MOST: Duration = Duration::from_secs(60);

/// A running program; dropping it ends it.
pub struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Program {
    /// Starts it and waits until it is ready.
    pub fn start(run: Run) -> Result<Self> {
        let line = run.line();
        let mut command = run.into_command();
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        example::end_with_parent(&mut command);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("it has no standard output")?;
        let (say, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens any more when the program is being ended.
                let _ = say.send(line);
            }
        });
        let mut program = Self {
            child,
            stdin,
            lines,
        };
        program.lines_until("ready")?;
        Ok(program)
    }

    /// Lets it call everything once.
    pub fn round(&mut self) -> Result<Truth> {
        let stdin = self.stdin.as_mut().context("its input is closed")?;
        writeln!(stdin).context("the program has ended")?;
        let lines = self.lines_until("done")?;
        Truth::parse(lines.iter().map(String::as_str))
    }

    /// Lets it end by itself; fails if it fails.
    pub fn finish(mut self) -> Result<()> {
        self.stdin = None;
        let status = self.child.wait().context("cannot wait for the program")?;
        if !status.success() {
            bail!("the program ended with {status}: {}", self.complaint());
        }
        Ok(())
    }

    fn lines_until(&mut self, last: &str) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(AT_MOST) {
                Ok(line) if line == last => return Ok(lines),
                Ok(line) => lines.push(line),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let seconds = AT_MOST.as_secs();
                    bail!("the program did not say {last:?} within {seconds} s")
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let _ = self.child.kill();
                    let status = self.child.wait().context("cannot wait for the program")?;
                    bail!("the program ended ({status}): {}", self.complaint())
                }
            }
        }
    }

    /// The first line of its standard error.
    fn complaint(&mut self) -> String {
        let mut text = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            // What cannot be read is not told.
            let _ = stderr.read_to_string(&mut text);
        }
        let first = text.lines().find(|line| !line.trim().is_empty());
        first.unwrap_or("it said nothing").trim().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
