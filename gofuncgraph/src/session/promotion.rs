//! Carries out in the kernel what a [`Promoter`] decides.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use super::SessionError;
use super::callers_search::CallersSearch;
use crate::binary::{FileOffset, GoBinary, VirtualAddress};
use crate::cli::{PromotionChoice, Settings};
use crate::events::LiveEvents;
use crate::plan::{FunctionId, ProbePlan, SiteId, SiteKind, signal_panic_site};
use crate::promotion::{Batch, IdleObservers, Promoter, find_observer};

/// Between the first batches; every one that takes probes away doubles it.
const FIRST_INTERVAL: Duration = Duration::from_millis(200);
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);

/// Between batches where all functions are promoted and given back by turns.
const ALTERNATING_INTERVAL: Duration = Duration::from_millis(20);

/// How often idle observers are looked for.
const IDLE_INTERVAL: Duration = Duration::from_millis(500);

/// The promotion of a live trace's functions.
pub(super) struct Promotion<'a> {
    promoter: Promoter<'a>,
    plan: &'a ProbePlan,
    /// Of functions, the entry first.
    sites: HashMap<FunctionId, Vec<SiteId>>,
    file: BorrowedFd<'a>,
    /// Until it is watched.
    signal_panic: Option<FileOffset>,
    /// RETs keep their probes.
    verify: bool,
    next_batch: Instant,
    interval: Duration,
    longest_interval: Duration,
    idle_looked_at: Instant,
    removed_observers: usize,
    /// Whether the direct callers in the code were looked for by now.
    callers_are_known: Box<dyn FnMut() -> bool + 'a>,
}

/// What was done to probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Promoted {
    pub(super) functions: usize,
    pub(super) observers: usize,
}

impl fmt::Display for Promoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            functions,
            observers,
        } = self;
        write!(
            f,
            "promoted by now: {functions} functions, by {observers} observers"
        )
    }
}

impl<'a> Promotion<'a> {
    /// `None` if nothing shall be promoted.
    pub(super) fn new(
        settings: &Settings,
        binary: &'a GoBinary<'a>,
        plan: &'a ProbePlan,
        file: BorrowedFd<'a>,
        mut callers: CallersSearch<'a, '_>,
    ) -> Option<Self> {
        let choice = settings.promote;
        let (interval, longest_interval) = match choice {
            PromotionChoice::Alternate => (ALTERNATING_INTERVAL, ALTERNATING_INTERVAL),
            _ => (FIRST_INTERVAL, LONGEST_INTERVAL),
        };
        // Without its watch a fault would be shown inside a call that has returned.
        let signal_panic = signal_panic_site(binary);
        if choice == PromotionChoice::Off || signal_panic.is_none() {
            return None;
        }
        let find = move |return_address: VirtualAddress| find_observer(binary, return_address);
        let found = callers.result();
        let find_callers = move |function: FunctionId| {
            let function = plan.functions.get(function.0 as usize);
            let returns = found.get().zip(function);
            returns.map_or_else(Vec::new, |(callers, function)| {
                callers.returns_of(function.start).to_vec()
            })
        };
        Some(Self {
            promoter: Promoter::new(choice, plan, Box::new(find), Box::new(find_callers)),
            plan,
            sites: sites(plan),
            file,
            signal_panic,
            verify: settings.verify_exits,
            next_batch: Instant::now() + interval,
            interval,
            longest_interval,
            idle_looked_at: Instant::now(),
            removed_observers: 0,
            callers_are_known: Box::new(move || callers.is_done()),
        })
    }

    /// What there is by now.
    pub(super) fn promoted(&self) -> Promoted {
        Promoted {
            functions: self.promoter.promoted_functions(),
            observers: self.promoter.observers() - self.removed_observers,
        }
    }

