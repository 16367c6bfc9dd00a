use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use super::counts::CallCounts;
use super::observer::ObserverSite;
use crate::binary::VirtualAddress;
use crate::cli::PromotionChoice;
use crate::plan::{FunctionId, ProbePlan, SiteKind};

/// Of the calls outside of trees, one of so many is looked at.
pub const SAMPLE_ONE_OF: u32 = 64;

/// Calls between two batches from which on a function is worth a batch.
const MANY_CALLS: u64 = 200;

/// Idle hits of an observer in a second from which on it is taken away: they cost the program one
/// percent of a CPU. So many are also more than chance makes of samples.
const MANY_IDLE_HITS: i64 = 20_000;

/// Observers that there can be at most: the kernel side remembers no more return addresses.
const MAX_OBSERVERS: usize = 1 << 15;

/// Return addresses at most from where callers return at once. As many as observers: the kernel
/// side remembers both.
const MAX_CHAINS: usize = 1 << 15;

/// An observer to put in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewObserver {
    /// What events name it by; they count from 0.
    pub number: u32,
    /// Where calls return to that it is for.
    pub return_address: VirtualAddress,
    /// Where it goes.
    pub site: ObserverSite,
}

/// A place that calls return to from where their caller returns at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewChain {
    /// Where the calls return to.
    pub return_address: VirtualAddress,
    /// So far above the call's return address stands the caller's own.
    pub slot_bytes: u32,
    /// The caller, if it is traced.
    pub caller: Option<FunctionId>,
}

/// What is to be done, in the order of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Functions that get their RET probes back, because calls of theirs return to where no
    /// observer can be.
    pub demoted: Vec<FunctionId>,
    /// Observers for promoted functions, and for those that are to be.
    pub observers: Vec<NewObserver>,
    /// The same where callers return at once.
    pub chains: Vec<NewChain>,
    /// Functions whose RET probes go when their observers are in place.
    pub promoted: Vec<FunctionId>,
}

