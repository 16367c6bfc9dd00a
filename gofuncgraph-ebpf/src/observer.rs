//! A call has returned: an instruction of its caller is reached.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_attach_cookie;
use aya_ebpf::programs::ProbeContext;

use crate::emulation;
use crate::goroutine::{current_g, find_goroutine_key, find_stack_depth};
use crate::maps;
use crate::sample;
use crate::scope;
use crate::stack;
use crate::tree::Gate;

#[inline(always)]
pub fn handle(ctx: &ProbeContext) {
    stack::keep_on_task();
    // SAFETY: the context of a uprobe program is a readable pt_regs.
    tell(ctx, unsafe { (*ctx.regs).rsp });
}

/// The same where the instruction is a RET, and does what it would do.
#[inline(always)]
pub fn handle_and_emulate(ctx: &ProbeContext) {
    emulation::tell_and_emulate(ctx, tell);
}

/// `stack_pointer` is SP before the instruction.
#[inline(always)]
fn tell(ctx: &ProbeContext, stack_pointer: u64) {
    let Some(control) = maps::enabled_control() else {
        return;
    };
    if !scope::has_current_process() {
        return;
    }
    // SAFETY: the context of a uprobe program is a readable pt_regs.
    let regs = unsafe { &*ctx.regs };
    // In assembly R14 can be anything: then no gate has its goid, or SP is not on its stack.
    let g = current_g(regs);
    let Ok(key) = find_goroutine_key(g) else {
        return;
    };
    // SAFETY: a helper of uprobe programs, called with the program's own context.
    let observer = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) } as u32;
    let Some(mut gate) = Gate::find(key) else {
        sample::idle_observer(observer, key.tgid);
        return;
    };
    let root_depth_bytes = gate.root_depth_bytes();
    if root_depth_bytes == 0 || gate.is_stale() {
        return;
    }
    let Ok(Some(depth_bytes)) = find_stack_depth(g, stack_pointer) else {
        return;
    };
    if gate.deepest_open_bytes() <= depth_bytes {
        sample::idle_observer(observer, key.tgid);
        return;
    }
    let ends_tree = root_depth_bytes > depth_bytes;
    gate.write_observed(control, depth_bytes, observer, ends_tree);
    if ends_tree {
        gate.end_tree();
    }
}