    /// Takes the calls that were seen, and does what is due. `drain` takes all events that there
    /// are by now. Says whether probes were changed.
    pub(super) fn tick(
        &mut self,
        events: &mut LiveEvents,
        drain: &mut dyn FnMut(&mut LiveEvents) -> Result<(), SessionError>,
    ) -> Result<bool, SessionError> {
        // Return addresses that are new get their observers at once: until then calls end late.
        let mut demoted = self.observe_promoted(events)?;
        let idle = self.idle_observers();
        demoted.extend(&idle.demoted);
        let is_due = Instant::now() >= self.next_batch && (self.callers_are_known)();
        let batch = if is_due {
            self.promoter.next_batch()
        } else {
            Batch::default()
        };
        demoted.extend(&batch.demoted);
        demoted.extend(self.add_observers(&batch, events)?);
        if demoted.is_empty() && batch.is_empty() && idle.observers.is_empty() {
            return Ok(false);
        }
        for function in &batch.promoted {
            self.set_promoted(*function, self.promoter.is_promoted(*function), events)?;
        }
        // Calls may have come meanwhile that return to places that were not known.
        drain(events)?;
        demoted.extend(self.observe_promoted(events)?);
        if !self.verify {
            let promoter = &self.promoter;
            let plan = self.plan;
            let stays = |site: SiteId| match plan.sites.get(site.0 as usize).map(|it| it.kind) {
                Some(SiteKind::Return(function)) => !promoter.is_promoted(function),
                _ => true,
            };
            events.tracer().keep_returns(self.file, plan, &stays)?;
        }
        for function in demoted {
            self.set_promoted(function, false, events)?;
        }
        if !idle.observers.is_empty() {
            self.removed_observers += idle.observers.len();
            events
                .tracer()
                .remove_observers(self.file, &idle.observers)?;
        }
        if is_due {
            self.interval = (self.interval * 2).min(self.longest_interval);
            self.next_batch = Instant::now() + self.interval;
        }
        Ok(true)
    }

    /// Those that cost more than they are good for, looked for now and then.
    fn idle_observers(&mut self) -> IdleObservers {
        let elapsed = self.idle_looked_at.elapsed();
        if elapsed < IDLE_INTERVAL {
            return IdleObservers::default();
        }
        self.idle_looked_at = Instant::now();
        self.promoter.take_idle_observers(elapsed)
    }

    /// Puts observers where calls of promoted functions were seen to return to. Gives the
    /// functions that can be promoted no longer.
    fn observe_promoted(
        &mut self,
        events: &mut LiveEvents,
    ) -> Result<Vec<FunctionId>, SessionError> {
        self.promoter.observe(&events.take_call_counts());
        let batch = self.promoter.next_batch_of_promoted();
        let mut demoted = self.add_observers(&batch, events)?;
        demoted.extend(&batch.demoted);
        Ok(demoted)
    }

    /// Gives the functions that cannot be promoted after all.
    fn add_observers(
        &mut self,
        batch: &Batch,
        events: &mut LiveEvents,
    ) -> Result<Vec<FunctionId>, SessionError> {
        if batch.observers.is_empty() && batch.chains.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(offset) = self.signal_panic.take() {
            events.tracer().attach_signal_panic(self.file, offset)?;
        }
        for chain in &batch.chains {
            let caller = chain.caller.and_then(|caller| self.entry_site(caller));
            events
                .tracer()
                .chain_return(chain.return_address, chain.slot_bytes, caller)?;
        }
        if batch.observers.is_empty() {
            return Ok(Vec::new());
        }
        let observers = batch.observers.iter();
        events.add_observers(observers.clone().map(|observer| observer.return_address));
        let places: Vec<_> = observers
            .clone()
            .map(|observer| (observer.site, observer.number))
            .collect();
        let refused = events.tracer().attach_observers(self.file, &places)?;
        let mut unobservable = Vec::new();
        for observer in observers {
            if refused.contains(&observer.number) {
                unobservable.push(observer.return_address);
            } else {
                events.tracer().observe_return(observer.return_address)?;
            }
        }
        if unobservable.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.promoter.refuse(&unobservable))
    }

    fn entry_site(&self, function: FunctionId) -> Option<SiteId> {
        self.sites.get(&function)?.first().copied()
    }

    fn set_promoted(
        &self,
        function: FunctionId,
        is_promoted: bool,
        events: &mut LiveEvents,
    ) -> Result<(), SessionError> {
        if is_promoted {
            events.note_promoted(function);
        }
        for site in self.sites.get(&function).into_iter().flatten() {
            events
                .tracer()
                .set_promoted(self.plan, *site, is_promoted)?;
        }
        Ok(())
    }
}

fn sites(plan: &ProbePlan) -> HashMap<FunctionId, Vec<SiteId>> {
    let mut sites: HashMap<FunctionId, Vec<SiteId>> = HashMap::new();
    for (id, site) in plan.sites_with_ids() {
        match site.kind {
            SiteKind::Entry(function) => sites.entry(function).or_default().insert(0, id),
            SiteKind::Return(function) => sites.entry(function).or_default().push(id),
            SiteKind::Recovery | SiteKind::GoroutineExit | SiteKind::Reason(_) => {}
        }
    }
    sites
}
