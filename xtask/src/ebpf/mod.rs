//! `cargo xtask build-ebpf`: the eBPF object that is checked in, and the record beside it.
//!
//! The object is compiled by a toolchain of its own ([`toolchain`]), loses its debug sections
//! but not its BTF ([`strip`]), and is stored with a [`record`] of what it was made from
//! ([`fingerprint`]) and by what. Rebuilding with the same versions gives the same bytes,
//! whatever folder the repository, cargo's home or the compiler lie in.

pub mod build;
pub mod check;
pub mod fingerprint;
pub mod install;
pub mod record;
pub mod strip;
pub mod toolchain;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::workspace;
use fingerprint::{Lock, Sources};
use record::Record;
use toolchain::Toolchain;

/// The object, relative to the repository's top folder.
pub const OBJECT_PATH: &str = "gofuncgraph/ebpf/gofuncgraph.bpf.o";
/// The record of the object, relative to the repository's top folder.
pub const RECORD_PATH: &str = "gofuncgraph/ebpf/gofuncgraph.bpf.toml";

/// Arguments of `cargo xtask build-ebpf`.
#[derive(clap::Args)]
pub struct Options {
    /// Install what is missing: a compiler with its library sources, and bpf-linker
    #[arg(long)]
    install: bool,
    /// Write nothing: compare a rebuild with the checked-in object, or trace with the rebuild
    /// where the compiler or the linker is another one
    #[arg(long)]
    check: bool,
}

/// Runs `cargo xtask build-ebpf`.
pub fn run(options: &Options) -> Result<()> {
    let root = workspace::root()?;
    let recorded = Record::read(&root.join(RECORD_PATH));
    let preferred = recorded.as_ref().ok().map(|record| &record.versions);
    let object_crate = Lock::read(&root)?.version_of("object", env!("CARGO_PKG_NAME"))?;
    let toolchain = match Toolchain::find(&object_crate, preferred) {
        Ok(toolchain) => toolchain,
        Err(missing) if options.install => {
            eprintln!("{missing}");
            install::run(&missing, &object_crate)?;
            Toolchain::find(&object_crate, preferred)?
        }
        Err(missing) => {
            bail!("{missing}\nnext: `cargo xtask build-ebpf --install` installs what is missing")
        }
    };
    eprintln!("building with {toolchain}");
    let sources = Sources::read(&root)?;
    if options.check {
        let recorded = recorded?;
        // Known at once, where the build takes a minute.
        check::record_matches(&root, &recorded, &sources)?;
        let object = build::object(&root, &toolchain)?;
        return check::rebuild_matches(&recorded, &toolchain, &object);
    }
    let object = build::object(&root, &toolchain)?;
    let record = Record::new(&sources, toolchain.versions, &object);
    write(&root.join(OBJECT_PATH), &object)?;
    write(&root.join(RECORD_PATH), record.to_text().as_bytes())?;
    eprintln!(
        "wrote {OBJECT_PATH} ({} bytes) and {RECORD_PATH}",
        object.len()
    );
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
