//! Memory that is counted: more than a target may keep ends the process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may be in use at once. libFuzzer's own limit is looked at once a second only.
const LIMIT_BYTES: usize = 400 << 20;

static USED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted.
pub struct Counted;

fn take(bytes: usize) {
    let before = USED_BYTES.fetch_add(bytes, Ordering::Relaxed);
    let used = before.saturating_add(bytes);
    if used > LIMIT_BYTES {
        // What prints may need memory itself.
        USED_BYTES.store(0, Ordering::Relaxed);
        eprintln!("{used} bytes are in use, {bytes} of them asked for just now");
        // An allocator must not unwind. libFuzzer keeps the input of a process that aborts.
        std::process::abort();
    }
}

fn give_back(bytes: usize) {
    USED_BYTES.fetch_sub(bytes, Ordering::Relaxed);
}

// SAFETY: everything is handed to the system's allocator as it came, and nothing unwinds: what
// counts only adds, prints and aborts.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: the caller's promises are the system allocator's conditions.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: for callers as in the trait; the system's allocator asks no more.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    // SAFETY: for callers as in the trait; the system's allocator asks no more.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        give_back(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    // SAFETY: for callers as in the trait; the system's allocator asks no more.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size);
        give_back(layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
