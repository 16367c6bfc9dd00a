use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::call_stacks::{CallBeginning, CallEnding, CallStacks, CallVisitor, OpenCall};
use super::end_text::push_end;
use super::json::push_json;
use super::note::push_note;
use super::number::TimeDigits;
use super::renderer::Renderer;
use super::symbols::Symbols;
use crate::binary::{package_of, readable_name};
use crate::events::{Goroutine, MonotonicTime};
use crate::trace::{Beginning, CallEnd, Note, PartEnd, TraceLine};

/// Goroutines whose tracks are remembered to be named. When there are more, names are written
/// again, which changes nothing.
const MAX_NAMED_TRACKS: usize = 1 << 16;

/// Of instants that are no calls.
const OWN_CATEGORY: &str = "gofuncgraph";

/// What is said of a call whose B is not its beginning.
fn entry_remark(beginning: Beginning) -> Option<&'static str> {
    match beginning {
        Beginning::Seen { .. } => None,
        Beginning::AlreadyOpen { .. } => Some("already open"),
        Beginning::Lost => Some("entry not known"),
    }
}

/// Perfetto takes thread ids of 32 bits. Goroutines of a process that began more than two thousand
/// million are numbered from here on, as they appear; their names have their own ids.
const FIRST_RENUMBERED: u32 = 1 << 31;

/// Writes a trace in the Trace Event Format, as an array of events: what Perfetto,
/// chrome://tracing and Firefox Profiler read.
///
/// Every goroutine is a thread of its process. A call is a pair of events B and E; what was lost,
/// cut or hidden is an instant. Times are microseconds of the monotonic clock. The array may end
/// anywhere: readers take one without `]`.
///
/// What is known of a call stands in the arguments of its E. Readers merge those with the
/// arguments of B, but for speedscope, which makes the arguments of B a part of the name.
///
/// Readers order events by time, and not all keep the order of what happened at the same time.
/// So a call of which only one moment is known is an instant, too: then what ends at a moment
/// began before it, and readers that put ends first are right.
pub struct ChromeRenderer<S> {
    stacks: CallStacks<Slice>,
    writer: EventWriter<S>,
}

struct EventWriter<S> {
    symbols: S,
    program: String,
    named_processes: HashSet<u32>,
    /// The thread ids of goroutines that were named.
    named_tracks: HashMap<Goroutine, u32>,
    /// Goroutines whose ids were too large for thread ids.
    renumbered: u32,
    any_event: bool,
    remark: Vec<u8>,
}

/// What an open call is known by.
#[derive(Debug)]
struct Slice {
    thread_id: u32,
    begin: MonotonicTime,
    /// Its B is written when time has passed.
    is_written: Cell<bool>,
}

/// Something without a duration.
struct Instant<'a> {
    name: &'a str,
    category: &'a str,
    time: MonotonicTime,
}

/// An event of the format.
#[derive(Debug, Serialize)]
struct TraceEvent<'a, A> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'a str>,
    ph: &'static str,
    ts: f64,
    pid: u32,
    tid: u32,
    /// Of an instant: on its thread only.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<A>,
}

#[derive(Debug, Serialize)]
struct NameArguments<'a> {
    name: &'a str,
}

#[derive(Debug, Serialize)]
struct SortArguments {
    sort_index: u32,
}

/// What is known of a call when it ends.
#[derive(Debug, Serialize)]
struct CallArguments<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    /// If the call took longer than from B to E.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<&'a str>,
}

impl<S: Symbols> ChromeRenderer<S> {
    /// One that has written nothing yet. `program` names the processes.
    pub fn new(symbols: S, program: impl Into<String>) -> Self {
        Self {
            stacks: CallStacks::default(),
            writer: EventWriter {
                symbols,
                program: program.into(),
                named_processes: HashSet::new(),
                named_tracks: HashMap::new(),
                renumbered: 0,
                any_event: false,
                remark: Vec::new(),
            },
        }
    }
}

impl<S: Symbols> Renderer for ChromeRenderer<S> {
    fn begin(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"[");
    }

    fn line(&mut self, line: &TraceLine, out: &mut Vec<u8>) {
        let writer = &mut self.writer;
        self.stacks.line(line, &mut Events { writer, out });
    }

    fn part_end(&mut self, goroutine: Goroutine, end: PartEnd, out: &mut Vec<u8>) {
        let writer = &mut self.writer;
        self.stacks
            .part_end(goroutine, end, &mut Events { writer, out });
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\n]\n");
    }
}

