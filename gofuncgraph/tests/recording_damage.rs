//! Recordings that were cut, damaged or made to do harm: what can be read is read, the rest is an
//! error; never a panic, never more memory than the format allows.

#[path = "support/gate_simulator.rs"]
mod gate_simulator;
#[path = "support/golden.rs"]
mod golden;
#[path = "support/recordings.rs"]
mod recordings;

use gofuncgraph::events::{Event, MonotonicTime};
use gofuncgraph::recording::{
    BlockProblem, FORMAT_VERSION, LossCounters, ReadEnd, RecordingError, RecordingReader,
};
use golden::{ELSEWHERE, FIRST, SECOND, plain_tree, program};
use proptest::prelude::*;
use recordings::{end, losses, read, record, writer};

const PREAMBLE_BYTES: usize = 12;
const HEAD_BYTES: usize = 24;

/// What has no events in its blocks must not be taken for the end.
fn small_recording() -> (Vec<Event>, Vec<u8>, MonotonicTime) {
    let mut program = program();
    plain_tree(&mut program, FIRST);
    plain_tree(&mut program, SECOND);
    plain_tree(&mut program, ELSEWHERE);
    let mut writer = writer();
    let mut bytes = Vec::new();
    let mut now = program.now;
    for events in program.events.chunks(5) {
        for event in events {
            writer.handle(event);
        }
        now.time_ns += 1_000_000_000;
        writer.tick(now, &losses());
        bytes.extend(writer.take_output().0);
    }
    writer.finish(&end(now));
    bytes.extend(writer.take_output().0);
    (program.events, bytes, now)
}

/// Where blocks begin, the end of the last included, and how many events stand before.
fn block_ends(bytes: &[u8]) -> Vec<usize> {
    let mut at = PREAMBLE_BYTES;
    let mut ends = vec![at];
    while at < bytes.len() {
        let length = bytes[at + 12..at + 16].try_into().expect("four bytes");
        at += HEAD_BYTES + u32::from_le_bytes(length) as usize;
        ends.push(at);
    }
    assert_eq!(at, bytes.len());
    ends
}

#[test]
fn a_recording_that_was_cut_anywhere_is_read_up_to_its_last_whole_block() {
    let (events, bytes, _) = small_recording();
    let ends = block_ends(&bytes);
    let mut last = (0, 0);
    for length in 0..bytes.len() {
        let (read_events, read_end) = read(&bytes[..length]);
        assert_eq!(read_events, events[..read_events.len()], "{length} bytes");
        let whole = ends.partition_point(|end| *end <= length);
        if whole < 2 {
            let expected = match length {
                0 => matches!(read_end, Err(RecordingError::NotARecording)),
                _ => matches!(read_end, Err(RecordingError::NoHeader)),
            };
            assert!(expected, "{length} bytes: {read_end:?}");
            continue;
        }
        let Ok(ReadEnd::Cut {
            events,
            losses: lost,
            time,
        }) = read_end
        else {
            panic!("{length} bytes: {read_end:?}");
        };
        assert_eq!(events, read_events.len() as u64);
        if events != 0 {
            assert_eq!(lost, losses());
            assert!(read_events.iter().all(|event| event.time() <= time));
        } else {
            assert_eq!(lost, LossCounters::default());
        }
        // Only a whole block more gives more events.
        assert!(whole > last.0 || read_events.len() == last.1);
        last = (whole, read_events.len());
    }
    assert_eq!(last.1, events.len(), "only the end is missing at last");
    assert!(matches!(read(&bytes), (read, Ok(ReadEnd::Whole(_))) if read == events));
}

#[test]
fn every_changed_byte_is_noticed() {
    let (events, bytes, _) = small_recording();
    for at in 0..bytes.len() {
        for change in [1, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= change;
            let (read_events, read_end) = read(&damaged);
            assert_eq!(read_events, events[..read_events.len()], "byte {at}");
            match (at, read_end) {
                (0..8, Err(RecordingError::NotARecording)) => {}
                (8..10, Err(RecordingError::UnknownVersion { known, .. })) => {
                    assert_eq!(known, FORMAT_VERSION);
                }
                // Two bytes that mean nothing yet.
                (10..12, Ok(ReadEnd::Whole(_))) => {}
                (12.., Err(RecordingError::Damaged { offset, .. })) => {
                    assert!(usize::try_from(offset).expect("it is small") <= at);
                }
                (_, other) => panic!("byte {at}: {other:?}"),
            }
        }
    }
}

