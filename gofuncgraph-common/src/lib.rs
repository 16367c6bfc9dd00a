//! What gofuncgraph's eBPF programs and its user space agree on: the records in
//! the ring buffer, the keys and values of the maps, and the settings that are
//! fixed when the programs are loaded.
//!
//! Every type here is `repr(C)`, has its padding spelt out and its size asserted
//! at compile time, because the two sides are compiled for different machines.
#![no_std]

mod control;
mod counters;
mod records;

pub use control::{
    AlreadyOpenSearch, Control, GoroutineKey, GoroutineState, LOOKED_AT_COUNT, MAX_CHAIN, NO_SITE,
    ProcessState, ReturnPlace, SiteState, TargetCall, TraceConfig, TracedProcess,
    UNOBSERVED_FRAMES, UnobservedFrame, goroutine_flags, process_flags, ret_cookie, site_flags,
};
pub use counters::{COUNTER_COUNT, Counter};
pub use records::{
    AlreadyOpenRecord, ChainedEntryRecord, CloseCause, CloseRecord, EntryRecord, OPEN_FRAMES,
    ProcessRecord, ReasonKind, ReasonRecord, RecordHeader, RecordKind, ReturnRecord, SampleRecord,
    WALKED_FRAMES, WalkedFrame, record_flags,
};

/// Names of the maps in the eBPF object.
pub mod map_names {
    /// Ring buffer of records.
    pub const EVENTS: &str = "EVENTS";
    /// Array with one [`Control`](crate::Control).
    pub const CONTROL: &str = "CONTROL";
    /// Array of [`SiteState`](crate::SiteState), indexed by site id (the cookie).
    pub const SITES: &str = "SITES";
    /// Hash of [`GoroutineKey`](crate::GoroutineKey) to [`GoroutineState`](crate::GoroutineState).
    pub const GOROUTINES: &str = "GOROUTINES";
    /// Hash of thread group id to [`ProcessState`](crate::ProcessState).
    pub const PROCESSES: &str = "PROCESSES";
    /// Hash of thread group id, in the pid namespace that the [`TraceConfig`] names, to
    /// [`TracedProcess`](crate::TracedProcess).
    pub const TRACED: &str = "TRACED";
    /// Array with one u64: not 0 once a traced process has replaced its program image. Only then
    /// can a gate belong to an image that is gone.
    pub const IMAGES_CHANGED: &str = "IMAGES_CHANGED";
    /// Hash of virtual return addresses to [`ReturnPlace`](crate::ReturnPlace).
    pub const OBSERVED_RETURNS: &str = "OBSERVED_RETURNS";
    /// Array with one [`AlreadyOpenSearch`](crate::AlreadyOpenSearch).
    pub const ALREADY_OPEN_SEARCH: &str = "ALREADY_OPEN_SEARCH";
    /// Hash of the lower halves of virtual return addresses to [`TargetCall`](crate::TargetCall).
    pub const TARGET_CALLS: &str = "TARGET_CALLS";
    /// Per-CPU array of u64, indexed by [`Counter`](crate::Counter).
    pub const COUNTERS: &str = "COUNTERS";
}

/// Names of the programs in the eBPF object.
pub mod program_names {
    /// Attached at the entry sites of functions and at the watched sites of the Go runtime. The
    /// upper half of the cookie is the site's virtual address, or 0 if it has no room.
    pub const ENTRY: &str = "function_entry";
    /// Attached at the RET instructions of functions; cookies are as those of entries.
    pub const RETURN: &str = "function_return";
    /// The same, and does what the RET would do. It is not for addresses that the cookie has no
    /// room for. Not every kernel loads it.
    pub const RETURN_EMULATED: &str = "function_return_emulated";
    /// Attached where calls return to; the cookie names the observer.
    pub const OBSERVER: &str = "return_observed";
    /// The same for places that are a RET, with what is said about the other one.
    pub const OBSERVER_EMULATED: &str = "return_observed_emulated";
    /// Raw tracepoint `sched_process_exit`.
    pub const PROCESS_EXIT: &str = "process_exit";
    /// Raw tracepoint `sched_process_exec`.
    pub const PROCESS_EXEC: &str = "process_exec";
    /// Raw tracepoint `sched_process_fork`.
    pub const PROCESS_FORK: &str = "process_fork";
}

/// Name of the read-only global that holds the [`TraceConfig`].
pub const CONFIG_GLOBAL: &str = "CONFIG";
