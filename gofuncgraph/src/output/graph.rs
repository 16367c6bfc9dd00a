use std::collections::HashMap;
use std::time::Duration;

use super::colour::{DIM, RESET, colour_of};
use super::end_text::push_end;
use super::escape::{push_escaped, push_escaped_name};
use super::note::{note_duration, push_note};
use super::number::{TimeDigits, push_number, push_padded};
use super::processes::ProcessNames;
use super::renderer::Renderer;
use super::symbols::Symbols;
use super::text::{MAX_INDENTED_LEVELS, TextLayout};
use super::wall_clock::WallClock;
use crate::binary::VirtualAddress;
use crate::events::{Goroutine, MonotonicTime};
use crate::plan::FunctionId;
use crate::trace::{Beginning, CallEnd, LineBody, Note, PartEnd, TraceLine};

/// Over which duration which marker stands in front, longest first: those of the kernel's
/// function graph tracer (Documentation/trace/ftrace.rst).
const MARKERS: [(Duration, u8); 6] = [
    (Duration::from_secs(1), b'$'),
    (Duration::from_millis(100), b'@'),
    (Duration::from_millis(10), b'*'),
    (Duration::from_millis(1), b'#'),
    (Duration::from_micros(100), b'!'),
    (Duration::from_micros(10), b'+'),
];

/// Columns of a marker, a blank, a number below 1000 with three decimals, a blank and a unit.
const DURATION_WIDTH: usize = 12;

/// How a [`GraphRenderer`] writes.
#[derive(Clone, Debug)]
pub struct GraphSettings {
    /// How trees stand next to one another.
    pub layout: TextLayout,
    /// Digits of the seconds of the moments of trees.
    pub time_digits: TimeDigits,
    /// Shows moments as time of day.
    pub wall_clock: WallClock,
    /// Colour durations and dim remarks, for a terminal.
    pub colour: bool,
    /// Left out where a name or path begins with one of them; the first that fits.
    pub trim_prefixes: Vec<String>,
}

/// Writes a trace for eyes:
///
/// ```text
/// line     = ["[" pid "] "] ["g[" goid "] "] duration " | " indent body
/// duration = marker " " number " " unit      for an end with a measured time, and for remarks on
///                                            calls: how long those took; else blanks
/// marker   = "+" over 10 us, "!" 100 us, "#" 1 ms, "*" 10 ms, "@" 100 ms, "$" 1 s, else " "
/// indent   = two blanks per level, none for a root; 256 from level 128 on
/// body     = name "();" [origin]        a call in which no other is shown
///          | name "() {" [origin]
///          | "}" [" " name] [" // " how]
///          | "// " remark
/// origin   = " // " caller " " file ":" line
/// ```
///
/// With the origin of a root stands its moment. Other calls have an origin only if the caller is
/// not the call around them. The end has the name where it may stand far from its entry: if
/// trees interleave, and after a cut.
pub struct GraphRenderer<S> {
    symbols: S,
    settings: GraphSettings,
    processes: ProcessNames,
    /// Functions of the calls around, by goroutine.
    around: HashMap<Goroutine, Vec<FunctionId>>,
    /// An entry that is a leaf if its end comes next.
    held: Option<Held>,
    /// Columns of the widest goroutine id so far, so that durations line up.
    goroutine_width: usize,
    lines_in_part: bool,
    separator_due: bool,
    scratch: String,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    goroutine: Goroutine,
    time: MonotonicTime,
    level: u32,
    function: FunctionId,
    beginning: Beginning,
    parent: Option<FunctionId>,
}

impl<S: Symbols> GraphRenderer<S> {
    /// One that has written nothing yet.
    pub fn new(symbols: S, settings: GraphSettings) -> Self {
        Self {
            symbols,
            settings,
            processes: ProcessNames::default(),
            around: HashMap::new(),
            held: None,
            goroutine_width: 0,
            lines_in_part: false,
            separator_due: false,
            scratch: String::new(),
        }
    }

    fn begin_line(
        &mut self,
        goroutine: Goroutine,
        level: u32,
        duration: Option<Duration>,
        out: &mut Vec<u8>,
    ) {
        if std::mem::take(&mut self.separator_due) {
            out.push(b'\n');
        }
        self.lines_in_part = true;
        self.processes.push_prefix(goroutine.pid, out);
        if self.settings.layout == TextLayout::Stream {
            let start = out.len();
            out.extend_from_slice(b"g[");
            push_number(goroutine.goid, out);
            out.extend_from_slice(b"] ");
            self.goroutine_width = self.goroutine_width.max(out.len() - start);
            out.resize(start + self.goroutine_width, b' ');
        }
        match duration {
            Some(duration) => {
                let colour = colour_of(duration).filter(|_| self.settings.colour);
                out.extend_from_slice(colour.unwrap_or_default());
                push_duration(duration, out);
                out.extend_from_slice(if colour.is_some() { RESET } else { b"" });
            }
            None => out.resize(out.len() + DURATION_WIDTH, b' '),
        }
        out.extend_from_slice(b" | ");
        let indent = 2 * level.min(MAX_INDENTED_LEVELS) as usize;
        out.resize(out.len() + indent, b' ');
    }

