//! `list`: the functions of a program, without tracing it.

use std::io::{self, Write};

use crate::binary::{BinaryError, GoBinary, InlinedCalls};
use crate::cli::{ListSettings, ListSort, Program};
use crate::output::{LIST_HEADING, ListTotals, write_listed_json, write_listed_text};
use crate::plan::{ListOrder, Listing, Pattern};

use super::SessionError;
use super::advice::with_advice;
use super::go_file::GoFile;
use super::notice::notice;
use super::target_file::TargetFile;

/// Bytes that are written at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Prints functions to standard output, and their number to standard error. A reader that has
/// seen enough ends it.
pub(super) fn list(settings: &ListSettings) -> Result<(), SessionError> {
    let (file, path) = match &settings.program {
        Program::File(path) => {
            let advised = |error| with_advice(error, path, &settings.patterns);
            (TargetFile::open(path).map_err(advised)?, path.clone())
        }
        Program::Process(pid) => {
            let GoFile { file, path, .. } = GoFile::of_process(*pid)?;
            (file, path)
        }
    };
    let binary_error = |source: BinaryError| SessionError::Binary {
        path: path.clone(),
        source,
    };
    let binary = GoBinary::parse(file.bytes()).map_err(binary_error)?;
    for warning in binary.warnings() {
        notice(format_args!("warning: {warning}"));
    }
    let inlined = binary.inlined_calls().unwrap_or_else(|error| {
        notice(format_args!("warning: {error}"));
        InlinedCalls::default()
    });
    let patterns: Vec<Pattern> = settings.patterns.iter().map(Pattern::new).collect();
    let order = match settings.sort {
        ListSort::Name => ListOrder::Name,
        ListSort::Address => ListOrder::Address,
        ListSort::Size => ListOrder::Size,
    };
    let listing =
        Listing::new(&binary, &inlined, &patterns, order).map_err(|source| SessionError::Plan {
            path: path.clone(),
            source,
        })?;
    match write(&listing, settings.json) {
        Ok(totals) => {
            notice(format_args!("{totals}"));
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(source) => Err(SessionError::Output { source }),
    }
}

fn write(listing: &Listing<'_>, json: bool) -> io::Result<ListTotals> {
    let mut out = io::stdout().lock();
    let mut totals = ListTotals::default();
    let mut bytes = Vec::with_capacity(CHUNK_BYTES * 2);
    if !json {
        writeln!(bytes, "{LIST_HEADING}")?;
    }
    for function in listing.functions() {
        totals.add(&function);
        if json {
            write_listed_json(listing, &function, &mut bytes);
        } else {
            write_listed_text(&function, &mut bytes);
        }
        if bytes.len() >= CHUNK_BYTES {
            out.write_all(&bytes)?;
            bytes.clear();
        }
    }
    out.write_all(&bytes)?;
    out.flush()?;
    Ok(totals)
}
