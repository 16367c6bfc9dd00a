use std::collections::HashMap;

use super::promoter::SAMPLE_ONE_OF;
use crate::binary::VirtualAddress;
use crate::plan::FunctionId;

/// Calls by function and return address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallCounts {
    calls: HashMap<(FunctionId, VirtualAddress), u64>,
}

impl CallCounts {
    /// A call in a tree.
    pub fn add(&mut self, function: FunctionId, return_address: VirtualAddress) {
        *self.calls.entry((function, return_address)).or_default() += 1;
    }

    /// A call outside of any tree, which stands for [`SAMPLE_ONE_OF`].
    pub fn add_sample(&mut self, function: FunctionId, return_address: VirtualAddress) {
        *self.calls.entry((function, return_address)).or_default() += u64::from(SAMPLE_ONE_OF);
    }

    /// What was counted, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (FunctionId, VirtualAddress, u64)> + '_ {
        self.calls
            .iter()
            .map(|(&(function, return_address), &calls)| (function, return_address, calls))
    }

    /// Nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}
