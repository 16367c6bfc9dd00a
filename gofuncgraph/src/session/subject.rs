//! What is traced: a file, and all or some of the processes that run it.

use std::path::PathBuf;

use crate::cli::{ProcessSettings, TracedProgram};
use crate::kernel::ProcessScope;

use super::SessionError;
use super::launch::Launch;
use super::named_process::{self, NamedProcess};
use super::notice::notice;
use super::process_file::without_mark;
use super::target_file::TargetFile;

/// What is traced.
pub(super) struct Subject {
    /// The executable.
    pub(super) file: TargetFile,
    /// What it is called, to be shown and recorded. Another file may be there by now.
    pub(super) path: PathBuf,
    /// Of those that run it.
    pub(super) processes: Processes,
    /// And what these fork.
    pub(super) follow_forks: bool,
}

/// Which processes are traced.
pub(super) enum Processes {
    /// All, also those that start later.
    All,
    /// These.
    Named(Vec<NamedProcess>),
    /// One that is to be launched.
    Launched(Launch),
}

impl Subject {
    /// Finds and opens what the command line names.
    pub(super) fn find(settings: &ProcessSettings) -> Result<Self, SessionError> {
        let named = |ids: &[u32]| {
            let (processes, file, path) = named_process::open_all(ids)?;
            for process in &processes {
                if let Some((_, host)) = &process.host {
                    notice(format_args!(
                        "process {} runs {}, which is not built by Go; of what it has loaded {} is",
                        process.pid,
                        host.display(),
                        path.display()
                    ));
                }
            }
            Ok::<_, SessionError>((Processes::Named(processes), file, without_mark(path)))
        };
        let (processes, file, path) = match &settings.program {
            TracedProgram::File(path) => (Processes::All, TargetFile::open(path)?, path.to_owned()),
            TracedProgram::Processes(ids) => named(ids)?,
            TracedProgram::Named(name) => named(&[named_process::find(name)?])?,
            TracedProgram::Command(words) => {
                let (launch, file) = Launch::find(words)?;
                let path = launch.path().to_owned();
                (Processes::Launched(launch), file, path)
            }
        };
        Ok(Self {
            file,
            path,
            processes,
            follow_forks: settings.follow_forks,
        })
    }

    /// What the kernel side has to know when it is loaded.
    pub(super) fn scope(&self) -> ProcessScope {
        match self.processes {
            Processes::All => ProcessScope::All,
            _ if self.follow_forks => ProcessScope::FollowForks,
            Processes::Named(_) | Processes::Launched(_) => ProcessScope::Named,
        }
    }

    /// A program of ours is launched.
    pub(super) fn is_launched(&self) -> bool {
        matches!(self.processes, Processes::Launched(_))
    }
}
