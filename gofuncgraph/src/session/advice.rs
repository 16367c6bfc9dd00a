//! What to type instead, where the first word of a command line is not the path of a program.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::SessionError;
use crate::binary::BinaryError;
use crate::cli;
use crate::plan::PlanError;

/// Files that are looked at to find one with a similar name.
const FILES_TO_LOOK_AT: usize = 10_000;
/// Processes to name.
const PROCESSES_TO_NAME: usize = 3;

/// Adds what to do to an `error` about `program`, which was given together with `targets`.
pub(super) fn with_advice(error: SessionError, program: &Path, targets: &[String]) -> SessionError {
    let advice = match &error {
        SessionError::Open { source, .. } if is_not_there(source) => {
            instead_of_missing(program, targets)
        }
        SessionError::NotAFile { .. } if program.is_dir() => in_directory(program),
        SessionError::Binary {
            source: BinaryError::NotElf { .. },
            ..
        } => shell_put_files(targets),
        SessionError::Plan {
            source: PlanError::Unmatched(patterns),
            ..
        } => {
            let patterns = patterns.iter().map(|pattern| pattern.pattern.as_str());
            instead_of_unmatched(program, patterns)
        }
        _ => None,
    };
    match advice {
        Some(advice) => SessionError::Advised {
            error: Box::new(error),
            advice,
        },
        None => error,
    }
}

fn is_not_there(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// What may be meant by a path that leads nowhere.
fn instead_of_missing(program: &Path, targets: &[String]) -> Option<String> {
    let word = program.to_str()?;
    process_id(word, targets)
        .or_else(|| broken_link(program))
        .or_else(|| home(word, targets))
        .or_else(|| path_and_function(word, targets))
        .or_else(|| run_by_go(word, targets.iter().map(String::as_str)))
        .or_else(|| cli::advice_on_first_word(word).map(str::to_owned))
        .or_else(|| swapped(word, targets))
        .or_else(|| pattern(word))
        .or_else(|| source(word))
        .or_else(|| in_search_path(word, targets))
        .or_else(|| running(word, targets))
        .or_else(|| similar(program, targets))
        .or_else(|| function(word))
}

/// `gofuncgraph 4711 main.f`
fn process_id(word: &str, targets: &[String]) -> Option<String> {
    let pid: u32 = word.parse().ok()?;
    let command = command_line(&["-p", word], targets);
    Some(if Path::new(&format!("/proc/{pid}")).exists() {
        format!("to trace the process {pid}: {command}")
    } else {
        format!("a process is given as -p PID, but there is no process {pid}")
    })
}

/// A symbolic link that leads nowhere.
fn broken_link(program: &Path) -> Option<String> {
    let to = fs::read_link(program).ok()?;
    Some(format!(
        "it is a symbolic link to {}, which is not there",
        to.display()
    ))
}

/// `gofuncgraph '~/server'`
fn home(word: &str, targets: &[String]) -> Option<String> {
    let rest = word.strip_prefix("~/")?;
    let path = PathBuf::from(std::env::var_os("HOME")?).join(rest);
    is_executable(&path).then(|| {
        format!(
            "the shell leaves ~ as it is in quotes: {}",
            command_line(&[&path.to_string_lossy()], targets)
        )
    })
}

/// `gofuncgraph '*handle' ./server`
fn swapped(word: &str, targets: &[String]) -> Option<String> {
    let index = targets.iter().position(|it| is_executable(Path::new(it)))?;
    let mut others = targets.to_vec();
    let program = others.remove(index);
    others.insert(0, word.to_owned());
    Some(format!(
        "the program's file stands before the targets: {}",
        command_line(&[&program], &others)
    ))
}

/// `gofuncgraph uprobe:./server:main.f`, as bpftrace writes it, and perf without the beginning.
fn path_and_function(word: &str, targets: &[String]) -> Option<String> {
    let rest = ["uprobe:", "uretprobe:", "u:", "ur:"]
        .iter()
        .find_map(|kind| word.strip_prefix(kind))
        .unwrap_or(word);
    let (path, function) = rest.split_once(':')?;
    if !Path::new(path).is_file() {
        return None;
    }
    let mut others = targets.to_vec();
    others.insert(0, function.trim_matches('"').to_owned());
    Some(format!(
        "file and function are words of their own: {}",
        command_line(&[path], &others)
    ))
}

/// `gofuncgraph go run main.go`
fn run_by_go<'a>(program: &str, mut targets: impl Iterator<Item = &'a str>) -> Option<String> {
    let is_go = program == "go" || program.ends_with("/go");
    let (verb, build) = match targets.next() {
        Some("run") if is_go => ("run", "build"),
        Some("test") if is_go => ("test", "test -c"),
        _ => return None,
    };
    Some(format!(
        "`go {verb}` puts the program into a temporary folder: build it (go {build} -o NAME) and trace \
         ./NAME, or trace it while it runs: -p PID"
    ))
}