#[test]
fn what_is_no_recording_is_said_so() {
    for bytes in [
        &b"\x7fELF and more"[..],
        b"text\n",
        b"\x93gfgrec\r\n....",
        &[0; 100],
    ] {
        let (_, end) = read(bytes);
        assert!(matches!(end, Err(RecordingError::NotARecording)), "{end:?}");
    }
    let mut newer = record(&[], MonotonicTime::default());
    newer[8] = 77;
    let message = read(&newer).1.expect_err("it is newer").to_string();
    assert!(message.contains("version 77"), "{message}");
    assert!(
        message.contains(&format!("reads version {FORMAT_VERSION}")),
        "{message}"
    );
}

/// A block whose checksums are right.
fn block(kind: u8, flags: u8, records: u32, bytes: u32, stored: &[u8]) -> Vec<u8> {
    let mut head = vec![kind, flags, 0, 0];
    head.extend(records.to_le_bytes());
    head.extend(bytes.to_le_bytes());
    head.extend((stored.len() as u32).to_le_bytes());
    head.extend(crc32fast::hash(stored).to_le_bytes());
    head.extend(crc32fast::hash(&head).to_le_bytes());
    [&head[..], stored].concat()
}

fn plain(kind: u8, records: u32, payload: &[u8]) -> Vec<u8> {
    block(kind, 0, records, payload.len() as u32, payload)
}

/// Magic, version and header of a recording.
fn beginning() -> Vec<u8> {
    let bytes = record(&[], MonotonicTime::default());
    bytes[..block_ends(&bytes)[1]].to_vec()
}

