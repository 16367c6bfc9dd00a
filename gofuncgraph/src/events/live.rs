use std::ops::ControlFlow;

use gofuncgraph_common::{EntryRecord, record_flags};

use crate::binary::{GoBinary, VirtualAddress};
use crate::kernel::{GoroutineLoss, HitCounts, KernelError, PerKind, PromotedHits, Tracer};
use crate::plan::{FunctionId, ProbePlan, SiteKind};
use crate::promotion::{CallCounts, RecentCalls};

use super::already_open::OpenCalls;
use super::process_endings::{ExitStatus, ProcessEndings};
use super::translate::{
    Known, KnownSite, exit_status, only_returns, process_ending, sampled_call, to_event,
};
use super::{
    Event, EventSource, Goroutine, GoroutineEvent, MonotonicTime, PanicPlaces, ProcessEnd,
    ProcessEnding, Record, RecordError, SequencePosition,
};

/// Hits of probes that records tell of.
#[derive(Default)]
struct InsideHits {
    all: PerKind,
    /// Of the entries, those of promoted functions.
    promoted_entries: u64,
}

impl InsideHits {
    fn count(&mut self, record: &Record, known: &Known<'_>) {
        match record {
            Record::Entry(entry) => self.count_entry(entry, known),
            Record::ChainedEntry(chained) => self.count_entry(&chained.entry, known),
            Record::Return(_) => self.all.returns += 1,
            Record::Observed(_) => self.all.observers += 1,
            _ => {}
        }
    }

    fn count_entry(&mut self, entry: &EntryRecord, known: &Known<'_>) {
        if entry.flags & record_flags::PROMOTED != 0 {
            self.promoted_entries += 1;
        }
        if known.site(entry.site).is_some_and(|site| site.is_stepped) {
            self.all.stepped_entries += 1;
        } else {
            self.all.entries += 1;
        }
    }
}

/// That a process ended, and its status if that is known.
type EndOfProcess = (Event, Option<ExitStatus>);

/// The events of running processes, from the kernel side.
pub struct LiveEvents<'a> {
    tracer: Tracer,
    known: Known<'a>,
    endings: ProcessEndings,
    recent_calls: RecentCalls,
    call_counts: CallCounts,
    hits: InsideHits,
    unknown_records: u64,
    malformed_records: u64,
    /// Lost records when gates were last looked through.
    losses_looked_at: u64,
    last_time: MonotonicTime,
}

impl<'a> LiveEvents<'a> {
    /// Records that one call of [`EventSource::drain`] takes at most, so that a fast target cannot
    /// hold the caller.
    pub const DRAIN_LIMIT: usize = 1 << 17;

    /// The events of `tracer`, to which the sites of `plan` are attached, which is one of `binary`.
    pub fn new(tracer: Tracer, plan: &ProbePlan, binary: &'a GoBinary<'a>) -> Self {
        let sites = plan
            .sites
            .iter()
            .map(|site| KnownSite {
                is_stepped: !site.cost.is_emulated(),
                is_return: matches!(site.kind, SiteKind::Return(_)),
                address: site.address,
                function: match site.kind {
                    SiteKind::Entry(function) | SiteKind::Return(function) => Some(function),
                    SiteKind::Recovery | SiteKind::GoroutineExit | SiteKind::Reason(_) => None,
                },
            })
            .collect();
        Self {
            tracer,
            known: Known {
                panic_places: PanicPlaces::new(binary),
                open_calls: OpenCalls::new(binary, plan),
                sites,
                only_returns: only_returns(plan),
                observers: Vec::new(),
            },
            endings: ProcessEndings::default(),
            recent_calls: RecentCalls::default(),
            call_counts: CallCounts::default(),
            hits: InsideHits::default(),
            unknown_records: 0,
            malformed_records: 0,
            losses_looked_at: 0,
            last_time: MonotonicTime::default(),
        }
    }

    /// The kernel side.
    pub fn tracer(&mut self) -> &mut Tracer {
        &mut self.tracer
    }

    /// Of calls of `function` that began before tracing, the RET may have no probe from now on. To be
    /// called before probes are taken away.
    pub fn note_promoted(&mut self, function: FunctionId) {
        self.known.open_calls.note_promoted(function);
    }

    /// What the next observers are for: the first added is number 0.
    pub fn add_observers(&mut self, return_addresses: impl IntoIterator<Item = VirtualAddress>) {
        self.known.observers.extend(return_addresses);
    }

