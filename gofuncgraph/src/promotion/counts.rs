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
    /// A call in a tree.
    pub fn add(&mut self, function: FunctionId, return_address: VirtualAddress) {
        *self.calls.entry((function, return_address)).or_default() += 1;
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
