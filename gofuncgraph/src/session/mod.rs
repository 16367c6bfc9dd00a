//! Wires the rooms together for one run.
//!
//! [`run`] reads the executable, makes the plan, loads and attaches, and then moves events from
//! the kernel through the assembler and the renderer to the writer until something ends it.

mod ending;
mod error;
mod live;
mod logger;
mod notice;
mod processes;
mod summary;
mod target_file;
mod writer;

use std::io::{self, Write};

use crate::binary::GoBinary;
use crate::cli::Settings;
use crate::kernel::Preparation;
use crate::plan::{self, Selection};

pub use error::SessionError;
pub use notice::notice;
use target_file::TargetFile;

/// Does what `settings` say. Call trees go to standard output or `--output`, everything else to
/// standard error.
///
/// # Errors
/// What ends the command with another status than 0; see [`SessionError::exit_code`].
pub fn run(settings: &Settings) -> Result<(), SessionError> {
    let file = TargetFile::open(&settings.binary)?;
    let binary = GoBinary::parse(file.bytes()).map_err(|source| SessionError::Binary {
        path: settings.binary.clone(),
        source,
    })?;
    for warning in binary.warnings() {
        notice(format_args!("warning: {warning}"));
    }
    let preparation = (!settings.dry_run).then(Preparation::start);
    let selection = Selection::from(&settings.patterns);
    let plan = plan::plan(&binary, &selection, settings.placement.into()).map_err(|source| {
        SessionError::Plan {
            path: settings.binary.clone(),
            source,
        }
    })?;
    let Some(preparation) = preparation else {
        return print_plan(&plan, settings, &file);
    };
    for warning in &plan.warnings {
        notice(format_args!("warning: {warning}"));
    }
    live::trace(settings, preparation, &file, &binary, &plan)
}

/// What `--dry-run` prints, to where trees would go. A reader that has seen enough is no error.
fn print_plan(
    plan: &plan::ProbePlan,
    settings: &Settings,
    file: &TargetFile,
) -> Result<(), SessionError> {
    let destination = writer::open(settings.output.as_deref(), file.identity())?;
    let mut out = io::BufWriter::new(destination);
    match write!(out, "{plan}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(SessionError::Output { source: error })
        }
        _ => Ok(()),
    }
}
