//! JSON Lines: one object for each call that ended or was left open, and for each gap.

mod ended;
mod record;

use std::time::Duration;

use super::call_stacks::{CallBeginning, CallEnding, CallStacks, CallVisitor, OpenCall};
use super::json::push_json;
use super::number::TimeDigits;
use super::renderer::Renderer;
use super::symbols::Symbols;
use super::wall_clock::{SecondStyle, WallClock};
use crate::binary::{package_of, readable_name};
use crate::events::{Goroutine, MonotonicTime};
use crate::trace::{Beginning, CallEnd, Note, PartEnd, TraceLine};
use ended::EndReason;
use record::{CallRecord, Gap, GapRecord};

/// Writes a trace as JSON Lines, one object for each call when it ends. docs/JSONL.md describes
/// every field.
pub struct JsonlRenderer<S> {
    stacks: CallStacks<CallId>,
    writer: JsonlWriter<S>,
}

/// Numbers calls in the order of their lines, from 1.
#[derive(Clone, Copy, Debug)]
struct CallId(u64);

struct JsonlWriter<S> {
    symbols: S,
    wall_clock: WallClock,
    /// Durations are without what probes cost.
    net: bool,
    last_id: u64,
    function: String,
    time: Vec<u8>,
}

impl<S: Symbols> JsonlRenderer<S> {
    /// One that has written nothing yet. With `net`, durations are without what probes cost.
    pub fn new(symbols: S, wall_clock: WallClock, net: bool) -> Self {
        Self {
            stacks: CallStacks::default(),
            writer: JsonlWriter {
                symbols,
                wall_clock,
                net,
                last_id: 0,
                function: String::new(),
                time: Vec::new(),
            },
        }
    }
}

impl<S: Symbols> Renderer for JsonlRenderer<S> {
    fn line(&mut self, line: &TraceLine, out: &mut Vec<u8>) {
        let writer = &mut self.writer;
        self.stacks.line(line, &mut Lines { writer, out });
    }

    fn part_end(&mut self, goroutine: Goroutine, end: PartEnd, out: &mut Vec<u8>) {
        let writer = &mut self.writer;
        self.stacks
            .part_end(goroutine, end, &mut Lines { writer, out });
    }
}

struct Lines<'a, S> {
    writer: &'a mut JsonlWriter<S>,
    out: &'a mut Vec<u8>,
}

impl<S: Symbols> CallVisitor for Lines<'_, S> {
    type Data = CallId;

    fn begin(&mut self, _: Goroutine, _: CallBeginning, _: &[OpenCall<CallId>]) -> CallId {
        self.writer.last_id += 1;
        CallId(self.writer.last_id)
    }

    fn end(
        &mut self,
        goroutine: Goroutine,
        call: &OpenCall<CallId>,
        ending: CallEnding,
        around: &[OpenCall<CallId>],
    ) {
        self.writer.call(goroutine, call, ending, around, self.out);
    }

    fn note(
        &mut self,
        goroutine: Goroutine,
        time: MonotonicTime,
        note: &Note,
        around: &[OpenCall<CallId>],
    ) {
        let gap = match *note {
            Note::Lost { events } => Gap::Lost { events },
            Note::Cut { calls } => Gap::Cut { calls },
            Note::Dropped { calls } => Gap::Dropped { calls },
            Note::Hidden {
                calls,
                shorter_than,
                total,
            } => Gap::Hidden {
                calls,
                shorter_than_ns: shorter_than.map(nanoseconds),
                total_ns: nanoseconds(total),
            },
            Note::Continued { .. } | Note::EndedAfterCut { .. } => return,
        };
        let writer = &mut *self.writer;
        writer.show_time(time);
        let record = GapRecord {
            gap,
            parent_id: around.last().map(|call| call.data.0),
            tree_id: around.first().map(|call| call.data.0),
            depth: around.len() as u64,
            goid: goroutine.goid,
            pid: goroutine.pid,
            time: std::str::from_utf8(&writer.time).unwrap_or_default(),
            time_unix_ns: writer.wall_clock.unix_ns(time),
        };
        push_json(&record, self.out);
        self.out.push(b'\n');
    }
}

