//! Go programs that measure themselves: each line that they are told is some work, and they answer
//! with the nanoseconds that a unit of it took.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::example;
use crate::process::Run;

/// A running program; dropping it ends it.
pub struct LineProgram {
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<String>,
}

impl LineProgram {
    /// Starts the program.
    pub fn start(binary: &Path) -> Result<Self> {
        let mut command = Run::new(binary).into_command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        example::end_with_parent(&mut command);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (stdin, stdout) = pipes.context("the measured program has no pipes")?;
        let (answer, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens any more when the program is being ended.
                let _ = answer.send(line);
            }
        });
        Ok(Self {
            child,
            stdin,
            answers,
        })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Nanoseconds that its threads were on a CPU so far, in the program and in the kernel.
    pub fn cpu_ns(&self) -> Result<f64> {
        let folder = format!("/proc/{}/task", self.pid());
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

    /// Lets it do `work`, and returns nanoseconds per unit.
    pub fn nanoseconds(&mut self, work: &str, at_most: Duration) -> Result<f64> {
        writeln!(self.stdin, "{work}").context("the measured program has ended")?;
        let line = self.answers.recv_timeout(at_most).with_context(|| {
            let seconds = at_most.as_secs();
            format!("the measured program did not answer {work:?} within {seconds} s")
        })?;
        line.trim_end()
            .parse()
            .with_context(|| format!("the measured program printed {line:?}"))
    }
}

impl Drop for LineProgram {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn an_answer_is_a_number() {
        let mut echo = LineProgram::start(Path::new("cat")).unwrap();
        assert_eq!(echo.nanoseconds("12.5", LONG).unwrap(), 12.5);
        let error = echo.nanoseconds("none", LONG).unwrap_err().to_string();
        assert_eq!(error, r#"the measured program printed "none""#);
    }

    #[test]
    fn nobody_waits_for_a_program_that_does_not_answer() {
        // It prints nothing before its input ends.
        let mut silent = LineProgram::start(Path::new("sort")).unwrap();
        let error = silent.nanoseconds("1", Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("did not answer"), "{error}");
        let mut ended = LineProgram::start(Path::new("true")).unwrap();
        ended.child.wait().unwrap();
        assert!(ended.nanoseconds("1", LONG).is_err());
    }
}
