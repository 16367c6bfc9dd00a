use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use super::counts::CallCounts;
use super::observer::ObserverSite;
use crate::binary::{FileOffset, VirtualAddress};
use crate::cli::PromotionChoice;
use crate::plan::{FunctionId, ProbePlan};

/// Of the calls outside of trees, one of so many is looked at.
pub const SAMPLE_ONE_OF: u32 = 64;

/// Calls between two batches from which on a function is worth a batch.
const MANY_CALLS: u64 = 200;

/// Idle hits of an observer in a second from which on it is taken away: they cost the program one
/// percent of a CPU. So many are also more than chance makes of samples.
const MANY_IDLE_HITS: i64 = 20_000;

/// Observers that there can be at most: the kernel side remembers no more return addresses.
const MAX_OBSERVERS: usize = 1 << 15;

/// An observer to put in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewObserver {
    /// What events name it by; they count from 0.
    pub number: u32,
    /// Where calls return to that it is for.
    pub return_address: VirtualAddress,
    /// Of its instruction.
    pub file_offset: FileOffset,
}

/// What is to be done, in the order of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Functions that get their RET probes back, because calls of theirs return to where no
    /// observer can be.
    pub demoted: Vec<FunctionId>,
    /// Observers for promoted functions, and for those that are to be.
    pub observers: Vec<NewObserver>,
    /// Functions whose RET probes go when their observers are in place.
    pub promoted: Vec<FunctionId>,
}

impl Batch {
    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.demoted.is_empty() && self.observers.is_empty() && self.promoted.is_empty()
    }
}

/// Observers that cost more than they are good for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdleObservers {
    /// Functions that get their RET probes back before the observers go.
    pub demoted: Vec<FunctionId>,
    /// Their numbers, and what they are for.
    pub observers: Vec<(u32, VirtualAddress)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    /// RET probes.
    Returns,
    /// Observers.
    Promoted,
    /// RET probes for good.
    Refused,
}

#[derive(Clone, Debug)]
struct FunctionState {
    tier: Tier,
    may_be_promoted: bool,
    /// Where its calls return to, and how many did since the last batch.
    returns: HashMap<VirtualAddress, u64>,
}

/// What is known of a return address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Return {
    /// An observer can be placed.
    Observable(ObserverSite),
    /// An observer is in place.
    Observed { site: ObserverSite, number: u32 },
    /// None can be placed, or the kernel refused it, or it cost more than it is good for.
    Unobservable,
}

/// Observers that are put in place for calls of a function that were not seen yet. What is
/// called from more places is called from few of them.
const MAX_CALLERS: usize = 512;

/// Finds the place of an observer.
pub type FindObserver<'a> = dyn Fn(VirtualAddress) -> Option<ObserverSite> + 'a;

/// Finds where the direct calls of a function return to.
pub type FindCallers<'a> = dyn FnMut(FunctionId) -> Vec<VirtualAddress> + 'a;

/// Decides which functions are promoted.
pub struct Promoter<'a> {
    choice: PromotionChoice,
    find_observer: Box<FindObserver<'a>>,
    find_callers: Box<FindCallers<'a>>,
    functions: Vec<FunctionState>,
    returns: HashMap<VirtualAddress, Return>,
    /// Of observers, since they were last looked at.
    idle_hits: HashMap<VirtualAddress, i64>,
    observers: usize,
}

impl<'a> Promoter<'a> {
    /// One that has seen no call yet. Targets of `plan` stay at their RET probes unless every
    /// function is one, or `choice` says otherwise.
    pub fn new(
        choice: PromotionChoice,
        plan: &ProbePlan,
        find_observer: Box<FindObserver<'a>>,
        find_callers: Box<FindCallers<'a>>,
    ) -> Self {
        let all_are_targets = plan.functions.iter().all(|function| function.is_target);
        let functions = plan.functions.iter().map(|function| FunctionState {
            tier: Tier::Returns,
            may_be_promoted: match choice {
                PromotionChoice::Off => false,
                PromotionChoice::All => true,
                PromotionChoice::Auto => !function.is_target || all_are_targets,
            },
            returns: HashMap::new(),
        });
        let mut promoter = Self {
            choice,
            find_observer,
            find_callers,
            functions: functions.collect(),
            returns: HashMap::new(),
            idle_hits: HashMap::new(),
            observers: 0,
        };
        // A function that is one RET has its entry there, which has to stay the last to be
        // attached.
        for (id, site) in plan.sites_with_ids() {
            if let crate::plan::SiteKind::Return(function) = site.kind
                && plan.is_entry_too(id)
                && let Some(state) = promoter.functions.get_mut(function.0 as usize)
            {
                state.may_be_promoted = false;
            }
        }
        promoter
    }

