//! Which capabilities this process has, and how it gives them up.

use std::{fs, io};

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs,
};

use super::KernelError;
use super::refusal::not_permitted;

/// Bits of CapEff (Linux: include/uapi/linux/capability.h).
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Whether loading and attaching can be tried at all.
///
/// # Errors
/// [`KernelError::NotPermitted`] names what is missing.
pub(super) fn check() -> Result<(), KernelError> {
    // Without /proc nothing is known, and the kernel's own answer decides.
    let Some(effective) = fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| parse_effective(&status))
    else {
        return Ok(());
    };
    match missing(effective) {
        Some(missing) => Err(not_permitted(missing)),
        None => Ok(()),
    }
}

/// What a thread still needs capabilities for, if it has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StillNeeded {
    /// Nothing.
    Nothing,
    /// To send signals to processes of other users (CAP_KILL).
    Signals,
    /// To see which file a process of another user runs (CAP_SYS_PTRACE; Linux: fs/proc/base.c,
    /// `proc_pid_readlink`).
    ProcessFiles,
}

/// Takes every capability but what is `still_needed` from this thread and from those that it
/// starts from now on, for good.
///
/// Reading and writing maps, and links of programs that are loaded, need none (Linux:
/// kernel/bpf/syscall.c, `__sys_bpf`, asks for them to make maps and to load programs).
///
/// # Errors
/// The kernel's; then the capabilities are still there.
pub fn give_up_capabilities(still_needed: StillNeeded) -> io::Result<()> {
    // Else a process of uid 0 would have them again after an exec.
    set_no_new_privs(true)?;
    let kept = capabilities(None)?.permitted
        & match still_needed {
            StillNeeded::Nothing => CapabilitySet::empty(),
            StillNeeded::Signals => CapabilitySet::KILL,
            StillNeeded::ProcessFiles => CapabilitySet::SYS_PTRACE,
        };
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, sets)?)
}

fn parse_effective(status: &str) -> Option<u64> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(value.trim(), 16).ok()
}

fn missing(effective: u64) -> Option<String> {
    let has = |capability: u32| effective & (1 << capability) != 0;
    if has(CAP_SYS_ADMIN) {
        return None;
    }
    let names: Vec<&str> = [(CAP_BPF, "CAP_BPF"), (CAP_PERFMON, "CAP_PERFMON")]
        .into_iter()
        .filter(|(capability, _)| !has(*capability))
        .map(|(_, name)| name)
        .collect();
    (!names.is_empty()).then(|| names.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_missing() {
        assert_eq!(missing(0).as_deref(), Some("CAP_BPF and CAP_PERFMON"));
        assert_eq!(missing(1 << CAP_BPF).as_deref(), Some("CAP_PERFMON"));
        assert_eq!(missing(1 << CAP_BPF | 1 << CAP_PERFMON), None);
        assert_eq!(missing(1 << CAP_SYS_ADMIN), None);
    }

    #[test]
    fn reads_the_effective_set() {
        let status = "Name:\tx\nCapPrm:\t0000000000000001\nCapEff:\t000000c000000000\n";
        assert_eq!(parse_effective(status), Some(1 << 39 | 1 << 38));
        assert_eq!(parse_effective("Name:\tx\n"), None);
    }
}
