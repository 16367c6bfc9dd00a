//! The tracer under test.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;
use super::text::{Layout, Trace};

/// A running tracer; killed when dropped.
pub struct Tracer {
    child: Child,
    news: Receiver<News>,
    stdout: Option<ChildStdout>,
    stdout_open: bool,
    collected: Vec<u8>,
    stderr: Vec<String>,
    stderr_open: bool,
}

enum News {
    Stdout(Vec<u8>),
    StdoutEnded,
    StderrLine(String),
    StderrEnded,
}

/// What a tracer that has ended leaves.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output, unless a test read that itself.
    pub stdout: String,
    /// Lines of its standard error.
    pub stderr: Vec<String>,
}

/// The numbers of the last line.
#[derive(Debug, PartialEq, Eq)]
pub struct Summary {
    /// Trees shown.
    pub trees: u64,
    /// Calls shown.
    pub calls: u64,
    /// Entries that were lost.
    pub lost_entries: u64,
    /// Exits that were lost.
    pub lost_exits: u64,
    /// What else was counted, by its words.
    pub others: BTreeMap<String, u64>,
}

/// The tracer's executable.
pub fn executable() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_gofuncgraph"))
}

/// A command that runs the tracer, through sudo if `cargo xtask test` asks for that because it
/// is not run by root.
pub fn command() -> Command {
    if std::env::var_os("GOFUNCGRAPH_SUDO").is_none() {
        return configured(Command::new(executable()));
    }
    let mut command = Command::new("sudo");
    command
        .args(["-n", "--", "env", "TZ=UTC"])
        .arg(executable());
    configured(command)
}

/// Times in the output have no leaps; nothing of the caller's environment changes it.
pub fn configured(mut command: Command) -> Command {
    command.env("TZ", "UTC").env_remove("NO_COLOR");
    command
}

/// Runs a tracer that ends by itself.
pub fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Outcome {
    let mut command = command();
    command.args(arguments);
    Tracer::spawn(command, true).wait()
}

impl Tracer {
    /// Starts a tracer and waits until it traces.
    pub fn start(binary: &Path, options: &[&str], targets: &[&str]) -> Self {
        let mut tracer = Self::spawn(Self::tracing(binary, options, targets), true);
        tracer.wait_until_started();
        tracer
    }

    /// Like [`Tracer::start`], with a standard output that nobody reads.
    pub fn start_unread(binary: &Path, options: &[&str], targets: &[&str]) -> Self {
        let mut tracer = Self::spawn(Self::tracing(binary, options, targets), false);
        tracer.wait_until_started();
        tracer
    }

    /// `cargo xtask kernels` says who executes RETs.
    fn tracing(binary: &Path, options: &[&str], targets: &[&str]) -> Command {
        let mut command = command();
        if let Some(how) = std::env::var_os("GOFUNCGRAPH_RET") {
            command.arg("--ret").arg(how);
        }
        command.args(options).arg(binary).args(targets);
        command
    }

    /// Starts `command`; its standard output is collected if `collect`.
    pub fn spawn(command: Command, collect: bool) -> Self {
        Self::spawn_into(command, Stdio::piped(), collect)
    }

    /// Starts a tracer whose standard output is `terminal`, and waits until it traces.
    pub fn start_on(terminal: OwnedFd, binary: &Path, options: &[&str], targets: &[&str]) -> Self {
        let command = Self::tracing(binary, options, targets);
        let mut tracer = Self::spawn_into(command, terminal.into(), false);
        tracer.wait_until_started();
        tracer
    }

