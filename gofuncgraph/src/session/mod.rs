//! Wires the rooms together for one run.
//!
//! [`run`] reads the executable, makes the plan, loads and attaches, and then moves events from
//! the kernel through a view (and into a recording) to the writers until something ends it; or it
//! moves the events of a recording through a view.
//!
//! - `view`, `window`: events in, bytes of every format out.
//! - `live`, `event_loop`, `pipeline`, `backlog`, `recorder`, `promotion`: a live trace.
//! - `replay`: a recorded one.
//! - `subject`, `named_process`, `process_file`, `launch`, `command_signals`, `process_watch`: which
//!   processes are traced, and what becomes of them.
//! - `list`: what could be traced.
//! - `advice`, `waiting`: what to type instead, and what is being waited for.
//! - `writer`: a thread for each output.

mod advice;
mod analyse;
mod analysis_error;
mod backlog;
mod callers_search;
mod command_signals;
mod cost;
mod ending;
mod error;
mod event_loop;
mod go_file;
mod launch;
mod list;
mod live;
mod logger;
mod named_process;
mod notice;
mod output_file;
mod pipeline;
mod process_error;
mod process_file;
mod process_watch;
mod processes;
mod promotion;
mod recorder;
mod replay;
mod subject;
mod summary;
mod target_file;
mod view;
mod view_parts;
mod waiting;
mod window;
mod writer;

use std::io::{self, Write};

use crate::binary::GoBinary;
use crate::cli::{Command, Settings, TracedProgram};
use crate::kernel::Preparation;
use crate::plan::{self, Selection};

use advice::with_advice;
use command_signals::BlockedSignals;

pub use analysis_error::AnalysisError;
pub use error::SessionError;
pub use notice::notice;
pub use process_error::ProcessError;
use subject::Subject;
use target_file::TargetFile;
pub use view::{Destination, DestinationId, Meanwhile, View, ViewContext};

/// Does what `command` says. Gives the status to end with: 0, or that of the program that was
/// launched, if it was asked for.
///
/// # Errors
/// What ends the command with a status of its own; see [`SessionError::exit_code`].
pub fn run(command: &Command) -> Result<u8, SessionError> {
    let done = match command {
        Command::Trace(settings) => return trace(settings),
        Command::Report(options) => Ok(analyse::report(options)?),
        Command::Diff(options) => Ok(analyse::diff(options)?),
        Command::Check(options) => Ok(analyse::check(options)?),
        Command::List(settings) => list::list(settings),
        Command::Replay(settings) => replay::replay(settings),
        Command::Print(text) => print(text).map_err(|source| SessionError::Output { source }),
    };
    done.map(|()| 0)
}

/// Traces a program. Call trees go to standard output or `--output`, everything else to
/// standard error.
fn trace(settings: &Settings) -> Result<u8, SessionError> {
    let advised = |error| match &settings.process.program {
        TracedProgram::File(path) => with_advice(error, path, &settings.patterns.targets),
        _ => error,
    };
    let subject = Subject::find(&settings.process).map_err(advised)?;
    // Before there are threads.
    let signals = (subject.is_launched() && !settings.dry_run)
        .then(BlockedSignals::block)
        .transpose()?;
    let file = &subject.file;
    let binary = GoBinary::parse(file.bytes()).map_err(|source| {
        advised(SessionError::Binary {
            path: subject.path.clone(),
            source,
        })
    })?;
    for warning in binary.warnings() {
        notice(format_args!("warning: {warning}"));
    }
    let preparation = Preparation::start();
    let selection = Selection::from(&settings.patterns);
    let plan = plan::plan(&binary, &selection, settings.placement.into()).map_err(|source| {
        advised(SessionError::Plan {
            path: subject.path.clone(),
            source,
        })
    })?;
    if settings.dry_run {
        // Without privileges there is still a plan.
        let costs = live::load(settings, subject.scope(), preparation, &binary, &plan)
            .and_then(|mut tracer| Ok(tracer.measure_hit_costs()?));
        let costs = cost::of_each_hit(&plan, costs.as_ref());
        return print_plan(&plan, &costs, settings, file).map(|()| 0);
    }
    for warning in &plan.warnings {
        warn_of_plan(warning, settings.verbose);
    }
    // Most of the file was read, and little of it will be needed again.
    file.release_memory();
    live::trace(settings, signals, preparation, &subject, &binary, &plan)
}

/// Writes to standard output. A reader that has seen enough is no error.
fn print(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    unless_closed(out.write_all(text).and_then(|()| out.flush()))
}

/// `written`, but that nobody reads any more is no error.
fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
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
    let written = write!(out, "{plan}{costs}").and_then(|()| out.flush());
    unless_closed(written).map_err(|source| SessionError::Output { source })
}
