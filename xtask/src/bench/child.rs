//! Programs that may need root's rights and that are waited for only so long.

use std::io::{BufRead, BufReader, Read};
use std::process::{self, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::example;
use crate::process::{Run, as_root, is_root};

/// Lines that are kept of what a program prints; tracers print one or two a call.
const KEPT_LINES: usize = 10_000;

/// Where a program's standard output goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdout {
    /// Nowhere, which costs the least.
    Discarded,
    /// Among the lines that can be waited for.
    Read,
}

/// A running program; dropping it ends it.
pub struct Child {
    name: String,
    begun: Instant,
    /// Until it was waited for.
    child: Option<process::Child>,
    said: Arc<Said>,
}

/// What a program said and took by its end.
#[derive(Debug)]
pub struct Ended {
    /// What it printed; the first [`KEPT_LINES`] of it.
    pub lines: Vec<String>,
    /// User and system time.
    pub cpu: Duration,
    /// The most physical memory that it had.
    pub peak_memory_bytes: u64,
}

#[derive(Default)]
struct Said {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    kept: Vec<(Instant, String)>,
    open_streams: usize,
}

impl Said {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a stream to its end in a thread of its own.
    fn read(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        let said = Arc::clone(self);
        said.lines().open_streams += 1;
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let mut lines = said.lines();
                if lines.kept.len() < KEPT_LINES {
                    let text = String::from_utf8_lossy(&line).into_owned();
                    lines.kept.push((Instant::now(), text));
                    said.changed.notify_all();
                }
            }
            said.lines().open_streams -= 1;
            said.changed.notify_all();
        });
    }
}

impl Child {
    /// Starts `run`, which [`as_root`] may have made.
    pub fn start(run: Run, stdout: Stdout) -> Result<Self> {
        let line = run.line();
        let mut command = run.into_command();
        command
            .stdin(Stdio::null())
            .stdout(match stdout {
                Stdout::Discarded => Stdio::null(),
                Stdout::Read => Stdio::piped(),
            })
            .stderr(Stdio::piped());
        example::end_with_parent(&mut command);
        let begun = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        let said = Arc::<Said>::default();
        if let Some(stderr) = child.stderr.take() {
            said.read(stderr);
        }
        if let Some(stdout) = child.stdout.take() {
            said.read(stdout);
        }
        Ok(Self {
            name: line,
            begun,
            child: Some(child),
            said,
        })
    }

