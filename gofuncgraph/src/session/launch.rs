//! Launching a program with probes in place before its first instruction.
//!
//! A child is forked and waits on a pipe. Links are made for its id; then it is let go, and
//! executes the program. The kernel's filter asks for the memory that the child has at the
//! moment (Linux: kernel/trace/bpf_trace.c, `uprobe_multi_link_filter`), and execve gives it the
//! new memory before the file is mapped there, which is when breakpoints are written: nothing of
//! the program runs without them, and nobody has to stop it (ptrace would, and would be in the
//! way of debuggers). Only the leader of a process may execute for this, which the child is.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread::{self, JoinHandle};

use rustix::fs::{Access, access};

use super::SessionError;
use super::command_signals::{CommandPhase, SignalMask};
use super::named_process::NamedProcess;
use super::notice::notice;
use super::process_error::ProcessError;
use super::target_file::TargetFile;

/// Where commands are looked for if the environment does not say (glibc: posix/execvpe.c).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A program to launch.
pub(super) struct Launch {
    path: PathBuf,
    words: Vec<OsString>,
}

/// A process that will execute the program. Dropping it instead ends it.
pub(super) struct Prepared {
    /// Of the process.
    pub(super) pid: u32,
    path: PathBuf,
    /// Closed: the process gives up.
    gate: Option<io::PipeWriter>,
    spawning: Option<JoinHandle<io::Result<Child>>>,
}

impl Launch {
    /// Finds what `words` would execute, as execvp(3) does, and opens it.
    pub(super) fn find(words: &[OsString]) -> Result<(Self, TargetFile), SessionError> {
        let name = words.first().map(OsString::as_os_str).unwrap_or_default();
        let path = find_in_path(name)?;
        let file = TargetFile::open(&path)?;
        if let Some(interpreter) = interpreter(file.bytes()) {
            return Err(ProcessError::Script { path, interpreter }.into());
        }
        if access(&path, Access::EXEC_OK).is_err() {
            return Err(ProcessError::NotExecutable { path }.into());
        }
        let words = words.to_vec();
        Ok((Self { path, words }, file))
    }

    /// Where the program is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the process, which will have `mask`.
    pub(super) fn prepare(&self, mask: SignalMask) -> Result<Prepared, SessionError> {
        let failed = |source| SessionError::from(self.failed(source));
        let (gate_reader, gate) = io::pipe().map_err(failed)?;
        let (mut pid_reader, pid_writer) = io::pipe().map_err(failed)?;
        let mut command = Command::new(&self.path);
        if let Some((name, arguments)) = self.words.split_first() {
            command.arg0(name).args(arguments);
        }
        let gates_descriptor = gate.as_raw_fd();
        // SAFETY: the closure makes system calls only; it neither allocates nor locks. The
        // descriptor that it closes is the child's own copy.
        unsafe {
            command.pre_exec(move || {
                libc::close(gates_descriptor);
                mask.set()?;
                (&pid_writer).write_all(&std::process::id().to_ne_bytes())?;
                let mut byte = [0];
                match (&gate_reader).read(&mut byte) {
                    Ok(1) => Ok(()),
                    Ok(_) => Err(io::Error::from_raw_os_error(libc::ECANCELED)),
                    Err(error) => Err(error),
                }
            });
        }
        // It returns when the program was executed.
        let spawning = thread::Builder::new()
            .name("launcher".to_owned())
            .spawn(move || command.spawn())
            .map_err(failed)?;
        let mut prepared = Prepared {
            pid: 0,
            path: self.path.clone(),
            gate: Some(gate),
            spawning: Some(spawning),
        };
        let mut pid = [0; 4];
        match pid_reader.read_exact(&mut pid) {
            Ok(()) => prepared.pid = u32::from_ne_bytes(pid),
            // The fork failed, and the thread says why.
            Err(error) => {
                let told = prepared.outcome();
                return Err(failed(told.err().unwrap_or(error)));
            }
        }
        Ok(prepared)
    }

    fn failed(&self, source: io::Error) -> ProcessError {
        ProcessError::Launch {
            path: self.path.clone(),
            source,
        }
    }
}

impl Prepared {
    /// The process, to see when it ends.
    pub(super) fn process(&self) -> Result<NamedProcess, SessionError> {
        NamedProcess::open(self.pid)
    }

