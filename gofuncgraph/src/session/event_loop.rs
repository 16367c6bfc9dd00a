//! Moves events from the ring to the writers until something ends it.

use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::cli::Settings;
use crate::events::LiveEvents;

use super::SessionError;
use super::ending::{Ending, Interrupts};
use super::live::verbose;
use super::pipeline::Pipeline;
use super::process_watch::{self, ProcessWatch};
use super::writer::{OutputEnded, OutputWriters};

/// How often the ring is drained.
const DRAIN_INTERVAL: Duration = Duration::from_millis(5);
/// How often losses and a closed output are looked for.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Gives what ended it.
pub(super) fn run_until_ended(
    settings: &Settings,
    interrupts: Interrupts,
    watch: &mut Option<ProcessWatch>,
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
    runtime.block_on(event_loop(settings, interrupts, watch, pipeline, writers))
}

async fn event_loop(
    settings: &Settings,
    mut interrupts: Interrupts,
    watch: &mut Option<ProcessWatch>,
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
    let handles = watch.as_ref().map(ProcessWatch::handles).transpose()?;
    let all_ended = process_watch::all_ended(handles.unwrap_or_default());
    tokio::pin!(all_ended);
    let mut have_ended = false;
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
            ended = &mut all_ended, if !have_ended => {
                ended?;
                have_ended = true;
            }
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
        if let Some(watch) = watch
            && !ring_has_more
            && watch.look(pipeline.events.tracer())?
        {
            return Ok(Ending::ProcessesEnded);
        }
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
