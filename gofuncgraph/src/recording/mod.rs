//! Events become files, and files events: `docs/FORMAT.md` is the specification.
//!
//! [`RecordingWriter`] makes bytes of events and of the names that they refer to;
//! [`RecordingReader`] makes events of bytes again, a block at a time. Neither knows where bytes
//! come from or go to.
//!
//! - `format`: how blocks are laid out, and the types that are serialised. They are frozen: what
//!   the rest of the program works with stands in `header`.
//! - `varint`: numbers.
//! - `end_probe`, `events`, `goroutine`: how an event is written, given those before it in its block.
//! - `definitions`: names and places that events refer to.
//! - `zone`: local time, on a machine elsewhere.

mod definitions;
mod entry_kind;
mod error;
mod events;
mod format;
mod goroutine;
mod header;
mod header_json;
mod reader;
mod reasons;
mod symbols;
mod varint;
mod writer;
mod zone;

pub use error::{BlockProblem, RecordingError};
pub use header::{
    EndReason, LossCounters, RecordedClock, RecordedCost, RecordedEnd, RecordedHost, RecordedPlan,
    RecordedTarget, RecordedView, RecordingHeader,
};
pub use reader::{ReadEnd, RecordingReader};
pub use symbols::{RecordedFunction, RecordedSymbols};
pub use writer::RecordingWriter;
pub use zone::{RecordedZone, ZoneChange};

/// The version of the format that is written, and the only one that is read.
pub const FORMAT_VERSION: u16 = format::VERSION;
