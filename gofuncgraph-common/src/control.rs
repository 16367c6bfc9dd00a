use core::mem::{offset_of, size_of};

/// What is fixed when the programs are loaded: facts of the target's Go version.
/// A read-only global, so that the verifier sees constants.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceConfig {
    /// Offset of `goid` in `runtime.g`.
    pub goid_offset_bytes: u32,
    /// Offset of `curg` in `runtime.m`.
    pub curg_offset_bytes: u32,
    /// Bytes of unread ring data beyond which the reader is woken.
    pub wakeup_threshold_bytes: u64,
    /// Of the calls outside of any tree, one of this many is sampled: a power of two, or 0 for
    /// none.
    pub sample_one_of: u32,
    /// Not 0: RETs of promoted functions are told of beside their observers.
    pub verify: u32,
    /// Not 0: the file is loaded at other addresses than it says, whole pages away.
    pub position_independent: u32,
    /// Offset of `thread.features` in the kernel's `task_struct`, whose lowest bit says that the
    /// thread has a shadow stack; 0: no thread of this machine has one.
    pub thread_features_offset_bytes: u32,
    /// Offset of `exit_code` in the kernel's `task_struct`; 0: not known.
    pub exit_code_offset_bytes: u32,
    /// Offset of `group_leader` in the kernel's `task_struct`; 0: this and the two at the end are not
    /// known.
    pub task_group_leader_offset_bytes: u32,
    /// Not 0: only the processes in the `TRACED` map are told of.
    pub scoped: u32,
    /// Not 0: what they fork is put into that map, too. Then the next two are known.
    pub follow_forks: u32,
    /// Offset of `pid` in the kernel's `task_struct`.
    pub task_pid_offset_bytes: u32,
    /// Offset of `tgid` there.
    pub task_tgid_offset_bytes: u32,
    /// Device of the pid namespace whose numbers are the keys of `TRACED`.
    pub pid_namespace_device: u64,
    /// Its inode; 0: the initial namespace.
    pub pid_namespace_inode: u64,
    /// Offset of `start_time` there: CLOCK_MONOTONIC, in nanoseconds.
    pub task_start_time_offset_bytes: u32,
    /// Offset of `exit_state` there: 0 of a thread that has not ended.
    pub task_exit_state_offset_bytes: u32,
}

/// A process that is traced where not all are; in the `TRACED` map, by its thread group id.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TracedProcess {
    /// Program images that it has begun since it is here.
    pub images: u32,
    /// Of these, those that another thread than the leader began. The kernel's own filter by
    /// process knows the leader alone (Linux: kernel/trace/bpf_trace.c,
    /// `uprobe_multi_link_filter`), and puts no probes into them.
    pub images_of_threads: u32,
    /// Not 0: its leader has ended, and no other thread has become the leader since.
    pub ended: u32,
}

/// Changes while tracing; entry 0 of the `CONTROL` map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// 0: every program returns at once.
    pub enabled: u32,
    /// 1: the next record past the wakeup threshold wakes the reader and sets this to 0.
    pub wakeup_armed: u32,
    /// Of the cookies of RETs, those whose hits are counted outside of trees: while probes are
    /// replaced there are two at a RET. See [`ret_cookie`].
    pub returns_generation: u32,
}

/// The cookie of a RET: its site, and in the upper bits which of the links it belongs to that
/// replace each other.
pub mod ret_cookie {
    /// The site.
    pub const SITE_MASK: u32 = (1 << 30) - 1;
    /// By how much the generation is shifted: 1 to 3 by turns, 0 of what is never replaced.
    pub const GENERATION_SHIFT: u32 = 30;
}

/// Bits of [`SiteState::flags`].
pub mod site_flags {
    /// The function can start a tree.
    pub const TARGET: u32 = 1 << 0;
    /// The site sends nothing for now.
    pub const MUTED: u32 = 1 << 1;
    /// The `call runtime.gogo` in `runtime.recovery`.
    pub const RECOVERY: u32 = 1 << 2;
    /// The entry of `runtime.goexit1`.
    pub const GOROUTINE_EXIT: u32 = 1 << 3;
    /// The entry of `runtime.sigpanic`.
    pub const SIGNAL_PANIC: u32 = 1 << 4;
    /// The instruction is single-stepped: only counted apart.
    pub const STEPPED: u32 = 1 << 5;
    /// The entry of `runtime.gopanic`.
    pub const PANIC: u32 = 1 << 6;
    /// The entry of `runtime.Goexit`.
    pub const GOEXIT: u32 = 1 << 7;
    /// The entry of `os.Exit`.
    pub const EXIT: u32 = 1 << 8;
    /// The entry of `runtime.fatalpanic`.
    pub const FATAL_PANIC: u32 = 1 << 9;
    /// The entry of `runtime.fatalthrow`.
    pub const FATAL_ERROR: u32 = 1 << 10;
    /// All that tell why something will end.
    pub const REASONS: u32 = PANIC | GOEXIT | EXIT | FATAL_PANIC | FATAL_ERROR;
    /// The instruction is the branch of the stack check: where it is taken, no call begins.
    pub const STACK_CHECK: u32 = 1 << 11;
}

