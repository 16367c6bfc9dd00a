use std::time::Duration;

use crate::events::MonotonicTime;
use crate::trace::Note;

/// Calls that are not shown, of one place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HiddenCalls {
    calls: u64,
    total: Duration,
    /// When the last of them ended.
    last: MonotonicTime,
}

impl HiddenCalls {
    /// A call that hid `inside` ended.
    pub fn add(&mut self, inside: &Self, duration: Duration, time: MonotonicTime) {
        self.calls = self.calls.saturating_add(inside.calls).saturating_add(1);
        self.total = self.total.saturating_add(duration);
        self.last = time;
    }

    /// Gives what there is, if anything, as a note and its moment, and starts anew.
    pub fn take(&mut self, shorter_than: Option<Duration>) -> Option<(MonotonicTime, Note)> {
        let hidden = std::mem::take(self);
        (hidden.calls > 0).then_some((
            hidden.last,
            Note::Hidden {
                calls: hidden.calls,
                shorter_than,
                total: hidden.total,
            },
        ))
    }
}
