use std::time::Duration;

use crate::kernel::HitCosts;
use crate::plan::FunctionId;

/// What hits of probes cost, to take it off the durations of the calls that they were in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetCosts {
    costs: HitCosts,
    /// In order.
    stepped_functions: Vec<FunctionId>,
}

/// What told of the end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndedBy {
    /// A probe on its RET.
    Return,
    /// An observer.
    Observer,
    /// What told of the end of a caller that returned as soon as it did, a probe on a RET.
    CallersReturn,
    /// The same, an observer.
    CallersObserver,
    /// Something else.
    Other,
}

impl NetCosts {
    /// Hits cost `costs`; the entries of `stepped_functions` are single-stepped.
    pub fn new(costs: HitCosts, stepped_functions: impl IntoIterator<Item = FunctionId>) -> Self {
        let mut stepped_functions: Vec<FunctionId> = stepped_functions.into_iter().collect();
        stepped_functions.sort_unstable();
        Self {
            costs,
            stepped_functions,
        }
    }

    /// Of a function's entry, in nanoseconds.
    pub(super) fn entry_ns(&self, function: FunctionId) -> u64 {
        match self.stepped_functions.binary_search(&function) {
            Ok(_) => self.costs.inside_ns.stepped_entries,
            Err(_) => self.costs.inside_ns.entries,
        }
    }

    /// Of what told of an end, in nanoseconds.
    pub(super) fn end_ns(&self, ended_by: EndedBy) -> u64 {
        match ended_by {
            EndedBy::Return => self.costs.inside_ns.returns,
            EndedBy::Observer => self.costs.inside_ns.observers,
            // That hit is the caller's.
            EndedBy::CallersReturn | EndedBy::CallersObserver | EndedBy::Other => 0,
        }
    }

    /// What a call of `function` took, in which hits cost `inside_ns`, if it seemed to take
    /// `duration`. The rest of its own entry and the beginning of what told of its end are taken
    /// off, too. A single step comes after the moment that is known of the entry.
    pub(super) fn net(
        &self,
        duration: Duration,
        function: FunctionId,
        inside_ns: u64,
        ended_by: EndedBy,
    ) -> Duration {
        let step_ns = (self.entry_ns(function)).saturating_sub(self.costs.inside_ns.entries);
        let own_ns = match ended_by {
            EndedBy::Return | EndedBy::CallersReturn => {
                self.costs.least_by_return_ns.saturating_add(step_ns)
            }
            EndedBy::Observer | EndedBy::CallersObserver => {
                self.costs.least_by_observer_ns.saturating_add(step_ns)
            }
            EndedBy::Other => 0,
        };
        duration.saturating_sub(Duration::from_nanos(inside_ns.saturating_add(own_ns)))
    }
}
