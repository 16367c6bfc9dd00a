//! Signals while a launched program runs: they are meant for it.

use std::io::{self, Read};
use std::mem::{MaybeUninit, transmute};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpgid, pidfd_send_signal};
use tokio::sync::watch;

use crate::cli::ExitCode;
use crate::kernel::{StillNeeded, give_up_capabilities};

use super::SessionError;
use super::ending::{Interrupts, notice_unless_blocked};

/// What is passed on.
const PASSED_ON: [libc::c_int; 7] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
];

/// A second signal sooner than this is the first once more: timeout(1), for one, sends its signal
/// to its child, and then to the whole process group.
const ONE_MOMENT: Duration = Duration::from_millis(100);

/// Signals that wait to be read instead of doing anything.
pub(super) struct BlockedSignals {
    signals: OwnedFd,
    before: SignalMask,
}

/// Which signals are blocked.
#[derive(Clone, Copy)]
pub(super) struct SignalMask(libc::sigset_t);

impl SignalMask {
    /// Blocks these signals for the calling thread, and no others.
    pub(super) fn set(&self) -> io::Result<()> {
        // SAFETY: the set was filled in by the system; nothing is written to.
        let result =
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
        match result {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

impl BlockedSignals {
    /// Blocks them for this thread and those that it starts, so it has to come before any thread.
    /// Signals that are ignored, as SIGHUP by nohup(1), are left to be so, by the program as well.
    pub(super) fn block() -> Result<Self, SessionError> {
        let mut passed_on = MaybeUninit::uninit();
        let mut before = MaybeUninit::uninit();
        // SAFETY: the sets are written before they are read; sigaction with no new action only
        // reads the old one, for which there is room.
        let signals = unsafe {
            libc::sigemptyset(passed_on.as_mut_ptr());
            for signal in PASSED_ON {
                let mut action = MaybeUninit::<libc::sigaction>::zeroed();
                let known = libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0;
                if !known || action.assume_init().sa_sigaction != libc::SIG_IGN {
                    libc::sigaddset(passed_on.as_mut_ptr(), signal);
                }
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, passed_on.as_ptr(), before.as_mut_ptr());
            libc::signalfd(-1, passed_on.as_ptr(), libc::SFD_CLOEXEC)
        };
        if signals < 0 {
            return Err(setup(io::Error::last_os_error()));
        }
        Ok(Self {
            // SAFETY: a new descriptor that nobody else owns.
            signals: unsafe { OwnedFd::from_raw_fd(signals) },
            // SAFETY: pthread_sigmask has written it: its arguments are right, so it cannot fail.
            before: SignalMask(unsafe { before.assume_init() }),
        })
    }

    /// As it was before they were blocked.
    pub(super) fn mask_before(&self) -> SignalMask {
        self.before
    }

    /// Passes signals on from now on, on a thread of its own.
    pub(super) fn pass_on(self) -> Result<(Interrupts, CommandPhase), SessionError> {
        let phase = CommandPhase(Arc::new(Mutex::new(Phase::Preparing)));
        let (wanted, interrupts) = Interrupts::channel();
        let mut relay = Relay {
            phase: phase.clone(),
            wanted,
            first: None,
        };
        let mut signals = std::fs::File::from(self.signals);
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                // If it cannot, `live::trace` says so.
                let _ = give_up_capabilities(StillNeeded::Signals);
                const BYTES: usize = size_of::<libc::signalfd_siginfo>();
                let mut bytes = [0; BYTES];
                while signals.read_exact(&mut bytes).is_ok() {
                    // SAFETY: the system wrote so many bytes of this type, which is integers only.
                    relay.take(&unsafe { transmute::<[u8; BYTES], libc::signalfd_siginfo>(bytes) });
                }
            })
            .map_err(setup)?;
        Ok((interrupts, phase))
    }
}

fn setup(source: io::Error) -> SessionError {
    SessionError::Setup {
        what: "signal handling",
        source,
    }
}

/// What the program is doing.
#[derive(Clone)]
pub(super) struct CommandPhase(Arc<Mutex<Phase>>);

enum Phase {
    /// It does not run yet.
    Preparing,
    /// It runs, or has ended and was not waited for.
    Runs { pid: u32, handle: OwnedFd },
    /// It is over.
    Ended,
}

impl CommandPhase {
    /// The program runs from now on.
    pub(super) fn set_running(&self, pid: u32, handle: OwnedFd) {
        self.set(Phase::Runs { pid, handle });
    }

    /// Signals are for the tracer from now on.
    pub(super) fn set_ended(&self) {
        self.set(Phase::Ended);
    }

    fn set(&self, phase: Phase) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }
}

struct Relay {
    phase: CommandPhase,
    wanted: watch::Sender<bool>,
    /// When somebody first wanted an end.
    first: Option<Instant>,
}

impl Relay {
    fn take(&mut self, signal: &libc::signalfd_siginfo) {
        let number = signal.ssi_signo.cast_signed();
        let wants_end = matches!(number, libc::SIGINT | libc::SIGTERM | libc::SIGHUP);
        let mut end = None;
        match &*self.phase.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // The process that waits to execute the program sees that nobody will let it.
            Phase::Preparing if wants_end || number == libc::SIGQUIT => {
                end = Some("ended before the program was launched");
            }
            Phase::Preparing => {}
            Phase::Runs { pid, handle } => {
                if !has_reached(*pid, signal)
                    && let Some(signal) = Signal::from_named_raw(number)
                {
                    // It fails only if the program has ended.
                    let _ = pidfd_send_signal(handle, signal);
                }
            }
            Phase::Ended if wants_end => {
                self.wanted.send_replace(true);
            }
            Phase::Ended => {}
        }
        if wants_end {
            let first = *self.first.get_or_insert_with(Instant::now);
            if first.elapsed() > ONE_MOMENT {
                end.get_or_insert("ended at once: trees that were open are not printed");
            }
        }
        if let Some(said) = end {
            notice_unless_blocked(said);
            std::process::exit(ExitCode::Interrupted as i32);
        }
    }
}

/// Whether the program got the signal, too: the kernel sends what is typed at a terminal to all
/// of the foreground process group, in which it is unless it left. What it sent itself is not for
/// it, either.
fn has_reached(pid: u32, signal: &libc::signalfd_siginfo) -> bool {
    if signal.ssi_code != libc::SI_KERNEL {
        return signal.ssi_pid == pid;
    }
    let group = |pid| getpgid(pid).ok();
    let program = i32::try_from(pid).ok().and_then(Pid::from_raw);
    program.is_some_and(|pid| group(Some(pid)) == group(None))
}
