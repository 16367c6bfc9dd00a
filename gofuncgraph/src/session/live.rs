//! Tracing running processes.

use std::io::IsTerminal;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use rustix::time::{ClockId, clock_gettime};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::binary::GoBinary;
use crate::cli::{OutputMode, Settings};
use crate::events::{Event, EventSource, LiveEvents, MonotonicTime, ProcessEnd};
use crate::kernel::{LoadSettings, Preparation, Tracer};
use crate::output::{
    BinarySymbols, Renderer, RenderingSink, TextLayout, TextRenderer, TextSettings, TimeDigits,
    WallClock,
};
use crate::plan::ProbePlan;
use crate::trace::{Assembler, AssemblerSettings, DEFAULT_MAX_BUFFERED_CALLS, Delivery};

use super::ending::{Ending, Interrupts};
use super::notice::notice;
use super::summary::{self, Counted};
use super::target_file::TargetFile;
use super::writer::{OutputEnded, OutputWriter};
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
    let mut tracer = Tracer::load(
        preparation,
        &LoadSettings {
            offsets: binary.runtime_offsets(),
            buffer_bytes: settings.buffer.bytes(),
            sites: plan.sites.len(),
            debug: settings.debug,
            object: object.as_deref(),
        },
    )?;
    verbose(settings, || {
        format!(
            "loaded the eBPF programs in {} ms",
            loading.elapsed().as_millis()
        )
    });
    // Before the first probe, so that a path that cannot be written costs the target nothing.
    let writer = OutputWriter::start(settings.output.as_deref(), file.identity())?;
    notice(format_args!("found {} uprobes", plan.sites.len()));
    attach(settings, file, plan, &mut tracer)?;
    tracer.enable()?;
    notice(format_args!(
        "tracing started: {} functions, {} probes",
        plan.functions.len(),
        plan.sites.len()
    ));

    let mut pipeline = Pipeline::new(settings, binary, plan, LiveEvents::new(tracer, plan));
    pipeline.begin();
    let ended = run_until_ended(settings, interrupts, &mut pipeline, &writer);
    // Whatever happened, the target gets its peace first.
    let finished = pipeline.finish(settings);
    // If it cannot be written, `writer.finish` says why.
    let _ = writer.write_blocking(std::mem::take(&mut pipeline.text));
    let written = writer.finish();
    let summarised = pipeline.print_summary();
    ended?;
    finished?;
    written?;
    summarised
}

fn attach(
    settings: &Settings,
    file: &TargetFile,
    plan: &ProbePlan,
    tracer: &mut Tracer,
) -> Result<(), SessionError> {
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
    Ok(())
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

/// Events in, bytes of text out.
struct Pipeline<'a> {
    events: LiveEvents,
    assembler: Assembler,
    renderer: Box<dyn Renderer + 'a>,
    /// Text that the writer has not taken yet.
    text: Vec<u8>,
}

impl<'a> Pipeline<'a> {
    fn new(
        settings: &Settings,
        binary: &'a GoBinary<'a>,
        plan: &'a ProbePlan,
        events: LiveEvents,
    ) -> Self {
        let delivery = match settings.mode {
            OutputMode::Stream => Delivery::Stream,
            OutputMode::Trees { slower_than } => Delivery::Trees {
                max_calls: usize::try_from(settings.max_calls.get()).unwrap_or(usize::MAX),
                max_buffered_calls: DEFAULT_MAX_BUFFERED_CALLS,
                slower_than,
            },
        };
        let colour = settings
            .color
            .applies_to(settings.output.is_none() && std::io::stdout().is_terminal());
        let text = TextSettings {
            layout: match settings.mode {
                OutputMode::Stream => TextLayout::Stream,
                OutputMode::Trees { .. } => TextLayout::Trees,
            },
            time_digits: TimeDigits::try_from(u32::from(settings.time_digits.get()))
                .unwrap_or_default(),
            wall_clock: WallClock::new(realtime_minus_monotonic_ns(), TimeZone::system()),
            colour,
        };
        Self {
            events,
            assembler: Assembler::new(AssemblerSettings {
                delivery,
                count: settings.count,
            }),
            renderer: Box::new(TextRenderer::new(BinarySymbols::new(binary, plan), text)),
            text: Vec::new(),
        }
    }

