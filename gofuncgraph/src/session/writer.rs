use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::mpsc;

use crate::kernel::{StillNeeded, give_up_capabilities};

use super::SessionError;
use super::notice::notice;
use super::output_file;
use super::target_file::FileIdentity;
use super::view::{Destination, DestinationId};

/// Chunks that wait while the reader of the output is slow. Then events wait in the ring, and
/// what finds no room there is counted as lost.
const WAITING_CHUNKS: usize = 8;

/// Writing that takes longer at the end is told of.
const SILENT_WAIT: Duration = Duration::from_secs(1);

/// A file that no output may overwrite.
#[derive(Clone, Copy, Debug)]
pub(super) enum Protected {
    /// The executable that is traced.
    Target(FileIdentity),
    /// The recording that is shown.
    Recording(FileIdentity),
}

/// Where a recording goes beside what is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordingFile<'a> {
    /// What names it.
    pub(super) option: &'static str,
    /// `None`: standard output.
    pub(super) path: Option<&'a Path>,
}

/// What stands for a file where none is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StandardStream {
    Output,
    /// The other one belongs to the program that was launched.
    Error,
}

/// Bytes for a destination.
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    /// Events that a recording has in them.
    pub(super) events: u64,
}

impl Chunk {
    /// What was written of a view, of which there may be as much again.
    pub(super) fn of_view(bytes: &mut Vec<u8>) -> Self {
        let next = Vec::with_capacity(bytes.len());
        Self {
            bytes: std::mem::replace(bytes, next),
            events: 0,
        }
    }
}

/// A writer for each destination of a view, and one more for a recording.
pub(super) struct OutputWriters {
    writers: Vec<OutputWriter>,
}

impl OutputWriters {
    /// What has no file of its own goes to `output`, else to `standard`. `recording` gets
    /// the number after those of `destinations`. Nothing is lost of the `protected` file.
    pub(super) fn start(
        destinations: &[Destination],
        output: Option<&Path>,
        standard: StandardStream,
        recording: Option<RecordingFile<'_>>,
        protected: Option<Protected>,
    ) -> Result<Self, SessionError> {
        let mut files: Vec<FileIdentity> = Vec::new();
        let mut opened: Vec<(Option<PathBuf>, Option<File>, Purpose)> = Vec::new();
        for destination in destinations {
            let (option, path) = match &destination.file {
                Some(file) => ("--format", Some(file.as_path())),
                None => ("--output", output),
            };
            let file = path
                .map(|path| create(option, path, protected, &mut files))
                .transpose()?;
            opened.push((destination.file.clone(), file, Purpose::Output));
        }
        if let Some(RecordingFile { option, path }) = recording {
            let file = path
                .map(|path| create(option, path, protected, &mut files))
                .transpose()?;
            opened.push((path.map(Path::to_owned), file, Purpose::Recording));
        }
        let writers = opened
            .into_iter()
            .map(|(path, file, purpose)| OutputWriter::start(path, file, standard, purpose))
            .collect::<Result<_, _>>()?;
        Ok(Self { writers })
    }

