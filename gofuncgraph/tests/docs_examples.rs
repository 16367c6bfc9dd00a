//! What README.md and docs/*.md show of commands on recordings is what these commands print.
//!
//! An example is a fenced block of ```` ```console ```` whose first line is `$ gofuncgraph`
//! followed by ` replay`, ` report`, ` diff`, ` check` or ` list`, or is `$ cat`; other blocks are not
//! looked at. In it:
//!
//! - Every line that begins with `$ gofuncgraph ` or `$ cat `, or is `$ echo $?`, is a command, run
//!   by `sh` in the repository's top folder, or for [`OF_RECORDINGS`] in `docs/recordings`:
//!   relative paths, quotes and pipes mean what they mean there, and a line that ends in `\` or `|`
//!   goes on in the next. Files that it writes at the top are thrown away.
//! - The lines up to the next command are what it prints: first standard output, then standard
//!   error. Nothing may be left out but where a line `  (N lines)`, two blanks in front, stands for
//!   N lines. The exit code is not looked at.
//!
//! `./server` is the example server, built by the newest release with `-trimpath`.
//!
//! Local time is the recording's, and there is no colour, as output is no terminal.
//!
//! `UPDATE_GOLDEN=1` writes the output anew. As many lines as were shown before and behind a line
//! `  (N lines)` are shown again; if there are several such lines, only the last N changes. To
//! begin with, write the command with a line `  (0 lines)` between as many lines of any text as
//! are to be shown.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::go_build::{Flavor, Variant, build};
use support::private_binary::NEWEST;

const FENCE: &str = "```";
const COMMAND: &str = "$ gofuncgraph ";
const SUBCOMMANDS: [&str; 5] = ["replay", "report", "diff", "check", "list"];

/// Documents whose commands are run among the recordings that they are about.
const OF_RECORDINGS: [&str; 2] = ["CHECK.md", "COMPARING.md"];

fn is_command(line: &str) -> bool {
    line.starts_with(COMMAND) || line.starts_with("$ cat ") || line == "$ echo $?"
}

/// A command and what is shown of its output.
#[derive(Debug, PartialEq, Eq)]
struct Example {
    /// As it is written, after `$ `; several lines if it goes on.
    command: String,
    /// Of the file: the first line of the output, and the line after its last.
    output: std::ops::Range<usize>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn documents() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).expect("it is there");
    let docs = docs.map(|entry| entry.expect("it can be read").path());
    let mut documents: Vec<PathBuf> = docs
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .chain([root().join("README.md")])
        .collect();
    documents.sort();
    documents
}

fn examples(lines: &[&str]) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut number = 0;
    while number < lines.len() {
        let is_ours = lines[number] == "```console"
            && lines.get(number + 1).is_some_and(|line| {
                let command = line.strip_prefix(COMMAND).unwrap_or_default();
                let subcommand = command.split(' ').next().unwrap_or_default();
                line.starts_with("$ cat ") || SUBCOMMANDS.contains(&subcommand)
            });
        if !lines[number].starts_with(FENCE) {
            number += 1;
            continue;
        }
        let length = lines[number + 1..].iter().position(|line| *line == FENCE);
        let end = number + 1 + length.unwrap_or_else(|| panic!("line {}: no end", number + 1));
        number += 1;
        while is_ours && number < end {
            let mut command = lines[number][2..].to_owned();
            number += 1;
            while command.ends_with(['\\', '|']) && number < end {
                command = format!("{command}\n{}", lines[number]);
                number += 1;
            }
            let begin = number;
            while number < end && !is_command(lines[number]) {
                number += 1;
            }
            examples.push(Example {
                command,
                output: begin..number,
            });
        }
        number = end + 1;
    }
    examples
}

/// The number of lines that `line` stands for.
fn lines_left_out(line: &str) -> Option<usize> {
    let number = line.strip_prefix("  (")?;
    let number = number
        .strip_suffix(" lines)")
        .or(number.strip_suffix(" line)"))?;
    number.parse().ok()
}

