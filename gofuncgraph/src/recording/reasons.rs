//! Why calls and processes end, as a recording says it: a block of its own before the events that
//! it is about, which readers that do not know it skip.

use super::definitions::Position;
use super::error::BlockProblem;
use super::varint::{self, Fields};
use crate::binary::VirtualAddress;
use crate::events::{
    CodeAddress, Event, FrameDepth, Goroutine, MonotonicTime, Panic, PanickingCall, ProcessEnding,
    Reason, SequencePosition,
};

mod kinds {
    pub(super) const PANIC: u8 = 1;
    pub(super) const RECOVERY: u8 = 2;
    pub(super) const GOEXIT: u8 = 3;
    pub(super) const PROCESS_PANIC: u8 = 4;
    pub(super) const PROCESS_EXIT: u8 = 5;
    pub(super) const PROCESS_FATAL_ERROR: u8 = 6;
    pub(super) const PROCESS_SIGNAL: u8 = 7;
}

mod calls {
    pub(super) const UNKNOWN: u8 = 0;
    pub(super) const WITH_RETURN_ADDRESS: u8 = 1;
    pub(super) const WITHOUT_FRAME: u8 = 2;
}

/// A place with its name.
pub(super) type NamedPlace = (CodeAddress, u32, Position);

/// A reason that stands before the block's event number `before`.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlacedReason {
    pub(super) before: u32,
    pub(super) event: Event,
    /// The place that it names, where its name is known.
    pub(super) named: Option<NamedPlace>,
}

/// The address whose function `event` names.
pub(super) fn place_of(event: &Event) -> Option<CodeAddress> {
    match event {
        Event::Reason { reason, .. } => match reason {
            Reason::Panic(panic) => panic.origin,
            Reason::Recovery { resumed } => *resumed,
            Reason::Goexit => None,
        },
        Event::ProcessEnding { ending, .. } => match ending {
            ProcessEnding::Panic { origin } => *origin,
            ProcessEnding::Exit { call, .. } => *call,
            _ => None,
        },
        _ => None,
    }
}

/// Appends the reason that `event` is, and says whether it is one. `site` is text and position of
/// the place that it names.
pub(super) fn push(
    before: u32,
    event: &Event,
    site: Option<(u32, Position)>,
    out: &mut Vec<u8>,
) -> bool {
    let mut body = Vec::new();
    let (kind, pid, time) = match *event {
        Event::Reason {
            goroutine,
            time,
            reason,
            ..
        } => {
            let kind = match reason {
                Reason::Panic(_) => kinds::PANIC,
                Reason::Recovery { .. } => kinds::RECOVERY,
                Reason::Goexit => kinds::GOEXIT,
            };
            (kind, goroutine.pid, time)
        }
        Event::ProcessEnding { pid, time, ending } => {
            let kind = match ending {
                ProcessEnding::Unknown => return false,
                ProcessEnding::Panic { .. } => kinds::PROCESS_PANIC,
                ProcessEnding::Exit { .. } => kinds::PROCESS_EXIT,
                ProcessEnding::FatalError => kinds::PROCESS_FATAL_ERROR,
                ProcessEnding::Signal { .. } => kinds::PROCESS_SIGNAL,
            };
            (kind, pid, time)
        }
        _ => return false,
    };
    varint::push(before.into(), &mut body);
    varint::push(time.time_ns, &mut body);
    varint::push(pid.into(), &mut body);
    push_place(place_of(event), site, &mut body);
    match *event {
        Event::Reason {
            goroutine,
            position,
            reason,
            ..
        } => {
            varint::push(goroutine.goid, &mut body);
            varint::push(position.sequence, &mut body);
            varint::push(position.tree.into(), &mut body);
            if let Reason::Panic(panic) = reason {
                push_panic(&panic, &mut body);
            }
        }
        Event::ProcessEnding { ending, .. } => match ending {
            ProcessEnding::Exit { code, .. } => varint::push_signed(code.into(), &mut body),
            ProcessEnding::Signal { number } => body.push(number),
            _ => {}
        },
        _ => {}
    }
    out.push(kind);
    varint::push(body.len() as u64, out);
    out.extend_from_slice(&body);
    true
}

