use foldhash::HashMap;

use super::promoter::SAMPLE_ONE_OF;
use crate::binary::VirtualAddress;
use crate::plan::FunctionId;

/// Calls by function and return address, and what observers cost for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallCounts {
    calls: HashMap<(FunctionId, VirtualAddress), u64>,
    /// Hits by return address; positive where they are more than the calls outside of trees.
    idle_hits: HashMap<VirtualAddress, i64>,
}

impl CallCounts {
    /// Calls in trees.
    pub fn add(&mut self, function: FunctionId, return_address: VirtualAddress, calls: u64) {
        *self.calls.entry((function, return_address)).or_default() += calls;
    }

    /// A call outside of any tree, which stands for [`SAMPLE_ONE_OF`]. `end` is where a caller
    /// returns to, if the call's end is to be seen there.
    pub fn add_sample(
        &mut self,
        function: FunctionId,
        return_address: VirtualAddress,
        end: Option<VirtualAddress>,
    ) {
        for place in [Some(return_address), end].into_iter().flatten() {
            *self.calls.entry((function, place)).or_default() += u64::from(SAMPLE_ONE_OF);
        }
        let seen_at = end.unwrap_or(return_address);
        *self.idle_hits.entry(seen_at).or_default() -= i64::from(SAMPLE_ONE_OF);
    }

    /// The observer for calls that return to `return_address` was reached and had nothing to
    /// tell; this stands for [`SAMPLE_ONE_OF`]. Calls outside of trees have nothing to tell.
    pub fn add_idle_sample(&mut self, return_address: VirtualAddress) {
        *self.idle_hits.entry(return_address).or_default() += i64::from(SAMPLE_ONE_OF);
    }

    /// What was counted, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (FunctionId, VirtualAddress, u64)> + '_ {
        self.calls
            .iter()
            .map(|(&(function, return_address), &calls)| (function, return_address, calls))
    }

    /// How much more often observers were reached idly than calls outside of trees explain; less
    /// than 0 where they were reached less often.
    pub fn idle_hits(&self) -> impl Iterator<Item = (VirtualAddress, i64)> + '_ {
        self.idle_hits
            .iter()
            .map(|(&return_address, &hits)| (return_address, hits))
    }
}

/// A power of two: places whose calls are counted without a look into [`CallCounts`].
const RECENT_PLACES: usize = 1 << 8;

/// Counts calls in trees, of which there are very many from few places.
#[derive(Clone, Debug)]
pub struct RecentCalls {
    /// Where calls return to says where they are counted.
    places: Vec<RecentPlace>,
}

#[derive(Clone, Copy, Debug)]
struct RecentPlace {
    return_address: VirtualAddress,
    function: FunctionId,
    calls: u64,
}

impl Default for RecentCalls {
    fn default() -> Self {
        Self {
            places: vec![
                RecentPlace {
                    return_address: VirtualAddress::default(),
                    function: FunctionId(0),
                    calls: 0,
                };
                RECENT_PLACES
            ],
        }
    }
}

impl RecentCalls {
    /// A call. Those that it pushes out go to `counts`.
    pub fn add(
        &mut self,
        function: FunctionId,
        return_address: VirtualAddress,
        counts: &mut CallCounts,
    ) {
        // Fibonacci hashing: the upper bits of the product are the most mixed ones.
        let product = return_address.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let index = (product >> 32) as usize % RECENT_PLACES;
        let Some(place) = self.places.get_mut(index) else {
            return;
        };
        if (place.function, place.return_address) != (function, return_address) {
            place.move_to(counts);
            (place.function, place.return_address) = (function, return_address);
        }
        place.calls += 1;
    }

    /// Moves everything to `counts`.
    pub fn move_to(&mut self, counts: &mut CallCounts) {
        for place in &mut self.places {
            place.move_to(counts);
        }
    }
}

impl RecentPlace {
    fn move_to(&mut self, counts: &mut CallCounts) {
        let calls = std::mem::take(&mut self.calls);
        if calls != 0 {
            counts.add(self.function, self.return_address, calls);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_push_one_another_out_are_counted_as_well() {
        let (mut recent, mut counts) = (RecentCalls::default(), CallCounts::default());
        let mut expected = CallCounts::default();
        // More places than there is room for, and functions that are called from the same place.
        for call in 0..5_000_u64 {
            let function = FunctionId((call % 3) as u32);
            let return_address = VirtualAddress(0x40_1000 + call * call % 701);
            recent.add(function, return_address, &mut counts);
            expected.add(function, return_address, 1);
        }
        assert_ne!(counts, expected);
        recent.move_to(&mut counts);
        assert_eq!(counts, expected);
        recent.move_to(&mut counts);
        assert_eq!(counts, expected);
    }
}
