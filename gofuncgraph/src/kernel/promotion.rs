//! What can be changed about probes while tracing: where returns are seen.

use std::os::fd::{AsFd, BorrowedFd};

use gofuncgraph_common::{NO_SITE, ReturnPlace, SiteState, map_names, site_flags};

use super::KernelError;
use super::tracer::{Tracer, access_error, flags_of};
use crate::binary::{FileOffset, VirtualAddress};
use crate::plan::{ProbePlan, SiteId};
use crate::promotion::ObserverSite;

impl Tracer {
    /// Puts observers at `places`, each with what [`Record::Observed`] will name it by.
    /// Gives those that the kernel refuses.
    ///
    /// [`Record::Observed`]: crate::events::Record::Observed
    ///
    /// # Errors
    /// The kernel's.
    pub fn attach_observers(
        &mut self,
        file: BorrowedFd<'_>,
        places: &[(ObserverSite, u32)],
    ) -> Result<Vec<u32>, KernelError> {
        self.links.add_observers(&self.programs, file, places)
    }

    /// Takes observers away: what events name them by, and what they are for.
    ///
    /// # Errors
    /// The kernel's; then all stay.
    pub fn remove_observers(
        &mut self,
        file: BorrowedFd<'_>,
        observers: &[(u32, VirtualAddress)],
    ) -> Result<(), KernelError> {
        let numbers: Vec<u32> = observers.iter().map(|(number, _)| *number).collect();
        self.links
            .remove_observers(&self.programs, file, &numbers)?;
        for (_, return_address) in observers {
            // Gone already is as good.
            let _ = self.observed_returns.remove(&return_address.0);
        }
        Ok(())
    }

    /// Watches the entry of `runtime.sigpanic`, which is at `offset`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn attach_signal_panic(
        &mut self,
        file: BorrowedFd<'_>,
        offset: FileOffset,
    ) -> Result<(), KernelError> {
        let site = self.sites.len().saturating_sub(1);
        let state = SiteState {
            flags: site_flags::SIGNAL_PANIC,
            ..SiteState::default()
        };
        self.set_site(site, state)?;
        self.links
            .add(self.programs.entry.as_fd(), file, offset, site)
    }

    /// From now on calls that return to `return_address` are taken for observed.
    ///
    /// # Errors
    /// If there is no room for more, or the map cannot be written.
    pub fn observe_return(&mut self, return_address: VirtualAddress) -> Result<(), KernelError> {
        self.set_return_place(
            return_address,
            ReturnPlace {
                caller_slot_bytes: 0,
                caller_site: NO_SITE,
            },
        )
    }

    /// From now on the end of calls that return to `return_address` is taken to be that of their
    /// caller: its return address stands `slot_bytes` above the call's, and `caller` is the site
    /// of its entry, if it has one.
    ///
    /// # Errors
    /// If there is no room for more, or the map cannot be written.
    pub fn chain_return(
        &mut self,
        return_address: VirtualAddress,
        slot_bytes: u32,
        caller: Option<SiteId>,
    ) -> Result<(), KernelError> {
        self.set_return_place(
            return_address,
            ReturnPlace {
                caller_slot_bytes: slot_bytes,
                caller_site: caller.map_or(NO_SITE, |site| site.0),
            },
        )
    }

    fn set_return_place(
        &mut self,
        return_address: VirtualAddress,
        place: ReturnPlace,
    ) -> Result<(), KernelError> {
        self.observed_returns
            .insert(return_address.0, place, 0)
            .map_err(|error| access_error(map_names::OBSERVED_RETURNS, &error))
    }

    /// Says of a function, whose entry is `site` of `plan`, whether observers tell of its
    /// returns.
    ///
    /// # Errors
    /// If the map cannot be written.
    pub fn set_promoted(
        &mut self,
        plan: &ProbePlan,
        site: SiteId,
        is_promoted: bool,
    ) -> Result<(), KernelError> {
        let address = plan
            .sites
            .get(site.0 as usize)
            .map_or(0, |site| site.address.0);
        let state = SiteState {
            flags: flags_of(plan, site),
            tier: u32::from(is_promoted),
            address,
        };
        self.set_site(site.0, state)
    }

    /// Takes the probes away from all RETs for which `stays` does not hold, and puts back those
    /// that are missing.
    ///
    /// # Errors
    /// The kernel's; then everything is as before.
    pub fn keep_returns(
        &mut self,
        file: BorrowedFd<'_>,
        plan: &ProbePlan,
        stays: &dyn Fn(SiteId) -> bool,
    ) -> Result<(), KernelError> {
        // Of two probes at a RET the newer is hit first, and ends the tree: the older one counts
        // nothing from now on.
        let before = self.links.change_returns_generation();
        self.arm_wakeup()?;
        let kept = self.links.keep_returns(&self.programs, file, plan, stays);
        if kept.is_err() {
            self.links.set_returns_generation(before);
            self.arm_wakeup()?;
        }
        kept
    }
}
