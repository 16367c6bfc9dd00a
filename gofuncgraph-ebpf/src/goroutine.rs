//! Which goroutine runs, and how deep its stack is.

use aya_ebpf::bindings::pt_regs;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user};
use gofuncgraph_common::{Counter, GoroutineKey};

use crate::counters::count;
use crate::maps::CONFIG;

/// `runtime.g.m` (Go: src/runtime/runtime2.go; the same in 1.17–1.27).
const G_M_OFFSET: u64 = 48;

/// Reads a word of the target.
#[inline(always)]
pub fn read_word(address: u64) -> Option<u64> {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user(address as *const u64) }.ok()
}

/// Thread group id of the current task.
#[inline(always)]
pub fn current_tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// The goroutine whose g is at `g`; `None` for g0 and gsignal, whose goid is 0.
#[inline(always)]
pub fn goroutine_key(g: u64) -> Option<GoroutineKey> {
    let goid_offset = u64::from(CONFIG.load().goid_offset_bytes);
    let Some(goid) = read_word(g.wrapping_add(goid_offset)) else {
        count(Counter::Unreadable);
        return None;
    };
    if goid == 0 {
        count(Counter::OffGoroutineStack);
        return None;
    }
    Some(GoroutineKey {
        tgid: current_tgid(),
        padding: 0,
        goid,
    })
}

/// `stack.hi - SP`, or `None` if SP is not on the stack of `g`.
#[inline(always)]
pub fn stack_depth(g: u64, stack_pointer: u64) -> Option<u64> {
    // SAFETY: the helper checks the address. `g.stack` {lo, hi} stands first in `runtime.g`.
    let Ok([low, high]) = (unsafe { bpf_probe_read_user(g as *const [u64; 2]) }) else {
        count(Counter::Unreadable);
        return None;
    };
    if stack_pointer <= low || stack_pointer > high {
        count(Counter::OffGoroutineStack);
        return None;
    }
    // A frame at the very top has depth 0, which means "no root" in the gate. The runtime keeps
    // words above the first frame, so no function's entry has it.
    let depth = high - stack_pointer;
    (depth != 0).then_some(depth)
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
