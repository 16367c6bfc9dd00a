//! Whether programs execute RETs, which takes the kernel's permission to change registers.
//!
//! A thread with a shadow stack has to execute its RETs itself. Programs look at each hit, because
//! processes that start later cannot be known: where the machine has shadow stacks at all, they
//! need to know where the kernel keeps a thread's features.

use std::fs;

use super::KernelError;
use super::btf;
use super::refusal::refused;
use super::system_call::try_to_load_register_writer;
use crate::cli::RetChoice;

/// How programs execute RETs.
pub(super) struct RetEmulation {
    /// As in `TraceConfig`.
    pub(super) thread_features_offset_bytes: u32,
    /// Nothing else will do.
    pub(super) is_demanded: bool,
}

/// Whether and how programs execute RETs here.
///
/// # Errors
/// If that is demanded and cannot be done.
pub(super) fn choose(choice: RetChoice) -> Result<Option<RetEmulation>, KernelError> {
    let is_demanded = match choice {
        RetChoice::Step => return Ok(None),
        RetChoice::Auto => false,
        RetChoice::Emulate => true,
    };
    match find() {
        Ok(thread_features_offset_bytes) => Ok(Some(RetEmulation {
            thread_features_offset_bytes,
            is_demanded,
        })),
        Err(error) if is_demanded => Err(error),
        Err(_) => Ok(None),
    }
}

fn find() -> Result<u32, KernelError> {
    try_to_load_register_writer().map_err(|source| match source.raw_os_error() {
        Some(libc::EPERM) => refused("loading a program", source),
        _ => KernelError::NoRetEmulation {
            reason: format!(
                "this kernel ({}) does not let uprobe programs change registers, as Linux 7.2 does",
                rustix::system::uname().release().to_string_lossy()
            ),
        },
    })?;
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if !may_have_shadow_stacks(&processors) {
        return Ok(0);
    }
    fs::read("/sys/kernel/btf/vmlinux")
        .ok()
        .and_then(|kernel_types| thread_features_offset(&kernel_types))
        .ok_or_else(|| KernelError::NoRetEmulation {
            reason: "threads of this machine can have shadow stacks, and the kernel does not tell \
                     in /sys/kernel/btf/vmlinux where it keeps which have one"
                .to_owned(),
        })
}

/// Whether a thread can have a shadow stack, by what /proc/cpuinfo says (Linux:
/// Documentation/arch/x86/shstk.rst). Where it says nothing, it can.
fn may_have_shadow_stacks(processors: &str) -> bool {
    let flags = processors
        .lines()
        .find_map(|line| line.strip_prefix("flags")?.split_once(':'));
    flags.is_none_or(|(_, flags)| flags.split_whitespace().any(|flag| flag == "user_shstk"))
}

/// Offset of `thread.features` in `task_struct` (Linux: arch/x86/include/asm/processor.h).
fn thread_features_offset(kernel_types: &[u8]) -> Option<u32> {
    let offsets = btf::member_offsets(
        kernel_types,
        [("task_struct", "thread"), ("thread_struct", "features")],
    )?;
    offsets.into_iter().try_fold(0, u32::checked_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shadow_stacks_are_told_by_the_processors_flags() {
        let with = "processor\t: 0\nflags\t\t: fpu vme user_shstk avx\nbugs\t\t: spectre_v1\n";
        let without = "processor\t: 0\nflags\t\t: fpu vme shstk avx\n";
        assert!(may_have_shadow_stacks(with));
        assert!(!may_have_shadow_stacks(without));
        assert!(may_have_shadow_stacks(""));
    }

    /// Not every kernel is built with shadow stacks.
    #[test]
    fn this_kernel_tells_where_members_are() {
        let kernel_types = fs::read("/sys/kernel/btf/vmlinux").expect("kernels have their types");
        let wanted = [("task_struct", "thread"), ("thread_struct", "sp")];
        let [thread, sp] = btf::member_offsets(&kernel_types, wanted).expect("both are there");
        assert_eq!((thread % 8, sp % 8), (0, 0), "they begin with words");
        let features = thread_features_offset(&kernel_types);
        assert!(features.is_none_or(|features| features > thread && features % 8 == 0));
    }
}
