//! Where the kernel keeps how a process ended.

use std::fs;

use super::btf;

/// Offset of `exit_code` in `task_struct`, which is set before the tracepoint sched_process_exit
/// (Linux: kernel/exit.c, `do_exit`). `None` if the kernel does not tell.
pub(super) fn exit_code_offset() -> Option<u32> {
    let kernel_types = fs::read("/sys/kernel/btf/vmlinux").ok()?;
    let [offset] = btf::member_offsets(&kernel_types, [("task_struct", "exit_code")])?;
    Some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_tells_where_the_exit_code_is() {
        let offset = exit_code_offset().expect("kernels have their types");
        assert!(offset != 0 && offset.is_multiple_of(4), "{offset}");
    }
}
