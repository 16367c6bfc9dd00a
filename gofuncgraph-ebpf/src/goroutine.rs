//! Which goroutine runs, and how deep its stack is.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use aya_ebpf::bindings::pt_regs;
use aya_ebpf::helpers::generated::bpf_copy_from_user;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user};
use gofuncgraph_common::{Counter, GoroutineKey};

use crate::counters::count;
use crate::maps::CONFIG;

/// `runtime.g.m` (Go: src/runtime/runtime2.go; the same in 1.17–1.27).
const G_M_OFFSET: u64 = 48;

/// Reads a word of the target.
#[inline(always)]
pub fn read_word(address: u64) -> Option<u64> {
    read(address)
}

/// Reads memory of the target. Where a page is not mapped at the moment, because the kernel has
/// taken it away to move it or to use it otherwise, it is fetched as if the target had read it:
/// for that the programs are sleepable.
#[inline(always)]
pub fn read<T: Copy>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address.
    if let Ok(value) = unsafe { bpf_probe_read_user(address as *const T) } {
        return Some(value);
    }
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper checks the address, and writes so many bytes to where there is room.
    let result = unsafe {
        bpf_copy_from_user(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const c_void,
        )
    };
    // SAFETY: it was written. Only integers are read, for which any bytes will do.
    (result == 0).then(|| unsafe { value.assume_init() })
}

/// Thread group id of the current task.
#[inline(always)]
pub fn current_tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// The goroutine whose g is at `g`; `None`, which is counted, for g0 and gsignal.
#[inline(always)]
pub fn goroutine_key(g: u64) -> Option<GoroutineKey> {
    counted(find_goroutine_key(g))
}

/// The goroutine whose g is at `g`; an error for g0 and gsignal, whose goid is 0.
#[inline(always)]
pub fn find_goroutine_key(g: u64) -> Result<GoroutineKey, Counter> {
    let goid_offset = u64::from(CONFIG.load().goid_offset_bytes);
    let Some(goid) = read_word(g.wrapping_add(goid_offset)) else {
        return Err(Counter::Unreadable);
    };
    if goid == 0 {
        return Err(Counter::OffGoroutineStack);
    }
    Ok(GoroutineKey {
        tgid: current_tgid(),
        padding: 0,
        goid,
    })
}

#[inline(always)]
fn counted<T>(found: Result<T, Counter>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(counter) => {
            count(counter);
            None
        }
    }
}

/// `stack.hi - SP`, or `None`, which is counted, if SP is not on the stack of `g`.
#[inline(always)]
pub fn stack_depth(g: u64, stack_pointer: u64) -> Option<u64> {
    counted(find_stack_depth(g, stack_pointer))?
}

/// `stack.hi - SP`, or an error if SP is not on the stack of `g`.
#[inline(always)]
pub fn find_stack_depth(g: u64, stack_pointer: u64) -> Result<Option<u64>, Counter> {
    // `g.stack` {lo, hi} stands first in `runtime.g`.
    let Some([low, high]) = read::<[u64; 2]>(g) else {
        return Err(Counter::Unreadable);
    };
    if stack_pointer <= low || stack_pointer > high {
        return Err(Counter::OffGoroutineStack);
    }
    // A frame at the very top has depth 0, which means "no root" in the gate. The runtime keeps
    // words above the first frame, so no function's entry has it.
    let depth = high - stack_pointer;
    Ok((depth != 0).then_some(depth))
}

/// Whether `g.m.curg` is `g`, as it is while a goroutine runs its own code.
#[inline(always)]
pub fn is_running_goroutine(g: u64) -> bool {
    let curg_offset = u64::from(CONFIG.load().curg_offset_bytes);
    let Some(m) = read_word(g.wrapping_add(G_M_OFFSET)) else {
        return false;
    };
    read_word(m.wrapping_add(curg_offset)) == Some(g)
}

/// Where Go's internal ABI keeps the current g.
#[inline(always)]
pub fn current_g(regs: &pt_regs) -> u64 {
    regs.r14
}
