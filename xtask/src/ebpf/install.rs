//! `cargo xtask build-ebpf --install`: gets the compiler and the linker.

use anyhow::{Context, Result, bail};

use super::toolchain::{Missing, OLDEST_RUST, Toolchain, major_and_minor};
use crate::process::{self, Run};
use crate::workspace;

/// The linker's release that the checked-in object is made with.
const BPF_LINKER_VERSION: &str = "0.13.0";
/// LLVM major versions which that release can be built with.
const BPF_LINKER_LLVM: std::ops::RangeInclusive<u32> = 21..=23;

const COMPILER_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Installs what is missing.
pub fn run(missing: &Missing, object_crate: &str) -> Result<()> {
    let mut llvm = missing.compiler_llvm;
    if !missing.compilers.is_empty() {
        install_compiler()?;
        llvm = match Toolchain::find(object_crate, None) {
            Ok(_) => return Ok(()),
            Err(missing) if missing.compilers.is_empty() => missing.compiler_llvm,
            Err(missing) => bail!("a compiler was installed, but still {missing}"),
        };
    }
    install_linker(llvm.context("the compiler does not say which LLVM it has")?)
}

fn install_compiler() -> Result<()> {
    let debian = if has_apt() {
        install_debian_compiler()
    } else {
        Err(anyhow::anyhow!("there is no apt-get"))
    };
    let Err(debian) = debian else {
        return Ok(());
    };
    eprintln!("not from Debian: {debian:#}");
    let nightly = |words: &[&str]| {
        Run::new("rustup")
            .without_toolchain_variables()
            .args(words)
            .run()
    };
    nightly(&["toolchain", "install", "nightly", "--profile", "minimal"])
        .and_then(|()| nightly(&["component", "add", "rust-src", "--toolchain", "nightly"]))
        .with_context(|| {
            format!(
                "neither Debian's packages ({debian:#}) nor rustup can give a compiler for eBPF: \
                 install rustup's nightly with the component rust-src"
            )
        })
}

fn install_debian_compiler() -> Result<()> {
    update()?;
    for package in COMPILER_PACKAGES {
        let version = candidate(package)?;
        if major_and_minor(&version) < Some(OLDEST_RUST) {
            let (major, minor) = OLDEST_RUST;
            bail!("{package} would be {version}, but {major}.{minor} is needed");
        }
    }
    install(&COMPILER_PACKAGES)
}

fn install_linker(llvm: u32) -> Result<()> {
    if !BPF_LINKER_LLVM.contains(&llvm) {
        bail!(
            "the compiler has LLVM {llvm}, but bpf-linker {BPF_LINKER_VERSION} knows LLVM {} to {}: \
             install a bpf-linker for that LLVM yourself",
            BPF_LINKER_LLVM.start(),
            BPF_LINKER_LLVM.end()
        );
    }
    let package = format!("llvm-{llvm}-dev");
    let prefix = format!("/usr/lib/llvm-{llvm}");
    if !std::path::Path::new(&prefix)
        .join("include/llvm-c")
        .exists()
    {
        if !has_apt() {
            bail!("there is no apt-get: install LLVM {llvm} with its headers, then bpf-linker");
        }
        update()?;
        candidate(&package).with_context(|| {
            format!("bpf-linker must be built with the compiler's LLVM {llvm}: add a package source that has it")
        })?;
        install(&[&package])?;
    }
    // A linker with another LLVM counts as installed already, unless cargo is told to replace it.
    workspace::cargo()?
        .without_toolchain_variables()
        .env("LLVM_PREFIX", &prefix)
        .args(["install", "bpf-linker", "--version", BPF_LINKER_VERSION])
        .args(["--locked", "--force", "--no-default-features"])
        .args(["--features", &format!("llvm-{llvm}")])
        .hint(format!("bpf-linker needs {package} and a C compiler"))
        .run()
}

fn has_apt() -> bool {
    workspace::find_in_path("apt-get").is_some()
}

fn apt_get() -> Run {
    // Through sudo only root's own settings reach apt, so they are passed as arguments of `env`.
    process::as_root("env").args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
}

fn update() -> Result<()> {
    process::prepare_sudo()?;
    apt_get()
        .arg("update")
        .hint("the package lists must be reachable")
        .run()
}

/// Installs packages; fails rather than remove others that conflict with them.
pub fn install(packages: &[&str]) -> Result<()> {
    apt_get()
        .args(["install", "--yes", "--no-remove", "--no-install-recommends"])
        .args(packages)
        .hint("where another package is in the way (rustc-web and rustc exclude each other), remove it first")
        .run()
}

/// The version that apt would install.
fn candidate(package: &str) -> Result<String> {
    let policy = Run::new("apt-cache")
        .env("LC_ALL", "C")
        .args(["policy", package]);
    candidate_in(&policy.read()?).with_context(|| format!("apt knows no package {package}"))
}

/// The version in the output of `apt-cache policy`.
fn candidate_in(policy: &str) -> Option<String> {
    policy
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("Candidate: "))
        .filter(|version| *version != "(none)")
        .map(str::to_owned)
}

/// Installs Debian packages after reading the lists anew; the error says that there is no apt.
pub fn update_and_install(packages: &[&str]) -> Result<()> {
    if !has_apt() {
        bail!(
            "there is no apt-get: install {} yourself",
            packages.join(", ")
        );
    }
    update()?;
    install(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_a_candidate_is_not_installed() {
        let known = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n";
        assert_eq!(
            candidate_in(known).as_deref(),
            Some("1.96.0+dfsg1-1~deb12u2")
        );
        let unknown = "rustc-web:\n  Installed: (none)\n  Candidate: (none)\n";
        assert_eq!(candidate_in(unknown), None);
        assert_eq!(candidate_in(""), None);
    }
}
