//! Programs that read formats; `cargo xtask test` installs them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::Deserialize;

const CHROMIUM: &str = "/usr/bin/chromium";

/// Where `cargo xtask test` puts what has no place of its own.
fn installed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("readers")
        .join(name)
}

/// Demands that `command` could be run, and ended well; gives what it printed.
fn printed(command: &Command, output: std::io::Result<Output>) -> String {
    let output = output.unwrap_or_else(|error| {
        panic!("{command:?} cannot be run ({error}): `cargo xtask test` installs it")
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

/// Lets jq read `input`.
pub fn jq(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new("jq");
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = command.spawn().and_then(|mut child| {
        let mut stdin = child.stdin.take().expect("it is piped");
        let input = input.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output();
        writer.join().expect("it does not panic")?;
        output
    });
    printed(&command, output)
}

/// Runs `program` in a Python that has DuckDB and jsonschema.
pub fn python(program: &str, arguments: impl IntoIterator<Item = impl AsRef<Path>>) -> String {
    let mut command = Command::new(installed("python/bin/python"));
    command.args(["-c", program]);
    for argument in arguments {
        command.arg(argument.as_ref());
    }
    let output = command.output();
    printed(&command, output)
}

/// What speedscope shows of a file.
#[derive(Debug, Deserialize)]
pub struct SpeedscopePage {
    /// Why it shows nothing.
    pub error: Option<String>,
    /// What it told the console.
    pub warnings: Vec<String>,
    /// What it shows.
    pub profiles: Vec<SpeedscopeProfile>,
}

/// A profile that speedscope shows.
#[derive(Debug, Deserialize)]
pub struct SpeedscopeProfile {
    /// Its name, if there is more than one.
    pub name: Option<String>,
    /// The symbol names of its sandwich view.
    pub functions: BTreeSet<String>,
}

/// Opens files, given by name and content, in speedscope in a headless Chromium. Pictures of the
/// pages are left in the folder `speedscope` of cargo's folder for tests.
pub fn speedscope(files: &[(String, String)]) -> Vec<SpeedscopePage> {
    let directory = tempfile::tempdir().expect("one can be made");
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("speedscope");
    fs::create_dir_all(&pictures).expect("it can be made");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/speedscope.mjs");
    assert!(
        Path::new(CHROMIUM).exists(),
        "{CHROMIUM} is missing: `cargo xtask test` installs it"
    );
    let mut command = Command::new("node");
    command
        .arg(script)
        .arg(installed("node"))
        .arg(CHROMIUM)
        .arg(pictures);
    for (name, content) in files {
        let file = directory.path().join(name);
        fs::write(&file, content).expect("it can be written");
        command.arg(file);
    }
    let output = command.output();
    let pages: Vec<SpeedscopePage> = printed(&command, output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("it prints JSON"))
        .collect();
    assert_eq!(pages.len(), files.len());
    pages
}
