//! Profiles of scripted programs, and of random ones against a slow and simple count.

#[path = "support/analysis.rs"]
mod analysis;
#[path = "support/gate_simulator.rs"]
mod gate_simulator;
#[path = "support/golden.rs"]
mod golden;

use std::collections::HashMap;

use analysis::{aggregate, name_of, recorded, rules};
use gate_simulator::GateSimulator;
use gofuncgraph::analysis::{
    Accuracy, Aggregator, AggregatorSettings, CallStatistics, EXACT_DURATIONS, MAX_PATH_LEVELS,
    Profile,
};
use gofuncgraph::trace::{AssemblerSettings, LineBody};
use golden::*;

fn profile_as(settings: AssemblerSettings, program: &GateSimulator) -> Profile {
    let mut aggregator = Aggregator::new(AggregatorSettings::default());
    aggregate(&mut aggregator, settings, &program.events, program.now);
    aggregator.into_parts().0
}

fn profile(program: &GateSimulator) -> Profile {
    profile_as(AssemblerSettings::stream(), program)
}

fn calls<'a>(profile: &'a Profile, name: &str) -> &'a CallStatistics {
    let mut functions = profile.functions.iter();
    &functions
        .find(|function| function.name == name)
        .unwrap_or_else(|| panic!("{name} was called"))
        .calls
}

#[test]
fn self_time_is_what_callees_do_not_take() {
    let mut program = program();
    program.step_ns = 1000;
    plain_tree(&mut program, FIRST);
    plain_tree(&mut program, FIRST);
    for settings in [AssemblerSettings::stream(), AssemblerSettings::trees()] {
        let profile = profile_as(settings, &program);
        assert_eq!((profile.trees(), profile.finished_trees()), (2, 2));
        assert_eq!(profile.finished_ns(), 14_000);
        let root = calls(&profile, "main.root");
        assert_eq!((root.all.total_ns, root.all.self_ns), (14_000, 6_000));
        let middle = calls(&profile, "main.(*Middle).Work");
        assert_eq!((middle.all.total_ns, middle.all.self_ns), (6_000, 4_000));
        let leaf = calls(&profile, "net/http.leaf");
        assert_eq!(
            (leaf.all.calls, leaf.all.total_ns, leaf.all.self_ns),
            (4, 4_000, 4_000)
        );
        assert_eq!(leaf.in_finished_trees, leaf.all);
        let paths: Vec<Vec<usize>> = (0..profile.paths.len())
            .map(|path| profile.path_functions(path))
            .collect();
        assert_eq!(paths, [vec![0], vec![0, 1], vec![0, 1, 2], vec![0, 2]]);
    }
}

#[test]
fn trees_without_room_are_unfinished_and_all_their_calls_count() {
    let mut program = program();
    program.step_ns = 1000;
    // A recursive tree of three functions and five paths; meanwhile others of one. Then one of
    // three functions and four paths.
    for function in [ROOT, MIDDLE, ROOT, LEAF, MIDDLE] {
        program.call(FIRST, function);
        program.call(SECOND, ROOT);
        program.ret(SECOND);
    }
    for _ in 0..5 {
        program.ret(FIRST);
    }
    plain_tree(&mut program, SECOND);
    let with_room_for = |tree_records| {
        let mut aggregator = Aggregator::new(AggregatorSettings {
            tree_records,
            ..AggregatorSettings::default()
        });
        let settings = AssemblerSettings::stream();
        aggregate(&mut aggregator, settings, &program.events, program.now);
        aggregator.into_parts().0
    };
    let all = with_room_for(100);
    assert_eq!((all.trees(), all.finished_trees()), (7, 7));
    assert_eq!(all.losses.trees_without_room, 0);
    for (tree_records, without_room) in [(0, 7), (1, 7), (5, 4), (6, 3), (7, 2), (8, 2), (10, 0)] {
        let some = with_room_for(tree_records);
        assert_eq!(
            some.losses.trees_without_room, without_room,
            "{tree_records}"
        );
        assert_eq!(
            (some.trees(), some.finished_trees()),
            (7, 7 - without_room),
            "{tree_records}"
        );
        for function in &all.functions {
            let same = calls(&some, &function.name);
            assert_eq!(same.all, function.calls.all, "{tree_records}");
        }
    }
    assert_eq!(
        calls(&with_room_for(10), "main.root").in_finished_trees,
        calls(&all, "main.root").in_finished_trees
    );
}

