use gofuncgraph_common::Counter;

use crate::maps::COUNTERS;

/// Adds one to `counter`.
#[inline(always)]
pub fn count(counter: Counter) {
    if let Some(value) = COUNTERS.get_ptr_mut(counter as u32) {
        atomic_increment(value);
    }
}

/// Handlers can be preempted by handlers on the same CPU, so a plain addition would lose counts.
/// `AtomicU64::fetch_add` is not available for this target.
#[inline(always)]
fn atomic_increment(value: *mut u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: `value` is an element of a per-CPU array: aligned, and valid while the program runs.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({value} + 0) += {one}",
            value = in(reg) value,
            one = in(reg) 1u64,
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    let _ = value;
}
