//! Compiling the eBPF crate.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::fingerprint::EBPF_CRATE;
use super::strip;
use super::toolchain::Toolchain;
use crate::process::Run;
use crate::workspace;

const TARGET: &str = "bpfel-unknown-none";
const PROFILE: &str = "bpf";

/// Cargo's arguments.
const ARGUMENTS: [&str; 10] = [
    "build",
    "--locked",
    "-Z",
    "build-std=core",
    "--target",
    TARGET,
    "--profile",
    PROFILE,
    "--package",
    EBPF_CRATE,
];

/// The compiler's flags, without the paths of this machine.
const COMPILER_FLAGS: [&str; 2] = ["-Cdebuginfo=2", "-Clink-arg=--btf"];

/// The part of the command line that is the same on every machine, one word a line.
pub fn recipe() -> String {
    ARGUMENTS
        .iter()
        .chain(&COMPILER_FLAGS)
        .map(|word| format!("{word}\n"))
        .collect()
}

/// Builds, strips and verifies the object.
pub fn object(root: &Path, toolchain: &Toolchain) -> Result<Vec<u8>> {
    let target_dir = workspace::target_dir()?.join("ebpf");
    cargo(root, toolchain)
        .args(["fetch", "--locked"])
        .hint("the crates of Cargo.lock must be reachable or downloaded")
        .run()?;
    let registry = workspace::cargo_home()?.join("registry").join("src");
    let remapped = remapped_paths(root, &registry, &toolchain.library_source)?;
    cargo(root, toolchain)
        .args(ARGUMENTS)
        .env("CARGO_TARGET_DIR", &target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(toolchain, &remapped))
        .hint("the eBPF crate does not build with this toolchain; its messages are above")
        .run()?;
    let path = target_dir.join(TARGET).join(PROFILE).join(EBPF_CRATE);
    let linked = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let stripped = strip::strip(&linked)?;
    strip::verify(&stripped)?;
    for (machine_path, _) in &remapped {
        if contains(&stripped, machine_path.to_string_lossy().as_bytes()) {
            bail!(
                "the object names {}, so other machines cannot rebuild it byte for byte: \
                 remap that path in xtask/src/ebpf/build.rs",
                machine_path.display()
            );
        }
    }
    Ok(stripped)
}

fn cargo(root: &Path, toolchain: &Toolchain) -> Run {
    Run::new(&toolchain.cargo)
        .current_dir(root)
        .without_toolchain_variables()
        .env("PATH", &toolchain.path)
        .env("RUSTC", &toolchain.rustc)
        // Lets a released compiler build `core`, as a nightly one does anyway.
        .env("RUSTC_BOOTSTRAP", "1")
}

fn flags(toolchain: &Toolchain, remapped: &[(PathBuf, String)]) -> String {
    let linker = format!("-Clinker={}", toolchain.bpf_linker.display());
    let remaps = remapped
        .iter()
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    let flags = COMPILER_FLAGS.iter().map(|flag| (*flag).to_owned());
    let words: Vec<String> = std::iter::once(linker).chain(flags).chain(remaps).collect();
    // Cargo splits this variable at the unit separator.
    words.join("\u{1f}")
}

/// Which folders of this machine get which names in the object.
///
/// The names must not exist: LLVM would copy source lines from there into the BTF.
fn remapped_paths(
    root: &Path,
    registry: &Path,
    library_source: &Path,
) -> Result<Vec<(PathBuf, String)>> {
    let mut paths = vec![(root.to_path_buf(), "/gofuncgraph-source".to_owned())];
    // Each registry has a folder of its own, named after its address.
    let registries = fs::read_dir(registry).with_context(|| {
        format!(
            "cannot list {}: did `cargo fetch` work?",
            registry.display()
        )
    })?;
    for folder in registries {
        let folder = folder.with_context(|| format!("cannot list {}", registry.display()))?;
        paths.push((folder.path(), "/registry-source".to_owned()));
    }
    paths.push((library_source.to_path_buf(), "/rust-source".to_owned()));
    // Distributions link the compiler's source folder from elsewhere, and both paths are used.
    let resolved = library_source
        .canonicalize()
        .with_context(|| format!("cannot resolve {}", library_source.display()))?;
    if resolved != library_source {
        paths.push((resolved, "/rust-source".to_owned()));
    }
    Ok(paths)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_wherever_it_stands() {
        assert!(contains(b"\0/home/me/src/main.rs\0", b"/home/me"));
        assert!(contains(b"/home/me", b"/home/me"));
        assert!(!contains(b"/home/m", b"/home/me"));
    }
}
