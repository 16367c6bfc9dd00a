//! What hits of probes cost the program, and how many there were.

use std::fmt;

/// A number for each kind of hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerKind {
    /// Of entries at an instruction that the kernel emulates.
    pub entries: u64,
    /// Of entries at an instruction that is single-stepped.
    pub stepped_entries: u64,
    /// Of RETs.
    pub returns: u64,
    /// Of observers.
    pub observers: u64,
}

impl PerKind {
    /// In the order of the fields.
    pub fn to_array(self) -> [u64; 4] {
        let Self {
            entries,
            stepped_entries,
            returns,
            observers,
        } = self;
        [entries, stepped_entries, returns, observers]
    }

    /// From the order of the fields.
    pub fn from_array(numbers: [u64; 4]) -> Self {
        let [entries, stepped_entries, returns, observers] = numbers;
        Self {
            entries,
            stepped_entries,
            returns,
            observers,
        }
    }
}

/// Hits of probes since tracing began. They can be any numbers in a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HitCounts {
    /// In trees, whether or not the record found room.
    pub inside: PerKind,
    /// Outside of trees, or with nothing to tell: entries and observers are estimated from
    /// samples.
    pub outside: PerKind,
}

impl HitCounts {
    /// Calls that hit the probe on an entry.
    pub fn calls(&self) -> u64 {
        [self.inside, self.outside]
            .iter()
            .fold(0, |sum: u64, hits| {
                sum.saturating_add(hits.entries)
                    .saturating_add(hits.stepped_entries)
            })
    }

    /// Nothing was hit.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What promotion has to do with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PromotedHits {
    /// Calls in trees that hit no probe on a RET.
    pub calls_inside: u64,
    /// Calls outside of trees that did not.
    pub calls_outside: u64,
    /// Hits of observers that told of an end.
    pub observed: u64,
    /// Hits of observers with nothing to tell.
    pub idle: u64,
}

/// What a hit costs the program, in nanoseconds: measured when tracing began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HitCosts {
    /// Of a hit that writes a record.
    pub inside_ns: PerKind,
    /// Of one outside of any tree.
    pub outside_ns: PerKind,
    /// How long a traced call that does nothing seems to take if a RET ends it.
    pub least_by_return_ns: u64,
    /// The same if an observer ends it.
    pub least_by_observer_ns: u64,
}

impl HitCosts {
    /// What promotion saved, in nanoseconds; less than 0 if it cost more than it saved.
    pub fn saved_ns(&self, hits: &PromotedHits) -> i64 {
        let cost = |hits: u64, cost_ns: u64| i128::from(hits) * i128::from(cost_ns);
        let saved = cost(hits.calls_inside, self.inside_ns.returns)
            + cost(hits.calls_outside, self.outside_ns.returns)
            - cost(hits.observed, self.inside_ns.observers)
            - cost(hits.idle, self.outside_ns.observers);
        i64::try_from(saved).unwrap_or(if saved < 0 { i64::MIN } else { i64::MAX })
    }

    /// What `hits` cost, in nanoseconds.
    pub fn total_ns(&self, hits: &HitCounts) -> u64 {
        let pairs = [
            (hits.inside, self.inside_ns),
            (hits.outside, self.outside_ns),
        ];
        let products = pairs.into_iter().flat_map(|(counts, costs)| {
            let costs = costs.to_array();
            counts
                .to_array()
                .into_iter()
                .zip(costs)
                .map(|(count, cost)| count.saturating_mul(cost))
        });
        products.fold(0, u64::saturating_add)
    }
}

impl fmt::Display for HitCosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            inside_ns: inside,
            outside_ns: outside,
            ..
        } = self;
        write!(
            f,
            "an entry costs {} ns ({} outside of trees), a single-stepped one {} ({}), \
             a RET {} ({}), an observer {} ({})",
            inside.entries,
            outside.entries,
            inside.stepped_entries,
            outside.stepped_entries,
            inside.returns,
            outside.returns,
            inside.observers,
            outside.observers
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: HitCosts = HitCosts {
        inside_ns: PerKind {
            entries: 1_000,
            stepped_entries: 12_000,
            returns: 11_000,
            observers: 600,
        },
        outside_ns: PerKind {
            entries: 900,
            stepped_entries: 11_900,
            returns: 10_900,
            observers: 500,
        },
        least_by_return_ns: 700,
        least_by_observer_ns: 650,
    };

    #[test]
    fn every_kind_counts_for_what_it_costs() {
        let hits = HitCounts {
            inside: PerKind::from_array([1, 2, 3, 4]),
            outside: PerKind::from_array([5, 6, 7, 8]),
        };
        let inside = 1_000 + 2 * 12_000 + 3 * 11_000 + 4 * 600;
        let outside = 5 * 900 + 6 * 11_900 + 7 * 10_900 + 8 * 500;
        assert_eq!(COSTS.total_ns(&hits), inside + outside);
        assert_eq!(hits.calls(), 1 + 2 + 5 + 6);
    }

    #[test]
    fn promotion_saves_returns_and_costs_observers() {
        let hits = PromotedHits {
            calls_inside: 1_000,
            calls_outside: 10_000,
            observed: 990,
            idle: 12_000,
        };
        let saved = 1_000 * 11_000 + 10_000 * 10_900 - 990 * 600 - 12_000 * 500;
        assert_eq!(COSTS.saved_ns(&hits), saved);
        let hits = PromotedHits {
            idle: 7,
            ..PromotedHits::default()
        };
        assert_eq!(COSTS.saved_ns(&hits), -3_500);
    }

    #[test]
    fn numbers_of_a_recording_overflow_nothing() {
        let most = PerKind::from_array([u64::MAX; 4]);
        let hits = HitCounts {
            inside: most,
            outside: most,
        };
        assert_eq!(COSTS.total_ns(&hits), u64::MAX);
        assert_eq!(hits.calls(), u64::MAX);
    }
}
