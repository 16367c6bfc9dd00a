//! Wires the rooms together for one run.
//!
//! [`run`] reads the executable, makes the plan, loads and attaches, and then moves events from
//! the kernel through a view (and into a recording) to the writers until something ends it; or it
//! moves the events of a recording through a view.
//!
//! - `view`, `window`: events in, bytes of every format out.
//! - `live`, `pipeline`, `backlog`, `recorder`, `promotion`: a live trace.
//! - `replay`: a recorded one.
//! - `list`: what could be traced.
//! - `advice`: what to type instead.
//! - `writer`: a thread for each output.

mod advice;
mod analyse;
mod analysis_error;
mod backlog;
mod callers_search;
mod cost;
mod ending;
mod error;
mod list;
mod live;
mod logger;
mod notice;
mod output_file;
mod pipeline;
mod process_file;
mod processes;
mod promotion;
mod recorder;
mod replay;
mod summary;
mod target_file;
mod view;
mod view_parts;
mod window;
mod writer;

use std::io::{self, Write};

use crate::binary::GoBinary;
use crate::cli::{Command, Settings};
use crate::kernel::Preparation;
use crate::plan::{self, Selection};

use advice::with_advice;
pub use analysis_error::AnalysisError;
pub use error::SessionError;
pub use notice::notice;
use target_file::TargetFile;
pub use view::{Destination, DestinationId, Meanwhile, View, ViewContext};

/// Does what `command` says.
///
/// # Errors
/// What ends the command with another status than 0; see [`SessionError::exit_code`].
pub fn run(command: &Command) -> Result<(), SessionError> {
    match command {
        Command::Trace(settings) => trace(settings),
        Command::Report(options) => Ok(analyse::report(options)?),
        Command::Diff(options) => Ok(analyse::diff(options)?),
        Command::Check(options) => Ok(analyse::check(options)?),
        Command::List(settings) => list::list(settings),
        Command::Replay(settings) => replay::replay(settings),
        Command::Print(text) => print(text),
    }
}

/// Traces a program. Call trees go to standard output or `--output`, everything else to
/// standard error.
fn trace(settings: &Settings) -> Result<(), SessionError> {
    let advised = |error| with_advice(error, &settings.binary, &settings.patterns.targets);
    let file = TargetFile::open(&settings.binary).map_err(advised)?;
    let binary = GoBinary::parse(file.bytes()).map_err(|source| SessionError::Binary {
        path: settings.binary.clone(),
        source,
    })?;
    for warning in binary.warnings() {
        notice(format_args!("warning: {warning}"));
    }
    let preparation = Preparation::start();
    let selection = Selection::from(&settings.patterns);
    let plan = plan::plan(&binary, &selection, settings.placement.into()).map_err(|source| {
        advised(SessionError::Plan {
            path: settings.binary.clone(),
            source,
        })
    })?;
    if settings.dry_run {
        // Without privileges there is still a plan.
        let costs = live::load(settings, preparation, &binary, &plan)
            .and_then(|mut tracer| Ok(tracer.measure_hit_costs()?));
        let costs = cost::of_each_hit(&plan, costs.as_ref());
        return print_plan(&plan, &costs, settings, &file);
    }
    for warning in &plan.warnings {
        warn_of_plan(warning, settings.verbose);
    }
    // Most of the file was read, and little of it will be needed again.
    file.release_memory();
    live::trace(settings, preparation, &file, &binary, &plan)
}

/// Prints `text`. A reader that has seen enough is no error.
fn print(text: &[u8]) -> Result<(), SessionError> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(SessionError::Output { source: error })
        }
        _ => Ok(()),
    }
}

fn warn_of_plan(warning: &plan::PlanWarning, verbose: bool) {
    match warning.details() {
        None => notice(format_args!("warning: {warning}")),
        Some(details) if verbose => notice(format_args!("warning: {warning}. {details}")),
        Some(_) => notice(format_args!("warning: {warning}; -v tells more")),
    }
}

/// What `--dry-run` prints, to where trees would go. A reader that has seen enough is no error.
fn print_plan(
    plan: &plan::ProbePlan,
    costs: &str,
    settings: &Settings,
    file: &TargetFile,
) -> Result<(), SessionError> {
    let destination = writer::open(settings.output.as_deref(), file.identity())?;
    let mut out = io::BufWriter::new(destination);
    match write!(out, "{plan}{costs}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(SessionError::Output { source: error })
        }
        _ => Ok(()),
    }
}
