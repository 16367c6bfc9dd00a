//! Says once what is being waited for, where nothing was seen for a while.

use std::fmt::Write;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cost::grouped;
use super::processes;
use super::target_file::FileIdentity;
use crate::cli::{OutputMode, Settings};
use crate::events::MonotonicTime;

/// How long nothing may be seen.
const PATIENCE: Duration = Duration::from_secs(5);
/// Patterns and processes to name.
const TO_NAME: usize = 3;

/// What the kernel appends to the path of a file that is not there any more (Linux:
/// fs/d_path.c).
const DELETED: &[u8] = b" (deleted)";

/// Waits for something to be seen.
pub(super) struct Waiting {
    since: MonotonicTime,
    is_over: bool,
    awaited: Awaited,
    /// `None` if processes were chosen one by one.
    program: Option<Program>,
}

/// What a run waits for.
#[derive(Clone, Debug, Default)]
struct Awaited {
    /// Patterns; none: any traced function.
    targets: Vec<String>,
    /// Other functions than targets are traced.
    has_others: bool,
    /// Whole trees are shown, not lines as they happen.
    trees: bool,
    slower_than: Option<Duration>,
    /// Trees are shown at the end.
    top: bool,
}

struct Program {
    /// As given.
    path: PathBuf,
    /// Without symbolic links.
    whole_path: Option<PathBuf>,
    file: FileIdentity,
}

/// What has been seen until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Hits of probes in trees.
    pub(super) hits_inside: u64,
    /// Calls of probed functions outside of trees, estimated.
    pub(super) calls_outside: u64,
    /// Of targets, those that had begun before and returned; among `calls_outside`.
    pub(super) returns_without_tree: u64,
    /// Hits on the scheduler's stack.
    pub(super) off_goroutine_stack: u64,
    /// Trees that are shown, open ones included.
    pub(super) trees: u64,
    /// Trees that are not shown because they were short.
    pub(super) trees_too_short: u64,
    /// Calls that are shown and had begun before.
    pub(super) already_open: u64,
    /// Calls in trees that would be shown but for filters.
    pub(super) calls: u64,
    /// Of these, those that filters left out.
    pub(super) calls_left_out: u64,
    /// Nothing is shown, only recorded.
    pub(super) only_records: bool,
}

/// Whether a program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Running {
    /// As far as can be seen.
    Yes,
    No,
    /// No process runs the file, but these run another that is or was at its path.
    Another(Vec<u32>),
    /// That is not the question: processes were chosen one by one.
    Chosen,
}

impl Waiting {
    /// Begins to wait at `since`. `file`: the program whose processes are traced, all of them;
    /// `None` if processes were chosen one by one.
    pub(super) fn new(
        settings: &Settings,
        file: Option<(&Path, FileIdentity)>,
        since: MonotonicTime,
    ) -> Self {
        let program = file.map(|(path, file)| Program {
            path: path.to_owned(),
            whole_path: fs::canonicalize(path).ok(),
            file,
        });
        let trees = matches!(settings.mode, OutputMode::Trees { .. });
        let awaited = Awaited {
            targets: settings.patterns.targets.clone(),
            has_others: !settings.patterns.wildcards.is_empty()
                && !settings.patterns.targets.is_empty(),
            trees,
            slower_than: settings.view.slower_than,
            top: settings.view.top.is_some(),
        };
        Self {
            since,
            is_over: false,
            awaited,
            program,
        }
    }

    /// What to say when tracing begins: that no process runs the file, or that one runs another
    /// than the one that is traced, which nobody would find out otherwise.
    pub(super) fn at_start(&mut self) -> Option<String> {
        let running = self.running();
        let path = &self.program.as_ref()?.path;
        match running {
            Running::Another(pids) => {
                self.is_over = true;
                Some(another_file(path, &pids))
            }
            Running::No => Some(format!(
                "no process was seen running {} yet: waiting for one to start",
                path.display()
            )),
            Running::Yes | Running::Chosen => None,
        }
    }

    /// Whether files of processes will not be looked at any more.
    pub(super) fn needs_no_process_files(&self) -> bool {
        self.is_over && self.program.is_some()
    }

    /// Whether it is time for [`Self::message`].
    pub(super) fn is_due(&self, now: MonotonicTime) -> bool {
        !self.is_over && now - self.since >= PATIENCE
    }

    /// What to say, if there is something; asked once.
    pub(super) fn message(&mut self, seen: &Seen) -> Option<String> {
        self.is_over = true;
        let path = self.program.as_ref().map(|program| program.path.as_path());
        text(
            &self.awaited,
            seen,
            || self.running(),
            path.unwrap_or(Path::new("the program")),
        )
    }

