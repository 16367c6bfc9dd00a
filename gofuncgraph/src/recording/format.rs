//! What stands in a file: `docs/FORMAT.md`. Serialised types are apart from those that the rest
//! of the program works with, because what is serialised is frozen.

use super::error::BlockProblem;
use super::header::{EndReason, LossCounters, RecordedEnd};
use super::varint::{self, Fields};
use crate::events::MonotonicTime;
use crate::kernel::{HitCounts, KernelCounters, PerKind};

/// First bytes of a recording. The first is no text, the last is changed by what mangles line
/// ends.
pub(super) const MAGIC: [u8; 8] = *b"\x93gfgrec\n";

/// See [`super::FORMAT_VERSION`].
pub(super) const VERSION: u16 = 1;

/// Length of the magic, the version and two bytes that are zero.
pub(super) const PREAMBLE_BYTES: usize = 12;

/// A block is no longer than this when expanded.
pub(super) const MAX_BLOCK_BYTES: usize = 4 << 20;

/// Records that a block holds at most.
pub(super) const MAX_BLOCK_RECORDS: u32 = 1 << 16;

/// Definitions of each kind that there can be at once: the kernel attaches no more than 2^20
/// probes at a time, of each of two kinds.
pub(super) const MAX_FUNCTIONS: usize = 1 << 20;
pub(super) const MAX_RETURN_SITES: usize = 1 << 20;
pub(super) const MAX_TEXTS: usize = 1 << 20;
/// When there are so many, all calls are forgotten.
pub(super) const MAX_CALLS: usize = 1 << 19;
/// When there are so many, all images are forgotten.
pub(super) const MAX_IMAGES: usize = 1 << 16;
/// Bytes of all texts together.
pub(super) const MAX_TEXT_BYTES: usize = 128 << 20;
/// Of one text; what is longer is cut when it is written.
pub(super) const MAX_TEXT_LENGTH: usize = 64 << 10;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockKind {
    Header,
    Definitions,
    Events,
    End,
    Reasons,
    /// Of a later revision; it is skipped.
    Unknown,
}

impl BlockKind {
    fn to_byte(self) -> u8 {
        match self {
            Self::Header => 1,
            Self::Definitions => 2,
            Self::Events => 3,
            Self::End => 4,
            Self::Reasons => 5,
            Self::Unknown => 0,
        }
    }

    fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Header,
            2 => Self::Definitions,
            3 => Self::Events,
            4 => Self::End,
            5 => Self::Reasons,
            _ => Self::Unknown,
        }
    }
}

/// The fixed part that every block begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockHead {
    pub(super) kind: BlockKind,
    pub(super) is_compressed: bool,
    pub(super) records: u32,
    /// When expanded.
    pub(super) bytes: usize,
    /// In the file.
    pub(super) stored_bytes: usize,
    /// CRC-32 of the bytes in the file.
    pub(super) checksum: u32,
}

const FLAG_COMPRESSED: u8 = 1;

impl BlockHead {
    /// Length of a head in the file.
    pub(super) const BYTES: usize = 24;

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut head = [0; Self::BYTES];
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let flags = if self.is_compressed {
            FLAG_COMPRESSED
        } else {
            0
        };
        head[..4].copy_from_slice(&[self.kind.to_byte(), flags, 0, 0]);
        let fields = [
            self.records,
            number(self.bytes),
            number(self.stored_bytes),
            self.checksum,
        ];
        for (place, field) in head[4..].chunks_exact_mut(4).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        let checksum = crc32fast::hash(&head[..20]);
        head[20..].copy_from_slice(&checksum.to_le_bytes());
        head
    }

    /// Reads a head, and refuses what is beyond the limits.
    pub(super) fn from_bytes(head: &[u8; Self::BYTES]) -> Result<Self, BlockProblem> {
        let word = |index: usize| {
            let bytes = head.get(index..index + 4).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        if word(20) != crc32fast::hash(&head[..20]) {
            return Err(BlockProblem::HeadChecksum);
        }
        let [kind, flags, ..] = *head;
        let length = |index| usize::try_from(word(index)).unwrap_or(usize::MAX);
        let head = Self {
            kind: BlockKind::from_byte(kind),
            is_compressed: flags & FLAG_COMPRESSED != 0,
            records: word(4),
            bytes: length(8),
            stored_bytes: length(12),
            checksum: word(16),
        };
        // What does not shrink is stored as it is.
        let fits = head.bytes <= MAX_BLOCK_BYTES
            && head.stored_bytes <= head.bytes
            && head.records <= MAX_BLOCK_RECORDS;
        fits.then_some(head).ok_or(BlockProblem::TooLarge)
    }
}

/// Appends the magic and the version.
pub(super) fn push_preamble(out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
}

/// Appends a block of `payload`, compressed if that makes it shorter.
pub(super) fn push_block(kind: BlockKind, records: u32, payload: &[u8], out: &mut Vec<u8>) {
    let compressed = lz4_flex::block::compress(payload);
    let is_compressed = compressed.len() < payload.len();
    let stored = if is_compressed { &compressed } else { payload };
    let head = BlockHead {
        kind,
        is_compressed,
        records,
        bytes: payload.len(),
        stored_bytes: stored.len(),
        checksum: crc32fast::hash(stored),
    };
    out.extend_from_slice(&head.to_bytes());
    out.extend_from_slice(stored);
}