fn problem(blocks: &[Vec<u8>]) -> BlockProblem {
    let bytes = [beginning(), blocks.concat()].concat();
    match read(&bytes).1 {
        Err(RecordingError::Damaged { problem, block, .. }) => {
            assert_eq!(block, blocks.len() as u64);
            problem
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn blocks_beyond_the_limits_are_refused_before_room_is_made() {
    let large = (4 << 20) + 1;
    assert_eq!(
        problem(&[block(3, 1, 1, large, b"")]),
        BlockProblem::TooLarge
    );
    assert_eq!(
        problem(&[block(3, 1, 65_537, 9, b"")]),
        BlockProblem::TooLarge
    );
    assert_eq!(
        problem(&[block(3, 0, 1, 3, b"four")]),
        BlockProblem::TooLarge
    );
    assert_eq!(
        problem(&[block(3, 0, 1, 5, b"four")]),
        BlockProblem::Compression
    );
    // All zeros, as a copy of the byte before, a thousand times as long as it may be.
    let bomb = [&[0x1f, 0, 1, 0][..], &[0xff; 20_000]].concat();
    assert_eq!(
        problem(&[block(3, 1, 1, 4 << 20, &bomb)]),
        BlockProblem::Compression
    );
}

#[test]
fn definitions_beyond_the_limits_are_refused() {
    let text = |letters: usize| {
        let mut text = vec![1];
        let mut rest = letters;
        while rest >= 0x80 {
            text.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        text.push(rest as u8);
        text.extend(vec![b'a'; letters]);
        text
    };
    let longest = text(64 << 10);
    assert_eq!(
        problem(&vec![plain(2, 32, &longest.repeat(32)); 65]),
        BlockProblem::TooManyDefinitions("bytes of text")
    );
    assert_eq!(
        problem(&[plain(2, 1, &text((64 << 10) + 1))]),
        BlockProblem::TooManyDefinitions("bytes in a text")
    );
    let short = plain(2, 1 << 16, &text(0).repeat(1 << 16));
    assert_eq!(
        problem(&vec![short; 17]),
        BlockProblem::TooManyDefinitions("texts")
    );
    let images = plain(2, 1 << 16, &[5, 0].repeat(1 << 16));
    assert_eq!(
        problem(&[images, plain(2, 1, &[5, 0])]),
        BlockProblem::TooManyDefinitions("images")
    );
}

#[test]
fn nothing_refers_to_what_is_not_defined() {
    let malformed = |payload: &[u8]| {
        let kind = if payload[0] == 0xff { 3 } else { 2 };
        let payload = if kind == 3 { &payload[1..] } else { payload };
        match problem(&[plain(kind, 1, payload)]) {
            BlockProblem::Malformed(_) => {}
            other => panic!("{payload:?}: {other:?}"),
        }
    };
    // Function without its name; call of no function; RET in no file; an unknown definition.
    malformed(&[2, 0, 0, 0]);
    malformed(&[4, 0, 0, 0]);
    malformed(&[3, 0, 0, 1, 7]);
    malformed(&[99]);
    // Entry of no call, on no goroutine; return of no function; an unknown event; nothing.
    malformed(&[0xff, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
    malformed(&[0xff, 8 | 16, 0, 0, 0]);
    malformed(&[0xff, 1, 0, 1, 1, 0, 0, 0, 0, 0]);
    malformed(&[0xff, 7, 0, 1, 1, 0]);
    malformed(&[0xff]);
}

#[test]
fn blocks_in_the_wrong_order_are_refused() {
    let bytes = record(&[], MonotonicTime::default());
    let header = bytes[PREAMBLE_BYTES..block_ends(&bytes)[1]].to_vec();
    assert_eq!(problem(&[header]), BlockProblem::Misplaced);
    let without = [&bytes[..PREAMBLE_BYTES], &plain(2, 0, b"")].concat();
    assert!(matches!(
        read(&without).1,
        Err(RecordingError::Damaged {
            block: 0,
            problem: BlockProblem::Misplaced,
            ..
        })
    ));
}

#[test]
fn blocks_of_a_later_revision_are_skipped() {
    let (events, bytes, _) = small_recording();
    let at = block_ends(&bytes)[2];
    let later = [&bytes[..at], &plain(200, 3, b"something"), &bytes[at..]].concat();
    let (read_events, end) = read(&later);
    assert_eq!(read_events, events);
    assert!(matches!(end, Ok(ReadEnd::Whole(_))));
}

#[test]
fn an_end_that_counts_other_events_is_refused() {
    let (_, bytes, _) = small_recording();
    let ends = block_ends(&bytes);
    let [.., second_last, _] = ends[..] else {
        panic!("there are blocks");
    };
    // All events are left out, as nobody cuts a file.
    let bytes = [&beginning()[..], &bytes[second_last..]].concat();
    assert!(matches!(
        read(&bytes).1,
        Err(RecordingError::Damaged {
            problem: BlockProblem::Malformed(_),
            ..
        })
    ));
}

#[test]
fn nothing_follows_the_end() {
    let (events, bytes, _) = small_recording();
    let (read_events, end) = read(&[&bytes[..], &bytes[..]].concat());
    assert_eq!(read_events, events, "the first of two recordings is read");
    let Err(RecordingError::Damaged {
        offset,
        problem: BlockProblem::Misplaced,
        ..
    }) = end
    else {
        panic!("{end:?}");
    };
    assert_eq!(offset, bytes.len() as u64);
}

/// A source that fails after some bytes.
struct Failing<'a>(&'a [u8]);

impl std::io::Read for Failing<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(bytes) {
            Ok(0) => Err(std::io::Error::other("the disk is gone")),
            outcome => outcome,
        }
    }
}

#[test]
fn a_source_that_fails_is_no_cut() {
    let (_, bytes, _) = small_recording();
    let mut reader = RecordingReader::new(Failing(&bytes[..bytes.len() - 1])).expect("a header");
    let error = loop {
        match reader.read_events(&mut |_| {}) {
            Ok(0) => panic!("it was taken for the end"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, RecordingError::Read(_)), "{error}");
}

proptest! {
    /// Payloads with the right checksum: what damage alone never gets to.
    #[test]
    fn whatever_stands_in_a_block(
        kind in 1..6u8,
        records in 0..50u32,
        payload in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let (_, bytes, _) = small_recording();
        let at = block_ends(&bytes)[2];
        let bytes = [&bytes[..at], &plain(kind, records, &payload), &bytes[at..]].concat();
        let _ = read(&bytes);
    }

    /// Right blocks whose payload was changed in a few places, with the right checksum.
    #[test]
    fn whatever_was_changed_in_a_block(
        changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6),
        which in 0..8usize,
    ) {
        let (_, bytes, _) = small_recording();
        let ends = block_ends(&bytes);
        let which = which % (ends.len() - 1);
        let (from, to) = (ends[which], ends[which + 1]);
        let block_bytes = &bytes[from..to];
        let field = |at: usize| {
            u32::from_le_bytes(block_bytes[at..at + 4].try_into().expect("four bytes"))
        };
        let mut payload = block_bytes[HEAD_BYTES..].to_vec();
        if block_bytes[1] == 1 {
            payload = lz4_flex::block::decompress(&payload, field(8) as usize).expect("it is right");
        }
        for (at, byte) in changes {
            let length = payload.len();
            payload[usize::from(at) % length] = byte;
        }
        let changed = plain(block_bytes[0], field(4), &payload);
        let _ = read(&[&bytes[..from], &changed, &bytes[to..]].concat());
    }

    #[test]
    fn whatever_the_bytes_are(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let _ = read(&bytes);
        let _ = read(&[beginning(), bytes].concat());
    }
}
