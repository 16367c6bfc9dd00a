//! Calls outside of trees, of which some are told, so that functions that are called often can be
//! recognised.

use aya_ebpf::helpers::{bpf_get_prandom_u32, bpf_ktime_get_ns};
use gofuncgraph_common::{Counter, RecordHeader, RecordKind, SampleRecord, SiteState, site_flags};

use crate::chain::{End, find_end};
use crate::counters::count;
use crate::goroutine::{find_stack_depth, read_word};
use crate::maps::CONFIG;
use crate::ring;

/// A call outside of any tree, on the goroutine of `g`.
#[inline(always)]
pub fn outside_of_trees(call: SampledCall, state: SiteState, g: u64, stack_pointer: u64) {
    if !is_chosen() {
        return;
    }
    count(if state.flags & site_flags::STEPPED == 0 {
        Counter::SampledEntries
    } else {
        Counter::SampledSteppedEntries
    });
    if state.tier != 0 {
        count(Counter::SampledPromotedEntries);
    }
    let Some(return_address) = read_word(stack_pointer) else {
        return;
    };
    let mut end = 0;
    if state.tier != 0
        && let Ok(Some(depth_bytes)) = find_stack_depth(g, stack_pointer)
    {
        let load_bias = call.instruction_pointer.wrapping_sub(state.address);
        end = match find_end(stack_pointer, depth_bytes, 0, return_address, load_bias) {
            End::CallersObserver(address) | End::Nothing(address) if address != return_address => {
                address
            }
            _ => 0,
        };
    }
    write(RecordKind::Sample, call, return_address, end);
}

/// A call of a promoted function, in a tree, whose end nothing will tell of: `missing` is where
/// a caller returns to, a runtime address.
#[inline(always)]
pub fn missed(call: SampledCall, missing: u64) {
    write(RecordKind::Missed, call, missing, 0);
}

/// An observer was reached by a goroutine that has nothing open there.
#[inline(always)]
pub fn idle_observer(observer: u32, tgid: u32) {
    if is_chosen() {
        count(Counter::SampledIdleObservers);
        let observer = SampledCall {
            site: observer,
            tgid,
            instruction_pointer: 0,
        };
        write(RecordKind::IdleSample, observer, 0, 0);
    }
}

/// What of a call all samples have.
#[derive(Clone, Copy)]
pub struct SampledCall {
    /// The entry's, or the observer.
    pub site: u32,
    pub tgid: u32,
    /// 0 of an observer.
    pub instruction_pointer: u64,
}

#[inline(always)]
fn is_chosen() -> bool {
    let one_of = CONFIG.load().sample_one_of;
    // SAFETY: a helper without preconditions.
    one_of != 0 && (unsafe { bpf_get_prandom_u32() }) & (one_of - 1) == 0
}

#[inline(always)]
fn write(kind: RecordKind, call: SampledCall, return_address: u64, end: u64) {
    let record = SampleRecord {
        header: RecordHeader {
            kind: kind as u16,
            size: size_of::<SampleRecord>() as u16,
            tgid: call.tgid,
            sequence: 0,
            goid: 0,
            // SAFETY: a helper without preconditions.
            time_ns: unsafe { bpf_ktime_get_ns() },
        },
        return_address,
        instruction_pointer: call.instruction_pointer,
        site: call.site,
        padding: 0,
        end,
    };
    ring::write_if_there_is_room(record);
}
