//! The durations of many calls in bounded memory.

use hdrhistogram::Histogram;

use super::random::Random;

/// Up to so many durations of one function, percentiles are exact.
pub const EXACT_DURATIONS: usize = 4096;

/// The same for one call path.
pub const EXACT_PATH_DURATIONS: usize = 1024;

/// Digits of the histogram behind them: a bucket is less than 1 % wide.
const HISTOGRAM_DIGITS: u8 = 2;

/// What a histogram of all 64-bit values with that many digits takes: 57 powers of two with 128
/// buckets of four bytes each, and 256 for the smallest.
const HISTOGRAM_BYTES: usize = (57 * 128 + 256) * 4;

/// Two buckets for each power of ten, from 1 ns to 1000 s.
pub const LOG_BUCKETS: usize = 24;

/// What all samples and histograms of a profile share.
#[derive(Clone, Debug)]
pub(super) struct SamplePool {
    pub random: Random,
    bytes_left: usize,
}

impl SamplePool {
    /// One that allows `bytes` altogether.
    pub fn new(bytes: usize) -> Self {
        Self {
            random: Random::new(0x676f_6675_6e63),
            bytes_left: bytes,
        }
    }

    /// Whether `bytes` more may be allocated; they are taken off then.
    fn take(&mut self, bytes: usize) -> bool {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.bytes_left = left;
                true
            }
            None => false,
        }
    }
}

/// A uniform sample of the values that came by: all of them as long as there is room.
/// (Algorithm R: Vitter, "Random sampling with a reservoir", 1985.)
#[derive(Clone, Debug)]
pub(super) struct Reservoir<T> {
    values: Vec<T>,
    seen: u64,
    capacity: usize,
}

impl<T: Copy> Reservoir<T> {
    /// An empty one for at most `capacity` values.
    pub fn new(capacity: usize) -> Self {
        Self {
            values: Vec::new(),
            seen: 0,
            capacity,
        }
    }

    /// Takes the next value.
    pub fn push(&mut self, value: T, pool: &mut SamplePool) {
        self.seen += 1;
        if self.values.len() < self.capacity && self.has_all_before() && self.grow(pool) {
            self.values.push(value);
            return;
        }
        let position = pool.random.below(self.seen);
        let slot = usize::try_from(position)
            .ok()
            .and_then(|position| self.values.get_mut(position));
        if let Some(slot) = slot {
            *slot = value;
        }
    }

    fn has_all_before(&self) -> bool {
        self.values.len() as u64 + 1 == self.seen
    }

    fn grow(&mut self, pool: &mut SamplePool) -> bool {
        if self.values.len() < self.values.capacity() {
            return true;
        }
        let more = self
            .values
            .len()
            .max(4)
            .min(self.capacity - self.values.len());
        let granted = pool.take(more * size_of::<T>());
        if granted {
            self.values.reserve_exact(more);
        }
        granted
    }

    /// The sample.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// How many values came by.
    pub fn seen(&self) -> u64 {
        self.seen
    }
}

/// How far percentiles are from those of all calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Accuracy {
    /// They are those of all calls.
    Exact,
    /// At most 1 %.
    WithinOnePercent,
    /// They are those of a sample, because there are more functions and paths than memory is
    /// set aside for.
    Sampled,
}

/// The percentiles that tables show, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantiles {
    /// The median.
    pub p50_ns: u64,
    /// Nine of ten calls took at most so long.
    pub p90_ns: u64,
    /// 99 of 100 calls took at most so long.
    pub p99_ns: u64,
}

/// The measured durations of the calls of one function, or at one path.
#[derive(Clone, Debug)]
pub struct Durations {
    sum_ns: u64,
    least_ns: u64,
    most_ns: u64,
    log_buckets: [u64; LOG_BUCKETS],
    sample: Reservoir<u64>,
    histogram: Option<Box<Histogram<u32>>>,
}

impl Durations {
    /// None yet; percentiles will be exact up to `exact` durations.
    pub(super) fn new(exact: usize) -> Self {
        Self {
            sum_ns: 0,
            least_ns: u64::MAX,
            most_ns: 0,
            log_buckets: [0; LOG_BUCKETS],
            sample: Reservoir::new(exact),
            histogram: None,
        }
    }