    fn spawn_into(mut command: Command, stdout: Stdio, collect: bool) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (sender, news) = channel();
        let stderr = child.stderr.take().expect("it is piped");
        let stderr_sender = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let Ok(line) = line else { break };
                let _ = stderr_sender.send(News::StderrLine(line));
            }
            let _ = stderr_sender.send(News::StderrEnded);
        });
        let mut stdout = child.stdout.take();
        if collect && let Some(stdout) = stdout.take() {
            std::thread::spawn(move || collect_bytes(stdout, &sender));
        }
        Self {
            child,
            news,
            stdout,
            stdout_open: collect,
            collected: Vec::new(),
            stderr: Vec::new(),
            stderr_open: true,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the line "tracing started".
    pub fn wait_until_started(&mut self) {
        self.wait_until_said("tracing started: ");
    }

    /// Waits for a line of standard error that begins with `words`.
    pub fn wait_until_said(&mut self, words: &str) {
        self.wait_for(words, |tracer| {
            tracer.stderr.iter().any(|line| line.starts_with(words))
        });
    }

    /// How many lines of standard error that begin with `words` there are by now.
    pub fn times_said(&mut self, words: &str) -> usize {
        while let Ok(news) = self.news.try_recv() {
            self.take(news);
        }
        let said = self.stderr.iter().filter(|line| line.starts_with(words));
        said.count()
    }

    /// Waits until something stands on standard output.
    pub fn wait_for_output(&mut self) {
        self.wait_for("output", |tracer| !tracer.collected.is_empty());
    }

    /// Waits until `line` stands on standard output: what a launched program prints.
    pub fn wait_until_printed(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.wait_for(&line, |tracer| {
            String::from_utf8_lossy(&tracer.collected).contains(&line)
        });
    }

    /// What follows `words` on a line of standard output, once it is there.
    pub fn wait_for_printed(&mut self, words: &str) -> String {
        let find = |tracer: &Self| -> Option<String> {
            let text = String::from_utf8_lossy(&tracer.collected);
            let (_, rest) = text.split_once(words)?;
            rest.split_once('\n').map(|(rest, _)| rest.to_owned())
        };
        self.wait_for(words, |tracer| find(tracer).is_some());
        find(self).expect("it was waited for")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it is our child, and not yet waited for");
    }

    /// Closes the reading end of a standard output that nobody reads.
    pub fn close_stdout(&mut self) {
        drop(self.stdout.take().expect("not collected, not yet closed"));
    }

    /// Reads a standard output that nobody has read, to its end.
    pub fn read_stdout(&mut self) -> Vec<u8> {
        let mut stdout = self.stdout.take().expect("not collected, not closed");
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).expect("it can be read");
        bytes
    }

    /// Ends it as Ctrl-C does.
    pub fn stop(self) -> Outcome {
        self.signal(Signal::INT);
        self.wait()
    }

    /// Waits until it has ended, though a program that it launched may still print.
    pub fn wait_for_status(&mut self) -> ExitStatus {
        self.child.wait().expect("it is our child")
    }

    /// Waits until it has ended by itself.
    pub fn wait(mut self) -> Outcome {
        self.wait_for("its end", |tracer| {
            !tracer.stdout_open && !tracer.stderr_open
        });
        Outcome {
            status: self.child.wait().expect("it is our child"),
            stdout: String::from_utf8(std::mem::take(&mut self.collected))
                .expect("the output is UTF-8"),
            stderr: std::mem::take(&mut self.stderr),
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Stdout(bytes) => self.collected.extend_from_slice(&bytes),
            News::StdoutEnded => self.stdout_open = false,
            News::StderrLine(line) => self.stderr.push(line),
            News::StderrEnded => self.stderr_open = false,
        }
    }

    fn wait_for(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(
                self.stdout_open || self.stderr_open,
                "the tracer ended while {what} was waited for; it said:\n{}",
                self.stderr.join("\n")
            );
            let left = deadline.saturating_duration_since(Instant::now());
            match self.news.recv_timeout(left) {
                Ok(news) => self.take(news),
                Err(RecvTimeoutError::Timeout) => panic!(
                    "{what} did not come in {PATIENCE:?}; the tracer said:\n{}",
                    self.stderr.join("\n")
                ),
                Err(RecvTimeoutError::Disconnected) => {
                    (self.stdout_open, self.stderr_open) = (false, false);
                }
            }
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Either fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect_bytes(mut stdout: ChildStdout, sender: &Sender<News>) {
    let mut buffer = [0; 1 << 16];
    while let Ok(length @ 1..) = stdout.read(&mut buffer) {
        let _ = sender.send(News::Stdout(buffer[..length].to_vec()));
    }
    let _ = sender.send(News::StdoutEnded);
}

impl Outcome {
    /// Demands exit code 0 and a summary, and gives the summary.
    pub fn summary(&self) -> Summary {
        self.assert_code(0);
        let last = self
            .stderr
            .iter()
            .rev()
            .find_map(|line| line.strip_prefix("summary: "));
        let last = last.unwrap_or_else(|| panic!("no summary in:\n{}", self.stderr.join("\n")));
        Summary::parse(last)
    }

    /// Demands an exit code.
    pub fn assert_code(&self, code: i32) {
        assert_eq!(
            self.status.code(),
            Some(code),
            "{}; it said:\n{}",
            self.status,
            self.stderr.join("\n")
        );
    }

    /// Demands that standard error mentions every one of `words`.
    pub fn assert_says(&self, words: &[&str]) {
        let said = self.stderr.join("\n");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in:\n{said}");
        }
    }

    /// Its trees, each printed whole, of one process and with six digits.
    pub fn trees(&self) -> Trace {
        Trace::parse(&self.stdout, Layout::Trees, 6, None)
    }

    /// Its lines, printed as they happened, of one process and with six digits.
    pub fn stream(&self) -> Trace {
        Trace::parse(&self.stdout, Layout::Stream, 6, None)
    }
}

impl Summary {
    /// Reads what follows "summary: ".
    pub fn parse(text: &str) -> Self {
        let mut others: BTreeMap<String, u64> = text
            .split([',', ';'])
            .filter_map(|item| {
                let (words, number) = item.trim().rsplit_once(' ')?;
                Some((words.to_owned(), number.parse().ok()?))
            })
            .collect();
        let mut take = |words: &str| {
            let number = others.remove(words);
            number.unwrap_or_else(|| panic!("no {words:?} in the summary {text:?}"))
        };
        Self {
            trees: take("trees"),
            calls: take("calls"),
            lost_entries: take("lost entries"),
            lost_exits: take("lost exits"),
            others,
        }
    }

    /// Another number; 0 if it is not mentioned.
    pub fn other(&self, words: &str) -> u64 {
        self.others.get(words).copied().unwrap_or(0)
    }

    /// Demands that nothing was lost.
    pub fn assert_nothing_lost(&self) {
        assert_eq!((self.lost_entries, self.lost_exits), (0, 0), "{self:?}");
    }
}
