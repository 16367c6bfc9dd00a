//! What `list` prints: a line for each function, or a JSON object.

use std::borrow::Cow;

use serde::Serialize;

use super::escape::{push_escaped, push_escaped_name};
use super::json::push_json;
use crate::binary::{package_of, readable_name};
use crate::plan::{ListedFunction, Listing, NotTraced, Site, SiteKind, SkipReason, at_least};

/// Names of the columns; the last has a function's name and what else is to be said of it.
pub const LIST_HEADING: &str = "  bytes  entry           exits  function";

/// Functions that were written, by what tracing them would take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListTotals {
    /// Entry on an emulated instruction.
    pub emulated: u64,
    /// Entry on a single-stepped instruction.
    pub single_stepped: u64,
    /// Without code.
    pub inlined_everywhere: u64,
    /// Not to be traced for another reason.
    pub skipped: u64,
    /// With code, and inlined as well.
    pub also_inlined: u64,
}

impl ListTotals {
    /// Counts `function`.
    pub fn add(&mut self, function: &ListedFunction<'_>) {
        match &function.sites {
            Ok(sites) if sites.first().is_some_and(|entry| entry.cost.is_emulated()) => {
                self.emulated += 1;
            }
            Ok(_) => self.single_stepped += 1,
            Err(NotTraced::InlinedEverywhere) => self.inlined_everywhere += 1,
            Err(NotTraced::Skipped(_)) => self.skipped += 1,
        }
        if function.code.is_some() && function.inlined.is_some() {
            self.also_inlined += 1;
        }
    }
}

impl std::fmt::Display for ListTotals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let traceable = self.emulated + self.single_stepped;
        write!(
            f,
            "{} functions: {traceable} can be traced ({} emulated, {} single-stepped; {} of them \
             inlined as well), {} cannot, {} exist only inlined",
            traceable + self.skipped + self.inlined_everywhere,
            self.emulated,
            self.single_stepped,
            self.also_inlined,
            self.skipped,
            self.inlined_everywhere,
        )
    }
}

/// Appends the line of `function`, as columns; `\n` included.
pub fn write_listed_text(function: &ListedFunction<'_>, out: &mut Vec<u8>) {
    let size = function
        .code
        .map_or_else(|| "-".to_owned(), |(_, size)| size.to_string());
    let (entry, exits) = match &function.sites {
        Ok(sites) => {
            let entry = sites
                .first()
                .map_or_else(String::new, |it| it.cost.to_string());
            let exits = sites.len().saturating_sub(1).to_string();
            (entry, exits)
        }
        Err(_) => ("-".to_owned(), "-".to_owned()),
    };
    out.extend_from_slice(format!("{size:>7}  {entry:<14}  {exits:>5}  ").as_bytes());
    push_escaped_name(function.name, out);
    if let Some(source) = function.declaration {
        out.extend_from_slice(b"  ");
        push_escaped(source.file, out);
        out.extend_from_slice(format!(":{}", source.line).as_bytes());
    }
    let copies = function.inlined.map(|inlined| at_least(inlined.copies));
    let remark = match (&function.sites, copies) {
        (Err(NotTraced::InlinedEverywhere), Some(times)) => {
            format!("not traced: inlined everywhere, {times}")
        }
        (Err(NotTraced::InlinedEverywhere), None) => "not traced: inlined everywhere".to_owned(),
        (Err(NotTraced::Skipped(reason)), None) => format!("not traced: {reason}"),
        (Err(NotTraced::Skipped(reason)), Some(times)) => {
            format!("not traced: {reason}; inlined {times}")
        }
        (Ok(_), Some(times)) => format!("not seen where it is inlined, {times}"),
        (Ok(_), None) => String::new(),
    };
    if !remark.is_empty() {
        out.extend_from_slice(format!("  // {remark}").as_bytes());
    }
    out.push(b'\n');
}

/// Appends `function` as a JSON object on a line, which docs/LIST.md describes; `\n` included.
pub fn write_listed_json(listing: &Listing<'_>, function: &ListedFunction<'_>, out: &mut Vec<u8>) {
    let package = package_of(function.name);
    let hosts = function
        .inlined
        .map(|it| it.hosts.as_slice())
        .unwrap_or_default();
    let sites = function.sites.as_deref().unwrap_or_default();
    let start = function.code.map_or(0, |(start, _)| start.0);
    let record = FunctionRecord {
        name: readable_name(function.name),
        linker_name: function.linker_name,
        package: &package,
        file: function.declaration.map(|source| source.file),
        line: function.declaration.map(|source| source.line),
        address: function.code.map(|(start, _)| start.0),
        size_bytes: function.code.map(|(_, size)| size),
        traceable: function.sites.is_ok(),
        reason: function.sites.as_ref().err().map(|reason| code_of(*reason)),
        sites: sites
            .iter()
            .map(|site| SiteRecord::new(site, start))
            .collect(),
        inlined_copies: function.inlined.map_or(0, |it| it.copies),
        inlined_into: hosts
            .iter()
            .map(|&(host, copies)| HostRecord {
                name: listing.host_name(host).map(readable),
                copies,
            })
            .collect(),
    };
    push_json(&record, out);
    out.push(b'\n');
}

/// Stable: documented in docs/LIST.md.
fn code_of(reason: NotTraced) -> &'static str {
    let reason = match reason {
        NotTraced::InlinedEverywhere => return "inlined_everywhere",
        NotTraced::Skipped(reason) => reason,
    };
    match reason {
        SkipReason::Excluded => "excluded",
        SkipReason::Vendored => "vendored",
        SkipReason::RuntimeInternal => "runtime_internal",
        SkipReason::Watched => "watched",
        SkipReason::NotGo => "not_go",
        SkipReason::Assembly => "assembly",
        SkipReason::WritesStackPointer => "writes_stack_pointer",
        SkipReason::TopFrame => "top_frame",
        SkipReason::TailJump => "tail_jump",
        SkipReason::Wrapper => "wrapper",
        SkipReason::MayRepeat => "may_repeat",
        SkipReason::EntryNotProbeable => "entry_not_probeable",
        SkipReason::Undecodable => "undecodable",
    }
}

#[derive(Serialize)]
struct FunctionRecord<'a> {
    name: Cow<'a, str>,
    linker_name: &'a str,
    package: &'a str,
    file: Option<&'a str>,
    line: Option<u32>,
    address: Option<u64>,
    size_bytes: Option<u64>,
    traceable: bool,
    reason: Option<&'static str>,
    sites: Vec<SiteRecord>,
    inlined_copies: u32,
    inlined_into: Vec<HostRecord<'a>>,
}

#[derive(Serialize)]
struct SiteRecord {
    kind: &'static str,
    offset: u64,
    file_offset: u64,
    cost: &'static str,
}

impl SiteRecord {
    fn new(site: &Site, start: u64) -> Self {
        Self {
            kind: match site.kind {
                SiteKind::Entry(_) => "entry",
                _ => "exit",
            },
            offset: site.address.0.saturating_sub(start),
            file_offset: site.file_offset.0,
            cost: if site.cost.is_emulated() {
                "emulated"
            } else {
                "single_stepped"
            },
        }
    }
}

#[derive(Serialize)]
struct HostRecord<'a> {
    name: Option<Cow<'a, str>>,
    copies: u32,
}

/// [`readable_name`] of a name that may be owned.
fn readable(name: Cow<'_, str>) -> Cow<'_, str> {
    match name {
        Cow::Borrowed(name) => readable_name(name),
        Cow::Owned(name) => Cow::Owned(readable_name(&name).into_owned()),
    }
}