    /// Takes the next duration.
    pub(super) fn push(&mut self, duration_ns: u64, pool: &mut SamplePool) {
        let was_exact = self.accuracy() == Accuracy::Exact;
        self.sum_ns = self.sum_ns.saturating_add(duration_ns);
        self.least_ns = self.least_ns.min(duration_ns);
        self.most_ns = self.most_ns.max(duration_ns);
        if let Some(count) = self.log_buckets.get_mut(log_bucket(duration_ns)) {
            *count += 1;
        }
        // The sample holds everything so far only until this one replaces another.
        if was_exact && self.sample.values().len() == self.sample.capacity {
            self.histogram = new_histogram(self.sample.values(), pool);
        }
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record(duration_ns);
        }
        self.sample.push(duration_ns, pool);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.sample.seen()
    }

    /// All together, in nanoseconds.
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// The shortest, in nanoseconds; `None` if there is none.
    pub fn min_ns(&self) -> Option<u64> {
        (self.count() > 0).then_some(self.least_ns)
    }

    /// The longest, in nanoseconds; `None` if there is none.
    pub fn max_ns(&self) -> Option<u64> {
        (self.count() > 0).then_some(self.most_ns)
    }

    /// The average, in nanoseconds; `None` if there is none.
    pub fn mean_ns(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum_ns as f64 / self.count() as f64)
    }

    /// Counts by magnitude: bucket 2n counts durations from 10^n ns on, bucket 2n+1 those from
    /// 3 * 10^n ns on.
    pub fn log_buckets(&self) -> &[u64; LOG_BUCKETS] {
        &self.log_buckets
    }

    /// All durations, or a uniform sample of them, in no order.
    pub fn sample_ns(&self) -> &[u64] {
        self.sample.values()
    }

    /// Of the percentiles.
    pub fn accuracy(&self) -> Accuracy {
        if self.histogram.is_some() {
            Accuracy::WithinOnePercent
        } else if self.sample.values().len() as u64 == self.count() {
            Accuracy::Exact
        } else {
            Accuracy::Sampled
        }
    }

    /// The least duration that at least the share `quantile` (0 to 1) of the calls did not
    /// exceed, in nanoseconds; `None` if there is none.
    pub fn quantile_ns(&self, quantile: f64) -> Option<u64> {
        match &self.histogram {
            Some(histogram) => Some(self.in_histogram(histogram, quantile)),
            None => {
                let mut values = self.sample.values().to_vec();
                quantile_of(&mut values, quantile)
            }
        }
    }

    /// The usual ones, in one go; `None` if there are no durations.
    pub fn quantiles(&self) -> Option<Quantiles> {
        let at: Box<dyn Fn(f64) -> Option<u64>> = match &self.histogram {
            Some(histogram) => Box::new(|quantile| Some(self.in_histogram(histogram, quantile))),
            None => {
                let mut values = self.sample.values().to_vec();
                values.sort_unstable();
                Box::new(move |quantile| values.get(rank(values.len(), quantile)).copied())
            }
        };
        Some(Quantiles {
            p50_ns: at(0.5)?,
            p90_ns: at(0.9)?,
            p99_ns: at(0.99)?,
        })
    }

    fn in_histogram(&self, histogram: &Histogram<u32>, quantile: f64) -> u64 {
        let highest = histogram.value_at_quantile(quantile);
        histogram
            .median_equivalent(highest)
            .clamp(self.least_ns, self.most_ns)
    }
}

fn new_histogram(values: &[u64], pool: &mut SamplePool) -> Option<Box<Histogram<u32>>> {
    if !pool.take(HISTOGRAM_BYTES) {
        return None;
    }
    let mut histogram = Histogram::new_with_bounds(1, u64::MAX, HISTOGRAM_DIGITS).ok()?;
    for &value in values {
        histogram.saturating_record(value);
    }
    Some(Box::new(histogram))
}

/// The bucket of [`Durations::log_buckets`].
fn log_bucket(duration_ns: u64) -> usize {
    let decade = duration_ns.checked_ilog10().unwrap_or(0);
    let above_three = duration_ns / 10_u64.pow(decade) >= 3;
    (2 * decade as usize + usize::from(above_three)).min(LOG_BUCKETS - 1)
}

/// Where the quantile stands among `count` sorted values, counted from 0 (nearest rank).
pub(super) fn rank(count: usize, quantile: f64) -> usize {
    // Rounding must not lift an exact product, such as 0.99 * 100, to the next rank.
    let rank = (quantile * count as f64 - 1e-9).ceil();
    // As a float it is between 0 and the count, and conversions saturate.
    (rank as usize).saturating_sub(1)
}

