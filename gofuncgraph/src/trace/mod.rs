//! Events become call trees.
//!
//! [`Assembler`] takes domain events one at a time and hands [`TraceLine`]s to a [`TraceSink`]:
//! at once while streaming, else a tree at a time. It knows nothing of names or text.
//!
//! - `assembler`: sequences and losses of every goroutine, when trees begin and end.
//! - `tree`, `frame`: the open calls of one tree and what happens to them.
//! - `buffer`: the lines of a tree that waits for its end.
//! - `loss_marks`: where a lost entry can have been.
//! - `reasons`: the panics of a tree.
//! - `net`: what probes cost, to be taken off durations.
//! - `exit_check`: ends that observers tell of, compared with RETs.

mod assembler;
mod buffer;
mod exit_check;
mod frame;
mod handover;
mod line;
mod loss_marks;
mod net;
mod reasons;
mod settings;
mod statistics;
mod tree;

pub use assembler::{Assembler, MAX_GOROUTINES};
pub use exit_check::{ExitChecker, ExitCounts};
pub use line::{Beginning, CallEnd, LineBody, Note, PartEnd, TraceLine, TraceSink, Unwinding};
pub use net::NetCosts;
pub use settings::{AssemblerSettings, DEFAULT_MAX_BUFFERED_CALLS, DEFAULT_MAX_CALLS, Delivery};
pub use statistics::{EndCounts, Statistics};
pub use tree::MAX_OPEN_CALLS;
