use std::io;
use std::path::{Path, PathBuf};

use super::{AnalysisError, ProcessError};
use crate::binary::BinaryError;
use crate::cli::ExitCode;
use crate::kernel::KernelError;
use crate::plan::PlanError;
use crate::recording::RecordingError;

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
    #[error("{} is {kind}, not an executable file; {GIVE_PATH}", path.display())]
    NotAFile {
        /// As given.
        path: PathBuf,
        /// For instance `a directory`.
        kind: &'static str,
    },
    /// Another error, with what to type instead.
    #[error("{}", advised(&error.without_advice(), advice))]
    Advised {
        /// What is wrong.
        error: Box<SessionError>,
        /// What to do about it here.
        advice: String,
    },
    /// The executable of a process cannot be had.
    #[error("process {pid}: {problem}")]
    Process {
        /// As given.
        pid: u32,
        /// Why, and what to do.
        problem: String,
        /// The system's answer.
        source: io::Error,
    },
    /// What was chosen of processes cannot be traced or launched.
    #[error(transparent)]
    Chosen(#[from] ProcessError),
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
    /// `--net`, but what a probe costs could not be measured.
    #[error(
        "--net needs what a probe costs, which was not measured{}; leave it out to see durations \
         with that cost",
        if *debug { " because of --debug" } else { "" }
    )]
    NetWithoutCosts {
        /// The programs in the kernel write a log, too.
        debug: bool,
    },
    /// `--net` of a recording that does not tell what a probe costs.
    #[error(
        "--net needs what a probe costs, which this recording does not tell: it was not measured, \
         or an older version recorded; leave it out to see durations with that cost"
    )]
    NetWithoutRecordedCosts,
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
    #[error("{option} {} is the executable that is to be traced; name another file", path.display())]
    OutputIsTarget {
        /// What names it.
        option: &'static str,
        /// As given.
        path: PathBuf,
    },
    /// The output would overwrite what is shown.
    #[error("{option} {} is the recording that is to be shown; name another file", path.display())]
    OutputIsRecording {
        /// What names it.
        option: &'static str,
        /// As given.
        path: PathBuf,
    },
    /// A recording could not be written; what was written until then can be read.
    #[error(
        "cannot write the recording{}: {source}; it ends early, and up to {missing} events are \
         missing in it",
        named(path.as_deref())
    )]
    WriteRecording {
        /// `None`: standard output.
        path: Option<PathBuf>,
        /// The system's answer.
        source: io::Error,
        /// Events that were traced and are not in it, those of a block that is there in part
        /// included.
        missing: u64,
    },
    /// A recording was removed while it was written, so that nothing of it is left.
    #[error("{} was removed while it was written: nothing is left of the recording", path.display())]
    RecordingRemoved {
        /// As given.
        path: PathBuf,
    },
    /// A recording cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    OpenRecording {
        /// As given.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A recording cannot be read, or not to its end.
    #[error("{}: {source}", path.as_deref().unwrap_or(Path::new("standard input")).display())]
    Recording {
        /// `None`: standard input.
        path: Option<PathBuf>,
        /// What is wrong.
        source: RecordingError,
    },
    /// Two outputs would overwrite one another.
    #[error("two outputs would go to {}: name another file for one of them", path.display())]
    TwoOutputsInOneFile {
        /// As given for one of them.
        path: PathBuf,
    },
    /// A format's own file could not be written; what was written until then stands.
    #[error("cannot write {}: {source}; it ends early", path.display())]
    OutputFile {
        /// As given.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// `report`, `diff` or `check` failed.
    #[error(transparent)]
    Analysis(#[from] AnalysisError),
    /// The output could not be written; what was written until then stands.
    #[error("cannot write the output: {source}; it ends early")]
    Output {
        /// The system's answer.
        source: io::Error,
    },
}

const GIVE_PATH: &str = "give the path of the program's executable file";

impl SessionError {
    /// What is wrong, where something better than the usual can be said of what to do.
    fn without_advice(&self) -> String {
        match self {
            Self::Open { path, source } => format!("cannot read {}: {source}", path.display()),
            Self::NotAFile { path, kind } => {
                format!("{} is {kind}, not an executable file", path.display())
            }
            other => other.to_string(),
        }
    }

    /// The status for it.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Advised { error, .. } => error.exit_code(),
            Self::Open { source, .. } | Self::Process { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => ExitCode::NotPermitted,
                io::ErrorKind::NotFound => ExitCode::Usage,
                _ => ExitCode::RuntimeFailure,
            },
            Self::Kernel(KernelError::NotPermitted { .. } | KernelError::Refused { .. }) => {
                ExitCode::NotPermitted
            }
            Self::Binary { .. }
            | Self::NotAFile { .. }
            | Self::Kernel(
                KernelError::NoUprobeMulti { .. }
                | KernelError::NoRetEmulation { .. }
                | KernelError::NoFollowing { .. },
            ) => ExitCode::Unsupported,
            Self::OutputIsTarget { .. }
            | Self::OutputIsRecording { .. }
            | Self::TwoOutputsInOneFile { .. } => ExitCode::Usage,
            Self::Analysis(error) => error.exit_code(),
            Self::Chosen(error) => error.exit_code(),
            Self::Plan { source, .. } => match source {
                PlanError::Binary(_) => ExitCode::Unsupported,
                PlanError::Unmatched(_) | PlanError::NothingInMainModule { .. } => {
                    ExitCode::NothingMatched
                }
            },
            Self::Kernel(_)
            | Self::NetWithoutCosts { .. }
            | Self::NetWithoutRecordedCosts
            | Self::Setup { .. }
            | Self::CreateOutput { .. }
            | Self::WriteRecording { .. }
            | Self::RecordingRemoved { .. }
            | Self::OpenRecording { .. }
            | Self::Recording { .. }
            | Self::OutputFile { .. }
            | Self::Output { .. } => ExitCode::RuntimeFailure,
        }
    }
}

/// A sentence goes on, what has lines gets another.
fn advised(problem: &str, advice: &str) -> String {
    match problem.contains('\n') {
        true => format!("{problem}\n{advice}"),
        false => format!("{problem}; {advice}"),
    }
}

fn named(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| format!(" {}", path.display()))
}

fn open_advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "; give the path of the program's executable file",
        io::ErrorKind::PermissionDenied => "; run as root, or as a user who may read it",
        _ => "",
    }
}