/// `gofuncgraph '*handle'`
fn pattern(word: &str) -> Option<String> {
    word.contains(['*', '?']).then(|| {
        format!(
            "a pattern stands behind the program's file: {}",
            command_line(&["./PROGRAM"], &[word.to_owned()])
        )
    })
}

/// `gofuncgraph main.handle`
fn function(word: &str) -> Option<String> {
    (word.starts_with("main.") || word.contains("(*")).then(|| {
        format!(
            "a function stands behind the program's file: {}",
            command_line(&["./PROGRAM"], &[word.to_owned()])
        )
    })
}

/// `gofuncgraph main.go`, `gofuncgraph ./cmd/server/...`
fn source(word: &str) -> Option<String> {
    let is_package = word.ends_with("/...") || word.starts_with("./cmd/");
    (word.ends_with(".go") || is_package).then(|| {
        format!(
            "that would be source code: build it (go build -o NAME {}) and give the path of the program \
             that this makes",
            shell_word(word.trim_end_matches("/..."))
        )
    })
}

/// `gofuncgraph caddy` with a program that is somewhere in PATH.
fn in_search_path(word: &str, targets: &[String]) -> Option<String> {
    if word.contains('/') {
        return None;
    }
    let folders = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&folders)
        .map(|folder| folder.join(word))
        .find(|path| is_executable(path))?;
    Some(format!(
        "programs are given by path: {}",
        command_line(&[&found.to_string_lossy()], targets)
    ))
}

/// `gofuncgraph caddy` with a process of that name.
fn running(word: &str, targets: &[String]) -> Option<String> {
    let pids = processes_named(word);
    let first = pids.first()?.to_string();
    let command = command_line(&["-p", &first], targets);
    Some(match pids.len() {
        1 => format!("process {first} has that name: {command}"),
        count => format!(
            "{count} processes have that name ({}{}); to trace one of them: {command}",
            pids.iter()
                .take(PROCESSES_TO_NAME)
                .map(u32::to_string)
                .collect::<Vec<_>>()
                .join(", "),
            if count > PROCESSES_TO_NAME {
                ", …"
            } else {
                ""
            }
        ),
    })
}

fn processes_named(name: &str) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    // The kernel keeps 15 bytes of it.
    let kept = name.as_bytes().get(..15).unwrap_or(name.as_bytes());
    let mut pids: Vec<u32> = processes
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let comm = fs::read(entry.path().join("comm")).ok()?;
            (comm.trim_ascii_end() == kept && pid != std::process::id()).then_some(pid)
        })
        .collect();
    pids.sort_unstable();
    pids
}

