//! Which processes are traced, where not all are.
//!
//! Links for one process keep its probes out of all others, and the programs look the process up
//! as well (`TRACED`): a kernel before 6.10 runs probes of one process on its first thread only, and
//! one before 6.12 on whoever shares its memory. Where forks are followed, only the programs tell processes
//! apart, because a link knows no children.

use std::fs;
use std::os::unix::fs::MetadataExt;

use gofuncgraph_common::{Counter, TraceConfig, TracedProcess, map_names};

use super::link_target::LinkScope;
use super::tracer::{Tracer, access_error};
use super::{KernelError, btf};

/// Number of the initial pid namespace (Linux: include/linux/proc_ns.h, PROC_PID_INIT_INO).
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// Which processes that run the file are traced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProcessScope {
    /// All, also those that start later.
    #[default]
    All,
    /// Those of [`Tracer::trace_processes`].
    Named,
    /// Those, and what they fork, and so on.
    FollowForks,
}

/// What the kernel side knows of a process that was named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopedProcess {
    /// Program images that it has begun since it is traced.
    pub images: u32,
    /// Of these, those that have no probes until [`Tracer::renew_process`].
    pub images_without_probes: u32,
}

/// The part of the configuration that says which processes are traced.
pub(super) fn config(scope: ProcessScope) -> Result<TraceConfig, KernelError> {
    if scope == ProcessScope::All {
        return Ok(TraceConfig::default());
    }
    let mut config = TraceConfig {
        scoped: 1,
        ..TraceConfig::default()
    };
    // Without /proc it is the initial one that is meant as well as any.
    if let Ok(namespace) = fs::metadata("/proc/self/ns/pid")
        && namespace.ino() != INITIAL_PID_NAMESPACE
    {
        config.pid_namespace_device = namespace.dev();
        config.pid_namespace_inode = namespace.ino();
    }
    if scope == ProcessScope::FollowForks {
        let failed = |reason| KernelError::NoFollowing { reason };
        if config.pid_namespace_inode != 0 {
            return Err(failed(
                "from this pid namespace children cannot be told apart: run gofuncgraph in the \
                 initial one, or leave the option out",
            ));
        }
        let offsets = fs::read("/sys/kernel/btf/vmlinux")
            .ok()
            .and_then(|kernel_types| task_offsets(&kernel_types));
        let [pid, tgid] = offsets.ok_or_else(|| {
            failed(
                "the kernel does not tell in /sys/kernel/btf/vmlinux where it keeps the ids of \
                 processes; leave the option out",
            )
        })?;
        config.follow_forks = 1;
        config.task_pid_offset_bytes = pid;
        config.task_tgid_offset_bytes = tgid;
    }
    Ok(config)
}

/// Offsets of `pid` and `tgid` in `task_struct` (Linux: include/linux/sched.h).
fn task_offsets(kernel_types: &[u8]) -> Option<[u32; 2]> {
    btf::member_offsets(
        kernel_types,
        [("task_struct", "pid"), ("task_struct", "tgid")],
    )
}

impl Tracer {
    /// Restricts tracing to these processes, whose ids are of this process's pid namespace. To be
    /// called before [`Tracer::attach`]. Gives whether others that run the file get no probes,
    /// either; if not, they are slowed but not told of.
    ///
    /// # Errors
    /// The kernel's.
    pub fn trace_processes(&mut self, pids: &[u32]) -> Result<bool, KernelError> {
        for pid in pids {
            self.insert_traced(*pid)?;
        }
        let spares_others = match self.scope {
            ProcessScope::All | ProcessScope::FollowForks => false,
            ProcessScope::Named => self.filters_by_process()?,
        };
        if spares_others {
            self.links.set_scope(LinkScope::Processes(pids.to_vec()));
        }
        Ok(spares_others)
    }

    /// What is known of a process that was named; `None`: it is forgotten.
    pub fn scoped_process(&self, pid: u32) -> Option<ScopedProcess> {
        let process = self.traced.get(&pid, 0).ok()?;
        Some(ScopedProcess {
            images: process.images,
            images_without_probes: match self.scope {
                ProcessScope::Named => process.images_of_threads,
                ProcessScope::All | ProcessScope::FollowForks => 0,
            },
        })
    }

    /// Puts the probes of a process in place again of which
    /// [`ScopedProcess::images_without_probes`] has grown.
    ///
    /// # Errors
    /// The kernel's.
    pub fn renew_process(&mut self, pid: u32) -> Result<(), KernelError> {
        self.give_up_search()?;
        self.links.renew(pid)
    }

    /// Forgets a process that has ended: another may get its id.
    pub fn forget_scoped_process(&mut self, pid: u32) {
        // Gone already is as good.
        let _ = self.traced.remove(&pid);
    }

    /// How many of the processes that are traced have not ended. What has, and `is_gone`, is
    /// forgotten, but for those that were named: there has to be room for more.
    pub fn living_scoped_processes(
        &mut self,
        named: &[u32],
        is_gone: &dyn Fn(u32) -> bool,
    ) -> usize {
        let processes: Vec<(u32, TracedProcess)> =
            self.traced.iter().filter_map(Result::ok).collect();
        let mut living = 0;
        for (pid, process) in processes {
            if process.ended == 0 {
                living += 1;
            } else if !named.contains(&pid) && is_gone(pid) {
                self.forget_scoped_process(pid);
            }
        }
        living
    }

    /// Processes that traced ones forked and for which there was no room.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn refused_children(&self) -> Result<u64, KernelError> {
        self.counter(Counter::ChildrenRefused)
    }

    /// Lets the programs tell of this process, if they do not of all.
    pub(super) fn trace_own_process(&mut self) -> Result<(), KernelError> {
        match self.scope {
            ProcessScope::All => Ok(()),
            ProcessScope::Named | ProcessScope::FollowForks => {
                self.insert_traced(std::process::id())
            }
        }
    }

    pub(super) fn forget_own_process(&mut self) {
        self.forget_scoped_process(std::process::id());
    }

    fn insert_traced(&mut self, pid: u32) -> Result<(), KernelError> {
        self.traced
            .insert(pid, TracedProcess::default(), 0)
            .map_err(|error| access_error(map_names::TRACED, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_restricted_programs_look_processes_up() {
        let all = config(ProcessScope::All).expect("it takes nothing");
        assert_eq!(all, TraceConfig::default());
        let named = config(ProcessScope::Named).expect("it takes nothing");
        assert_eq!((named.scoped, named.follow_forks), (1, 0));
    }

    #[test]
    fn this_kernel_tells_where_ids_of_processes_are() {
        let kernel_types = fs::read("/sys/kernel/btf/vmlinux").expect("kernels have their types");
        let [pid, tgid] = task_offsets(&kernel_types).expect("both are there");
        assert_eq!(pid + 4, tgid, "both are pid_t, one after the other");
    }
}
