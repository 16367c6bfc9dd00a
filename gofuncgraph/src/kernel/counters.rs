//! What the programs count.

use aya::maps::PerCpuValues;
use aya::util::nr_cpus;
use gofuncgraph_common::{COUNTER_COUNT, Counter, map_names};

use super::KernelError;
use super::cost::PerKind;
use super::tracer::{Tracer, access_error};

/// What the programs have counted so far; see [`Counter`] for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented at `Counter`")]
pub struct KernelCounters {
    pub entries_lost: u64,
    pub returns_lost: u64,
    pub closes_lost: u64,
    pub process_records_lost: u64,
    pub trees_refused: u64,
    pub returns_without_tree: u64,
    pub off_goroutine_stack: u64,
    pub unreadable: u64,
    pub goroutine_check_failed: u64,
    pub observations_lost: u64,
}

impl KernelCounters {
    /// Records of every kind that found no room in the ring.
    pub fn records_lost(&self) -> u64 {
        // Of a recording they can be any numbers.
        [
            self.returns_lost,
            self.closes_lost,
            self.process_records_lost,
            self.observations_lost,
        ]
        .into_iter()
        .fold(self.entries_lost, u64::saturating_add)
    }
}

impl Tracer {
    /// What was counted since loading, over all CPUs.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn counters(&self) -> Result<KernelCounters, KernelError> {
        let read = |counter| self.counter(counter);
        Ok(KernelCounters {
            entries_lost: read(Counter::EntriesLost)?,
            returns_lost: read(Counter::ReturnsLost)?,
            closes_lost: read(Counter::ClosesLost)?,
            process_records_lost: read(Counter::ProcessRecordsLost)?,
            trees_refused: read(Counter::TreesRefused)?,
            returns_without_tree: read(Counter::ReturnsWithoutTree)?,
            off_goroutine_stack: read(Counter::OffGoroutineStack)?,
            unreadable: read(Counter::Unreadable)?,
            goroutine_check_failed: read(Counter::GoroutineCheckFailed)?,
            observations_lost: read(Counter::ObservationsLost)?,
        })
    }

    pub(super) fn counter(&self, counter: Counter) -> Result<u64, KernelError> {
        let values = self
            .counters
            .get(&(counter as u32), 0)
            .map_err(|error| access_error(map_names::COUNTERS, &error))?;
        Ok(values.iter().sum())
    }

    /// Hits outside of trees, or with nothing to tell, as far as RETs and samples tell of them.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn hits_outside(&self) -> Result<PerKind, KernelError> {
        let sampled_entries = self.counter(Counter::SampledEntries)?;
        let sampled_stepped = self.counter(Counter::SampledSteppedEntries)?;
        let sampled_observers = self.counter(Counter::SampledIdleObservers)?;
        let returns = self.counter(Counter::ReturnsOutside)?;
        let promoted_returns = self.counter(Counter::PromotedReturnsOutside)?;
        // Samples of calls would do, but a RET ends each of those that are not promoted.
        let calls = returns + self.promoted_calls_outside()?;
        let samples = (sampled_entries + sampled_stepped).max(1);
        let stepped_entries = u128::from(calls) * u128::from(sampled_stepped) / u128::from(samples);
        let stepped_entries = u64::try_from(stepped_entries).unwrap_or(calls).min(calls);
        // On the scheduler's stack entries and RETs are counted as one.
        let off_goroutine_stack = self.counter(Counter::OffGoroutineStack)?;
        let returns_off = off_goroutine_stack / 2;
        Ok(PerKind {
            entries: calls - stepped_entries + off_goroutine_stack - returns_off,
            stepped_entries,
            returns: returns + promoted_returns + returns_off,
            observers: sampled_observers * u64::from(self.sample_one_of),
        })
    }

    /// Of the calls outside of trees, those whose RETs had no probes.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn promoted_calls_outside(&self) -> Result<u64, KernelError> {
        let sampled = self.counter(Counter::SampledPromotedEntries)?;
        Ok(sampled * u64::from(self.sample_one_of))
    }

    /// Everything counts from 0 again.
    pub(super) fn reset_counters(&mut self) -> Result<(), KernelError> {
        let failed = |error: &dyn std::error::Error| access_error(map_names::COUNTERS, error);
        for counter in 0..COUNTER_COUNT {
            let zeros =
                PerCpuValues::try_from(vec![0; nr_cpus().map_err(|(_, error)| failed(&error))?])
                    .map_err(|error| failed(&error))?;
            self.counters
                .set(counter, zeros, 0)
                .map_err(|error| failed(&error))?;
        }
        Ok(())
    }
}
