use std::fs;

use super::target_file::FileIdentity;

/// Whether a process that this one may look at runs the file now. `None` if that cannot be found
/// out.
pub(super) fn is_running(file: FileIdentity) -> Option<bool> {
    let processes = fs::read_dir("/proc").ok()?;
    let mut everything_seen = true;
    for process in processes.flatten() {
        let is_process = process
            .file_name()
            .to_str()
            .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        if !is_process {
            continue;
        }
        match fs::metadata(process.path().join("exe")) {
            Ok(executable) if FileIdentity::of(&executable) == file => return Some(true),
            Ok(_) => {}
            // Kernel threads have no executable, and processes come and go.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(_) => everything_seen = false,
        }
    }
    everything_seen.then_some(false)
}
