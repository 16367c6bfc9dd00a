//! The hash of everything the eBPF object is built from.
//!
//! A source is a name and a SHA-256. The sources are, in the byte order of their names:
//!
//! - `<path>`: the contents of `gofuncgraph-ebpf/Cargo.toml`, `gofuncgraph-ebpf/build.rs` where
//!   it exists, `gofuncgraph-common/Cargo.toml`, and every file below the two `src` folders
//!   whose name does not begin with a dot; paths are relative to the repository and use `/`;
//! - `Cargo.toml [profile.bpf]`, `Cargo.toml [profile.release]` (which it inherits) and
//!   `Cargo.toml [workspace.package]`: the table's values, one `key = value` a line, sorted;
//!   a nested table's keys are joined by dots;
//! - `Cargo.lock <name> <version>`: the checksum of each package that the eBPF crate depends on,
//!   at any distance (`path` for those of this repository). Not followed are dependencies that
//!   `gofuncgraph-common` marks optional, which are user space's, and those of `aya-build`, with
//!   which build scripts ask cargo and rustc what they can do;
//! - `build flags`: the arguments and compiler flags of the build, one a line.
//!
//! The whole hash is the SHA-256 of one line `<sha256 in hex>  <name>\n` per source: what
//! `sha256sum` would print for them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::build;

/// The eBPF crate's name and folder.
pub const EBPF_CRATE: &str = "gofuncgraph-ebpf";
/// The name and folder of the crate it shares with user space.
pub const COMMON_CRATE: &str = "gofuncgraph-common";
/// A crate whose dependencies run at build time only and leave nothing in the object.
const HOST_ONLY_CRATE: &str = "aya-build";

/// Every source of the object, by name, with its SHA-256 in hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources(pub BTreeMap<String, String>);

impl Sources {
    /// Reads the sources of the repository at `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let mut sources = BTreeMap::new();
        for folder in [EBPF_CRATE, COMMON_CRATE] {
            let manifest = format!("{folder}/Cargo.toml");
            add_file(root, &manifest, &mut sources)?;
            add_folder(root, &format!("{folder}/src"), &mut sources)?;
        }
        let build_script = format!("{EBPF_CRATE}/build.rs");
        if root.join(&build_script).exists() {
            add_file(root, &build_script, &mut sources)?;
        }
        add_settings(&read_toml(root, "Cargo.toml")?, &mut sources)?;
        let common = read_toml(root, &format!("{COMMON_CRATE}/Cargo.toml"))?;
        let lock = Lock::read(root)?;
        lock.add_closure(&optional_dependencies(&common), &mut sources)?;
        sources.insert("build flags".to_owned(), sha256(build::recipe().as_bytes()));
        Ok(Self(sources))
    }

    /// The hash over all sources, in hex.
    pub fn sha256(&self) -> String {
        let mut listing = String::new();
        for (name, hash) in &self.0 {
            // Writing to a String cannot fail.
            let _ = writeln!(listing, "{hash}  {name}");
        }
        sha256(listing.as_bytes())
    }

    /// What differs in `tree`, one phrase per source: added, removed or changed.
    pub fn differences(&self, tree: &Self) -> Vec<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(tree.0.keys()).collect();
        names
            .into_iter()
            .filter_map(|name| match (self.0.get(name), tree.0.get(name)) {
                (Some(old), Some(new)) if old == new => None,
                (Some(_), Some(_)) => Some(format!("changed: {name}")),
                (Some(_), None) => Some(format!("removed: {name}")),
                (None, _) => Some(format!("added: {name}")),
            })
            .collect()
    }
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The packages of `Cargo.lock`.
pub struct Lock {
    packages: Vec<Package>,
}

struct Package {
    name: String,
    version: String,
    checksum: String,
    dependencies: Vec<String>,
}

