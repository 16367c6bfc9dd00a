//! A call ends at a RET.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_attach_cookie;
use aya_ebpf::programs::ProbeContext;
use gofuncgraph_common::{
    CloseCause, Control, Counter, RecordKind, ReturnRecord, SiteState, record_flags, ret_cookie,
    site_flags,
};

use crate::already_open;
use crate::counters::count;
use crate::emulation;
use crate::goroutine::{current_g, goroutine_key, stack_depth};
use crate::maps::{self, CONFIG};
use crate::ring;
use crate::scope;
use crate::stack;
use crate::tree::Gate;

/// Whether a hit outside of trees counts: once, though two links may have a probe here.
#[inline(always)]
fn is_newest(control: *mut Control, cookie: u32) -> bool {
    let generation = cookie >> ret_cookie::GENERATION_SHIFT;
    // SAFETY: an array element is valid while the program runs.
    let newest = unsafe { (*control).returns_generation };
    // 0, or the newest: in one condition, because the verifier looks at what follows twice if there
    // are two.
    generation * (generation ^ newest) == 0
}

#[inline(always)]
fn count_outside(control: *mut Control, cookie: u32, state: SiteState) {
    if !is_newest(control, cookie) {
        return;
    }
    count(if state.tier == 0 {
        Counter::ReturnsOutside
    } else {
        Counter::PromotedReturnsOutside
    });
    if state.flags & site_flags::TARGET != 0 {
        count(Counter::ReturnsWithoutTree);
    }
}

#[inline(always)]
pub fn handle(ctx: &ProbeContext) {
    stack::keep_on_task();
    // SAFETY: the context of a uprobe program is a readable pt_regs.
    tell(ctx, unsafe { (*ctx.regs).rsp });
}

/// The same, and does what the RET would do.
#[inline(always)]
pub fn handle_and_emulate(ctx: &ProbeContext) {
    emulation::tell_and_emulate(ctx, tell);
}

/// `stack_pointer` is SP before the RET.
#[inline(always)]
fn tell(ctx: &ProbeContext, stack_pointer: u64) {
    let Some(control) = maps::enabled_control() else {
        return;
    };
    if !scope::has_current_process() {
        return;
    }
    // SAFETY: a helper of uprobe programs, called with the program's own context.
    let whole_cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    let cookie = whole_cookie as u32;
    let site = cookie & ret_cookie::SITE_MASK;
    let Some(state) = maps::site(site) else {
        return;
    };
    let flags = state.flags;
    if flags & site_flags::MUTED != 0 {
        return;
    }
    let is_target = flags & site_flags::TARGET != 0;
    // SAFETY: the context of a uprobe program is a readable pt_regs.
    let regs = unsafe { &*ctx.regs };
    let g = current_g(regs);
    let Some(key) = goroutine_key(g) else {
        return;
    };
    let mut gate = Gate::find(key);
    // Else another program has been here, and may have done the RET.
    if gate.is_none() && stack_pointer == regs.rsp && is_newest(control, cookie) {
        let hit = already_open::Hit {
            key,
            g,
            site,
            address: (whole_cookie >> 32) as u32,
            is_return: true,
            is_targets_return: is_target,
        };
        gate = already_open::find(control, regs, &hit);
    }
    let Some(mut gate) = gate else {
        count_outside(control, cookie, state);
        return;
    };
    let root_depth_bytes = gate.root_depth_bytes();
    if root_depth_bytes == 0 || gate.is_stale() {
        count_outside(control, cookie, state);
        return;
    }
    let Some(depth_bytes) = stack_depth(g, stack_pointer) else {
        return;
    };
    if depth_bytes < root_depth_bytes {
        // A shallower return: the root left without a RET that was seen.
        if is_target {
            count(Counter::ReturnsWithoutTree);
        }
        gate.write_close(control, depth_bytes, CloseCause::Superseded, true);
        gate.end_tree();
        return;
    }
    let is_checked = state.tier != 0 && CONFIG.load().verify != 0;
    // An observer or another link's probe was first.
    if !is_checked && gate.deepest_open_bytes() < depth_bytes {
        return;
    }
    let ends_tree = depth_bytes == root_depth_bytes && !is_checked;
    let record = ReturnRecord {
        header: gate.next_header(RecordKind::Return, size_of::<ReturnRecord>()),
        depth_bytes,
        site,
        tree: gate.tree(),
        flags: if is_checked {
            record_flags::VERIFY
        } else if ends_tree {
            record_flags::ENDS_TREE
        } else {
            0
        },
    };
    if !ring::write(control, record, Counter::ReturnsLost) {
        gate.note_lost();
    }
    if is_checked {
        return;
    }
    gate.set_deepest_open_bytes(depth_bytes - 8);
    if ends_tree || gate.settle_unobserved(control, depth_bytes, depth_bytes + stack_pointer) {
        gate.end_tree();
    }
}
