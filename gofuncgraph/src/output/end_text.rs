//! How a call ended, in words.

use super::escape::push_escaped_name;
use super::number::push_number;
use super::symbols::Symbols;
use crate::events::{CodeAddress, ProcessEnding};
use crate::trace::{CallEnd, Unwinding};

/// Names of the signals that end Go programs (signal(7), x86-64).
const SIGNALS: [(u8, &str); 16] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (10, "SIGUSR1"),
    (11, "SIGSEGV"),
    (12, "SIGUSR2"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (15, "SIGTERM"),
    (31, "SIGSYS"),
];

/// Appends how a call ended, in the words of the text format.
pub(super) fn push_end(how: CallEnd, symbols: &mut impl Symbols, out: &mut Vec<u8>) {
    match how {
        CallEnd::Returned { .. } => out.extend_from_slice(b"returned"),
        CallEnd::Approximate => out.extend_from_slice(b"approximate"),
        CallEnd::Unwound(unwinding) => push_unwinding(unwinding, symbols, out),
        CallEnd::ExitLost => out.extend_from_slice(b"exit lost"),
        CallEnd::StillOpen => out.extend_from_slice(b"still open"),
        CallEnd::ProcessExited(ending) => push_process_ending(ending, symbols, out),
    }
}

fn push_unwinding(unwinding: Unwinding, symbols: &mut impl Symbols, out: &mut Vec<u8>) {
    match unwinding {
        Unwinding::Unknown => out.extend_from_slice(b"unwound"),
        Unwinding::Panic {
            panicked,
            origin,
            resumed,
        } => {
            out.extend_from_slice(if panicked {
                b"panicked, unwound"
            } else {
                b"unwound by panic"
            });
            push_place(b" in ", origin, symbols, out);
            out.extend_from_slice(b", recovered");
            push_place(b" in ", resumed, symbols, out);
        }
        Unwinding::Goexit => out.extend_from_slice(b"goroutine ended by runtime.Goexit"),
    }
}

fn push_process_ending(ending: ProcessEnding, symbols: &mut impl Symbols, out: &mut Vec<u8>) {
    match ending {
        ProcessEnding::Unknown => out.extend_from_slice(b"process exited"),
        ProcessEnding::Panic { origin } => {
            out.extend_from_slice(b"process ended: panic");
            push_place(b" in ", origin, symbols, out);
        }
        ProcessEnding::Exit { code, call } => {
            out.extend_from_slice(b"process ended by os.Exit(");
            out.extend_from_slice(code.to_string().as_bytes());
            out.push(b')');
            push_place(b" called in ", call, symbols, out);
        }
        ProcessEnding::FatalError => {
            out.extend_from_slice(b"process ended: fatal error");
        }
        ProcessEnding::Signal { number } => {
            out.extend_from_slice(b"process ended by ");
            match signal_name(number) {
                Some(name) => out.extend_from_slice(name.as_bytes()),
                None => {
                    out.extend_from_slice(b"signal ");
                    push_number(number.into(), out);
                }
            }
        }
    }
}

/// Nothing if the function is not known.
fn push_place(
    before: &[u8],
    place: Option<CodeAddress>,
    symbols: &mut impl Symbols,
    out: &mut Vec<u8>,
) {
    if let Some(place) = place.and_then(|place| symbols.call_site(place.address())) {
        out.extend_from_slice(before);
        push_escaped_name(place.caller, out);
    }
}

/// The name of a signal; `None` for one that Go programs do not end by as a rule.
pub(super) fn signal_name(number: u8) -> Option<&'static str> {
    let mut signals = SIGNALS.iter();
    signals
        .find(|(known, _)| *known == number)
        .map(|(_, name)| *name)
}
