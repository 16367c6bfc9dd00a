use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use memmap2::{Mmap, UncheckedAdvice};

use super::{SessionError, process_file};

/// The executable, open and mapped for reading.
pub(super) struct TargetFile {
    file: File,
    bytes: Option<Mmap>,
    identity: FileIdentity,
}

/// Tells two files apart, whatever their paths are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    pub(super) fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

impl TargetFile {
    pub(super) fn open(path: &Path) -> Result<Self, SessionError> {
        let open_error = |source: io::Error| SessionError::Open {
            path: path.to_owned(),
            source,
        };
        // Before opening, which would wait for a writer if it is a pipe.
        let file_type = std::fs::metadata(path).map_err(open_error)?.file_type();
        if !file_type.is_file() {
            return Err(SessionError::NotAFile {
                path: path.to_owned(),
                kind: if file_type.is_dir() {
                    "a directory"
                } else if file_type.is_fifo() || file_type.is_socket() {
                    "a pipe or socket"
                } else {
                    "a device"
                },
            });
        }
        let file = File::open(path).map_err(open_error)?;
        Self::map(file).map_err(open_error)
    }

    /// What the process `pid` runs, and its path for messages.
    pub(super) fn of_process(pid: u32) -> Result<(Self, PathBuf), SessionError> {
        let (file, path) = process_file::open(pid)?;
        match Self::map(file) {
            Ok(file) => Ok((file, path)),
            Err(source) => Err(SessionError::Open { path, source }),
        }
    }

    /// What is open already.
    pub(super) fn map(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let bytes = (metadata.len() != 0)
            .then(|| {
                // SAFETY: the mapping is only read. Who cuts the file shorter while it is mapped
                // ends this process by a signal, which takes all probes away; running executables
                // cannot be written to (ETXTBSY).
                unsafe { Mmap::map(&file) }
            })
            .transpose()?;
        Ok(Self {
            file,
            bytes,
            identity: FileIdentity::of(&metadata),
        })
    }

    /// The whole file. The mapping is shared, so the kernel puts no breakpoints into it.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }

    /// Gives the memory back that reading the file took: the kernel reads again what is needed.
    pub(super) fn release_memory(&self) {
        if let Some(bytes) = &self.bytes {
            // SAFETY: the mapping is shared and never written to, so its pages are the file's,
            // before and after. Where the kernel does not take the advice nothing is lost.
            let _ = unsafe { bytes.unchecked_advise(UncheckedAdvice::DontNeed) };
        }
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub(super) fn identity(&self) -> FileIdentity {
        self.identity
    }
}
