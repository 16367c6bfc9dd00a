//! `cargo xtask kernels`: live tests on other kernels, in a virtual machine.
//!
//! - [`archive`] fetches kernels of Debian's releases.
//! - [`guest`] puts what the tests need into an initramfs and boots a kernel with it.
//! - [`findings`] reads what the guest printed.

mod archive;
mod findings;
mod guest;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail};

use self::findings::Findings;
use self::guest::{Guest, TESTS};
use crate::ebpf::install;
use crate::{example, go, process, workspace};

const EMULATOR: &str = "qemu-system-x86_64";

/// Arguments of `cargo xtask kernels`.
#[derive(clap::Args)]
pub struct Options {
    /// The cloud kernel of this release of Debian; repeatable
    #[arg(long, value_name = "NAME", default_values = ["sid", "trixie"])]
    suite: Vec<String>,
    /// This kernel instead, for instance one that you have built
    #[arg(long, value_name = "FILE", conflicts_with = "suite")]
    vmlinuz: Vec<PathBuf>,
}

/// Runs `cargo xtask kernels`.
pub fn run(options: &Options) -> Result<()> {
    process::prepare_sudo()?;
    go::ensure()?;
    if workspace::find_in_path(EMULATOR).is_none() {
        eprintln!("there is no `{EMULATOR}` in PATH");
        install::update_and_install(&["qemu-system-x86"]).context("QEMU could not be installed")?;
    }
    let folder = workspace::target_dir()?.join("kernels");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let kernels = if options.vmlinuz.is_empty() {
        let fetch = |suite: &String| archive::fetch_kernel(&folder, suite);
        options
            .suite
            .iter()
            .map(fetch)
            .collect::<Result<Vec<_>>>()?
    } else {
        options.vmlinuz.clone()
    };
    // What runs in the guest is what runs here: so what differs is the kernel.
    run_here()?;
    let guest = Guest {
        tests: guest::test_executables()?,
        measured: example::build_go(
            &workspace::root()?.join("xtask/programs/percall"),
            "percall",
        )?,
        shell: archive::fetch_static_shell(&folder)?,
        folder,
    };
    let initramfs = guest.initramfs()?;
    eprintln!("every guest takes some ten minutes");
    let logs: Vec<Result<PathBuf>> = thread::scope(|scope| {
        let boots: Vec<_> = kernels
            .iter()
            .map(|kernel| scope.spawn(|| guest.boot(kernel, &initramfs)))
            .collect();
        let booted = boots.into_iter().map(|boot| boot.join());
        booted
            .map(|log| log.unwrap_or_else(|_| bail!("a thread that booted a guest panicked")))
            .collect()
    });
    let mut all_passed = true;
    for log in logs {
        let log = log?;
        let findings = read(&log)?;
        all_passed &= findings.all_passed();
        println!("{findings}  whole log: {}\n", log.display());
    }
    if !all_passed {
        bail!("not everything passed: the table names what did not, and the log says why");
    }
    Ok(())
}

fn read(log: &Path) -> Result<Findings> {
    let text = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    Ok(Findings::read(&String::from_utf8_lossy(&text)))
}

/// Also builds the Go programs of the tests.
fn run_here() -> Result<()> {
    let mut tests = workspace::cargo()?.args(["test", "--package", "gofuncgraph"]);
    for test in TESTS {
        tests = tests.args(["--test", test]);
    }
    if !process::is_root() {
        tests = tests.env("GOFUNCGRAPH_SUDO", "1");
    }
    tests
        .hint("what fails on this machine's own kernel need not be tried on others")
        .run()
}