fn push_panic(panic: &Panic, out: &mut Vec<u8>) {
    varint::push(panic.depth.bytes, out);
    let Some(call) = panic.call else {
        out.push(calls::UNKNOWN);
        return;
    };
    out.push(match call.return_address {
        Some(_) => calls::WITH_RETURN_ADDRESS,
        None => calls::WITHOUT_FRAME,
    });
    varint::push(call.depth.bytes, out);
    if let Some(return_address) = call.return_address {
        varint::push(return_address.0, out);
    }
}

/// 0 is no address of code.
fn push_place(place: Option<CodeAddress>, site: Option<(u32, Position)>, out: &mut Vec<u8>) {
    let Some(place) = place else {
        out.push(0);
        return;
    };
    varint::push(place.address().0, out);
    match site {
        Some((name, position)) => {
            varint::push(u64::from(name) + 1, out);
            position.push(out);
        }
        None => out.push(0),
    }
}

/// Reads the next reason. `Ok(None)`: one of a kind that is not known, which is passed over; an
/// error: what stands there makes no sense.
pub(super) fn read(fields: &mut Fields<'_>) -> Result<Option<PlacedReason>, BlockProblem> {
    const MALFORMED: BlockProblem = BlockProblem::Malformed("reason");
    let kind = fields.byte().ok_or(MALFORMED)?;
    let body = fields.bytes().ok_or(MALFORMED)?;
    if !(kinds::PANIC..=kinds::PROCESS_SIGNAL).contains(&kind) {
        return Ok(None);
    }
    read_body(kind, &mut Fields::new(body))
        .map(Some)
        .ok_or(MALFORMED)
}

fn read_body(kind: u8, fields: &mut Fields<'_>) -> Option<PlacedReason> {
    let before = fields.number()?;
    let time = MonotonicTime {
        time_ns: fields.unsigned()?,
    };
    let pid = fields.number()?;
    let (place, named) = read_place(fields)?;
    let event = match kind {
        kinds::PANIC | kinds::RECOVERY | kinds::GOEXIT => Event::Reason {
            goroutine: Goroutine {
                pid,
                goid: fields.unsigned()?,
            },
            position: SequencePosition {
                sequence: fields.unsigned()?,
                tree: fields.number()?,
            },
            time,
            reason: match kind {
                kinds::PANIC => Reason::Panic(Panic {
                    depth: read_depth(fields)?,
                    origin: place,
                    call: read_call(fields)?,
                }),
                kinds::RECOVERY => Reason::Recovery { resumed: place },
                _ => Reason::Goexit,
            },
        },
        _ => Event::ProcessEnding {
            pid,
            time,
            ending: match kind {
                kinds::PROCESS_PANIC => ProcessEnding::Panic { origin: place },
                kinds::PROCESS_EXIT => ProcessEnding::Exit {
                    code: i32::try_from(fields.signed()?).ok()?,
                    call: place,
                },
                kinds::PROCESS_FATAL_ERROR => ProcessEnding::FatalError,
                _ => ProcessEnding::Signal {
                    number: fields.byte()?,
                },
            },
        },
    };
    Some(PlacedReason {
        before,
        event,
        named,
    })
}

fn read_call(fields: &mut Fields<'_>) -> Option<Option<PanickingCall>> {
    let kind = fields.byte()?;
    if kind == calls::UNKNOWN {
        return Some(None);
    }
    let depth = read_depth(fields)?;
    let return_address = match kind {
        calls::WITH_RETURN_ADDRESS => Some(VirtualAddress(fields.unsigned()?)),
        calls::WITHOUT_FRAME => None,
        _ => return None,
    };
    Some(Some(PanickingCall {
        depth,
        return_address,
    }))
}

fn read_depth(fields: &mut Fields<'_>) -> Option<FrameDepth> {
    Some(FrameDepth {
        bytes: fields.unsigned()?,
    })
}

fn read_place(fields: &mut Fields<'_>) -> Option<(Option<CodeAddress>, Option<NamedPlace>)> {
    let address = fields.unsigned()?;
    if address == 0 {
        return Some((None, None));
    }
    let name = fields.number::<u32>()?;
    let site = match name.checked_sub(1) {
        Some(name) => Some((name, Position::read(fields)?)),
        None => None,
    };
    let place = CodeAddress::new(VirtualAddress(address));
    let named = place.zip(site);
    Some((
        place,
        named.map(|(place, (name, position))| (place, name, position)),
    ))
}
