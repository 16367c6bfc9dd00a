//! Tracing running processes.

use std::io::IsTerminal;
use std::thread;
use std::time::Instant;

use jiff::tz::TimeZone;
use rustix::termios::tcgetwinsize;
use rustix::time::{ClockId, clock_gettime};

use crate::binary::GoBinary;
use crate::cli::{PromotionChoice, Settings};
use crate::events::LiveEvents;
use crate::kernel::{
    AttachReport, HitCosts, LoadSettings, MAX_TARGET_CALLS, Preparation, ProcessScope, StillNeeded,
    Tracer, give_up_capabilities,
};
use crate::output::{BinarySymbols, LiveScreen, WallClock};
use crate::plan::{ProbePlan, target_calls};
use crate::promotion::SAMPLE_ONE_OF;
use crate::recording::{RecordedCost, RecordingWriter};
use crate::trace::{ExitChecker, NetCosts};

use super::backlog::Backlog;
use super::callers_search::CallersSearch;
use super::command_signals::{BlockedSignals, CommandPhase, SignalMask};
use super::ending::Interrupts;
use super::event_loop::run_until_ended;
use super::launch::{Launched, Prepared};
use super::named_process::NamedProcess;
use super::notice::{notice, warn_of_unmatched};
use super::pipeline::{Pipeline, monotonic_now};
use super::process_watch::ProcessWatch;
use super::promotion::Promotion;
use super::recorder::{self, Clock};
use super::subject::{Processes, Subject};
use super::view::{View, ViewContext, program_name};
use super::waiting::Waiting;
use super::writer::{OutputWriters, Protected, StandardStream};
use super::{SessionError, logger};

/// Attaches `plan` and prints until something ends it. With `signals` a program is launched, and
/// its status given if that was asked for.
pub(super) fn trace(
    settings: &Settings,
    signals: Option<BlockedSignals>,
    preparation: Preparation,
    subject: &Subject,
    binary: &GoBinary<'_>,
    plan: &ProbePlan,
) -> Result<u8, SessionError> {
    if settings.debug {
        logger::install();
    }
    let file = &subject.file;
    let (interrupts, command) = match signals {
        Some(signals) => {
            let mask = signals.mask_before();
            let (interrupts, phase) = signals.pass_on()?;
            (interrupts, Some((mask, phase)))
        }
        None => (Interrupts::start()?, None),
    };
    let loading = Instant::now();
    let mut tracer = load(settings, subject.scope(), preparation, binary, plan)?;
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
    let view = view(settings, subject, binary, plan, &clock, net);
    let recording = recorder::file(settings);
    let writers = OutputWriters::start(
        view.destinations(),
        settings.output.as_deref().filter(|_| !settings.records),
        if subject.is_launched() {
            StandardStream::Error
        } else {
            StandardStream::Output
        },
        recording,
        Some(Protected::Target(file.identity())),
    )?;
    let functions = plan.functions.iter();
    warn_of_unmatched(&settings.view, functions.map(|function| &*function.name));
    notice(format_args!("found {} uprobes", plan.sites.len()));
    let mut chosen = choose_processes(subject, command, &mut tracer)?;
    let attached = attach(settings, subject, plan, &mut tracer)?;
    // Who asks for so many trees asks for whole ones.
    if !subject.is_launched() && settings.count.is_none() {
        search_already_open(binary, plan, &attached, &mut tracer)?;
    }
    // What is opened is open, and links of loaded programs need none.
    if let Err(error) = give_up_capabilities(StillNeeded::ProcessFiles) {
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
        let header = recorder::header(
            settings,
            (&subject.path, binary),
            plan,
            &attached,
            &clock,
            cost,
        );
        let symbols = Box::new(BinarySymbols::new(binary, plan));
        RecordingWriter::new(&header, plan, symbols)
    });
    tracer.enable()?;
    notice(format_args!(
        "tracing started: {} functions, {} probes",
        plan.functions.len(),
        plan.sites.len()
    ));
    let launched = chosen.launch()?;
    let mut watch = chosen.watch;
    let every_process_of = match subject.processes {
        Processes::All => Some((subject.path.as_path(), file.identity())),
        Processes::Named(_) | Processes::Launched(_) => None,
    };
    let mut waiting = Waiting::new(settings, every_process_of, enabled);
    if let Some(message) = waiting.at_start() {
        notice(format_args!("{message}"));
    }

    let traced = thread::scope(|scope| {
        let mut pipeline = Pipeline {
            events: LiveEvents::new(tracer, plan, binary),
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
            waiting,
            costs,
            enabled,
            ended: enabled,
        };
        let ended = run_until_ended(settings, interrupts, &mut watch, &mut pipeline, &writers);
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
    });
    let status = match launched {
        Some(launched) => launched.wait(&traced)?,
        None => 0,
    };
    traced.map(|()| {
        if settings.process.exit_status {
            status
        } else {
            0
        }
    })
}

