//! The plan for every function of the `go` command's own executable, against a plain linear
//! disassembly and against `go tool objdump`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use gofuncgraph::binary::{Function, GoBinary};
use gofuncgraph::plan::{
    FunctionId, Pattern, Placement, PlanError, PlanWarning, ProbePlan, ReasonSite, Selection,
    SiteKind, SkipReason, plan, target_calls,
};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Mnemonic, Register};

fn run_go(args: &[&str]) -> String {
    let output = Command::new("go")
        .args(args)
        .output()
        .expect("this test needs the go command in PATH");
    assert!(
        output.status.success(),
        "go {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("go prints UTF-8")
}

fn go_command() -> PathBuf {
    PathBuf::from(run_go(&["env", "GOROOT"]).trim()).join("bin/go")
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().copied().map(Pattern::new).collect()
}

fn everything() -> Selection {
    Selection {
        wildcards: patterns(&["*", "runtime*", "internal/runtime/*", "internal/abi*"]),
        ..Selection::default()
    }
}

struct GoCommand {
    path: PathBuf,
    data: Vec<u8>,
}

impl GoCommand {
    fn read() -> Self {
        let path = go_command();
        let data = std::fs::read(&path).expect("read the go command");
        Self { path, data }
    }

    fn binary(&self) -> GoBinary<'_> {
        GoBinary::parse(&self.data).expect("parse the go command")
    }
}

/// By start address.
fn functions<'data>(binary: &GoBinary<'data>) -> BTreeMap<u64, Function<'data>> {
    (0..binary.function_count())
        .map(|index| binary.function(index).expect("function"))
        .map(|function| (function.start.0, function))
        .collect()
}

/// Entry address and return addresses of every planned function.
fn sites_by_function(plan: &ProbePlan) -> Vec<(Option<u64>, Vec<u64>)> {
    let mut sites = vec![(None, Vec::new()); plan.functions.len()];
    for site in &plan.sites {
        match site.kind {
            SiteKind::Entry(FunctionId(id)) => {
                let earlier = sites[id as usize].0.replace(site.address.0);
                assert_eq!(earlier, None, "two entries of {id}");
            }
            SiteKind::Return(FunctionId(id)) => sites[id as usize].1.push(site.address.0),
            SiteKind::Recovery | SiteKind::GoroutineExit | SiteKind::Reason(_) => {}
        }
    }
    sites
}

#[test]
fn every_site_of_the_go_command_is_right() {
    let go = GoCommand::read();
    let binary = go.binary();
    let plan = plan(&binary, &everything(), Placement::Standard).expect("plan");
    assert!(plan.functions.len() > 10_000, "{}", plan.functions.len());
    assert!(plan.sites.is_sorted_by_key(|site| site.address));
    assert!(plan.functions.is_sorted_by_key(|function| function.start));

    let functions = functions(&binary);
    for (planned, (entry, returns)) in plan.functions.iter().zip(sites_by_function(&plan)) {
        let name = &planned.name;
        let function = functions[&planned.start.0];
        let entry = entry.unwrap_or_else(|| panic!("{name} has no entry"));
        let code = binary.code(function.start..function.end).expect("code");
        let mut boundaries = BTreeSet::new();
        let mut rets = Vec::new();
        for instruction in Decoder::with_ip(64, code, function.start.0, DecoderOptions::NONE) {
            assert!(!instruction.is_invalid(), "{name}");
            boundaries.insert(instruction.ip());
            match instruction.flow_control() {
                FlowControl::Return => rets.push(instruction.ip()),
                FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {
                    let target = instruction.near_branch_target();
                    assert_ne!(target, entry, "{name} branches to its entry site");
                    let is_on_the_way = target > function.start.0 && target < entry;
                    assert!(!is_on_the_way, "{name} branches to {target:#x}");
                }
                _ => {}
            }
        }
        assert!(boundaries.contains(&entry), "{name}: entry {entry:#x}");
        assert_eq!(returns, rets, "{name}");
    }
    for site in &plan.sites {
        let byte = go.data[site.file_offset.0 as usize];
        match site.kind {
            SiteKind::Return(_) => assert_eq!(byte, 0xc3, "{}", site.address),
            SiteKind::Recovery => assert_eq!(byte, 0xe8, "{}", site.address),
            SiteKind::GoroutineExit | SiteKind::Reason(_) => {
                assert_eq!(byte, 0x55, "{}", site.address);
            }
            SiteKind::Entry(_) => {}
        }
    }

    let entries = plan.functions.len();
    let emulated = plan
        .sites
        .iter()
        .filter(|site| matches!(site.kind, SiteKind::Entry(_)) && site.cost.is_emulated())
        .count();
    let per_mille = emulated * 1000 / entries;
    println!("{emulated} of {entries} entries are emulated ({per_mille} of 1000)");
    // Without cheap sites for frameless functions it would be 867, with them 882.
    assert!(per_mille >= 875, "{per_mille} of 1000");

    // Entries at a RET share its single step, the others have one of their own.
    let at_a_ret = plan
        .sites_with_ids()
        .filter(|&(id, _)| plan.is_entry_too(id));
    let own_steps = (entries - emulated - at_a_ret.count()) * 1000 / entries;
    println!("{own_steps} of 1000 entries have a single step of their own");
    // With all entries at the first instruction or the push it would be 128, with these 85.
    assert!(own_steps <= 90, "{own_steps} of 1000");
}

