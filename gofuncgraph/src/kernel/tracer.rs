use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::{self, JoinHandle};

use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, RingBuf};
use aya::programs::RawTracePoint;
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use gofuncgraph_common::{
    CONFIG_GLOBAL, Control, GoroutineKey, GoroutineState, ProcessState, RecordHeader, ReturnPlace,
    SiteState, TraceConfig, TracedProcess, goroutine_flags, map_names, process_flags,
    program_names, site_flags,
};

use crate::binary::RuntimeOffsets;
use crate::cli::RetChoice;
use crate::plan::{InstructionCost, ProbePlan, ReasonSite, SiteId, SiteKind};

use super::already_open::{AlreadyOpen, MAX_TARGET_CALLS};
use super::calibration::Calibration;
use super::error::with_causes;
use super::link::{AttachReport, Links};
use super::program::{self, UprobePrograms};
use super::refusal::refused;
use super::scope::{self, ProcessScope};
use super::task_struct::TaskOffsets;
use super::{KernelError, capability, object, ret_emulation};

/// What is fixed when the programs are loaded.
#[derive(Clone, Copy, Debug)]
pub struct LoadSettings<'a> {
    /// Of the target's Go version.
    pub offsets: RuntimeOffsets,
    /// Size of the ring buffer in bytes: a power of two, at least a page.
    pub buffer_bytes: u32,
    /// Number of sites that will be attached, at least.
    pub sites: usize,
    /// Of the calls outside of trees, one of so many is told of: a power of two.
    pub sample_one_of: u32,
    /// Who executes the RETs that have probes.
    pub ret: RetChoice,
    /// The file is loaded at other addresses than it says.
    pub is_position_independent: bool,
    /// Which processes are traced.
    pub scope: ProcessScope,
    /// RETs of promoted functions are told of beside their observers.
    pub verify: bool,
    /// The programs write log messages for [`Tracer::flush_log`].
    pub debug: bool,
    /// An eBPF object to use instead of the embedded one.
    pub object: Option<&'a [u8]>,
}

/// Reading the kernel's type information takes tens of milliseconds and needs no settings: it is
/// done on a thread while the plan is made.
pub struct Preparation {
    loader: JoinHandle<EbpfLoader<'static>>,
    task_offsets: JoinHandle<TaskOffsets>,
}

impl Preparation {
    /// Begins.
    pub fn start() -> Self {
        Self {
            loader: thread::spawn(|| {
                aya::features();
                EbpfLoader::new()
            }),
            task_offsets: thread::spawn(TaskOffsets::read),
        }
    }

    /// A thread that failed is no loss: the work is then done here.
    fn finish(self) -> (EbpfLoader<'static>, TaskOffsets) {
        let loader = self.loader.join().unwrap_or_else(|_| EbpfLoader::new());
        (loader, self.task_offsets.join().unwrap_or_default())
    }
}

/// What the gate of a goroutine says about records that did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoroutineLoss {
    /// Whose.
    pub goroutine: GoroutineKey,
    /// Sequence number that the next record would have.
    pub next_sequence: u64,
    /// Number of the tree that the next record would belong to.
    pub next_tree: u16,
    /// The goroutine has ended.
    pub has_ended: bool,
    /// The goroutine belongs to a program image that its process runs no more.
    pub is_stale: bool,
}

/// The loaded kernel side.
pub struct Tracer {
    // Links go first when this is dropped.
    pub(super) links: Links,
    pub(super) programs: UprobePrograms,
    ring: RingBuf<MapData>,
    control: Array<MapData, Control>,
    pub(super) sites: Array<MapData, SiteState>,
    goroutines: HashMap<MapData, GoroutineKey, GoroutineState>,
    pub(super) observed_returns: HashMap<MapData, u64, ReturnPlace>,
    pub(super) processes: HashMap<MapData, u32, ProcessState>,
    pub(super) traced: HashMap<MapData, u32, TracedProcess>,
    pub(super) already_open: AlreadyOpen,
    pub(super) scope: ProcessScope,
    pub(super) counters: PerCpuArray<MapData, u64>,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    is_enabled: bool,
    buffer_bytes: u32,
    pub(super) sample_one_of: u32,
    pub(super) offsets: RuntimeOffsets,
    pub(super) calibration: Calibration,
    _tracepoints: Ebpf,
}