/// Processes that were chosen one by one.
struct ChosenProcesses {
    /// `None`: all are traced.
    watch: Option<ProcessWatch>,
    prepared: Option<(Prepared, CommandPhase)>,
}

impl ChosenProcesses {
    /// Lets the program run that is to be launched.
    fn launch(&mut self) -> Result<Option<Launched>, SessionError> {
        let prepared = self.prepared.take();
        prepared
            .map(|(prepared, phase)| prepared.run(&phase))
            .transpose()
    }
}

/// Restricts `tracer` to what was chosen, if not all processes are traced.
fn choose_processes(
    subject: &Subject,
    command: Option<(SignalMask, CommandPhase)>,
    tracer: &mut Tracer,
) -> Result<ChosenProcesses, SessionError> {
    let (processes, prepared) = match (&subject.processes, command) {
        (Processes::Named(processes), _) => {
            let processes: Result<_, _> = processes.iter().map(NamedProcess::try_clone).collect();
            (processes?, None)
        }
        (Processes::Launched(launch), Some((mask, phase))) => {
            let prepared = launch.prepare(mask)?;
            (vec![prepared.process()?], Some((prepared, phase)))
        }
        _ => {
            return Ok(ChosenProcesses {
                watch: None,
                prepared: None,
            });
        }
    };
    let phase = prepared.as_ref().map(|(_, phase)| phase.clone());
    let watch = ProcessWatch::new(processes, subject, phase);
    let spares_others = tracer.trace_processes(&watch.ids())?;
    if !spares_others && !subject.follow_forks {
        notice(format_args!(
            "warning: this kernel runs probes of one process on its first thread only (Linux 6.10 \
             does better): all processes that run {} get probes, but only what was chosen is shown",
            subject.path.display()
        ));
    }
    Ok(ChosenProcesses {
        watch: Some(watch),
        prepared,
    })
}

/// Loads the programs for `plan`.
pub(super) fn load(
    settings: &Settings,
    scope: ProcessScope,
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
            scope,
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
    subject: &Subject,
    plan: &ProbePlan,
    tracer: &mut Tracer,
) -> Result<AttachReport, SessionError> {
    let attaching = Instant::now();
    let report = tracer.attach(subject.file.descriptor(), plan)?;
    verbose(settings, || {
        format!(
            "attached {} probes in {} ms",
            report.attached,
            attaching.elapsed().as_millis()
        )
    });
    if !report.refused.is_empty() {
        notice(format_args!(
            "warning: the kernel refused {} of {} probes; their calls are not seen, or shown as 'exit lost' or 'approximate'{}",
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
    Ok(report)
}

/// Calls that are open by now are found where their goroutines do something, unless calls of targets
/// may begin that are not seen.
fn search_already_open(
    binary: &GoBinary<'_>,
    plan: &ProbePlan,
    attached: &AttachReport,
    tracer: &mut Tracer,
) -> Result<(), SessionError> {
    if attached
        .refused
        .iter()
        .any(|&site| plan.is_target_entry(site))
    {
        return Ok(());
    }
    // A target begins a tree of its own, so only what other functions do is looked for on stacks.
    let has_others = plan.functions.iter().any(|function| !function.is_target);
    let limit = if has_others { MAX_TARGET_CALLS } else { 0 };
    let calls = target_calls(binary, plan, limit as usize).unwrap_or_default();
    Ok(tracer.search_already_open(&calls)?)
}

fn refused_sites(plan: &ProbePlan, refused: &[crate::plan::SiteId]) -> String {
    let sites = refused
        .iter()
        .filter_map(|id| plan.sites.get(id.0 as usize))
        .map(|site| format!("  {:?} at {}", site.kind, site.address));
    sites.collect::<Vec<_>>().join("\n")
}

pub(super) fn verbose(settings: &Settings, message: impl FnOnce() -> String) {
    if settings.verbose {
        notice(format_args!("{}", message()));
    }
}

/// What is shown, and where it goes.
fn view<'a>(
    settings: &Settings,
    subject: &Subject,
    binary: &'a GoBinary<'a>,
    plan: &'a ProbePlan,
    clock: &Clock,
    net: Option<NetCosts>,
) -> View<'a> {
    let to_standard_output = settings.records || settings.output.is_none();
    let output_is_terminal = to_standard_output
        && if subject.is_launched() {
            std::io::stderr().is_terminal()
        } else {
            std::io::stdout().is_terminal()
        };
    // What the launched program prints would be drawn over.
    let draws_again = output_is_terminal && !subject.is_launched();
    let context = ViewContext {
        symbols: Box::new(BinarySymbols::new(binary, plan)),
        wall_clock: WallClock::new(clock.realtime_minus_monotonic_ns, clock.zone.clone()),
        beginning: Some(clock.start),
        program: program_name(&subject.path),
        mode: settings.mode,
        max_calls: settings.max_calls,
        count: settings.count,
        net,
        promotes: settings.promote != PromotionChoice::Off,
        output_is_terminal,
        screen: draws_again.then(screen).flatten(),
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
