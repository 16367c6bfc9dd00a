//! What a hit of a probe costs, measured on this process before the program's probes are there.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use gofuncgraph_common::{GoroutineKey, RecordHeader, RecordKind, SiteState, site_flags};
use rustix::time::{ClockId, clock_gettime};

use crate::binary::{RuntimeOffsets, VirtualAddress};

use super::KernelError;
use super::calibration_code::{Code, Copy};
use super::cost::{HitCosts, PerKind};
use super::link_target::{Link, LinkScope, attach_at};
use super::tracer::Tracer;

/// Linking waits some 10 ms for all CPUs, which attaching to the target then does not. Measuring
/// ends after so long even if there are fewer batches than wanted.
const LONGEST: Duration = Duration::from_millis(12);
/// Measurements of each kind, of which the median counts.
const BATCHES: usize = 11;
/// Calls of one measurement. The records of one have room in the smallest ring.
const CALLS: u64 = 16;

const ENTRY: Copy = Copy(0);
const STEPPED_ENTRY: Copy = Copy(1);
const RETURN: Copy = Copy(2);
const OBSERVER: Copy = Copy(3);
const COPIES: [Copy; 4] = [ENTRY, STEPPED_ENTRY, RETURN, OBSERVER];

/// Sites that probes of this process borrow.
const PLAIN_SITE: u32 = 0;
const PROMOTED_SITE: u32 = 1;

/// `runtime.g.m` (see gofuncgraph-ebpf/src/goroutine.rs).
const G_M_OFFSET: usize = 48;
/// Words of what is taken for `runtime.g` and `runtime.m`: more than either has.
const STRUCT_WORDS: usize = 512;
/// A number that no goroutine has.
const GOID: u64 = u64::MAX;

impl Tracer {
    /// Measures what hits cost, in some milliseconds: probes on code of this process, which run
    /// the same programs as those of the target. Call it before anything is attached or enabled;
    /// nothing of it is left afterwards.
    ///
    /// # Errors
    /// The kernel's. Whatever the error, tracing is possible.
    pub fn measure_hit_costs(&mut self) -> Result<HitCosts, KernelError> {
        let costs = self.calibrate();
        self.forget_calibration().and(costs)
    }

    fn calibrate(&mut self) -> Result<HitCosts, KernelError> {
        let code = Code::new(COPIES.len() as u64).map_err(failed)?;
        let mut goroutine = FakeGoroutine::new(self.offsets);
        let promoted = SiteState {
            tier: 1,
            // Its load bias is 0 then.
            address: code.runtime_address(OBSERVER.entry()),
            ..SiteState::default()
        };
        self.set_site(PROMOTED_SITE, promoted)?;
        let return_address = code.runtime_address(OBSERVER.return_site());
        self.observe_return(VirtualAddress(return_address))?;
        self.calibration.return_address = Some(return_address);
        let file = code.file();
        let plain_site = u64::from(PLAIN_SITE);
        // As the probes of the target: see `RetProbes::push`.
        let ret_address = code.runtime_address(RETURN.ret());
        let (function_return, ret_cookie) = match &self.programs.emulating {
            Some(emulating) if ret_address <= u64::from(u32::MAX) => {
                (&emulating.function_return, plain_site | ret_address << 32)
            }
            _ => (&self.programs.function_return, plain_site),
        };
        let links = [
            (
                self.programs.entry.as_fd(),
                vec![
                    (ENTRY.entry(), plain_site),
                    (STEPPED_ENTRY.stepped(), plain_site),
                    (RETURN.entry(), plain_site),
                    (OBSERVER.entry(), u64::from(PROMOTED_SITE)),
                ],
            ),
            (function_return.as_fd(), vec![(RETURN.ret(), ret_cookie)]),
            (
                self.programs.observer.as_fd(),
                vec![(OBSERVER.return_site(), 0)],
            ),
        ];
        for (program, places) in links {
            let link = attach_at(program, file, &places, &LinkScope::All)?;
            self.calibration.links.extend(link.links);
        }
        self.trace_own_process()?;
        self.enable()?;
        let started = Instant::now();
        let outside = self.measure(&code, &goroutine, started, LONGEST / 2)?;

        self.set_site(PLAIN_SITE, target())?;
        goroutine.enter_root();
        code.run(ENTRY, 1, &goroutine.g);
        self.set_site(PLAIN_SITE, SiteState::default())?;
        goroutine.enter_calls();
        self.drain(usize::MAX, &mut |_| ControlFlow::Continue(()))?;
        let inside = self.measure(&code, &goroutine, started, LONGEST)?;
        if inside.least_by_return_ns == 0 || inside.least_by_observer_ns == 0 {
            return Err(failed(io::Error::other("the probes told of no call")));
        }
        Ok(HitCosts {
            inside_ns: inside.cost_ns,
            outside_ns: outside.cost_ns,
            least_by_return_ns: inside.least_by_return_ns,
            least_by_observer_ns: inside.least_by_observer_ns,
        })
    }

