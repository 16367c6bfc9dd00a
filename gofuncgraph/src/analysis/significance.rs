//! Whether a difference between two samples is more than chance.

use super::random::Random;

/// Rearrangements of a permutation test, the real arrangement among them.
const ARRANGEMENTS: u32 = 2000;

/// The same for a level that needs more; the test of one function then takes a tenth of a second.
const MOST_ARRANGEMENTS: u32 = 10_000;

/// The least level that a permutation test is made at.
const LEAST_LEVEL: f64 = 2.0 / MOST_ARRANGEMENTS as f64;

/// Which way a difference goes that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The second sample's is larger.
    Larger,
    /// The second sample's is smaller.
    Smaller,
    /// Either.
    Different,
}

/// The probability that two samples of the same distribution differ in their ranks at least as
/// much as these do: the two-sided Mann–Whitney U test (Mann and Whitney, "On a test of whether
/// one of two random variables is stochastically larger than the other", 1947), by its normal
/// approximation with corrections for ties and continuity. `None` if a sample is smaller than 8,
/// where the approximation is too coarse.
pub fn mann_whitney(first: &[u64], second: &[u64]) -> Option<f64> {
    const LEAST: usize = 8;
    if first.len().min(second.len()) < LEAST {
        return None;
    }
    let mut all: Vec<(u64, bool)> = Vec::with_capacity(first.len() + second.len());
    all.extend(first.iter().map(|&value| (value, true)));
    all.extend(second.iter().map(|&value| (value, false)));
    all.sort_unstable();
    let mut rank_sum = 0.0;
    let mut ties = 0.0;
    let mut ranks_before = 0.0;
    for equal in all.chunk_by(|left, right| left.0 == right.0) {
        let count = equal.len() as f64;
        let rank = ranks_before + (count + 1.0) / 2.0;
        rank_sum += rank * equal.iter().filter(|(_, is_first)| *is_first).count() as f64;
        ties += count * count * count - count;
        ranks_before += count;
    }
    let (first, second) = (first.len() as f64, second.len() as f64);
    let all = first + second;
    let u = rank_sum - first * (first + 1.0) / 2.0;
    let variance = first * second / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    if variance <= 0.0 {
        // All values are equal.
        return Some(1.0);
    }
    let distance = ((u - first * second / 2.0).abs() - 0.5).max(0.0);
    Some(libm::erfc(distance / variance.sqrt() / std::f64::consts::SQRT_2).min(1.0))
}

/// The probability that `statistic` of the second sample minus that of the first is at least so
/// far in `direction` when both are of the same distribution: a permutation test with 1999
/// random rearrangements, so that the least answer is 1/2000, or with more, so that it is half of
/// `level` (Good, "Permutation, Parametric and Bootstrap Tests of Hypotheses", 2005). Stops early,
/// with a lower bound, once the answer is certain to exceed `level`. `None` if a sample is empty.
pub fn permutation_test<T: Copy>(
    first: &[T],
    second: &[T],
    direction: Direction,
    level: f64,
    mut statistic: impl FnMut(&mut [T]) -> f64,
) -> Option<f64> {
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let mut all: Vec<T> = first.iter().chain(second).copied().collect();
    let mut difference = |all: &mut [T]| {
        let (first_part, second_part) = all.split_at_mut(first.len());
        let difference = statistic(second_part) - statistic(first_part);
        match direction {
            Direction::Larger => difference,
            Direction::Smaller => -difference,
            Direction::Different => difference.abs(),
        }
    };
    let found = difference(&mut all);
    // Sums of floats depend on the order of their terms.
    let tolerance = found.abs() * 1e-9;
    let mut random = Random::new(0x7065_726d);
    let fewer = first.len().min(second.len());
    // Between its bounds, and conversions saturate.
    let arrangements = ((2.0 / level).ceil() as u32).clamp(ARRANGEMENTS, MOST_ARRANGEMENTS);
    let certain = (level * f64::from(arrangements)).ceil() as u32 + 1;
    let mut as_far = 1_u32;
    for _ in 1..arrangements {
        // Choosing the smaller sample is enough; it stands first or last.
        random.choose_first(&mut all, fewer);
        if first.len() > second.len() {
            all.rotate_left(fewer);
        }
        if difference(&mut all) >= found - tolerance {
            as_far += 1;
            if as_far > certain {
                break;
            }
        }
    }
    Some(f64::from(as_far) / f64::from(arrangements))
}