    fn running(&self) -> Running {
        let Some(program) = &self.program else {
            return Running::Chosen;
        };
        if processes::is_seen_running(program.file) {
            return Running::Yes;
        }
        let another = match &program.whole_path {
            Some(path) => processes_at(path),
            None => Vec::new(),
        };
        if another.is_empty() {
            Running::No
        } else {
            Running::Another(another)
        }
    }
}

/// The processes whose executable has this path, or had it when it was removed.
fn processes_at(path: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut pids: Vec<u32> = entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let link = fs::read_link(entry.path().join("exe")).ok()?;
            let mut link = link.into_os_string().into_vec();
            if link.ends_with(DELETED) {
                link.truncate(link.len() - DELETED.len());
            }
            (link == path.as_os_str().as_bytes()).then_some(pid)
        })
        .collect();
    pids.sort_unstable();
    pids
}

fn another_file(path: &Path, pids: &[u32]) -> String {
    let path = path.display();
    let first = pids.first().copied().unwrap_or_default();
    let who = match pids {
        [only] => format!("process {only} runs"),
        several => {
            let named: Vec<String> = several.iter().take(TO_NAME).map(u32::to_string).collect();
            let more = if several.len() > TO_NAME { ", …" } else { "" };
            format!("processes {}{more} run", named.join(", "))
        }
    };
    format!(
        "{who} another file that is or was at {path} (perhaps it was built anew): start the program again, \
         or trace what runs with -p {first}"
    )
}

fn text(
    awaited: &Awaited,
    seen: &Seen,
    running: impl FnOnce() -> Running,
    path: &Path,
) -> Option<String> {
    let seconds = PATIENCE.as_secs();
    if seen.hits_inside == 0 {
        let nothing = format!("nothing was seen in {seconds} s: ");
        // A process that may not be looked at is known by its hits.
        let running = match seen.calls_outside {
            0 => running(),
            _ => Running::Yes,
        };
        return Some(match running {
            Running::No => format!(
                "{nothing}no process was seen running {}; waiting for one to start",
                path.display()
            ),
            Running::Another(pids) => nothing + &another_file(path, &pids),
            Running::Yes | Running::Chosen => nothing + &no_call_began(awaited, seen),
        });
    }
    if seen.only_records || awaited.top {
        return None;
    }
    if seen.calls != 0 && seen.already_open == 0 && seen.calls == seen.calls_left_out {
        return Some(format!(
            "nothing is shown yet: filters left out all {} calls (--only, --hide, --goid, \
             --calls-slower-than, --from, --to)",
            grouped(seen.calls)
        ));
    }
    if seen.trees != 0 || !awaited.trees {
        return None;
    }
    if let (Some(slower_than), 1..) = (awaited.slower_than, seen.trees_too_short) {
        return Some(format!(
            "nothing is shown yet: {} {} less than --slower-than {slower_than:?}",
            grouped(seen.trees_too_short),
            if seen.trees_too_short == 1 {
                "tree took"
            } else {
                "trees took"
            },
        ));
    }
    Some(
        "nothing is shown yet: a tree is open, and is printed when its root returns; --stream prints each \
         line as it happens"
            .to_owned(),
    )
}

