//! Recordings taken apart into blocks, and put together again with the right checksums: see
//! `docs/FORMAT.md`.

/// Length of what stands before the first block.
pub const PREAMBLE_BYTES: usize = 12;

const HEAD_BYTES: usize = 24;
const MAX_BLOCK_BYTES: usize = 4 << 20;

/// A block, expanded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    pub kind: u8,
    pub records: u32,
    pub payload: Vec<u8>,
    pub is_compressed: bool,
}

/// Whole blocks of a recording, whether or not their checksums are right.
pub fn split(recording: &[u8]) -> Vec<Block> {
    let mut rest = recording.get(PREAMBLE_BYTES..).unwrap_or_default();
    let mut blocks = Vec::new();
    while let Some((head, after)) = rest.split_at_checked(HEAD_BYTES) {
        let word = |at: usize| {
            let bytes = head[at..at + 4].try_into().expect("four bytes");
            u32::from_le_bytes(bytes)
        };
        let (bytes, stored_bytes) = (word(8) as usize, word(12) as usize);
        let Some((stored, after)) = after.split_at_checked(stored_bytes) else {
            break;
        };
        let is_compressed = head[1] & 1 != 0;
        let payload = if is_compressed {
            lz4_flex::block::decompress(stored, bytes.min(MAX_BLOCK_BYTES)).unwrap_or_default()
        } else {
            stored.to_vec()
        };
        blocks.push(Block {
            kind: head[0],
            records: word(4),
            payload,
            is_compressed,
        });
        rest = after;
    }
    blocks
}

/// The recording of `preamble` and `blocks`.
pub fn join(preamble: &[u8], blocks: &[Block]) -> Vec<u8> {
    let mut out = preamble.to_vec();
    for block in blocks {
        let compressed = block
            .is_compressed
            .then(|| lz4_flex::block::compress(&block.payload));
        let stored = match &compressed {
            Some(shorter) if shorter.len() < block.payload.len() => shorter,
            _ => &block.payload,
        };
        let is_compressed = stored.len() < block.payload.len();
        let start = out.len();
        out.extend_from_slice(&[block.kind, is_compressed.into(), 0, 0]);
        for word in [
            block.records,
            block.payload.len() as u32,
            stored.len() as u32,
            crc32fast::hash(stored),
        ] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        let checksum = crc32fast::hash(&out[start..]);
        out.extend_from_slice(&checksum.to_le_bytes());
        out.extend_from_slice(stored);
    }
    out
}
