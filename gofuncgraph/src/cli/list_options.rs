//! The arguments of `list`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum, value_parser};

use super::settings::{SettingsError, split_patterns};

// clap knows one kind of positional only.
pub(super) const LIST_USAGE: &str = "\
gofuncgraph list [OPTIONS] <BINARY> [GLOB]...
       gofuncgraph list [OPTIONS] --pid <PID> [GLOB]...";

pub(super) const AFTER_LIST_HELP: &str = "\
Examples:
  gofuncgraph list ./server 'main.*'
  gofuncgraph list --pid 4711 '*handle*'
  gofuncgraph list --json ./server | jq -r 'select(.inlined_copies > 0) | .name'
docs/LIST.md describes the columns and the JSON.

Exit status: 0, or 3 if a GLOB matches no function, 2 if the file or process is not there, 4 if it
may not be read, 5 if it is not a Go program that is supported";

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ListSort {
    /// By name.
    #[default]
    Name,
    /// By address; what has no code comes last.
    Address,
    /// The largest first.
    Size,
}

/// Which functions of which program.
#[derive(Clone, Debug, Args)]
pub(super) struct ListArguments {
    /// The executable file, unless --pid is given, and patterns of whole function names, in which *
    /// stands for any text and ? for one character. Without patterns: all functions
    #[arg(value_name = "BINARY | GLOB")]
    words: Vec<OsString>,

    /// The executable that this process runs, also if the file was replaced or is in a container
    #[arg(short, long, value_name = "PID", value_parser = value_parser!(u32).range(1..))]
    pid: Option<u32>,

    /// One JSON object a line instead of columns
    #[arg(long)]
    json: bool,

    /// What comes first
    #[arg(long, value_name = "KEY", value_enum, default_value_t)]
    sort: ListSort,
}

/// Where the program is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// Its executable file.
    File(PathBuf),
    /// A process that runs it.
    Process(u32),
}

/// What `list` shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListSettings {
    /// Whose functions.
    pub program: Program,
    /// Which of them, as globs over full Go names; none: all.
    pub patterns: Vec<String>,
    /// JSON instead of columns.
    pub json: bool,
    /// In which order.
    pub sort: ListSort,
}

impl ListSettings {
    pub(super) fn resolve(arguments: ListArguments) -> Result<Self, SettingsError> {
        let mut words = arguments.words.into_iter();
        let program = match arguments.pid {
            Some(pid) => Program::Process(pid),
            None => Program::File(words.next().ok_or(SettingsError::NothingToList)?.into()),
        };
        let patterns: Vec<String> = words
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        Ok(Self {
            program,
            patterns: split_patterns(&patterns)?,
            json: arguments.json,
            sort: arguments.sort,
        })
    }
}
