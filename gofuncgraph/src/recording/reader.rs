use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

use super::definitions::Tables;
use super::error::{BlockProblem, RecordingError};
use super::events::BlockContext;
use super::format::{self, BlockHead, BlockKind, MAGIC, PREAMBLE_BYTES, VERSION};
use super::header::{LossCounters, RecordedEnd, RecordingHeader};
use super::header_json::HeaderJson;
use super::reasons::{self, PlacedReason};
use super::symbols::RecordedSymbols;
use super::varint::Fields;
use crate::events::{Event, EventSource, MonotonicTime};

/// How what could be read of a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// It is whole.
    Whole(RecordedEnd),
    /// It was cut: whoever recorded was killed, or the disk was full.
    Cut {
        /// The moment until which everything was read.
        time: MonotonicTime,
        /// Events that were read.
        events: u64,
        /// What was lost until then.
        losses: LossCounters,
    },
}

impl ReadEnd {
    /// When tracing was over, as far as the recording tells.
    pub fn time(&self) -> MonotonicTime {
        match self {
            Self::Whole(end) => end.time,
            Self::Cut { time, .. } => *time,
        }
    }

    /// What was lost while tracing.
    pub fn losses(&self) -> &LossCounters {
        match self {
            Self::Whole(end) => &end.losses,
            Self::Cut { losses, .. } => losses,
        }
    }

    /// Events that were read.
    pub fn events(&self) -> u64 {
        match self {
            Self::Whole(end) => end.events,
            Self::Cut { events, .. } => *events,
        }
    }
}

/// Reads a recording, a block at a time and without seeking.
///
/// Keeps memory for the definitions so far and for one block, both within the limits of the
/// format, whatever the bytes are. As an [`EventSource`] it gives the events of one block each
/// time, and 0 at the end.
pub struct RecordingReader<R> {
    source: R,
    header: RecordingHeader,
    tables: Rc<RefCell<Tables>>,
    stored: Vec<u8>,
    payload: Vec<u8>,
    blocks: u64,
    offset: u64,
    time: MonotonicTime,
    losses: LossCounters,
    /// Of the next block of events.
    reasons: Vec<PlacedReason>,
    events: u64,
    end: Option<ReadEnd>,
}

impl<R: Read> RecordingReader<R> {
    /// Reads the header. `source` is best buffered.
    ///
    /// # Errors
    /// Bytes that are no recording, of another version, or cut in the header; and the source's.
    pub fn new(mut source: R) -> Result<Self, RecordingError> {
        let mut preamble = [0; PREAMBLE_BYTES];
        let length = read_up_to(&mut source, &mut preamble)?;
        let known = length.min(MAGIC.len());
        if length == 0 || preamble.get(..known) != MAGIC.get(..known) {
            return Err(RecordingError::NotARecording);
        }
        if length < PREAMBLE_BYTES {
            return Err(RecordingError::NoHeader);
        }
        let found = u16::from_le_bytes([preamble[8], preamble[9]]);
        if found != VERSION {
            return Err(RecordingError::UnknownVersion {
                found,
                known: VERSION,
            });
        }
        let mut reader = Self {
            source,
            header: HeaderJson::default().into(),
            tables: Rc::default(),
            stored: Vec::new(),
            payload: Vec::new(),
            blocks: 0,
            offset: PREAMBLE_BYTES as u64,
            time: MonotonicTime::default(),
            losses: LossCounters::default(),
            reasons: Vec::new(),
            events: 0,
            end: None,
        };
        let head = reader.next_block()?.ok_or(RecordingError::NoHeader)?;
        if head.kind != BlockKind::Header {
            return Err(reader.damaged(&head, BlockProblem::Misplaced));
        }
        let header: HeaderJson = serde_json::from_slice(&reader.payload)
            .map_err(|_| reader.damaged(&head, BlockProblem::Malformed("header")))?;
        reader.header = header.into();
        reader.time = reader.header.clock.start;
        Ok(reader)
    }

    /// What the recording says of itself.
    pub fn header(&self) -> &RecordingHeader {
        &self.header
    }

    /// The names of what events refer to, as far as they were read; they come before the events.
    pub fn symbols(&self) -> RecordedSymbols {
        RecordedSymbols::new(Rc::clone(&self.tables))
    }

    /// How the recording ends; `None` before it was read to its end.
    pub fn end(&self) -> Option<&ReadEnd> {
        self.end.as_ref()
    }

    /// What was lost until the last event that was read.
    pub fn losses(&self) -> &LossCounters {
        &self.losses
    }

    /// The moment until which everything was read. For a recording that is damaged further on
    /// this is when what was read is over.
    pub fn time(&self) -> MonotonicTime {
        self.time
    }

