//! Tracing running processes.

use std::io::IsTerminal;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use rustix::termios::tcgetwinsize;
use rustix::time::{ClockId, clock_gettime};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::binary::GoBinary;
use crate::cli::Settings;
use crate::events::LiveEvents;
use crate::kernel::{
    AttachReport, HitCosts, LoadSettings, Preparation, Tracer, give_up_capabilities,
};
use crate::output::{BinarySymbols, LiveScreen, WallClock};
use crate::plan::ProbePlan;
use crate::promotion::SAMPLE_ONE_OF;
use crate::recording::{RecordedCost, RecordingWriter};
use crate::trace::{ExitChecker, NetCosts};

use super::backlog::Backlog;
use super::callers_search::CallersSearch;
use super::ending::{Ending, Interrupts};
use super::notice::{notice, warn_of_unmatched};
use super::pipeline::{Pipeline, monotonic_now};
use super::promotion::Promotion;
use super::recorder::{self, Clock};
use super::target_file::TargetFile;
use super::view::{View, ViewContext, program_name};
use super::writer::{OutputEnded, OutputWriters, Protected};
use super::{SessionError, logger, processes};

/// How often the ring is drained.
const DRAIN_INTERVAL: Duration = Duration::from_millis(5);
/// How often losses and a closed output are looked for.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Attaches `plan` and prints until something ends it.
pub(super) fn trace(
    settings: &Settings,
    preparation: Preparation,
    file: &TargetFile,
    binary: &GoBinary<'_>,
    plan: &ProbePlan,
) -> Result<(), SessionError> {
    if settings.debug {
        logger::install();
    }
    let interrupts = Interrupts::start()?;
    let loading = Instant::now();
    let mut tracer = load(settings, preparation, binary, plan)?;
    verbose(settings, || {
        format!(
            "loaded the eBPF programs in {} ms; {} the RETs that have probes",
            loading.elapsed().as_millis(),
            if tracer.emulates_rets() {
                "they execute"
            } else {
                "the kernel single-steps"
            }
        )
    });
    let costs = hit_costs(settings, &mut tracer);
    let net = costs.filter(|_| settings.view.net);
    if settings.view.net && net.is_none() {
        return Err(SessionError::NetWithoutCosts {
            debug: settings.debug,
        });
    }
    let net = net.map(|costs| NetCosts::new(costs, plan.stepped_functions()));
    // Before the first probe, so that a path that cannot be written costs the target nothing.
    let clock = Clock {
        realtime_minus_monotonic_ns: realtime_minus_monotonic_ns(),
        start: monotonic_now(),
        zone: TimeZone::system(),
    };
    let view = view(settings, binary, plan, &clock, net);
    let recording = recorder::file(settings);
    let writers = OutputWriters::start(
        view.destinations(),
        settings.output.as_deref().filter(|_| !settings.records),
        recording,
        Some(Protected::Target(file.identity())),
    )?;
    let functions = plan.functions.iter();
    warn_of_unmatched(&settings.view, functions.map(|function| &*function.name));
    notice(format_args!("found {} uprobes", plan.sites.len()));
    let attached = attach(settings, file, plan, &mut tracer)?;
    // What is opened is open, and links of loaded programs need none.
    if let Err(error) = give_up_capabilities() {
        notice(format_args!(
            "warning: capabilities that are not needed any more could not be given up: {error}"
        ));
    }
    let enabled = monotonic_now();
    let recording = recording.map(|_| {
        let cost = RecordedCost {
            enabled,
            hits: costs,
            stepped_functions: plan.stepped_functions().collect(),
        };
        let header = recorder::header(settings, binary, plan, &attached, &clock, cost);
        let symbols = Box::new(BinarySymbols::new(binary, plan));
        RecordingWriter::new(&header, plan, symbols)
    });
    tracer.enable()?;
    notice(format_args!(
        "tracing started: {} functions, {} probes",
        plan.functions.len(),
        plan.sites.len()
    ));

    thread::scope(|scope| {
        let mut pipeline = Pipeline {
            events: LiveEvents::new(tracer, plan),
            backlog: Backlog::default(),
            view,
            recording,
            promotion: Promotion::new(
                settings,
                binary,
                plan,
                file.descriptor(),
                CallersSearch::new(scope, binary, plan),
            ),
            exit_checker: settings.verify_exits.then(ExitChecker::default),
            costs,
            enabled,
            ended: enabled,
        };
        let ended = run_until_ended(settings, interrupts, &mut pipeline, &writers);
        // Whatever happened, the target gets its peace first.
        let said = &mut |message| verbose(settings, || message);
        let spill = &mut |destination, bytes: &mut _| writers.write_if_room(destination, bytes);
        let finished = pipeline.finish(ended.as_ref().copied(), said, spill);
        let watch = writers.tell_if_slow(pipeline.recorded_events());
        // The recording comes first: who reads what is shown may have stopped.
        for destination in pipeline.waiting().into_iter().rev() {
            // If it cannot be written, `writers.finish` says why.
            let _ = writers.write_blocking(destination, pipeline.take(destination));
        }
        let written = writers.finish(pipeline.recorded_events());
        drop(watch);
        if written.is_ok() {
            recorder::say(settings, pipeline.recorded_events());
        }
        let summarised = pipeline.print_summary();
        ended?;
        finished?;
        written?;
        summarised
    })
}