/// The level of each of `tests`, if that one of them calls chance real shall be no likelier than
/// `level` (Bonferroni's correction); but none that [`permutation_test`] could not reach.
pub fn level_of_each(level: f64, tests: usize) -> f64 {
    (level / tests.max(1) as f64).max(LEAST_LEVEL)
}

/// How many values a sample has, and which of them, counted from 1 in their order, is compared
/// with that of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// At least 1.
    pub count: usize,
    /// From 1 to the count.
    pub rank: usize,
}

/// The least answer that a [`permutation_test`] with all rearrangements can give: that of samples
/// of which every value of one lies below every value of the other. A test whose level is less
/// never calls anything real.
///
/// For averages every rank gives the answer that rank 1 gives.
pub fn least_probability(lower: Ranked, upper: Ranked) -> f64 {
    // As far apart are only arrangements that leave the lower sample's values up to its rank, and
    // the upper sample's from its rank on, where they are.
    let free = (lower.count + upper.rank).saturating_sub(lower.rank + 1);
    let free_of_lower = lower.count.saturating_sub(lower.rank);
    let as_far = ln_choose(free, free_of_lower);
    (as_far - ln_choose(lower.count + upper.count, lower.count)).exp()
}

/// Logarithm of the number of ways to choose `some` of `all`.
fn ln_choose(all: usize, some: usize) -> f64 {
    let fewer = some.min(all.saturating_sub(some));
    (1..=fewer)
        .map(|number| ((all - fewer + number) as f64 / number as f64).ln())
        .sum()
}

/// Which of these probabilities say that something is real, if of all that do at most the share
/// `level` shall be wrong, on average (Benjamini and Hochberg, "Controlling the false discovery
/// rate", 1995): those up to the one given. `None`: no one does.
pub fn discovery_threshold(mut probabilities: Vec<f64>, level: f64) -> Option<f64> {
    probabilities.sort_unstable_by(f64::total_cmp);
    let count = probabilities.len() as f64;
    let ranked = (1_u32..).zip(&probabilities);
    ranked
        .filter(|(rank, probability)| **probability <= level * f64::from(*rank) / count)
        .map(|(_, probability)| *probability)
        .last()
}

#[cfg(test)]
mod tests {
    use super::super::durations::quantile_of;
    use super::*;

    #[test]
    fn ranks_as_in_the_textbook() {
        // U = 12.5, z = 2.802 by hand.
        let first: Vec<u64> = (1..=10).collect();
        let second: Vec<u64> = (6..=15).collect();
        let probability = mann_whitney(&first, &second).expect("large enough");
        assert!((probability - 0.005_075_392).abs() < 1e-8, "{probability}");
        assert_eq!(mann_whitney(&second, &first), Some(probability));
    }

    #[test]
    fn equal_values_differ_in_nothing() {
        assert_eq!(mann_whitney(&[7; 20], &[7; 30]), Some(1.0));
        assert_eq!(mann_whitney(&[7; 7], &[9; 30]), None);
    }

    #[test]
    fn chance_is_called_real_as_often_as_the_level_says() {
        let mut random = Random::new(5);
        let (mut by_rank, mut by_median) = (0, 0);
        for _ in 0..400 {
            let mut sample = || -> Vec<u64> { (0..40).map(|_| random.below(1000)).collect() };
            let (first, second) = (sample(), sample());
            by_rank += u32::from(mann_whitney(&first, &second).expect("large enough") < 0.05);
            let median = |values: &mut [u64]| quantile_of(values, 0.5).unwrap_or(0) as f64;
            let probability =
                permutation_test(&first, &second, Direction::Larger, 0.05, median).expect("some");
            by_median += u32::from(probability < 0.05);
        }
        // 20 of 400 are expected, with a standard deviation of 4.4.
        assert!((5..36).contains(&by_rank), "{by_rank}");
        assert!((5..36).contains(&by_median), "{by_median}");
    }

    #[test]
    fn a_difference_is_found_in_its_direction_only() {
        let first: Vec<u64> = (100..140).collect();
        let second: Vec<u64> = (130..190).collect();
        let mean = |values: &mut [u64]| values.iter().sum::<u64>() as f64 / values.len() as f64;
        let test =
            |direction| permutation_test(&first, &second, direction, 0.01, mean).expect("some");
        assert!(test(Direction::Larger) < 0.001);
        assert!(test(Direction::Different) < 0.001);
        assert!(test(Direction::Smaller) > 0.01);
        assert!(mann_whitney(&first, &second).expect("large enough") < 1e-6);
        assert_eq!(
            permutation_test(&[], &second, Direction::Larger, 0.01, mean),
            None
        );
    }

