use std::fs;

use super::target_file::FileIdentity;

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
