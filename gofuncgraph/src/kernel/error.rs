use std::io;

/// Why the kernel side cannot do its part.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Capabilities are missing.
    #[error("not permitted: tracing needs {missing}; {advice}")]
    NotPermitted {
        /// For instance `CAP_BPF and CAP_PERFMON`.
        missing: String,
        /// How to get them.
        advice: String,
    },
    /// All capabilities are there, but the kernel refused nevertheless.
    #[error(
        "not permitted: the kernel refused {action} ({source}) although CAP_BPF and CAP_PERFMON are \
         there; {advice}"
    )]
    Refused {
        /// What was tried.
        action: &'static str,
        /// The kernel's answer.
        source: io::Error,
        /// What may forbid it, and what to do.
        advice: String,
    },
    /// The kernel lacks uprobe_multi links.
    #[error(
        "this kernel ({release}) has no uprobe_multi links: gofuncgraph needs Linux 6.6 or newer \
         with CONFIG_UPROBE_EVENTS and CONFIG_BPF_EVENTS"
    )]
    NoUprobeMulti {
        /// As `uname -r` has it.
        release: String,
    },
    /// `--ret emulate` cannot be done.
    #[error(
        "--ret emulate: {reason}; leave --ret out, and the kernel executes the RETs that have probes"
    )]
    NoRetEmulation {
        /// Why.
        reason: String,
    },
    /// `--follow-forks` cannot be done.
    #[error("--follow-forks: {reason}")]
    NoFollowing {
        /// Why, and what to do.
        reason: &'static str,
    },
    /// The eBPF object cannot be read, or does not fit this version of gofuncgraph.
    #[error("the eBPF object is unusable: {reason}; rebuild it with `cargo xtask build-ebpf`")]
    Object {
        /// What is wrong.
        reason: String,
    },
    /// The kernel refused a program.
    #[error("the kernel did not load the program {program}: {source}{log}")]
    ProgramLoad {
        /// Its name.
        program: &'static str,
        /// The kernel's answer.
        source: io::Error,
        /// The verifier's words on lines of their own, or nothing.
        log: String,
    },
    /// Maps could not be created, or aya failed otherwise.
    #[error("the kernel did not accept {what}: {reason}")]
    Setup {
        /// What was being set up.
        what: &'static str,
        /// aya's message with its causes.
        reason: String,
    },
    /// A link could not be made.
    #[error("cannot attach {probes} probes: {source}")]
    Attach {
        /// How many.
        probes: usize,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The file could not be mapped for attaching.
    #[error("cannot map the executable's code for attaching: {source}")]
    MapCode {
        /// The kernel's answer.
        source: io::Error,
    },
    /// Probes on code of this process could not be measured.
    #[error("cannot measure what a probe costs: {source}")]
    Calibration {
        /// What failed.
        source: io::Error,
    },
    /// A map could not be read or written.
    #[error("cannot access the map {map}: {reason}")]
    MapAccess {
        /// Its name.
        map: &'static str,
        /// aya's message.
        reason: String,
    },
}

/// An error and its causes in one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