struct Events<'a, S> {
    writer: &'a mut EventWriter<S>,
    out: &'a mut Vec<u8>,
}

impl<S: Symbols> CallVisitor for Events<'_, S> {
    type Data = Slice;

    fn begin(
        &mut self,
        goroutine: Goroutine,
        beginning: CallBeginning,
        around: &[OpenCall<Slice>],
    ) -> Slice {
        self.writer.begin(goroutine, beginning, around, self.out)
    }

    fn end(
        &mut self,
        goroutine: Goroutine,
        call: &OpenCall<Slice>,
        ending: CallEnding,
        around: &[OpenCall<Slice>],
    ) {
        self.writer.end(goroutine, call, ending, around, self.out);
    }

    fn note(
        &mut self,
        goroutine: Goroutine,
        time: MonotonicTime,
        note: &Note,
        around: &[OpenCall<Slice>],
    ) {
        let writer = &mut *self.writer;
        let thread_id = writer.thread_id(goroutine, around, self.out);
        writer.remark.clear();
        push_note(
            note,
            &mut writer.symbols,
            Some(TimeDigits::NANOSECONDS),
            &mut writer.remark,
        );
        let remark = String::from_utf8_lossy(&writer.remark).into_owned();
        let remark = remark.strip_prefix("// ").unwrap_or(&remark);
        let instant = Instant {
            name: remark,
            category: OWN_CATEGORY,
            time,
        };
        writer.instant(goroutine.pid, thread_id, &instant, self.out);
    }
}

impl<S: Symbols> EventWriter<S> {
    fn begin(
        &mut self,
        goroutine: Goroutine,
        beginning: CallBeginning,
        around: &[OpenCall<Slice>],
        out: &mut Vec<u8>,
    ) -> Slice {
        self.write_begins(goroutine, beginning.time, around, out);
        Slice {
            thread_id: self.thread_id(goroutine, around, out),
            begin: beginning.time,
            is_written: Cell::new(false),
        }
    }

    /// Writes the beginnings of calls that are open at `time` and began before.
    fn write_begins(
        &mut self,
        goroutine: Goroutine,
        time: MonotonicTime,
        open: &[OpenCall<Slice>],
        out: &mut Vec<u8>,
    ) {
        let written = open.iter().rposition(|call| call.data.is_written.get());
        let waiting = open.iter().skip(written.map_or(0, |index| index + 1));
        for call in waiting.take_while(|call| call.data.begin < time) {
            self.write_begin(goroutine, call, out);
        }
    }

    fn write_begin(&mut self, goroutine: Goroutine, call: &OpenCall<Slice>, out: &mut Vec<u8>) {
        call.data.is_written.set(true);
        self.separate(out);
        let name = self.symbols.function_name(call.function).unwrap_or("?");
        let (name, package) = (readable_name(name), package_of(name));
        let event = TraceEvent::<()> {
            name: &name,
            cat: Some(&package),
            ph: "B",
            ts: microseconds(call.data.begin),
            pid: goroutine.pid,
            tid: call.data.thread_id,
            s: None,
            args: None,
        };
        push_json(&event, out);
        if let Some(entry) = entry_remark(call.beginning) {
            let remark = format!("{name}: {entry}");
            let instant = Instant {
                name: &remark,
                category: OWN_CATEGORY,
                time: call.data.begin,
            };
            self.instant(goroutine.pid, call.data.thread_id, &instant, out);
        }
    }

