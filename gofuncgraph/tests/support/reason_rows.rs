//! Reasons as the reader in Python prints them.

use gofuncgraph::events::{CodeAddress, Event, ProcessEnding, Reason, Symbols};
use gofuncgraph::recording::RecordedSymbols;

use crate::{line, row};

/// Appends the row of a reason; nothing of other events.
pub fn describe_reason(event: &Event, symbols: &mut RecordedSymbols, out: &mut String) {
    let time_ns = event.time().time_ns;
    let mut place = |place: Option<CodeAddress>| {
        let Some(place) = place else {
            return "-".to_owned();
        };
        let address = place.address();
        let site = symbols.call_site(address);
        let site = site.map(|site| format!("{}+{} {}", site.caller, site.offset, line(site.line)));
        format!("{address} {}", site.unwrap_or_else(|| "?+0 ?:0".to_owned()))
    };
    let none = "-";
    match *event {
        Event::Reason {
            goroutine,
            position,
            reason,
            ..
        } => {
            let (name, depth, what) = match reason {
                Reason::Panic(panic) => {
                    let call = panic.call.map(|call| {
                        let address = call.return_address.map(|address| format!(":{address}"));
                        format!(" call@{}{}", call.depth.bytes, address.unwrap_or_default())
                    });
                    let call = call.unwrap_or_default();
                    let depth = panic.depth.bytes.to_string();
                    ("panic", depth, place(panic.origin) + &call)
                }
                Reason::Recovery { resumed } => ("recovery", none.to_owned(), place(resumed)),
                Reason::Goexit => ("goexit", none.to_owned(), none.to_owned()),
            };
            row(
                &[
                    &name,
                    &goroutine.pid,
                    &goroutine.goid,
                    &position.sequence,
                    &position.tree,
                    &none,
                    &depth,
                    &none,
                    &time_ns,
                    &what,
                ],
                out,
            );
        }
        Event::ProcessEnding { pid, ending, .. } => {
            let what = match ending {
                ProcessEnding::Unknown => "unknown".to_owned(),
                ProcessEnding::Panic { origin } => format!("panic {}", place(origin)),
                ProcessEnding::Exit { code, call } => format!("exit {code} {}", place(call)),
                ProcessEnding::FatalError => "fatal-error".to_owned(),
                ProcessEnding::Signal { number } => format!("signal {number}"),
            };
            row(
                &[
                    &"process-ending",
                    &pid,
                    &none,
                    &none,
                    &none,
                    &none,
                    &none,
                    &none,
                    &time_ns,
                    &what,
                ],
                out,
            );
        }
        _ => {}
    }
}
