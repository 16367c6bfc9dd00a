//! What lies between the ring and the view of a live trace.

use std::collections::VecDeque;

use crate::events::{Event, LiveEvents};
use crate::kernel::KernelError;

/// Events that may wait, some 20 MB; what is more waits in the ring.
const MAX_WAITING_EVENTS: usize = 1 << 18;

/// Events that were taken out of the ring and not shown yet. While a view writes a large tree the
/// ring is emptied into here, else it would be full before the tree is written.
#[derive(Default)]
pub(super) struct Backlog {
    events: VecDeque<Event>,
    error: Option<KernelError>,
}

impl Backlog {
    /// Events that are taken at once where nothing holds the view up: few enough to stay in the
    /// CPU's cache.
    pub(super) const BATCH_EVENTS: usize = 1 << 8;

    /// Makes `batch` the events to be shown next: those that wait, then what is in the ring. Gives
    /// how many were taken; fewer than a batch: there are no more.
    ///
    /// # Errors
    /// The kernel's, also what [`Backlog::relieve`] met.
    pub(super) fn next_batch(
        &mut self,
        source: &mut LiveEvents,
        batch: &mut Vec<Event>,
    ) -> Result<usize, KernelError> {
        batch.clear();
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let waiting = self.events.len().min(Self::BATCH_EVENTS);
        if waiting != 0 {
            batch.extend(self.events.drain(..waiting));
            if self.events.is_empty() {
                self.events = VecDeque::new();
            }
        }
        let room = Self::BATCH_EVENTS - waiting;
        Ok(waiting + source.drain_some(room, &mut |event| batch.push(event))?)
    }

    /// Empties the ring as far as there is room here. To be called while events wait to be shown.
    pub(super) fn relieve(&mut self, source: &mut LiveEvents) {
        let room = MAX_WAITING_EVENTS.saturating_sub(self.events.len());
        if self.error.is_none()
            && let Err(error) = source.drain_some(room, &mut |event| self.push(event))
        {
            self.error = Some(error);
        }
    }

    /// The event comes after those that wait.
    pub(super) fn push(&mut self, event: Event) {
        self.events.push_back(event);
    }
}
