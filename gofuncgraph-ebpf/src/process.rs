//! Processes that end or replace their program image.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_get_current_task, bpf_ktime_get_ns, bpf_probe_read_kernel,
};
use aya_ebpf::programs::RawTracePointContext;
use gofuncgraph_common::{Counter, ProcessRecord, RecordHeader, RecordKind, process_flags};

use crate::maps::{self, CONFIG, IMAGES_CHANGED, PROCESSES};
use crate::ring;
use crate::scope;

/// Runs for every thread that ends; the thread group's leader stands for the process.
#[inline(always)]
pub fn handle_exit() {
    let pid_tgid = bpf_get_current_pid_tgid();
    let tgid = (pid_tgid >> 32) as u32;
    if tgid == pid_tgid as u32 {
        scope::note_end();
        end_process(tgid, RecordKind::ProcessExit);
    }
}

/// Runs after the image was replaced.
#[inline(always)]
pub fn handle_exec(ctx: &RawTracePointContext) {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // The second argument is what the thread's id was before (Linux: include/trace/events/sched.h).
    scope::note_image(ctx.arg::<u32>(1) == tgid);
    if end_process(tgid, RecordKind::ProcessExec)
        && let Some(changed) = IMAGES_CHANGED.get_ptr_mut(0)
    {
        // SAFETY: an array element is valid while the program runs.
        unsafe { *changed = 1 };
    }
}

/// Whether the process is one that had a tree.
#[inline(always)]
fn end_process(tgid: u32, kind: RecordKind) -> bool {
    if maps::enabled_control().is_none() {
        return false;
    }
    let Some(process) = PROCESSES.get_ptr_mut(tgid) else {
        return false;
    };
    // SAFETY: a hash element stays mapped while the program runs. What the process had active
    // is of an older generation from now on. (A thread other than the leader that calls exec
    // ends the leader first, and the process goes on.)
    unsafe {
        (*process).generation += 1;
        (*process).flags = match kind {
            RecordKind::ProcessExit => process_flags::ENDED,
            _ => 0,
        };
    }
    let exit_status = match kind {
        RecordKind::ProcessExit => exit_status(),
        _ => None,
    };
    let record = ProcessRecord {
        header: RecordHeader {
            kind: kind as u16,
            size: size_of::<ProcessRecord>() as u16,
            tgid,
            sequence: 0,
            goid: 0,
            // SAFETY: a helper without preconditions.
            time_ns: unsafe { bpf_ktime_get_ns() },
        },
        exit_status: exit_status.unwrap_or(0),
        has_exit_status: u32::from(exit_status.is_some()),
    };
    ring::write_urgent(record, Counter::ProcessRecordsLost);
    true
}

/// What wait(2) will call the status of the thread that is ending; the leader's is the process's.
#[inline(always)]
fn exit_status() -> Option<u32> {
    let offset = CONFIG.load().exit_code_offset_bytes;
    if offset == 0 {
        return None;
    }
    // SAFETY: a helper without preconditions.
    let task = unsafe { bpf_get_current_task() };
    let exit_code = task.wrapping_add(u64::from(offset));
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(exit_code as *const u32) }.ok()
}
