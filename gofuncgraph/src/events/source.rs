use super::Event;

/// Where events come from, in the order in which they happened on each goroutine.
pub trait EventSource {
    /// Why no more events can be had.
    type Error;

    /// Hands every event that is there to `sink`, without waiting for more; gives their number.
    ///
    /// # Errors
    /// The source's own.
    fn drain(&mut self, sink: &mut dyn FnMut(Event)) -> Result<usize, Self::Error>;
}

impl EventSource for std::vec::IntoIter<Event> {
    type Error = std::convert::Infallible;

    fn drain(&mut self, sink: &mut dyn FnMut(Event)) -> Result<usize, Self::Error> {
        Ok(self.map(sink).count())
    }
}