/// What a site is at the moment; indexed by the cookie. May change while tracing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteState {
    /// [`site_flags`].
    pub flags: u32,
    /// How the function's returns are seen; 0: by probes on its RETs, 1: by observers at its
    /// return sites.
    pub tier: u32,
    /// Virtual address of the site where `tier` is 1; else it may be 0.
    pub address: u64,
}

/// What is known of the place that a call returns to; in the `OBSERVED_RETURNS` map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReturnPlace {
    /// 0: an observer is there. Else the caller returns at once, and its own return address
    /// stands so many bytes above the call's.
    pub caller_slot_bytes: u32,
    /// Entry site of that caller; [`NO_SITE`] if it is not traced or an observer is there.
    pub caller_site: u32,
}

/// [`ReturnPlace::caller_site`] of what is no site.
pub const NO_SITE: u32 = u32::MAX;

/// Callers at most that are looked through for the one whose return is seen.
pub const MAX_CHAIN: u32 = 8;

/// Entry 0 of the `ALREADY_OPEN_SEARCH` map: whether stacks are searched for calls of targets that were
/// open when tracing began.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlreadyOpenSearch {
    /// Not 0: where that is possible. The programs set it to 0 once a target's call was not told of:
    /// from then on one on a stack need not have begun before.
    pub is_wanted: u32,
    /// Always 0.
    pub padding: u32,
    /// Only in processes that are older: CLOCK_MONOTONIC. Others have told of all calls, or have
    /// their stack of a process that had: a child before it executes its own program.
    pub since_ns: u64,
}

/// A call in the code of a target; in the `TARGET_CALLS` map, by the lower half of the virtual
/// address that it returns to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetCall {
    /// The entry site of the target.
    pub site: u32,
    /// From the call's return address up to the target's own.
    pub frame_bytes: u32,
}

/// Elements of the `LOOKED_AT` map: a power of two.
pub const LOOKED_AT_COUNT: u32 = 1 << 16;

/// Names a goroutine of a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GoroutineKey {
    /// Thread group id as the initial pid namespace has it.
    pub tgid: u32,
    /// Always 0.
    pub padding: u32,
    /// Go's goroutine id.
    pub goid: u64,
}

/// Bits of [`GoroutineState::flags`].
pub mod goroutine_flags {
    /// A record of this goroutine was lost since its state was made.
    pub const LOST_RECORDS: u32 = 1 << 0;
    /// The goroutine has ended; the state stands only until user space has read its sequence.
    pub const ENDED: u32 = 1 << 1;
}

/// Unobserved frames of a goroutine that are watched at a time.
pub const UNOBSERVED_FRAMES: usize = 2;

/// A frame of a promoted function without an observer at its return site.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnobservedFrame {
    /// Of the frame; 0: none.
    pub depth_bytes: u64,
    /// The word at that depth while the frame is open: a runtime address.
    pub return_address: u64,
}

/// The gate of a goroutine: present while it has an active root, or owes user space the
/// news of lost records.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GoroutineState {
    /// Depth of the active root's frame; 0: no tree is active.
    pub root_depth_bytes: u64,
    /// Sequence number of the goroutine's next record.
    pub next_sequence: u64,
    /// [`ProcessState::generation`] at the time the root became active.
    pub generation: u32,
    /// [`goroutine_flags`].
    pub flags: u32,
    /// Number of the current tree, wrapping at 2^16.
    pub tree: u32,
    /// Always 0.
    pub padding: u32,
    /// No open frame is deeper than this, as far as records were written.
    pub deepest_open_bytes: u64,
    /// The deepest unobserved frames, the shallower first.
    pub unobserved: [UnobservedFrame; UNOBSERVED_FRAMES],
}