    fn push_held(&mut self, out: &mut Vec<u8>) {
        if let Some(held) = self.held.take() {
            self.begin_line(held.goroutine, held.level, None, out);
            self.push_function(held.function, out);
            out.extend_from_slice(b"() {");
            self.push_origin(&held, out);
            out.push(b'\n');
        }
    }

    /// The end of what is held: a leaf, on one line.
    fn push_leaf(
        &mut self,
        held: &Held,
        how: CallEnd,
        duration: Option<Duration>,
        out: &mut Vec<u8>,
    ) {
        self.begin_line(held.goroutine, held.level, duration, out);
        self.push_function(held.function, out);
        out.extend_from_slice(b"();");
        if !matches!(how, CallEnd::Returned { .. }) {
            self.push_how(how, out);
        }
        self.push_origin(held, out);
        out.push(b'\n');
    }

    fn push_origin(&mut self, held: &Held, out: &mut Vec<u8>) {
        let call = match held.beginning {
            Beginning::Seen { call } => call,
            Beginning::AlreadyOpen { call } => {
                self.push_remark(b"already open", out);
                call
            }
            Beginning::Lost => {
                self.push_remark(b"entry lost", out);
                return;
            }
        };
        let is_root = held.level == 0;
        self.scratch.clear();
        if let Some(parent) = held.parent.filter(|_| !is_root) {
            let name = self.symbols.function_name(parent);
            self.scratch.push_str(name.unwrap_or_default());
        }
        let call_site = self.symbols.call_site(call);
        let adds_something = call_site.is_some_and(|it| is_root || it.caller != self.scratch);
        if !is_root && !adds_something {
            return;
        }
        out.extend_from_slice(b" ");
        out.extend_from_slice(if self.settings.colour { DIM } else { b"" });
        out.extend_from_slice(b"//");
        if is_root {
            out.push(b' ');
            let digits = self.settings.time_digits;
            self.settings.wall_clock.push(held.time, digits, out);
        }
        if let Some(call_site) = call_site {
            let prefixes = &self.settings.trim_prefixes;
            out.push(b' ');
            push_escaped_name(trimmed(prefixes, call_site.caller), out);
            if let Some(line) = call_site.line {
                out.push(b' ');
                push_escaped(trimmed(prefixes, line.file), out);
                out.push(b':');
                push_number(u64::from(line.line), out);
            }
        }
        out.extend_from_slice(if self.settings.colour { RESET } else { b"" });
    }

    fn push_remark(&self, remark: &[u8], out: &mut Vec<u8>) {
        out.push(b' ');
        out.extend_from_slice(if self.settings.colour { DIM } else { b"" });
        out.extend_from_slice(b"// ");
        out.extend_from_slice(remark);
        out.extend_from_slice(if self.settings.colour { RESET } else { b"" });
    }

    /// How a call ended that did not return.
    fn push_how(&mut self, how: CallEnd, out: &mut Vec<u8>) {
        let mut symbols = TrimmedSymbols {
            symbols: &mut self.symbols,
            prefixes: &self.settings.trim_prefixes,
        };
        let mut remark = Vec::new();
        push_end(how, &mut symbols, &mut remark);
        self.push_remark(&remark, out);
    }

    fn push_function(&mut self, function: FunctionId, out: &mut Vec<u8>) {
        let name = self.symbols.function_name(function).unwrap_or("?");
        push_escaped_name(trimmed(&self.settings.trim_prefixes, name), out);
    }

    fn entry(&mut self, line: &TraceLine, function: FunctionId, beginning: Beginning) {
        let around = self.around.entry(line.goroutine).or_default();
        around.truncate(line.level as usize);
        self.held = Some(Held {
            goroutine: line.goroutine,
            time: line.time,
            level: line.level,
            function,
            beginning,
            parent: around.last().copied(),
        });
        around.push(function);
    }