    /// Lets it execute the program. From now on signals are for that.
    pub(super) fn run(mut self, phase: &CommandPhase) -> Result<Launched, SessionError> {
        phase.set_running(self.pid, self.process()?.handle);
        let let_go = match self.gate.take() {
            Some(mut gate) => gate.write_all(&[1]),
            None => Ok(()),
        };
        let child = self.outcome();
        let child = let_go.and(child).map_err(|source| {
            let path = self.path.clone();
            ProcessError::Launch { path, source }
        })?;
        Ok(Launched {
            child,
            path: self.path.clone(),
            phase: phase.clone(),
        })
    }

    fn outcome(&mut self) -> io::Result<Child> {
        let thread = self.spawning.take().map(JoinHandle::join);
        match thread {
            Some(Ok(outcome)) => outcome,
            _ => Err(io::Error::other("the thread that launches it failed")),
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        self.gate = None;
        // The thread waits for the process, which has seen that the gate is closed.
        let _ = self.outcome();
    }
}

/// The program, launched.
pub(super) struct Launched {
    child: Child,
    path: PathBuf,
    phase: CommandPhase,
}

impl Launched {
    /// Waits until it has ended: it may be using the terminal, which a shell would take away.
    /// Gives its status as shells tell it.
    pub(super) fn wait(mut self, traced: &Result<(), SessionError>) -> Result<u8, SessionError> {
        let failed = |source| SessionError::Setup {
            what: "waiting for the program that was launched",
            source,
        };
        if self.child.try_wait().map_err(failed)?.is_none() {
            let program = self.path.display();
            match traced {
                Ok(()) => notice(format_args!(
                    "{program} goes on without probes: waiting until it ends"
                )),
                Err(error) => notice(format_args!(
                    "gofuncgraph: {error}; {program} goes on: waiting until it ends"
                )),
            }
        }
        let status = self.child.wait().map_err(failed)?;
        self.phase.set_ended();
        Ok(shell_status(status))
    }
}

/// The status that a shell tells of a process.
pub(super) fn shell_status(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    // A status has eight bits, and signals end at 64.
    code as u8
}

fn find_in_path(name: &OsStr) -> Result<PathBuf, SessionError> {
    let no_such_command = || ProcessError::NoSuchCommand {
        name: name.to_owned(),
    };
    if name.is_empty() {
        return Err(no_such_command().into());
    }
    if name.as_encoded_bytes().contains(&b'/') {
        return Ok(PathBuf::from(name));
    }
    let folders = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let mut forbidden = None;
    for folder in std::env::split_paths(&folders) {
        // An empty entry is the current directory.
        let path = if folder.as_os_str().is_empty() {
            Path::new(".").join(name)
        } else {
            folder.join(name)
        };
        if !path.is_file() {
            continue;
        }
        if access(&path, Access::EXEC_OK).is_ok() {
            return Ok(path);
        }
        forbidden.get_or_insert(path);
    }
    Err(match forbidden {
        Some(path) => ProcessError::NotExecutable { path },
        None => no_such_command(),
    }
    .into())
}

/// What the first line of a script names.
fn interpreter(bytes: &[u8]) -> Option<String> {
    let line = bytes.strip_prefix(b"#!")?;
    let line = line.split(|&byte| byte == b'\n').next()?;
    let text = String::from_utf8_lossy(line.get(..line.len().min(128))?);
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_shells() {
        assert_eq!(shell_status(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(shell_status(ExitStatus::from_raw(15)), 143);
        assert_eq!(shell_status(ExitStatus::from_raw(0)), 0);
    }

    #[test]
    fn scripts_name_their_interpreter() {
        let named = interpreter(b"#! /usr/bin/env bash\nexec x\n");
        assert_eq!(named.as_deref(), Some("/usr/bin/env bash"));
        assert_eq!(interpreter(b"#!/bin/sh").as_deref(), Some("/bin/sh"));
        assert_eq!(interpreter(b"\x7fELF"), None);
    }

    #[test]
    fn commands_are_found_in_path() {
        let found = find_in_path(OsStr::new("sh")).expect("every system has one");
        assert!(found.ends_with("sh") && found.is_absolute(), "{found:?}");
        assert_eq!(
            find_in_path(OsStr::new("./sh")).expect("it is a path"),
            Path::new("./sh")
        );
        let missing = find_in_path(OsStr::new("no-such-command-anywhere"));
        let message = missing.expect_err("it is nowhere").to_string();
        assert!(message.contains("no-such-command-anywhere"), "{message}");
    }
}