/// Bits of [`ProcessState::flags`].
pub mod process_flags {
    /// The process is ending: its threads may still hit probes for a moment.
    pub const ENDED: u32 = 1 << 0;
}

/// A process that had a tree.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessState {
    /// Counts the program images of the process, because goids restart at exec; begins anywhere.
    pub generation: u32,
    /// [`process_flags`].
    pub flags: u32,
}

const _: () = {
    assert!(size_of::<TraceConfig>() == 80);
    assert!(offset_of!(TraceConfig, task_group_leader_offset_bytes) == 36);
    assert!(offset_of!(TraceConfig, task_start_time_offset_bytes) == 72);
    assert!(offset_of!(TraceConfig, task_exit_state_offset_bytes) == 76);
    assert!(offset_of!(TraceConfig, exit_code_offset_bytes) == 32);
    assert!(offset_of!(TraceConfig, scoped) == 40);
    assert!(offset_of!(TraceConfig, follow_forks) == 44);
    assert!(offset_of!(TraceConfig, task_pid_offset_bytes) == 48);
    assert!(offset_of!(TraceConfig, task_tgid_offset_bytes) == 52);
    assert!(offset_of!(TraceConfig, pid_namespace_device) == 56);
    assert!(offset_of!(TraceConfig, pid_namespace_inode) == 64);
    assert!(size_of::<TracedProcess>() == 12);
    assert!(offset_of!(TracedProcess, images_of_threads) == 4);
    assert!(offset_of!(TracedProcess, ended) == 8);
    assert!(offset_of!(TraceConfig, sample_one_of) == 16);
    assert!(offset_of!(TraceConfig, verify) == 20);
    assert!(offset_of!(TraceConfig, position_independent) == 24);
    assert!(offset_of!(TraceConfig, thread_features_offset_bytes) == 28);
    assert!(offset_of!(TraceConfig, curg_offset_bytes) == 4);
    assert!(offset_of!(TraceConfig, wakeup_threshold_bytes) == 8);
    assert!(size_of::<Control>() == 12);
    assert!(offset_of!(Control, returns_generation) == 8);
    assert!(offset_of!(Control, wakeup_armed) == 4);
    assert!(size_of::<SiteState>() == 16);
    assert!(offset_of!(SiteState, tier) == 4);
    assert!(offset_of!(SiteState, address) == 8);
    assert!(size_of::<ReturnPlace>() == 8);
    assert!(offset_of!(ReturnPlace, caller_site) == 4);
    assert!(size_of::<AlreadyOpenSearch>() == 16);
    assert!(offset_of!(AlreadyOpenSearch, since_ns) == 8);
    assert!(size_of::<TargetCall>() == 8);
    assert!(offset_of!(TargetCall, frame_bytes) == 4);
    assert!(size_of::<GoroutineKey>() == 16);
    assert!(offset_of!(GoroutineKey, goid) == 8);
    assert!(size_of::<GoroutineState>() == 72);
    assert!(offset_of!(GoroutineState, deepest_open_bytes) == 32);
    assert!(offset_of!(GoroutineState, unobserved) == 40);
    assert!(offset_of!(GoroutineState, next_sequence) == 8);
    assert!(offset_of!(GoroutineState, generation) == 16);
    assert!(offset_of!(GoroutineState, flags) == 20);
    assert!(offset_of!(GoroutineState, tree) == 24);
    assert!(size_of::<ProcessState>() == 8);
    assert!(offset_of!(ProcessState, flags) == 4);
};

#[cfg(feature = "user")]
mod pod {
    use super::{
        AlreadyOpenSearch, Control, GoroutineKey, GoroutineState, ProcessState, ReturnPlace,
        SiteState, TargetCall, TraceConfig, TracedProcess,
    };

    // SAFETY: repr(C), integers only, no implicit padding (sizes asserted above), any bytes are valid.
    unsafe impl aya::Pod for TraceConfig {}
    // SAFETY: as above.
    unsafe impl aya::Pod for TracedProcess {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Control {}
    // SAFETY: as above.
    unsafe impl aya::Pod for SiteState {}
    // SAFETY: as above.
    unsafe impl aya::Pod for ReturnPlace {}
    // SAFETY: as above.
    unsafe impl aya::Pod for AlreadyOpenSearch {}
    // SAFETY: as above.
    unsafe impl aya::Pod for TargetCall {}
    // SAFETY: as above.
    unsafe impl aya::Pod for GoroutineKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for GoroutineState {}
    // SAFETY: as above.
    unsafe impl aya::Pod for ProcessState {}
}
