//! How the end of a promoted function's call will be seen, as an entry says it.

use super::varint::{self, Fields};
use crate::binary::VirtualAddress;
use crate::events::{EndProbe, FrameDepth, ObservedPlace};
use crate::plan::SiteId;

const OBSERVER: u8 = 1;
const NONE: u8 = 2;
/// The function has one RET, whose site number comes last.
const OBSERVER_AND_RETURN: u8 = 3;
const CALLERS_OBSERVER: u8 = 4;
const CALLERS_OBSERVER_AND_RETURN: u8 = 5;
const CALLERS_RETURN: u8 = 6;
const CALLERS_RETURN_AND_RETURN: u8 = 7;

/// Appends `end_probe`; nothing if it is a RET.
pub(super) fn push(end_probe: EndProbe, out: &mut Vec<u8>) {
    let (only_return, place) = match end_probe {
        EndProbe::Return => return,
        EndProbe::None => return out.push(NONE),
        EndProbe::Observer { only_return, place } => (only_return, place),
    };
    let (with, without, value) = match place {
        ObservedPlace::Own => (OBSERVER_AND_RETURN, OBSERVER, None),
        ObservedPlace::Caller(address) => (
            CALLERS_OBSERVER_AND_RETURN,
            CALLERS_OBSERVER,
            Some(address.0),
        ),
        ObservedPlace::CallersReturn(depth) => {
            (CALLERS_RETURN_AND_RETURN, CALLERS_RETURN, Some(depth.bytes))
        }
    };
    out.push(if only_return.is_some() { with } else { without });
    if let Some(value) = value {
        varint::push(value, out);
    }
    if let Some(site) = only_return {
        varint::push(site.0.into(), out);
    }
}

/// Reads what [`push`] wrote of what is no RET.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<EndProbe> {
    let code = fields.byte()?;
    let place = match code {
        NONE => return Some(EndProbe::None),
        OBSERVER | OBSERVER_AND_RETURN => ObservedPlace::Own,
        CALLERS_OBSERVER | CALLERS_OBSERVER_AND_RETURN => {
            ObservedPlace::Caller(VirtualAddress(fields.unsigned()?))
        }
        CALLERS_RETURN | CALLERS_RETURN_AND_RETURN => {
            let bytes = fields.unsigned()?;
            ObservedPlace::CallersReturn(FrameDepth { bytes })
        }
        _ => return None,
    };
    let has_return = matches!(
        code,
        OBSERVER_AND_RETURN | CALLERS_OBSERVER_AND_RETURN | CALLERS_RETURN_AND_RETURN
    );
    let only_return = if has_return {
        Some(SiteId(fields.number()?))
    } else {
        None
    };
    Some(EndProbe::Observer { only_return, place })
}
