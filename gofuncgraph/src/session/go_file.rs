//! The file of a process that Go has built: its executable, or a library that it has loaded.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::binary::{BinaryError, GoBinary};

use super::SessionError;
use super::process_error::ProcessError;
use super::process_file::without_mark;
use super::target_file::{FileIdentity, TargetFile};

/// What of a process can be traced.
pub(super) struct GoFile {
    pub(super) file: TargetFile,
    /// For messages.
    pub(super) path: PathBuf,
    /// What the process executes, if that is not built by Go: then `file` is a library.
    pub(super) host: Option<(FileIdentity, PathBuf)>,
}

impl GoFile {
    /// Of the process `pid`. If nothing of it is built by Go, that is its executable, which is then
    /// refused with a reason.
    ///
    /// # Errors
    /// [`SessionError::Process`], and [`ProcessError::SeveralLibraries`].
    pub(super) fn of_process(pid: u32) -> Result<Self, SessionError> {
        let (file, path) = TargetFile::of_process(pid)?;
        let executable = |file, path| Self {
            file,
            path,
            host: None,
        };
        if is_of_go(&file) {
            return Ok(executable(file, path));
        }
        // Where they cannot be looked at there are none.
        let maps = fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
        let mut libraries: Vec<(TargetFile, PathBuf)> = mapped_code(&maps)
            .into_iter()
            .filter_map(|mapped| Some((mapped.open(pid)?, mapped.path)))
            .filter(|(library, _)| library.identity() != file.identity() && is_of_go(library))
            .collect();
        match (libraries.pop(), libraries.is_empty()) {
            (None, _) => Ok(executable(file, path)),
            (Some((library, library_path)), true) => Ok(Self {
                file: library,
                path: library_path,
                host: Some((file.identity(), without_mark(path))),
            }),
            (Some(last), false) => {
                libraries.push(last);
                Err(ProcessError::SeveralLibraries {
                    pid,
                    path,
                    libraries: libraries.into_iter().map(|(_, path)| path).collect(),
                }
                .into())
            }
        }
    }
}

fn is_of_go(file: &TargetFile) -> bool {
    let parsed = GoBinary::parse(file.bytes());
    !matches!(parsed, Err(BinaryError::NotGo | BinaryError::NotElf { .. }))
}

/// A file of which a process has mapped code.
#[derive(Debug, PartialEq, Eq)]
struct MappedCode {
    /// Of the first such mapping, as `/proc/PID/map_files` names it.
    range: String,
    device: String,
    inode: u64,
    path: PathBuf,
}

impl MappedCode {
    /// The file itself where the kernel gives it away; else what is at its path in the process's
    /// mount namespace, if that is the same file.
    fn open(&self, pid: u32) -> Option<TargetFile> {
        let below_root = self.path.strip_prefix("/").unwrap_or(&self.path);
        let places = [
            Path::new(&format!("/proc/{pid}/map_files")).join(&self.range),
            Path::new(&format!("/proc/{pid}/root")).join(below_root),
        ];
        places.iter().find_map(|place| {
            // What is no plain file may do something when it is opened.
            let metadata = fs::metadata(place).ok()?;
            if !metadata.is_file() || metadata.ino() != self.inode {
                return None;
            }
            TargetFile::map(File::open(place).ok()?).ok()
        })
    }
}

/// The files of which `maps`, a `/proc/PID/maps`, has executable mappings (Linux:
/// Documentation/filesystems/proc.rst), each once.
fn mapped_code(maps: &[u8]) -> Vec<MappedCode> {
    let mut found: Vec<MappedCode> = Vec::new();
    for line in maps.split(|&byte| byte == b'\n') {
        if let Some(mapped) = mapped_file(line)
            && !found
                .iter()
                .any(|known| (&known.device, known.inode) == (&mapped.device, mapped.inode))
        {
            found.push(mapped);
        }
    }
    found
}

/// `range permissions offset device inode path`, of a file's code.
fn mapped_file(line: &[u8]) -> Option<MappedCode> {
    let path_at = line.iter().position(|&byte| byte == b'/')?;
    let (fields, path) = line.split_at_checked(path_at)?;
    let mut fields = str::from_utf8(fields).ok()?.split_ascii_whitespace();
    let (low, high) = fields.next()?.split_once('-')?;
    if fields.next()?.as_bytes().get(2) != Some(&b'x') {
        return None;
    }
    let without_zeros = |address: &str| {
        let address = u64::from_str_radix(address, 16).ok()?;
        Some(format!("{address:x}"))
    };
    Some(MappedCode {
        range: format!("{}-{}", without_zeros(low)?, without_zeros(high)?),
        device: fields.nth(1)?.to_owned(),
        inode: fields.next()?.parse().ok()?,
        path: without_mark(PathBuf::from(OsStr::from_bytes(path))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_with_code_are_found_once() {
        let maps = b"\
00400000-00452000 r-xp 00000000 08:02 173521                             /usr/bin/my server\n\
7f0-7f1 r--p 00000000 08:02 7 /lib/data.so\n\
35b1800000-35b1820000 r-xp 00000000 08:02 135522   /lib/a.so (deleted)\n\
35b1a00000-35b1a20000 r-xp 00020000 08:02 135522   /lib/a.so (deleted)\n\
7ffc0000-7ffc1000 r-xp 00000000 00:00 0                                  [vdso]\n\
nonsense /x\n";
        let mapped = |range: &str, inode, path| MappedCode {
            range: range.to_owned(),
            device: "08:02".to_owned(),
            inode,
            path: PathBuf::from(path),
        };
        assert_eq!(
            mapped_code(maps),
            [
                mapped("400000-452000", 173_521, "/usr/bin/my server"),
                mapped("35b1800000-35b1820000", 135_522, "/lib/a.so"),
            ]
        );
    }

    #[test]
    fn the_code_of_this_process_can_be_opened() {
        let own = std::process::id();
        let maps = fs::read("/proc/self/maps").expect("it can be read");
        let mapped = mapped_code(&maps);
        let executable = std::env::current_exe().expect("there is one");
        let of_executable = mapped.iter().find(|mapped| mapped.path == executable);
        let opened = of_executable.and_then(|mapped| mapped.open(own));
        let opened = opened.expect("it is there");
        let expected = TargetFile::open(&executable).expect("it is there");
        assert_eq!(opened.identity(), expected.identity());
        // No library of a Rust program is built by Go.
        let file = GoFile::of_process(own).expect("it is ours");
        assert!(file.host.is_none());
    }
}
