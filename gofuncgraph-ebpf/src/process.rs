//! Processes that end or replace their program image.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use gofuncgraph_common::{Counter, ProcessRecord, RecordHeader, RecordKind};

use crate::maps::{self, PROCESSES};
use crate::ring;

/// Runs for every thread that ends; the thread group's leader stands for the process.
#[inline(always)]
pub fn handle_exit() {
    let pid_tgid = bpf_get_current_pid_tgid();
    let tgid = (pid_tgid >> 32) as u32;
    if tgid == pid_tgid as u32 {
        end_process(tgid, RecordKind::ProcessExit);
    }
}

/// Runs after the image was replaced.
#[inline(always)]
pub fn handle_exec() {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    end_process(tgid, RecordKind::ProcessExec);
}

#[inline(always)]
fn end_process(tgid: u32, kind: RecordKind) {
    if maps::enabled_control().is_none() {
        return;
    }
    let Some(process) = PROCESSES.get_ptr_mut(tgid) else {
        return;
    };
    // SAFETY: a hash element stays mapped while the program runs. What the process had active
    // is of an older generation from now on.
    unsafe { (*process).generation += 1 };
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
    };
    ring::write_urgent(record, Counter::ProcessRecordsLost);
}
