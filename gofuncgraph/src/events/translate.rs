//! What the numbers in records stand for.

use gofuncgraph_common::{
    CloseCause as WireCause, EntryRecord, ReasonKind, ReasonRecord, RecordHeader, SampleRecord,
    record_flags,
};

use crate::binary::{RuntimeAddress, VirtualAddress};
use crate::plan::{FunctionId, ProbePlan, SiteId, SiteKind};

use super::already_open::OpenCalls;
use super::process_endings::ExitStatus;
use super::{
    CloseCause, CodeAddress, EndProbe, Event, FrameDepth, Goroutine, GoroutineEvent, MonotonicTime,
    ObservedPlace, Panic, PanicPlaces, ProcessEnd, ProcessEnding, Reason, Record, SequencePosition,
};

/// What of a site is needed to understand its records.
#[derive(Clone, Copy)]
pub(super) struct KnownSite {
    pub(super) address: VirtualAddress,
    pub(super) function: Option<FunctionId>,
    /// Of an entry: its instruction is single-stepped.
    pub(super) is_stepped: bool,
    /// It is a RET.
    pub(super) is_return: bool,
}

/// What numbers in records stand for.
pub(super) struct Known<'a> {
    pub(super) panic_places: PanicPlaces<'a>,
    pub(super) open_calls: OpenCalls<'a>,
    pub(super) sites: Vec<KnownSite>,
    /// By function, the RET of those that have one.
    pub(super) only_returns: Vec<Option<SiteId>>,
    /// Where the call has returned to that an observer is for.
    pub(super) observers: Vec<VirtualAddress>,
}

impl Known<'_> {
    pub(super) fn only_return(&self, function: FunctionId) -> Option<SiteId> {
        *self.only_returns.get(function.0 as usize)?
    }

    pub(super) fn site(&self, id: u32) -> Option<KnownSite> {
        self.sites.get(id as usize).copied()
    }
}

/// By function, the RET of those that have exactly one.
pub(super) fn only_returns(plan: &ProbePlan) -> Vec<Option<SiteId>> {
    let mut returns = vec![(0_u32, SiteId(0)); plan.functions.len()];
    for (id, site) in plan.sites_with_ids() {
        if let SiteKind::Return(function) = site.kind
            && let Some((count, last)) = returns.get_mut(function.0 as usize)
        {
            *count += 1;
            *last = id;
        }
    }
    let returns = returns.into_iter();
    returns
        .map(|(count, last)| (count == 1).then_some(last))
        .collect()
}

/// A call that a sample tells of.
pub(super) struct SampledCall {
    pub(super) function: FunctionId,
    pub(super) return_address: VirtualAddress,
    /// Where a caller returns to, if that is where its end is to be seen.
    pub(super) end: Option<VirtualAddress>,
}

pub(super) fn sampled_call(sample: &SampleRecord, known: &Known<'_>) -> Option<SampledCall> {
    let site = known.site(sample.site)?;
    let load_bias = RuntimeAddress(sample.instruction_pointer).load_bias(site.address);
    let to_virtual = |address| RuntimeAddress(address).to_virtual(load_bias);
    Some(SampledCall {
        function: site.function?,
        return_address: to_virtual(sample.return_address),
        end: (sample.end != 0).then(|| to_virtual(sample.end)),
    })
}

/// The entry of a call; `chained_end` is that of its record.
fn entry_event(entry: &EntryRecord, chained_end: Option<u64>, known: &Known<'_>) -> Option<Event> {
    let site = known.site(entry.site)?;
    let function = site.function?;
    let load_bias = RuntimeAddress(entry.instruction_pointer).load_bias(site.address);
    let end_probe = if entry.flags & record_flags::PROMOTED == 0 {
        EndProbe::Return
    } else if entry.flags & record_flags::UNOBSERVED == 0 {
        EndProbe::Observer {
            only_return: known.only_return(function),
            place: match chained_end {
                None => ObservedPlace::Own,
                Some(bytes) if entry.flags & record_flags::ENDS_AT_RETURN != 0 => {
                    ObservedPlace::CallersReturn(FrameDepth { bytes })
                }
                Some(address) => {
                    ObservedPlace::Caller(RuntimeAddress(address).to_virtual(load_bias))
                }
            },
        }
    } else {
        EndProbe::None
    };
    Some(goroutine_event(
        &entry.header,
        entry.tree,
        GoroutineEvent::Entry {
            function,
            depth: FrameDepth {
                bytes: entry.depth_bytes,
            },
            return_address: RuntimeAddress(entry.return_address),
            load_bias,
            starts_tree: entry.flags & record_flags::STARTS_TREE != 0,
            end_probe,
            is_already_open: false,
        },
    ))
}

