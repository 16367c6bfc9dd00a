//! The Go command: finding it, installing it, and its toolchains.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::ebpf::install;
use crate::ebpf::toolchain::major_and_minor;
use crate::process::Run;
use crate::workspace;

/// The oldest Go that can fetch other releases by itself.
const OLDEST_LAUNCHER: (u32, u32) = (1, 21);

/// The Go releases that tests build their programs with.
pub const TESTED_RELEASES: [&str; 6] = [
    "go1.17.13",
    "go1.18.10",
    "go1.20.14",
    "go1.21.13",
    "go1.24.9",
    "go1.27.3",
];

/// A `go` command.
pub fn go() -> Run {
    Run::new("go").hint("Go 1.21 or newer must be in PATH: https://go.dev/dl")
}

/// Makes sure that a Go command is there which can fetch other releases.
pub fn ensure() -> Result<()> {
    if workspace::find_in_path("go").is_none() {
        eprintln!("there is no `go` in PATH");
        install::update_and_install(&["golang-go"])
            .context("Go could not be installed: get it from https://go.dev/dl")?;
    }
    let version = go()
        .env("GOTOOLCHAIN", "local")
        .args(["env", "GOVERSION"])
        .read()?;
    let number = version.strip_prefix("go").unwrap_or(&version);
    if major_and_minor(number) < Some(OLDEST_LAUNCHER) {
        bail!("`go` is {version}, but go1.21 or newer is needed: get it from https://go.dev/dl");
    }
    Ok(())
}

/// Makes sure that the Go release is on this machine, and returns its root folder.
pub fn release_root(release: &str) -> Result<PathBuf> {
    let ask = || {
        go().env("GOTOOLCHAIN", release)
            // Flags that are set for good may be unknown to a release that is older.
            .env("GOFLAGS", "-mod=mod")
            .args(["env", "GOROOT"])
            .current_dir("/")
    };
    let root = ask()
        .hint(format!(
            "tests need {release}, which `go` fetches from its module proxy: \
             is GOPROXY (`go env GOPROXY`) reachable?"
        ))
        .read()?;
    Ok(PathBuf::from(root))
}

/// The `go` command of a release itself: a newer one that starts it would hand it settings that it
/// does not know. Nothing of the caller's environment changes what it builds.
pub fn at_release(release: &str) -> Result<Run> {
    let program = release_root(release)?.join("bin").join("go");
    let mut run = Run::new(program)
        .env("GOTOOLCHAIN", "local")
        .env("GOENV", "off")
        .env("GOWORK", "off")
        .env("GOOS", "linux")
        .env("GOARCH", "amd64")
        .env("CGO_ENABLED", "0");
    for name in ["GOFLAGS", "GOEXPERIMENT", "GOAMD64"] {
        run = run.without_env(name);
    }
    Ok(run)
}

/// Every Go module of the repository, in order.
pub fn modules(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect_modules(root, &mut found)?;
    found.sort();
    Ok(found)
}

fn collect_modules(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry
            .file_type()
            .with_context(|| format!("cannot look at {}", entry.path().display()))?;
        if name == "go.mod" {
            found.push(folder.to_path_buf());
        } else if kind.is_dir() && !name.starts_with('.') && !name.starts_with("target") {
            collect_modules(&entry.path(), found)?;
        }
    }
    Ok(())
}