    /// Waits until a chunk for `destination` can be taken. `Err`: that output has failed or is
    /// closed, and [`OutputWriters::finish`] says which.
    pub(super) async fn room(
        &self,
        destination: DestinationId,
    ) -> Result<mpsc::Permit<'_, Chunk>, OutputEnded> {
        let writer = self.writers.get(destination.0).ok_or(OutputEnded)?;
        writer.chunks.reserve().await.map_err(|_| OutputEnded)
    }

    /// Takes a chunk, when there is room, outside of asynchronous code.
    pub(super) fn write_blocking(
        &self,
        destination: DestinationId,
        chunk: Chunk,
    ) -> Result<(), OutputEnded> {
        let writer = self.writers.get(destination.0).ok_or(OutputEnded)?;
        writer.chunks.blocking_send(chunk).map_err(|_| OutputEnded)
    }

    /// Takes the bytes for `destination` if there is room for them right now.
    pub(super) fn write_if_room(&self, destination: DestinationId, bytes: &mut Vec<u8>) {
        let writer = self.writers.get(destination.0);
        if let Some(room) = writer.and_then(|writer| writer.chunks.try_reserve().ok()) {
            room.send(Chunk::of_view(bytes));
        }
    }

    /// Whether nobody can read one of the outputs any more, found out without writing to it.
    pub(super) fn is_closed(&self) -> bool {
        self.writers.iter().any(OutputWriter::is_closed)
    }

    /// Unless what it gives is dropped within a second, says that the end waits for the outputs.
    /// Of `recorded_events` those that are not written are told of.
    pub(super) fn tell_if_slow(&self, recorded_events: u64) -> WritingWatch {
        let recording = self.writers.last().map(|writer| &writer.closing);
        let recording = recording.filter(|closing| closing.purpose == Purpose::Recording);
        let written_events = recording.map(|closing| Arc::clone(&closing.written_events));
        let (watch, over) = std::sync::mpsc::channel();
        // Without this thread nothing is lost but the news.
        let _ = thread::Builder::new().spawn(move || {
            if over.recv_timeout(SILENT_WAIT) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let events = written_events.map_or_else(String::new, |written| {
                let waiting = recorded_events.saturating_sub(written.load(Ordering::Relaxed));
                format!(", up to {waiting} events of the recording,")
            });
            notice(format_args!(
                "the probes are taken away; what is left to write{events} waits for whoever takes \
                 the output: Ctrl-C, twice if need be, ends at once without it"
            ));
        });
        WritingWatch { _over: watch }
    }

    /// Waits until everything is written. A closed pipe is no error, except for a recording, to
    /// which `recorded_events` were traced.
    pub(super) fn finish(self, recorded_events: u64) -> Result<(), SessionError> {
        // All of them go on at the same time; a slow reader of one does not hold the others up.
        let threads: Vec<_> = self.writers.into_iter().map(OutputWriter::close).collect();
        let outcomes: Vec<_> = threads
            .into_iter()
            .map(|closing| closing.outcome(recorded_events))
            .collect();
        outcomes.into_iter().collect()
    }
}

/// See [`OutputWriters::tell_if_slow`].
pub(super) struct WritingWatch {
    _over: std::sync::mpsc::Sender<()>,
}

/// What an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Output,
    Recording,
}

/// Writes an output on a thread of its own, so that a reader that stops reading cannot keep the
/// probes in place.
struct OutputWriter {
    chunks: mpsc::Sender<Chunk>,
    /// The file, to see whether anybody can read from it; `None`: the standard stream.
    watched: Option<File>,
    standard: StandardStream,
    closing: Closing,
}

/// A writer that takes nothing any more.
struct Closing {
    thread: JoinHandle<io::Result<Option<File>>>,
    /// Events in chunks that were written whole.
    written_events: Arc<AtomicU64>,
    /// The format's own, or the recording's.
    file: Option<PathBuf>,
    purpose: Purpose,
}

impl OutputWriter {
    /// Writes to `opened`, else to `standard`.
    fn start(
        file: Option<PathBuf>,
        opened: Option<File>,
        standard: StandardStream,
        purpose: Purpose,
    ) -> Result<Self, SessionError> {
        let watched = opened.as_ref().map(File::try_clone).transpose();
        let watched = watched.map_err(setup)?;
        let (chunks, receiver) = mpsc::channel(WAITING_CHUNKS);
        let written_events = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&written_events);
        let thread = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                // If it cannot, `live::trace` says so.
                let _ = give_up_capabilities(StillNeeded::Nothing);
                match (opened, standard) {
                    (Some(mut file), _) => {
                        write_all(receiver, &mut file, &counter)?;
                        Ok(Some(file))
                    }
                    (None, StandardStream::Output) => {
                        write_all(receiver, &mut io::stdout(), &counter)?;
                        Ok(None)
                    }
                    // Its lock keeps notices out of the middle of a line.
                    (None, StandardStream::Error) => {
                        write_all(receiver, &mut io::stderr(), &counter)?;
                        Ok(None)
                    }
                }
            })
            .map_err(setup)?;
        Ok(Self {
            chunks,
            watched,
            standard,
            closing: Closing {
                thread,
                written_events,
                file,
                purpose,
            },
        })
    }

    fn close(self) -> Closing {
        self.closing
    }

    fn is_closed(&self) -> bool {
        if self.chunks.is_closed() {
            return true;
        }
        let standard = match self.standard {
            StandardStream::Output => rustix::stdio::stdout(),
            StandardStream::Error => rustix::stdio::stderr(),
        };
        let descriptor = self.watched.as_ref().map_or(standard, AsFd::as_fd);
        // A regular file always has somebody.
        let mut descriptors = [PollFd::from_borrowed_fd(descriptor, PollFlags::empty())];
        let now = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut descriptors, Some(&now)).is_ok()
            && descriptors[0]
                .revents()
                .intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL)
    }
}

