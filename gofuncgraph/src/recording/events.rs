//! How an event is written, given those before it in its block.
//!
//! Both sides keep the same [`BlockContext`]: what a goroutine did so far in the block foretells
//! most of what it does next, and only what is different is written.

use foldhash::HashMap;

use super::entry_kind::EntryKind;
use super::goroutine::{Frame, GoroutineContext, WORD_BYTES};
use super::varint::{self, Fields};
use crate::binary::{LoadBias, RuntimeAddress, VirtualAddress};
use crate::events::{
    CloseCause, Event, FrameDepth, Goroutine, GoroutineEvent, MonotonicTime, ProcessEnd,
    SequencePosition,
};
use crate::plan::{FunctionId, SiteId};

/// What an entry refers to, by its place among the definitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EntryReference {
    /// Callee and return address.
    pub(super) call: u32,
    /// Load bias.
    pub(super) image: u32,
}

/// What a call and an image that are defined stand for.
pub(super) trait Definitions {
    /// What is called, where it returns to, and the load bias.
    fn entry(&self, reference: EntryReference) -> Option<(FunctionId, RuntimeAddress, LoadBias)>;
    /// Whether the function is defined.
    fn has_function(&self, function: FunctionId) -> bool;
}

mod kinds {
    pub(super) const ENTRY: u8 = 0;
    pub(super) const RETURN: u8 = 1;
    pub(super) const CLOSE: u8 = 2;
    pub(super) const PROCESS_ENDED: u8 = 3;
    pub(super) const LOSS_NOTICED: u8 = 4;
    pub(super) const OBSERVED: u8 = 5;
    /// An entry with a byte behind it that tells how its end will be seen, and whether it was open
    /// already.
    pub(super) const PROMOTED_ENTRY: u8 = 6;
    pub(super) const CHECKED: u8 = 7;
    pub(super) const MASK: u8 = 7;
}

/// The goroutine is that of the event before.
const SAME_GOROUTINE: u8 = 1 << 3;
/// Sequence and tree are as foretold.
const POSITION_FORETOLD: u8 = 1 << 4;
/// Starts or ends a tree; or the process runs another image; or the goroutine has ended.
const MARK: u8 = 1 << 5;
/// Function and depth are as foretold.
const FRAME_FORETOLD: u8 = 1 << 6;
/// The RET, the image, or the return address is as foretold.
const PLACE_FORETOLD: u8 = 1 << 7;

/// What is known after the events of a block so far.
#[derive(Debug, Default)]
pub(super) struct BlockContext {
    time_ns: u64,
    goroutines: Vec<GoroutineContext>,
    /// Only while writing.
    indices: HashMap<Goroutine, usize>,
    current: usize,
    image: u32,
    /// Of a call, in bytes from the frame around it.
    frame_bytes: HashMap<u32, u64>,
    last_sites: HashMap<FunctionId, SiteId>,
}

impl BlockContext {
    /// Appends `event`. If it is an entry, its call and image are `reference`.
    pub(super) fn push(&mut self, event: &Event, reference: EntryReference, out: &mut Vec<u8>) {
        match *event {
            Event::Goroutine {
                goroutine,
                position,
                time,
                kind,
            } => self.push_goroutine_event(goroutine, position, time, kind, reference, out),
            Event::ProcessEnded { pid, time, cause } => {
                let mark = if cause == ProcessEnd::Executed {
                    MARK
                } else {
                    0
                };
                out.push(kinds::PROCESS_ENDED | mark);
                self.push_time(time, out);
                varint::push(pid.into(), out);
            }
            // They stand in a block of their own.
            Event::Reason { .. } | Event::ProcessEnding { .. } => {}
            Event::LossNoticed {
                goroutine,
                position,
                time,
                goroutine_ended,
            } => {
                let mark = if goroutine_ended { MARK } else { 0 };
                out.push(kinds::LOSS_NOTICED | mark);
                self.push_time(time, out);
                varint::push(goroutine.pid.into(), out);
                varint::push(goroutine.goid, out);
                varint::push(position.sequence, out);
                varint::push(position.tree.into(), out);
            }
        }
    }