fn no_call_began(awaited: &Awaited, seen: &Seen) -> String {
    let named: Vec<String> = awaited
        .targets
        .iter()
        .take(TO_NAME)
        .map(|target| format!("'{target}'"))
        .collect();
    let what = match awaited.targets.len() {
        0 => "a traced function".to_owned(),
        count if count > TO_NAME => format!("{} or another target", named.join(", ")),
        _ => named.join(" or "),
    };
    let mut text = format!("no call of {what} began");
    // Writing to a String does not fail.
    let _ = match seen.returns_without_tree {
        0 => write!(text, ", and none that had begun before was seen to go on"),
        returned => write!(
            text,
            "; {} that had begun before returned",
            grouped(returned)
        ),
    };
    if awaited.has_others {
        let _ = match seen.calls_outside.saturating_sub(seen.returns_without_tree) {
            0 => write!(text, "; nor was a call of a -u function counted"),
            calls => write!(
                text,
                "; about {} calls of -u functions were outside of the targets",
                grouped(calls)
            ),
        };
    }
    if seen.off_goroutine_stack != 0 {
        text.push_str("; calls on the scheduler's own stack belong to no goroutine");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(awaited: &Awaited, seen: Seen, running: Running) -> Option<String> {
        text(awaited, &seen, || running, Path::new("./server"))
    }

    fn target() -> Awaited {
        Awaited {
            targets: vec!["*handleBar".to_owned()],
            has_others: true,
            trees: true,
            slower_than: None,
            top: false,
        }
    }

    #[test]
    fn no_process() {
        assert_eq!(
            said(&target(), Seen::default(), Running::No).unwrap(),
            "nothing was seen in 5 s: no process was seen running ./server; waiting for one to start"
        );
        assert_eq!(
            said(&target(), Seen::default(), Running::Another(vec![4711])).unwrap(),
            "nothing was seen in 5 s: process 4711 runs another file that is or was at ./server \
             (perhaps it was built anew): start the program again, or trace what runs with -p 4711"
        );
        let many = said(
            &target(),
            Seen::default(),
            Running::Another(vec![1, 2, 3, 4]),
        )
        .unwrap();
        assert!(many.contains("processes 1, 2, 3, … run another"), "{many}");
    }

    #[test]
    fn no_call_of_a_target() {
        let nothing = said(&target(), Seen::default(), Running::Yes).unwrap();
        assert_eq!(
            nothing,
            "nothing was seen in 5 s: no call of '*handleBar' began, and none that had begun before \
             was seen to go on; nor was a call of a -u function counted"
        );
        assert_eq!(
            said(&target(), Seen::default(), Running::Chosen).unwrap(),
            nothing
        );
        let seen = Seen {
            calls_outside: 12_347,
            returns_without_tree: 2,
            off_goroutine_stack: 1,
            ..Seen::default()
        };
        // Though none may be looked at.
        let outside = said(&target(), seen, Running::No).unwrap();
        assert!(
            outside.contains(
                "about 12,345 calls of -u functions were outside of the targets; calls on"
            ),
            "{outside}"
        );
        assert!(
            outside.contains("; 2 that had begun before returned;"),
            "{outside}"
        );
        let mut awaited = target();
        awaited.has_others = false;
        let alone = said(&awaited, seen, Running::Yes).unwrap();
        assert!(!alone.contains("-u"), "{alone}");
        awaited.targets = ["a.f", "a.g", "a.h", "a.i"].map(str::to_owned).to_vec();
        let four = said(&awaited, Seen::default(), Running::Yes).unwrap();
        assert!(
            four.contains("no call of 'a.f', 'a.g', 'a.h' or another target began"),
            "{four}"
        );
        awaited.targets.clear();
        let any = said(&awaited, Seen::default(), Running::Yes).unwrap();
        assert!(any.contains("no call of a traced function began"), "{any}");
    }

    #[test]
    fn what_is_seen_but_not_shown() {
        let seen = Seen {
            hits_inside: 10,
            ..Seen::default()
        };
        let open = said(&target(), seen, Running::Yes).unwrap();
        assert!(open.contains("printed when its root returns"), "{open}");
        let slow = Awaited {
            slower_than: Some(Duration::from_millis(250)),
            ..target()
        };
        let short = |trees_too_short| Seen {
            trees_too_short,
            ..seen
        };
        assert_eq!(
            said(&slow, short(1_234), Running::Yes).unwrap(),
            "nothing is shown yet: 1,234 trees took less than --slower-than 250ms"
        );
        let one = said(&slow, short(1), Running::Yes).unwrap();
        assert!(one.contains("1 tree took less"), "{one}");
        let filtered = Seen {
            trees: 3,
            calls: 10,
            calls_left_out: 10,
            ..seen
        };
        let left_out = said(&target(), filtered, Running::Yes).unwrap();
        assert!(left_out.contains("left out all 10 calls"), "{left_out}");
    }

    #[test]
    fn nothing_is_said_of_what_is_seen() {
        let seen = Seen {
            hits_inside: 10,
            trees: 1,
            calls: 10,
            ..Seen::default()
        };
        assert_eq!(said(&target(), seen, Running::Yes), None);
        let stream = Awaited {
            trees: false,
            ..target()
        };
        let lines = Seen { trees: 0, ..seen };
        assert_eq!(said(&stream, lines, Running::Yes), None);
        let top = Awaited {
            top: true,
            ..target()
        };
        assert_eq!(said(&top, lines, Running::Yes), None);
        let recorded = Seen {
            hits_inside: 10,
            only_records: true,
            ..Seen::default()
        };
        assert_eq!(said(&target(), recorded, Running::Yes), None);
    }

    #[test]
    fn it_is_said_once_and_not_too_early() {
        let at = |time_ns| MonotonicTime { time_ns };
        let mut waiting = Waiting {
            since: at(1_000_000_000),
            is_over: false,
            awaited: target(),
            program: None,
        };
        assert_eq!(waiting.at_start(), None);
        assert!(!waiting.is_due(at(5_999_999_999)));
        assert!(waiting.is_due(at(6_000_000_000)));
        assert!(waiting.message(&Seen::default()).is_some());
        assert!(!waiting.is_due(at(7_000_000_000)));
    }

    #[test]
    fn processes_are_found_by_path() {
        let own = fs::canonicalize("/proc/self/exe").unwrap();
        assert!(processes_at(&own).contains(&std::process::id()));
        assert_eq!(processes_at(Path::new("/nowhere/server")), [0; 0]);
    }
}
