//! What `man` and `completions` print is what their readers take: groff, bash, zsh, fish.
//! `cargo xtask test` installs these.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const COMMANDS: [&str; 8] = [
    "record",
    "replay",
    "report",
    "diff",
    "list",
    "check",
    "man",
    "completions",
];

fn gofuncgraph(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_gofuncgraph"))
        .args(arguments)
        .output()
        .expect("it was built");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8 is printed")
}

/// Runs `command` with `input`.
fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{command:?}: {error}; `cargo xtask test` installs what tests need")
        });
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer
        .join()
        .expect("it does not panic")
        .expect("everything is read");
    output
}

/// The page as it is shown; a complaint of groff is a failure.
fn shown(page: &str) -> String {
    let groff = ["-man", "-Tutf8", "-ww", "-rLL=100n", "-P-cbou"];
    let output = run(Command::new("groff").args(groff), page);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    assert_eq!(complaints, "", "in\n{page}");
    String::from_utf8(output.stdout).expect("UTF-8 was asked for")
}

#[test]
fn the_manual_page_has_everything() {
    let page = shown(&gofuncgraph(&["man"]));
    let sections: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with(|letter: char| letter.is_ascii_uppercase()))
        .collect();
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "WHAT TO TRACE",
        "WHAT TO SHOW",
        "OUTPUT",
        "WHEN TO STOP",
        "EXAMPLES",
        "EXIT STATUS",
        "ENVIRONMENT",
        "FILES",
        "SEE ALSO",
    ] {
        assert!(sections.contains(&section), "{section} in {sections:?}");
    }
    // Every option of the help, with its text.
    let help = gofuncgraph(&["--help"]);
    let options: Vec<&str> = help
        .lines()
        .filter(|line| line.starts_with("  -") || line.starts_with("      --"))
        .filter_map(|line| {
            let option = line.trim_start().strip_prefix("--").or_else(|| {
                let (short, long) = line.trim_start().split_once(", --")?;
                (short.len() == 2).then_some(long)
            })?;
            option.split([' ', '[', '=']).next()
        })
        .collect();
    assert!(options.len() > 25, "{options:?}");
    let (_, options_of_page) = page.split_once("\nOPTIONS\n").expect("it is there");
    for option in options {
        let mut lines = options_of_page.lines().skip_while(|line| {
            let line = line.trim_start();
            let line = line
                .split_once(", ")
                .filter(|(short, _)| short.len() == 2)
                .map_or(line, |it| it.1);
            let named = line.strip_prefix("--").unwrap_or_default();
            named.split([' ', '[']).next() != Some(option)
        });
        assert!(lines.next().is_some(), "--{option} is not in\n{page}");
        let text = lines.next().unwrap_or_default();
        assert!(
            text.starts_with("              "),
            "--{option} is not explained in\n{page}"
        );
    }
    for words in ["NO_COLOR", "gofuncgraph.rec", "'*handleBar'"] {
        assert!(page.contains(words), "{words} in\n{page}");
    }
}

#[test]
fn every_command_has_a_page() {
    let help = gofuncgraph(&["--help"]);
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
        let page = shown(&gofuncgraph(&["man", command]));
        let title = format!("GOFUNCGRAPH-{}(1)", command.to_uppercase());
        assert!(page.trim_start().starts_with(&title), "{page}");
        for section in ["NAME", "SYNOPSIS", "EXAMPLES", "SEE ALSO"] {
            let has_section = page.lines().any(|line| line == section);
            assert!(
                has_section || ["report", "diff"].contains(&command),
                "{section} in\n{page}"
            );
        }
    }
    let output = Command::new(env!("CARGO_BIN_EXE_gofuncgraph"))
        .args(["man", "annotate"])
        .output()
        .expect("it was built");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("annotate") && said.contains("record, replay"),
        "{said}"
    );
}

/// The script for `shell` in a file of its own.
fn completions(shell: &str, folder: &Path) -> String {
    let path = folder.join(format!("gofuncgraph.{shell}"));
    std::fs::write(&path, gofuncgraph(&["completions", shell])).expect("it can be written");
    path.to_str().expect("it has no strange name").to_owned()
}

fn answer(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_completes() {
    let folder = tempfile::tempdir().expect("one can be made");
    let script = completions("bash", folder.path());
    answer(&run(Command::new("bash").args(["-n", &script]), ""));
    let complete = |words: &[&str]| {
        let last = words.last().copied().unwrap_or_default();
        let previous = words.iter().rev().nth(1).copied().unwrap_or_default();
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let text = format!(
            "source {script}\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_gofuncgraph gofuncgraph '{last}' \
             '{previous}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            quoted.join(" "),
            words.len() - 1
        );
        answer(&run(Command::new("bash").args(["--norc", "-s"]), &text))
    };
    assert_eq!(complete(&["gofuncgraph", "--upr"]), ["--uprobe-wildcards"]);
    assert_eq!(complete(&["gofuncgraph", "comp"]), ["completions"]);
    assert_eq!(
        complete(&["gofuncgraph", "replay", "--slow"]),
        ["--slower-than"]
    );
    assert_eq!(complete(&["gofuncgraph", "completions", "z"]), ["zsh"]);
    assert_eq!(
        complete(&["gofuncgraph", "--color", "a"]),
        ["auto", "always"]
    );
}

#[test]
fn zsh_takes_the_script() {
    let folder = tempfile::tempdir().expect("one can be made");
    let script = completions("zsh", folder.path());
    answer(&run(Command::new("zsh").args(["-f", "-n", &script]), ""));
    // As the completion system loads it: a function by the name in the first line.
    let text = format!(
        "autoload -U compinit\ncompinit -D -u\nsource {script}\nprint ${{_comps[gofuncgraph]}}\n"
    );
    let loaded = answer(&run(Command::new("zsh").args(["-f", "-s"]), &text));
    assert_eq!(loaded, ["_gofuncgraph"]);
}

#[test]
fn fish_completes() {
    let folder = tempfile::tempdir().expect("one can be made");
    let script = completions("fish", folder.path());
    let complete = |line: &str| {
        let text = format!("source {script}; complete --do-complete='{line}'");
        let output = run(
            Command::new("fish")
                .args(["--no-config", "--command", &text])
                .env("HOME", folder.path()),
            "",
        );
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let names = text.lines().filter_map(|it| it.split('\t').next());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete("gofuncgraph --upr"), ["--uprobe-wildcards"]);
    assert_eq!(complete("gofuncgraph replay --slow"), ["--slower-than"]);
    assert_eq!(complete("gofuncgraph replay --color a"), ["always", "auto"]);
}
