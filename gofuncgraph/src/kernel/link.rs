//! Links, which can be added and replaced while tracing.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use gofuncgraph_common::ret_cookie;

use crate::binary::{FileOffset, VirtualAddress};
use crate::plan::{InstructionCost, ProbePlan, Site, SiteId, SiteKind};
use crate::promotion::ObserverSite;

use super::KernelError;
use super::link_target::{
    Attached, Link, LinkScope, Probes, RetProbes, Target, attach_error, close, link_process,
    placed_cookie,
};
use super::program::UprobePrograms;

/// How an attachment went.
#[derive(Clone, Debug)]
pub struct AttachReport {
    /// Probes in place.
    pub attached: usize,
    /// Sites whose instruction the kernel refuses to probe. They cost only themselves.
    pub refused: Vec<SiteId>,
}

/// All links of a session.
#[derive(Default)]
pub(super) struct Links {
    /// What stays until the end.
    lasting: Vec<Link>,
    /// Probes on RETs, as far as they can be replaced.
    returns: Vec<Link>,
    /// 1 to [`RETURNS_GENERATIONS`] by turns, 0 at first.
    returns_generation: u32,
    observer_links: Vec<Link>,
    /// What those have: places and numbers.
    observers: Vec<(ObserverSite, u32)>,
    /// Sites that the kernel refused.
    refused: Vec<SiteId>,
    closing: Vec<JoinHandle<()>>,
    scope: LinkScope,
}

/// As many as cookies have room for: links go away on a thread, and on busy CPUs those before the
/// last can still be there when the next come.
const RETURNS_GENERATIONS: u32 = 3;

impl Links {
    /// Links that are made from now on are for these processes.
    pub(super) fn set_scope(&mut self, scope: LinkScope) {
        self.scope = scope;
    }

    /// Puts the probes of a process in place again that has begun a new program image: the
    /// kernel's filter knows a process by its leader, which is another one now.
    pub(super) fn renew(&mut self, pid: u32) -> Result<(), KernelError> {
        let is_of_process =
            |link: &Link| link.of_process.as_ref().is_some_and(|(of, _)| *of == pid);
        // As in `attach`: returns come before entries.
        let mut groups = [
            &mut self.returns,
            &mut self.lasting,
            &mut self.observer_links,
        ];
        let old = groups.each_mut().map(|group| {
            let links = std::mem::take::<Vec<Link>>(group);
            let (of_process, others): (Vec<_>, Vec<_>) = links.into_iter().partition(is_of_process);
            **group = others;
            of_process
        });
        let parts = old.each_ref().map(|links| {
            let parts = links.iter().filter_map(|link| link.of_process.as_ref());
            parts
                .map(|(_, parts)| Arc::clone(parts))
                .collect::<Vec<_>>()
        });
        // First, and to the end: they have no probes there, but would run at those of the new
        // ones, and what happens would be told twice.
        close(old.into_iter().flatten().collect());
        for (group, parts) in groups.into_iter().zip(parts) {
            for parts in parts {
                match link_process(pid, &parts) {
                    Ok(renewed) => group.push(renewed),
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    Err(error) => return Err(attach_error(parts.probes.offsets.len(), error)),
                }
            }
        }
        Ok(())
    }

    /// Attaches the sites of `plan` to `file`: two links for entries and watched sites, one for
    /// returns, and one for returns that are entries at the same time.
    pub(super) fn attach(
        &mut self,
        programs: &UprobePrograms,
        file: BorrowedFd<'_>,
        plan: &ProbePlan,
    ) -> Result<AttachReport, KernelError> {
        let mut entries = Probes::default();
        let mut uncertain_entries = Probes::default();
        let mut returns = RetProbes::default();
        let mut returns_at_entries = Probes::default();
        for (id, site) in plan.sites_with_ids() {
            let probes = match site.kind {
                SiteKind::Return(_) if plan.is_entry_too(id) => &mut returns_at_entries,
                SiteKind::Return(_) => {
                    returns.push(
                        programs,
                        place_of(site),
                        cookie_of_ret(id, self.returns_generation()),
                    );
                    continue;
                }
                // What the kernel emulates it never refuses.
                _ if site.cost.is_emulated() => &mut entries,
                SiteKind::Entry(_)
                | SiteKind::Recovery
                | SiteKind::GoroutineExit
                | SiteKind::Reason(_) => &mut uncertain_entries,
            };
            probes.push(site.file_offset, placed_cookie(id.0, site.address));
        }
        let target = Target::new(file, &self.scope)?;
        let entry = programs.entry.as_fd();
        // Where a straight line ends in its RET, both programs run for the same instruction, and the
        // kernel runs the one that was attached last first (Linux: kernel/events/uprobes.c,
        // consumer_add): entries come after such returns, which are never replaced. The kernel
        // executes them: a uretprobe of somebody else replaces the return address after all
        // programs have run, so it has to be there still.
        let returned_at_entries =
            target.attach(programs.function_return.as_fd(), &returns_at_entries)?;
        // Before the many others, which would go into the mapping that is made for these.
        let uncertain_entered = target.attach_uncertain(entry, &uncertain_entries)?;
        let returned = target.attach_returns(programs, &returns)?;
        let entered = target.attach(entry, &entries)?;
        self.returns = returned.links;
        self.refused.extend(returned.refused);
        for attached in [returned_at_entries, uncertain_entered, entered] {
            self.lasting.extend(attached.links);
            self.refused.extend(attached.refused);
        }
        self.refused.sort_unstable();
        self.refused.dedup();
        Ok(AttachReport {
            attached: plan.sites.len() - self.refused.len(),
            refused: self.refused.clone(),
        })
    }

