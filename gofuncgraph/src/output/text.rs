use std::ops::Range;
use std::time::Duration;

use foldhash::HashMap;

use super::colour::{DIM, RESET, colour_of};
use super::end_text::push_end;
use super::escape::{push_escaped, push_escaped_name};
use super::note::{push_name, push_note};
use super::number::{TimeDigits, push_number};
use super::processes::ProcessNames;
use super::renderer::Renderer;
use super::symbols::Symbols;
use super::wall_clock::WallClock;
use crate::binary::{SourceLine, VirtualAddress};
use crate::events::Goroutine;
use crate::plan::{FunctionId, SiteId};
use crate::trace::{Beginning, CallEnd, LineBody, PartEnd, TraceLine};

/// Levels up to which lines are indented further: a recursion of a hundred thousand calls would
/// otherwise be gigabytes of blanks. Braces still tell the level.
pub(super) const MAX_INDENTED_LEVELS: u32 = 128;

const ENTRY: &[u8] = b"() { ";
const END: &[u8] = b"} ";

/// How trees stand next to one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextLayout {
    /// One after the other, an empty line between them.
    Trees,
    /// Interleaved; each line names its goroutine.
    Stream,
}

/// How a [`TextRenderer`] writes.
#[derive(Clone, Debug)]
pub struct TextSettings {
    /// How trees stand next to one another.
    pub layout: TextLayout,
    /// Digits after the decimal point.
    pub time_digits: TimeDigits,
    /// Shows moments as time of day.
    pub wall_clock: WallClock,
    /// Colour durations and dim remarks, for a terminal.
    pub colour: bool,
}

/// Writes a trace as the text that the README specifies:
///
/// ```text
/// line     = ["[" pid "] "] ["g[" goid "] "] time " " duration " " indent " " body
/// time     = DD HH:MM:SS.fN
/// duration = seconds as %0{N+4}.{N}f, or N+4 blanks
/// indent   = two blanks per level, none for a root, 256 at most
/// body     = name "() { " caller "+" offset " " file ":" line
///          | name "() { " caller "+" offset " " file ":" line " // already open"
///          | name "() { // entry lost"
///          | "} " name "+" offset " " file ":" line
///          | "} " name
///          | "} " name " // " how
///          | "// " note
/// ```
///
/// A caller that is not known is `?+0`, a line that is not known `?:0`.
pub struct TextRenderer<S> {
    symbols: S,
    settings: TextSettings,
    processes: ProcessNames,
    /// What entries and ends say, written once: names and source lines come again and again.
    bodies: Bodies,
    lines_in_part: bool,
    separator_due: bool,
}

/// Bytes of bodies that are kept. More than a program plausibly has; only made-up events can need
/// more.
const MAX_BODY_BYTES: usize = 8 << 20;

/// What stood behind the indent of lines that were written before, without colours.
#[derive(Default)]
struct Bodies {
    bytes: Vec<u8>,
    entries: HashMap<(FunctionId, VirtualAddress), Range<usize>>,
    returns: HashMap<(FunctionId, SiteId), Range<usize>>,
}

impl Bodies {
    fn entry(&self, function: FunctionId, call: VirtualAddress) -> Option<&[u8]> {
        self.bytes.get(self.entries.get(&(function, call))?.clone())
    }

    fn returned(&self, function: FunctionId, site: SiteId) -> Option<&[u8]> {
        self.bytes.get(self.returns.get(&(function, site))?.clone())
    }

    fn keep_entry(&mut self, function: FunctionId, call: VirtualAddress, written: &[u8]) {
        let place = self.keep(written);
        self.entries.insert((function, call), place);
    }

    fn keep_returned(&mut self, function: FunctionId, site: SiteId, written: &[u8]) {
        let place = self.keep(written);
        self.returns.insert((function, site), place);
    }

    fn keep(&mut self, written: &[u8]) -> Range<usize> {
        if self.bytes.len() + written.len() > MAX_BODY_BYTES {
            *self = Self::default();
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(written);
        start..self.bytes.len()
    }
}

impl<S: Symbols> TextRenderer<S> {
    /// One that has written nothing yet.
    pub fn new(symbols: S, settings: TextSettings) -> Self {
        Self {
            symbols,
            settings,
            processes: ProcessNames::default(),
            bodies: Bodies::default(),
            lines_in_part: false,
            separator_due: false,
        }
    }

    /// Names the process on every line from now on; else that begins with the first line of a
    /// second process.
    pub fn name_processes(&mut self) {
        self.processes.always();
    }

    fn push_prefix(&mut self, goroutine: Goroutine, out: &mut Vec<u8>) {
        self.processes.push_prefix(goroutine.pid, out);
        if self.settings.layout == TextLayout::Stream {
            out.extend_from_slice(b"g[");
            push_number(goroutine.goid, out);
            out.extend_from_slice(b"] ");
        }
    }

    fn push_duration_column(&self, duration: Option<Duration>, out: &mut Vec<u8>) {
        let digits = self.settings.time_digits;
        let Some(duration) = duration else {
            out.resize(out.len() + digits.duration_width(), b' ');
            return;
        };
        let colour = colour_of(duration).filter(|_| self.settings.colour);
        if let Some(colour) = colour {
            out.extend_from_slice(colour);
        }
        digits.push_duration(duration, 3, out);
        if colour.is_some() {
            out.extend_from_slice(RESET);
        }
    }

