//! Calls outside of trees, of which some are told, so that functions that are called often can be
//! recognised.

use aya_ebpf::helpers::{bpf_get_prandom_u32, bpf_ktime_get_ns};
use gofuncgraph_common::{RecordHeader, RecordKind, SampleRecord};

use crate::goroutine::read_word;
use crate::maps::CONFIG;
use crate::ring;

/// A call outside of any tree.
#[inline(always)]
pub fn outside_of_trees(site: u32, tgid: u32, stack_pointer: u64, instruction_pointer: u64) {
    if !is_chosen() {
        return;
    }
    let Some(return_address) = read_word(stack_pointer) else {
        return;
    };
    write(
        RecordKind::Sample,
        tgid,
        site,
        return_address,
        instruction_pointer,
    );
}

/// An observer was reached by a goroutine that has nothing open there.
#[inline(always)]
pub fn idle_observer(observer: u32, tgid: u32) {
    if is_chosen() {
        write(RecordKind::IdleSample, tgid, observer, 0, 0);
    }
}

#[inline(always)]
fn is_chosen() -> bool {
    let one_of = CONFIG.load().sample_one_of;
    // SAFETY: a helper without preconditions.
    one_of != 0 && (unsafe { bpf_get_prandom_u32() }) & (one_of - 1) == 0
}

#[inline(always)]
fn write(kind: RecordKind, tgid: u32, site: u32, return_address: u64, instruction_pointer: u64) {
    let record = SampleRecord {
        header: RecordHeader {
            kind: kind as u16,
            size: size_of::<SampleRecord>() as u16,
            tgid,
            sequence: 0,
            goid: 0,
            // SAFETY: a helper without preconditions.
            time_ns: unsafe { bpf_ktime_get_ns() },
        },
        return_address,
        instruction_pointer,
        site,
        padding: 0,
    };
    ring::write_if_there_is_room(record);
}
