//! Probes of one program in one file: making links, and closing them.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;

use gofuncgraph_common::ret_cookie;

use crate::binary::{FileOffset, VirtualAddress};
use crate::plan::{InstructionCost, SiteId};

use super::KernelError;
use super::bisection::find_refused;
use super::code_mapping::CodeMapping;
use super::program::UprobePrograms;
use super::refusal::refused;
use super::system_call::{ENOTSUPP, UprobeMulti, link_uprobe_multi};

/// One BPF_LINK_CREATE takes at most this many probes (Linux: kernel/trace/bpf_trace.c,
/// MAX_UPROBE_MULTI_CNT).
const PROBES_PER_LINK: usize = 1 << 20;

/// Links with more probes are closed one after the other.
const MANY_PROBES: usize = 4_000;

/// Which processes links put probes into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum LinkScope {
    /// Every one that maps the file, now or later.
    #[default]
    All,
    /// These, each by links of its own. One that has ended gets none.
    Processes(Vec<u32>),
}

/// Probes for one program, as the kernel takes them.
#[derive(Default)]
pub(super) struct Probes {
    pub(super) offsets: Vec<u64>,
    cookies: Vec<u64>,
}

impl Probes {
    pub(super) fn at(places: &[(FileOffset, u64)]) -> Self {
        let mut probes = Self::default();
        for &(offset, cookie) in places {
            probes.push(offset, cookie);
        }
        probes
    }

    pub(super) fn push(&mut self, offset: FileOffset, cookie: u64) {
        self.offsets.push(offset.0);
        self.cookies.push(cookie);
    }
}

/// The same for programs that come in two kinds.
#[derive(Default)]
pub(super) struct RetProbes {
    /// The kernel executes the instruction.
    pub(super) plain: Probes,
    /// It is a RET, and the program executes it.
    pub(super) emulated: Probes,
}

impl RetProbes {
    /// A probe at `place`; the program that emulates needs to know where that is.
    pub(super) fn push(
        &mut self,
        programs: &UprobePrograms,
        place: (VirtualAddress, FileOffset, InstructionCost),
        cookie: u32,
    ) {
        let (address, file_offset, cost) = place;
        let is_plain = programs.emulating.is_none() || cost != InstructionCost::SingleSteppedRet;
        let probes = if is_plain || u32::try_from(address.0).is_err() {
            &mut self.plain
        } else {
            &mut self.emulated
        };
        probes.push(file_offset, placed_cookie(cookie, address));
    }
}

/// A cookie that tells the program where its probe is, too: in the upper half, or 0 if there is no
/// room.
pub(super) fn placed_cookie(cookie: u32, address: VirtualAddress) -> u64 {
    let address = u32::try_from(address.0).unwrap_or(0);
    u64::from(cookie) | u64::from(address) << 32
}

/// Probes of one program. Dropping it takes them away.
pub(super) struct Link {
    _descriptor: OwnedFd,
    probes: usize,
    /// Of a link for one process: what another for it is made of.
    pub(super) of_process: Option<(u32, Arc<LinkParts>)>,
}

/// What a link was made of.
pub(super) struct LinkParts {
    program: OwnedFd,
    path: CString,
    pub(super) probes: Probes,
}

/// Closing a link waits some 30 ms for running handlers, whatever its size, so links are closed at
/// the same time. But all closes take their probes away under one lock, a probe at a time (Linux:
/// kernel/events/uprobes.c, `register_for_each_vma`), and two of them that pass it to and fro take
/// three times as long as one after the other. So large links wait for each other; for smaller
/// ones that would take longer.
pub(super) fn close(links: Vec<Link>) {
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
    pub(super) refused: Vec<SiteId>,
}

/// Attaches `program` at places of `file`, each with its cookie.
pub(super) fn attach_at(
    program: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    places: &[(FileOffset, u64)],
    scope: &LinkScope,
) -> Result<Attached, KernelError> {
    Target::new(file, scope)?.attach(program, &Probes::at(places))
}

impl Attached {
    pub(super) fn and(mut self, other: Self) -> Self {
        self.links.extend(other.links);
        self.refused.extend(other.refused);
        self
    }
}

/// The file that probes go to.
pub(super) struct Target<'a> {
    file: BorrowedFd<'a>,
    path: CString,
    scope: &'a LinkScope,
}

impl<'a> Target<'a> {
    pub(super) fn new(file: BorrowedFd<'a>, scope: &'a LinkScope) -> Result<Self, KernelError> {
        // The descriptor's path names the very file that was planned for, whatever the original
        // path has become.
        let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(|_| {
            KernelError::MapCode {
                source: io::Error::from(io::ErrorKind::InvalidInput),
            }
        })?;
        Ok(Self { file, path, scope })
    }

    /// Attaches where no kernel refuses the instruction: it is a RET, or emulated, or an indirect
    /// call or jump.
    pub(super) fn attach(
        &self,
        program: BorrowedFd<'_>,
        probes: &Probes,
    ) -> Result<Attached, KernelError> {
        attach_probes(program, &self.path, probes, self.scope)
    }