/// Whether `shown` is `printed`, but for lines that are said to be left out.
fn shows(shown: &[&str], printed: &[&str]) -> bool {
    let mut printed = printed.iter();
    for line in shown {
        let fits = match lines_left_out(line) {
            Some(0) => true,
            Some(count) => printed.nth(count - 1).is_some(),
            None => printed.next() == Some(line),
        };
        if !fits {
            return false;
        }
    }
    printed.next().is_none()
}

/// `printed`, with lines left out where `shown` leaves some out.
fn shown_anew(shown: &[&str], printed: &[&str]) -> Vec<String> {
    let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    let last_gap = shown
        .iter()
        .rposition(|line| lines_left_out(line).is_some());
    let Some(last_gap) = last_gap else {
        return owned(printed);
    };
    let tail = shown.len() - last_gap - 1;
    let before: usize = shown[..last_gap]
        .iter()
        .map(|line| lines_left_out(line).unwrap_or(1))
        .sum();
    let left_out = printed.len().saturating_sub(before + tail);
    if left_out == 0 {
        return owned(printed);
    }
    let mut anew = Vec::new();
    let mut at = 0;
    for line in &shown[..last_gap] {
        match lines_left_out(line) {
            Some(count) => {
                anew.push((*line).to_owned());
                at += count;
            }
            None => {
                anew.push(printed[at].to_owned());
                at += 1;
            }
        }
    }
    let noun = if left_out == 1 { "line" } else { "lines" };
    anew.push(format!("  ({left_out} {noun})"));
    anew.extend(owned(&printed[printed.len() - tail..]));
    anew
}

/// What `command` prints in a folder of the repository: standard output, then standard error; and
/// how it ends. `status` is how the command before ended.
fn printed_by(command: &str, folder_of_repository: &str, status: i32) -> (String, i32) {
    // Everything of the repository is in this folder, but what is written stays here.
    let folder = tempfile::tempdir().expect("one can be made");
    let top = folder.path().join("top");
    let bin = folder.path().join("bin");
    fs::create_dir(&top).expect("it can be made");
    fs::create_dir(&bin).expect("it can be made");
    for entry in fs::read_dir(root()).expect("it is there") {
        let path = entry.expect("it can be read").path();
        let name = path.file_name().expect("it has one");
        let path = path.canonicalize().expect("it is there");
        symlink(&path, top.join(name)).expect("it can be made");
    }
    if command.contains("./server") {
        let server = Variant {
            toolchain: NEWEST.toolchain,
            flavor: Flavor::Trimmed,
        };
        let server = build(&root().join("example-go"), server);
        symlink(server, top.join("server")).expect("it can be made");
    }
    let executable = env!("CARGO_BIN_EXE_gofuncgraph");
    symlink(executable, bin.join("gofuncgraph")).expect("it can be made");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", &format!("(exit {status}); {command}")])
        .current_dir(top.join(folder_of_repository))
        .env("PATH", format!("{}:{path}", bin.display()))
        .env("TZ", "Asia/Tokyo")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("sh can be run");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8 is printed");
    let printed = text(output.stdout) + &text(output.stderr);
    assert!(!printed.is_empty(), "nothing is printed by {command}");
    (printed, output.status.code().expect("it ends by itself"))
}