/// The quantile of `values`, whose order it changes.
pub(super) fn quantile_of(values: &mut [u64], quantile: f64) -> Option<u64> {
    if values.is_empty() {
        return None;
    }
    let rank = rank(values.len(), quantile).min(values.len() - 1);
    Some(*values.select_nth_unstable(rank).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durations(exact: usize, values: impl IntoIterator<Item = u64>) -> Durations {
        let mut pool = SamplePool::new(1 << 20);
        let mut durations = Durations::new(exact);
        for value in values {
            durations.push(value, &mut pool);
        }
        durations
    }

    #[test]
    fn nothing_has_no_percentiles() {
        let none = durations(8, []);
        assert_eq!(none.quantiles(), None);
        assert_eq!((none.min_ns(), none.max_ns()), (None, None));
        assert_eq!(none.quantile_ns(0.5), None);
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let quantiles = durations(100, (1..=100).rev()).quantiles().expect("some");
        assert_eq!(
            quantiles,
            Quantiles {
                p50_ns: 50,
                p90_ns: 90,
                p99_ns: 99,
            }
        );
        let one = durations(8, [7]).quantiles().expect("some");
        assert_eq!((one.p50_ns, one.p90_ns, one.p99_ns), (7, 7, 7));
        let three = durations(8, [3, 1, 2]).quantiles().expect("some");
        assert_eq!((three.p50_ns, three.p90_ns, three.p99_ns), (2, 3, 3));
    }

    proptest::proptest! {
        #[test]
        fn percentiles_of_many_are_within_one_percent(
            seed in 0..u64::MAX,
            magnitude in 1..60_u32,
            count in 1..3000_u64,
        ) {
            let mut random = Random::new(seed);
            let values: Vec<u64> = (0..count).map(|_| random.below(1 << magnitude)).collect();
            let many = durations(64, values.iter().copied());
            proptest::prop_assert_eq!(many.count(), count);
            if count > 64 {
                proptest::prop_assert_eq!(many.accuracy(), Accuracy::WithinOnePercent);
                proptest::prop_assert_eq!(many.sample_ns().len(), 64);
            } else {
                proptest::prop_assert_eq!(many.accuracy(), Accuracy::Exact);
            }
            let mut sorted = values;
            sorted.sort_unstable();
            proptest::prop_assert_eq!(many.min_ns(), sorted.first().copied());
            proptest::prop_assert_eq!(many.max_ns(), sorted.last().copied());
            for quantile in [0.0, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0] {
                let exact = quantile_of(&mut sorted, quantile).expect("not empty");
                let found = many.quantile_ns(quantile).expect("not empty");
                proptest::prop_assert!(found.abs_diff(exact) * 100 <= exact, "{} {}", found, exact);
            }
        }
    }

    #[test]
    fn a_sample_is_kept_when_memory_is_used_up() {
        let mut pool = SamplePool::new(64 * size_of::<u64>());
        let mut durations = Durations::new(EXACT_DURATIONS);
        for value in 0..100_000 {
            durations.push(value, &mut pool);
        }
        assert_eq!(durations.accuracy(), Accuracy::Sampled);
        assert_eq!(durations.sample_ns().len(), 64);
        // 64 values of a uniform distribution have a median that is off by 6 % as a rule.
        let median = durations.quantile_ns(0.5).expect("not empty");
        assert!((20_000..80_000).contains(&median), "{median}");
    }

    #[test]
    fn largest_durations_are_no_overflow() {
        let most = durations(1, [u64::MAX, u64::MAX, 0]);
        assert_eq!(most.sum_ns(), u64::MAX);
        assert_eq!(most.max_ns(), Some(u64::MAX));
        assert!(most.quantile_ns(0.9).expect("some") > u64::MAX / 100 * 99);
    }

    #[test]
    fn log_buckets_begin_at_one_and_three() {
        for (value, bucket) in [
            (0, 0),
            (1, 0),
            (2, 0),
            (3, 1),
            (9, 1),
            (10, 2),
            (29, 2),
            (30, 3),
        ] {
            assert_eq!(log_bucket(value), bucket, "{value}");
        }
        assert_eq!(log_bucket(999_999_999), 17);
        assert_eq!(log_bucket(1_000_000_000), 18);
        assert_eq!(log_bucket(u64::MAX), LOG_BUCKETS - 1);
    }
}