/// The entry sites of functions without a stack check that are not at their first instruction,
/// and what comes before them.
#[test]
fn nothing_happens_before_the_entry_sites_of_the_go_command() {
    let go = GoCommand::read();
    let binary = go.binary();
    let plan = plan(&binary, &everything(), Placement::Standard).expect("plan");
    let functions = functions(&binary);
    let mut moved = 0;
    for (planned, (entry, _)) in plan.functions.iter().zip(sites_by_function(&plan)) {
        let name = &planned.name;
        let function = functions[&planned.start.0];
        let way = function.start.0..entry.expect("an entry");
        let code = binary.code(function.start..function.end).expect("code");
        let before: Vec<_> = Decoder::with_ip(64, code, way.start, DecoderOptions::NONE)
            .into_iter()
            .take_while(|instruction| way.contains(&instruction.ip()))
            .collect();
        let Some(last) = before.last() else { continue };
        if last.flow_control() == FlowControl::ConditionalBranch {
            // The stack check, whose branch calls for more stack.
            continue;
        }
        moved += 1;
        for instruction in &before {
            assert_eq!(instruction.flow_control(), FlowControl::Next, "{name}");
            assert_eq!(instruction.stack_pointer_increment(), 0, "{name}");
            assert_ne!(instruction.op0_register(), Register::RSP, "{name}");
            let base = instruction.memory_base();
            let is_safe = matches!(base, Register::None | Register::RSP | Register::RIP)
                || matches!(instruction.mnemonic(), Mnemonic::Lea | Mnemonic::Nop);
            assert!(is_safe, "{name} reads what {base:?} points to");
        }
    }
    println!("{moved} entries are behind the first instruction");
    assert!(moved > 100, "{moved}");
}

#[test]
fn what_is_skipped_in_the_go_command_is_skipped_for_good_reason() {
    let go = GoCommand::read();
    let binary = go.binary();
    let plan = plan(&binary, &everything(), Placement::Standard).expect("plan");
    let functions = functions(&binary);
    let (mut tail_jumps, mut wrappers) = (0, 0);
    for skipped in &plan.skipped {
        let function = functions[&skipped.start.0];
        match skipped.reason {
            // The compiler's wrappers of promoted methods do not carry the wrapper's funcID.
            SkipReason::TailJump => {
                let code = binary.code(function.start..function.end).expect("code");
                let returns = Decoder::with_ip(64, code, function.start.0, DecoderOptions::NONE)
                    .into_iter()
                    .any(|instruction| instruction.flow_control() == FlowControl::Return);
                assert!(!returns, "{}", skipped.name);
                tail_jumps += 1;
            }
            SkipReason::Assembly => assert!(function.flags.is_assembly(), "{}", skipped.name),
            SkipReason::Wrapper => {
                assert!(function.is_wrapper, "{}", skipped.name);
                wrappers += 1;
            }
            SkipReason::Undecodable => panic!("{} cannot be decoded", skipped.name),
            _ => {}
        }
    }
    assert!(tail_jumps > 0);
    assert!(wrappers > 500, "{wrappers}");
    assert!(
        (plan.skipped.len() - wrappers) * 10 < plan.functions.len(),
        "{} skipped",
        plan.skipped.len()
    );
}

