/// How the command ends, as scripts see it.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Traced, even if no tree was seen or events were lost.
    Success = 0,
    /// Something failed while tracing.
    RuntimeFailure = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// A pattern gives no function to attach.
    NothingMatched = 3,
    /// The kernel denies a privilege.
    NotPermitted = 4,
    /// The executable or the kernel is not one that can be traced.
    Unsupported = 5,
    /// A rule of `check` failed.
    RuleFailed = 10,
    /// Ended at once by a second Ctrl-C.
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
