use std::io;
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::cli::ExitCode;
use crate::kernel::{StillNeeded, give_up_capabilities};

use super::SessionError;
use super::notice::notice;

/// What ended tracing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Ctrl-C, SIGTERM or SIGHUP.
    Interrupted,
    /// `--duration` is over.
    DurationOver,
    /// `--count` trees were finished.
    CountReached,
    /// Nobody reads the output any more, or it cannot be written.
    OutputEnded,
    /// What was traced of processes has ended.
    ProcessesEnded,
}

/// Says when the user wants tracing to end. A second signal ends the process at once, whatever
/// the rest of it is doing: the kernel then takes the probes away.
pub(super) struct Interrupts {
    wanted: watch::Receiver<bool>,
}

impl Interrupts {
    /// Watches signals from now on, on a thread that nothing can block.
    pub(super) fn start() -> Result<Self, SessionError> {
        let setup = |source| SessionError::Setup {
            what: "signal handling",
            source,
        };
        let (sender, interrupts) = Self::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(setup)?;
        let mut signals = {
            let _guard = runtime.enter();
            Signals::new().map_err(setup)?
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                // If it cannot, `live::trace` says so.
                let _ = give_up_capabilities(StillNeeded::Nothing);
                runtime.block_on(async {
                    signals.next().await;
                    sender.send_replace(true);
                    signals.next().await;
                    notice_unless_blocked("ended at once: trees that were open are not printed");
                    std::process::exit(ExitCode::Interrupted as i32);
                });
            })
            .map_err(setup)?;
        Ok(interrupts)
    }

    /// One that tells when `true` is sent.
    pub(super) fn channel() -> (watch::Sender<bool>, Self) {
        let (sender, wanted) = watch::channel(false);
        (sender, Self { wanted })
    }

    /// Returns when the first signal has come.
    pub(super) async fn first(&mut self) {
        // An error means that the thread is gone, which it never is before the process.
        let _ = self.wanted.wait_for(|wanted| *wanted).await;
    }
}

/// Nothing may hold up the end, least of all a standard error that nobody reads.
pub(super) fn notice_unless_blocked(line: &'static str) {
    let printed = thread::Builder::new().spawn(move || notice(format_args!("{line}")));
    if printed.is_ok() {
        thread::sleep(Duration::from_millis(50));
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
