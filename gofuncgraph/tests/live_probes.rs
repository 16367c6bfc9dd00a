//! Probes in places where the kernel is particular.

mod support;

use std::fs::File;
use std::os::fd::AsFd;

use gofuncgraph::binary::GoBinary;
use gofuncgraph::cli::RetChoice;
use gofuncgraph::kernel::{LoadSettings, Preparation, ProcessScope, Tracer as KernelSide};
use gofuncgraph::plan::{
    FunctionId, InstructionCost, Pattern, Placement, ProbePlan, Selection, Site, SiteId, SiteKind,
    plan,
};

use support::memory::changed_code_bytes;
use support::private_binary::PrivateBinary;
use support::program::Program;
use support::text::End;
use support::tracer::Tracer;

#[test]
fn a_function_that_is_one_ret_begins_before_it_ends() {
    let binary = PrivateBinary::program("bare");
    let bytes = std::fs::read(binary.path()).expect("it was built");
    let nothing = plan_of(&bytes, "main.nothing");
    let [entry, exit] = of_functions(&nothing)[..] else {
        panic!("not an entry and an exit: {:?}", nothing.sites);
    };
    assert_eq!(
        entry.address, exit.address,
        "the compiler's code is no bare RET"
    );

    let mut program = Program::start(binary.path(), &[]);
    let tracer = Tracer::start(binary.path(), &["-u", "main.nothing"], &["main.root"]);
    program.tell("run", "ran");
    program.tell("run", "ran");
    let outcome = tracer.stop();
    outcome.summary().assert_nothing_lost();
    let trace = outcome.trees();
    assert_eq!(trace.trees.len(), 2);
    assert_eq!(trace.calls_of("main.nothing").count(), 200);
    assert!(
        trace
            .calls
            .iter()
            .all(|call| matches!(call.end, End::Returned(Some(_))) && call.duration.is_some())
    );
}

/// The functions of main, and a site of `kind` in a place that the kernel refuses.
fn plan_with_a_bad_site(bytes: &[u8], kind: SiteKind) -> (ProbePlan, SiteId) {
    let mut plan = plan_of(bytes, "main.*");
    let go_binary = GoBinary::parse(bytes).expect("Go built it");
    // Functions are padded with int3, which the kernel does not let anybody probe.
    let padding = (0..go_binary.function_count())
        .filter_map(|index| go_binary.function(index).ok())
        .find_map(|function| {
            let code = go_binary.code(function.start..function.end)?;
            let last = function.end.0.checked_sub(1)?;
            (code.last() == Some(&0xcc)).then_some(gofuncgraph::binary::VirtualAddress(last))
        })
        .expect("some function is padded");
    let bad = SiteId(u32::try_from(plan.sites.len()).expect("few sites"));
    plan.sites.push(Site {
        kind,
        address: padding,
        file_offset: go_binary.file_offset(padding).expect("it is code"),
        cost: InstructionCost::SingleStepped,
    });
    (plan, bad)
}

fn load(bytes: &[u8], plan: &ProbePlan, scope: ProcessScope) -> KernelSide {
    KernelSide::load(
        Preparation::start(),
        &LoadSettings {
            offsets: GoBinary::parse(bytes)
                .expect("Go built it")
                .runtime_offsets(),
            buffer_bytes: 1 << 16,
            sites: plan.sites.len(),
            sample_one_of: 0,
            ret: RetChoice::Auto,
            is_position_independent: false,
            scope,
            verify: false,
            debug: false,
            object: None,
        },
    )
    .expect("this test needs root and Linux 6.6")
}

#[test]
fn a_refused_probe_costs_only_itself() {
    let binary = PrivateBinary::program("hot");
    let bytes = std::fs::read(binary.path()).expect("it was built");
    let (plan, bad) = plan_with_a_bad_site(&bytes, SiteKind::Return(FunctionId(0)));
    let program = Program::start(binary.path(), &[]);
    let mut kernel_side = load(&bytes, &plan, ProcessScope::All);
    let file = File::open(binary.path()).expect("it was built");
    let report = kernel_side
        .attach(file.as_fd(), &plan)
        .expect("one refused probe is no error");
    assert_eq!(report.refused, [bad]);
    assert_eq!(report.attached, plan.sites.len() - 1);
    assert_ne!(changed_code_bytes(&program, binary.path()), 0);
    kernel_side.detach_all();
    assert_eq!(changed_code_bytes(&program, binary.path()), 0);
}

/// Also if the process does not run the file yet, as one that is launched: later the kernel would
/// refuse the process its code.
#[test]
fn a_refused_probe_of_chosen_processes_costs_only_itself() {
    let binary = PrivateBinary::program("hot");
    let bytes = std::fs::read(binary.path()).expect("it was built");
    let (plan, bad) = plan_with_a_bad_site(&bytes, SiteKind::Entry(FunctionId(0)));
    let file = File::open(binary.path()).expect("it was built");
    let running = Program::start(binary.path(), &[]);
    let other = PrivateBinary::program("sleeper");
    let elsewhere = Program::start(other.path(), &[]);
    for (pids, has_probes) in [
        (vec![running.pid()], true),
        (vec![elsewhere.pid()], false),
        (vec![elsewhere.pid(), running.pid()], true),
    ] {
        let mut kernel_side = load(&bytes, &plan, ProcessScope::Named);
        assert_eq!(
            kernel_side.trace_processes(&pids).ok(),
            Some(true),
            "this kernel tells processes apart"
        );
        let report = kernel_side
            .attach(file.as_fd(), &plan)
            .expect("one refused probe is no error");
        assert_eq!(report.refused, [bad]);
        assert_eq!(report.attached, plan.sites.len() - 1);
        let changed = changed_code_bytes(&running, binary.path());
        assert_eq!(changed != 0, has_probes, "{pids:?}");
        kernel_side.detach_all();
        assert_eq!(changed_code_bytes(&running, binary.path()), 0);
    }
}

fn plan_of(bytes: &[u8], wildcard: &str) -> ProbePlan {
    let binary = GoBinary::parse(bytes).expect("Go built it");
    let selection = Selection {
        wildcards: vec![Pattern::new(wildcard)],
        ..Selection::default()
    };
    plan(&binary, &selection, Placement::Standard).expect("there is such a function")
}

fn of_functions(plan: &ProbePlan) -> Vec<Site> {
    let is_watched = |site: &&Site| !matches!(site.kind, SiteKind::Entry(_) | SiteKind::Return(_));
    plan.sites
        .iter()
        .filter(|site| !is_watched(site))
        .copied()
        .collect()
}
