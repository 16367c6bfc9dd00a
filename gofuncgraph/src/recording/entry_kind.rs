//! What an entry says of its call beside what is called and from where.

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
const ALREADY_OPEN: u8 = 8;
const ALREADY_OPEN_AND_NONE: u8 = 9;

/// How a call began, and how its end will be seen. By default it began now and ends at a RET: of
/// that nothing is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EntryKind {
    pub(super) end_probe: EndProbe,
    /// The call was open when tracing began; then there is no observer.
    pub(super) is_already_open: bool,
}

impl EntryKind {
    /// Appends what is no default.
    pub(super) fn push(self, out: &mut Vec<u8>) {
        if self.is_already_open {
            out.push(match self.end_probe {
                EndProbe::Return => ALREADY_OPEN,
                EndProbe::None | EndProbe::Observer { .. } => ALREADY_OPEN_AND_NONE,
            });
            return;
        }
        let (only_return, place) = match self.end_probe {
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

    /// Reads what [`EntryKind::push`] wrote of what is no default.
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let code = fields.byte()?;
        let of = |end_probe, is_already_open| {
            Some(Self {
                end_probe,
                is_already_open,
            })
        };
        let place = match code {
            NONE => return of(EndProbe::None, false),
            ALREADY_OPEN => return of(EndProbe::Return, true),
            ALREADY_OPEN_AND_NONE => return of(EndProbe::None, true),
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
        of(EndProbe::Observer { only_return, place }, false)
    }
}