impl<S: Symbols> JsonlWriter<S> {
    fn show_time(&mut self, time: MonotonicTime) {
        self.time.clear();
        self.wall_clock.push_styled(
            SecondStyle::Rfc3339,
            time,
            TimeDigits::NANOSECONDS,
            &mut self.time,
        );
    }

    fn call(
        &mut self,
        goroutine: Goroutine,
        call: &OpenCall<CallId>,
        ending: CallEnding,
        around: &[OpenCall<CallId>],
        out: &mut Vec<u8>,
    ) {
        // The entry of a call that was dropped at a cut is not there, but its duration is.
        let begin = call.begin.or_else(|| {
            if self.net {
                return None;
            }
            let time_ns = ending.time.time_ns;
            let time_ns = time_ns.checked_sub(nanoseconds(ending.duration?))?;
            Some(MonotonicTime { time_ns })
        });
        if let Some(begin) = begin {
            self.show_time(begin);
        }
        self.function.clear();
        let name = self.symbols.function_name(call.function);
        self.function.push_str(name.unwrap_or("?"));
        let reason = EndReason::of(ending.how, &mut self.symbols);
        let call_site = call.beginning.call();
        let call_site = call_site.and_then(|call| self.symbols.call_site(call));
        let caller = call_site.map(|call_site| readable_name(call_site.caller));
        let line = call_site.and_then(|call_site| call_site.line);
        let record = CallRecord {
            r#type: if ending.how == CallEnd::StillOpen {
                "open"
            } else {
                "call"
            },
            id: call.data.0,
            parent_id: around.last().map(|parent| parent.data.0),
            tree_id: around.first().map_or(call.data.0, |root| root.data.0),
            depth: around.len() as u64,
            goid: goroutine.goid,
            pid: goroutine.pid,
            function: &readable_name(&self.function),
            package: &package_of(&self.function),
            caller: caller.as_deref(),
            file: line.map(|line| line.file),
            line: line.map(|line| line.line),
            start: begin.map(|_| std::str::from_utf8(&self.time).unwrap_or_default()),
            start_unix_ns: begin.map(|begin| self.wall_clock.unix_ns(begin)),
            end_unix_ns: is_seen(ending.how).then(|| self.wall_clock.unix_ns(ending.time)),
            duration_ns: ending.duration.map(nanoseconds),
            self_ns: ending
                .duration
                .zip(call.inner)
                .map(|(duration, inner)| nanoseconds(duration.saturating_sub(inner))),
            probes_ns: self.net.then(|| {
                let (begin, duration) = call.begin.zip(ending.duration)?;
                Some(nanoseconds((ending.time - begin).saturating_sub(duration)))
            }),
            already_open: matches!(call.beginning, Beginning::AlreadyOpen { .. }).then_some(true),
            ended: ended(ending.how),
            reason,
        };
        push_json(&record, out);
        out.push(b'\n');
    }
}

/// Whether the moment at which the end was seen is the end.
fn is_seen(how: CallEnd) -> bool {
    match how {
        CallEnd::Returned { .. } | CallEnd::Unwound(_) | CallEnd::ProcessExited(_) => true,
        CallEnd::Approximate | CallEnd::ExitLost | CallEnd::StillOpen => false,
    }
}

/// The value of `ended`, which never changes.
fn ended(how: CallEnd) -> &'static str {
    match how {
        CallEnd::Returned { .. } => "returned",
        CallEnd::Approximate => "approximate",
        CallEnd::Unwound(_) => "unwound",
        CallEnd::ExitLost => "exit_lost",
        CallEnd::StillOpen => "still_open",
        CallEnd::ProcessExited(_) => "process_exited",
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