impl Tracer {
    /// Loads maps and programs, and attaches the tracepoints, which do nothing until
    /// [`Tracer::enable`].
    ///
    /// # Errors
    /// Missing capabilities, a kernel without uprobe_multi, or one that refuses a program.
    pub fn load(
        preparation: Preparation,
        settings: &LoadSettings<'_>,
    ) -> Result<Self, KernelError> {
        capability::check()?;
        let object = settings.object.unwrap_or(object::EMBEDDED);
        let emulation = ret_emulation::choose(settings.ret)?;
        let (mut loader, task_offsets) = preparation.finish();
        let config = TraceConfig {
            goid_offset_bytes: settings.offsets.goid,
            curg_offset_bytes: settings.offsets.curg,
            wakeup_threshold_bytes: u64::from(settings.buffer_bytes) / 2,
            sample_one_of: settings.sample_one_of,
            verify: u32::from(settings.verify),
            position_independent: u32::from(settings.is_position_independent),
            thread_features_offset_bytes: emulation
                .as_ref()
                .map_or(0, |emulation| emulation.thread_features_offset_bytes),
            exit_code_offset_bytes: task_offsets.exit_code.unwrap_or(0),
            task_group_leader_offset_bytes: task_offsets.age.map_or(0, |age| age.group_leader),
            task_start_time_offset_bytes: task_offsets.age.map_or(0, |age| age.start_time),
            task_exit_state_offset_bytes: task_offsets.age.map_or(0, |age| age.exit_state),
            ..scope::config(settings.scope)?
        };
        let log_level: u8 = if settings.debug {
            log::Level::Debug as u8
        } else {
            0
        };
        // One more for `runtime.sigpanic`.
        let site_count = u32::try_from(settings.sites + 1).unwrap_or(u32::MAX);
        let mut ebpf = loader
            .override_global(CONFIG_GLOBAL, &config, true)
            .override_global(aya_log::LEVEL, &log_level, true)
            .map_max_entries(map_names::EVENTS, settings.buffer_bytes)
            .map_max_entries(map_names::SITES, site_count)
            .map_max_entries(map_names::TARGET_CALLS, MAX_TARGET_CALLS)
            .load(object)
            .map_err(|error| setup_error("the eBPF maps", &error))?;
        // The second copy of the programs needs the map descriptors, so before any map is taken.
        let programs = program::load(object, &ebpf, emulation.as_ref())?;
        program::check_uprobe_multi(&programs)?;
        attach_tracepoint(&mut ebpf, program_names::PROCESS_EXIT, "sched_process_exit")?;
        attach_tracepoint(&mut ebpf, program_names::PROCESS_EXEC, "sched_process_exec")?;
        if settings.scope == ProcessScope::FollowForks {
            attach_tracepoint(&mut ebpf, program_names::PROCESS_FORK, "sched_process_fork")?;
        }
        let logger = settings
            .debug
            .then(|| EbpfLogger::init(&mut ebpf))
            .transpose()
            .map_err(|error| setup_error("the logger", &error))?;
        Ok(Self {
            links: Links::default(),
            programs,
            ring: take_map(&mut ebpf, map_names::EVENTS)?,
            control: take_map(&mut ebpf, map_names::CONTROL)?,
            sites: take_map(&mut ebpf, map_names::SITES)?,
            goroutines: take_map(&mut ebpf, map_names::GOROUTINES)?,
            observed_returns: take_map(&mut ebpf, map_names::OBSERVED_RETURNS)?,
            processes: take_map(&mut ebpf, map_names::PROCESSES)?,
            traced: take_map(&mut ebpf, map_names::TRACED)?,
            already_open: AlreadyOpen {
                search: take_map(&mut ebpf, map_names::ALREADY_OPEN_SEARCH)?,
                target_calls: take_map(&mut ebpf, map_names::TARGET_CALLS)?,
            },
            scope: settings.scope,
            counters: take_map(&mut ebpf, map_names::COUNTERS)?,
            logger,
            is_enabled: false,
            sample_one_of: settings.sample_one_of,
            offsets: settings.offsets,
            calibration: Calibration::default(),
            buffer_bytes: settings.buffer_bytes,
            _tracepoints: ebpf,
        })
    }

    /// Whether programs execute the RETs that have probes, and not the kernel.
    pub fn emulates_rets(&self) -> bool {
        self.programs.emulating.is_some()
    }