    fn measure(
        &mut self,
        code: &Code,
        goroutine: &FakeGoroutine,
        started: Instant,
        longest: Duration,
    ) -> Result<Measured, KernelError> {
        let mut times = COPIES.map(|_| Vec::with_capacity(BATCHES));
        let mut by_return = Vec::new();
        let mut by_observer = Vec::new();
        for copy in COPIES {
            // Pages are copied, caches filled.
            code.run(copy, 2, &goroutine.g);
        }
        for batch in 0..BATCHES {
            if batch > 2 && started.elapsed() > longest {
                break;
            }
            for (copy, times) in COPIES.into_iter().zip(&mut times) {
                let calls = if copy == ENTRY || copy == OBSERVER {
                    CALLS
                } else {
                    CALLS / 4
                };
                let before = own_cpu_time();
                code.run(copy, calls, &goroutine.g);
                times.push((own_cpu_time() - before).as_nanos() as u64 / calls);
                let mut calls = CallTimes::default();
                self.drain(usize::MAX, &mut |bytes| {
                    calls.take(bytes);
                    ControlFlow::Continue(())
                })?;
                by_return.extend(calls.by_return);
                by_observer.extend(calls.by_observer);
            }
        }
        let [entry, stepped_entry, with_return, with_observer] = times.map(median);
        Ok(Measured {
            cost_ns: PerKind {
                entries: entry,
                stepped_entries: stepped_entry,
                returns: with_return.saturating_sub(entry),
                observers: with_observer.saturating_sub(entry),
            },
            least_by_return_ns: median(by_return),
            least_by_observer_ns: median(by_observer),
        })
    }

    /// Nothing is as it would not be without calibration.
    fn forget_calibration(&mut self) -> Result<(), KernelError> {
        self.disable()?;
        let links = std::mem::take(&mut self.calibration.links);
        self.links.close_meanwhile(links);
        self.forget_own_process();
        self.set_site(PLAIN_SITE, SiteState::default())?;
        self.set_site(PROMOTED_SITE, SiteState::default())?;
        if let Some(address) = self.calibration.return_address.take() {
            // Gone already is as good, here and below.
            let _ = self.observed_returns.remove(&address);
        }
        let gates: Vec<GoroutineKey> = self.gates().map(|(key, _)| key).collect();
        for key in gates {
            self.forget_goroutine(key);
            let _ = self.processes.remove(&key.tgid);
        }
        self.drain(usize::MAX, &mut |_| ControlFlow::Continue(()))?;
        self.reset_counters()
    }
}

/// What is in place only while calibrating.
#[derive(Default)]
pub(super) struct Calibration {
    links: Vec<Link>,
    return_address: Option<u64>,
}

struct Measured {
    cost_ns: PerKind,
    least_by_return_ns: u64,
    least_by_observer_ns: u64,
}

/// Memory that the programs take for a goroutine's.
struct FakeGoroutine {
    g: Vec<u64>,
    /// Pointed to by `g`.
    _m: Vec<u64>,
}

impl FakeGoroutine {
    fn new(offsets: RuntimeOffsets) -> Self {
        let words = |offset: u32| offset as usize / size_of::<u64>();
        let mut g = vec![0; STRUCT_WORDS.max(words(offsets.goid) + 1)];
        let mut m = vec![0; STRUCT_WORDS.max(words(offsets.curg) + 1)];
        g[words(offsets.goid)] = GOID;
        g[G_M_OFFSET / size_of::<u64>()] = m.as_ptr() as u64;
        m[words(offsets.curg)] = g.as_ptr() as u64;
        let mut goroutine = Self { g, _m: m };
        goroutine.enter_calls();
        goroutine
    }

    /// Calls are now as deep as a root.
    fn enter_root(&mut self) {
        self.set_stack(1 << 16);
    }

    /// Calls are now deeper than a root.
    fn enter_calls(&mut self) {
        self.set_stack(1 << 17);
    }

    /// Makes the programs believe that so many bytes of stack are in use here.
    fn set_stack(&mut self, used_bytes: u64) {
        let here = (&raw const used_bytes) as u64;
        // `stack.lo` and `stack.hi`.
        self.g[0] = here - (1 << 20);
        self.g[1] = (here + used_bytes) & !7;
    }
}

/// How long traced calls seem to take.
#[derive(Default)]
struct CallTimes {
    began_ns: u64,
    by_return: Vec<u64>,
    by_observer: Vec<u64>,
}

impl CallTimes {
    fn take(&mut self, bytes: &[u8]) {
        let Some(header) = header(bytes) else {
            return;
        };
        let duration_ns = header.time_ns.saturating_sub(self.began_ns);
        match RecordKind::from_u16(header.kind) {
            Some(RecordKind::Entry) => self.began_ns = header.time_ns,
            Some(RecordKind::Return) => self.by_return.push(duration_ns),
            Some(RecordKind::Observed) => self.by_observer.push(duration_ns),
            _ => {}
        }
    }
}

fn header(bytes: &[u8]) -> Option<RecordHeader> {
    let word = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    Some(RecordHeader {
        kind: u16::from_le_bytes(*bytes.first_chunk()?),
        time_ns: word(std::mem::offset_of!(RecordHeader, time_ns))?,
        ..RecordHeader::default()
    })
}

fn target() -> SiteState {
    SiteState {
        flags: site_flags::TARGET,
        ..SiteState::default()
    }
}

/// Of this thread: what others do meanwhile is not measured.
fn own_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

/// 0 of none.
fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

fn failed(source: io::Error) -> KernelError {
    KernelError::Calibration { source }
}
