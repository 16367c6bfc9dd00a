//! Code that stands for a traced program while its probes' costs are measured.

use std::ffi::c_void;
use std::io::{self, Write};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::MemfdFlags;
use rustix::mm::{MapFlags, ProtFlags};

use crate::binary::FileOffset;

/// Of mmap: below 2 GiB (Linux: arch/x86/include/uapi/asm/mman.h).
const MAP_32BIT: u32 = 0x40;

/// A loop that calls a function which does nothing, with the current g where Go has it:
/// `extern "C" fn(calls: u64, g: *const u64)`.
#[rustfmt::skip]
const LOOP: [u8; 19] = [
    0x41, 0x56,                   //        push %r14
    0x49, 0x89, 0xf6,             //        mov  %rsi, %r14
    0xe8, 0x16, 0x00, 0x00, 0x00, // again: call function
    0x90,                         //        nop
    0x48, 0xff, 0xcf,             //        dec  %rdi
    0x75, 0xf5,                   //        jnz  again
    0x41, 0x5e,                   //        pop  %r14
    0xc3,                         //        ret
];
/// Where the call returns to: an instruction that the kernel emulates.
const RETURN_SITE: u64 = 10;

/// The function: an emulated entry, a stepped instruction, and a RET.
#[rustfmt::skip]
const FUNCTION: [u8; 3] = [
    0x55, // push %rbp
    0x5d, // pop  %rbp
    0xc3, // ret
];
/// Relative to the loop.
const FUNCTION_START: u64 = 32;
const FUNCTION_STEPPED: u64 = FUNCTION_START + 1;
const FUNCTION_RETURN: u64 = FUNCTION_START + 2;

/// Bytes of a copy of both.
const COPY_BYTES: u64 = 64;

/// One of several copies of the same code, so that each has probes of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copy(pub(super) u64);

impl Copy {
    fn place(self, offset: u64) -> FileOffset {
        FileOffset(self.0 * COPY_BYTES + offset)
    }

    /// The function's first instruction.
    pub(super) fn entry(self) -> FileOffset {
        self.place(FUNCTION_START)
    }

    /// An instruction of the function that is single-stepped, with one word more on the stack.
    pub(super) fn stepped(self) -> FileOffset {
        self.place(FUNCTION_STEPPED)
    }

    /// The function's RET.
    pub(super) fn ret(self) -> FileOffset {
        self.place(FUNCTION_RETURN)
    }

    /// What the call returns to.
    pub(super) fn return_site(self) -> FileOffset {
        self.place(RETURN_SITE)
    }
}

/// The code, in memory of this process that is a file, too, because probes are put into files. No
/// other process has it.
pub(super) struct Code {
    file: OwnedFd,
    address: *mut c_void,
    length_bytes: usize,
}

impl Code {
    /// So many copies.
    pub(super) fn new(copies: u64) -> io::Result<Self> {
        let file = rustix::fs::memfd_create(c"gofuncgraph-calibration", MemfdFlags::CLOEXEC)?;
        let mut bytes = Vec::new();
        for copy in 0..copies {
            bytes.resize((copy * COPY_BYTES) as usize, 0);
            bytes.extend(LOOP);
            bytes.resize((copy * COPY_BYTES + FUNCTION_START) as usize, 0);
            bytes.extend(FUNCTION);
        }
        let mut file = std::fs::File::from(file);
        file.write_all(&bytes)?;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory of ours.
        let address = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                bytes.len(),
                ProtFlags::READ | ProtFlags::EXEC,
                // Programs that execute RETs know these by 32 bits of their addresses.
                MapFlags::PRIVATE | MapFlags::from_bits_retain(MAP_32BIT),
                &file,
                0,
            )
        }?;
        Ok(Self {
            file: file.into(),
            address,
            length_bytes: bytes.len(),
        })
    }

    /// What probes are put into.
    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Where a place is in memory.
    pub(super) fn runtime_address(&self, place: FileOffset) -> u64 {
        self.address as u64 + place.0
    }

    /// Calls the function of `copy` so many times, at least once. `g` is what probes take for the
    /// current goroutine's.
    pub(super) fn run(&self, copy: Copy, calls: u64, g: &[u64]) {
        let start = self.runtime_address(copy.place(0)) as usize;
        assert!(start - (self.address as usize) < self.length_bytes);
        // SAFETY: a copy of LOOP is there, which keeps the C calling convention: it changes RDI,
        // the flags and words below SP only, and R14 is restored. Probes change nothing else.
        unsafe {
            let run: extern "C" fn(u64, *const u64) = mem::transmute(start);
            run(calls.max(1), g.as_ptr());
        }
    }
}

// SAFETY: the memory is never written to, so that threads may run the code at the same time.
unsafe impl Sync for Code {}

impl Drop for Code {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new`, and nothing runs there.
        let _ = unsafe { rustix::mm::munmap(self.address, self.length_bytes) };
    }
}

#[cfg(test)]
mod tests {
    use iced_x86::{Code as Instruction, Decoder, DecoderOptions};

    use super::*;

    #[test]
    fn probes_stand_at_the_instructions_that_they_are_meant_for() {
        let code = Code::new(2).expect("every kernel has memory files");
        let copy = Copy(1);
        // SAFETY: the mapping is so long and never changes.
        let bytes = unsafe {
            std::slice::from_raw_parts(code.address.cast::<u8>().cast_const(), code.length_bytes)
        };
        let at = |place: FileOffset| {
            let bytes = &bytes[place.0 as usize..];
            Decoder::with_ip(64, bytes, place.0, DecoderOptions::NONE).decode()
        };
        assert_eq!(at(copy.entry()).code(), Instruction::Push_r64);
        assert_eq!(at(copy.stepped()).code(), Instruction::Pop_r64);
        assert_eq!(at(copy.ret()).code(), Instruction::Retnq);
        assert_eq!(at(copy.return_site()).code(), Instruction::Nopd);
        let call = at(FileOffset(copy.return_site().0 - 5));
        assert_eq!(call.code(), Instruction::Call_rel32_64);
        assert_eq!(call.near_branch_target(), copy.entry().0);
        code.run(copy, 3, &[]);
    }
}