    fn end(
        &mut self,
        line: &TraceLine,
        function: FunctionId,
        how: CallEnd,
        duration: Option<Duration>,
        out: &mut Vec<u8>,
    ) {
        if let Some(around) = self.around.get_mut(&line.goroutine) {
            around.truncate(line.level as usize);
        }
        let held = self.held.take_if(|held| {
            held.goroutine == line.goroutine
                && held.level == line.level
                && held.function == function
        });
        if let Some(held) = held {
            self.push_leaf(&held, how, duration, out);
            return;
        }
        self.push_held(out);
        self.begin_line(line.goroutine, line.level, duration, out);
        out.push(b'}');
        if self.settings.layout == TextLayout::Stream {
            out.push(b' ');
            self.push_function(function, out);
        }
        if !matches!(how, CallEnd::Returned { .. }) {
            self.push_how(how, out);
        }
        out.push(b'\n');
    }

    fn note(&mut self, line: &TraceLine, note: &Note, out: &mut Vec<u8>) {
        self.push_held(out);
        self.begin_line(line.goroutine, line.level, note_duration(note), out);
        out.extend_from_slice(if self.settings.colour { DIM } else { b"" });
        let mut symbols = TrimmedSymbols {
            symbols: &mut self.symbols,
            prefixes: &self.settings.trim_prefixes,
        };
        push_note(note, &mut symbols, None, out);
        out.extend_from_slice(if self.settings.colour { RESET } else { b"" });
        out.push(b'\n');
        if let Note::Continued { path } = note {
            let around = self.around.entry(line.goroutine).or_default();
            around.clear();
            around.extend_from_slice(path);
        }
    }
}

impl<S: Symbols> Renderer for GraphRenderer<S> {
    fn line(&mut self, line: &TraceLine, out: &mut Vec<u8>) {
        match &line.body {
            LineBody::Entry {
                function,
                beginning,
            } => {
                self.push_held(out);
                self.entry(line, *function, *beginning);
            }
            LineBody::End {
                function,
                how,
                duration,
            } => self.end(line, *function, *how, *duration, out),
            LineBody::Note(note) => self.note(line, note, out),
        }
    }

    fn part_end(&mut self, goroutine: Goroutine, end: PartEnd, out: &mut Vec<u8>) {
        self.push_held(out);
        if end == PartEnd::Tree {
            self.around.remove(&goroutine);
        }
        let lines_in_part = std::mem::take(&mut self.lines_in_part);
        self.separator_due |= lines_in_part && self.settings.layout == TextLayout::Trees;
    }

    fn pause(&mut self, out: &mut Vec<u8>) {
        self.push_held(out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.push_held(out);
    }
}

/// Names without their prefix.
struct TrimmedSymbols<'a, S> {
    symbols: &'a mut S,
    prefixes: &'a [String],
}

impl<S: Symbols> Symbols for TrimmedSymbols<'_, S> {
    fn function_name(&mut self, function: FunctionId) -> Option<&str> {
        let name = self.symbols.function_name(function)?;
        Some(trimmed(self.prefixes, name))
    }

    fn return_site(&mut self, site: crate::plan::SiteId) -> Option<super::CodePosition<'_>> {
        self.symbols.return_site(site)
    }

    fn call_site(&mut self, return_address: VirtualAddress) -> Option<super::CallSite<'_>> {
        let call_site = self.symbols.call_site(return_address)?;
        let caller = trimmed(self.prefixes, call_site.caller);
        Some(super::CallSite {
            caller,
            ..call_site
        })
    }
}

fn trimmed<'a>(prefixes: &[String], name: &'a str) -> &'a str {
    prefixes
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix.as_str()))
        .filter(|rest| !rest.is_empty())
        .unwrap_or(name)
}

/// Appends a marker, a number with three decimals (none for nanoseconds) and a unit, in
/// [`DURATION_WIDTH`] columns below 1000 s.
fn push_duration(duration: Duration, out: &mut Vec<u8>) {
    let marker = MARKERS.iter().find(|(over, _)| duration > *over);
    out.push(marker.map_or(b' ', |(_, marker)| *marker));
    out.push(b' ');
    let time_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let (divisor, unit): (u64, &[u8]) = match time_ns {
        0..1_000 => (1, b"ns"),
        1_000..1_000_000 => (1_000, b"us"),
        1_000_000..1_000_000_000 => (1_000_000, b"ms"),
        1_000_000_000.. => (1_000_000_000, b"s "),
    };
    let whole = time_ns / divisor;
    for limit in [10, 100] {
        if whole < limit {
            out.push(b' ');
        }
    }
    push_number(whole, out);
    if divisor == 1 {
        out.extend_from_slice(b"    ");
    } else {
        // Cut off, so that 999.9999 us does not become 1000.000 us.
        out.push(b'.');
        push_padded(time_ns % divisor / (divisor / 1_000), 3, out);
    }
    out.push(b' ');
    out.extend_from_slice(unit);
}
