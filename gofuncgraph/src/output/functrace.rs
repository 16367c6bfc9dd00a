use super::end_text::push_end;
use super::note::{push_name, push_note};
use super::number::{TimeDigits, push_padded};
use super::processes::ProcessNames;
use super::renderer::Renderer;
use super::symbols::Symbols;
use super::wall_clock::{SecondStyle, WallClock};
use crate::events::Goroutine;
use crate::trace::{Beginning, CallEnd, LineBody, PartEnd, TraceLine, Unwinding};

/// Writes a trace as functrace does, one line for each entry and each exit:
///
/// ```text
/// line = ["[" pid "] "] YYYY/MM/DD HH:MM:SS.ffffff " g[" goid "]:" tabs body
/// goid = at least two digits
/// tabs = one for a root, one more per level
/// body = "->" name | "<-" name [" // " how] | "->" name " // already open"
///      | "->" name " // entry lost" | "// " remark
/// ```
///
/// `<-` stands for ends that were seen: returns, and panics and `runtime.Goexit` that unwound the
/// call. Of other ends a remark tells.
pub struct FunctraceRenderer<S> {
    symbols: S,
    wall_clock: WallClock,
    processes: ProcessNames,
}

impl<S: Symbols> FunctraceRenderer<S> {
    /// One that has written nothing yet.
    pub fn new(symbols: S, wall_clock: WallClock) -> Self {
        Self {
            symbols,
            wall_clock,
            processes: ProcessNames::default(),
        }
    }
}

impl<S: Symbols> Renderer for FunctraceRenderer<S> {
    fn line(&mut self, line: &TraceLine, out: &mut Vec<u8>) {
        let microseconds = TimeDigits::default();
        self.processes.push_prefix(line.goroutine.pid, out);
        self.wall_clock
            .push_styled(SecondStyle::Slashes, line.time, microseconds, out);
        out.extend_from_slice(b" g[");
        push_padded(line.goroutine.goid, 2, out);
        out.extend_from_slice(b"]:");
        out.resize(out.len() + 1 + line.level as usize, b'\t');
        match &line.body {
            LineBody::Entry {
                function,
                beginning,
            } => {
                out.extend_from_slice(b"->");
                push_name(&mut self.symbols, *function, out);
                out.extend_from_slice(match beginning {
                    Beginning::Seen { .. } => b"",
                    Beginning::AlreadyOpen { .. } => b" // already open",
                    Beginning::Lost => b" // entry lost",
                });
            }
            LineBody::End { function, how, .. } => match how {
                CallEnd::Returned { .. } | CallEnd::Unwound(_) => {
                    out.extend_from_slice(b"<-");
                    push_name(&mut self.symbols, *function, out);
                    if !matches!(how, CallEnd::Returned { .. })
                        && *how != CallEnd::Unwound(Unwinding::Unknown)
                    {
                        out.extend_from_slice(b" // ");
                        push_end(*how, &mut self.symbols, out);
                    }
                }
                CallEnd::Approximate
                | CallEnd::ExitLost
                | CallEnd::StillOpen
                | CallEnd::ProcessExited(_) => {
                    out.extend_from_slice(b"// ");
                    push_name(&mut self.symbols, *function, out);
                    out.push(b' ');
                    push_end(*how, &mut self.symbols, out);
                }
            },
            LineBody::Note(note) => {
                push_note(note, &mut self.symbols, Some(microseconds), out);
            }
        }
        out.push(b'\n');
    }

    fn part_end(&mut self, _: Goroutine, _: PartEnd, _: &mut Vec<u8>) {}
}