impl Closing {
    fn outcome(self, recorded_events: u64) -> Result<(), SessionError> {
        let Self {
            thread,
            written_events,
            file: path,
            purpose,
        } = self;
        let outcome = thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the writer's thread failed")));
        match (outcome, purpose) {
            (Ok(file), Purpose::Recording) => match path {
                Some(path) if file.is_some_and(|file| is_removed(&file)) => {
                    Err(SessionError::RecordingRemoved { path })
                }
                _ => Ok(()),
            },
            (Ok(_), Purpose::Output) => Ok(()),
            (Err(source), Purpose::Recording) => Err(SessionError::WriteRecording {
                path,
                source,
                missing: recorded_events.saturating_sub(written_events.load(Ordering::Relaxed)),
            }),
            (Err(source), Purpose::Output) if source.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            (Err(source), Purpose::Output) => Err(match path {
                None => SessionError::Output { source },
                Some(path) => SessionError::OutputFile { path, source },
            }),
        }
    }
}

/// Where a plan is printed: the file `path`, made empty, else standard output.
pub(super) fn open(
    path: Option<&Path>,
    target: FileIdentity,
) -> Result<Box<dyn Write + Send>, SessionError> {
    Ok(match path {
        Some(path) => Box::new(create(
            "--output",
            path,
            Some(Protected::Target(target)),
            &mut Vec::new(),
        )?),
        None => Box::new(io::stdout()),
    })
}

/// Whether no directory has the file any more.
fn is_removed(file: &File) -> bool {
    file.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.nlink() == 0)
}

/// Makes `path`, which `option` names, an empty file, unless it is the `protected` one or one of
/// `others`, which it is added to.
fn create(
    option: &'static str,
    path: &Path,
    protected: Option<Protected>,
    others: &mut Vec<FileIdentity>,
) -> Result<File, SessionError> {
    let create_error = |source| SessionError::CreateOutput {
        path: path.to_owned(),
        source,
    };
    let identity = std::fs::metadata(path)
        .ok()
        .map(|metadata| FileIdentity::of(&metadata));
    match protected {
        Some(Protected::Target(target)) if identity == Some(target) => {
            return Err(SessionError::OutputIsTarget {
                option,
                path: path.to_owned(),
            });
        }
        Some(Protected::Recording(recording)) if identity == Some(recording) => {
            return Err(SessionError::OutputIsRecording {
                option,
                path: path.to_owned(),
            });
        }
        _ => {}
    }
    if identity.is_some_and(|identity| others.contains(&identity)) {
        return Err(SessionError::TwoOutputsInOneFile {
            path: path.to_owned(),
        });
    }
    let file = output_file::create(path).map_err(create_error)?;
    let metadata = file.metadata().map_err(create_error)?;
    // Devices such as /dev/null keep nothing that could be overwritten.
    if metadata.is_file() {
        others.push(FileIdentity::of(&metadata));
    }
    Ok(file)
}

fn setup(source: io::Error) -> SessionError {
    SessionError::Setup {
        what: "an output's writer",
        source,
    }
}

/// The output takes nothing any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutputEnded;

fn write_all(
    mut chunks: mpsc::Receiver<Chunk>,
    destination: &mut dyn Write,
    written_events: &AtomicU64,
) -> io::Result<()> {
    while let Some(chunk) = chunks.blocking_recv() {
        destination.write_all(&chunk.bytes)?;
        destination.flush()?;
        written_events.fetch_add(chunk.events, Ordering::Relaxed);
    }
    Ok(())
}
