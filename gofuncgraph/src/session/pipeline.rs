//! What happens to the events of a live trace.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

use super::SessionError;
use super::backlog::Backlog;
use super::cost;
use super::ending::Ending;
use super::notice::{notice, warn_of_trees_without_room};
use super::processes;
use super::promotion::{Promoted, Promotion};
use super::recorder;
use super::summary::{self, Counted};
use super::view::{DestinationId, Meanwhile, View};
use super::waiting::{Seen, Waiting};
use super::writer::Chunk;
use crate::events::{Event, LiveEvents, MonotonicTime, ProcessEnd};
use crate::kernel::{HitCosts, PerKind, PromotedHits, StillNeeded, give_up_capabilities};
use crate::recording::{EndReason, LossCounters, RecordedEnd, RecordingWriter};
use crate::trace::ExitChecker;

/// Is offered bytes that are to be written.
pub(super) type Spill<'s> = dyn FnMut(DestinationId, &mut Vec<u8>) + 's;

/// Events in, bytes out.
pub(super) struct Pipeline<'a> {
    pub(super) events: LiveEvents<'a>,
    pub(super) backlog: Backlog,
    pub(super) view: View<'a>,
    pub(super) recording: Option<RecordingWriter<'a>>,
    pub(super) promotion: Option<Promotion<'a>>,
    /// For `--verify-exits`.
    pub(super) exit_checker: Option<ExitChecker>,
    /// For something to be seen.
    pub(super) waiting: Waiting,
    /// Of hits, if they could be measured.
    pub(super) costs: Option<HitCosts>,
    /// When probes began to tell of calls.
    pub(super) enabled: MonotonicTime,
    /// When they had ended to, once they have.
    pub(super) ended: MonotonicTime,
}

