//! Changes of recordings that leave their checksums right, because what is behind the checksums
//! is what has to be tried.

use crate::blocks::{self, Block, PREAMBLE_BYTES};

/// Small numbers, one after the other.
struct Numbers(u64);

impl Numbers {
    /// Less than `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        // The constants are those of Knuth's MMIX.
        self.0 = (self.0)
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Changes the recording that is the first `size` bytes of `data`, which has room for
/// `max_size`; gives its new size.
pub fn recording(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut numbers = Numbers(seed.into());
    let mut blocks = blocks::split(&data[..size]);
    if blocks.is_empty() || numbers.below(16) == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let mut preamble = data[..PREAMBLE_BYTES].to_vec();
    for _ in 0..=numbers.below(3) {
        change(&mut preamble, &mut blocks, max_size, &mut numbers);
        if blocks.is_empty() {
            break;
        }
    }
    let changed = blocks::join(&preamble, &blocks);
    let size = changed.len().min(max_size);
    data[..size].copy_from_slice(&changed[..size]);
    size
}

fn change(preamble: &mut [u8], blocks: &mut Vec<Block>, max_size: usize, numbers: &mut Numbers) {
    let index = numbers.below(blocks.len());
    match numbers.below(24) {
        // The reader does not look at this byte; it chooses the view.
        0 => preamble[10] = numbers.below(256) as u8,
        1 => {
            let copy = blocks[index].clone();
            let to = numbers.below(blocks.len() + 1);
            blocks.insert(to, copy);
        }
        2 => {
            blocks.remove(index);
        }
        3 => {
            let other = numbers.below(blocks.len());
            blocks.swap(index, other);
        }
        4 => blocks[index].is_compressed ^= true,
        5 => blocks[index].kind = numbers.below(6) as u8,
        6 => blocks[index].records = numbers.below(1 << 16) as u32,
        7 => blocks[index].records = blocks[index].records.wrapping_sub(1),
        8 | 9 => blocks[index].records = blocks[index].records.wrapping_add(1),
        10 => {
            // Many times the same, and as many records.
            let block = &mut blocks[index];
            let times = 2 + numbers.below(6);
            if block.payload.len() * times < max_size {
                block.payload = block.payload.repeat(times);
                block.records = block.records.saturating_mul(times as u32);
            }
        }
        _ => {
            // Events are where most can go wrong.
            let events = blocks.iter().position(|block| block.kind == 3);
            let index = events.filter(|_| numbers.below(2) == 0).unwrap_or(index);
            let payload = &mut blocks[index].payload;
            let length = payload.len();
            let room = (length + 64).min(max_size.max(length));
            payload.resize(room, 0);
            let length = libfuzzer_sys::fuzzer_mutate(payload, length, room);
            payload.truncate(length);
        }
    }
}
