//! What becomes of the processes that were chosen: they end, or execute another program.

use std::fmt::Write;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::kernel::{ScopedProcess, Tracer};

use super::SessionError;
use super::command_signals::CommandPhase;
use super::named_process::NamedProcess;
use super::notice::notice;
use super::processes;
use super::subject::Subject;
use super::target_file::FileIdentity;

/// How often children that have ended are forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_millis(100);

/// The chosen processes.
pub(super) struct ProcessWatch {
    processes: Vec<Watched>,
    /// What they run.
    file: FileIdentity,
    path: PathBuf,
    follow_forks: bool,
    /// Of the one that was launched.
    phase: Option<CommandPhase>,
    /// Those that were chosen have ended, and that was said.
    have_ended: bool,
    /// When children that have ended were last forgotten.
    swept: Instant,
}

struct Watched {
    process: NamedProcess,
    known: ScopedProcess,
    /// Not another one.
    runs_file: bool,
    /// What it has executed since has none.
    lacks_probes: bool,
    is_forgotten: bool,
}

impl ProcessWatch {
    /// Watches `processes`, which run the file of `subject`, or will. `phase` hears of their end.
    pub(super) fn new(
        processes: Vec<NamedProcess>,
        subject: &Subject,
        phase: Option<CommandPhase>,
    ) -> Self {
        // What runs already may have executed something since its file was looked up.
        let images = if phase.is_some() { 0 } else { u32::MAX };
        let processes = processes.into_iter().map(|process| Watched {
            process,
            known: ScopedProcess {
                images,
                ..ScopedProcess::default()
            },
            runs_file: true,
            lacks_probes: false,
            is_forgotten: false,
        });
        Self {
            processes: processes.collect(),
            file: subject.file.identity(),
            path: subject.path.clone(),
            follow_forks: subject.follow_forks,
            phase,
            have_ended: false,
            swept: Instant::now(),
        }
    }

    pub(super) fn ids(&self) -> Vec<u32> {
        let processes = self.processes.iter();
        processes.map(|watched| watched.process.pid).collect()
    }

    /// What becomes readable when they end.
    pub(super) fn handles(&self) -> Result<Vec<OwnedFd>, SessionError> {
        let processes = self.processes.iter();
        processes
            .map(|watched| watched.process.handle.try_clone())
            .collect::<io::Result<_>>()
            .map_err(setup)
    }

    /// Looks what has become of them. Says whether all of them have ended, and what they forked
    /// as far as that is followed.
    pub(super) fn look(&mut self, tracer: &mut Tracer) -> Result<bool, SessionError> {
        for watched in &mut self.processes {
            if watched.process.has_ended() {
                if !watched.is_forgotten {
                    watched.say_what_was_missed(tracer, &self.path);
                    tracer.forget_scoped_process(watched.process.pid);
                    watched.is_forgotten = true;
                }
            } else if let Some(now) = tracer.scoped_process(watched.process.pid)
                && now != watched.known
            {
                let host = watched.process.host.clone();
                let (file, path) = host.unwrap_or_else(|| (self.file, self.path.clone()));
                watched.look_at_image(now, file, &path, tracer)?;
            }
        }
        let some_run = self.processes.iter().any(|watched| !watched.is_forgotten);
        let mut children = 0;
        if self.follow_forks && (!some_run || self.swept.elapsed() > SWEEP_INTERVAL) {
            children = tracer.living_scoped_processes(&self.ids(), &processes::is_gone);
            self.swept = Instant::now();
        }
        if some_run {
            return Ok(false);
        }
        if !self.have_ended {
            self.have_ended = true;
            if let Some(phase) = &self.phase {
                phase.set_ended();
            }
            self.say_end(children);
        }
        Ok(children == 0)
    }

    fn say_end(&self, children: usize) {
        let mut said = match &self.processes[..] {
            [watched] if self.phase.is_some() => {
                let pid = watched.process.pid;
                format!("{} (process {pid}) has ended", self.path.display())
            }
            [watched] => format!("process {} has ended", watched.process.pid),
            all => format!("all {} processes have ended", all.len()),
        };
        if children != 0 {
            let _ = write!(
                said,
                "; tracing goes on until the {children} that it forked and that still run have ended"
            );
        }
        notice(format_args!("{said}"));
    }
}

impl Watched {
    /// Of what it executed last nothing was seen if probes were not put in place again in time.
    fn say_what_was_missed(&self, tracer: &Tracer, path: &Path) {
        let last = tracer.scoped_process(self.process.pid);
        if last.is_some_and(|last| last.images_without_probes != self.known.images_without_probes) {
            notice(format_args!(
                "warning: process {} executed a program from another thread than its first one, and \
                 ended soon after: if that was {}, its calls were not seen; --follow-forks misses none",
                self.process.pid,
                path.display()
            ));
        }
    }

    /// It has begun one program image or several since it was last looked at.
    fn look_at_image(
        &mut self,
        now: ScopedProcess,
        file: FileIdentity,
        path: &Path,
        tracer: &mut Tracer,
    ) -> Result<(), SessionError> {
        let pid = self.process.pid;
        let lost_probes = now.images_without_probes != self.known.images_without_probes;
        let Some(runs) = processes::runs(pid) else {
            // It has ended meanwhile, and what is known stays for what is said then.
            return Ok(());
        };
        self.known = now;
        self.lacks_probes |= lost_probes;
        let did_run = std::mem::replace(&mut self.runs_file, runs == file);
        if runs != file {
            if did_run {
                notice(format_args!(
                    "process {pid} runs another program now: nothing of it is seen as long as it \
                     does not run {} again",
                    path.display()
                ));
            }
        } else if self.lacks_probes {
            tracer.renew_process(pid)?;
            self.lacks_probes = false;
            notice(format_args!(
                "process {pid} has started its program anew, from another thread than its first \
                 one: probes are in place again, but calls until now may not have been seen; \
                 --follow-forks misses none"
            ));
        } else if !did_run {
            notice(format_args!("process {pid} runs {} again", path.display()));
        }
        Ok(())
    }
}

/// Waits until all of these processes have ended; without any, for ever.
pub(super) async fn all_ended(handles: Vec<OwnedFd>) -> Result<(), SessionError> {
    if handles.is_empty() {
        return std::future::pending().await;
    }
    for handle in handles {
        // SAFETY: the AsyncFd owns the descriptor, which stays open and the same until it is
        // dropped.
        let handle = unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE) }
            .map_err(|error| setup(error.into()))?;
        handle.readable().await.map_err(setup)?.retain_ready();
    }
    Ok(())
}

fn setup(source: io::Error) -> SessionError {
    SessionError::Setup {
        what: "waiting for processes",
        source,
    }
}
