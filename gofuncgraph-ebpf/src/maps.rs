//! The maps; their layouts are documented in gofuncgraph-common.

use aya_ebpf::Global;
use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, RingBuf};
use gofuncgraph_common::{
    AlreadyOpenSearch, COUNTER_COUNT, Control, GoroutineKey, GoroutineState, LOOKED_AT_COUNT,
    ProcessState, ReturnPlace, SiteState, TargetCall, TraceConfig, TracedProcess,
};

/// Resized at load to `--buffer`.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 24, 0);

#[map]
pub static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

/// Resized at load to the number of sites.
#[map]
pub static SITES: Array<SiteState> = Array::with_max_entries(1, 0);

#[map]
pub static GOROUTINES: HashMap<GoroutineKey, GoroutineState> =
    HashMap::with_max_entries(1 << 16, 0);

#[map]
pub static PROCESSES: HashMap<u32, ProcessState> = HashMap::with_max_entries(1 << 13, 0);

/// Where not all processes are traced: those that are.
#[map]
pub static TRACED: HashMap<u32, TracedProcess> = HashMap::with_max_entries(1 << 13, 0);

/// Written by user space alone; grows while functions are promoted.
#[map]
pub static OBSERVED_RETURNS: HashMap<u64, ReturnPlace> = HashMap::with_max_entries(1 << 16, 0);

#[map]
pub static ALREADY_OPEN_SEARCH: Array<AlreadyOpenSearch> = Array::with_max_entries(1, 0);

/// Written by user space alone. Resized at load; room is made as it is needed.
#[map]
pub static TARGET_CALLS: HashMap<u32, TargetCall> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// Goroutines that had an event, as `already_open::name_of` names them; written by the programs
/// alone.
#[map]
pub static LOOKED_AT: Array<u64> = Array::with_max_entries(LOOKED_AT_COUNT, 0);

/// Written by the programs alone.
#[map]
pub static IMAGES_CHANGED: Array<u64> = Array::with_max_entries(1, 0);

#[map]
pub static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(COUNTER_COUNT, 0);

/// Set at load.
#[unsafe(no_mangle)]
pub static CONFIG: Global<TraceConfig> = Global::new(TraceConfig {
    goid_offset_bytes: 0,
    curg_offset_bytes: 0,
    wakeup_threshold_bytes: 0,
    sample_one_of: 0,
    verify: 0,
    position_independent: 0,
    thread_features_offset_bytes: 0,
    exit_code_offset_bytes: 0,
    task_group_leader_offset_bytes: 0,
    scoped: 0,
    follow_forks: 0,
    task_pid_offset_bytes: 0,
    task_tgid_offset_bytes: 0,
    pid_namespace_device: 0,
    pid_namespace_inode: 0,
    task_start_time_offset_bytes: 0,
    task_exit_state_offset_bytes: 0,
});

/// The control word while tracing is enabled.
#[inline(always)]
pub fn enabled_control() -> Option<*mut Control> {
    let control = CONTROL.get_ptr_mut(0)?;
    // SAFETY: an array element is valid while the program runs.
    let enabled = unsafe { (*control).enabled };
    (enabled != 0).then_some(control)
}

/// What is known of the place where calls return to `return_address`, a virtual address.
#[inline(always)]
pub fn return_place(return_address: u64) -> Option<ReturnPlace> {
    let place = OBSERVED_RETURNS.get_ptr(return_address)?;
    // SAFETY: a hash element stays mapped while the program runs.
    Some(unsafe { *place })
}

/// What a site is.
#[inline(always)]
pub fn site(site: u32) -> Option<SiteState> {
    SITES.get(site).copied()
}
