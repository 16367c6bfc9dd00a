//! What happens in traced processes, as a stream of domain events, and the names of what they
//! refer to. The live ring, tests and recordings are sources of it.

mod already_open;
mod decode;
mod event;
mod live;
mod panic_places;
mod process_endings;
mod reason;
mod source;
mod symbols;
mod translate;

pub use decode::{Record, RecordError};
pub use event::{
    CloseCause, EndProbe, Event, FrameDepth, Goroutine, GoroutineEvent, MonotonicTime,
    ObservedPlace, ProcessEnd, SequencePosition,
};
pub use live::LiveEvents;
pub use panic_places::{PanicOrigin, PanicPlaces};
pub use reason::{CodeAddress, Panic, PanickingCall, ProcessEnding, Reason};
pub use source::EventSource;
pub use symbols::{CallSite, CodePosition, Symbols};