    fn push_time(&mut self, time: MonotonicTime, out: &mut Vec<u8>) {
        let difference = time.time_ns.wrapping_sub(self.time_ns).cast_signed();
        varint::push_signed(difference, out);
        self.time_ns = time.time_ns;
    }

    fn push_goroutine_event(
        &mut self,
        goroutine: Goroutine,
        position: SequencePosition,
        time: MonotonicTime,
        kind: GoroutineEvent,
        reference: EntryReference,
        out: &mut Vec<u8>,
    ) {
        let tag_at = out.len();
        out.push(0);
        let mut tag = 0;
        let is_first = self.goroutines.is_empty();
        let index = match self.goroutines.get(self.current) {
            Some(current) if current.goroutine == goroutine => self.current,
            _ => *(self.indices.entry(goroutine)).or_insert(self.goroutines.len()),
        };
        if index == self.current && !is_first {
            tag |= SAME_GOROUTINE;
        } else {
            varint::push(index as u64, out);
            if index == self.goroutines.len() {
                varint::push(goroutine.pid.into(), out);
                varint::push(goroutine.goid, out);
                let context = GoroutineContext::new(goroutine, self.image);
                self.goroutines.push(context);
            }
        }
        self.current = index;
        self.push_time(time, out);
        let Some(context) = self.goroutines.get_mut(index) else {
            return;
        };
        if position.sequence == context.next_sequence && position.tree == context.tree {
            tag |= POSITION_FORETOLD;
        } else {
            let difference = position.sequence.wrapping_sub(context.next_sequence);
            varint::push_signed(difference.cast_signed(), out);
            varint::push(position.tree.into(), out);
        }
        let mut ended_tree = false;
        match kind {
            GoroutineEvent::Entry {
                function,
                depth,
                starts_tree,
                end_probe,
                return_address,
                load_bias,
                is_already_open,
            } => {
                tag |= if starts_tree { MARK } else { 0 };
                let entry = EntryKind {
                    end_probe,
                    is_already_open,
                };
                tag |= if entry == EntryKind::default() {
                    kinds::ENTRY
                } else {
                    entry.push(out);
                    kinds::PROMOTED_ENTRY
                };
                let EntryReference { call, image } = reference;
                varint::push(call.into(), out);
                let bytes = depth.bytes.wrapping_sub(context.top_depth());
                if self.frame_bytes.insert(call, bytes) == Some(bytes) {
                    tag |= FRAME_FORETOLD;
                } else {
                    varint::push_signed(bytes.cast_signed(), out);
                }
                if context.image == image {
                    tag |= PLACE_FORETOLD;
                } else {
                    varint::push(image.into(), out);
                }
                (context.image, self.image) = (image, image);
                context.leave(|open| open >= depth.bytes);
                context.frames.push(Frame {
                    depth: depth.bytes,
                    function,
                    return_address: return_address.to_virtual(load_bias),
                });
            }
            GoroutineEvent::Observed {
                depth,
                return_address,
                ends_tree,
            } => {
                tag |= kinds::OBSERVED | if ends_tree { MARK } else { 0 };
                let top = context.frames.last();
                if top.is_some_and(|top| top.depth.wrapping_sub(WORD_BYTES) == depth.bytes) {
                    tag |= FRAME_FORETOLD;
                } else {
                    let bytes = depth.bytes.wrapping_sub(context.top_depth());
                    varint::push_signed(bytes.cast_signed(), out);
                }
                if top.is_some_and(|top| top.return_address == return_address) {
                    tag |= PLACE_FORETOLD;
                } else {
                    varint::push(return_address.0, out);
                }
                context.leave(|open| open > depth.bytes);
                ended_tree = ends_tree;
            }
            GoroutineEvent::Checked { function, depth } => {
                tag |= kinds::CHECKED;
                varint::push(function.0.into(), out);
                let bytes = depth.bytes.wrapping_sub(context.top_depth());
                varint::push_signed(bytes.cast_signed(), out);
            }
            GoroutineEvent::Return {
                function,
                site,
                depth,
                ends_tree,
            } => {
                tag |= kinds::RETURN | if ends_tree { MARK } else { 0 };
                let top = context.frames.last();
                if top.is_some_and(|top| top.depth == depth.bytes && top.function == function) {
                    tag |= FRAME_FORETOLD;
                } else {
                    varint::push(function.0.into(), out);
                    let bytes = depth.bytes.wrapping_sub(context.top_depth());
                    varint::push_signed(bytes.cast_signed(), out);
                }
                if self.last_sites.insert(function, site) == Some(site) {
                    tag |= PLACE_FORETOLD;
                } else {
                    varint::push(site.0.into(), out);
                }
                context.leave(|open| open >= depth.bytes);
                ended_tree = ends_tree;
            }
            GoroutineEvent::Close {
                depth,
                cause,
                ends_tree,
            } => {
                tag |= kinds::CLOSE | if ends_tree { MARK } else { 0 };
                out.push(match cause {
                    CloseCause::Recovered => 1,
                    CloseCause::GoroutineExit => 2,
                    CloseCause::Superseded => 3,
                    CloseCause::ReturnedUnobserved => 4,
                    CloseCause::SignalPanic => 5,
                });
                let bytes = depth.bytes.wrapping_sub(context.top_depth());
                varint::push_signed(bytes.cast_signed(), out);
                context.leave(|open| open > depth.bytes);
                ended_tree = ends_tree;
            }
        }
        context.advance(position, u64::from(kind.has_number()), ended_tree);
        if let Some(place) = out.get_mut(tag_at) {
            *place = tag;
        }
    }