    /// Puts a lasting probe of `program` at `offset`.
    pub(super) fn add(
        &mut self,
        program: BorrowedFd<'_>,
        file: BorrowedFd<'_>,
        offset: FileOffset,
        cookie: u32,
    ) -> Result<(), KernelError> {
        let probes = Probes::at(&[(offset, u64::from(cookie))]);
        let attached = Target::new(file, &self.scope)?.attach_uncertain(program, &probes)?;
        self.lasting.extend(attached.links);
        Ok(())
    }

    /// Puts observers in place beside those that are there. Gives the numbers of those that the
    /// kernel refuses.
    pub(super) fn add_observers(
        &mut self,
        programs: &UprobePrograms,
        file: BorrowedFd<'_>,
        places: &[(ObserverSite, u32)],
    ) -> Result<Vec<u32>, KernelError> {
        let attached = attach_observers(programs, file, places, &self.scope)?;
        self.observer_links.extend(attached.links);
        let refused: Vec<u32> = attached.refused.iter().map(|id| id.0).collect();
        let placed = places
            .iter()
            .filter(|(_, number)| !refused.contains(number));
        self.observers.extend(placed);
        Ok(refused)
    }

    /// Takes the observers with these numbers away.
    pub(super) fn remove_observers(
        &mut self,
        programs: &UprobePrograms,
        file: BorrowedFd<'_>,
        numbers: &[u32],
    ) -> Result<(), KernelError> {
        let stays = |(_, number): &&(ObserverSite, u32)| !numbers.contains(number);
        let staying: Vec<(ObserverSite, u32)> =
            self.observers.iter().filter(stays).copied().collect();
        let attached = attach_observers(programs, file, &staying, &self.scope)?;
        self.observers = staying;
        let replaced = std::mem::replace(&mut self.observer_links, attached.links);
        self.close_meanwhile(replaced);
        Ok(())
    }

    /// Closes links on a thread.
    pub(super) fn close_meanwhile(&mut self, links: Vec<Link>) {
        self.closing.retain(|closing| !closing.is_finished());
        // Where no thread can be had, the links go away with the closure that holds them.
        self.closing
            .extend(thread::Builder::new().spawn(move || close(links)));
    }

    /// The next probes on RETs are of another generation than those that are there. Gives which
    /// those were.
    pub(super) fn change_returns_generation(&mut self) -> u32 {
        let before = self.returns_generation();
        self.returns_generation = before % RETURNS_GENERATIONS + 1;
        before
    }

    /// The probes on RETs that are there stay the newest.
    pub(super) fn set_returns_generation(&mut self, generation: u32) {
        self.returns_generation = generation;
    }

    /// Of the cookies of the RETs' newest probes, or of the next ones.
    pub(super) fn returns_generation(&self) -> u32 {
        self.returns_generation.max(1)
    }

    /// Leaves probes on those RETs alone for which `stays` holds, and on those that cannot be
    /// replaced. No RET is without its probe in between.
    pub(super) fn keep_returns(
        &mut self,
        programs: &UprobePrograms,
        file: BorrowedFd<'_>,
        plan: &ProbePlan,
        stays: &dyn Fn(SiteId) -> bool,
    ) -> Result<(), KernelError> {
        let generation = self.returns_generation();
        let mut probes = RetProbes::default();
        for (id, site) in plan.sites_with_ids() {
            let is_return = matches!(site.kind, SiteKind::Return(_));
            if is_return
                && !plan.is_entry_too(id)
                && self.refused.binary_search(&id).is_err()
                && stays(id)
            {
                probes.push(programs, place_of(site), cookie_of_ret(id, generation));
            }
        }
        let attached = Target::new(file, &self.scope)?.attach_returns(programs, &probes)?;
        let replaced = std::mem::replace(&mut self.returns, attached.links);
        self.close_meanwhile(replaced);
        Ok(())
    }

    /// Drops every link. No program runs for these probes after it returns.
    pub(super) fn detach_all(&mut self) {
        let links = self.lasting.drain(..).chain(self.returns.drain(..));
        let links = links.chain(self.observer_links.drain(..));
        close(links.collect());
        for closing in self.closing.drain(..) {
            // It only drops.
            let _ = closing.join();
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.detach_all();
    }
}

fn place_of(site: &Site) -> (VirtualAddress, FileOffset, InstructionCost) {
    (site.address, site.file_offset, site.cost)
}

fn cookie_of_ret(site: SiteId, generation: u32) -> u32 {
    site.0 | generation << ret_cookie::GENERATION_SHIFT
}

/// Attaches observers at places of `file`, each with its number.
fn attach_observers(
    programs: &UprobePrograms,
    file: BorrowedFd<'_>,
    places: &[(ObserverSite, u32)],
    scope: &LinkScope,
) -> Result<Attached, KernelError> {
    let mut probes = RetProbes::default();
    for (site, number) in places {
        let place = (site.address, site.file_offset, site.cost);
        probes.push(programs, place, *number);
    }
    let target = Target::new(file, scope)?;
    let attached = target.attach(programs.observer.as_fd(), &probes.plain)?;
    match &programs.emulating {
        Some(emulating) => {
            let emulated = target.attach(emulating.observer.as_fd(), &probes.emulated)?;
            Ok(attached.and(emulated))
        }
        None => Ok(attached),
    }
}