#[test]
fn time_of_recursive_calls_counts_once() {
    let mut program = program();
    program.step_ns = 1000;
    for _ in 0..4 {
        program.call(FIRST, ROOT);
    }
    for _ in 0..4 {
        program.ret(FIRST);
    }
    let profile = profile(&program);
    let root = calls(&profile, "main.root");
    assert_eq!(root.all.calls, 4);
    assert_eq!(root.all.total_ns, 7_000);
    assert_eq!(root.all.self_ns, 7_000);
    assert_eq!(root.durations.count(), 4);
    assert_eq!(root.durations.min_ns(), Some(1_000));
    assert_eq!(profile.paths.len(), 4);
}

#[test]
fn deep_recursion_stays_in_bounds() {
    let mut program = program();
    for _ in 0..5_000 {
        program.call(FIRST, ROOT);
    }
    for _ in 0..5_000 {
        program.ret(FIRST);
    }
    let profile = profile(&program);
    assert_eq!(profile.paths.len(), MAX_PATH_LEVELS);
    assert_eq!(
        profile.losses.calls_at_other_paths,
        5_000 - MAX_PATH_LEVELS as u64
    );
    let root = calls(&profile, "main.root");
    assert_eq!(root.all.calls, 5_000);
    assert_eq!(Some(root.all.total_ns), root.durations.max_ns());
}

#[test]
fn calls_without_an_end_are_counted_apart() {
    let mut program = program();
    // Left open.
    program.call(SECOND, ROOT);
    program.call(SECOND, MIDDLE);
    // Unwound.
    program.call(FIRST, ROOT);
    program.call(FIRST, LEAF);
    program.goexit(FIRST);
    // The end of a leaf, and the entry of another, are lost.
    program.call(FIRST, ROOT);
    program.call(FIRST, LEAF);
    program.losing(|program| program.ret(FIRST));
    program.losing(|program| program.call(FIRST, OTHER));
    program.ret(FIRST);
    program.ret(FIRST);
    program.stop();
    let profile = profile(&program);
    let unmeasured = profile.unmeasured();
    assert_eq!(unmeasured.still_open, 2);
    assert_eq!((unmeasured.exit_lost, unmeasured.entry_lost), (1, 1));
    assert_eq!(profile.losses.events, 2);
    let leaf = calls(&profile, "net/http.leaf");
    assert_eq!((leaf.all.calls, leaf.unwound), (2, 1));
    assert_eq!((leaf.durations.count(), leaf.unmeasured.exit_lost), (1, 1));
    assert_eq!((profile.trees(), profile.finished_trees()), (3, 2));
}

#[test]
fn a_cut_tree_counts_as_a_whole_one() {
    let mut program = program();
    program.step_ns = 1000;
    program.call(FIRST, ROOT);
    program.call(FIRST, MIDDLE);
    for _ in 0..100 {
        program.call(FIRST, LEAF);
        program.ret(FIRST);
    }
    program.ret(FIRST);
    program.ret(FIRST);
    let whole = profile(&program);
    let cut = profile_as(trees_with(|max_calls, _, _| *max_calls = 7), &program);
    assert_eq!((cut.trees(), cut.finished_trees()), (1, 1));
    for name in ["main.root", "main.(*Middle).Work", "net/http.leaf"] {
        let (whole, cut) = (calls(&whole, name), calls(&cut, name));
        assert_eq!(whole.all, cut.all, "{name}");
        assert_eq!(cut.unmeasured.total(), 0, "{name}");
        assert_eq!(whole.durations.quantiles(), cut.durations.quantiles());
    }
}

