//! The watched sites of the Go runtime, where frames end without a RET.

use aya_ebpf::bindings::pt_regs;
use gofuncgraph_common::{CloseCause, Control, Counter};

use crate::counters::count;
use crate::goroutine::{find_goroutine_key, find_stack_depth, goroutine_key, read_word};
use crate::reason;
use crate::tree::Gate;

/// `runtime.g.sched` (Go: src/runtime/runtime2.go; the same in 1.21–1.27).
const G_SCHED_OFFSET: u64 = 56;
/// `runtime.g.sched.pc`, from `runtime.g.sched` (Go: `gobuf`, src/runtime/runtime2.go; the same in
/// 1.17–1.27).
const GOBUF_PC_OFFSET: u64 = 8;
/// `runtime.g.stack.hi`.
const G_STACK_HIGH_OFFSET: u64 = 8;

/// At the `call runtime.gogo` in `runtime.recovery`, on g0: the argument at SP is `&gp.sched`,
/// and its first words are the SP and the PC with which the recovering function goes on. The stack
/// may have moved since the goroutine's last event, so `stack.hi` is read here.
#[inline(always)]
pub fn handle_recovery(control: *mut Control, regs: &pt_regs, site: u32) {
    let Some((g, resumed_stack_pointer, stack_high)) = resumed_goroutine(regs.rsp) else {
        count(Counter::Unreadable);
        return;
    };
    let Some(key) = goroutine_key(g) else {
        return;
    };
    let Some(mut gate) = Gate::find(key) else {
        return;
    };
    let root_depth_bytes = gate.root_depth_bytes();
    if root_depth_bytes == 0 || gate.is_stale() {
        return;
    }
    let depth_bytes = stack_high.wrapping_sub(resumed_stack_pointer);
    let ends_tree = root_depth_bytes > depth_bytes;
    let resumed = read_word(regs.rsp)
        .and_then(|sched| read_word(sched.wrapping_add(GOBUF_PC_OFFSET)))
        .unwrap_or(0);
    reason::write_recovery(control, &mut gate, regs, site, resumed);
    gate.write_close(control, depth_bytes, CloseCause::Recovered, ends_tree);
    if ends_tree {
        gate.end_tree();
    }
}

#[inline(always)]
fn resumed_goroutine(stack_pointer: u64) -> Option<(u64, u64, u64)> {
    let sched = read_word(stack_pointer)?;
    let resumed_stack_pointer = read_word(sched)?;
    let g = sched.wrapping_sub(G_SCHED_OFFSET);
    let stack_high = read_word(g.wrapping_add(G_STACK_HIGH_OFFSET))?;
    Some((g, resumed_stack_pointer, stack_high))
}

/// At the entry of `runtime.goexit1`, on the dying goroutine.
#[inline(always)]
pub fn handle_goroutine_exit(control: *mut Control, g: u64) {
    let Some(key) = goroutine_key(g) else {
        return;
    };
    let Some(mut gate) = Gate::find(key) else {
        return;
    };
    if gate.is_stale() {
        return;
    }
    let mut all_written = false;
    if gate.root_depth_bytes() != 0 {
        all_written = gate.write_close(control, 0, CloseCause::GoroutineExit, true);
    }
    gate.end_goroutine(all_written);
}

/// At the entry of `runtime.sigpanic`, which a fault is made to call: a frame at its depth has
/// returned, and its caller faulted before it reached the observer.
#[inline(always)]
pub fn handle_signal_panic(control: *mut Control, g: u64, stack_pointer: u64) {
    let Ok(key) = find_goroutine_key(g) else {
        return;
    };
    let Some(mut gate) = Gate::find(key) else {
        return;
    };
    let root_depth_bytes = gate.root_depth_bytes();
    if root_depth_bytes == 0 || gate.is_stale() {
        return;
    }
    let Ok(Some(depth_bytes)) = find_stack_depth(g, stack_pointer) else {
        return;
    };
    if gate.deepest_open_bytes() < depth_bytes {
        return;
    }
    let ends_tree = root_depth_bytes >= depth_bytes;
    gate.write_close(control, depth_bytes - 8, CloseCause::SignalPanic, ends_tree);
    if ends_tree {
        gate.end_tree();
    }
}
