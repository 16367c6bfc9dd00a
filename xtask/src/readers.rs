//! The programs that read in tests what is written: jq, DuckDB, jsonschema, speedscope in Chromium for
//! formats; groff, zsh and fish for manual pages and completions.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::ebpf::install;
use crate::process::Run;
use crate::workspace;

/// Packages from PyPI.
const PYTHON_PACKAGES: [&str; 2] = ["duckdb==1.4.1", "jsonschema==4.25.1"];

/// What is installed from npm, in `gofuncgraph/tests/readers`.
const NODE_MANIFESTS: [&str; 2] = ["package.json", "package-lock.json"];

/// Commands and the Debian packages that have them.
const COMMANDS: [(&str, &str); 5] = [
    ("jq", "jq"),
    ("chromium", "chromium"),
    ("groff", "groff"),
    ("zsh", "zsh"),
    ("fish", "fish"),
];

/// Installs what is not here yet: commands from Debian, packages into `tmp/readers` of the target
/// folder, where cargo lets tests keep what they need.
pub fn ensure() -> Result<()> {
    let missing: Vec<&str> = COMMANDS
        .iter()
        .filter(|(command, _)| workspace::find_in_path(command).is_none())
        .map(|(_, package)| *package)
        .collect();
    if !missing.is_empty() {
        eprintln!("tests read what is written with {}", missing.join(" and "));
        install::update_and_install(&missing)?;
    }
    let folder = workspace::target_dir()?.join("tmp").join("readers");
    ensure_python(&folder.join("python"))?;
    ensure_node(&folder.join("node"))
}

fn ensure_python(folder: &Path) -> Result<()> {
    let wanted = PYTHON_PACKAGES.join("\n");
    if is_complete(folder, &wanted) {
        return Ok(());
    }
    let python = folder.join("bin").join("python");
    Run::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(folder)
        .hint("Python 3.9 or newer with venv must be in PATH: Debian's packages are python3 and python3-venv")
        .run()?;
    Run::new(python)
        .args(["-m", "pip", "install", "--quiet"])
        .args(["--disable-pip-version-check"])
        .args(PYTHON_PACKAGES)
        .hint("tests need these packages from PyPI: is it reachable?")
        .run()?;
    complete(folder, &wanted)
}

fn ensure_node(folder: &Path) -> Result<()> {
    let manifests = workspace::root()?.join("gofuncgraph/tests/readers");
    let mut wanted = String::new();
    for name in NODE_MANIFESTS {
        let path = manifests.join(name);
        wanted += &fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
    }
    if is_complete(folder, &wanted) {
        return Ok(());
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for name in NODE_MANIFESTS {
        fs::copy(manifests.join(name), folder.join(name))
            .with_context(|| format!("cannot write {name} into {}", folder.display()))?;
    }
    Run::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .hint(
            "Node.js 20 or newer must be in PATH (https://nodejs.org), and npm's registry reachable",
        )
        .run()?;
    complete(folder, &wanted)
}

/// Written last, so that what was interrupted is done again.
const STAMP: &str = ".complete";

fn is_complete(folder: &Path, wanted: &str) -> bool {
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|found| found == wanted)
}

fn complete(folder: &Path, wanted: &str) -> Result<()> {
    let stamp = folder.join(STAMP);
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}