#[test]
fn dropped_calls_are_said() {
    let mut program = program();
    program.step_ns = 1000;
    program.call(FIRST, ROOT);
    program.call(FIRST, MIDDLE);
    for _ in 0..100 {
        program.call(FIRST, LEAF);
        program.ret(FIRST);
    }
    program.ret(FIRST);
    program.ret(FIRST);
    let settings = trees_with(|max_calls, _, slower_than| {
        *max_calls = 50;
        *slower_than = Some(std::time::Duration::from_micros(150));
    });
    let profile = profile_as(settings, &program);
    assert_eq!(profile.losses.calls_dropped, 50);
    assert_eq!(profile.losses.out_of_order, 0);
    assert_eq!(calls(&profile, "net/http.leaf").all.calls, 52);
    assert_eq!(calls(&profile, "main.root").durations.count(), 1);
}

#[test]
fn processes_that_end_leave_calls_without_duration() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(FIRST, LEAF);
    program.end_process(100, gofuncgraph::events::ProcessEnd::Exited);
    let profile = profile(&program);
    assert_eq!(profile.unmeasured().process_exited, 2);
    assert_eq!(profile.share_of_trees(0), None);
}

#[test]
fn several_recordings_add_up() {
    let mut program = program();
    plain_tree(&mut program, FIRST);
    let mut aggregator = Aggregator::new(AggregatorSettings::default());
    for _ in 0..3 {
        aggregate(
            &mut aggregator,
            AssemblerSettings::stream(),
            &program.events,
            program.now,
        );
    }
    let (profile, _) = aggregator.into_parts();
    assert_eq!(profile.trees(), 3);
    assert_eq!(profile.functions.len(), 3);
    assert_eq!(calls(&profile, "net/http.leaf").all.calls, 6);
}

#[test]
fn percentiles_say_how_exact_they_are() {
    let mut program = program();
    program.step_ns = 1000;
    program.call(FIRST, ROOT);
    for call in 0..EXACT_DURATIONS as u64 + 1 {
        program.call(FIRST, LEAF);
        program.wait_ns(call * 1000);
        program.ret(FIRST);
    }
    program.ret(FIRST);
    let profile = profile(&program);
    let leaf = &calls(&profile, "net/http.leaf").durations;
    assert_eq!(leaf.accuracy(), Accuracy::WithinOnePercent);
    let median = leaf.quantile_ns(0.5).expect("it was called");
    assert!(median.abs_diff(2_049_000) * 100 <= 2_049_000, "{median}");
    assert_eq!(
        calls(&profile, "main.root").durations.accuracy(),
        Accuracy::Exact
    );
}

#[test]
fn watches_count_inside_of_calls() {
    let mut program = program();
    program.step_ns = 1000;
    for leaves in [1, 2, 6] {
        program.call(FIRST, ROOT);
        program.call(FIRST, LEAF);
        program.ret(FIRST);
        program.call(FIRST, MIDDLE);
        // Inside of itself it is the same call still.
        program.call(FIRST, MIDDLE);
        for _ in 0..leaves {
            program.call(FIRST, LEAF);
            program.ret(FIRST);
        }
        program.ret(FIRST);
        program.ret(FIRST);
        program.ret(FIRST);
    }
    let rules = rules(&[
        "calls(net/http.*) > 1 per main.(*Middle).Work",
        "self(*) > 1ms",
        "total(main.*) > 1ms per main.root",
    ]);
    let found = recorded("x", &program, &rules).watched;
    let inside = &found[0];
    assert_eq!(
        (inside.groups, inside.sum.calls, inside.most_calls),
        (3, 9, 6)
    );
    let mut each: Vec<u64> = inside.sample().iter().map(|share| share.calls).collect();
    each.sort_unstable();
    assert_eq!(each, [1, 2, 6]);
    // Every nanosecond of a tree is some call's own.
    assert_eq!(found[1].sum.self_ns, found[1].groups_ns);
    // The root is one of them, and all others are inside of it.
    assert_eq!(found[2].sum.total_ns, found[2].groups_ns);
    let tree = inside.example.as_ref().expect("there were calls");
    assert_eq!(tree.calls.len(), 10);
}

