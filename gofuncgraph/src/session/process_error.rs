use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::cli::ExitCode;

/// Why a process that was named cannot be traced, or a program not be launched.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// No process has the name of `--name`.
    #[error(
        "no process is called '{name}': a name is compared with the base name of what a process \
         runs, its first argument and its name in /proc/PID/comm; --pid takes a number"
    )]
    NoneNamed {
        /// As given.
        name: String,
    },
    /// More than one has.
    #[error("{count} processes are called '{name}': choose one or several with --pid{candidates}")]
    SeveralNamed {
        /// As given.
        name: String,
        /// How many.
        count: usize,
        /// Some of them, each on a line of its own.
        candidates: String,
    },
    /// Processes do not run the same file.
    #[error(
        "process {first} runs {}, and process {second} runs {}: only processes that run the same \
         file can be traced together", first_path.display(), second_path.display()
    )]
    DifferentFiles {
        /// One of them.
        first: u32,
        /// What it runs.
        first_path: PathBuf,
        /// Another.
        second: u32,
        /// What that runs.
        second_path: PathBuf,
    },
    /// A process that Go has not built has loaded more than one library that it has.
    #[error(
        "process {pid} runs {}, which is not built by Go, and has loaded several libraries that are: \
         name one of them as BINARY, without -p, and all processes that load it are traced: {}",
        path.display(), listed(libraries)
    )]
    SeveralLibraries {
        /// As given.
        pid: u32,
        /// What it runs.
        path: PathBuf,
        /// What of that is built by Go.
        libraries: Vec<PathBuf>,
    },
    /// /proc is of another pid namespace than this process.
    #[error(
        "/proc belongs to another pid namespace than this process, so numbers of processes mean \
         different ones; mount it anew (mount -t proc proc /proc), or run gofuncgraph outside"
    )]
    ForeignProc,
    /// A process lives in a pid namespace below this process's, which is not the initial one.
    #[error(
        "process {pid} is in a pid namespace of its own, and gofuncgraph in another that is not \
         the initial one: run gofuncgraph in the initial pid namespace, or in that of the process"
    )]
    OtherNamespace {
        /// As given.
        pid: u32,
    },
    /// What `--` names is not there.
    #[error(
        "cannot launch {}: there is no such file in any directory of PATH; \
         give the path of the program's executable file", name.display()
    )]
    NoSuchCommand {
        /// As given.
        name: OsString,
    },
    /// What `--` names may not be run.
    #[error("cannot launch {}: it may not be executed (chmod +x lets it be)", path.display())]
    NotExecutable {
        /// Where it was found.
        path: PathBuf,
    },
    /// What `--` names is a script.
    #[error(
        "cannot launch {}: it is a script, which {interpreter} would run; \
         name the Go program that it starts, with its arguments", path.display()
    )]
    Script {
        /// Where it was found.
        path: PathBuf,
        /// As its first line has it.
        interpreter: String,
    },
    /// The program could not be started.
    #[error("cannot launch {}: {source}", path.display())]
    Launch {
        /// Where it was found.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

fn listed(paths: &[PathBuf]) -> String {
    let paths = paths.iter().map(|path| path.display().to_string());
    paths.collect::<Vec<_>>().join(", ")
}

impl ProcessError {
    /// The status for it.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::NoneNamed { .. }
            | Self::SeveralNamed { .. }
            | Self::DifferentFiles { .. }
            | Self::SeveralLibraries { .. }
            | Self::NoSuchCommand { .. } => ExitCode::Usage,
            Self::ForeignProc | Self::OtherNamespace { .. } | Self::Script { .. } => {
                ExitCode::Unsupported
            }
            Self::NotExecutable { .. } => ExitCode::NotPermitted,
            Self::Launch { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => ExitCode::NotPermitted,
                _ => ExitCode::RuntimeFailure,
            },
        }
    }
}