    pub(super) fn attach_returns(
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
    pub(super) fn attach_uncertain(
        &self,
        program: BorrowedFd<'_>,
        probes: &Probes,
    ) -> Result<Attached, KernelError> {
        let _mapping = CodeMapping::of(self.file, &probes.offsets)?;
        if *self.scope == LinkScope::All {
            return self.attach(program, probes);
        }
        // Links for others do not go into the mapping: one for this process, which never runs the
        // code, tells what is refused.
        let own = LinkScope::Processes(vec![std::process::id()]);
        let tried = attach_probes(program, &self.path, probes, &own)?;
        // Closing waits, which nobody has to do.
        let _ = thread::Builder::new().spawn(move || {
            close(tried.links);
        });
        let mut accepted = Probes::default();
        for (&offset, &cookie) in probes.offsets.iter().zip(&probes.cookies) {
            if !tried.refused.contains(&site_of(cookie)) {
                accepted.push(FileOffset(offset), cookie);
            }
        }
        let mut attached = self.attach(program, &accepted)?;
        attached.refused.extend(tried.refused);
        Ok(attached)
    }
}

fn attach_probes(
    program: BorrowedFd<'_>,
    path: &CStr,
    probes: &Probes,
    scope: &LinkScope,
) -> Result<Attached, KernelError> {
    let mut attached = Attached {
        links: Vec::new(),
        refused: Vec::new(),
    };
    let chunks = probes
        .offsets
        .chunks(PROBES_PER_LINK)
        .zip(probes.cookies.chunks(PROBES_PER_LINK));
    for (offsets, cookies) in chunks {
        match scope {
            LinkScope::All => {
                let link = |offsets: &[u64], cookies: &[u64]| {
                    let probes = UprobeMulti {
                        path,
                        offsets,
                        cookies,
                        pid: None,
                    };
                    link_uprobe_multi(program, &probes).map(|descriptor| Link {
                        _descriptor: descriptor,
                        probes: offsets.len(),
                        of_process: None,
                    })
                };
                attached = attached.and(attach_chunk(&link, offsets, cookies)?);
            }
            LinkScope::Processes(pids) => {
                for &pid in pids {
                    let link = |offsets: &[u64], cookies: &[u64]| {
                        let parts = LinkParts {
                            program: program.try_clone_to_owned()?,
                            path: path.to_owned(),
                            probes: Probes {
                                offsets: offsets.to_vec(),
                                cookies: cookies.to_vec(),
                            },
                        };
                        link_process(pid, &Arc::new(parts))
                    };
                    match attach_chunk(&link, offsets, cookies) {
                        Ok(of_process) => attached = attached.and(of_process),
                        // It has ended.
                        Err(KernelError::Attach { source, .. })
                            if source.raw_os_error() == Some(libc::ESRCH) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }
    Ok(attached)
}

/// A link for one process.
pub(super) fn link_process(pid: u32, parts: &Arc<LinkParts>) -> io::Result<Link> {
    let probes = UprobeMulti {
        path: &parts.path,
        offsets: &parts.probes.offsets,
        cookies: &parts.probes.cookies,
        pid: Some(pid),
    };
    Ok(Link {
        _descriptor: link_uprobe_multi(parts.program.as_fd(), &probes)?,
        probes: parts.probes.offsets.len(),
        of_process: Some((pid, Arc::clone(parts))),
    })
}

/// Makes one link, without what the kernel refuses.
fn attach_chunk(
    link: &impl Fn(&[u64], &[u64]) -> io::Result<Link>,
    offsets: &[u64],
    cookies: &[u64],
) -> Result<Attached, KernelError> {
    let failed = |source: io::Error| attach_error(offsets.len(), source);
    let mut attached = Attached {
        links: Vec::new(),
        refused: Vec::new(),
    };
    match link(offsets, cookies) {
        Ok(new_link) => attached.links.push(new_link),
        Err(error) if error.raw_os_error() == Some(ENOTSUPP) => {
            let found = find_refused(link, offsets, cookies).map_err(failed)?;
            close(found.trial_links);
            let refused = found.refused;
            let (kept_offsets, kept_cookies): (Vec<u64>, Vec<u64>) = offsets
                .iter()
                .zip(cookies)
                .filter(|(_, cookie)| refused.binary_search(cookie).is_err())
                .unzip();
            if !kept_offsets.is_empty() {
                let kept = link(&kept_offsets, &kept_cookies).map_err(failed)?;
                attached.links.push(kept);
            }
            attached
                .refused
                .extend(refused.iter().map(|&it| site_of(it)));
        }
        Err(error) => return Err(failed(error)),
    }
    Ok(attached)
}

/// The lower half of a cookie is the site's id.
fn site_of(cookie: u64) -> SiteId {
    SiteId(cookie as u32 & ret_cookie::SITE_MASK)
}

pub(super) fn attach_error(probes: usize, source: io::Error) -> KernelError {
    if source.raw_os_error() == Some(libc::EPERM) {
        return refused("making a uprobe_multi link", source);
    }
    KernelError::Attach { probes, source }
}
