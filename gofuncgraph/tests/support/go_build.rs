//! Builds Go programs for tests, once for each source and variant.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{self, Command};

/// How a program is linked and what is removed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// As `go build` makes it.
    Plain,
    /// `-ldflags=-s -w`: no symbols, no DWARF.
    NoSymbols,
    /// `-buildmode=pie` with Go's own linker.
    Pie,
    /// Both.
    PieNoSymbols,
    /// Plain, then `strip -s`.
    Stripped,
    /// `-trimpath`: no paths of the machine that builds it.
    Trimmed,
    /// With cgo: files that import "C" are built as well, and the C linker links.
    Cgo,
    /// `-buildmode=c-shared`: a library for programs in other languages.
    Shared,
}

/// A release and a flavor, for instance `go1.24.9` and [`Flavor::Pie`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Value of GOTOOLCHAIN, `local` for the installed release.
    pub toolchain: &'static str,
    /// How the program is linked.
    pub flavor: Flavor,
}

/// Path of the program made from the module in `source_dir`.
///
/// Programs are kept in the target directory under a hash of the sources. Several test
/// processes may build the same one: each makes its own file and renames it when it is whole.
///
/// # Panics
///
/// If the program cannot be built.
pub fn build(source_dir: &Path, variant: Variant) -> PathBuf {
    let name = format!(
        "{}-{}-{:?}-{:016x}",
        source_dir.file_name().unwrap().to_string_lossy(),
        variant.toolchain,
        variant.flavor,
        hash_of_sources(source_dir)
    );
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-programs");
    let program = directory.join(&name);
    if program.exists() {
        return program;
    }
    fs::create_dir_all(&directory).unwrap();
    let temporary = tempfile::Builder::new()
        .prefix(&format!("{name}.{}.", process::id()))
        .tempdir_in(&directory)
        .unwrap();
    let unfinished = temporary.path().join("program");

    let mut command = go(variant.toolchain);
    command.arg("build").arg("-o").arg(&unfinished);
    match variant.flavor {
        Flavor::Plain | Flavor::Stripped => {}
        Flavor::NoSymbols => {
            command.arg("-ldflags=-s -w");
        }
        Flavor::Trimmed => {
            command.arg("-trimpath");
        }
        Flavor::Cgo => {
            command.env("CGO_ENABLED", "1");
        }
        Flavor::Shared => {
            command.env("CGO_ENABLED", "1").arg("-buildmode=c-shared");
        }
        Flavor::Pie => {
            command.arg("-buildmode=pie");
        }
        Flavor::PieNoSymbols => {
            command.args(["-buildmode=pie", "-ldflags=-s -w"]);
        }
    }
    run(command.arg(".").current_dir(source_dir));
    if variant.flavor == Flavor::Stripped {
        run(Command::new("strip").arg("-s").arg(&unfinished));
    }
    fs::rename(&unfinished, &program).unwrap();
    program
}

/// The `go` command of a release, without what the caller's environment would change.
pub fn go(toolchain: &str) -> Command {
    // Go 1.17 does not know the flag, and needs none; something has to hide what `go env -w` set.
    let flags = match toolchain.starts_with("go1.17.") {
        true => "-mod=mod",
        false => "-buildvcs=false",
    };
    let mut command = Command::new("go");
    command
        .env("GOTOOLCHAIN", toolchain)
        .env("GOFLAGS", flags)
        .env("GOWORK", "off")
        .env("GOOS", "linux")
        .env("GOARCH", "amd64")
        .env("CGO_ENABLED", "0")
        .env_remove("GOEXPERIMENT")
        .env_remove("GOAMD64");
    command
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

fn hash_of_sources(directory: &Path) -> u64 {
    let mut files = Vec::new();
    collect_files(directory, &mut files);
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.strip_prefix(directory).unwrap().hash(&mut hasher);
        fs::read(&file).unwrap().hash(&mut hasher);
    }
    hasher.finish()
}

fn collect_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_files(&path, files);
        } else {
            files.push(path);
        }
    }
}
