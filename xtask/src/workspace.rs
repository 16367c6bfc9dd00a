//! Where the repository and its build output are.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::Run;

/// The repository's top folder.
pub fn root() -> Result<PathBuf> {
    // Cargo sets the variable for `cargo xtask` and for tests; a copied binary falls back to
    // the folder it was compiled in.
    let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = manifest_dir.parent().map(Path::to_path_buf);
    match root {
        Some(root) if root.join("Cargo.lock").is_file() => Ok(root),
        _ => bail!(
            "{} is not inside gofuncgraph's repository: run `cargo xtask` in a clone of it",
            manifest_dir.display()
        ),
    }
}

/// The folder that build output goes to: `CARGO_TARGET_DIR`, else `target`.
pub fn target_dir() -> Result<PathBuf> {
    let root = root()?;
    Ok(match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) if !dir.is_empty() => env::current_dir()
            .context("cannot tell the current folder")?
            .join(dir),
        _ => root.join("target"),
    })
}

/// The cargo that runs this command, for everything that stable Rust builds.
pub fn cargo() -> Result<Run> {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    Ok(Run::new(program)
        .current_dir(root()?)
        .env("CARGO_TARGET_DIR", target_dir()?))
}

/// Cargo's home folder, which holds the registry and installed commands.
pub fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = env::var_os("CARGO_HOME").filter(|home| !home.is_empty()) {
        return Ok(PathBuf::from(home));
    }
    let home = env::home_dir().context("neither CARGO_HOME nor HOME is set: set one of them")?;
    Ok(home.join(".cargo"))
}

/// Builds the tracer in release mode and returns where it is.
pub fn build_tracer() -> Result<PathBuf> {
    cargo()?
        .args(["build", "--release", "--package", "gofuncgraph"])
        .hint("the tracer needs stable Rust 1.95 or newer: `rustup update stable`")
        .run()?;
    Ok(target_dir()?.join("release").join("gofuncgraph"))
}

/// The first file called `name` in the folders of `PATH`.
pub fn find_in_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
