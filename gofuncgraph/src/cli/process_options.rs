//! Which processes are traced: all that run a file, some, or one that is launched.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, value_parser};

use super::settings::SettingsError;

/// Options, to be flattened into a command's.
#[derive(Clone, Debug, Args)]
pub(super) struct ProcessOptions {
    /// Trace this process alone, whatever its file is called or has become; repeatable for
    /// processes that run the same file. Instead of BINARY
    #[arg(
        short,
        long,
        value_name = "PID",
        action = ArgAction::Append,
        value_parser = value_parser!(u32).range(1..),
        help_heading = "Choose the process"
    )]
    pid: Vec<u32>,

    /// Trace the process alone that is called so, if exactly one is. Instead of BINARY
    #[arg(
        short,
        long,
        value_name = "NAME",
        conflicts_with = "pid",
        help_heading = "Choose the process"
    )]
    name: Option<String>,

    /// Trace what the process forks as well, and so on, as far as it runs the same file
    #[arg(long, help_heading = "Choose the process")]
    follow_forks: bool,

    /// End with the status of COMMAND, or 128 and the number of the signal that ended it
    #[arg(long, help_heading = "Choose the process")]
    exit_status: bool,

    /// A program to launch, which is traced from its first instruction on. Instead of BINARY
    #[arg(value_name = "COMMAND", last = true, conflicts_with_all = ["pid", "name"])]
    command: Vec<OsString>,
}

/// What is traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TracedProgram {
    /// Every process that runs this executable file, now or later.
    File(PathBuf),
    /// These processes; there is one at least.
    Processes(Vec<u32>),
    /// The only process of this name.
    Named(String),
    /// A program that is to be launched, as it is written; there is one word at least.
    Command(Vec<OsString>),
}

/// What is traced, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessSettings {
    /// Which program.
    pub program: TracedProgram,
    /// And what it forks.
    pub follow_forks: bool,
    /// End with the status of what was launched.
    pub exit_status: bool,
}

impl ProcessOptions {
    /// `binary` is the first word, which is a target as well if there is another way to know the
    /// program: then it is put in front of `targets`.
    pub(super) fn resolve(
        self,
        binary: Option<OsString>,
        targets: &mut Vec<String>,
    ) -> Result<ProcessSettings, SettingsError> {
        let Self {
            mut pid,
            name,
            follow_forks,
            exit_status,
            command,
        } = self;
        let is_command = !command.is_empty();
        let program = if is_command {
            TracedProgram::Command(command)
        } else if let Some(name) = name {
            TracedProgram::Named(name)
        } else if !pid.is_empty() {
            pid.sort_unstable();
            pid.dedup();
            TracedProgram::Processes(pid)
        } else {
            let binary = binary.ok_or(SettingsError::NoBinary)?;
            if follow_forks {
                return Err(SettingsError::NothingToFollow);
            }
            if exit_status {
                return Err(SettingsError::NoCommandToEndWith);
            }
            return Ok(ProcessSettings {
                program: TracedProgram::File(binary.into()),
                follow_forks,
                exit_status,
            });
        };
        if exit_status && !is_command {
            return Err(SettingsError::NoCommandToEndWith);
        }
        if let Some(target) = binary {
            // No function's name begins so.
            if matches!(target.as_encoded_bytes().first(), Some(b'/' | b'.')) {
                return Err(SettingsError::BinaryAmongTargets {
                    path: target.into(),
                });
            }
            targets.insert(0, target.to_string_lossy().into_owned());
        }
        Ok(ProcessSettings {
            program,
            follow_forks,
            exit_status,
        })
    }
}
