//! The file's code in this process.

use std::io;
use std::os::fd::BorrowedFd;

use super::KernelError;

/// A private executable mapping of the part of a file that probes go to.
pub(super) struct CodeMapping {
    address: *mut std::ffi::c_void,
    length_bytes: usize,
}

impl CodeMapping {
    /// Maps what is between the first and the last of `offsets`; `None` if there are none.
    pub(super) fn of(file: BorrowedFd<'_>, offsets: &[u64]) -> Result<Option<Self>, KernelError> {
        let (Some(&first), Some(&last)) = (offsets.iter().min(), offsets.iter().max()) else {
            return Ok(None);
        };
        let page_bytes = rustix::param::page_size() as u64;
        let start = first / page_bytes * page_bytes;
        let map_error = |source| KernelError::MapCode { source };
        let length_bytes = usize::try_from(last - start + 1)
            .map_err(|_| map_error(io::Error::from(io::ErrorKind::InvalidInput)))?;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory of ours.
        let address = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                length_bytes,
                rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::EXEC,
                rustix::mm::MapFlags::PRIVATE,
                file,
                start,
            )
        }
        .map_err(|error| map_error(error.into()))?;
        Ok(Some(Self {
            address,
            length_bytes,
        }))
    }
}

impl Drop for CodeMapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `of`, and no reference into it exists.
        let _ = unsafe { rustix::mm::munmap(self.address, self.length_bytes) };
    }
}