/// Loads the programs for `plan`.
pub(super) fn load(
    settings: &Settings,
    preparation: Preparation,
    binary: &GoBinary<'_>,
    plan: &ProbePlan,
) -> Result<Tracer, SessionError> {
    let object = settings
        .ebpf_object
        .as_deref()
        .map(|path| {
            std::fs::read(path).map_err(|source| SessionError::Open {
                path: path.to_owned(),
                source,
            })
        })
        .transpose()?;
    Ok(Tracer::load(
        preparation,
        &LoadSettings {
            offsets: binary.runtime_offsets(),
            buffer_bytes: settings.buffer.bytes(),
            sites: plan.sites.len(),
            sample_one_of: SAMPLE_ONE_OF,
            ret: settings.ret,
            is_position_independent: binary.is_position_independent(),
            verify: settings.verify_exits,
            debug: settings.debug,
            object: object.as_deref(),
        },
    )?)
}

/// What hits will cost; `None` if that cannot be told.
fn hit_costs(settings: &Settings, tracer: &mut Tracer) -> Option<HitCosts> {
    // Each hit would be logged, and costs more.
    if settings.debug {
        return None;
    }
    let measuring = Instant::now();
    match tracer.measure_hit_costs() {
        Ok(costs) => {
            verbose(settings, || {
                format!(
                    "measured in {} ms: {costs}",
                    measuring.elapsed().as_millis()
                )
            });
            Some(costs)
        }
        Err(error) => {
            notice(format_args!("warning: {error}"));
            None
        }
    }
}

fn attach(
    settings: &Settings,
    file: &TargetFile,
    plan: &ProbePlan,
    tracer: &mut Tracer,
) -> Result<AttachReport, SessionError> {
    let attaching = Instant::now();
    let report = tracer.attach(file.descriptor(), plan)?;
    verbose(settings, || {
        format!(
            "attached {} probes in {} ms",
            report.attached,
            attaching.elapsed().as_millis()
        )
    });
    if !report.refused.is_empty() {
        notice(format_args!(
            "warning: the kernel refused {} of {} probes; their calls are not seen, or shown as 'exit lost'{}",
            report.refused.len(),
            plan.sites.len(),
            if settings.verbose {
                ":"
            } else {
                " (-v names them)"
            }
        ));
        verbose(settings, || refused_sites(plan, &report.refused));
    }
    if !processes::is_seen_running(file.identity()) {
        notice(format_args!(
            "no process was seen running {} yet: waiting for one to start",
            settings.binary.display()
        ));
    }
    Ok(report)
}

fn refused_sites(plan: &ProbePlan, refused: &[crate::plan::SiteId]) -> String {
    let sites = refused
        .iter()
        .filter_map(|id| plan.sites.get(id.0 as usize))
        .map(|site| format!("  {:?} at {}", site.kind, site.address));
    sites.collect::<Vec<_>>().join("\n")
}

fn verbose(settings: &Settings, message: impl FnOnce() -> String) {
    if settings.verbose {
        notice(format_args!("{}", message()));
    }
}

/// What is shown, and where it goes.
fn view<'a>(
    settings: &Settings,
    binary: &'a GoBinary<'a>,
    plan: &'a ProbePlan,
    clock: &Clock,
    net: Option<NetCosts>,
) -> View<'a> {
    let to_standard_output = settings.records || settings.output.is_none();
    let output_is_terminal = to_standard_output && std::io::stdout().is_terminal();
    let context = ViewContext {
        symbols: Box::new(BinarySymbols::new(binary, plan)),
        wall_clock: WallClock::new(clock.realtime_minus_monotonic_ns, clock.zone.clone()),
        beginning: Some(clock.start),
        program: program_name(&settings.binary),
        mode: settings.mode,
        max_calls: settings.max_calls,
        count: settings.count,
        net,
        output_is_terminal,
        screen: output_is_terminal.then(screen).flatten(),
    };
    View::new(&settings.view, context)
}