    /// Whether observers tell of the function's returns.
    pub fn is_promoted(&self, function: FunctionId) -> bool {
        let state = self.functions.get(function.0 as usize);
        state.is_some_and(|state| state.tier == Tier::Promoted)
    }

    /// Promoted functions.
    pub fn promoted_functions(&self) -> usize {
        let functions = self.functions.iter();
        functions
            .filter(|state| state.tier == Tier::Promoted)
            .count()
    }

    /// Observers in place.
    pub fn observers(&self) -> usize {
        self.observers
    }

    /// Takes what was counted since the last time.
    pub fn observe(&mut self, counts: &CallCounts) {
        for (function, return_address, calls) in counts.iter() {
            if let Some(state) = self.functions.get_mut(function.0 as usize)
                && state.may_be_promoted
            {
                let known = state.returns.entry(return_address).or_default();
                *known = known.saturating_add(calls);
            }
        }
        for (return_address, hits) in counts.idle_hits() {
            *self.idle_hits.entry(return_address).or_default() += hits;
        }
    }

    /// Observers that were reached too often for nothing in the last `elapsed`, with their return
    /// addresses: another path leads to their instruction, or other functions are called there.
    /// Promoted functions that need them are given back, and nothing is observed there again.
    pub fn take_idle_observers(&mut self, elapsed: Duration) -> IdleObservers {
        let many = MANY_IDLE_HITS as f64 * elapsed.as_secs_f64();
        let mut idle = IdleObservers::default();
        for (return_address, hits) in std::mem::take(&mut self.idle_hits) {
            if let Some(Return::Observed { number, .. }) = self.returns.get(&return_address)
                && hits as f64 > many
            {
                idle.observers.push((*number, return_address));
            }
        }
        idle.observers.sort_unstable();
        let observers = idle.observers.iter();
        let return_addresses: Vec<VirtualAddress> = observers.map(|(_, it)| *it).collect();
        if !return_addresses.is_empty() {
            idle.demoted = self.refuse(&return_addresses);
        }
        idle
    }

