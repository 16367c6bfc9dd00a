//! What the lines say of why a call ended.

use serde::Serialize;

use super::super::end_text::signal_name;
use super::super::symbols::Symbols;
use crate::binary::readable_name;
use crate::events::{CodeAddress, ProcessEnding};
use crate::trace::{CallEnd, Unwinding};

/// What is known beside how it ended; what is not is left out.
#[derive(Debug, Default, Serialize)]
pub(super) struct EndReason {
    #[serde(skip_serializing_if = "Option::is_none")]
    unwound_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    panicked: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    panic_in: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovered_in: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process_ended_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_called_in: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal_name: Option<&'static str>,
}

impl EndReason {
    /// Of a call that ended so.
    pub(super) fn of(how: CallEnd, symbols: &mut impl Symbols) -> Self {
        match how {
            CallEnd::Unwound(unwinding) => Self::of_unwinding(unwinding, symbols),
            CallEnd::ProcessExited(ending) => Self::of_process(ending, symbols),
            _ => Self::default(),
        }
    }

    fn of_unwinding(unwinding: Unwinding, symbols: &mut impl Symbols) -> Self {
        match unwinding {
            Unwinding::Unknown => Self::default(),
            Unwinding::Panic {
                panicked,
                origin,
                resumed,
            } => Self {
                unwound_by: Some("panic"),
                panicked: Some(panicked),
                panic_in: function_at(origin, symbols),
                recovered_in: function_at(resumed, symbols),
                ..Self::default()
            },
            Unwinding::Goexit => Self {
                unwound_by: Some("goexit"),
                ..Self::default()
            },
        }
    }

    fn of_process(ending: ProcessEnding, symbols: &mut impl Symbols) -> Self {
        match ending {
            ProcessEnding::Unknown => Self::default(),
            ProcessEnding::Panic { origin } => Self {
                process_ended_by: Some("panic"),
                panic_in: function_at(origin, symbols),
                ..Self::default()
            },
            ProcessEnding::Exit { code, call } => Self {
                process_ended_by: Some("os_exit"),
                exit_code: Some(code),
                exit_called_in: function_at(call, symbols),
                ..Self::default()
            },
            ProcessEnding::FatalError => Self {
                process_ended_by: Some("fatal_error"),
                ..Self::default()
            },
            ProcessEnding::Signal { number } => Self {
                process_ended_by: Some("signal"),
                signal: Some(number),
                signal_name: signal_name(number),
                ..Self::default()
            },
        }
    }
}

fn function_at(place: Option<CodeAddress>, symbols: &mut impl Symbols) -> Option<String> {
    let place = symbols.call_site(place?.address())?;
    Some(readable_name(place.caller).into_owned())
}
