//! The executable that a process runs.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::SessionError;

/// The executable of the process `pid`, open for reading, and its path for messages.
///
/// `/proc/PID/exe` leads to the file itself: also if it was deleted or replaced since, and if it is
/// in another mount namespace, where its path means another file or none.
///
/// # Errors
/// [`SessionError::Process`]: there is no such process, it has no executable (a kernel thread, or
/// one that has ended but was not waited for), or it may not be looked at.
pub(super) fn open(pid: u32) -> Result<(File, PathBuf), SessionError> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let link = folder.join("exe");
    let path = fs::read_link(&link).map_err(|source| explain(pid, source))?;
    let file = File::open(&link).map_err(|source| explain(pid, source))?;
    Ok((file, path))
}

/// A path of /proc/PID/exe as the file was called: if it was deleted the kernel says so behind it.
pub(super) fn without_mark(path: PathBuf) -> PathBuf {
    match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(name) => PathBuf::from(OsStr::from_bytes(name)),
        None => path,
    }
}

/// Why there is no more to be had of a process, by what the system answered.
pub(super) fn explain(pid: u32, source: io::Error) -> SessionError {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let folder = folder.as_path();
    let source = match source.raw_os_error() {
        // Of no process.
        Some(libc::ESRCH) => io::Error::from(io::ErrorKind::NotFound),
        _ => source,
    };
    let problem = match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "it is not yours to look at: run as root, or as the user that runs it; in a container \
             that takes CAP_SYS_PTRACE"
                .to_owned()
        }
        _ if !folder.exists() => "there is no such process; it may have ended".to_owned(),
        io::ErrorKind::NotFound => match state_of(folder) {
            Some('Z' | 'X') => "it has ended already".to_owned(),
            _ => "it runs no executable file: it is a thread of the kernel".to_owned(),
        },
        _ => format!("its executable cannot be read: {source}"),
    };
    SessionError::Process {
        pid,
        problem,
        source,
    }
}

/// The letter behind the name in `/proc/PID/stat`, for instance `Z` for a process that has ended.
fn state_of(folder: &Path) -> Option<char> {
    let line = fs::read_to_string(folder.join("stat")).ok()?;
    let (_, rest) = line.rsplit_once(')')?;
    rest.trim_start().chars().next()
}