    #[test]
    fn few_values_prove_nothing() {
        let mean = |values: &mut [u64]| values.iter().sum::<u64>() as f64 / values.len() as f64;
        let probability = permutation_test(&[1, 2, 3], &[7, 8, 9], Direction::Larger, 0.01, mean);
        assert!(probability.expect("some") > 0.01);
    }

    #[test]
    fn the_least_answer_is_that_of_samples_that_do_not_touch() {
        type Statistic = fn(&mut [u64]) -> f64;
        // Of all ways to choose one part, those in which the statistics are as far apart.
        fn counted(first: &[u64], second: &[u64], statistic: Statistic) -> f64 {
            let all: Vec<u64> = first.iter().chain(second).copied().collect();
            let difference = |lower: &mut Vec<u64>, upper: &mut Vec<u64>| {
                statistic(upper.as_mut_slice()) - statistic(lower.as_mut_slice())
            };
            let found = difference(&mut first.to_vec(), &mut second.to_vec());
            let (mut as_far, mut ways) = (0.0, 0.0);
            for choice in 0_u32..1 << all.len() {
                if choice.count_ones() as usize != first.len() {
                    continue;
                }
                let part = |wanted: u32| -> Vec<u64> {
                    let numbered = all.iter().enumerate();
                    let chosen = numbered.filter(|(index, _)| choice >> index & 1 == wanted);
                    chosen.map(|(_, value)| *value).collect()
                };
                ways += 1.0;
                as_far += f64::from(u8::from(difference(&mut part(1), &mut part(0)) >= found));
            }
            as_far / ways
        }
        let median = |values: &mut [u64]| quantile_of(values, 0.5).unwrap_or(0) as f64;
        let longest = |values: &mut [u64]| values.iter().copied().max().unwrap_or(0) as f64;
        let sum = |values: &mut [u64]| values.iter().sum::<u64>() as f64 / values.len() as f64;
        for (lower, upper) in [(5, 5), (3, 6), (7, 2), (1, 1), (6, 6)] {
            let values: Vec<u64> = (0..).map(|n| n * n + 3).take(lower + upper).collect();
            let (first, second) = values.split_at(lower);
            let ranks: [(Statistic, usize, usize); 3] = [
                (median, lower.div_ceil(2), upper.div_ceil(2)),
                (longest, lower, upper),
                (sum, 1, 1),
            ];
            for (statistic, rank, upper_rank) in ranks {
                let least = least_probability(
                    Ranked { count: lower, rank },
                    Ranked {
                        count: upper,
                        rank: upper_rank,
                    },
                );
                let counted = counted(first, second, statistic);
                assert!(
                    (least - counted).abs() < 1e-9,
                    "{lower} {upper}: {least} {counted}"
                );
            }
        }
    }

    #[test]
    fn a_level_that_many_tests_share_can_still_be_reached() {
        let first: Vec<u64> = (100..140).collect();
        let second: Vec<u64> = (230..290).collect();
        for tests in [1, 20, 10_000] {
            let level = level_of_each(0.01, tests);
            let mean = |values: &mut [u64]| values.iter().sum::<u64>() as f64 / values.len() as f64;
            let probability = permutation_test(&first, &second, Direction::Larger, level, mean);
            assert!(probability.expect("some") <= level, "{tests}");
        }
    }

    #[test]
    fn discoveries_share_the_level() {
        assert_eq!(discovery_threshold(vec![], 0.01), None);
        assert_eq!(discovery_threshold(vec![0.02, 0.5], 0.01), None);
        // Against 0.0025, 0.005, 0.0075 and 0.01.
        let threshold = discovery_threshold(vec![0.5, 0.004, 0.9, 0.0049], 0.01);
        assert_eq!(threshold, Some(0.0049));
        let threshold = discovery_threshold(vec![0.5, 0.004, 0.009, 0.0066], 0.01);
        assert_eq!(threshold, None);
        assert_eq!(discovery_threshold(vec![0.001, 0.009], 0.01), Some(0.009));
    }
}
