//! Links, which can be added and replaced while tracing.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::thread::{self, JoinHandle};

use gofuncgraph_common::ret_cookie;

use crate::binary::{FileOffset, VirtualAddress};
use crate::plan::{InstructionCost, ProbePlan, Site, SiteId, SiteKind};
use crate::promotion::ObserverSite;

use super::KernelError;
use super::bisection::find_refused;
use super::code_mapping::CodeMapping;
use super::program::UprobePrograms;
use super::system_call::{ENOTSUPP, UprobeMulti, link_uprobe_multi};

/// One BPF_LINK_CREATE takes at most this many probes (Linux: kernel/trace/bpf_trace.c,
/// MAX_UPROBE_MULTI_CNT).
const PROBES_PER_LINK: usize = 1 << 20;

/// Links with more probes are closed one after the other.
const MANY_PROBES: usize = 4_000;

/// How an attachment went.
#[derive(Clone, Debug)]
pub struct AttachReport {
    /// Probes in place.
    pub attached: usize,
    /// Sites whose instruction the kernel refuses to probe. They cost only themselves.
    pub refused: Vec<SiteId>,
}

/// Probes for one program, as the kernel takes them.
#[derive(Default)]
struct Probes {
    offsets: Vec<u64>,
    cookies: Vec<u64>,
}

impl Probes {
    fn at(places: &[(FileOffset, u64)]) -> Self {
        let mut probes = Self::default();
        for &(offset, cookie) in places {
            probes.push(offset, cookie);
        }
        probes
    }

    fn push(&mut self, offset: FileOffset, cookie: u64) {
        self.offsets.push(offset.0);
        self.cookies.push(cookie);
    }
}

/// The same for programs that come in two kinds.
#[derive(Default)]
struct RetProbes {
    /// The kernel executes the instruction.
    plain: Probes,
    /// It is a RET, and the program executes it.
    emulated: Probes,
}

impl RetProbes {
    /// The upper half of a cookie tells the program that emulates where its probe is.
    fn push(
        &mut self,
        programs: &UprobePrograms,
        place: (VirtualAddress, FileOffset, InstructionCost),
        cookie: u32,
    ) {
        let (address, file_offset, cost) = place;
        let cookie = u64::from(cookie);
        let is_plain = programs.emulating.is_none() || cost != InstructionCost::SingleSteppedRet;
        match u32::try_from(address.0) {
            Ok(address) if !is_plain => self
                .emulated
                .push(file_offset, cookie | u64::from(address) << 32),
            _ => self.plain.push(file_offset, cookie),
        }
    }
}

/// Probes of one program. Dropping it takes them away.
pub(super) struct Link {
    _descriptor: OwnedFd,
    probes: usize,
}

/// All links of a session.
#[derive(Default)]
pub(super) struct Links {
    /// What stays until the end.
    lasting: Vec<Link>,
    /// Probes on RETs, as far as they can be replaced.
    returns: Vec<Link>,
    /// 1 and 2 by turns, 0 at first.
    returns_generation: u32,
    observer_links: Vec<Link>,
    /// What those have: places and numbers.
    observers: Vec<(ObserverSite, u32)>,
    /// Sites that the kernel refused.
    refused: Vec<SiteId>,
    closing: Vec<JoinHandle<()>>,
}