#[test]
fn the_runtime_is_watched_whatever_is_chosen() {
    let go = GoCommand::read();
    let binary = go.binary();
    let only_main = Selection {
        targets: patterns(&["main.main"]),
        ..Selection::default()
    };
    for selection in [everything(), only_main] {
        let plan = plan(&binary, &selection, Placement::Standard).expect("plan");
        let count = |kind| plan.sites.iter().filter(|site| site.kind == kind).count();
        assert_eq!(count(SiteKind::GoroutineExit), 1);
        assert!(count(SiteKind::Recovery) >= 1);
        for reason in ReasonSite::ALL {
            // The linker leaves out what nothing calls.
            let is_linked = !binary
                .find_functions_named(reason.function_name())
                .is_empty();
            assert!(is_linked || reason == ReasonSite::Goexit, "{reason:?}");
            let sites = count(SiteKind::Reason(reason));
            assert_eq!(sites, usize::from(is_linked), "{reason:?}");
        }
        let missing = plan.warnings.iter();
        let missing = missing.filter(|it| !matches!(it, PlanWarning::SomeInlined(_)));
        assert_eq!(missing.count(), 0, "{:?}", plan.warnings);
        assert!(
            !plan
                .functions
                .iter()
                .any(|function| function.name == "runtime.goexit1")
        );
    }
}

#[test]
fn the_same_question_has_the_same_answer() {
    let go = GoCommand::read();
    let binary = go.binary();
    let first = plan(&binary, &everything(), Placement::Standard).expect("plan");
    let second = plan(&binary, &everything(), Placement::Standard).expect("plan");
    assert!(first == second);
    assert!(first.to_string() == second.to_string());

    let classic = plan(&binary, &everything(), Placement::Classic).expect("plan");
    for (function, (entry, _)) in classic.functions.iter().zip(sites_by_function(&classic)) {
        assert_eq!(entry, Some(function.start.0), "{}", function.name);
    }
}

#[test]
fn patterns_that_give_nothing_say_why() {
    let go = GoCommand::read();
    let binary = go.binary();
    let error = |wildcards: &[&str], targets: &[&str]| {
        let selection = Selection {
            wildcards: patterns(wildcards),
            targets: patterns(targets),
            excludes: patterns(&["main.main"]),
            exclude_vendor: true,
        };
        match plan(&binary, &selection, Placement::Standard) {
            Err(PlanError::Unmatched(unmatched)) => unmatched,
            other => panic!("{wildcards:?} {targets:?} gave {other:?}"),
        }
    };
    let mistyped = error(&["os.*"], &["*.printFUNC"]);
    assert_eq!(mistyped.len(), 1);
    assert_eq!(mistyped[0].pattern, "*.printFUNC");
    assert_eq!(mistyped[0].reasons, []);

    let mistyped = error(&[], &["os.RaedFile"]);
    assert_eq!(mistyped[0].names[0], "os.ReadFile");

    let runtime = error(&["os.*"], &["*.mallocgc"]);
    assert_eq!(runtime[0].reasons, [(SkipReason::RuntimeInternal, 1)]);
    assert_eq!(runtime[0].names, ["runtime.mallocgc"]);

    let excluded = error(&["os.*", "main.main"], &[]);
    assert_eq!(excluded[0].reasons, [(SkipReason::Excluded, 1)]);

    let vendored = error(&["cmd/vendor/*"], &[]);
    assert_eq!(vendored[0].reasons.len(), 1);
    assert_eq!(vendored[0].reasons[0].0, SkipReason::Vendored);
}

