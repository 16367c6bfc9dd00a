//! Why frames or a process will end: panics, recoveries, `runtime.Goexit` and what ends a process.

use aya_ebpf::bindings::pt_regs;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use gofuncgraph_common::{
    Control, Counter, ReasonKind, ReasonRecord, RecordHeader, RecordKind, WALKED_FRAMES,
    WalkedFrame, site_flags,
};

use crate::goroutine::{current_g, current_tgid, find_goroutine_key, find_stack_depth, read};
use crate::maps::PROCESSES;
use crate::ring;
use crate::tree::Gate;

/// At the entry of a function with a frame: RBP is its caller's frame pointer.
#[inline(always)]
pub fn handle(control: *mut Control, regs: &pt_regs, site: u32, flags: u32) {
    let is_of_goroutine = flags & (site_flags::PANIC | site_flags::GOEXIT) != 0;
    let mut gate = None;
    let mut stack_high = 0;
    if is_of_goroutine {
        // Others have nothing that could be unwound.
        let Some((open, high)) = tree_and_stack(regs) else {
            return;
        };
        gate = Some(open);
        stack_high = high;
    } else if PROCESSES.get_ptr(current_tgid()).is_none() {
        return;
    }
    let kind = if flags & site_flags::PANIC != 0 {
        ReasonKind::Panic
    } else if flags & site_flags::GOEXIT != 0 {
        ReasonKind::Goexit
    } else if flags & site_flags::EXIT != 0 {
        ReasonKind::Exit
    } else if flags & site_flags::FATAL_PANIC != 0 {
        ReasonKind::FatalPanic
    } else {
        ReasonKind::FatalError
    };
    let mut record = record(regs, site, kind);
    record.exit_code = regs.rax as i32;
    walk(regs, stack_high, &mut record.frames);
    match &mut gate {
        Some(gate) => write(control, gate, record),
        None => {
            ring::write(control, record, Counter::ProcessRecordsLost);
        }
    }
}

/// The gate of the current goroutine if it has a tree, and the high end of its stack.
#[inline(always)]
fn tree_and_stack(regs: &pt_regs) -> Option<(Gate, u64)> {
    let g = current_g(regs);
    let key = find_goroutine_key(g).ok()?;
    let mut gate = Gate::find(key)?;
    if gate.root_depth_bytes() == 0 || gate.is_stale() {
        return None;
    }
    let depth_bytes = find_stack_depth(g, regs.rsp).ok()??;
    Some((gate, regs.rsp.wrapping_add(depth_bytes)))
}

/// A function that recovered a panic goes on at `resumed`.
#[inline(always)]
pub fn write_recovery(
    control: *mut Control,
    gate: &mut Gate,
    regs: &pt_regs,
    site: u32,
    resumed: u64,
) {
    let mut record = record(regs, site, ReasonKind::Recovery);
    record.frames[0].return_address = resumed;
    write(control, gate, record);
}

#[inline(always)]
fn write(control: *mut Control, gate: &mut Gate, mut record: ReasonRecord) {
    record.header.tgid = gate.key.tgid;
    record.header.goid = gate.key.goid;
    record.header.sequence = gate.next_sequence();
    record.tree = gate.tree();
    if !ring::write(control, record, Counter::ClosesLost) {
        gate.skip_number();
    }
}

#[inline(always)]
fn record(regs: &pt_regs, site: u32, kind: ReasonKind) -> ReasonRecord {
    ReasonRecord {
        header: RecordHeader {
            kind: RecordKind::Reason as u16,
            size: size_of::<ReasonRecord>() as u16,
            tgid: current_tgid(),
            // SAFETY: a helper without preconditions.
            time_ns: unsafe { bpf_ktime_get_ns() },
            ..RecordHeader::default()
        },
        instruction_pointer: regs.rip,
        site,
        reason: kind as u32,
        ..ReasonRecord::default()
    }
}

/// Finds return addresses: the first at SP, the others by frame pointers. Depths are those below
/// `stack_high`.
#[inline(always)]
fn walk(regs: &pt_regs, stack_high: u64, frames: &mut [WalkedFrame; WALKED_FRAMES]) {
    let depth = |slot: u64| stack_high.wrapping_sub(slot);
    frames[0] = WalkedFrame {
        return_address: read(regs.rsp).unwrap_or(0),
        depth_bytes: depth(regs.rsp),
    };
    let mut frame_pointer = regs.rbp;
    let mut deeper = regs.rsp;
    for frame in frames.iter_mut().skip(1) {
        // Callers are further up, and not far.
        if frame_pointer <= deeper || frame_pointer % 8 != 0 {
            break;
        }
        let Some([next, return_address]) = read::<[u64; 2]>(frame_pointer) else {
            break;
        };
        *frame = WalkedFrame {
            return_address,
            depth_bytes: depth(frame_pointer.wrapping_add(8)),
        };
        deeper = frame_pointer;
        frame_pointer = next;
    }
}