    /// Waits until it has printed a line that `wanted` accepts, and tells how long after its
    /// start that was; `None` when the time is over. Fails if it ends without.
    pub fn wait_for(
        &self,
        wanted: impl Fn(&str) -> bool,
        at_most: Duration,
    ) -> Result<Option<Duration>> {
        let deadline = Instant::now() + at_most;
        let mut lines = self.said.lines();
        loop {
            let mut kept = lines.kept.iter();
            if let Some((moment, _)) = kept.find(|(_, line)| wanted(line)) {
                return Ok(Some(moment.duration_since(self.begun)));
            }
            if lines.open_streams == 0 {
                drop(lines);
                bail!("it ended: {}", self.last_words());
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Ok(None);
            }
            let waited = self.said.changed.wait_timeout(lines, rest);
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The process that does the work, which is sudo's child below sudo.
    pub fn pid(&self) -> Result<u32> {
        let child = self.child.as_ref().context("it was waited for")?;
        let pid = child.id();
        if is_root() {
            return Ok(pid);
        }
        let path = format!("/proc/{pid}/task/{pid}/children");
        let children = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read which process sudo started from {path}"))?;
        let first = children.split_whitespace().next();
        first
            .and_then(|child| child.parse().ok())
            .context("sudo has no child")
    }

    /// Asks it to end, as Ctrl-C does.
    pub fn interrupt(&self) -> Result<()> {
        self.signal(Signal::INT)
    }

    /// Waits until it has ended by itself, and fails if it failed or takes longer.
    pub fn finish(mut self, at_most: Duration) -> Result<Ended> {
        let child = self.child.as_ref().context("it was waited for")?;
        let pid = Pid::from_child(child);
        let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            .with_context(|| format!("cannot watch `{}`", self.name))?;
        let timeout = Timespec {
            tv_sec: i64::try_from(at_most.as_secs())?,
            tv_nsec: at_most.subsec_nanos().into(),
        };
        let mut polled = [PollFd::new(&handle, PollFlags::IN)];
        // A signal to this process ends the bench, so an interrupted wait needs no other turn.
        if rustix::event::poll(&mut polled, Some(&timeout)).context("cannot wait")? == 0 {
            bail!(
                "it had not ended {} s after it was asked to: {}",
                at_most.as_secs(),
                self.last_words()
            );
        }
        let (status, usage) = reap(pid)?;
        // It is reaped, so nothing may be sent to its number any more.
        self.child = None;
        self.wait_for_streams();
        if status != 0 {
            bail!("it failed (wait status {status}): {}", self.last_words());
        }
        let lines = self.said.lines();
        Ok(Ended {
            lines: lines.kept.iter().map(|(_, line)| line.clone()).collect(),
            cpu: time(usage.ru_utime) + time(usage.ru_stime),
            // Linux counts it in KiB.
            peak_memory_bytes: u64::try_from(usage.ru_maxrss)? * 1024,
        })
    }

    fn wait_for_streams(&self) {
        let mut lines = self.said.lines();
        // A grandchild that lives on may hold a stream open; what it says is not waited for.
        let deadline = Instant::now() + Duration::from_secs(5);
        while lines.open_streams != 0 && Instant::now() < deadline {
            let rest = deadline.saturating_duration_since(Instant::now());
            let waited = self.said.changed.wait_timeout(lines, rest);
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The last lines that say anything, in one.
    fn last_words(&self) -> String {
        let lines = self.said.lines();
        let spoken = lines.kept.iter().rev();
        let spoken = spoken.map(|(_, line)| line.trim());
        let mut last: Vec<&str> = spoken.filter(|line| !line.is_empty()).take(3).collect();
        last.reverse();
        if last.is_empty() {
            return "it said nothing".to_owned();
        }
        last.join("; ")
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid()?;
        if is_root() {
            let pid = Pid::from_raw(i32::try_from(pid)?).context("no process has number 0")?;
            return rustix::process::kill_process(pid, signal).context("cannot send a signal");
        }
        let number = signal.as_raw().to_string();
        as_root("kill")
            .args(["-s", &number, &pid.to_string()])
            .read()
            .map(drop)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.child.is_none() {
            return;
        }
        // Fails only if it has ended by itself.
        let _ = self.signal(Signal::KILL);
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn reap(pid: Pid) -> Result<(i32, libc::rusage)> {
    let mut status = 0;
    // SAFETY: rusage holds numbers only, for which zeros are a value.
    let mut usage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to locals of the types that the call writes.
    let reaped = unsafe { libc::wait4(pid.as_raw_nonzero().get(), &mut status, 0, &mut usage) };
    if reaped < 0 {
        return Err(std::io::Error::last_os_error()).context("cannot wait for a child");
    }
    Ok((status, usage))
}

fn time(value: libc::timeval) -> Duration {
    let seconds = u64::try_from(value.tv_sec).unwrap_or_default();
    let microseconds = u64::try_from(value.tv_usec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_micros(microseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Child {
        Child::start(Run::new("sh").args(["-c", script]), Stdout::Read).unwrap()
    }

    #[test]
    fn a_line_of_either_stream_is_waited_for() {
        let child = shell("echo one; echo two >&2; read x");
        assert!(
            child
                .wait_for(|line| line == "one", LONG)
                .unwrap()
                .is_some()
        );
        assert!(
            child
                .wait_for(|line| line == "two", LONG)
                .unwrap()
                .is_some()
        );
        let ended = child.finish(LONG);
        assert!(ended.unwrap_err().to_string().contains("it failed"));
    }

    #[test]
    fn what_ends_without_the_line_is_quoted() {
        let child = shell("echo no such probe >&2");
        let error = child.wait_for(|line| line == "ready", LONG).unwrap_err();
        assert_eq!(error.to_string(), "it ended: no such probe");
    }

    #[test]
    fn time_is_limited_and_dropping_ends_it() {
        let child = shell("echo ready; exec sleep 1000");
        assert!(
            child
                .wait_for(|line| line == "ready", LONG)
                .unwrap()
                .is_some()
        );
        let pid = child.child.as_ref().unwrap().id();
        let waited = child.wait_for(|line| line == "never", Duration::from_millis(1));
        assert_eq!(waited.unwrap(), None);
        let error = child.finish(Duration::from_millis(1)).unwrap_err();
        assert!(error.to_string().contains("had not ended"), "{error}");
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn what_it_took_is_known_at_its_end() {
        let ended = shell("echo done").finish(LONG).unwrap();
        assert_eq!(ended.lines, ["done"]);
        assert!(ended.peak_memory_bytes > 100_000, "{ended:?}");
    }
}
