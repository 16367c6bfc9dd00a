//! Why the kernel refuses, as far as the process's surroundings tell, and what to do.

use std::path::PathBuf;
use std::{fs, io};

use super::KernelError;

/// What may stand behind a refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Surroundings {
    /// `integrity` or `confidentiality` (Linux: security/lockdown/lockdown.c), if that is on.
    lockdown: Option<String>,
    /// A filter of system calls is active (Linux: fs/proc/array.c, `Seccomp: 2`).
    has_seccomp_filter: bool,
    /// The effective user is root.
    is_root: bool,
    /// This program's file.
    executable: Option<PathBuf>,
}

impl Surroundings {
    fn look() -> Self {
        let lockdown = fs::read_to_string("/sys/kernel/security/lockdown").ok();
        let status = fs::read_to_string("/proc/self/status").ok();
        Self {
            lockdown: lockdown.as_deref().and_then(parse_lockdown),
            has_seccomp_filter: status.as_deref().is_some_and(has_seccomp_filter),
            is_root: rustix::process::geteuid().is_root(),
            executable: fs::read_link("/proc/self/exe").ok(),
        }
    }

    fn advice_on_missing(&self) -> String {
        if self.is_root {
            return "root does not have them here, as in a container: run gofuncgraph outside of it, or \
                    start the container with --cap-add BPF --cap-add PERFMON (and --pid host to see \
                    other processes)"
                .to_owned();
        }
        let executable = match &self.executable {
            Some(path) => path.display().to_string(),
            None => "gofuncgraph".to_owned(),
        };
        format!(
            "run as root (sudo gofuncgraph …), or grant them once: \
             sudo setcap cap_bpf,cap_perfmon=ep {executable}"
        )
    }

    fn advice_on_refused(&self) -> String {
        if let Some(mode) = &self.lockdown {
            return format!(
                "the kernel is locked down (/sys/kernel/security/lockdown says {mode}), which may forbid it: \
                 boot with lockdown=none, or without Secure Boot"
            );
        }
        if self.has_seccomp_filter {
            return "a seccomp filter is active, as in containers, and may forbid it: run gofuncgraph \
                    outside of the container, or start that with --privileged"
                .to_owned();
        }
        "a security module may forbid it: see the kernel's log (dmesg), or try as root".to_owned()
    }
}

/// The error for capabilities that are missing, for instance `CAP_BPF and CAP_PERFMON`.
pub(super) fn not_permitted(missing: String) -> KernelError {
    let advice = Surroundings::look().advice_on_missing();
    KernelError::NotPermitted { missing, advice }
}

/// The error for EPERM though the capabilities are there.
pub(super) fn refused(action: &'static str, source: io::Error) -> KernelError {
    let advice = Surroundings::look().advice_on_refused();
    KernelError::Refused {
        action,
        source,
        advice,
    }
}

/// What to add where a program was not loaded: a lockdown takes helpers away (Linux:
/// kernel/bpf/helpers.c, `bpf_base_func_proto`), which the verifier tells in other words.
pub(super) fn lockdown_note() -> Option<String> {
    let surroundings = Surroundings::look();
    let is_on = surroundings.lockdown.is_some();
    is_on.then(|| format!("\n  {}", surroundings.advice_on_refused()))
}

/// The word in brackets of `none [integrity] confidentiality`.
fn parse_lockdown(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    let (mode, _) = rest.split_once(']')?;
    (mode != "none").then(|| mode.to_owned())
}

fn has_seccomp_filter(status: &str) -> bool {
    let mode = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"));
    mode.is_some_and(|mode| mode.trim() == "2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes() {
        let mode = |text| parse_lockdown(text);
        assert_eq!(mode("[none] integrity confidentiality\n"), None);
        let integrity = mode("none [integrity] confidentiality\n");
        assert_eq!(integrity.as_deref(), Some("integrity"));
        assert_eq!(mode(""), None);
        assert!(has_seccomp_filter(
            "Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n"
        ));
        assert!(!has_seccomp_filter("Seccomp:\t0\nSeccomp_filters:\t2\n"));
    }

    #[test]
    fn each_reason_has_its_advice() {
        let mut here = Surroundings {
            executable: Some(PathBuf::from("/usr/local/bin/gofuncgraph")),
            ..Surroundings::default()
        };
        let missing = here.advice_on_missing();
        let line = "sudo setcap cap_bpf,cap_perfmon=ep /usr/local/bin/gofuncgraph";
        assert!(missing.ends_with(line), "{missing}");
        assert!(here.advice_on_refused().contains("dmesg"));
        here.is_root = true;
        let missing = here.advice_on_missing();
        assert!(
            missing.contains("--cap-add BPF") && !missing.contains("sudo"),
            "{missing}"
        );
        here.has_seccomp_filter = true;
        assert!(here.advice_on_refused().contains("seccomp"));
        here.lockdown = Some("confidentiality".to_owned());
        let refused = here.advice_on_refused();
        assert!(refused.contains("says confidentiality"), "{refused}");
    }
}