    /// Puts probes on every site of `plan` in `file`, for every process that maps it now or
    /// later, or for those that [`Tracer::trace_processes`] was told, as one group of links.
    ///
    /// # Errors
    /// The kernel's; an instruction that it refuses to probe is no error but reported.
    pub fn attach(
        &mut self,
        file: BorrowedFd<'_>,
        plan: &ProbePlan,
    ) -> Result<AttachReport, KernelError> {
        for (id, _) in plan.sites_with_ids() {
            let flags = flags_of(plan, id);
            // New elements are zero: only the others cost a system call.
            if flags != 0 {
                let state = SiteState {
                    flags,
                    ..SiteState::default()
                };
                self.set_site(id.0, state)?;
            }
        }
        self.links.attach(&self.programs, file, plan)
    }

    /// Lets the programs send records.
    ///
    /// # Errors
    /// If the control map cannot be written.
    pub fn enable(&mut self) -> Result<(), KernelError> {
        self.is_enabled = true;
        self.arm_wakeup()
    }

    /// Makes every program return at once.
    ///
    /// # Errors
    /// If the control map cannot be written.
    pub fn disable(&mut self) -> Result<(), KernelError> {
        self.is_enabled = false;
        self.arm_wakeup()
    }

    pub(super) fn arm_wakeup(&mut self) -> Result<(), KernelError> {
        let control = Control {
            enabled: u32::from(self.is_enabled),
            wakeup_armed: 1,
            returns_generation: self.links.returns_generation(),
        };
        self.set_control(control)
    }

    pub(super) fn set_control(&mut self, control: Control) -> Result<(), KernelError> {
        self.control
            .set(0, control, 0)
            .map_err(|error| access_error(map_names::CONTROL, &error))
    }

    pub(super) fn set_site(&mut self, site: u32, state: SiteState) -> Result<(), KernelError> {
        self.sites
            .set(site, state, 0)
            .map_err(|error| access_error(map_names::SITES, &error))
    }

    /// Drops every link; no probe is left when it returns.
    pub fn detach_all(&mut self) {
        self.links.detach_all();
    }

    /// Records that the ring can hold at most.
    pub fn buffer_records(&self) -> usize {
        self.buffer_bytes as usize / size_of::<RecordHeader>()
    }

    /// Readable when the ring was half full, or a process ended.
    pub fn ring_descriptor(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }

