use std::time::Duration;

use super::end_text::push_end;
use super::escape::push_escaped_name;
use super::number::{TimeDigits, push_exact_duration, push_number};
use super::symbols::Symbols;
use crate::plan::FunctionId;
use crate::trace::Note;

/// Functions named at each end of the path of a tree that goes on after a cut.
const PATH_ENDS: usize = 8;

/// What is said where durations are without what probes cost.
pub(super) const NET_REMARK: &str = "durations are without what probes cost";

/// Appends the line that begins a text whose durations are without what probes cost.
pub fn push_net_remark(out: &mut Vec<u8>) {
    out.extend_from_slice(b"// ");
    out.extend_from_slice(NET_REMARK.as_bytes());
    out.push(b'\n');
}

/// Appends a function's name, or `?`.
pub(super) fn push_name(symbols: &mut impl Symbols, function: FunctionId, out: &mut Vec<u8>) {
    push_escaped_name(symbols.function_name(function).unwrap_or("?"), out);
}

/// Appends a remark as `// …`, without what [`note_duration`] gives if there are no `digits`.
pub(super) fn push_note(
    note: &Note,
    symbols: &mut impl Symbols,
    digits: Option<TimeDigits>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"// ");
    match note {
        Note::Lost { events } => {
            out.extend_from_slice(b"lost ");
            push_number(*events, out);
            out.extend_from_slice(b" events");
        }
        Note::Cut { calls } => {
            out.extend_from_slice(b"cut at ");
            push_number(*calls, out);
            out.extend_from_slice(b" calls");
        }
        Note::Dropped { calls } => {
            out.extend_from_slice(b"cut: the first ");
            push_number(*calls, out);
            out.extend_from_slice(b" calls were dropped");
        }
        Note::Continued { path } => {
            out.extend_from_slice(b"continued after a cut");
            push_path(path, symbols, out);
        }
        Note::EndedAfterCut {
            function,
            how,
            duration,
        } => {
            push_name(symbols, *function, out);
            out.push(b' ');
            push_end(*how, symbols, out);
            if let Some((duration, digits)) = duration.zip(digits) {
                out.extend_from_slice(b" after ");
                digits.push_duration(duration, 1, out);
            }
        }
        Note::Hidden {
            calls,
            shorter_than,
            total,
        } => {
            push_number(*calls, out);
            let noun: &[u8] = if *calls == 1 { b" call" } else { b" calls" };
            out.extend_from_slice(noun);
            if let Some(shorter_than) = shorter_than {
                out.extend_from_slice(b" under ");
                push_exact_duration(*shorter_than, out);
            }
            out.extend_from_slice(b" hidden");
            if let Some(digits) = digits {
                out.extend_from_slice(b", ");
                digits.push_duration(*total, 1, out);
                out.extend_from_slice(b" in all");
            }
        }
    }
}

/// How long what a remark tells of took.
pub(super) fn note_duration(note: &Note) -> Option<Duration> {
    match note {
        Note::EndedAfterCut { duration, .. } => *duration,
        Note::Hidden { total, .. } => Some(*total),
        _ => None,
    }
}

fn push_path(path: &[FunctionId], symbols: &mut impl Symbols, out: &mut Vec<u8>) {
    let left_out = path.len().saturating_sub(2 * PATH_ENDS);
    for (index, function) in path.iter().enumerate() {
        if left_out > 0 && (PATH_ENDS..PATH_ENDS + left_out).contains(&index) {
            if index == PATH_ENDS {
                out.extend_from_slice(b" > (");
                push_number(left_out as u64, out);
                out.extend_from_slice(b" more)");
            }
            continue;
        }
        out.extend_from_slice(if index == 0 { b", inside " } else { b" > " });
        push_name(symbols, *function, out);
    }
}