#[test]
fn examples_of_long_trees_keep_the_long_calls() {
    let mut program = program();
    program.step_ns = 10;
    program.call(FIRST, ROOT);
    for call in 0..20_000_u64 {
        program.call(FIRST, LEAF);
        program.wait_ns(if call == 7_777 { 1_000_000 } else { call % 100 });
        program.ret(FIRST);
    }
    program.ret(FIRST);
    let rules = rules(&["max(net/http.leaf) > 1us"]);
    let found = recorded("x", &program, &rules).watched;
    let tree = found[0].example.as_ref().expect("there were calls");
    assert!(tree.calls.len() <= 1000);
    assert_eq!(tree.calls_left_out + tree.calls.len() as u64, 20_001);
    let longest = tree.calls.iter().filter(|call| call.level == 1);
    let longest = longest.max_by_key(|call| call.duration).expect("there are");
    assert_eq!(longest.duration.map(|it| it.as_nanos()), Some(1_000_010));
}

/// Calls, total and self time by function, counted without any cleverness.
fn simple_count(lines: &[gofuncgraph::trace::TraceLine]) -> HashMap<String, (u64, u64, u64)> {
    let mut counts: HashMap<String, (u64, u64, u64)> = HashMap::new();
    let mut stacks: HashMap<_, Vec<(String, u64)>> = HashMap::new();
    for line in lines {
        let stack = stacks.entry(line.goroutine).or_default();
        match &line.body {
            LineBody::Entry { function, .. } => {
                let name = name_of(*function).expect("a name");
                counts.entry(name.clone()).or_default().0 += 1;
                stack.push((name, 0));
            }
            LineBody::End { duration, .. } => {
                let (name, inside) = stack.pop().expect("balanced");
                let whole = duration.map(|it| it.as_nanos() as u64);
                if let Some((_, callers)) = stack.last_mut() {
                    *callers += whole.unwrap_or(inside);
                }
                if let Some(whole) = whole {
                    let is_outermost = stack.iter().all(|(other, _)| *other != name);
                    let count = counts.entry(name).or_default();
                    count.1 += if is_outermost { whole } else { 0 };
                    count.2 += whole.saturating_sub(inside);
                }
            }
            LineBody::Note(_) => {}
        }
    }
    counts
}

proptest::proptest! {
    #[test]
    fn random_programs_agree_with_a_simple_count(
        steps in proptest::collection::vec((0..2_u8, 0..10_u8, 0..5_u32), 0..300),
    ) {
        let mut program = program();
        for (goroutine, step, function) in steps {
            let goroutine = if goroutine == 0 { FIRST } else { SECOND };
            let height = program.stack_height(goroutine);
            let function = gofuncgraph::plan::FunctionId(function);
            match step {
                0..4 => program.call(goroutine, function),
                4..7 if height > 0 => program.ret(goroutine),
                7 if height > 1 => program.recover(goroutine, height / 2),
                8 if height > 0 => program.losing(|program| program.ret(goroutine)),
                9 => program.losing(|program| program.call(goroutine, function)),
                _ => program.wait_ns(1),
            }
        }
        program.stop();
        for settings in [
            AssemblerSettings::stream(),
            AssemblerSettings::trees(),
            trees_with(|max_calls, _, _| *max_calls = 5),
        ] {
            let profile = profile_as(settings, &program);
            proptest::prop_assert_eq!(profile.losses.out_of_order, 0);
            let is_cut = settings == trees_with(|max_calls, _, _| *max_calls = 5);
            let whole = if is_cut { AssemblerSettings::trees() } else { settings };
            let mut lines = Vec::new();
            let mut assembler = gofuncgraph::trace::Assembler::new(whole);
            for event in &program.events {
                assembler.handle(event, &mut Lines(&mut lines));
            }
            assembler.finish(program.now, &mut Lines(&mut lines));
            let expected = simple_count(&lines);
            // Where entries are lost, a cut changes what is known of what encloses what.
            if is_cut && assembler.statistics().events_lost > 0 {
                continue;
            }
            let found: HashMap<String, (u64, u64, u64)> = profile
                .functions
                .iter()
                .map(|function| {
                    let all = function.calls.all;
                    (function.name.clone(), (all.calls, all.total_ns, all.self_ns))
                })
                .collect();
            proptest::prop_assert_eq!(found, expected);
            let paths: u64 = profile.paths.iter().map(|path| path.calls.all.calls).sum();
            proptest::prop_assert_eq!(paths, profile.calls());
        }
    }
}