    /// Hands the bytes of every record that is in the ring to `sink`, oldest first, and gives
    /// their number. At most `limit` records, so that a fast target cannot hold the caller, and
    /// none after one for which `sink` breaks.
    ///
    /// # Errors
    /// If the control map cannot be written.
    pub fn drain(
        &mut self,
        limit: usize,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<usize, KernelError> {
        let mut drained = 0;
        // A record is not moved out of what `next` gives: the CPU would wait for its own writes.
        while drained < limit
            && let Some(record) = self.ring.next().as_deref()
        {
            drained += 1;
            if sink(record).is_break() {
                break;
            }
        }
        // Who is given as much as was asked for comes again.
        if drained != 0 && drained < limit {
            self.arm_wakeup()?;
        }
        Ok(drained)
    }

    /// Writes what the programs logged to the `log` crate's logger.
    pub fn flush_log(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }

    /// What every gate says of which a record was lost.
    pub fn goroutine_losses(&self) -> Vec<GoroutineLoss> {
        self.gates()
            .filter(|(_, state)| state.flags & goroutine_flags::LOST_RECORDS != 0)
            .map(|(goroutine, state)| GoroutineLoss {
                goroutine,
                next_sequence: state.next_sequence,
                next_tree: if state.root_depth_bytes == 0 {
                    (state.tree as u16).wrapping_add(1)
                } else {
                    state.tree as u16
                },
                has_ended: state.flags & goroutine_flags::ENDED != 0,
                is_stale: self.is_stale(&goroutine, &state),
            })
            .collect()
    }

    /// Every gate. One that goes away while iterating ends or repeats the walk: what is there is
    /// taken, and a later walk finds the rest.
    pub(super) fn gates(&self) -> impl Iterator<Item = (GoroutineKey, GoroutineState)> {
        self.goroutines.iter().filter_map(Result::ok)
    }

    fn is_stale(&self, goroutine: &GoroutineKey, state: &GoroutineState) -> bool {
        self.processes
            .get(&goroutine.tgid, 0)
            .map_or(true, |process| process.generation != state.generation)
    }

    /// Removes the gate of a goroutine that has ended.
    pub fn forget_goroutine(&mut self, goroutine: GoroutineKey) {
        // Gone already is as good.
        let _ = self.goroutines.remove(&goroutine);
    }

    /// Processes that have ended and were not forgotten.
    pub fn ended_processes(&self) -> Vec<u32> {
        self.processes
            .iter()
            .filter_map(Result::ok)
            .filter(|(_, process)| process.flags & process_flags::ENDED != 0)
            .map(|(pid, _)| pid)
            .collect()
    }

    /// Removes what the programs remember of a process that is gone. What is left of an earlier
    /// image of a living one stays: the programs tell it apart, and goids that come again take it
    /// over.
    pub fn forget_process(&mut self, pid: u32) {
        // A thread other than the leader that calls exec ends the leader, and the process lives.
        let has_ended = |processes: &HashMap<MapData, u32, ProcessState>| {
            processes
                .get(&pid, 0)
                .is_ok_and(|process| process.flags & process_flags::ENDED != 0)
        };
        if !has_ended(&self.processes) {
            return;
        }
        let stale: Vec<GoroutineKey> = self
            .gates()
            .filter(|(key, _)| key.tgid == pid)
            .map(|(key, _)| key)
            .collect();
        for key in stale {
            // Again for each: the walk takes time.
            let is_stale = self
                .goroutines
                .get(&key, 0)
                .is_ok_and(|state| self.is_stale(&key, &state));
            if is_stale {
                self.forget_goroutine(key);
            }
        }
        if has_ended(&self.processes) {
            let _ = self.processes.remove(&pid);
        }
    }
}

/// What a site is from the beginning.
pub(super) fn flags_of(plan: &ProbePlan, id: SiteId) -> u32 {
    let site = plan.sites.get(id.0 as usize);
    let stack_check = match site.map(|site| site.cost) {
        Some(InstructionCost::EmulatedStackCheck) => site_flags::STACK_CHECK,
        _ => 0,
    };
    stack_check | kind_flags_of(plan, id)
}

fn kind_flags_of(plan: &ProbePlan, id: SiteId) -> u32 {
    match plan.sites.get(id.0 as usize).map(|site| site.kind) {
        Some(SiteKind::Entry(function) | SiteKind::Return(function)) => {
            let function = plan.functions.get(function.0 as usize);
            let is_target = function.is_some_and(|function| function.is_target);
            let target = if is_target { site_flags::TARGET } else { 0 };
            target
                | if plan.is_stepped_entry(id) {
                    site_flags::STEPPED
                } else {
                    0
                }
        }
        Some(SiteKind::Recovery) => site_flags::RECOVERY,
        Some(SiteKind::GoroutineExit) => site_flags::GOROUTINE_EXIT,
        Some(SiteKind::Reason(reason)) => match reason {
            ReasonSite::Panic => site_flags::PANIC,
            ReasonSite::Goexit => site_flags::GOEXIT,
            ReasonSite::Exit => site_flags::EXIT,
            ReasonSite::FatalPanic => site_flags::FATAL_PANIC,
            ReasonSite::FatalError => site_flags::FATAL_ERROR,
        },
        None => 0,
    }
}

fn attach_tracepoint(
    ebpf: &mut Ebpf,
    program: &'static str,
    tracepoint: &'static str,
) -> Result<(), KernelError> {
    let program: &mut RawTracePoint = ebpf
        .program_mut(program)
        .ok_or_else(|| KernelError::Object {
            reason: format!("it has no program {program}"),
        })?
        .try_into()
        .map_err(|error: aya::programs::ProgramError| {
            setup_error("a tracepoint program", &error)
        })?;
    program
        .load()
        .and_then(|()| program.attach(tracepoint))
        .map(drop)
        .map_err(|error| setup_error("a tracepoint program", &error))
}

fn take_map<T: TryFrom<Map, Error = aya::maps::MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<T, KernelError> {
    ebpf.take_map(name)
        .ok_or_else(|| KernelError::Object {
            reason: format!("it has no map {name}"),
        })?
        .try_into()
        .map_err(|error| access_error(name, &error))
}

pub(super) fn access_error(map: &'static str, error: &dyn std::error::Error) -> KernelError {
    KernelError::MapAccess {
        map,
        reason: with_causes(error),
    }
}

/// The kernel's EPERM stands somewhere in aya's chain of causes.
fn setup_error(what: &'static str, error: &(dyn std::error::Error + 'static)) -> KernelError {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if let Some(io_error) = current.downcast_ref::<std::io::Error>()
            && io_error.raw_os_error() == Some(libc::EPERM)
        {
            return refused(what, std::io::Error::from_raw_os_error(libc::EPERM));
        }
        cause = current.source();
    }
    KernelError::Setup {
        what,
        reason: with_causes(error),
    }
}