/// A file beside with a name a few letters away.
fn similar(program: &Path, targets: &[String]) -> Option<String> {
    let wanted = program.file_name()?.to_str()?.to_lowercase();
    let folder = match program.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => return None,
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_not_there(&error) => {
            return Some(format!("there is no folder {}", folder.display()));
        }
        Err(_) => return None,
    };
    let tolerated = (wanted.chars().count() / 3).max(1);
    let nearest = entries
        .flatten()
        .take(FILES_TO_LOOK_AT)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let distance = strsim::osa_distance(&wanted, &name.to_lowercase());
            let path = program.with_file_name(&name);
            (distance <= tolerated && is_executable(&path)).then_some((distance, path))
        })
        .min()?;
    Some(format!(
        "perhaps {}",
        command_line(&[&nearest.1.to_string_lossy()], targets)
    ))
}

/// What a directory has that may be meant.
fn in_directory(folder: &Path) -> Option<String> {
    let files: Vec<PathBuf> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .take(FILES_TO_LOOK_AT)
        .map(|entry| entry.path())
        .collect();
    let is_source = |path: &PathBuf| path.extension().is_some_and(|it| it == "go");
    let name = folder.canonicalize().ok()?;
    let programs: Vec<&PathBuf> = files.iter().filter(|path| is_elf_program(path)).collect();
    let program = programs
        .iter()
        .find(|path| path.file_name() == name.file_name())
        .or(match programs.as_slice() {
            [only] => Some(only),
            _ => None,
        });
    if let Some(program) = program {
        return Some(format!("perhaps {} is meant", program.display()));
    }
    files.iter().any(is_source).then(|| {
        format!(
            "it holds Go source: build it (go build -o NAME {}) and give the path of the program that \
             this makes",
            go_package(folder)
        )
    })
}

/// As the `go` command takes a folder.
fn go_package(folder: &Path) -> String {
    let text = folder.to_string_lossy();
    let is_plain = folder.is_relative() && !text.starts_with('.');
    shell_word(&format!("{}{text}", if is_plain { "./" } else { "" }))
}

/// Patterns that match no function but are files: of the shell's making. And patterns for a
/// program that the `go` command would have started.
fn instead_of_unmatched<'a>(
    program: &Path,
    patterns: impl Iterator<Item = &'a str> + Clone,
) -> Option<String> {
    if let Some(advice) = run_by_go(program.to_str()?, patterns.clone()) {
        return Some(advice);
    }
    let files: Vec<&str> = patterns.filter(|it| Path::new(it).exists()).collect();
    if files.is_empty() {
        return (program.file_name()? == "go").then(|| {
            "this is the go command itself; if a program that it runs is meant, build that \
             (go build -o NAME) and trace ./NAME"
                .to_owned()
        });
    }
    Some(format!(
        "there {} here: quote patterns, as in '*handle', else the shell puts names of files in their place",
        match files.as_slice() {
            [only] => format!("is a file {only}"),
            files => format!("are files {}", files.join(", ")),
        }
    ))
}

/// A file of another kind, and behind it the program: of the shell's making, too.
fn shell_put_files(targets: &[String]) -> Option<String> {
    let program = targets.iter().find(|it| is_elf_program(Path::new(it)))?;
    Some(format!(
        "or, if {} is the program: it stands before the targets, and patterns need quotes, as in -u '*handle', \
         else the shell puts names of files in their place",
        shell_word(program)
    ))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

fn is_elf_program(path: &Path) -> bool {
    let mut magic = [0; 4];
    is_executable(path)
        && fs::File::open(path)
            .and_then(|mut file| io::Read::read_exact(&mut file, &mut magic))
            .is_ok_and(|()| magic == *b"\x7fELF")
}

/// What to type, as a shell takes it.
fn command_line(first: &[&str], rest: &[String]) -> String {
    let words = first.iter().copied().chain(rest.iter().map(String::as_str));
    let words: Vec<String> = words.map(shell_word).collect();
    format!("gofuncgraph {}", words.join(" "))
}

/// `word` as a shell takes it for itself.
fn shell_word(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_./:=@%+,".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
#[path = "advice_tests.rs"]
mod tests;
