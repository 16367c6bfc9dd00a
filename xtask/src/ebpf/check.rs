//! `cargo xtask build-ebpf --check`: is the checked-in object what the tree makes?

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::fingerprint::{Sources, sha256};
use super::record::Record;
use super::toolchain::Toolchain;
use super::{OBJECT_PATH, RECORD_PATH};
use crate::example::{Example, ExampleServer};
use crate::http::Requests;
use crate::tracer::Tracing;
use crate::tree_text;
use crate::{process, workspace};

/// Compares the object that was just built with the one of the record.
///
/// Equal versions must have made equal bytes. With other versions the bytes differ for good
/// reasons, so that object is loaded and must trace a request.
pub fn rebuild_matches(record: &Record, toolchain: &Toolchain, rebuilt: &[u8]) -> Result<()> {
    let rebuilt_path = workspace::target_dir()?.join("ebpf").join("rebuilt.bpf.o");
    fs::write(&rebuilt_path, rebuilt)
        .with_context(|| format!("cannot write {}", rebuilt_path.display()))?;
    if record.versions == toolchain.versions {
        if sha256(rebuilt) != record.object_sha256 {
            bail!(
                "{} and {OBJECT_PATH} differ although the same versions built them: \
                 `cargo xtask build-ebpf` writes it anew",
                rebuilt_path.display()
            );
        }
        eprintln!("ok: the rebuild is {OBJECT_PATH}, byte for byte");
        return Ok(());
    }
    eprintln!(
        "{OBJECT_PATH} was made by {} (LLVM {}) and bpf-linker {} (LLVM {}): tracing with the rebuild instead",
        record.versions.rustc,
        record.versions.llvm,
        record.versions.bpf_linker,
        record.versions.bpf_linker_llvm
    );
    trace_with(&rebuilt_path)?;
    eprintln!("ok: the rebuild traces");
    Ok(())
}

/// Fails unless the record is that of the checked-in object and of the tree's sources.
pub fn record_matches(root: &Path, record: &Record, sources: &Sources) -> Result<()> {
    let next = "`cargo xtask build-ebpf` writes both anew; commit them";
    let path = root.join(OBJECT_PATH);
    let object =
        fs::read(&path).with_context(|| format!("cannot read {}: {next}", path.display()))?;
    let differences = record.sources.differences(sources);
    if !differences.is_empty() {
        bail!(
            "{OBJECT_PATH} was built from other sources ({}): {next}",
            differences.join(", ")
        );
    }
    if record.sources_sha256 != sources.sha256() {
        bail!("the hash over all sources in {RECORD_PATH} is wrong: {next}");
    }
    if record.object_sha256 != sha256(&object) {
        bail!("{OBJECT_PATH} is not the object of {RECORD_PATH}: {next}");
    }
    Ok(())
}

fn trace_with(object: &Path) -> Result<()> {
    process::prepare_sudo()?;
    let tracer = workspace::build_tracer()?;
    let example = Example::build()?;
    let server = ExampleServer::start(&example)?;
    let mut tracing = Tracing::start(
        &tracer,
        &[
            "--ebpf-object".as_ref(),
            object.as_os_str(),
            "--count".as_ref(),
            "1".as_ref(),
            "--duration".as_ref(),
            "60s".as_ref(),
            example.binary().as_os_str(),
            "*handleBar".as_ref(),
        ],
    )?;
    let requests = Requests::start(server.address(), "/bar");
    let printed = tracing.finish()?;
    requests.stop()?;
    let tree = tree_text::trees(&printed.stdout)?.into_iter().next();
    let tree = tree.with_context(|| {
        format!(
            "the rebuilt object traced no request; the tracer said:\n{}",
            printed.stderr
        )
    })?;
    if tree.root().seconds.is_none() || !tree.root().name.ends_with("handleBar") {
        bail!(
            "the rebuilt object printed a tree without a measured root:\n{}",
            printed.stdout
        );
    }
    Ok(())
}
