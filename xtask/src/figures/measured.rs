//! What a child process took.

use std::fs::File;
use std::mem::MaybeUninit;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::Run;

/// What a process took from its start to its end.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Wall time, which on a busy machine says little.
    pub wall: Duration,
    /// Time on any CPU, in the program and in the kernel.
    pub cpu: Duration,
    /// The most memory that was resident, of this process too until it became the child.
    pub peak_bytes: u64,
}

/// Where a process's standard output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// `/dev/null`.
    Nothing,
    /// A pipe to `cat`, which writes to `/dev/null`.
    Pipe,
}

/// Runs a command to its end; fails if it fails.
pub fn run(run: Run, sink: Sink) -> Result<Taken> {
    let line = run.line();
    let mut command = run.into_command();
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let mut cat = None;
    match sink {
        Sink::Nothing => {
            command.stdout(Stdio::null());
        }
        Sink::Pipe => {
            let mut child = Command::new("cat")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .context("cannot start `cat`")?;
            let stdin = child.stdin.take().context("`cat` has no pipe")?;
            command.stdout(Stdio::from(stdin));
            cat = Some(child);
        }
    }
    let begun = Instant::now();
    let child = command
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    // Else `cat` would wait for this process's end of the pipe.
    drop(command);
    let (status, usage) = wait(child.id()).with_context(|| format!("cannot wait for `{line}`"))?;
    let wall = begun.elapsed();
    if let Some(mut cat) = cat {
        cat.wait().context("cannot wait for `cat`")?;
    }
    if status != 0 {
        bail!("`{line}` failed (wait status {status})");
    }
    let time = |time: libc::timeval| {
        Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0))
            + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
    };
    Ok(Taken {
        wall,
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        peak_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) << 10,
    })
}

/// Waits for a child of this process, and gives its status and what it used.
fn wait(pid: u32) -> Result<(i32, libc::rusage)> {
    let pid = libc::pid_t::try_from(pid).context("no process has such an id")?;
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are to live variables of the types that wait4(2) writes.
        let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
        if waited == pid {
            break;
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error.into());
        }
    }
    // SAFETY: numbers, of which all zeroes are some.
    Ok((status, unsafe { usage.assume_init() }))
}

/// Runs a command whose standard output becomes a file; gives what it wrote to standard error.
pub fn run_into(run: Run, file: File) -> Result<String> {
    let line = run.line();
    eprintln!("$ {line}");
    let output = run
        .into_command()
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .with_context(|| format!("cannot run `{line}`"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!("`{line}` failed ({}):\n{said}", output.status);
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_memory_of_a_child_are_its_own() {
        let script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo x";
        for sink in [Sink::Nothing, Sink::Pipe] {
            let taken = run(Run::new("sh").args(["-c", script]), sink).unwrap();
            assert!(taken.cpu > Duration::ZERO, "{taken:?}");
            assert!(taken.peak_bytes > 100_000, "{taken:?}");
        }
    }

    #[test]
    fn a_failure_is_one() {
        let error = run(Run::new("sh").args(["-c", "exit 3"]), Sink::Nothing).unwrap_err();
        assert!(error.to_string().contains("exit 3"), "{error}");
    }

    #[test]
    fn what_goes_to_both_streams_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let file = File::create(&path).unwrap();
        let said = run_into(Run::new("sh").args(["-c", "echo a; echo b >&2"]), file).unwrap();
        assert_eq!(said, "b\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\n");
    }
}
