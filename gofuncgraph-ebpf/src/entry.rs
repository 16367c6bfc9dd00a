//! A call begins.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_attach_cookie;
use aya_ebpf::programs::ProbeContext;
use aya_log_ebpf::debug;
use gofuncgraph_common::{
    ChainedEntryRecord, CloseCause, Control, Counter, EntryRecord, GoroutineKey, RecordKind,
    record_flags, site_flags,
};

use crate::already_open;
use crate::chain::{End, find_end};
use crate::counters::count;
use crate::goroutine::{
    current_g, find_goroutine_key, find_stack_depth, is_running_goroutine, read_word,
};
use crate::maps;
use crate::reason;
use crate::ring;
use crate::sample::{self, SampledCall};
use crate::scope;
use crate::stack;
use crate::tree::Gate;
use crate::watch;

/// The current call, as the registers tell it.
struct Call {
    site: u32,
    depth_bytes: u64,
    stack_pointer: u64,
    instruction_pointer: u64,
    /// Virtual address of the site if the function is promoted, else 0.
    promoted_address: u64,
}

/// What is no function's entry, or sends nothing.
const WATCHED: u32 = site_flags::RECOVERY
    | site_flags::GOROUTINE_EXIT
    | site_flags::SIGNAL_PANIC
    | site_flags::REASONS
    | site_flags::MUTED;

/// CF and ZF: what a branch that asks for "below or equal" is taken by.
const BELOW_OR_EQUAL: u64 = 1 << 0 | 1 << 6;

#[inline(always)]
pub fn handle(ctx: &ProbeContext) {
    stack::keep_on_task();
    let Some(control) = maps::enabled_control() else {
        return;
    };
    if !scope::has_current_process() {
        return;
    }
    // SAFETY: a helper of uprobe programs, called with the program's own context.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    let site = cookie as u32;
    let Some(state) = maps::site(site) else {
        return;
    };
    let flags = state.flags;
    // SAFETY: the context of a uprobe program is a readable pt_regs.
    let regs = unsafe { &*ctx.regs };
    if flags & site_flags::STACK_CHECK != 0 && regs.eflags & BELOW_OR_EQUAL != 0 {
        // The call comes again, with more stack or after others had their turn.
        return;
    }
    if flags & WATCHED != 0 {
        if flags & site_flags::RECOVERY != 0 {
            watch::handle_recovery(control, regs, site);
        } else if flags & site_flags::GOROUTINE_EXIT != 0 {
            watch::handle_goroutine_exit(control, current_g(regs));
        } else if flags & site_flags::SIGNAL_PANIC != 0 {
            watch::handle_signal_panic(control, current_g(regs), regs.rsp);
        } else if flags & site_flags::REASONS != 0 {
            reason::handle(control, regs, site, flags);
        }
        return;
    }
    let is_target = flags & site_flags::TARGET != 0;
    let g = current_g(regs);
    let key = match find_goroutine_key(g) {
        Ok(key) => key,
        Err(counter) => {
            count_untold(counter, is_target);
            return;
        }
    };
    let mut gate = Gate::find(key);
    if gate.is_none() && !is_target {
        let hit = already_open::Hit {
            key,
            g,
            site,
            address: (cookie >> 32) as u32,
            is_return: false,
            is_targets_return: false,
        };
        gate = already_open::find(control, regs, &hit);
    }
    if gate.is_none() && !is_target {
        let call = SampledCall {
            site,
            tgid: key.tgid,
            instruction_pointer: regs.rip,
        };
        sample::outside_of_trees(call, state, g, regs.rsp);
        return;
    }
    let depth_bytes = match find_stack_depth(g, regs.rsp) {
        Ok(Some(depth_bytes)) => depth_bytes,
        Ok(None) => return,
        Err(counter) => {
            count_untold(counter, is_target);
            return;
        }
    };
    let call = Call {
        site,
        depth_bytes,
        stack_pointer: regs.rsp,
        instruction_pointer: regs.rip,
        promoted_address: if state.tier == 0 { 0 } else { state.address },
    };
    let root_depth_bytes = match gate {
        Some(mut open) if !open.is_stale() => {
            if open.root_depth_bytes() != 0
                && open.settle_unobserved(control, depth_bytes, depth_bytes + regs.rsp)
            {
                open.end_tree();
                gate = Gate::find(key);
                0
            } else {
                open.root_depth_bytes()
            }
        }
        _ => 0,
    };
    if root_depth_bytes != 0
        && let Some(mut gate) = gate
    {
        let over = depth_bytes <= root_depth_bytes;
        if !is_target {
            if over {
                // A shallower call: the root left without a RET that was seen.
                gate.write_close(control, depth_bytes - 8, CloseCause::Superseded, true);
                gate.end_tree();
            } else {
                write_entry(control, gate, &call, 0);
            }
            return;
        }
        if !over {
            write_entry(control, gate, &call, 0);
            return;
        }
    } else if !is_target {
        return;
    }
    start_tree(ctx, control, g, key, gate, &call);
}