impl Lock {
    /// Reads `Cargo.lock` of the repository at `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let table = read_toml(root, "Cargo.lock")?;
        let packages = table.get("package").and_then(Value::as_array);
        let packages = packages
            .context("Cargo.lock lists no packages: restore it from the repository")?
            .iter()
            .filter_map(Package::parse)
            .collect();
        Ok(Self { packages })
    }

    /// The version of `dependency` that the package `of` uses.
    pub fn version_of(&self, dependency: &str, of: &str) -> Result<String> {
        self.find(of)?
            .dependencies
            .iter()
            .map(|reference| self.find(reference))
            .find(|found| found.as_ref().is_ok_and(|found| found.name == dependency))
            .with_context(|| format!("Cargo.lock has no dependency {dependency} of {of}"))?
            .map(|package| package.version.clone())
    }

    fn add_closure(
        &self,
        optional_of_common: &BTreeSet<String>,
        sources: &mut BTreeMap<String, String>,
    ) -> Result<()> {
        let mut queue = VecDeque::from([self.find(EBPF_CRATE)?]);
        while let Some(package) = queue.pop_front() {
            let name = format!("Cargo.lock {} {}", package.name, package.version);
            let known = sources.insert(name, package.checksum.clone()).is_some();
            if known || package.name == HOST_ONLY_CRATE {
                continue;
            }
            for reference in &package.dependencies {
                let dependency = self.find(reference)?;
                if package.name != COMMON_CRATE || !optional_of_common.contains(&dependency.name) {
                    queue.push_back(dependency);
                }
            }
        }
        Ok(())
    }

    /// The package of a reference: a name, followed by a version where names are not unique.
    fn find(&self, reference: &str) -> Result<&Package> {
        let mut words = reference.split(' ');
        let name = words.next().unwrap_or_default();
        let version = words.next();
        self.packages
            .iter()
            .find(|package| {
                package.name == name && version.is_none_or(|version| package.version == version)
            })
            .with_context(|| {
                format!("Cargo.lock has no package {reference}: `cargo update --workspace` adds it")
            })
    }
}

impl Package {
    fn parse(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let dependencies = value.get("dependencies").and_then(Value::as_array);
        Some(Self {
            name: text("name")?,
            version: text("version")?,
            checksum: text("checksum").unwrap_or_else(|| "path".to_owned()),
            dependencies: dependencies
                .into_iter()
                .flatten()
                .filter_map(|dependency| dependency.as_str().map(str::to_owned))
                .collect(),
        })
    }
}

fn optional_dependencies(manifest: &Table) -> BTreeSet<String> {
    let dependencies = manifest.get("dependencies").and_then(Value::as_table);
    let optional = |value: &Value| value.get("optional").and_then(Value::as_bool) == Some(true);
    dependencies
        .into_iter()
        .flatten()
        .filter(|(_, value)| optional(value))
        .map(|(name, _)| name.clone())
        .collect()
}

fn add_settings(manifest: &Table, sources: &mut BTreeMap<String, String>) -> Result<()> {
    for (outer, inner) in [
        ("profile", "bpf"),
        ("profile", "release"),
        ("workspace", "package"),
    ] {
        let table = manifest
            .get(outer)
            .and_then(|value| value.get(inner))
            .with_context(|| format!("Cargo.toml has no table [{outer}.{inner}]"))?;
        let mut lines = Vec::new();
        flatten("", table, &mut lines);
        lines.sort();
        let name = format!("Cargo.toml [{outer}.{inner}]");
        sources.insert(name, sha256(lines.concat().as_bytes()));
    }
    Ok(())
}

fn flatten(prefix: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let separator = if prefix.is_empty() { "" } else { "." };
                flatten(&format!("{prefix}{separator}{key}"), value, lines);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                flatten(&format!("{prefix}.{index}"), value, lines);
            }
        }
        Value::String(text) => lines.push(format!("{prefix} = {text:?}\n")),
        Value::Integer(number) => lines.push(format!("{prefix} = {number}\n")),
        Value::Float(number) => lines.push(format!("{prefix} = {number}\n")),
        Value::Boolean(truth) => lines.push(format!("{prefix} = {truth}\n")),
        Value::Datetime(time) => lines.push(format!("{prefix} = {time}\n")),
    }
}

fn add_folder(root: &Path, folder: &str, sources: &mut BTreeMap<String, String>) -> Result<()> {
    let path = root.join(folder);
    let entries = fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", path.display()))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            bail!("{:?} is not UTF-8: rename it", entry.path());
        };
        let below = format!("{folder}/{name}");
        if name.starts_with('.') {
            continue;
        }
        if entry.path().is_dir() {
            add_folder(root, &below, sources)?;
        } else {
            add_file(root, &below, sources)?;
        }
    }
    Ok(())
}

fn add_file(root: &Path, name: &str, sources: &mut BTreeMap<String, String>) -> Result<()> {
    let path = root.join(name);
    let contents = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    sources.insert(name.to_owned(), sha256(&contents));
    Ok(())
}

fn read_toml(root: &Path, name: &str) -> Result<Table> {
    let path = root.join(name);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse()
        .with_context(|| format!("{} is not valid TOML", path.display()))
}
