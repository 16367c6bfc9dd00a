//! A file, read as an executable that is to be traced: everything that is done before attaching.

use std::collections::HashSet;
use std::fmt::Write as _;

use gofuncgraph::binary::{GoBinary, VirtualAddress, disassembly};
use gofuncgraph::events::Symbols as _;
use gofuncgraph::output::BinarySymbols;
use gofuncgraph::plan::{
    Pattern, Placement, ProbePlan, Selection, SiteKind, plan, signal_panic_site,
};
use gofuncgraph::promotion::{DirectCallers, find_observer};

/// Targets and wildcards of one command line each; without any, the main module is followed.
const SELECTIONS: [(&[&str], &[&str]); 5] = [
    (&[], &["*"]),
    (&[], &[]),
    (&["main.*"], &["*", "runtime.*"]),
    (&["*.(*T).String"], &["runtime.goexit1", "fmt.*"]),
    (&["main.main", "main.deferrin?"], &["main.Map[...]"]),
];

/// Functions whose code and lines are looked at one by one.
const MAX_FUNCTIONS: usize = 300;
/// Addresses of a plan that are looked up as return addresses, too.
const MAX_SITES: usize = 60;

/// Reads `file` to its end or the first error, and makes the plan that `choice` says.
pub fn look_at(file: &[u8], choice: u8) {
    let binary = match GoBinary::parse(file) {
        Ok(binary) => binary,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let _ = (binary.go_version(), binary.main_module(), binary.build_id());
    let _ = (binary.warnings(), binary.runtime_offsets());
    read_functions(&binary);
    let placement = match choice & 0x80 {
        0 => Placement::Standard,
        _ => Placement::Classic,
    };
    let (targets, wildcards) = SELECTIONS[usize::from(choice & 0x7f) % SELECTIONS.len()];
    let patterns = |texts: &[&str]| texts.iter().copied().map(Pattern::new).collect();
    let selection = Selection {
        targets: patterns(targets),
        wildcards: patterns(wildcards),
        excludes: patterns(&["*.init.?"]),
        exclude_vendor: choice & 1 == 0,
    };
    match plan(&binary, &selection, placement) {
        Ok(plan) => check_plan(&binary, &plan, file.len() as u64),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn read_functions(binary: &GoBinary<'_>) {
    if let Err(error) = binary.inlined_calls() {
        assert!(!error.to_string().is_empty());
    }
    for (number, function) in binary.functions().enumerate() {
        let function = match function {
            Ok(function) => function,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                continue;
            }
        };
        assert!(function.start <= function.end);
        if number >= MAX_FUNCTIONS {
            continue;
        }
        let size = function.end.0 - function.start.0;
        for offset in [0, size / 2, size.saturating_sub(1), size] {
            let pc = VirtualAddress(function.start.0.saturating_add(offset));
            let _ = binary.source_line(pc);
            let _ = binary.file_offset(pc);
            if let Some(found) = binary.find_function(pc) {
                assert!((found.start..found.end).contains(&pc));
            }
        }
        let Some(code) = binary.code(function.start..function.end) else {
            continue;
        };
        let decoded = disassembly::instructions(code, function.start);
        assert!(decoded.count() <= code.len());
    }
    assert!(binary.function(binary.function_count()).is_err());
}

/// What attaching relies on.
fn check_plan(binary: &GoBinary<'_>, plan: &ProbePlan, file_size: u64) {
    let mut text = String::new();
    // Only the plan itself could fail, which is a finding.
    write!(text, "{plan}").expect("strings can be written to");
    assert!(plan.sites.is_sorted_by_key(|site| site.address));
    assert!(plan.sites.iter().all(|site| site.file_offset.0 < file_size));
    let entries = plan
        .sites
        .iter()
        .filter(|site| matches!(site.kind, SiteKind::Entry(_)));
    assert_eq!(entries.count(), plan.functions.len());

    let _ = signal_panic_site(binary);
    let starts: HashSet<_> = plan.functions.iter().map(|it| it.start).collect();
    let callers = DirectCallers::find(binary, &starts, &|| true);
    let mut symbols = BinarySymbols::new(binary, plan);
    for (id, site) in plan.sites_with_ids().take(MAX_SITES) {
        let _ = symbols.return_site(id);
        let _ = symbols.call_site(site.address);
        if let SiteKind::Entry(function) = site.kind {
            let function = &plan.functions[function.0 as usize];
            for address in callers.returns_of(function.start).iter().take(4) {
                let _ = symbols.call_site(*address);
                if let Some(observer) = find_observer(binary, *address) {
                    assert!(observer.file_offset.0 < file_size);
                    assert!(observer.address >= *address);
                }
            }
        }
        let _ = binary.frame_bytes(site.address);
        let _ = find_observer(binary, site.address);
    }
}
