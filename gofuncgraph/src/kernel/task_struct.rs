//! Where the kernel keeps what the programs read of threads.

use std::fs;

use super::btf;

/// Offsets in `task_struct` (Linux: include/linux/sched.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TaskOffsets {
    /// Of `exit_code`, which is set before the tracepoint sched_process_exit (Linux: kernel/exit.c,
    /// `do_exit`). `None` if the kernel does not tell.
    pub(super) exit_code: Option<u32>,
    /// What tells how old a process is. `None` if the kernel does not tell.
    pub(super) age: Option<AgeOffsets>,
}

/// What tells how old a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AgeOffsets {
    pub(super) group_leader: u32,
    pub(super) start_time: u32,
    pub(super) exit_state: u32,
}

impl TaskOffsets {
    /// Of this kernel.
    pub(super) fn read() -> Self {
        let Ok(kernel_types) = fs::read("/sys/kernel/btf/vmlinux") else {
            return Self::default();
        };
        let of_task = ["exit_code", "group_leader", "start_time", "exit_state"]
            .map(|member| ("task_struct", member));
        if let Some([exit_code, group_leader, start_time, exit_state]) =
            btf::member_offsets(&kernel_types, of_task)
        {
            return Self {
                exit_code: Some(exit_code),
                age: Some(AgeOffsets {
                    group_leader,
                    start_time,
                    exit_state,
                }),
            };
        }
        let exit_code = btf::member_offsets(&kernel_types, [("task_struct", "exit_code")]);
        Self {
            exit_code: exit_code.map(|[offset]| offset),
            age: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_tells_where_everything_is() {
        let offsets = TaskOffsets::read();
        let exit_code = offsets.exit_code.expect("kernels have their types");
        let age = offsets.age.expect("kernels have their types");
        let words = [exit_code, age.exit_state];
        assert!(words.iter().all(|it| *it != 0 && it.is_multiple_of(4)));
        let words = [age.group_leader, age.start_time];
        assert!(words.iter().all(|it| *it != 0 && it.is_multiple_of(8)));
    }
}
