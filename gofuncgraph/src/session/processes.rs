use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::target_file::FileIdentity;

/// Number of the initial pid namespace (Linux: include/linux/proc_ns.h, PROC_PID_INIT_INO).
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// Whether the process with `pid` in the initial pid namespace is certainly gone. In another
/// namespace that cannot be told.
pub(super) fn is_gone(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    sees_all() && pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

/// Whether this process is in the initial pid namespace.
pub(super) fn sees_all() -> bool {
    fs::metadata("/proc/self/ns/pid")
        .is_ok_and(|namespace| namespace.ino() == INITIAL_PID_NAMESPACE)
}

/// The ids of all processes that /proc shows.
pub(super) fn ids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What the process `pid` runs; `None` if it may not be looked at, or has ended.
pub(super) fn runs(pid: u32) -> Option<FileIdentity> {
    let executable = fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    Some(FileIdentity::of(&executable))
}

/// Whether a process that this one may look at is seen to run the file now.
pub(super) fn is_seen_running(file: FileIdentity) -> bool {
    ids().any(|pid| runs(pid) == Some(file))
}