/// What `record` says; `None` if it names a site that it cannot come from.
pub(super) fn to_event(record: &Record, known: &Known<'_>) -> Option<Event> {
    let site = |id: u32| known.site(id);
    Some(match record {
        // They belong to no goroutine's events.
        Record::Sample(_) | Record::IdleSample(_) | Record::Missed(_) => return None,
        // One event cannot say it.
        Record::AlreadyOpen(_) => return None,
        Record::Reason(record, kind) => reason_event(record, *kind, known)?,
        Record::Return(end) if end.flags & record_flags::VERIFY != 0 => goroutine_event(
            &end.header,
            end.tree,
            GoroutineEvent::Checked {
                function: site(end.site)?.function?,
                depth: FrameDepth {
                    bytes: end.depth_bytes,
                },
            },
        ),
        Record::Observed(end) => goroutine_event(
            &end.header,
            end.tree,
            GoroutineEvent::Observed {
                depth: FrameDepth {
                    bytes: end.depth_bytes,
                },
                return_address: *known.observers.get(end.site as usize)?,
                ends_tree: end.flags & record_flags::ENDS_TREE != 0,
            },
        ),
        Record::Entry(entry) => entry_event(entry, None, known)?,
        Record::ChainedEntry(chained) => entry_event(&chained.entry, Some(chained.end), known)?,
        Record::Return(end) => goroutine_event(
            &end.header,
            end.tree,
            GoroutineEvent::Return {
                function: site(end.site)?.function?,
                site: SiteId(end.site),
                depth: FrameDepth {
                    bytes: end.depth_bytes,
                },
                ends_tree: end.flags & record_flags::ENDS_TREE != 0,
            },
        ),
        Record::Close(close, cause) => goroutine_event(
            &close.header,
            close.tree,
            GoroutineEvent::Close {
                depth: FrameDepth {
                    bytes: close.depth_bytes,
                },
                cause: match cause {
                    WireCause::Recovered => CloseCause::Recovered,
                    WireCause::GoroutineExit => CloseCause::GoroutineExit,
                    WireCause::Superseded => CloseCause::Superseded,
                    WireCause::ReturnedUnobserved => CloseCause::ReturnedUnobserved,
                    WireCause::SignalPanic => CloseCause::SignalPanic,
                },
                ends_tree: close.flags & record_flags::ENDS_TREE != 0,
            },
        ),
        Record::ProcessExit(process) => process_event(&process.header, ProcessEnd::Exited),
        Record::ProcessExec(process) => process_event(&process.header, ProcessEnd::Executed),
    })
}

/// Of a goroutine; `None` for what is about a process.
fn reason_event(record: &ReasonRecord, kind: ReasonKind, known: &Known<'_>) -> Option<Event> {
    let site = known.site(record.site)?;
    let bias = RuntimeAddress(record.instruction_pointer).load_bias(site.address);
    let [innermost, ..] = record.frames;
    let reason = match kind {
        ReasonKind::Panic => {
            let origin = known.panic_places.origin(&record.frames, bias);
            Reason::Panic(Panic {
                depth: FrameDepth {
                    bytes: innermost.depth_bytes,
                },
                origin: origin.map(|origin| origin.address),
                call: origin.and_then(|origin| origin.call),
            })
        }
        ReasonKind::Recovery => {
            let resumed = RuntimeAddress(innermost.return_address).to_virtual(bias);
            Reason::Recovery {
                resumed: known.panic_places.resumed(resumed),
            }
        }
        ReasonKind::Goexit => Reason::Goexit,
        ReasonKind::Exit | ReasonKind::FatalPanic | ReasonKind::FatalError => return None,
    };
    Some(Event::Reason {
        goroutine: goroutine_of(&record.header),
        position: SequencePosition {
            sequence: record.header.sequence,
            tree: record.tree,
        },
        time: MonotonicTime {
            time_ns: record.header.time_ns,
        },
        reason,
    })
}

/// What `record` says of its process; `None` if it is about a goroutine.
pub(super) fn process_ending(
    record: &ReasonRecord,
    kind: ReasonKind,
    known: &Known<'_>,
) -> Option<ProcessEnding> {
    let site = known.site(record.site)?;
    let bias = RuntimeAddress(record.instruction_pointer).load_bias(site.address);
    let [innermost, ..] = record.frames;
    Some(match kind {
        ReasonKind::Exit => ProcessEnding::Exit {
            code: record.exit_code,
            call: CodeAddress::new(RuntimeAddress(innermost.return_address).to_virtual(bias)),
        },
        ReasonKind::FatalPanic => ProcessEnding::Panic {
            origin: known
                .panic_places
                .origin(&record.frames, bias)
                .map(|origin| origin.address),
        },
        ReasonKind::FatalError => ProcessEnding::FatalError,
        ReasonKind::Panic | ReasonKind::Recovery | ReasonKind::Goexit => return None,
    })
}

/// How the process ended that `record` tells of, as far as it is known.
pub(super) fn exit_status(record: &Record) -> Option<ExitStatus> {
    match record {
        Record::ProcessExit(process) if process.has_exit_status != 0 => {
            Some(ExitStatus(process.exit_status))
        }
        _ => None,
    }
}

fn goroutine_of(header: &RecordHeader) -> Goroutine {
    Goroutine {
        pid: header.tgid,
        goid: header.goid,
    }
}

fn goroutine_event(header: &RecordHeader, tree: u16, kind: GoroutineEvent) -> Event {
    Event::Goroutine {
        goroutine: goroutine_of(header),
        position: SequencePosition {
            sequence: header.sequence,
            tree,
        },
        time: MonotonicTime {
            time_ns: header.time_ns,
        },
        kind,
    }
}

fn process_event(header: &RecordHeader, cause: ProcessEnd) -> Event {
    Event::ProcessEnded {
        pid: header.tgid,
        time: MonotonicTime {
            time_ns: header.time_ns,
        },
        cause,
    }
}
