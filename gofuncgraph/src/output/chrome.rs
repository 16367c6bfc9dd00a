use std::collections::HashSet;

use serde::Serialize;

use super::call_stacks::{CallBeginning, CallEnding, CallStacks, CallVisitor, OpenCall};
use super::json::push_json;
use super::note::{end_name, push_note};
use super::number::TimeDigits;
use super::package::package_of;
use super::renderer::Renderer;
use super::symbols::Symbols;
use crate::events::{Goroutine, MonotonicTime};
use crate::trace::{CallEnd, Note, PartEnd, TraceLine};

/// Goroutines whose tracks are remembered to be named. When there are more, names are written
/// again, which changes nothing.
const MAX_NAMED_TRACKS: usize = 1 << 16;

/// Writes a trace in the Trace Event Format, as an array of events: what Perfetto,
/// chrome://tracing and Firefox Profiler read.
///
/// Every goroutine is a thread of its process. A call is a pair of events B and E; what was lost,
/// cut or hidden is an instant. Times are microseconds of the monotonic clock. The array may end
/// anywhere: readers take one without `]`.
pub struct ChromeRenderer<S> {
    stacks: CallStacks<()>,
    writer: EventWriter<S>,
}

struct EventWriter<S> {
    symbols: S,
    program: String,
    named_processes: HashSet<u32>,
    named_tracks: HashSet<Goroutine>,
    any_event: bool,
    function: String,
    remark: Vec<u8>,
}

/// An event of the format.
#[derive(Debug, Serialize)]
struct TraceEvent<'a, A> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'a str>,
    ph: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<f64>,
    pid: u32,
    tid: u64,
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
struct CallArguments<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct EndArguments {
    ended: &'static str,
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
                named_tracks: HashSet::new(),
                any_event: false,
                function: String::new(),
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
    type Data = ();

    fn begin(&mut self, goroutine: Goroutine, beginning: CallBeginning, _: &[OpenCall<()>]) {
        self.writer.begin(goroutine, beginning, self.out);
    }

    fn end(
        &mut self,
        goroutine: Goroutine,
        call: &OpenCall<()>,
        ending: CallEnding,
        _: &[OpenCall<()>],
    ) {
        self.writer.end(goroutine, call, ending, self.out);
    }

    fn note(&mut self, goroutine: Goroutine, time: MonotonicTime, note: &Note, _: &[OpenCall<()>]) {
        self.writer.instant(goroutine, time, note, self.out);
    }
}

impl<S: Symbols> EventWriter<S> {
    fn begin(&mut self, goroutine: Goroutine, beginning: CallBeginning, out: &mut Vec<u8>) {
        self.name_track(goroutine, out);
        self.separate(out);
        self.function.clear();
        let name = self.symbols.function_name(beginning.function);
        self.function.push_str(name.unwrap_or("?"));
        let call_site = beginning.call.and_then(|call| self.symbols.call_site(call));
        let line = call_site.and_then(|call_site| call_site.line);
        let event = TraceEvent {
            name: &self.function,
            cat: Some(&package_of(&self.function)),
            ph: "B",
            ts: Some(microseconds(beginning.time)),
            pid: goroutine.pid,
            tid: goroutine.goid,
            s: None,
            args: Some(CallArguments {
                caller: call_site.map(|call_site| call_site.caller),
                file: line.map(|line| line.file),
                line: line.map(|line| line.line),
                entry: beginning.call.is_none().then_some("not seen"),
            }),
        };
        push_json(&event, out);
    }

    fn end(
        &mut self,
        goroutine: Goroutine,
        call: &OpenCall<()>,
        ending: CallEnding,
        out: &mut Vec<u8>,
    ) {
        self.separate(out);
        let is_plain = matches!(ending.how, CallEnd::Returned { .. });
        let event = TraceEvent {
            name: self.symbols.function_name(call.function).unwrap_or("?"),
            cat: None,
            ph: "E",
            ts: Some(microseconds(ending.time)),
            pid: goroutine.pid,
            tid: goroutine.goid,
            s: None,
            args: (!is_plain).then(|| EndArguments {
                ended: end_name(ending.how),
            }),
        };
        push_json(&event, out);
    }

    fn instant(
        &mut self,
        goroutine: Goroutine,
        time: MonotonicTime,
        note: &Note,
        out: &mut Vec<u8>,
    ) {
        self.name_track(goroutine, out);
        self.separate(out);
        self.remark.clear();
        push_note(
            note,
            &mut self.symbols,
            TimeDigits::NANOSECONDS,
            &mut self.remark,
        );
        let remark = self.remark.strip_prefix(b"// ").unwrap_or(&self.remark);
        let event = TraceEvent::<()> {
            name: std::str::from_utf8(remark).unwrap_or_default(),
            cat: Some("gofuncgraph"),
            ph: "i",
            ts: Some(microseconds(time)),
            pid: goroutine.pid,
            tid: goroutine.goid,
            s: Some("t"),
            args: None,
        };
        push_json(&event, out);
    }

    fn name_track(&mut self, goroutine: Goroutine, out: &mut Vec<u8>) {
        if self.named_tracks.contains(&goroutine) {
            return;
        }
        if self.named_tracks.len() >= MAX_NAMED_TRACKS {
            self.named_tracks.clear();
            self.named_processes.clear();
        }
        self.named_tracks.insert(goroutine);
        if self.named_processes.insert(goroutine.pid) {
            let name = format!("{} {}", self.program, goroutine.pid);
            self.metadata("process_name", goroutine, &name, out);
        }
        let name = format!("goroutine {}", goroutine.goid);
        self.metadata("thread_name", goroutine, &name, out);
    }

    fn metadata(
        &mut self,
        what: &'static str,
        goroutine: Goroutine,
        name: &str,
        out: &mut Vec<u8>,
    ) {
        self.separate(out);
        let event = TraceEvent {
            name: what,
            cat: None,
            ph: "M",
            ts: None,
            pid: goroutine.pid,
            tid: goroutine.goid,
            s: None,
            args: Some(NameArguments { name }),
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
