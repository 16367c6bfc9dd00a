//! What a goroutine did so far in a block.

use crate::binary::VirtualAddress;
use crate::events::{Goroutine, SequencePosition};
use crate::plan::FunctionId;

/// Of a return address: when a call has returned, its caller's stack is shorter by it.
pub(super) const WORD_BYTES: u64 = 8;

#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) depth: u64,
    pub(super) function: FunctionId,
    /// Where it returns to.
    pub(super) return_address: VirtualAddress,
}

#[derive(Clone, Debug)]
pub(super) struct GoroutineContext {
    pub(super) goroutine: Goroutine,
    pub(super) next_sequence: u64,
    pub(super) tree: u16,
    pub(super) frames: Vec<Frame>,
    pub(super) image: u32,
}

impl GoroutineContext {
    pub(super) fn new(goroutine: Goroutine, image: u32) -> Self {
        Self {
            goroutine,
            next_sequence: 0,
            tree: 0,
            frames: Vec::new(),
            image,
        }
    }

    pub(super) fn top_depth(&self) -> u64 {
        self.frames.last().map_or(0, |frame| frame.depth)
    }

    /// What comes next, after an event that counts so many numbers.
    pub(super) fn advance(&mut self, position: SequencePosition, numbers: u64, ends_tree: bool) {
        if ends_tree {
            // Right where nothing was lost of the tree.
            (self.next_sequence, self.tree) = (0, 0);
        } else {
            self.next_sequence = position.sequence.wrapping_add(numbers);
            self.tree = position.tree;
        }
    }

    pub(super) fn leave(&mut self, is_over: impl Fn(u64) -> bool) {
        while self.frames.last().is_some_and(|frame| is_over(frame.depth)) {
            self.frames.pop();
        }
    }
}