    /// Reads the next event. `None`: what stands there makes no sense.
    pub(super) fn read(
        &mut self,
        fields: &mut Fields<'_>,
        definitions: &impl Definitions,
    ) -> Option<Event> {
        let tag = fields.byte()?;
        let is_marked = tag & MARK != 0;
        match tag & kinds::MASK {
            kinds::PROCESS_ENDED => Some(Event::ProcessEnded {
                time: self.read_time(fields)?,
                pid: fields.number()?,
                cause: if is_marked {
                    ProcessEnd::Executed
                } else {
                    ProcessEnd::Exited
                },
            }),
            kinds::LOSS_NOTICED => Some(Event::LossNoticed {
                time: self.read_time(fields)?,
                goroutine: read_goroutine(fields)?,
                position: SequencePosition {
                    sequence: fields.unsigned()?,
                    tree: fields.number()?,
                },
                goroutine_ended: is_marked,
            }),
            kind => self.read_goroutine_event(tag, kind, fields, definitions),
        }
    }

    fn read_time(&mut self, fields: &mut Fields<'_>) -> Option<MonotonicTime> {
        let difference = fields.signed()?.cast_unsigned();
        self.time_ns = self.time_ns.wrapping_add(difference);
        Some(MonotonicTime {
            time_ns: self.time_ns,
        })
    }