    fn push_entry(&mut self, function: FunctionId, call: VirtualAddress, out: &mut Vec<u8>) {
        if let Some(written) = self.bodies.entry(function, call) {
            out.extend_from_slice(written);
            return;
        }
        let start = out.len();
        let name_is_known = push_known_name(&mut self.symbols, function, out);
        out.extend_from_slice(ENTRY);
        let call_site = self.symbols.call_site(call);
        let is_known = name_is_known && call_site.is_some();
        let (caller, offset, line) = call_site.map_or(("?", 0, None), |call_site| {
            (call_site.caller, call_site.offset, call_site.line)
        });
        push_escaped_name(caller, out);
        push_position(offset, line, out);
        // What is not known may become known.
        if is_known {
            let written = out.get(start..).unwrap_or_default();
            self.bodies.keep_entry(function, call, written);
        }
    }

    fn push_returned(&mut self, function: FunctionId, site: SiteId, out: &mut Vec<u8>) {
        if let Some(written) = self.bodies.returned(function, site) {
            out.extend_from_slice(written);
            return;
        }
        let start = out.len();
        out.extend_from_slice(END);
        let name_is_known = push_known_name(&mut self.symbols, function, out);
        if let Some(position) = self.symbols.return_site(site) {
            push_position(position.offset, position.line, out);
            if name_is_known {
                let written = out.get(start..).unwrap_or_default();
                self.bodies.keep_returned(function, site, written);
            }
        }
    }

    fn push_end(&mut self, function: FunctionId, how: CallEnd, out: &mut Vec<u8>) {
        if let CallEnd::Returned { site: Some(site) } = how {
            self.push_returned(function, site, out);
            return;
        }
        out.extend_from_slice(END);
        push_name(&mut self.symbols, function, out);
        if !matches!(how, CallEnd::Returned { .. }) {
            out.push(b' ');
            self.dimmed(out, |text, out| {
                out.extend_from_slice(b"// ");
                push_end(how, &mut text.symbols, out);
            });
        }
    }

    fn dimmed(&mut self, out: &mut Vec<u8>, push: impl FnOnce(&mut Self, &mut Vec<u8>)) {
        let colour = self.settings.colour;
        if colour {
            out.extend_from_slice(DIM);
        }
        push(self, out);
        if colour {
            out.extend_from_slice(RESET);
        }
    }
}

impl<S: Symbols> Renderer for TextRenderer<S> {
    fn line(&mut self, line: &TraceLine, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.separator_due) {
            out.push(b'\n');
        }
        self.lines_in_part = true;
        self.push_prefix(line.goroutine, out);
        let digits = self.settings.time_digits;
        self.settings.wall_clock.push(line.time, digits, out);
        out.push(b' ');
        let duration = match &line.body {
            LineBody::End { duration, .. } => *duration,
            LineBody::Entry { .. } | LineBody::Note(_) => None,
        };
        self.push_duration_column(duration, out);
        let indent = 2 * line.level.min(MAX_INDENTED_LEVELS) as usize;
        out.resize(out.len() + 1 + indent + 1, b' ');
        match &line.body {
            LineBody::Entry {
                function,
                beginning: Beginning::Seen { call },
            } => self.push_entry(*function, *call, out),
            LineBody::Entry {
                function,
                beginning: Beginning::AlreadyOpen { call },
            } => {
                self.push_entry(*function, *call, out);
                out.push(b' ');
                self.dimmed(out, |_, out| out.extend_from_slice(b"// already open"));
            }
            LineBody::Entry {
                function,
                beginning: Beginning::Lost,
            } => {
                push_name(&mut self.symbols, *function, out);
                out.extend_from_slice(ENTRY);
                self.dimmed(out, |_, out| out.extend_from_slice(b"// entry lost"));
            }
            LineBody::End { function, how, .. } => self.push_end(*function, *how, out),
            LineBody::Note(note) => self.dimmed(out, |text, out| {
                push_note(note, &mut text.symbols, Some(digits), out);
            }),
        }
        out.push(b'\n');
    }

    fn part_end(&mut self, _: Goroutine, _: PartEnd, _: &mut Vec<u8>) {
        let lines_in_part = std::mem::take(&mut self.lines_in_part);
        self.separator_due |= lines_in_part && self.settings.layout == TextLayout::Trees;
    }
}

/// Appends a function's name, or `?`, and says whether it is known.
fn push_known_name(symbols: &mut impl Symbols, function: FunctionId, out: &mut Vec<u8>) -> bool {
    let name = symbols.function_name(function);
    push_escaped_name(name.unwrap_or("?"), out);
    name.is_some()
}

/// Appends `+offset file:line`.
fn push_position(offset: u64, line: Option<SourceLine<'_>>, out: &mut Vec<u8>) {
    out.push(b'+');
    push_number(offset, out);
    out.push(b' ');
    let line = line.unwrap_or(SourceLine { file: "?", line: 0 });
    push_escaped(line.file, out);
    out.push(b':');
    push_number(u64::from(line.line), out);
}