impl Links {
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
                SiteKind::Entry(_) | SiteKind::Recovery | SiteKind::GoroutineExit => {
                    &mut uncertain_entries
                }
            };
            probes.push(site.file_offset, u64::from(id.0));
        }
        let target = Target::new(file)?;
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
        let attached = Target::new(file)?.attach_uncertain(program, &probes)?;
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
        let attached = attach_observers(programs, file, places)?;
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
        let attached = attach_observers(programs, file, &staying)?;
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

    /// The next probes on RETs are of another generation than those that are there.
    pub(super) fn change_returns_generation(&mut self) {
        self.returns_generation = 3 - self.returns_generation();
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
        let attached = Target::new(file)?.attach_returns(programs, &probes)?;
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

/// Closing a link waits some 30 ms for running handlers, whatever its size, so links are closed at
/// the same time. But all closes take their probes away under one lock, a probe at a time (Linux:
/// kernel/events/uprobes.c, `register_for_each_vma`), and two of them that pass it to and fro take
/// three times as long as one after the other. So large links wait for each other; for smaller
/// ones that would take longer.
fn close(links: Vec<Link>) {
    let (large, small): (Vec<_>, Vec<_>) = links
        .into_iter()
        .partition(|link| link.probes > MANY_PROBES);
    thread::scope(|scope| {
        for link in small {
            // Where no thread can be had, the link goes away with the closure that holds it.
            let _ = thread::Builder::new().spawn_scoped(scope, move || drop(link));
        }
        drop(large);
    });
}

pub(super) struct Attached {
    pub(super) links: Vec<Link>,
    refused: Vec<SiteId>,
}

/// Attaches `program` at places of `file`, each with its cookie.
pub(super) fn attach_at(
    program: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    places: &[(FileOffset, u64)],
) -> Result<Attached, KernelError> {
    Target::new(file)?.attach(program, &Probes::at(places))
}

impl Attached {
    fn and(mut self, other: Self) -> Self {
        self.links.extend(other.links);
        self.refused.extend(other.refused);
        self
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
) -> Result<Attached, KernelError> {
    let mut probes = RetProbes::default();
    for (site, number) in places {
        let place = (site.address, site.file_offset, site.cost);
        probes.push(programs, place, *number);
    }
    let target = Target::new(file)?;
    let attached = target.attach(programs.observer.as_fd(), &probes.plain)?;
    match &programs.emulating {
        Some(emulating) => {
            let emulated = target.attach(emulating.observer.as_fd(), &probes.emulated)?;
            Ok(attached.and(emulated))
        }
        None => Ok(attached),
    }
}

/// The file that probes go to.
struct Target<'a> {
    file: BorrowedFd<'a>,
    path: CString,
}

impl<'a> Target<'a> {
    fn new(file: BorrowedFd<'a>) -> Result<Self, KernelError> {
        // The descriptor's path names the very file that was planned for, whatever the original
        // path has become.
        let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(|_| {
            KernelError::MapCode {
                source: io::Error::from(io::ErrorKind::InvalidInput),
            }
        })?;
        Ok(Self { file, path })
    }

    /// Attaches where no kernel refuses the instruction: it is a RET, or emulated, or an indirect
    /// call or jump.
    fn attach(&self, program: BorrowedFd<'_>, probes: &Probes) -> Result<Attached, KernelError> {
        attach_probes(program, &self.path, probes)
    }

    fn attach_returns(
        &self,
        programs: &UprobePrograms,
        probes: &RetProbes,
    ) -> Result<Attached, KernelError> {
        let attached = self.attach(programs.function_return.as_fd(), &probes.plain)?;
        match &programs.emulating {
            Some(emulating) => {
                let program = emulating.function_return.as_fd();
                Ok(attached.and(self.attach(program, &probes.emulated)?))
            }
            None => Ok(attached),
        }
    }

    /// Attaches where the kernel may refuse the instruction. It looks at one when a process maps
    /// it; were there none, a bad one would fail later, in the target's mmap. So the code is mapped
    /// here meanwhile, which doubles the time that a probe takes.
    fn attach_uncertain(
        &self,
        program: BorrowedFd<'_>,
        probes: &Probes,
    ) -> Result<Attached, KernelError> {
        let _mapping = CodeMapping::of(self.file, &probes.offsets)?;
        self.attach(program, probes)
    }
}

fn attach_probes(
    program: BorrowedFd<'_>,
    path: &std::ffi::CStr,
    probes: &Probes,
) -> Result<Attached, KernelError> {
    let link = |offsets: &[u64], cookies: &[u64]| {
        link_uprobe_multi(
            program,
            &UprobeMulti {
                path,
                offsets,
                cookies,
            },
        )
        .map(|descriptor| Link {
            _descriptor: descriptor,
            probes: offsets.len(),
        })
    };
    let mut attached = Attached {
        links: Vec::new(),
        refused: Vec::new(),
    };
    let chunks = probes
        .offsets
        .chunks(PROBES_PER_LINK)
        .zip(probes.cookies.chunks(PROBES_PER_LINK));
    for (offsets, cookies) in chunks {
        let failed = |source: io::Error| attach_error(offsets.len(), source);
        match link(offsets, cookies) {
            Ok(new_link) => attached.links.push(new_link),
            Err(error) if error.raw_os_error() == Some(ENOTSUPP) => {
                let found = find_refused(&link, offsets, cookies).map_err(failed)?;
                close(found.trial_links);
                let refused = found.refused;
                let (kept_offsets, kept_cookies): (Vec<u64>, Vec<u64>) = offsets
                    .iter()
                    .zip(cookies)
                    .filter(|(_, cookie)| refused.binary_search(cookie).is_err())
                    .unzip();
                if !kept_offsets.is_empty() {
                    attached
                        .links
                        .push(link(&kept_offsets, &kept_cookies).map_err(failed)?);
                }
                // The lower half of a cookie is the site's id.
                let ids = refused
                    .iter()
                    .map(|&cookie| SiteId(cookie as u32 & ret_cookie::SITE_MASK));
                attached.refused.extend(ids);
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(attached)
}

fn attach_error(probes: usize, source: io::Error) -> KernelError {
    if source.raw_os_error() == Some(libc::EPERM) {
        return KernelError::Refused {
            action: "making a uprobe_multi link",
            source,
        };
    }
    KernelError::Attach { probes, source }
}