    fn read_goroutine_event(
        &mut self,
        tag: u8,
        kind: u8,
        fields: &mut Fields<'_>,
        definitions: &impl Definitions,
    ) -> Option<Event> {
        let is_marked = tag & MARK != 0;
        if tag & SAME_GOROUTINE == 0 {
            self.current = fields.number()?;
            if self.current == self.goroutines.len() {
                let goroutine = read_goroutine(fields)?;
                let context = GoroutineContext::new(goroutine, self.image);
                self.goroutines.push(context);
            }
        }
        let time = self.read_time(fields)?;
        let context = self.goroutines.get_mut(self.current)?;
        let position = if tag & POSITION_FORETOLD != 0 {
            SequencePosition {
                sequence: context.next_sequence,
                tree: context.tree,
            }
        } else {
            let difference = fields.signed()?.cast_unsigned();
            SequencePosition {
                sequence: context.next_sequence.wrapping_add(difference),
                tree: fields.number()?,
            }
        };
        let top_depth = context.top_depth();
        let read_depth = |fields: &mut Fields<'_>| {
            let difference = fields.signed()?.cast_unsigned();
            Some(top_depth.wrapping_add(difference))
        };
        let mut ended_tree = false;
        let kind = match kind {
            kinds::ENTRY | kinds::PROMOTED_ENTRY => {
                let entry = match kind {
                    kinds::ENTRY => EntryKind::default(),
                    _ => EntryKind::read(fields)?,
                };
                let call = fields.number()?;
                let frame_bytes = if tag & FRAME_FORETOLD != 0 {
                    *self.frame_bytes.get(&call)?
                } else {
                    fields.signed()?.cast_unsigned()
                };
                self.frame_bytes.insert(call, frame_bytes);
                let bytes = top_depth.wrapping_add(frame_bytes);
                if tag & PLACE_FORETOLD == 0 {
                    context.image = fields.number()?;
                }
                self.image = context.image;
                context.leave(|open| open >= bytes);
                let (function, return_address, load_bias) = definitions.entry(EntryReference {
                    call,
                    image: context.image,
                })?;
                context.frames.push(Frame {
                    depth: bytes,
                    function,
                    return_address: return_address.to_virtual(load_bias),
                });
                GoroutineEvent::Entry {
                    function,
                    depth: FrameDepth { bytes },
                    return_address,
                    load_bias,
                    starts_tree: is_marked,
                    end_probe: entry.end_probe,
                    is_already_open: entry.is_already_open,
                }
            }
            kinds::OBSERVED => {
                let top = context.frames.last().copied();
                let bytes = if tag & FRAME_FORETOLD != 0 {
                    top?.depth.wrapping_sub(WORD_BYTES)
                } else {
                    read_depth(fields)?
                };
                let return_address = if tag & PLACE_FORETOLD != 0 {
                    top?.return_address
                } else {
                    VirtualAddress(fields.unsigned()?)
                };
                context.leave(|open| open > bytes);
                ended_tree = is_marked;
                GoroutineEvent::Observed {
                    depth: FrameDepth { bytes },
                    return_address,
                    ends_tree: is_marked,
                }
            }
            kinds::CHECKED => {
                let function = FunctionId(fields.number()?);
                definitions.has_function(function).then_some(())?;
                GoroutineEvent::Checked {
                    function,
                    depth: FrameDepth {
                        bytes: read_depth(fields)?,
                    },
                }
            }
            kinds::RETURN => {
                let (function, bytes) = if tag & FRAME_FORETOLD != 0 {
                    let top = context.frames.last()?;
                    (top.function, top.depth)
                } else {
                    (FunctionId(fields.number()?), read_depth(fields)?)
                };
                definitions.has_function(function).then_some(())?;
                let site = if tag & PLACE_FORETOLD != 0 {
                    *self.last_sites.get(&function)?
                } else {
                    SiteId(fields.number()?)
                };
                self.last_sites.insert(function, site);
                context.leave(|open| open >= bytes);
                ended_tree = is_marked;
                GoroutineEvent::Return {
                    function,
                    site,
                    depth: FrameDepth { bytes },
                    ends_tree: is_marked,
                }
            }
            kinds::CLOSE => {
                let cause = match fields.byte()? {
                    1 => CloseCause::Recovered,
                    2 => CloseCause::GoroutineExit,
                    3 => CloseCause::Superseded,
                    4 => CloseCause::ReturnedUnobserved,
                    5 => CloseCause::SignalPanic,
                    _ => return None,
                };
                let bytes = read_depth(fields)?;
                context.leave(|open| open > bytes);
                ended_tree = is_marked;
                GoroutineEvent::Close {
                    depth: FrameDepth { bytes },
                    cause,
                    ends_tree: is_marked,
                }
            }
            _ => return None,
        };
        context.advance(position, u64::from(kind.has_number()), ended_tree);
        Some(Event::Goroutine {
            goroutine: context.goroutine,
            position,
            time,
            kind,
        })
    }
}

fn read_goroutine(fields: &mut Fields<'_>) -> Option<Goroutine> {
    Some(Goroutine {
        pid: fields.number()?,
        goid: fields.unsigned()?,
    })
}
