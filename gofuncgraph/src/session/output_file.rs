//! Files that are written, and whom they belong to.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::fchown;
use std::path::Path;

/// The file `path`, empty and open for writing. One that was not there before belongs, under
/// sudo, to the user who called it.
///
/// # Errors
/// The kernel's. That the owner cannot be changed, as on a file system that has none, is none.
pub(super) fn create(path: &Path) -> io::Result<File> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => {
            let is_root = rustix::process::geteuid().is_root();
            if let Some(caller) = Caller::of_sudo(std::env::var_os)
                && is_root
            {
                let _ = fchown(&file, Some(caller.user), Some(caller.group));
            }
            Ok(file)
        }
        // Also a link to a file that is not there yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => File::create(path),
        Err(error) => Err(error),
    }
}

/// Writes `bytes` to the file `path`, which is made as [`create`] makes it.
///
/// # Errors
/// The kernel's.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    io::Write::write_all(&mut create(path)?, bytes)
}

/// Who called sudo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Caller {
    user: u32,
    group: u32,
}

impl Caller {
    /// As sudo tells what it runs (sudo(8), ENVIRONMENT).
    fn of_sudo(variable: impl Fn(&'static str) -> Option<OsString>) -> Option<Self> {
        let id = |name| variable(name)?.to_str()?.parse().ok();
        Some(Self {
            user: id("SUDO_UID")?,
            group: id("SUDO_GID")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(user: Option<&str>, group: Option<&str>) -> Option<Caller> {
        Caller::of_sudo(|name| {
            let value = if name == "SUDO_UID" { user } else { group };
            value.map(OsString::from)
        })
    }

    #[test]
    fn the_caller_is_known_by_both_numbers() {
        let expected = Caller {
            user: 1000,
            group: 100,
        };
        assert_eq!(caller(Some("1000"), Some("100")), Some(expected));
        assert_eq!(caller(Some("1000"), None), None);
        assert_eq!(caller(None, Some("100")), None);
        assert_eq!(caller(Some("me"), Some("100")), None);
        assert_eq!(caller(Some("-1"), Some("100")), None);
    }

    #[test]
    fn what_was_there_is_made_empty() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        write(&path, b"first").unwrap();
        write(&path, b"2").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"2");
    }
}