    /// What is to be done now.
    pub fn next_batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        for index in 0..self.functions.len() {
            self.decide(index, &mut batch);
        }
        for function in &batch.promoted {
            if let Some(state) = self.functions.get_mut(function.0 as usize) {
                state.tier = Tier::Promoted;
            }
        }
        for state in &mut self.functions {
            for calls in state.returns.values_mut() {
                *calls = 0;
            }
        }
        batch
    }

    /// What promoted functions need for calls that were seen since the last batch: no function
    /// is promoted.
    pub fn next_batch_of_promoted(&mut self) -> Batch {
        let mut batch = Batch::default();
        for index in 0..self.functions.len() {
            let state = self.functions.get(index);
            if state.is_some_and(|state| state.tier == Tier::Promoted) {
                self.decide(index, &mut batch);
            }
        }
        batch
    }

    /// The kernel refused to put observers in place for these return addresses: promoted
    /// functions with such a one are given back, and are not promoted again.
    pub fn refuse(&mut self, return_addresses: &[VirtualAddress]) -> Vec<FunctionId> {
        for return_address in return_addresses {
            self.returns.insert(*return_address, Return::Unobservable);
        }
        let mut given_back = Vec::new();
        for (id, state) in (0_u32..).map(FunctionId).zip(&mut self.functions) {
            let is_refused = return_addresses
                .iter()
                .any(|return_address| state.returns.contains_key(return_address));
            if is_refused && state.tier != Tier::Refused {
                if state.tier == Tier::Promoted {
                    given_back.push(id);
                }
                state.tier = Tier::Refused;
            }
        }
        given_back
    }

    fn decide(&mut self, index: usize, batch: &mut Batch) {
        let Some(state) = self.functions.get(index) else {
            return;
        };
        if !state.may_be_promoted || state.tier == Tier::Refused || state.returns.is_empty() {
            return;
        }
        let id = FunctionId(u32::try_from(index).unwrap_or(u32::MAX));
        let tier = state.tier;
        let calls: u64 = state.returns.values().sum();
        if tier == Tier::Returns && calls < self.calls_for_promotion() {
            return;
        }
        let mut cheap_calls = 0_u64;
        let mut missing = Vec::new();
        let mut is_observable = true;
        let return_addresses: Vec<(VirtualAddress, u64)> = state
            .returns
            .iter()
            .map(|(return_address, calls)| (*return_address, *calls))
            .collect();
        for (return_address, calls) in return_addresses {
            let site = match self.return_site(return_address) {
                Return::Observable(site) => {
                    missing.push((return_address, site));
                    site
                }
                Return::Observed { site, .. } => site,
                Return::Unobservable => {
                    is_observable = false;
                    break;
                }
            };
            if site.cost.is_emulated() {
                cheap_calls += calls;
            }
        }
        let has_room = self.observers + missing.len() <= MAX_OBSERVERS;
        match tier {
            Tier::Returns => {
                let is_worth_it = match self.choice {
                    PromotionChoice::All => true,
                    // A single step at the observer is no cheaper than one at the RET.
                    _ => cheap_calls >= calls - calls / 4,
                };
                if is_observable && has_room && is_worth_it {
                    missing.extend(self.callers_to_come(id));
                    self.add_observers(missing, batch);
                    batch.promoted.push(id);
                }
            }
            Tier::Promoted => {
                if is_observable && has_room {
                    self.add_observers(missing, batch);
                } else {
                    batch.demoted.push(id);
                    if let Some(state) = self.functions.get_mut(index) {
                        state.tier = Tier::Refused;
                    }
                }
            }
            Tier::Refused => {}
        }
    }

    /// Places that calls of the function will return to if they come, as far as an observer is
    /// cheap there.
    fn callers_to_come(&mut self, function: FunctionId) -> Vec<(VirtualAddress, ObserverSite)> {
        let callers = (self.find_callers)(function);
        if callers.len() > MAX_CALLERS || self.observers + callers.len() > MAX_OBSERVERS {
            return Vec::new();
        }
        let callers = callers.into_iter();
        callers
            .filter_map(|return_address| match self.return_site(return_address) {
                Return::Observable(site) if site.cost.is_emulated() => Some((return_address, site)),
                _ => None,
            })
            .collect()
    }

    fn calls_for_promotion(&self) -> u64 {
        match self.choice {
            PromotionChoice::All => 1,
            _ => MANY_CALLS,
        }
    }

    fn return_site(&mut self, return_address: VirtualAddress) -> Return {
        match self.returns.entry(return_address) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                let found = (self.find_observer)(return_address);
                *unknown.insert(found.map_or(Return::Unobservable, Return::Observable))
            }
        }
    }

    fn add_observers(&mut self, missing: Vec<(VirtualAddress, ObserverSite)>, batch: &mut Batch) {
        let mut missing = missing;
        missing.sort_unstable_by_key(|(return_address, _)| *return_address);
        missing.dedup_by_key(|(return_address, _)| *return_address);
        for (return_address, site) in missing {
            let number = u32::try_from(self.observers).unwrap_or(u32::MAX);
            let observed = Return::Observed { site, number };
            self.returns.insert(return_address, observed);
            batch.observers.push(NewObserver {
                number,
                return_address,
                file_offset: site.file_offset,
            });
            self.observers += 1;
        }
    }
}

#[cfg(test)]
#[path = "promoter_tests.rs"]
mod tests;