    fn end(
        &mut self,
        goroutine: Goroutine,
        call: &OpenCall<Slice>,
        ending: CallEnding,
        around: &[OpenCall<Slice>],
        out: &mut Vec<u8>,
    ) {
        let is_plain = matches!(ending.how, CallEnd::Returned { .. });
        let ended = (!is_plain).then(|| {
            let mut text = Vec::new();
            push_end(ending.how, &mut self.symbols, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let ended = ended.as_deref();
        let mut time = ending.time;
        if ending.how == CallEnd::ExitLost {
            // It was over before it was noticed: by the next event, which may begin a tree that
            // is written before this one.
            time.time_ns = time.time_ns.saturating_sub(1);
        }
        if !call.data.is_written.get() {
            if call.data.begin >= time {
                self.write_moment(goroutine, call, ended, out);
                return;
            }
            self.write_begins(goroutine, time, around, out);
            self.write_begin(goroutine, call, out);
        }
        self.separate(out);
        let name = self.symbols.function_name(call.function).unwrap_or("?");
        // One at a time can be borrowed.
        let name = readable_name(name).into_owned();
        let call_site = call.beginning.call();
        let call_site = call_site.and_then(|call| self.symbols.call_site(call));
        let line = call_site.and_then(|call_site| call_site.line);
        let duration = ending.duration.filter(|_| call.begin.is_none());
        let duration_ns = duration.and_then(|duration| u64::try_from(duration.as_nanos()).ok());
        let caller = call_site.map(|call_site| readable_name(call_site.caller));
        let arguments = CallArguments {
            caller: caller.as_deref(),
            file: line.map(|line| line.file),
            line: line.map(|line| line.line),
            duration_ns,
            ended,
        };
        let is_empty = call_site.is_none() && ended.is_none() && duration_ns.is_none();
        let event = TraceEvent {
            name: &name,
            cat: None,
            ph: "E",
            ts: microseconds(time),
            pid: goroutine.pid,
            tid: call.data.thread_id,
            s: None,
            args: (!is_empty).then_some(arguments),
        };
        push_json(&event, out);
    }

    /// Instead of B and E at the same time.
    fn write_moment(
        &mut self,
        goroutine: Goroutine,
        call: &OpenCall<Slice>,
        ended: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        let name = self.symbols.function_name(call.function).unwrap_or("?");
        let package = package_of(name).into_owned();
        let entry = entry_remark(call.beginning);
        let remarks: Vec<&str> = entry.into_iter().chain(ended).collect();
        let name = format!("{}: {}", readable_name(name), remarks.join(", "));
        let instant = Instant {
            name: &name,
            category: &package,
            time: call.data.begin,
        };
        self.instant(goroutine.pid, call.data.thread_id, &instant, out);
    }

    fn instant(&mut self, pid: u32, thread_id: u32, instant: &Instant<'_>, out: &mut Vec<u8>) {
        self.separate(out);
        let event = TraceEvent::<()> {
            name: instant.name,
            cat: Some(instant.category),
            ph: "i",
            ts: microseconds(instant.time),
            pid,
            tid: thread_id,
            s: Some("t"),
            args: None,
        };
        push_json(&event, out);
    }

    /// The track of what happens inside `around`; if it is new, it is named.
    fn thread_id(
        &mut self,
        goroutine: Goroutine,
        around: &[OpenCall<Slice>],
        out: &mut Vec<u8>,
    ) -> u32 {
        if let Some(innermost) = around.last() {
            return innermost.data.thread_id;
        }
        if let Some(&thread_id) = self.named_tracks.get(&goroutine) {
            return thread_id;
        }
        if self.named_tracks.len() >= MAX_NAMED_TRACKS {
            self.named_tracks.clear();
            self.named_processes.clear();
        }
        let thread_id = match u32::try_from(goroutine.goid) {
            Ok(goid) if goid < FIRST_RENUMBERED => goid,
            _ => {
                let number = self.renumbered;
                self.renumbered = (number + 1) % FIRST_RENUMBERED;
                FIRST_RENUMBERED + number
            }
        };
        self.named_tracks.insert(goroutine, thread_id);
        if self.named_processes.insert(goroutine.pid) {
            let name = self.program.clone();
            let arguments = NameArguments { name: &name };
            self.metadata("process_name", goroutine.pid, thread_id, arguments, out);
        }
        let name = format!("goroutine {}", goroutine.goid);
        let arguments = NameArguments { name: &name };
        self.metadata("thread_name", goroutine.pid, thread_id, arguments, out);
        let arguments = SortArguments {
            sort_index: thread_id,
        };
        self.metadata(
            "thread_sort_index",
            goroutine.pid,
            thread_id,
            arguments,
            out,
        );
        thread_id
    }

    fn metadata(
        &mut self,
        what: &'static str,
        pid: u32,
        thread_id: u32,
        arguments: impl Serialize,
        out: &mut Vec<u8>,
    ) {
        self.separate(out);
        let event = TraceEvent {
            name: what,
            cat: None,
            ph: "M",
            // It has no meaning, but some readers take no event without it.
            ts: 0.0,
            pid,
            tid: thread_id,
            s: None,
            args: Some(arguments),
        };
        push_json(&event, out);
    }

    fn separate(&mut self, out: &mut Vec<u8>) {
        let any_event = std::mem::replace(&mut self.any_event, true);
        out.extend_from_slice(if any_event { b",\n" } else { b"\n" });
    }
}

/// With nanoseconds behind the point, exactly: there are fewer than 2^53 of them in 104 days, and
/// the error beyond is below one.
fn microseconds(time: MonotonicTime) -> f64 {
    time.time_ns as f64 / 1e3
}