/// The terminal that is standard output.
fn screen() -> Option<LiveScreen> {
    let size = tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then(|| LiveScreen {
        rows: usize::from(size.ws_row),
        columns: usize::from(size.ws_col),
    })
}

fn run_until_ended(
    settings: &Settings,
    interrupts: Interrupts,
    pipeline: &mut Pipeline<'_>,
    writers: &OutputWriters,
) -> Result<Ending, SessionError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|source| SessionError::Setup {
            what: "the event loop",
            source,
        })?;
    runtime.block_on(event_loop(settings, interrupts, pipeline, writers))
}

async fn event_loop(
    settings: &Settings,
    mut interrupts: Interrupts,
    pipeline: &mut Pipeline<'_>,
    writers: &OutputWriters,
) -> Result<Ending, SessionError> {
    let ring_error = |source| SessionError::Setup {
        what: "waiting for the ring buffer",
        source,
    };
    let ring = pipeline
        .events
        .tracer()
        .ring_descriptor()
        .try_clone_to_owned()
        .map_err(ring_error)?;
    // SAFETY: the AsyncFd owns the descriptor, which stays open and the same until it is dropped.
    let ring: AsyncFd<OwnedFd> =
        unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }
            .map_err(|error| ring_error(error.into()))?;
    let deadline = settings
        .duration
        .map(|duration| tokio::time::Instant::now() + duration);
    let duration_over = async {
        match deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    let ended_by_user = async {
        tokio::select! {
            () = interrupts.first() => Ending::Interrupted,
            () = duration_over => Ending::DurationOver,
        }
    };
    tokio::pin!(ended_by_user);
    let mut drain_ticks = interval(DRAIN_INTERVAL);
    drain_ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut check_ticks = interval(CHECK_INTERVAL);
    check_ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);

    // Waiting here would let the ring overflow: what finds no room is kept.
    let spill = &mut |destination, bytes: &mut _| writers.write_if_room(destination, bytes);
    let mut ring_has_more = false;
    loop {
        let mut check_due = false;
        tokio::select! {
            biased;
            ending = &mut ended_by_user => return Ok(ending),
            _ = check_ticks.tick() => check_due = true,
            () = std::future::ready(()), if ring_has_more => {}
            readiness = ring.readable() => {
                if let Ok(mut readiness) = readiness {
                    readiness.clear_ready();
                }
            }
            _ = drain_ticks.tick() => {}
        }
        ring_has_more = pipeline.drain(spill)? >= LiveEvents::DRAIN_LIMIT;
        if check_due && let Some(promoted) = pipeline.promote(spill)? {
            let saved = pipeline.saved()?;
            verbose(settings, || match saved {
                Some(saved) => format!("{promoted}; {saved}"),
                None => promoted.to_string(),
            });
        }
        if check_due {
            if writers.is_closed() {
                return Ok(Ending::OutputEnded);
            }
            if !ring_has_more {
                pipeline.notice_losses(false, spill)?;
                pipeline.view.pause();
            }
            pipeline.tick()?;
        }
        for destination in pipeline.waiting() {
            tokio::select! {
                biased;
                room = writers.room(destination) => match room {
                    Ok(room) => room.send(pipeline.take(destination)),
                    Err(OutputEnded) => return Ok(Ending::OutputEnded),
                },
                ending = &mut ended_by_user => return Ok(ending),
            }
        }
        if pipeline.view.is_complete() {
            return Ok(Ending::CountReached);
        }
    }
}

/// Read in between two readings of the monotonic clock, so that the error is at most half of
/// what they are apart.
fn realtime_minus_monotonic_ns() -> i64 {
    let nanoseconds = |clock| {
        let now = clock_gettime(clock);
        now.tv_sec * 1_000_000_000 + now.tv_nsec
    };
    let before = nanoseconds(ClockId::Monotonic);
    let realtime = nanoseconds(ClockId::Realtime);
    let after = nanoseconds(ClockId::Monotonic);
    realtime - (before + (after - before) / 2)
}