/// Expands what is stored of a block into `payload`.
pub(super) fn expand(
    head: &BlockHead,
    stored: &mut Vec<u8>,
    payload: &mut Vec<u8>,
) -> Result<(), BlockProblem> {
    if crc32fast::hash(stored) != head.checksum {
        return Err(BlockProblem::Checksum);
    }
    if !head.is_compressed {
        if stored.len() != head.bytes {
            return Err(BlockProblem::Compression);
        }
        std::mem::swap(stored, payload);
        return Ok(());
    }
    payload.resize(head.bytes, 0);
    match lz4_flex::block::decompress_into(stored, payload) {
        Ok(length) if length == head.bytes => Ok(()),
        _ => Err(BlockProblem::Compression),
    }
}

/// Appends what ends every block of events: the moment until which it tells everything, and
/// what was lost until then.
pub(super) fn push_trailer(time: MonotonicTime, losses: &LossCounters, out: &mut Vec<u8>) {
    varint::push(time.time_ns, out);
    let counters = counters_of(losses);
    varint::push(counters.len() as u64, out);
    for counter in counters {
        varint::push(counter, out);
    }
}

/// Reads it. Counters that this version does not know are left out.
pub(super) fn read_trailer(fields: &mut Fields<'_>) -> Option<(MonotonicTime, LossCounters)> {
    let time_ns = fields.unsigned()?;
    let count = fields.number::<usize>()?;
    let mut counters = [0; COUNTERS];
    for index in 0..count {
        let counter = fields.unsigned()?;
        if let Some(known) = counters.get_mut(index) {
            *known = counter;
        }
    }
    Some((MonotonicTime { time_ns }, losses_of(counters)))
}

const COUNTERS: usize = 20;

fn counters_of(losses: &LossCounters) -> [u64; COUNTERS] {
    let kernel = &losses.kernel;
    let inside = &losses.hits.inside;
    let outside = &losses.hits.outside;
    [
        kernel.entries_lost,
        kernel.returns_lost,
        kernel.closes_lost,
        kernel.process_records_lost,
        kernel.trees_refused,
        kernel.returns_without_tree,
        kernel.off_goroutine_stack,
        kernel.unreadable,
        kernel.goroutine_check_failed,
        losses.unknown_records,
        losses.malformed_records,
        kernel.observations_lost,
        inside.entries,
        inside.stepped_entries,
        inside.returns,
        inside.observers,
        outside.entries,
        outside.stepped_entries,
        outside.returns,
        outside.observers,
    ]
}

fn losses_of(counters: [u64; COUNTERS]) -> LossCounters {
    let [
        entries_lost,
        returns_lost,
        closes_lost,
        process_records_lost,
        trees_refused,
        returns_without_tree,
        off_goroutine_stack,
        unreadable,
        goroutine_check_failed,
        unknown_records,
        malformed_records,
        observations_lost,
        inside @ ..,
        outside_entries,
        outside_stepped_entries,
        outside_returns,
        outside_observers,
    ] = counters;
    LossCounters {
        hits: HitCounts {
            inside: PerKind::from_array(inside),
            outside: PerKind {
                entries: outside_entries,
                stepped_entries: outside_stepped_entries,
                returns: outside_returns,
                observers: outside_observers,
            },
        },
        kernel: KernelCounters {
            entries_lost,
            returns_lost,
            closes_lost,
            process_records_lost,
            trees_refused,
            returns_without_tree,
            off_goroutine_stack,
            unreadable,
            goroutine_check_failed,
            observations_lost,
        },
        unknown_records,
        malformed_records,
    }
}

/// Appends the payload of the last block.
pub(super) fn push_end(end: &RecordedEnd, out: &mut Vec<u8>) {
    out.push(match end.reason {
        EndReason::Interrupted => 1,
        EndReason::DurationOver => 2,
        EndReason::CountReached => 3,
        EndReason::OutputEnded => 4,
        EndReason::Failed => 5,
        EndReason::ProcessesEnded => 6,
        EndReason::Other => 0,
    });
    varint::push(end.events, out);
    push_trailer(end.time, &end.losses, out);
}

/// Reads the payload of the last block.
pub(super) fn read_end(payload: &[u8]) -> Option<RecordedEnd> {
    let mut fields = Fields::new(payload);
    let reason = match fields.byte()? {
        1 => EndReason::Interrupted,
        2 => EndReason::DurationOver,
        3 => EndReason::CountReached,
        4 => EndReason::OutputEnded,
        5 => EndReason::Failed,
        6 => EndReason::ProcessesEnded,
        _ => EndReason::Other,
    };
    let events = fields.unsigned()?;
    let (time, losses) = read_trailer(&mut fields)?;
    Some(RecordedEnd {
        reason,
        time,
        events,
        losses,
    })
}
