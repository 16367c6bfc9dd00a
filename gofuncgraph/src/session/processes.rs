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
    let sees_all = fs::metadata("/proc/self/ns/pid")
        .is_ok_and(|namespace| namespace.ino() == INITIAL_PID_NAMESPACE);
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    sees_all && pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

/// Whether a process that this one may look at is seen to run the file now.
pub(super) fn is_seen_running(file: FileIdentity) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    processes.flatten().any(|process| {
        let is_process = process
            .file_name()
            .to_str()
            .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        is_process
            && fs::metadata(process.path().join("exe"))
                .is_ok_and(|executable| FileIdentity::of(&executable) == file)
    })
}