impl Batch {
    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.demoted.is_empty()
            && self.observers.is_empty()
            && self.chains.is_empty()
            && self.promoted.is_empty()
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
    /// The caller returns from there at once.
    Chained { chain: NewChain, is_in_place: bool },
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
    /// By the addresses of their RETs.
    by_ret: HashMap<VirtualAddress, FunctionId>,
    observers: usize,
    chains: usize,
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
                PromotionChoice::All | PromotionChoice::Alternate => true,
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
            by_ret: HashMap::new(),
            observers: 0,
            chains: 0,
        };
        // A function that is one RET has its entry there, which has to stay the last to be
        // attached.
        for (id, site) in plan.sites_with_ids() {
            let SiteKind::Return(function) = site.kind else {
                continue;
            };
            promoter.by_ret.insert(site.address, function);
            if plan.is_entry_too(id)
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
        if self.choice == PromotionChoice::Alternate && self.promoted_functions() > 0 {
            batch.demoted = self.give_all_back();
            return batch;
        }
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

    fn give_all_back(&mut self) -> Vec<FunctionId> {
        let functions = (0_u32..).map(FunctionId).zip(&mut self.functions);
        let promoted = functions.filter(|(_, state)| state.tier == Tier::Promoted);
        let given_back = promoted.map(|(id, state)| {
            state.tier = Tier::Returns;
            id
        });
        given_back.collect()
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
        let mut missing = Missing::default();
        let mut is_observable = true;
        let return_addresses: Vec<(VirtualAddress, u64)> = state
            .returns
            .iter()
            .map(|(return_address, calls)| (*return_address, *calls))
            .collect();
        for (return_address, calls) in return_addresses {
            let place = self.return_place(id, return_address);
            missing.add(return_address, place);
            match place {
                Return::Unobservable => {
                    is_observable = false;
                    break;
                }
                place if place.is_cheap() => cheap_calls += calls,
                _ => {}
            }
        }
        let has_room = self.has_room_for(&missing);
        match tier {
            Tier::Returns => {
                let is_worth_it = match self.choice {
                    PromotionChoice::All | PromotionChoice::Alternate => true,
                    // A single step at the observer is no cheaper than one at the RET.
                    _ => cheap_calls >= calls - calls / 4,
                };
                if is_observable && has_room && is_worth_it {
                    self.add_callers_to_come(id, &mut missing);
                    self.put_in_place(missing, batch);
                    batch.promoted.push(id);
                }
            }
            Tier::Promoted => {
                if is_observable && has_room {
                    self.put_in_place(missing, batch);
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

    /// Adds the places that calls of the function will return to if they come, as far as seeing
    /// that is cheap there.
    fn add_callers_to_come(&mut self, function: FunctionId, missing: &mut Missing) {
        let callers = (self.find_callers)(function);
        if callers.len() > MAX_CALLERS {
            return;
        }
        let mut to_come = missing.clone();
        for return_address in callers {
            let place = self.return_place(function, return_address);
            if place.is_cheap() {
                to_come.add(return_address, place);
            }
        }
        if self.has_room_for(&to_come) {
            *missing = to_come;
        }
    }

    fn has_room_for(&self, missing: &Missing) -> bool {
        self.observers + missing.observers.len() <= MAX_OBSERVERS
            && self.chains + missing.chains.len() <= MAX_CHAINS
    }

    fn calls_for_promotion(&self) -> u64 {
        match self.choice {
            PromotionChoice::All | PromotionChoice::Alternate => 1,
            _ => MANY_CALLS,
        }
    }

    /// What is known of where a call of `callee` returns to.
    fn return_place(&mut self, callee: FunctionId, return_address: VirtualAddress) -> Return {
        match self.returns.entry(return_address) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                let Some(site) = (self.find_observer)(return_address) else {
                    return *unknown.insert(Return::Unobservable);
                };
                let caller = self.by_ret.get(&site.address).copied();
                *unknown.insert(match site.caller_slot_bytes {
                    // In a recursion every level would be another link of the chain.
                    Some(slot_bytes) if caller != Some(callee) => Return::Chained {
                        chain: NewChain {
                            return_address,
                            slot_bytes,
                            caller,
                        },
                        is_in_place: false,
                    },
                    _ => Return::Observable(site),
                })
            }
        }
    }

    fn put_in_place(&mut self, missing: Missing, batch: &mut Batch) {
        let Missing {
            mut observers,
            mut chains,
        } = missing;
        observers.sort_unstable_by_key(|(return_address, _)| *return_address);
        observers.dedup_by_key(|(return_address, _)| *return_address);
        for (return_address, site) in observers {
            let number = u32::try_from(self.observers).unwrap_or(u32::MAX);
            let observed = Return::Observed { site, number };
            self.returns.insert(return_address, observed);
            batch.observers.push(NewObserver {
                number,
                return_address,
                site,
            });
            self.observers += 1;
        }
        chains.sort_unstable_by_key(|chain| chain.return_address);
        chains.dedup_by_key(|chain| chain.return_address);
        for chain in chains {
            let place = Return::Chained {
                chain,
                is_in_place: true,
            };
            self.returns.insert(chain.return_address, place);
            batch.chains.push(chain);
            self.chains += 1;
        }
    }
}

impl Return {
    /// Seeing a call return there costs no single step.
    fn is_cheap(self) -> bool {
        match self {
            Self::Observable(site) | Self::Observed { site, .. } => site.cost.is_emulated(),
            Self::Chained { .. } => true,
            Self::Unobservable => false,
        }
    }
}

/// What a function needs and is not in place.
#[derive(Clone, Debug, Default)]
struct Missing {
    observers: Vec<(VirtualAddress, ObserverSite)>,
    chains: Vec<NewChain>,
}

impl Missing {
    fn add(&mut self, return_address: VirtualAddress, place: Return) {
        match place {
            Return::Observable(site) => self.observers.push((return_address, site)),
            Return::Chained {
                chain,
                is_in_place: false,
            } => self.chains.push(chain),
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "promoter_tests.rs"]
mod tests;