    /// Calls that were seen since the last time.
    pub fn take_call_counts(&mut self) -> CallCounts {
        self.recent_calls.move_to(&mut self.call_counts);
        std::mem::take(&mut self.call_counts)
    }

    /// Hits of probes since tracing began.
    ///
    /// # Errors
    /// The kernel's.
    pub fn hit_counts(&self) -> Result<HitCounts, KernelError> {
        let lost = self.tracer.counters()?;
        let mut inside = self.hits.all;
        // Whether the entries were single-stepped is not known.
        inside.entries += lost.entries_lost;
        inside.returns += lost.returns_lost;
        inside.observers += lost.observations_lost;
        Ok(HitCounts {
            inside,
            outside: self.tracer.hits_outside()?,
        })
    }

    /// Calls and hits that promotion has made another price for, as far as they are known.
    ///
    /// # Errors
    /// The kernel's.
    pub fn promoted_hits(&self) -> Result<PromotedHits, KernelError> {
        Ok(PromotedHits {
            calls_inside: self.hits.promoted_entries,
            calls_outside: self.tracer.promoted_calls_outside()?,
            observed: self.hits.all.observers,
            idle: self.tracer.hits_outside()?.observers,
        })
    }

    /// Records that were skipped: of an unknown kind, and malformed ones.
    pub fn skipped_records(&self) -> (u64, u64) {
        (self.unknown_records, self.malformed_records)
    }

    /// Tells of losses that no later record will show. To be called when the ring is empty: now
    /// and then while tracing, for goroutines that have ended, and at the end of tracing
    /// (`at_end`) for all others.
    ///
    /// # Errors
    /// The kernel's.
    pub fn notice_losses(
        &mut self,
        at_end: bool,
        sink: &mut dyn FnMut(Event),
    ) -> Result<(), KernelError> {
        let lost = self.tracer.counters()?.records_lost();
        // At the end there can be losses that were looked at while their goroutine lived.
        if lost == 0 || (!at_end && lost == self.losses_looked_at) {
            return Ok(());
        }
        self.losses_looked_at = lost;
        let losses = self.tracer.goroutine_losses();
        // A goroutine can have written records since the ring was last empty: what it wrote comes
        // before what its gate says.
        self.drain_what_is_there(sink)?;
        for pid in self.tracer.ended_processes() {
            // Its record was lost: else it would be forgotten by now.
            let (time, cause) = (self.last_time, ProcessEnd::Exited);
            self.end_process(Event::ProcessEnded { pid, time, cause }, None, sink);
        }
        // What an earlier image of a process lost was told when that ended.
        for loss in losses.iter().filter(|loss| !loss.is_stale) {
            if at_end || loss.has_ended {
                sink(self.loss_noticed(loss));
            }
            if loss.has_ended {
                self.tracer.forget_goroutine(loss.goroutine);
            }
        }
        Ok(())
    }

    /// Hands over the events of at most `limit` records that are there; gives their number.
    ///
    /// # Errors
    /// The kernel's.
    pub fn drain_some(
        &mut self,
        limit: usize,
        sink: &mut dyn FnMut(Event),
    ) -> Result<usize, KernelError> {
        let mut drained = 0;
        loop {
            let (records, process_end) = self.drain_to_process_end(limit - drained, sink)?;
            drained += records;
            match process_end {
                Some((end, status)) => self.end_process(end, status, sink),
                None => return Ok(drained),
            }
        }
    }

    /// Drains every record that is in the ring now, and not for ever what a fast target adds.
    fn drain_what_is_there(&mut self, sink: &mut dyn FnMut(Event)) -> Result<(), KernelError> {
        let mut left = self.tracer.buffer_records();
        while left > 0 {
            let drained = self.drain(sink)?;
            if drained == 0 {
                break;
            }
            left = left.saturating_sub(drained);
        }
        Ok(())
    }

    fn loss_noticed(&self, loss: &GoroutineLoss) -> Event {
        Event::LossNoticed {
            goroutine: Goroutine {
                pid: loss.goroutine.tgid,
                goid: loss.goroutine.goid,
            },
            position: SequencePosition {
                sequence: loss.next_sequence,
                tree: loss.next_tree,
            },
            time: self.last_time,
            goroutine_ended: loss.has_ended,
        }
    }