impl Pipeline<'_> {
    /// Moves what is in the ring, and not for ever what a fast target adds; gives the number of
    /// records.
    pub(super) fn drain(&mut self, spill: &mut Spill<'_>) -> Result<usize, SessionError> {
        let mut stage = Stage {
            view: &mut self.view,
            recording: &mut self.recording,
            checker: &mut self.exit_checker,
            backlog: &mut self.backlog,
            spill,
        };
        stage.drain(&mut self.events)
    }

    fn drain_all(&mut self, spill: &mut Spill<'_>) -> Result<(), SessionError> {
        while self.drain(spill)? != 0 {}
        Ok(())
    }

    pub(super) fn notice_losses(
        &mut self,
        at_end: bool,
        spill: &mut Spill<'_>,
    ) -> Result<(), SessionError> {
        let backlog = &mut self.backlog;
        self.events
            .notice_losses(at_end, &mut |event| backlog.push(event))?;
        self.drain(spill).map(drop)
    }

    /// Promotes what is due; says what there is then if something changed.
    pub(super) fn promote(
        &mut self,
        spill: &mut Spill<'_>,
    ) -> Result<Option<Promoted>, SessionError> {
        let Self {
            events,
            backlog,
            view,
            recording,
            promotion,
            exit_checker,
            ..
        } = self;
        let Some(active) = promotion else {
            // Nobody else takes them, and there could be ever more.
            events.take_call_counts();
            return Ok(None);
        };
        let mut stage = Stage {
            view,
            recording,
            checker: exit_checker,
            backlog,
            spill,
        };
        let drain = &mut |events: &mut LiveEvents| stage.drain(events).map(drop);
        match active.tick(events, drain) {
            Ok(has_changed) => Ok(has_changed.then(|| active.promoted())),
            // Whatever was done stands: no end goes unseen because of it.
            Err(SessionError::Kernel(error)) => {
                notice(format_args!(
                    "warning: no more functions are promoted, and tracing costs more: {error}"
                ));
                *promotion = None;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What promotion saved so far; `None` if there is none, it saves nothing, or that is not
    /// known.
    pub(super) fn saved(&self) -> Result<Option<String>, SessionError> {
        // Else RETs keep their probes.
        let is_saving = self.promotion.is_some() && self.exit_checker.is_none();
        let Some(costs) = self.costs.filter(|_| is_saving) else {
            return Ok(None);
        };
        let hits = self.events.promoted_hits()?;
        Ok((hits != PromotedHits::default()).then(|| cost::saved(&hits, &costs)))
    }

    /// To be called now and then.
    pub(super) fn tick(&mut self) -> Result<(), SessionError> {
        if self.recording.is_some() {
            let losses = self.losses()?;
            let now = monotonic_now();
            if let Some(recording) = &mut self.recording {
                recording.tick(now, &losses);
            }
        }
        self.events.tracer().flush_log();
        if self.waiting.is_due(monotonic_now()) {
            let seen = self.seen()?;
            if let Some(message) = self.waiting.message(&seen) {
                notice(format_args!("{message}"));
            }
            if self.waiting.needs_no_process_files() {
                // If it cannot, that was said before.
                let _ = give_up_capabilities(StillNeeded::Nothing);
            }
        }
        Ok(())
    }

    fn seen(&mut self) -> Result<Seen, SessionError> {
        let hits = self.events.hit_counts()?;
        let calls = |hits: &PerKind| hits.entries.saturating_add(hits.stepped_entries);
        let counters = self.events.tracer().counters()?;
        let trace = self.view.statistics();
        Ok(Seen {
            hits_inside: hits.inside.to_array().iter().sum(),
            calls_outside: calls(&hits.outside),
            returns_without_tree: counters.returns_without_tree,
            off_goroutine_stack: counters.off_goroutine_stack,
            trees: trace.trees,
            trees_too_short: trace.trees_too_short,
            already_open: trace.calls_already_open,
            calls: trace.calls,
            calls_left_out: self.view.calls_left_out(),
            only_records: self.view.destinations().is_empty(),
        })
    }

    /// The destinations that something was written for and not taken yet.
    pub(super) fn waiting(&self) -> Vec<DestinationId> {
        let mut waiting = self.view.waiting();
        if self
            .recording
            .as_ref()
            .is_some_and(RecordingWriter::has_output)
        {
            waiting.push(self.recording_destination());
        }
        waiting
    }

    /// Takes what was written for `destination` since the last time.
    pub(super) fn take(&mut self, destination: DestinationId) -> Chunk {
        match &mut self.recording {
            Some(recording) if destination.0 == self.view.destinations().len() => {
                recorder::take_chunk(recording)
            }
            _ => Chunk {
                bytes: self.view.take(destination),
                events: 0,
            },
        }
    }

    fn recording_destination(&self) -> DestinationId {
        DestinationId(self.view.destinations().len())
    }

    /// Events that were given to the recording.
    pub(super) fn recorded_events(&self) -> u64 {
        self.recording.as_ref().map_or(0, RecordingWriter::events)
    }

    /// Takes the probes away, and makes bytes of everything that was still on its way. `said` is
    /// given to `--verbose`.
    pub(super) fn finish(
        &mut self,
        ended: Result<Ending, &SessionError>,
        said: &mut dyn FnMut(String),
        spill: &mut Spill<'_>,
    ) -> Result<(), SessionError> {
        let detaching = Instant::now();
        let disabled = self.events.tracer().disable();
        self.events.tracer().detach_all();
        said(format!(
            "detached in {} ms",
            detaching.elapsed().as_millis()
        ));
        let rest = disabled.map_err(SessionError::from).and_then(|()| {
            self.drain_all(spill)?;
            self.notice_losses(true, spill)
        });
        self.events.tracer().flush_log();
        if let (Some(promotion), Ok(Some(saved))) = (&self.promotion, self.saved()) {
            said(format!("{}; {saved}", promotion.promoted()));
        }
        let time = monotonic_now();
        self.ended = time;
        // The news that a process ended may have been lost.
        for pid in self.view.pids_with_open_calls() {
            if processes::is_gone(pid) {
                let cause = ProcessEnd::Exited;
                let end = Event::ProcessEnded { pid, time, cause };
                self.backlog.push(end);
            }
        }
        let last_events = self.drain_all(spill);
        self.view.finish_spilling(
            time,
            &mut |destination: DestinationId, bytes: &mut Vec<u8>| {
                spill(destination, bytes);
            },
        );
        let losses = self.losses();
        if let Some(recording) = &mut self.recording {
            let reason = match (ended, &rest) {
                (_, Err(_)) | (Err(_), _) => EndReason::Failed,
                (Ok(Ending::Interrupted), _) => EndReason::Interrupted,
                (Ok(Ending::DurationOver), _) => EndReason::DurationOver,
                (Ok(Ending::CountReached), _) => EndReason::CountReached,
                (Ok(Ending::OutputEnded), _) => EndReason::OutputEnded,
                (Ok(Ending::ProcessesEnded), _) => EndReason::ProcessesEnded,
            };
            recording.finish(&RecordedEnd {
                reason,
                time,
                events: recording.events(),
                losses: *losses.as_ref().unwrap_or(&LossCounters::default()),
            });
        }
        rest.and(last_events).and(losses.map(drop))
    }

    fn losses(&mut self) -> Result<LossCounters, SessionError> {
        let (unknown_records, malformed_records) = self.events.skipped_records();
        Ok(LossCounters {
            kernel: self.events.tracer().counters()?,
            hits: self.events.hit_counts()?,
            unknown_records,
            malformed_records,
        })
    }

    pub(super) fn print_summary(&mut self) -> Result<(), SessionError> {
        let losses = self.losses()?;
        if let Some(checker) = self.exit_checker.take() {
            let counts = checker.finish();
            notice(format_args!(
                "verified exits: exact {}, late {}, early {}, without a return {}, unchecked {}",
                counts.exact, counts.late, counts.early, counts.without_return, counts.unchecked
            ));
        }
        let refused_children = self.events.tracer().refused_children()?;
        if refused_children != 0 {
            notice(format_args!(
                "warning: {refused_children} processes that were forked were not traced: \
                 there were too many at a time"
            ));
        }
        warn_of_trees_without_room(self.view.trees_without_room());
        let trace = &self.view.statistics();
        let counted = Counted::new(trace, &losses, self.view.calls_left_out());
        notice(format_args!("{}", summary::text(&counted)));
        let traced = self.ended - self.enabled;
        if let Some(text) = cost::text(&losses.hits, self.costs.as_ref(), traced) {
            notice(format_args!("{text}"));
        }
        Ok(())
    }
}

/// What events go through on their way out.
struct Stage<'s, 'a, 'w> {
    view: &'s mut View<'a>,
    recording: &'s mut Option<RecordingWriter<'a>>,
    checker: &'s mut Option<ExitChecker>,
    backlog: &'s mut Backlog,
    spill: &'s mut Spill<'w>,
}

impl Stage<'_, '_, '_> {
    /// Shows what waits, and what is in the ring.
    fn drain(&mut self, events: &mut LiveEvents) -> Result<usize, SessionError> {
        let mut batch = Vec::with_capacity(Backlog::BATCH_EVENTS);
        let mut drained = 0;
        loop {
            let taken = self.backlog.next_batch(events, &mut batch)?;
            for event in &batch {
                self.take(event, events);
            }
            drained += taken;
            // What comes after a batch that is not full can wait for more: one by one costs more.
            if taken < Backlog::BATCH_EVENTS || drained >= LiveEvents::DRAIN_LIMIT {
                return Ok(drained);
            }
        }
    }

    /// What a live trace shows no more, its recording does not hold: else its replay would show
    /// more.
    fn take(&mut self, event: &Event, source: &mut LiveEvents) {
        if let Some(checker) = self.checker {
            checker.handle(event);
        }
        if let Some(recording) = self.recording
            && !self.view.is_complete()
        {
            recording.handle(event);
        }
        let meanwhile = &mut Writing {
            spill: self.spill,
            backlog: self.backlog,
            source,
        };
        self.view.handle_spilling(event, meanwhile);
    }
}

/// While a tree is written, bytes are offered, and the ring goes on being emptied.
struct Writing<'s, 'w, 'e> {
    spill: &'s mut Spill<'w>,
    backlog: &'s mut Backlog,
    source: &'s mut LiveEvents<'e>,
}

impl Meanwhile for Writing<'_, '_, '_> {
    fn spill(&mut self, destination: DestinationId, bytes: &mut Vec<u8>) {
        (self.spill)(destination, bytes);
    }

    fn lines_written(&mut self) {
        self.backlog.relieve(self.source);
    }
}

/// The present.
pub(super) fn monotonic_now() -> MonotonicTime {
    let now = clock_gettime(ClockId::Monotonic);
    let time_ns = now.tv_sec * 1_000_000_000 + now.tv_nsec;
    MonotonicTime {
        time_ns: time_ns.cast_unsigned(),
    }
}
