//! Which processes are traced, where not all are.

use aya_ebpf::bindings::bpf_pidns_info;
use aya_ebpf::helpers::bpf_probe_read_kernel;
use aya_ebpf::helpers::generated::bpf_get_ns_current_pid_tgid;
use aya_ebpf::programs::RawTracePointContext;
use gofuncgraph_common::{Counter, TracedProcess};

use crate::counters::count;
use crate::goroutine::current_tgid;
use crate::maps::{CONFIG, TRACED};

/// Whether the current process is one that is told of.
#[inline(always)]
pub fn has_current_process() -> bool {
    CONFIG.load().scoped == 0 || current().is_some()
}

/// The current process, if it is traced where not all are.
#[inline(always)]
fn current() -> Option<*mut TracedProcess> {
    TRACED.get_ptr_mut(current_number()?)
}

/// The current thread group's id in the namespace whose numbers user space knows; `None` if it is
/// in another one.
#[inline(always)]
fn current_number() -> Option<u32> {
    let config = CONFIG.load();
    if config.pid_namespace_inode == 0 {
        return Some(current_tgid());
    }
    let mut numbers = bpf_pidns_info { pid: 0, tgid: 0 };
    // SAFETY: the helper writes so many bytes to where there is room.
    let result = unsafe {
        bpf_get_ns_current_pid_tgid(
            config.pid_namespace_device,
            config.pid_namespace_inode,
            &mut numbers,
            size_of::<bpf_pidns_info>() as u32,
        )
    };
    (result == 0).then_some(numbers.tgid)
}

/// The current process has begun another program image.
#[inline(always)]
pub fn note_image(by_leader: bool) {
    if CONFIG.load().scoped == 0 {
        return;
    }
    if let Some(process) = current() {
        // SAFETY: a hash element stays mapped while the program runs, and of a process that
        // replaces its image no other thread is left.
        unsafe {
            (*process).images += 1;
            (*process).images_of_threads += u32::from(!by_leader);
            (*process).ended = 0;
        }
    }
}

/// The current process's leader ends.
#[inline(always)]
pub fn note_end() {
    if CONFIG.load().scoped == 0 {
        return;
    }
    if let Some(process) = current() {
        // SAFETY: a hash element stays mapped while the program runs.
        unsafe { (*process).ended = 1 };
    }
}

/// Runs in the parent. What a traced process forks is traced, and a number that was a traced
/// process's before is now another's.
#[inline(always)]
pub fn handle_fork(ctx: &RawTracePointContext) {
    let config = CONFIG.load();
    if config.follow_forks == 0 {
        return;
    }
    // The second argument is the child's task (Linux: include/trace/events/sched.h).
    let child: u64 = ctx.arg(1);
    let word = |offset: u32| {
        let address = child.wrapping_add(u64::from(offset)) as *const u32;
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_kernel(address) }
    };
    let (Ok(pid), Ok(tgid)) = (
        word(config.task_pid_offset_bytes),
        word(config.task_tgid_offset_bytes),
    ) else {
        return;
    };
    if pid != tgid {
        // A thread.
        return;
    }
    if current().is_none() {
        let _ = TRACED.remove(&tgid);
        return;
    }
    let process = TracedProcess {
        images: 0,
        images_of_threads: 0,
        ended: 0,
    };
    if TRACED.insert(&tgid, &process, 0).is_err() {
        count(Counter::ChildrenRefused);
    }
}
