//! `cargo xtask test`: everything that must pass.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::bench;
use crate::ebpf::install;
use crate::go;
use crate::matrix;
use crate::process::{self, Run};
use crate::readers;
use crate::workspace;

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Options {
    /// Run only tests whose name contains this
    filter: Option<String>,
}

/// Runs `cargo xtask test`.
pub fn run(options: &Options) -> Result<()> {
    let root = workspace::root()?;
    prepare()?;
    cargo(&["fmt", "--all", "--check"])?
        .hint("`cargo fmt --all` formats the files that are named above")
        .run()?;
    cargo(&[
        "clippy",
        "--workspace",
        "--exclude",
        "gofuncgraph-ebpf",
        "--all-targets",
    ])?
    .args(["--", "-D", "warnings"])
    .hint("clippy names what to change above")
    .run()?;
    for module in go::modules(&root)? {
        check_go(&module)?;
    }
    let mut tests = cargo(&["test", "--workspace", "--exclude", "gofuncgraph-ebpf"])?;
    if !process::is_root() {
        // Only the tracer runs as root: tests that start it put `sudo -n` before it.
        tests = tests.env("GOFUNCGRAPH_SUDO", "1");
    }
    if let Some(filter) = &options.filter {
        tests = tests.args(["--", filter]);
    }
    tests.hint("the failing tests are named above").run()?;
    if options.filter.is_none() {
        // Its timings are worth nothing here, so the tracer of the tests will do.
        let tracer = workspace::target_dir()?.join("debug").join("gofuncgraph");
        bench::smoke(tracer.clone()).context("the benchmark does not work any more")?;
        matrix::core(&tracer).context("docs/SUPPORT.md is not true any more")?;
    }
    Ok(())
}

/// Installs what the tests need.
fn prepare() -> Result<()> {
    process::prepare_sudo()?;
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if !cargo(&[subcommand, "--version"])?.succeeds() {
            Run::new("rustup")
                .args(["component", "add", component])
                .hint(format!(
                    "`cargo {subcommand}` is needed: install {component}"
                ))
                .run()?;
        }
    }
    for (command, package, user) in [
        ("curl", "curl", "the script in examples/ci"),
        ("setcap", "libcap2-bin", "the README"),
    ] {
        if workspace::find_in_path(command).is_none() {
            eprintln!("there is no `{command}` in PATH, which {user} uses");
            install::update_and_install(&[package])
                .with_context(|| format!("{package} could not be installed"))?;
        }
    }
    go::ensure()?;
    for release in go::TESTED_RELEASES {
        eprintln!("Go {release}: fetching it if it is not here yet");
        go::release_root(release)?;
    }
    readers::ensure()
}

fn cargo(arguments: &[&str]) -> Result<Run> {
    Ok(workspace::cargo()?.args(arguments))
}

fn check_go(module: &Path) -> Result<()> {
    let root = go::go()
        .args(["env", "GOROOT"])
        .current_dir(module)
        .read()?;
    let formatter = Path::new(&root).join("bin").join("gofmt");
    eprintln!("$ gofmt -l {}", module.display());
    let unformatted = Run::new(formatter)
        .args(["-l", "."])
        .current_dir(module)
        .hint("gofmt belongs to Go: reinstall Go")
        .read()
        .with_context(|| format!("the Go module in {}", module.display()))?;
    if !unformatted.is_empty() {
        bail!(
            "not formatted in {} (`gofmt -w` does it):\n{unformatted}",
            module.display()
        );
    }
    go::go()
        .args(["vet", "./..."])
        .current_dir(module)
        .hint(format!("the module is in {}", module.display()))
        .run()
}
