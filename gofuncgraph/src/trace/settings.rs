use std::num::NonZeroU64;
use std::time::Duration;

/// Calls of one tree that are kept unless the user says otherwise.
pub const DEFAULT_MAX_CALLS: usize = 1_000_000;

/// Calls of all trees together that are kept: at most 120 MB of lines.
pub const DEFAULT_MAX_BUFFERED_CALLS: usize = 2_000_000;

/// When lines are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// At once; goroutines interleave.
    Stream,
    /// A tree at a time, when its root ends.
    Trees {
        /// Calls at which a tree is handed over so far and cut; at least 1.
        max_calls: usize,
        /// Calls of all trees together at which the largest is cut.
        max_buffered_calls: usize,
        /// Only trees at least this long are handed over.
        slower_than: Option<Duration>,
    },
}

/// How an [`Assembler`](super::Assembler) works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssemblerSettings {
    /// When lines are handed over.
    pub delivery: Delivery,
    /// The trace is complete after this many trees whose root returned or was unwound.
    pub count: Option<NonZeroU64>,
}

impl AssemblerSettings {
    /// Lines are handed over at once.
    pub fn stream() -> Self {
        Self {
            delivery: Delivery::Stream,
            count: None,
        }
    }

    /// Trees are handed over whole, with the default bounds.
    pub fn trees() -> Self {
        Self {
            delivery: Delivery::Trees {
                max_calls: DEFAULT_MAX_CALLS,
                max_buffered_calls: DEFAULT_MAX_BUFFERED_CALLS,
                slower_than: None,
            },
            count: None,
        }
    }
}
