use std::io;
use std::path::PathBuf;

use crate::binary::BinaryError;
use crate::cli::ExitCode;
use crate::kernel::KernelError;
use crate::plan::PlanError;

/// Why a run ends with another status than 0.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The executable cannot be read.
    #[error("cannot read {}: {source}{}", path.display(), open_advice(source))]
    Open {
        /// As given.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The path is no regular file.
    #[error(
        "{} is {kind}, not an executable file; give the path of the program's executable file",
        path.display()
    )]
    NotAFile {
        /// As given.
        path: PathBuf,
        /// For instance `a directory`.
        kind: &'static str,
    },
    /// The executable cannot be traced.
    #[error("{}: {source}", path.display())]
    Binary {
        /// As given.
        path: PathBuf,
        /// What was found, and what is supported.
        source: BinaryError,
    },
    /// There is nothing to attach.
    #[error("{}: {source}", path.display())]
    Plan {
        /// As given.
        path: PathBuf,
        /// What was not found.
        source: PlanError,
    },
    /// The kernel side failed.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Something of this process's own, such as timers or signals.
    #[error("cannot set up {what}: {source}")]
    Setup {
        /// What.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The file for the output cannot be made.
    #[error(
        "cannot create {}: {source}; name a file in a directory that is there and may be written to",
        path.display()
    )]
    CreateOutput {
        /// As given.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The output would overwrite what is traced.
    #[error("--output {} is the executable that is to be traced; name another file", path.display())]
    OutputIsTarget {
        /// As given.
        path: PathBuf,
    },
    /// The output could not be written; what was written until then stands.
    #[error("cannot write the output: {source}; it ends early")]
    Output {
        /// The system's answer.
        source: io::Error,
    },
}

impl SessionError {
    /// The status for it.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Open { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => ExitCode::NotPermitted,
                io::ErrorKind::NotFound => ExitCode::Usage,
                _ => ExitCode::RuntimeFailure,
            },
            Self::Kernel(KernelError::NotPermitted { .. } | KernelError::Refused { .. }) => {
                ExitCode::NotPermitted
            }
            Self::Binary { .. }
            | Self::NotAFile { .. }
            | Self::Kernel(KernelError::NoUprobeMulti { .. }) => ExitCode::Unsupported,
            Self::OutputIsTarget { .. } => ExitCode::Usage,
            Self::Plan { source, .. } => match source {
                PlanError::Binary(_) => ExitCode::Unsupported,
                PlanError::Unmatched(_) | PlanError::NothingInMainModule { .. } => {
                    ExitCode::NothingMatched
                }
            },
            Self::Kernel(_)
            | Self::Setup { .. }
            | Self::CreateOutput { .. }
            | Self::Output { .. } => ExitCode::RuntimeFailure,
        }
    }
}

fn open_advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "; give the path of the program's executable file",
        io::ErrorKind::PermissionDenied => "; run as root, or as a user who may read it",
        _ => "",
    }
}
