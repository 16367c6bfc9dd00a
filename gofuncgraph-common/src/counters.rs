/// What the eBPF programs count, as indices of the `COUNTERS` map.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Entry records for which the ring had no room.
    EntriesLost = 0,
    /// Return records for which the ring had no room.
    ReturnsLost = 1,
    /// Close records for which the ring had no room.
    ClosesLost = 2,
    /// Process records for which the ring had no room.
    ProcessRecordsLost = 3,
    /// Trees that did not start because `GOROUTINES` or `PROCESSES` was full.
    TreesRefused = 4,
    /// RETs of targets on goroutines without an active root: those calls began before tracing
    /// (or their tree was refused).
    ReturnsWithoutTree = 5,
    /// Events on a stack that is not the goroutine's, g0 for instance: no goroutine's own call.
    OffGoroutineStack = 6,
    /// Events dropped because memory of the target could not be read.
    Unreadable = 7,
    /// Roots dropped because `g.m.curg` was not g: the offsets do not fit this Go version.
    GoroutineCheckFailed = 8,
    /// Records of passed observers for which the ring had no room. The next observer repeats
    /// what they would have said, so nothing need be missing.
    ObservationsLost = 9,
    /// Entries outside of any tree that were chosen as samples, whether or not the ring had room
    /// for them: at sites without [`STEPPED`](crate::site_flags::STEPPED).
    SampledEntries = 10,
    /// The same, at sites with it.
    SampledSteppedEntries = 11,
    /// Of both, those of promoted functions.
    SampledPromotedEntries = 12,
    /// Hits of observers with nothing to tell that were chosen as samples.
    SampledIdleObservers = 13,
    /// RETs on goroutines without an active root, of functions that are not promoted.
    ReturnsOutside = 14,
    /// The same of promoted functions, while their RETs still have, or have again, probes.
    PromotedReturnsOutside = 15,
    /// Processes that traced ones forked and that are not traced because `TRACED` was full.
    ChildrenRefused = 16,
}

/// Number of [`Counter`]s.
pub const COUNTER_COUNT: u32 = 17;
