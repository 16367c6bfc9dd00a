//! What is known about the checked-in object: a small TOML file beside it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::fingerprint::{Sources, sha256};

/// The programs that made an object. Equal versions make equal bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// First line of `rustc --version`.
    pub rustc: String,
    /// LLVM of rustc.
    pub llvm: String,
    /// bpf-linker.
    pub bpf_linker: String,
    /// LLVM of bpf-linker.
    pub bpf_linker_llvm: String,
    /// The `object` crate, which takes the debug sections out.
    pub object_crate: String,
}

/// Contents of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// SHA-256 of the object.
    pub object_sha256: String,
    /// Hash over all sources; see [`super::fingerprint`].
    pub sources_sha256: String,
    /// What the object was made by.
    pub versions: Versions,
    /// What the object was made from.
    pub sources: Sources,
}

impl Record {
    /// The record of `object`.
    pub fn new(sources: &Sources, versions: Versions, object: &[u8]) -> Self {
        Self {
            object_sha256: sha256(object),
            sources_sha256: sources.sha256(),
            versions,
            sources: sources.clone(),
        }
    }

    /// Reads a record; the error says how to make one.
    pub fn read(path: &Path) -> Result<Self> {
        let next = "`cargo xtask build-ebpf` writes it";
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read {}: {next}", path.display()))?;
        Self::parse(&text).with_context(|| {
            format!(
                "{} is not a record of an eBPF object: {next}",
                path.display()
            )
        })
    }

    /// Parses the text of a record.
    pub fn parse(text: &str) -> Result<Self> {
        let table: Table = text.parse()?;
        let versions = table.get("versions").context("no table [versions]")?;
        let field = |value: Option<&Value>, name: &str| {
            let text = value.and_then(Value::as_str).map(str::to_owned);
            text.with_context(|| format!("no text `{name}`"))
        };
        let version = |name: &str| field(versions.get(name), name);
        let sources = table.get("sources").and_then(Value::as_table);
        let sources = sources
            .context("no table [sources]")?
            .iter()
            .map(|(name, value)| Ok((name.clone(), field(Some(value), name)?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            object_sha256: field(table.get("object_sha256"), "object_sha256")?,
            sources_sha256: field(table.get("sources_sha256"), "sources_sha256")?,
            versions: Versions {
                rustc: version("rustc")?,
                llvm: version("llvm")?,
                bpf_linker: version("bpf_linker")?,
                bpf_linker_llvm: version("bpf_linker_llvm")?,
                object_crate: version("object_crate")?,
            },
            sources: Sources(sources),
        })
    }

    /// The record as text.
    pub fn to_text(&self) -> String {
        let versions = &self.versions;
        let mut text = format!(
            "# Written by `cargo xtask build-ebpf` together with gofuncgraph.bpf.o.\n\
             # xtask/src/ebpf/fingerprint.rs defines the sources and their hash.\n\
             object_sha256 = {:?}\n\
             sources_sha256 = {:?}\n\n\
             [versions]\n\
             rustc = {:?}\n\
             llvm = {:?}\n\
             bpf_linker = {:?}\n\
             bpf_linker_llvm = {:?}\n\
             object_crate = {:?}\n\n\
             [sources]\n",
            self.object_sha256,
            self.sources_sha256,
            versions.rustc,
            versions.llvm,
            versions.bpf_linker,
            versions.bpf_linker_llvm,
            versions.object_crate,
        );
        for (name, hash) in &self.sources.0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:?} = {hash:?}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let sources = Sources(
            [("Cargo.lock a+b 1.0.0", "path"), ("src/main.rs", "00ff")]
                .map(|(name, hash)| (name.to_owned(), hash.to_owned()))
                .into(),
        );
        let versions = Versions {
            rustc: "rustc 1.96.0 (\"quoted\")".to_owned(),
            llvm: "22.1.8".to_owned(),
            bpf_linker: "0.13.0".to_owned(),
            bpf_linker_llvm: "22.1.8".to_owned(),
            object_crate: "0.40.0".to_owned(),
        };
        let record = Record::new(&sources, versions, b"object");
        assert_eq!(Record::parse(&record.to_text()).unwrap(), record);
    }

    #[test]
    fn a_damaged_record_says_what_is_missing() {
        let error = Record::parse("object_sha256 = \"00\"\n[versions]\n[sources]\n").unwrap_err();
        assert_eq!(error.to_string(), "no text `sources_sha256`");
    }
}