    /// Tells what the process's goroutines lost before it tells that the process ended.
    fn end_process(&mut self, end: Event, status: Option<ExitStatus>, sink: &mut dyn FnMut(Event)) {
        let Event::ProcessEnded { pid, cause, time } = end else {
            return;
        };
        let ending = self.endings.take(pid, status);
        for loss in self.tracer.goroutine_losses() {
            if loss.goroutine.tgid == pid && loss.is_stale {
                sink(self.loss_noticed(&loss));
            }
        }
        if cause == ProcessEnd::Exited && ending != ProcessEnding::Unknown {
            sink(Event::ProcessEnding { pid, time, ending });
        }
        sink(end);
        if cause == ProcessEnd::Exited {
            self.tracer.forget_process(pid);
        }
    }

    /// Hands over what is in the ring up to the end of a process, which it gives back.
    fn drain_to_process_end(
        &mut self,
        limit: usize,
        sink: &mut dyn FnMut(Event),
    ) -> Result<(usize, Option<EndOfProcess>), KernelError> {
        let mut process_end = None;
        let Self {
            tracer,
            known,
            endings,
            recent_calls,
            call_counts,
            hits,
            unknown_records,
            malformed_records,
            last_time,
            ..
        } = self;
        let drained = tracer.drain(limit, &mut |bytes| {
            let record = match Record::decode(bytes) {
                Ok(Record::Sample(sample)) => {
                    match sampled_call(&sample, known) {
                        Some(call) => {
                            call_counts.add_sample(call.function, call.return_address, call.end);
                        }
                        None => *malformed_records += 1,
                    }
                    return ControlFlow::Continue(());
                }
                Ok(Record::Missed(sample)) => {
                    match sampled_call(&sample, known) {
                        Some(call) => call_counts.add(call.function, call.return_address, 1),
                        None => *malformed_records += 1,
                    }
                    return ControlFlow::Continue(());
                }
                Ok(Record::IdleSample(sample)) => {
                    match known.observers.get(sample.site as usize) {
                        Some(observer) => call_counts.add_idle_sample(*observer),
                        None => *malformed_records += 1,
                    }
                    return ControlFlow::Continue(());
                }
                Ok(Record::Reason(record, kind)) => {
                    if let Some(ending) = process_ending(&record, kind, known) {
                        endings.announce(record.header.tgid, ending);
                        return ControlFlow::Continue(());
                    }
                    Record::Reason(record, kind)
                }
                Ok(Record::AlreadyOpen(record)) => {
                    let site = known.site(record.site);
                    match site.and_then(|site| known.open_calls.events(&record, site)) {
                        Some(events) => {
                            for event in events {
                                *last_time = event.time();
                                learn_call(&event, recent_calls, call_counts);
                                sink(event);
                            }
                        }
                        None => *malformed_records += 1,
                    }
                    return ControlFlow::Continue(());
                }
                Ok(record) => record,
                Err(error) => {
                    *match error {
                        RecordError::UnknownKind(_) => &mut *unknown_records,
                        RecordError::Malformed { .. } => &mut *malformed_records,
                    } += 1;
                    return ControlFlow::Continue(());
                }
            };
            hits.count(&record, known);
            let Some(event) = to_event(&record, known) else {
                *malformed_records += 1;
                return ControlFlow::Continue(());
            };
            learn_call(&event, recent_calls, call_counts);
            *last_time = event.time();
            if matches!(event, Event::ProcessEnded { .. }) {
                process_end = Some((event, exit_status(&record)));
                return ControlFlow::Break(());
            }
            sink(event);
            ControlFlow::Continue(())
        })?;
        Ok((drained, process_end))
    }
}

/// Where calls return to is what promotion goes by.
fn learn_call(event: &Event, recent_calls: &mut RecentCalls, call_counts: &mut CallCounts) {
    if let Event::Goroutine {
        kind:
            GoroutineEvent::Entry {
                function,
                return_address,
                load_bias,
                ..
            },
        ..
    } = *event
    {
        recent_calls.add(function, return_address.to_virtual(load_bias), call_counts);
    }
}

impl EventSource for LiveEvents<'_> {
    type Error = KernelError;

    fn drain(&mut self, sink: &mut dyn FnMut(Event)) -> Result<usize, KernelError> {
        self.drain_some(Self::DRAIN_LIMIT, sink)
    }
}