    /// Hands the events of the next block that has any to `sink`, and gives their number: 0 at
    /// the end of the recording.
    ///
    /// # Errors
    /// Damage, and the source's. What was handed over until then is right.
    pub fn read_events(&mut self, sink: &mut dyn FnMut(Event)) -> Result<usize, RecordingError> {
        while self.end.is_none() {
            let Some(head) = self.next_block()? else {
                self.end = Some(ReadEnd::Cut {
                    time: self.time,
                    events: self.events,
                    losses: self.losses,
                });
                break;
            };
            let taken = match head.kind {
                BlockKind::Header => Err(BlockProblem::Misplaced),
                BlockKind::Definitions => self
                    .tables
                    .borrow_mut()
                    .read(&self.payload, head.records)
                    .map(|()| 0),
                BlockKind::Events => self.take_events(head.records, sink),
                BlockKind::End => self.take_end().map(|()| 0),
                BlockKind::Reasons => self.take_reasons(head.records).map(|()| 0),
                BlockKind::Unknown => Ok(0),
            };
            let taken = taken.map_err(|problem| self.damaged(&head, problem))?;
            if head.kind == BlockKind::End {
                self.expect_nothing_more()?;
            }
            if taken != 0 {
                return Ok(taken);
            }
        }
        Ok(0)
    }

    fn take_events(
        &mut self,
        count: u32,
        sink: &mut dyn FnMut(Event),
    ) -> Result<usize, BlockProblem> {
        let tables = self.tables.borrow();
        let mut fields = Fields::new(&self.payload);
        let mut context = BlockContext::default();
        let reasons = std::mem::take(&mut self.reasons);
        let mut reasons = reasons.iter().peekable();
        for index in 0..count {
            while let Some(reason) = reasons.next_if(|reason| reason.before <= index) {
                sink(reason.event);
            }
            let event = context
                .read(&mut fields, &*tables)
                .ok_or(BlockProblem::Malformed("event"))?;
            self.events += 1;
            self.time = self.time.max(event.time());
            sink(event);
        }
        for reason in reasons {
            sink(reason.event);
        }
        let (time, losses) =
            format::read_trailer(&mut fields).ok_or(BlockProblem::Malformed("trailer"))?;
        self.time = self.time.max(time);
        self.losses = losses;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn take_reasons(&mut self, count: u32) -> Result<(), BlockProblem> {
        let mut tables = self.tables.borrow_mut();
        let mut fields = Fields::new(&self.payload);
        self.reasons.clear();
        for _ in 0..count {
            let Some(reason) = reasons::read(&mut fields)? else {
                continue;
            };
            if let Some((place, name, position)) = reason.named {
                tables
                    .name_place(place.address(), name, position)
                    .ok_or(BlockProblem::Malformed("reason"))?;
            }
            self.reasons.push(reason);
        }
        Ok(())
    }

    fn take_end(&mut self) -> Result<(), BlockProblem> {
        let end = format::read_end(&self.payload).ok_or(BlockProblem::Malformed("end"))?;
        if end.events != self.events {
            return Err(BlockProblem::Malformed("number of events"));
        }
        self.losses = end.losses;
        self.end = Some(ReadEnd::Whole(end));
        Ok(())
    }

    /// Two recordings, one after the other, are not one; the second is not left out in silence.
    fn expect_nothing_more(&mut self) -> Result<(), RecordingError> {
        match read_up_to(&mut self.source, &mut [0])? {
            0 => Ok(()),
            _ => Err(RecordingError::Damaged {
                block: self.blocks,
                offset: self.offset,
                problem: BlockProblem::Misplaced,
            }),
        }
    }

    /// Reads a block and expands it; `None`: there is no whole one any more.
    fn next_block(&mut self) -> Result<Option<BlockHead>, RecordingError> {
        let mut bytes = [0; BlockHead::BYTES];
        if read_up_to(&mut self.source, &mut bytes)? < bytes.len() {
            return Ok(None);
        }
        let damaged = |problem| RecordingError::Damaged {
            block: self.blocks,
            offset: self.offset,
            problem,
        };
        let head = BlockHead::from_bytes(&bytes).map_err(damaged)?;
        self.stored.resize(head.stored_bytes, 0);
        if read_up_to(&mut self.source, &mut self.stored)? < head.stored_bytes {
            return Ok(None);
        }
        format::expand(&head, &mut self.stored, &mut self.payload).map_err(damaged)?;
        self.blocks += 1;
        self.offset += (BlockHead::BYTES + head.stored_bytes) as u64;
        Ok(Some(head))
    }

    /// The error about the block that was read last.
    fn damaged(&self, head: &BlockHead, problem: BlockProblem) -> RecordingError {
        let length = (BlockHead::BYTES + head.stored_bytes) as u64;
        RecordingError::Damaged {
            block: self.blocks.saturating_sub(1),
            offset: self.offset.saturating_sub(length),
            problem,
        }
    }
}

impl<R: Read> EventSource for RecordingReader<R> {
    type Error = RecordingError;

    fn drain(&mut self, sink: &mut dyn FnMut(Event)) -> Result<usize, RecordingError> {
        self.read_events(sink)
    }
}

/// Fills `bytes` as far as the source has any; gives how far.
fn read_up_to(source: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