/// By function start, addresses of all instructions, of the RETs and of the calls, as objdump has them.
type Listing = BTreeMap<u64, (BTreeSet<u64>, Vec<u64>, Vec<u64>)>;

fn objdump(path: &str, name_pattern: &str) -> Listing {
    let mut listing = Listing::new();
    let mut start = None;
    for line in run_go(&["tool", "objdump", "-s", name_pattern, path]).lines() {
        if line.starts_with("TEXT ") {
            start = None;
            continue;
        }
        let mut fields = line.split_whitespace().skip(1);
        let address = fields
            .next()
            .and_then(|field| u64::from_str_radix(field.strip_prefix("0x")?, 16).ok());
        let Some(address) = address else { continue };
        let mnemonic = fields.nth(1).unwrap_or_default();
        let function = *start.get_or_insert(address);
        let (boundaries, rets, calls) = listing.entry(function).or_default();
        boundaries.insert(address);
        match mnemonic {
            "RET" => rets.push(address),
            "CALL" => calls.push(address),
            _ => {}
        }
    }
    listing
}

#[test]
fn sites_agree_with_objdump() {
    let go = GoCommand::read();
    let binary = go.binary();
    let selection = everything();
    let plan = plan(&binary, &selection, Placement::Standard).expect("plan");
    let path = go.path.to_str().expect("a UTF-8 path");
    let listing = objdump(path, r"^(os|fmt|net/http|runtime|cmd/go/internal/load)\.");
    let mut compared = 0;
    for (planned, (entry, returns)) in plan.functions.iter().zip(sites_by_function(&plan)) {
        let Some((boundaries, rets, _)) = listing.get(&planned.start.0) else {
            continue;
        };
        let entry = entry.expect("an entry");
        assert!(boundaries.contains(&entry), "{}: {entry:#x}", planned.name);
        assert_eq!(&returns, rets, "{}", planned.name);
        compared += 1;
    }
    println!("{compared} functions agree with objdump");
    assert!(compared > 1_000, "{compared}");
}

/// Where the calls of targets return to: behind every call, and nowhere else.
#[test]
fn calls_of_targets_agree_with_objdump() {
    let go = GoCommand::read();
    let binary = go.binary();
    let selection = Selection {
        targets: patterns(&["cmd/go/internal/load.*"]),
        wildcards: patterns(&["os.*"]),
        ..Selection::default()
    };
    let plan = plan(&binary, &selection, Placement::Standard).expect("plan");
    let calls = target_calls(&binary, &plan, usize::MAX).expect("there is no limit");
    let path = go.path.to_str().expect("a UTF-8 path");
    let listing = objdump(path, r"^cmd/go/internal/load\.");
    let mut expected = BTreeSet::new();
    for planned in plan.functions.iter().filter(|planned| planned.is_target) {
        let (boundaries, _, of_function) = &listing[&planned.start.0];
        let next = |call: &u64| boundaries.range(call + 1..).next().copied();
        // Behind the last instruction stands another function, or nothing.
        expected.extend(of_function.iter().filter_map(next));
    }
    let found: BTreeSet<u64> = calls.iter().map(|call| call.return_address.0).collect();
    assert_eq!(expected.difference(&found).next(), None);
    assert!(found.len() - expected.len() < plan.functions.len());
    assert!(expected.len() > 1_000, "{}", expected.len());
    for call in &calls {
        assert!(plan.is_target_entry(call.entry));
        // Where the stack is made larger there is no frame yet.
        assert!(call.frame_bytes >= 8 && call.frame_bytes.is_multiple_of(8));
    }
    assert_eq!(target_calls(&binary, &plan, calls.len() - 1), None);
}
