//! Finding a compiler that can build for eBPF, and a linker that reads its bitcode.
//!
//! Two compilers will do: rustup's nightly with the component `rust-src`, and Debian's
//! `rustc-web` with `cargo-web` and `rust-web-src`, told to accept unstable flags. bpf-linker
//! must carry an LLVM at least as new as the compiler's.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::record::Versions;
use crate::process::Run;
use crate::workspace;

/// The oldest compiler, as `rust-version` of the workspace has it: major and minor.
pub const OLDEST_RUST: (u32, u32) = (1, 95);

/// A compiler and a linker that fit together.
pub struct Toolchain {
    /// cargo of the compiler.
    pub cargo: PathBuf,
    /// The compiler.
    pub rustc: PathBuf,
    /// Folder that holds `library/core`.
    pub library_source: PathBuf,
    /// The linker.
    pub bpf_linker: PathBuf,
    /// `PATH` for the build: the compiler's folder, the linker's, then what it was.
    pub path: OsString,
    /// What the object's bytes depend on.
    pub versions: Versions,
}

/// What was looked for and why it will not do.
#[derive(Debug)]
pub struct Missing {
    /// Why each compiler will not do; empty if one was found.
    pub compilers: Vec<String>,
    /// LLVM major version of the compiler found, the oldest of several.
    pub compiler_llvm: Option<u32>,
    /// Why the linker will not do, if it will not.
    pub linker: Option<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the eBPF object cannot be built here:")?;
        for reason in self.compilers.iter().chain(&self.linker) {
            write!(formatter, "\n  {reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Missing {}

struct Compiler {
    cargo: PathBuf,
    rustc: PathBuf,
    library_source: PathBuf,
    version: String,
    llvm: String,
}

struct Linker {
    path: PathBuf,
    version: String,
    llvm: String,
}

impl Toolchain {
    /// Finds a toolchain; of several, the one whose versions are `preferred`, else the first.
    /// `object_crate` is the version of the crate that strips what they build.
    pub fn find(object_crate: &str, preferred: Option<&Versions>) -> Result<Self, Missing> {
        let mut reasons = Vec::new();
        let mut compilers = Vec::new();
        for (name, found) in [
            ("rustup's nightly", rustup_nightly()),
            ("Debian's rustc-web", Compiler::at(Path::new("/usr"))),
        ] {
            match found {
                Ok(compiler) => compilers.push(compiler),
                Err(error) => reasons.push(format!("{name}: {error:#}")),
            }
        }
        let missing = |linker: Option<String>| Missing {
            compilers: if compilers.is_empty() {
                reasons.clone()
            } else {
                Vec::new()
            },
            compiler_llvm: compilers
                .iter()
                .filter_map(|compiler| major(&compiler.llvm))
                .min(),
            linker,
        };
        let linker = Linker::find().map_err(|error| missing(Some(format!("{error:#}"))))?;
        let versions = |compiler: &Compiler| Versions {
            rustc: compiler.version.clone(),
            llvm: compiler.llvm.clone(),
            bpf_linker: linker.version.clone(),
            bpf_linker_llvm: linker.llvm.clone(),
            object_crate: object_crate.to_owned(),
        };
        let mut fitting = compilers
            .iter()
            .filter(|compiler| major(&compiler.llvm) <= major(&linker.llvm))
            .peekable();
        let Some(first) = fitting.peek().copied() else {
            let reason = compilers.first().map(|compiler| {
                format!(
                    "bpf-linker has LLVM {}, which cannot read what {} writes (LLVM {})",
                    linker.llvm, compiler.version, compiler.llvm
                )
            });
            return Err(missing(reason));
        };
        let compiler = fitting
            .find(|compiler| Some(&versions(compiler)) == preferred)
            .unwrap_or(first);
        Ok(Self {
            cargo: compiler.cargo.clone(),
            rustc: compiler.rustc.clone(),
            library_source: compiler.library_source.clone(),
            path: search_path(&compiler.cargo, &linker.path),
            versions: versions(compiler),
            bpf_linker: linker.path,
        })
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions = &self.versions;
        write!(
            formatter,
            "{} (LLVM {}) and bpf-linker {} (LLVM {})",
            versions.rustc, versions.llvm, versions.bpf_linker, versions.bpf_linker_llvm
        )
    }
}

impl Compiler {
    /// The compiler installed below `prefix`.
    fn at(prefix: &Path) -> Result<Self> {
        let rustc = prefix.join("bin/rustc");
        let cargo = prefix.join("bin/cargo");
        let library_source = prefix.join("lib/rustlib/src/rust");
        let ask = || Run::new(&rustc).without_toolchain_variables();
        let verbose = ask().arg("-vV").read()?;
        let version = verbose.lines().next().unwrap_or_default().to_owned();
        let llvm = verbose
            .lines()
            .find_map(|line| line.strip_prefix("LLVM version: "));
        let llvm = llvm.with_context(|| format!("{} names no LLVM", rustc.display()))?;
        let release = verbose
            .lines()
            .find_map(|line| line.strip_prefix("release: "));
        if release.and_then(major_and_minor) < Some(OLDEST_RUST) {
            let (major, minor) = OLDEST_RUST;
            bail!(
                "{} is {version}, but {major}.{minor} is needed",
                rustc.display()
            );
        }
        for needed in [&cargo, &library_source.join("library/core/Cargo.toml")] {
            if !needed.exists() {
                bail!("{version} is there, but {} is not", needed.display());
            }
        }
        Ok(Self {
            llvm: llvm.to_owned(),
            cargo,
            rustc,
            library_source,
            version,
        })
    }
}

impl Linker {
    fn find() -> Result<Self> {
        let installed = workspace::cargo_home()?.join("bin").join("bpf-linker");
        let path = workspace::find_in_path("bpf-linker")
            .or_else(|| installed.is_file().then_some(installed))
            .context("bpf-linker: not in PATH nor in cargo's home")?;
        let version = Run::new(&path)
            .without_toolchain_variables()
            .arg("--version");
        let version = version.read()?;
        let version = version
            .strip_prefix("bpf-linker ")
            .unwrap_or(&version)
            .to_owned();
        let llvm = linked_llvm(&path)?;
        Ok(Self {
            path,
            version,
            llvm,
        })
    }
}

fn rustup_nightly() -> Result<Compiler> {
    let sysroot = Run::new("rustup")
        .without_toolchain_variables()
        .args(["run", "nightly", "rustc", "--print", "sysroot"])
        .read()?;
    Compiler::at(Path::new(&sysroot))
}

/// The version of the LLVM inside bpf-linker or in the library it loads.
fn linked_llvm(linker: &Path) -> Result<String> {
    // The loader knows which file it takes; a static bpf-linker loads no such file.
    let loaded = Run::new("ldd")
        .without_toolchain_variables()
        .arg(linker)
        .read();
    let library = loaded.ok().and_then(|listing| {
        let line = listing.lines().find(|line| line.contains("libLLVM"))?;
        let path = line.split_once("=> ")?.1.split(" (").next()?;
        Some(PathBuf::from(path))
    });
    let file = library.as_deref().unwrap_or(linker);
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    llvm_version_in(&bytes).with_context(|| {
        format!(
            "{} names no LLVM version: reinstall bpf-linker",
            file.display()
        )
    })
}

/// Finds the text `LLVM<major>.<minor>.<patch>`, with which LLVM signs its bitcode.
fn llvm_version_in(bytes: &[u8]) -> Option<String> {
    let mark = b"LLVM";
    bytes
        .windows(mark.len())
        .enumerate()
        .find_map(|(start, window)| {
            if window != mark {
                return None;
            }
            let rest = bytes.get(start + mark.len()..)?;
            let end = rest
                .iter()
                .position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
            let text = std::str::from_utf8(rest.get(..end)?).ok()?;
            let numbers: Vec<Option<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
            (numbers.len() == 3 && numbers.iter().all(Option::is_some)).then(|| text.to_owned())
        })
}

fn search_path(cargo: &Path, linker: &Path) -> OsString {
    let usual = env::var_os("PATH").unwrap_or_default();
    let first =
        [cargo, linker].map(|path| path.parent().map(Path::to_path_buf).unwrap_or_default());
    let folders = first.into_iter().chain(env::split_paths(&usual));
    // Only a folder with a colon in its name cannot be joined, and none that was split has one.
    env::join_paths(folders).unwrap_or(usual)
}

/// The first number of a version.
pub fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

/// The first two numbers of a version.
pub fn major_and_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llvm_signs_with_three_numbers() {
        let file = b"\0LLVM\0libLLVM22\0LLVM22.1\0LLVM22.1.8\0LLVM ERROR";
        assert_eq!(llvm_version_in(file).as_deref(), Some("22.1.8"));
        assert_eq!(llvm_version_in(b"LLVM22.1.8"), None);
        assert_eq!(llvm_version_in(b""), None);
    }

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(major("22.1.8"), Some(22));
        assert_eq!(major_and_minor("1.96.0+dfsg1"), Some((1, 96)));
        assert!(major_and_minor("1.100.0") > Some(OLDEST_RUST));
        assert!(major_and_minor("none") < Some(OLDEST_RUST));
    }
}
