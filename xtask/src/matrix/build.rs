//! Building the program in one way with one release.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::modes::{After, Mode, Shape};
use crate::go;
use crate::process::Run;
use crate::workspace;

/// What is traced, and what is run for that.
pub struct Built {
    /// The file with the Go code.
    pub traced: PathBuf,
    /// Program and arguments.
    pub command: Vec<PathBuf>,
}

impl Built {
    /// The program, ready to be started.
    pub fn run(&self) -> Run {
        let (program, arguments) = self.command.split_first().expect("a command has a program");
        Run::new(program).args(arguments)
    }
}

/// Builds the program, unless that was done before from the same sources.
pub fn build(mode: &Mode, release: &str) -> Result<Built> {
    let source = workspace::root()?.join("xtask/programs/matrix");
    let folder = workspace::target_dir()?
        .join("matrix")
        .join(release)
        .join(mode.name);
    let built = names(mode, &folder);
    let stamp = folder.join("stamp");
    let current = stamp_of(mode, &source)?;
    if fs::read_to_string(&stamp).is_ok_and(|old| old == current) {
        return Ok(built);
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    make(mode, release, &source, &folder, &built.traced)?;
    fs::write(&stamp, current).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(built)
}

fn names(mode: &Mode, folder: &Path) -> Built {
    let in_folder = |name: &str| folder.join(name);
    match mode.shape {
        Shape::Program | Shape::Archive => Built {
            traced: in_folder("program"),
            command: vec![in_folder("program")],
        },
        Shape::Test => Built {
            traced: in_folder("program"),
            command: vec![in_folder("program"), "-test.run=TestServe".into()],
        },
        Shape::SharedForC => Built {
            traced: in_folder("library.so"),
            command: vec![in_folder("load"), in_folder("library.so")],
        },
        Shape::SharedForPython => Built {
            traced: in_folder("library.so"),
            command: vec![
                "python3".into(),
                "-c".into(),
                "import ctypes, sys; ctypes.CDLL(sys.argv[1]).Serve()".into(),
                in_folder("library.so"),
            ],
        },
        Shape::Plugin => Built {
            traced: in_folder("plugin.so"),
            command: vec![in_folder("host"), in_folder("plugin.so")],
        },
    }
}

fn make(mode: &Mode, release: &str, source: &Path, folder: &Path, traced: &Path) -> Result<()> {
    let go = |words: &[&str], output: &Path, package: &str| -> Result<()> {
        let mut run = go::at_release(release)?;
        for (name, value) in mode.environment {
            run = run.env(name, value);
        }
        run.args(words)
            .args(mode.arguments)
            .arg("-o")
            .arg(output)
            .arg(package)
            .current_dir(source)
            .read()
            .map(drop)
    };
    match mode.shape {
        Shape::Program => go(&["build"], traced, ".")?,
        Shape::Test => go(&["test", "-c"], traced, ".")?,
        Shape::SharedForC => {
            go(&["build"], traced, "./library")?;
            compile("load.c", &[], &folder.join("load"), source)?;
        }
        Shape::SharedForPython => go(&["build"], traced, "./library")?,
        Shape::Archive => {
            let archive = folder.join("library.a");
            go(&["build"], &archive, "./library")?;
            compile("link.c", &[&archive], traced, source)?;
        }
        Shape::Plugin => {
            go(&["build"], traced, "./plugin")?;
            go::at_release(release)?
                .env("CGO_ENABLED", "1")
                .args(["build", "-o"])
                .arg(folder.join("host"))
                .arg("./host")
                .current_dir(source)
                .read()?;
        }
    }
    finish(mode.after, traced)
}

fn compile(file: &str, archives: &[&Path], output: &Path, source: &Path) -> Result<()> {
    Run::new("gcc")
        .arg("-o")
        .arg(output)
        .arg(source.join("c").join(file))
        .args(archives)
        .args(["-ldl", "-lpthread", "-lresolv"])
        .read()
        .map(drop)
}

fn finish(after: After, file: &Path) -> Result<()> {
    match after {
        After::Nothing => Ok(()),
        After::Strip => Run::new("strip").arg("-s").arg(file).read().map(drop),
        After::CompressDebug => Run::new("objcopy")
            .arg("--compress-debug-sections=zlib-gabi")
            .arg(file)
            .read()
            .map(drop),
        After::HideBuildInfo => hide_build_info(file),
    }
}

fn hide_build_info(file: &Path) -> Result<()> {
    const MARK: &[u8] = b"\xff Go buildinf:";
    let mut bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let places: Vec<usize> = (0..bytes.len())
        .filter(|place| bytes[*place..].starts_with(MARK))
        .collect();
    if places.is_empty() {
        bail!("{} has no build information", file.display());
    }
    for place in places {
        bytes[place..place + MARK.len()].fill(0);
    }
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

/// What a build depends on, in a line.
fn stamp_of(mode: &Mode, source: &Path) -> Result<String> {
    let mut files = Vec::new();
    collect(source, &mut files)?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    let how = (mode.arguments, mode.environment, mode.after, mode.shape);
    format!("{how:?}").hash(&mut hasher);
    for file in files {
        file.hash(&mut hasher);
        fs::read(&file)
            .with_context(|| format!("cannot read {}", file.display()))?
            .hash(&mut hasher);
    }
    Ok(format!("{:016x}\n", hasher.finish()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