#[test]
fn examples_are_what_commands_print() {
    let is_update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut count = 0;
    let mut wrong = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).expect("it can be read");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let borrowed: Vec<&str> = text.lines().collect();
        let examples = examples(&borrowed);
        count += examples.len();
        let name = document.file_name().unwrap_or_default();
        let is_of_recordings = OF_RECORDINGS
            .iter()
            .any(|of_recordings| name == *of_recordings);
        let folder = if is_of_recordings {
            "docs/recordings"
        } else {
            "."
        };
        let mut status = 0;
        let mut printed_by_examples = Vec::new();
        for example in &examples {
            let (printed, ended) = printed_by(&example.command, folder, status);
            status = ended;
            printed_by_examples.push(printed);
        }
        // From the end, so that the numbers of lines stay what they are.
        for (example, printed) in examples.iter().zip(&printed_by_examples).rev() {
            let printed: Vec<&str> = printed.lines().collect();
            let shown = &borrowed[example.output.clone()];
            if is_update {
                lines.splice(example.output.clone(), shown_anew(shown, &printed));
            } else if !shows(shown, &printed) {
                wrong.push(format!(
                    "{}:{}: `{}` prints\n{}",
                    document.display(),
                    example.output.start,
                    example.command,
                    shown_anew(shown, &printed).join("\n")
                ));
            }
        }
        if is_update {
            let anew = lines.join("\n") + "\n";
            if anew != text {
                fs::write(&document, anew).expect("it can be written");
            }
        }
    }
    assert!(wrong.is_empty(), "UPDATE_GOLDEN=1?\n{}", wrong.join("\n\n"));
    assert!(count > 0, "no examples were found");
}

#[test]
fn the_readme_shows_files_as_they_are() {
    let readme = fs::read_to_string(root().join("README.md")).expect("it can be read");
    for (name, language) in [
        ("check-performance.sh", "sh"),
        ("performance.rules", ""),
        ("performance.yml", "yaml"),
    ] {
        let path = root().join("examples/ci").join(name);
        let text = fs::read_to_string(path).expect("it can be read");
        let block = format!("{FENCE}{language}\n{text}{FENCE}\n");
        assert!(readme.contains(&block), "README.md shows another {name}");
    }
}

#[test]
fn examples_are_found() {
    let text = "\
text
```sh
gofuncgraph replay a.rec
```
```console
$ sudo gofuncgraph ./server
output
```
```console
$ gofuncgraph replay a.rec
one
$   1.500 s  | }
$ gofuncgraph check a.rec \\
    --fail-if 'lost > 0' |
    wc -l
two
```
";
    let lines: Vec<&str> = text.lines().collect();
    let found = examples(&lines);
    let commands: Vec<&str> = found.iter().map(|it| it.command.as_str()).collect();
    assert_eq!(
        commands,
        [
            "gofuncgraph replay a.rec",
            "gofuncgraph check a.rec \\\n    --fail-if 'lost > 0' |\n    wc -l"
        ]
    );
    let outputs: Vec<&[&str]> = found.iter().map(|it| &lines[it.output.clone()]).collect();
    assert_eq!(outputs, [&["one", "$   1.500 s  | }"][..], &["two"][..]]);
}

#[test]
fn what_is_not_printed_is_noticed() {
    let printed = ["a", "b", "c", "d", "e"];
    for shown in [
        &["a", "b", "c", "d", "e"] as &[&str],
        &["a", "  (3 lines)", "e"],
        &["a", "  (1 line)", "c", "  (1 lines)", "e"],
        &["  (5 lines)"],
    ] {
        assert!(shows(shown, &printed), "{shown:?}");
        assert_eq!(shown_anew(shown, &printed).len(), shown.len());
    }
    for shown in [
        &["a", "b", "c", "d"] as &[&str],
        &["a", "b", "c", "d", "e", "f"],
        &["a", "  (2 lines)", "e"],
        &["a", "  (4 lines)", "e"],
        &["a", "  (6 lines)"],
        &["b", "  (3 lines)", "e"],
        &["(5 lines)"],
        &[],
    ] {
        assert!(!shows(shown, &printed), "{shown:?}");
    }
    let anew = |shown: &[&str]| shown_anew(shown, &printed).join(" ");
    assert_eq!(anew(&["x", "  (0 lines)", "y", "z"]), "a   (2 lines) d e");
    assert_eq!(
        anew(&["x", "  (1 lines)", "y", "  (9 lines)"]),
        "a   (1 lines) c   (2 lines)"
    );
    assert_eq!(anew(&["1", "2", "3", "  (1 line)", "4", "5"]), "a b c d e");
    assert_eq!(anew(&["old"]), "a b c d e");
}
