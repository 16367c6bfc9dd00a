//! A Go program under test, which is talked to in lines.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;

/// A running program; killed when dropped.
pub struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    ready: Vec<String>,
}

impl Program {
    /// Starts `executable` and waits until it has printed its line "ready PID …".
    pub fn start(executable: &Path, arguments: &[&str]) -> Self {
        let mut program = Self::spawn(executable, arguments);
        program.expect_ready();
        program
    }

    /// Starts `executable`, which prints no line "ready".
    pub fn spawn(executable: &Path, arguments: &[impl AsRef<OsStr>]) -> Self {
        let mut child = Command::new(executable)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be run: {error}", executable.display()));
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            stdin: child.stdin.take(),
            child,
            lines,
            ready: Vec::new(),
        }
    }

    /// Waits for the line "ready PID …".
    pub fn expect_ready(&mut self) {
        let line = self.line();
        let mut words = line.split(' ').map(str::to_owned);
        assert_eq!(words.next().as_deref(), Some("ready"), "in {line:?}");
        let pid = words.next();
        assert_eq!(pid, Some(self.pid().to_string()), "in {line:?}");
        self.ready = words.collect();
    }

    /// The words after "ready PID".
    pub fn ready_words(&self) -> &[String] {
        &self.ready
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it prints.
    pub fn line(&mut self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                panic!("no line came from the program in {PATIENCE:?}")
            }
            Err(RecvTimeoutError::Disconnected) => panic!(
                "the program ended ({:?}) while a line of it was expected",
                self.child.wait()
            ),
        }
    }

    /// Sends a line.
    pub fn send(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("not told to end yet");
        writeln!(stdin, "{line}").unwrap_or_else(|error| panic!("sending {line:?}: {error}"));
    }

    /// Sends a line and demands an answer.
    pub fn tell(&mut self, line: &str, answer: &str) {
        assert_eq!(self.ask(line), answer, "the answer to {line:?}");
    }

    /// Sends a line and gives the answer.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.line()
    }

    /// Sends a line and gives the answer's lines up to the one that is `last`, without it.
    pub fn ask_until(&mut self, line: &str, last: &str) -> Vec<String> {
        self.send(line);
        std::iter::from_fn(|| Some(self.line()).filter(|line| line != last)).collect()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it is our child, and not yet waited for");
    }

    /// Ends its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Ends its standard input, and gives what it still prints and how it ends.
    pub fn finish(mut self) -> (Vec<String>, ExitStatus) {
        self.stdin = None;
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("the program does not end"),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        (rest, self.child.wait().expect("it is our child"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Either fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
