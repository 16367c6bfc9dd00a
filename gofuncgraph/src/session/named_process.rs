//! Processes that were chosen one by one.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::go_file::GoFile;
use super::process_error::ProcessError;
use super::processes::{self, sees_all};
use super::target_file::{FileIdentity, TargetFile};
use super::{SessionError, process_file};

/// Candidates for a name that are told.
const LISTED_CANDIDATES: usize = 10;

/// The longest name in /proc/PID/comm (Linux: include/linux/sched.h, TASK_COMM_LEN, less a NUL).
const COMM_BYTES: usize = 15;

/// A process, told from any that gets its id later.
pub(super) struct NamedProcess {
    /// In this process's pid namespace.
    pub(super) pid: u32,
    /// Readable once the process has ended.
    pub(super) handle: OwnedFd,
    /// What it executes, if that is not the file that is traced, which is a library then.
    pub(super) host: Option<(FileIdentity, PathBuf)>,
}

impl NamedProcess {
    /// The process `id`, or the one that has a thread of this id.
    pub(super) fn open(id: u32) -> Result<Self, SessionError> {
        let pid = thread_group(id).unwrap_or(id);
        let handle = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or(rustix::io::Errno::SRCH)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
        match handle {
            Ok(handle) => Ok(Self {
                pid,
                handle,
                host: None,
            }),
            Err(error) => Err(process_file::explain(pid, error.into())),
        }
    }

    /// Another handle of the same process.
    pub(super) fn try_clone(&self) -> Result<Self, SessionError> {
        let handle = self.handle.try_clone();
        match handle {
            Ok(handle) => Ok(Self {
                pid: self.pid,
                handle,
                host: self.host.clone(),
            }),
            Err(source) => Err(SessionError::Setup {
                what: "waiting for processes",
                source,
            }),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        let mut descriptors = [PollFd::new(&self.handle, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut descriptors, Some(&now)).is_ok_and(|ready| ready != 0)
    }
}

/// The processes, the file that all of them run or have loaded, and its path for messages.
pub(super) fn open_all(
    ids: &[u32],
) -> Result<(Vec<NamedProcess>, TargetFile, PathBuf), SessionError> {
    check_proc()?;
    let mut processes: Vec<NamedProcess> = Vec::new();
    let mut common: Option<(TargetFile, PathBuf)> = None;
    for &id in ids {
        let mut process = NamedProcess::open(id)?;
        // Threads of one process may have been named.
        if processes.iter().any(|known| known.pid == process.pid) {
            continue;
        }
        check_namespace(process.pid)?;
        let GoFile { file, path, host } = GoFile::of_process(process.pid)?;
        process.host = host;
        match (&common, processes.first()) {
            (Some((known, known_path)), Some(first)) if known.identity() != file.identity() => {
                return Err(ProcessError::DifferentFiles {
                    first: first.pid,
                    first_path: known_path.clone(),
                    second: process.pid,
                    second_path: path,
                }
                .into());
            }
            (Some(_), _) => {}
            (None, _) => common = Some((file, path)),
        }
        processes.push(process);
    }
    let (file, path) = common.ok_or_else(|| {
        let nobody = io::Error::from(io::ErrorKind::NotFound);
        process_file::explain(0, nobody)
    })?;
    Ok((processes, file, path))
}

/// The only process that is called `name`.
pub(super) fn find(name: &str) -> Result<u32, SessionError> {
    check_proc()?;
    let own = std::process::id();
    let mut found: Vec<u32> = processes::ids()
        .filter(|&pid| pid != own && is_called(pid, name))
        .collect();
    found.sort_unstable();
    match found[..] {
        [pid] => Ok(pid),
        [] => Err(ProcessError::NoneNamed {
            name: name.to_owned(),
        }
        .into()),
        _ => Err(ProcessError::SeveralNamed {
            name: name.to_owned(),
            count: found.len(),
            candidates: candidates(&found),
        }
        .into()),
    }
}

/// By the base name of the file that it runs, of its first argument, or by what it calls itself.
fn is_called(pid: u32, name: &str) -> bool {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let is_base_name = |path: &Path| path.file_name() == Some(OsStr::new(name));
    let comm = fs::read(folder.join("comm")).unwrap_or_default();
    let comm = comm.strip_suffix(b"\n").unwrap_or(&comm);
    // A longer name was cut there, and the other two tell.
    if comm.len() <= COMM_BYTES && comm == name.as_bytes() {
        return true;
    }
    let runs = fs::read_link(folder.join("exe"));
    if runs.is_ok_and(|path| is_base_name(&process_file::without_mark(path))) {
        return true;
    }
    let arguments = fs::read(folder.join("cmdline")).unwrap_or_default();
    let first = arguments.split(|&byte| byte == 0).next();
    first.is_some_and(|first| is_base_name(Path::new(OsStr::from_bytes(first))))
}

/// Processes with their arguments, each on a line.
fn candidates(pids: &[u32]) -> String {
    let mut text = String::new();
    for pid in pids.iter().take(LISTED_CANDIDATES) {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        let shown: String = arguments
            .chars()
            .map(|letter| if letter.is_control() { '?' } else { letter })
            .take(80)
            .collect();
        text.push_str(&format!("\n  {pid}  {}", shown.trim_end()));
    }
    if pids.len() > LISTED_CANDIDATES {
        text.push_str("\n  ...");
    }
    text
}

/// The process that the thread `id` belongs to.
fn thread_group(id: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    line.trim().parse().ok()
}

/// Numbers in /proc have to mean what system calls take them for.
fn check_proc() -> Result<(), SessionError> {
    let own = fs::read_link("/proc/self");
    let is_own = own.is_ok_and(|own| own.as_os_str() == std::process::id().to_string().as_str());
    if is_own {
        Ok(())
    } else {
        Err(ProcessError::ForeignProc.into())
    }
}

/// The programs in the kernel know processes by the number that they have in their own namespace,
/// or in the initial one.
fn check_namespace(pid: u32) -> Result<(), SessionError> {
    let own = fs::metadata("/proc/self/ns/pid").map(|it| it.ino());
    let others = fs::metadata(format!("/proc/{pid}/ns/pid")).map(|it| it.ino());
    match (own, others) {
        (Ok(own), Ok(others)) if own != others && !sees_all() => {
            Err(ProcessError::OtherNamespace { pid }.into())
        }
        // What cannot be looked at is refused later, with a better reason.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_names_its_process() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let thread = rustix::thread::gettid().as_raw_nonzero().get();
                let opened = NamedProcess::open(thread.cast_unsigned()).expect("it runs");
                assert_ne!(thread.cast_unsigned(), std::process::id());
                assert_eq!(opened.pid, std::process::id());
                assert!(!opened.has_ended());
            });
        });
    }

    #[test]
    fn a_process_is_called_by_its_file_and_its_arguments() {
        let own = std::process::id();
        let file = std::env::current_exe().expect("there is one");
        let name = file.file_name().expect("it is a file").to_string_lossy();
        assert!(is_called(own, &name));
        assert!(!is_called(own, "no-such-name"));
        assert!(!is_called(own, ""));
    }
}
