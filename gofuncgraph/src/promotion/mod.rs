//! Which functions' returns are seen at the places that they return to, instead of at their RETs.
//!
//! A probe on a RET costs the target a single step; one on an instruction that the kernel
//! emulates costs a tenth of that. Callers have such an instruction soon after most calls, and
//! which callers a function has is learned while tracing. So a function that is called often is
//! *promoted*: observers are put where its calls return to, and its RET probes are taken away.
//!
//! Where a caller returns as soon as the call has returned, its own return address decides: such
//! calls are *chained* to what tells of the caller's end.
//!
//! Pure: [`CallCounts`] and the executable's code in, [`Batch`]es out, which the session carries
//! out in the kernel.
//!
//! - `callers`: where direct calls of functions return to, from the code.
//! - `counts`: calls, by function and return address.
//! - `observer`: where an observer for a return address goes.
//! - `promoter`: which functions, and when.

mod callers;
mod counts;
mod observer;
mod promoter;

pub use callers::DirectCallers;
pub use counts::{CallCounts, RecentCalls};
pub use observer::{ObserverSite, find_observer};
pub use promoter::{Batch, IdleObservers, NewChain, NewObserver, Promoter, SAMPLE_ONE_OF};