    fn begin(&mut self) {
        self.renderer.begin(&mut self.text);
    }

    /// Moves what is in the ring; gives the number of records.
    fn drain(&mut self) -> Result<usize, SessionError> {
        let mut sink = RenderingSink {
            renderer: &mut *self.renderer,
            out: &mut self.text,
        };
        let assembler = &mut self.assembler;
        Ok(self
            .events
            .drain(&mut |event| assembler.handle(&event, &mut sink))?)
    }

    fn notice_losses(&mut self, at_end: bool) -> Result<(), SessionError> {
        let mut sink = RenderingSink {
            renderer: &mut *self.renderer,
            out: &mut self.text,
        };
        let assembler = &mut self.assembler;
        Ok(self
            .events
            .notice_losses(at_end, &mut |event| assembler.handle(&event, &mut sink))?)
    }

    /// Takes the probes away, and makes text of everything that was still on its way.
    fn finish(&mut self, settings: &Settings) -> Result<(), SessionError> {
        let detaching = Instant::now();
        let disabled = self.events.tracer().disable();
        self.events.tracer().detach_all();
        verbose(settings, || {
            format!("detached in {} ms", detaching.elapsed().as_millis())
        });
        disabled?;
        while self.drain()? != 0 {}
        self.notice_losses(true)?;
        self.events.tracer().flush_log();
        let time = monotonic_now();
        let mut sink = RenderingSink {
            renderer: &mut *self.renderer,
            out: &mut self.text,
        };
        // The news that a process ended may have been lost.
        for pid in self.assembler.pids_with_open_calls() {
            if processes::is_gone(pid) {
                let cause = ProcessEnd::Exited;
                let end = Event::ProcessEnded { pid, time, cause };
                self.assembler.handle(&end, &mut sink);
            }
        }
        self.assembler.finish(time, &mut sink);
        self.renderer.finish(&mut self.text);
        Ok(())
    }

    fn print_summary(&mut self) -> Result<(), SessionError> {
        let kernel = self.events.tracer().counters()?;
        let (unknown_records, malformed_records) = self.events.skipped_records();
        notice(format_args!(
            "{}",
            summary::text(&Counted {
                trace: self.assembler.statistics(),
                kernel: &kernel,
                unknown_records,
                malformed_records,
            })
        ));
        Ok(())
    }
}

fn run_until_ended(
    settings: &Settings,
    interrupts: Interrupts,
    pipeline: &mut Pipeline<'_>,
    writer: &OutputWriter,
) -> Result<Ending, SessionError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|source| SessionError::Setup {
            what: "the event loop",
            source,
        })?;
    runtime.block_on(event_loop(settings, interrupts, pipeline, writer))
}

async fn event_loop(
    settings: &Settings,
    mut interrupts: Interrupts,
    pipeline: &mut Pipeline<'_>,
    writer: &OutputWriter,
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
        ring_has_more = pipeline.drain()? >= LiveEvents::DRAIN_LIMIT;
        if check_due {
            if writer.is_closed() {
                return Ok(Ending::OutputEnded);
            }
            if !ring_has_more {
                pipeline.notice_losses(false)?;
            }
            pipeline.events.tracer().flush_log();
        }
        if !pipeline.text.is_empty() {
            tokio::select! {
                biased;
                room = writer.room() => match room {
                    Ok(room) => room.send(std::mem::take(&mut pipeline.text)),
                    Err(OutputEnded) => return Ok(Ending::OutputEnded),
                },
                ending = &mut ended_by_user => return Ok(ending),
            }
        }
        if pipeline.assembler.is_complete() {
            return Ok(Ending::CountReached);
        }
    }
}

fn monotonic_now() -> MonotonicTime {
    let now = clock_gettime(ClockId::Monotonic);
    let time_ns = now.tv_sec * 1_000_000_000 + now.tv_nsec;
    MonotonicTime {
        time_ns: time_ns.cast_unsigned(),
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
