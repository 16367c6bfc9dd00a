//! Showing a recording.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read};
use std::num::NonZero;
use std::path::Path;

use super::SessionError;
use super::cost;
use super::notice::{notice, warn_of_trees_without_room, warn_of_unmatched};
use super::summary::{self, Counted};
use super::target_file::FileIdentity;
use super::view::{DestinationId, Meanwhile, View, ViewContext, program_name};
use super::writer::{Chunk, OutputWriters, Protected, StandardStream};
use crate::cli::{OutputMode, ReplaySettings};
use crate::output::WallClock;
use crate::recording::{ReadEnd, RecordedView, RecordingError, RecordingHeader, RecordingReader};
use crate::trace::NetCosts;

/// Bytes that are read from a file at once.
const READ_BYTES: usize = 256 << 10;

/// Shows a recording as a live trace would have been shown.
pub(super) fn replay(settings: &ReplaySettings) -> Result<(), SessionError> {
    let path = settings.recording.as_deref();
    let (source, identity) = open(path)?;
    let recording_error = |source| SessionError::Recording {
        path: path.map(Path::to_owned),
        source,
    };
    let mut reader = RecordingReader::new(source).map_err(recording_error)?;
    let net = net_costs(reader.header()).filter(|_| settings.view.net);
    if settings.view.net && net.is_none() {
        return Err(SessionError::NetWithoutRecordedCosts);
    }
    let mut view = view(settings, &reader, net);
    let writers = OutputWriters::start(
        view.destinations(),
        settings.output.as_deref(),
        StandardStream::Output,
        None,
        identity.map(Protected::Recording),
    )?;
    let mut outputs = Outputs {
        writers: &writers,
        ended: HashSet::new(),
    };
    let read = show(&mut reader, &mut view, &mut outputs);
    let end = match reader.end() {
        Some(end) => end.time(),
        None => reader.time(),
    };
    view.finish_spilling(end, &mut outputs);
    for destination in view.waiting() {
        outputs.spill(destination, &mut view.take(destination));
    }
    let written = writers.finish(0);
    if let Some(ReadEnd::Cut { events, .. }) = reader.end() {
        notice(format_args!(
            "warning: the recording was cut: it holds {events} events, and what came then is missing"
        ));
    }
    let functions = reader.symbols().functions();
    warn_of_unmatched(&settings.view, functions.iter().map(|it| &*it.name));
    warn_of_trees_without_room(view.trees_without_room());
    let statistics = view.statistics();
    let counted = Counted::new(&statistics, reader.losses(), view.calls_left_out());
    notice(format_args!("{}", summary::text(&counted)));
    let cost = &reader.header().cost;
    let traced = end - cost.enabled;
    if let Some(text) = cost::text(&reader.losses().hits, cost.hits.as_ref(), traced) {
        notice(format_args!("{text}"));
    }
    read.map_err(recording_error)?;
    written
}

fn open(path: Option<&Path>) -> Result<(Box<dyn Read>, Option<FileIdentity>), SessionError> {
    let Some(path) = path else {
        return Ok((
            Box::new(BufReader::with_capacity(READ_BYTES, io::stdin())),
            None,
        ));
    };
    let open_error = |source| SessionError::OpenRecording {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(open_error)?;
    let metadata = file.metadata().map_err(open_error)?;
    Ok((
        Box::new(BufReader::with_capacity(READ_BYTES, file)),
        Some(FileIdentity::of(&metadata)),
    ))
}

/// What probes cost in a recording that tells.
pub(super) fn net_costs(header: &RecordingHeader) -> Option<NetCosts> {
    let cost = &header.cost;
    let stepped_functions = cost.stepped_functions.iter().copied();
    Some(NetCosts::new(cost.hits?, stepped_functions))
}

fn view<R: Read>(
    settings: &ReplaySettings,
    reader: &RecordingReader<R>,
    net: Option<NetCosts>,
) -> View<'static> {
    let header = reader.header();
    let (mode, count) = mode(settings, &header.view);
    let context = ViewContext {
        symbols: Box::new(reader.symbols()),
        wall_clock: WallClock::new(
            header.clock.realtime_minus_monotonic_ns,
            header.clock.zone.to_time_zone(),
        ),
        beginning: Some(header.clock.start),
        program: program_name(Path::new(&header.target.path)),
        mode,
        max_calls: settings.view.max_calls.unwrap_or(header.view.max_calls),
        count,
        net,
        promotes: header.plan.promotes,
        output_is_terminal: settings.output.is_none() && io::stdout().is_terminal(),
        screen: None,
    };
    View::new(&settings.view, context)
}

/// What was asked for; else what the live trace did, which then also ends where that did.
fn mode(settings: &ReplaySettings, recorded: &RecordedView) -> (OutputMode, Option<NonZero<u64>>) {
    let view = &settings.view;
    if view.stream || view.slower_than.is_some() || view.top.is_some() {
        return (view.mode(true), settings.count);
    }
    let mode = if recorded.stream && settings.count.is_none() {
        OutputMode::Stream
    } else {
        OutputMode::Trees {
            slower_than: recorded.slower_than,
        }
    };
    (mode, settings.count.or(recorded.count))
}

/// Moves events until the recording ends, the view has what was asked for, or nobody reads on.
fn show<R: Read>(
    reader: &mut RecordingReader<R>,
    view: &mut View<'_>,
    outputs: &mut Outputs<'_>,
) -> Result<(), RecordingError> {
    let count = view.destinations().len();
    loop {
        let events = reader.read_events(&mut |event| view.handle_spilling(&event, outputs))?;
        // A view that is complete takes no more, but what was lost is known at the end only.
        if events == 0 || outputs.ended.len() >= count {
            return Ok(());
        }
    }
}

/// Writers, and which of them take nothing any more: the others go on.
struct Outputs<'w> {
    writers: &'w OutputWriters,
    ended: HashSet<DestinationId>,
}

impl Meanwhile for Outputs<'_> {
    /// Writes what a view offers, or forgets it; why, `OutputWriters::finish` says.
    fn spill(&mut self, destination: DestinationId, bytes: &mut Vec<u8>) {
        if self.ended.contains(&destination) {
            bytes.clear();
            return;
        }
        let chunk = Chunk::of_view(bytes);
        if self.writers.write_blocking(destination, chunk).is_err() {
            self.ended.insert(destination);
        }
    }
}
