use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::mpsc;

use super::SessionError;
use super::target_file::FileIdentity;

/// Chunks that wait while the reader of the output is slow. Then events wait in the ring, and
/// what finds no room there is counted as lost.
const WAITING_CHUNKS: usize = 8;

/// Writes the output on a thread of its own, so that a reader that stops reading cannot keep the
/// probes in place.
pub(super) struct OutputWriter {
    chunks: mpsc::Sender<Vec<u8>>,
    thread: JoinHandle<io::Result<()>>,
    is_standard_output: bool,
}

impl OutputWriter {
    /// Writes to `path`, else to standard output. Nothing that is in `path` is lost if it is the
    /// file of `target`.
    pub(super) fn start(path: Option<&Path>, target: FileIdentity) -> Result<Self, SessionError> {
        let destination = open(path, target)?;
        let (chunks, receiver) = mpsc::channel(WAITING_CHUNKS);
        let thread = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || write_all(receiver, destination))
            .map_err(|source| SessionError::Setup {
                what: "the writer's thread",
                source,
            })?;
        Ok(Self {
            chunks,
            thread,
            is_standard_output: path.is_none(),
        })
    }

    /// Waits until a chunk can be taken. `Err`: the output has failed or is closed, and
    /// [`OutputWriter::finish`] says which.
    pub(super) async fn room(&self) -> Result<mpsc::Permit<'_, Vec<u8>>, OutputEnded> {
        self.chunks.reserve().await.map_err(|_| OutputEnded)
    }

    /// Takes a chunk, when there is room, outside of asynchronous code.
    pub(super) fn write_blocking(&self, chunk: Vec<u8>) -> Result<(), OutputEnded> {
        self.chunks.blocking_send(chunk).map_err(|_| OutputEnded)
    }

    /// Whether nobody can read the output any more, found out without writing to it.
    pub(super) fn is_closed(&self) -> bool {
        if self.chunks.is_closed() {
            return true;
        }
        if !self.is_standard_output {
            return false;
        }
        let stdout = rustix::stdio::stdout();
        let mut descriptors = [PollFd::new(&stdout, PollFlags::empty())];
        let now = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut descriptors, Some(&now)).is_ok()
            && descriptors[0]
                .revents()
                .intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL)
    }

    /// Waits until everything is written. A closed pipe is no error.
    pub(super) fn finish(self) -> Result<(), SessionError> {
        drop(self.chunks);
        let outcome = self
            .thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the writer's thread failed")));
        match outcome {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(SessionError::Output { source: error })
            }
            _ => Ok(()),
        }
    }
}

/// The file `path`, made empty, else standard output.
pub(super) fn open(
    path: Option<&Path>,
    target: FileIdentity,
) -> Result<Box<dyn Write + Send>, SessionError> {
    Ok(match path {
        Some(path) => Box::new(create(path, target)?),
        None => Box::new(io::stdout()),
    })
}

/// Makes `path` an empty file, unless it is the file of `target`.
fn create(path: &Path, target: FileIdentity) -> Result<File, SessionError> {
    let create_error = |source| SessionError::CreateOutput {
        path: path.to_owned(),
        source,
    };
    let is_target =
        std::fs::metadata(path).is_ok_and(|metadata| FileIdentity::of(&metadata) == target);
    if is_target {
        return Err(SessionError::OutputIsTarget {
            path: path.to_owned(),
        });
    }
    File::create(path).map_err(create_error)
}

/// The output takes nothing any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutputEnded;

fn write_all(
    mut chunks: mpsc::Receiver<Vec<u8>>,
    mut destination: Box<dyn Write + Send>,
) -> io::Result<()> {
    while let Some(chunk) = chunks.blocking_recv() {
        destination.write_all(&chunk)?;
        destination.flush()?;
    }
    Ok(())
}
