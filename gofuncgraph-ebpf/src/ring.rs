//! Writing records.

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use gofuncgraph_common::{Control, Counter};

use crate::counters::count;
use crate::maps::{CONFIG, EVENTS};

/// Writes `record`, or counts it as `lost`. Says whether it was written.
#[inline(always)]
pub fn write<T: Copy + 'static>(control: *mut Control, record: T, lost: Counter) -> bool {
    let Some(mut entry) = EVENTS.reserve::<T>(0) else {
        count(lost);
        return false;
    };
    entry.write(record);
    entry.submit(wakeup_flags(control));
    true
}

/// As [`write`], of a record that the stack has no room for: `fill` writes it where it belongs.
#[inline(always)]
pub fn write_in_place<T: 'static>(
    control: *mut Control,
    lost: Counter,
    fill: impl FnOnce(*mut T),
) -> bool {
    let Some(mut entry) = EVENTS.reserve::<T>(0) else {
        count(lost);
        return false;
    };
    fill(entry.as_mut_ptr());
    entry.submit(wakeup_flags(control));
    true
}

/// Writes `record` if less than half of the ring is unread: of what may be missing.
#[inline(always)]
pub fn write_if_there_is_room<T: Copy + 'static>(record: T) {
    let unread = EVENTS.query(u64::from(BPF_RB_AVAIL_DATA));
    if unread > CONFIG.load().wakeup_threshold_bytes {
        return;
    }
    if let Some(mut entry) = EVENTS.reserve::<T>(0) {
        entry.write(record);
        entry.submit(u64::from(BPF_RB_NO_WAKEUP));
    }
}

/// As [`write`], and wakes the reader.
#[inline(always)]
pub fn write_urgent<T: Copy + 'static>(record: T, lost: Counter) -> bool {
    let Some(mut entry) = EVENTS.reserve::<T>(0) else {
        count(lost);
        return false;
    };
    entry.write(record);
    entry.submit(u64::from(BPF_RB_FORCE_WAKEUP));
    true
}

/// The reader drains on a timer. A wakeup costs the target microseconds, so there is one only
/// when the ring is half full, and the next only after the reader has armed it again.
#[inline(always)]
fn wakeup_flags(control: *mut Control) -> u64 {
    let unread = EVENTS.query(u64::from(BPF_RB_AVAIL_DATA));
    if unread > CONFIG.load().wakeup_threshold_bytes {
        // SAFETY: an array element is valid while the program runs. A race wakes twice or once
        // too late, which the timer makes good.
        unsafe {
            if (*control).wakeup_armed != 0 {
                (*control).wakeup_armed = 0;
                return u64::from(BPF_RB_FORCE_WAKEUP);
            }
        }
    }
    u64::from(BPF_RB_NO_WAKEUP)
}