/// A call is not told of. On another stack than its goroutine's it is never taken for one that was
/// open already.
#[inline(always)]
fn count_untold(why: Counter, is_target: bool) {
    count(why);
    if is_target && matches!(why, Counter::Unreadable) {
        already_open::give_up();
    }
}

#[inline(always)]
fn start_tree(
    ctx: &ProbeContext,
    control: *mut Control,
    g: u64,
    key: GoroutineKey,
    gate: Option<Gate>,
    call: &Call,
) {
    if !is_running_goroutine(g) {
        count(Counter::GoroutineCheckFailed);
        already_open::give_up();
        return;
    }
    let Some(gate) = Gate::start_tree(key, gate, call.depth_bytes) else {
        return;
    };
    debug!(
        ctx,
        "tree starts: process {}, goroutine {}, site {}, depth {}",
        key.tgid,
        key.goid,
        call.site,
        call.depth_bytes
    );
    write_entry(control, gate, call, record_flags::STARTS_TREE);
}

#[inline(always)]
fn write_entry(control: *mut Control, mut gate: Gate, call: &Call, flags: u16) {
    // The call instruction has just written the word, so this fails only if the page went away
    // in between; 0 is no function's address and prints as unknown.
    let return_address = read_word(call.stack_pointer).unwrap_or(0);
    let mut flags = flags;
    let mut chained = 0;
    if call.promoted_address != 0 {
        flags |= record_flags::PROMOTED;
        match promoted_end(&mut gate, call, return_address) {
            End::Observer => {}
            End::CallersObserver(address) => {
                flags |= record_flags::CHAINED;
                chained = address;
            }
            End::CallersReturn(depth_bytes) => {
                flags |= record_flags::CHAINED | record_flags::ENDS_AT_RETURN;
                chained = depth_bytes;
            }
            End::Nothing(_) => flags |= record_flags::UNOBSERVED,
        }
    }
    gate.set_deepest_open_bytes(call.depth_bytes);
    let mut record = EntryRecord {
        header: gate.next_header(RecordKind::Entry, size_of::<EntryRecord>()),
        depth_bytes: call.depth_bytes,
        return_address,
        instruction_pointer: call.instruction_pointer,
        site: call.site,
        tree: gate.tree(),
        flags,
    };
    let written = if flags & record_flags::CHAINED == 0 {
        ring::write(control, record, Counter::EntriesLost)
    } else {
        record.header.size = size_of::<ChainedEntryRecord>() as u16;
        let record = ChainedEntryRecord {
            entry: record,
            end: chained,
        };
        ring::write(control, record, Counter::EntriesLost)
    };
    if !written {
        gate.note_lost();
    }
}

/// What will tell of the end of a promoted function's call. If nothing will, the frame is
/// watched, and user space is told where an observer is missing if the entry does not say so.
#[inline(always)]
fn promoted_end(gate: &mut Gate, call: &Call, return_address: u64) -> End {
    let end = find_end(
        call.stack_pointer,
        call.depth_bytes,
        gate.root_depth_bytes(),
        return_address,
        call.instruction_pointer.wrapping_sub(call.promoted_address),
    );
    if let End::Nothing(missing) = end {
        gate.watch_unobserved(call.depth_bytes, return_address);
        if missing != return_address {
            let missed = SampledCall {
                site: call.site,
                tgid: gate.key.tgid,
                instruction_pointer: call.instruction_pointer,
            };
            sample::missed(missed, missing);
        }
    }
    end
}
