//! Trees and streams as text, for what programs do and what is lost of it.

#[path = "support/gate_simulator.rs"]
mod gate_simulator;
#[path = "support/golden.rs"]
mod golden;

use std::time::Duration;

use gate_simulator::GateSimulator;
use gofuncgraph::binary::{LoadBias, RuntimeAddress};
use gofuncgraph::events::{
    EndProbe, Event, FrameDepth, Goroutine, GoroutineEvent, MonotonicTime, ProcessEnd,
    SequencePosition,
};
use gofuncgraph::trace::{Assembler, AssemblerSettings, LineBody, PartEnd, TraceLine, TraceSink};
use golden::*;

#[test]
fn nesting() {
    let mut program = program();
    plain_tree(&mut program, FIRST);
    plain_tree(&mut program, FIRST);
    let statistics = check_trees("nesting", &program);
    assert_eq!((statistics.trees, statistics.trees_finished), (2, 2));
    assert_eq!((statistics.calls, statistics.ends.returned), (8, 8));
    check_stream("nesting_stream", &program);
}

#[test]
fn recursion_of_the_root_stays_inside_it() {
    let mut program = program();
    for _ in 0..4 {
        program.call(FIRST, ROOT);
    }
    for _ in 0..4 {
        program.ret(FIRST);
    }
    let statistics = check_trees("recursion", &program);
    assert_eq!(statistics.trees, 1);
}

fn interleaved() -> GateSimulator {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(SECOND, ROOT);
    program.call(FIRST, MIDDLE);
    program.call(SECOND, LEAF);
    program.ret(FIRST);
    program.ret(SECOND);
    program.ret(SECOND);
    program.ret(FIRST);
    program
}

#[test]
fn interleaved_goroutines() {
    check_trees("interleaved", &interleaved());
    check_stream("interleaved_stream", &interleaved());
}

#[test]
fn panic_recovered_at_every_height() {
    for height in 1..=3 {
        let mut program = program();
        // Not a target: what recovers at height 1 is outside the tree.
        program.call(FIRST, OTHER);
        program.call(FIRST, ROOT);
        program.call(FIRST, MIDDLE);
        program.call(FIRST, LEAF);
        program.recover(FIRST, height);
        for _ in 0..height {
            program.ret(FIRST);
        }
        // The next request on the same goroutine is a tree of its own.
        plain_tree(&mut program, FIRST);
        let statistics = check_trees(&format!("recovered_at_{height}"), &program);
        assert_eq!(statistics.ends.unwound, 4 - height as u64);
        assert_eq!((statistics.trees, statistics.trees_finished), (2, 2));
    }
}

#[test]
fn goexit_unwinds_everything() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(FIRST, MIDDLE);
    program.goexit(FIRST);
    let statistics = check_trees("goexit", &program);
    assert_eq!(statistics.ends.unwound, 2);
    check_stream("goexit_stream", &program);
}

#[test]
fn lost_entry_encloses_what_came_after_the_loss() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(FIRST, OTHER);
    program.ret(FIRST);
    program.losing(|program| program.call(FIRST, MIDDLE));
    program.call(FIRST, LEAF);
    program.ret(FIRST);
    program.call(FIRST, LEAF);
    program.ret(FIRST);
    program.ret(FIRST);
    program.ret(FIRST);
    let statistics = check_trees("lost_entry", &program);
    assert_eq!((statistics.calls, statistics.calls_without_entry), (4, 1));
    assert_eq!(statistics.events_lost, 1);
    check_stream("lost_entry_stream", &program);
}

#[test]
fn call_that_was_over_before_a_lost_entry_ends_before_it() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(FIRST, MIDDLE);
    program.losing(|program| {
        program.ret(FIRST);
        program.call(FIRST, OTHER);
    });
    program.call(FIRST, LEAF);
    program.ret(FIRST);
    program.ret(FIRST);
    program.ret(FIRST);
    check_trees("lost_exit_and_entry", &program);
}

#[test]
fn nested_lost_entries_enclose_one_another() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(FIRST, HOSTILE);
    program.losing(|program| {
        program.ret(FIRST);
        program.call(FIRST, MIDDLE);
        program.call(FIRST, OTHER);
    });
    program.call(FIRST, LEAF);
    program.ret(FIRST);
    program.ret(FIRST);
    program.call(FIRST, LEAF);
    program.ret(FIRST);
    program.ret(FIRST);
    program.ret(FIRST);
    let statistics = check_trees("lost_entries_nested", &program);
    assert_eq!((statistics.calls, statistics.calls_without_entry), (4, 2));
}

#[test]
fn deep_descent_whose_entries_were_lost() {
    const DEPTH: usize = 50_000;
    let mut program = program();
    program.call(FIRST, ROOT);
    program.losing(|program| {
        for _ in 0..DEPTH {
            program.call(FIRST, MIDDLE);
        }
    });
    program.call(FIRST, LEAF);
    for _ in 0..DEPTH + 2 {
        program.ret(FIRST);
    }
    let mut lines = Vec::new();
    let mut assembler = Assembler::new(AssemblerSettings::trees());
    for event in &program.events {
        assembler.handle(event, &mut Lines(&mut lines));
    }
    let leaf = lines
        .iter()
        .find(|line| matches!(line.body, LineBody::Entry { function, .. } if function == LEAF));
    assert_eq!(leaf.map(|leaf| leaf.level as usize), Some(DEPTH + 1));
    assert_eq!(lines.len(), 2 * (DEPTH + 2) + 1);
}

/// What unwinds a call after a loss says nothing about when a call ended that was over before.
#[test]
fn call_that_was_over_before_a_lost_entry_was_not_unwound_later() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(FIRST, OTHER);
    program.call(FIRST, HOSTILE);
    program.losing(|program| {
        program.ret(FIRST);
        program.ret(FIRST);
        program.call(FIRST, MIDDLE);
        program.call(FIRST, OTHER);
    });
    program.call(FIRST, LEAF);
    program.recover(FIRST, 2);
    program.ret(FIRST);
    program.ret(FIRST);
    check_trees("lost_then_unwound", &program);
}

#[test]
fn lost_exit() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(FIRST, MIDDLE);
    program.losing(|program| program.ret(FIRST));
    program.call(FIRST, OTHER);
    program.ret(FIRST);
    program.ret(FIRST);
    let statistics = check_trees("lost_exit", &program);
    assert_eq!(statistics.ends.exit_lost, 1);
    check_stream("lost_exit_stream", &program);
}

#[test]
fn lost_root_entry() {
    let mut program = program();
    program.losing(|program| program.call(FIRST, ROOT));
    program.call(FIRST, MIDDLE);
    program.ret(FIRST);
    program.call(FIRST, LEAF);
    program.ret(FIRST);
    program.ret(FIRST);
    let statistics = check_trees("lost_root_entry", &program);
    assert_eq!((statistics.trees, statistics.trees_finished), (1, 1));
    check_stream("lost_root_entry_stream", &program);
}

#[test]
fn lost_root_exit_ends_the_tree_where_the_next_begins() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(FIRST, MIDDLE);
    program.losing(|program| {
        program.ret(FIRST);
        program.ret(FIRST);
    });
    plain_tree(&mut program, FIRST);
    let statistics = check_trees("lost_root_exit", &program);
    assert_eq!((statistics.trees, statistics.trees_finished), (2, 1));
    check_stream("lost_root_exit_stream", &program);
}

#[test]
fn lost_root_exit_and_next_root_entry() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.losing(|program| {
        program.ret(FIRST);
        program.call(FIRST, ROOT);
    });
    program.call(FIRST, MIDDLE);
    program.ret(FIRST);
    program.ret(FIRST);
    check_trees("lost_root_exit_and_entry", &program);
}

#[test]
fn lost_whole_tree() {
    let mut program = program();
    plain_tree(&mut program, FIRST);
    program.losing(|program| plain_tree(program, FIRST));
    plain_tree(&mut program, FIRST);
    program.losing(|program| plain_tree(program, FIRST));
    program.stop();
    let statistics = check_trees("lost_whole_tree", &program);
    assert_eq!(statistics.events_lost, 16);
    assert_eq!(statistics.events_lost_outside_trees, 8);
    check_stream("lost_whole_tree_stream", &program);
}

#[test]
fn lost_end_of_a_goroutine() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(FIRST, MIDDLE);
    program.losing(|program| program.goexit(FIRST));
    check_trees("lost_goroutine_end", &program);
}

#[test]
fn attach_in_mid_call() {
    let mut program = program();
    program.call_unseen(FIRST, ROOT);
    program.call_unseen(FIRST, MIDDLE);
    program.call(FIRST, LEAF);
    program.ret(FIRST);
    program.ret(FIRST);
    program.ret(FIRST);
    assert_eq!(program.counts.returns_without_tree, 1);
    plain_tree(&mut program, FIRST);
    let statistics = check_trees("attach_in_mid_call", &program);
    assert_eq!((statistics.trees, statistics.events_lost), (1, 0));
}

/// A root that was open may never end: what ends in it is shown meanwhile.
#[test]
fn attach_in_a_loop() {
    let mut program = program();
    program.searches_already_open = true;
    program.call_unseen(FIRST, ROOT);
    for _ in 0..5 {
        program.call(FIRST, MIDDLE);
        program.call(FIRST, LEAF);
        program.ret(FIRST);
        program.ret(FIRST);
        program.wait_ns(400_000_000);
    }
    program.stop();
    let statistics = check_trees("attach_in_a_loop", &program);
    assert_eq!((statistics.trees, statistics.trees_finished), (1, 0));
    assert_eq!((statistics.calls, statistics.calls_already_open), (10, 1));
    assert_eq!(statistics.calls_open_at_cuts, 1);
    check_stream("attach_in_a_loop_stream", &program);
}

/// Where only trees of some length are asked for, one that was open is shown once it is.
#[test]
fn attach_in_a_slow_loop() {
    let mut program = program();
    program.searches_already_open = true;
    program.call_unseen(FIRST, ROOT);
    for _ in 0..5 {
        program.call(FIRST, MIDDLE);
        program.ret(FIRST);
        program.wait_ns(700_000_000);
    }
    program.ret(FIRST);
    let settings = slower_than(Duration::from_secs(2));
    let (text, statistics) = render(settings, 6, &program.events, program.now);
    check_golden("attach_in_a_slow_loop", &text);
    assert_eq!(statistics.calls_dropped, 0);
}

#[test]
fn root_left_without_a_ret() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(FIRST, MIDDLE);
    program.leave_unseen(FIRST);
    program.leave_unseen(FIRST);
    plain_tree(&mut program, FIRST);
    let statistics = check_trees("superseded", &program);
    assert_eq!(statistics.ends.exit_lost, 2);
    assert_eq!((statistics.trees, statistics.trees_finished), (2, 1));
}

#[test]
fn root_left_unseen_while_functions_may_be_promoted() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.leave_unseen(FIRST);
    plain_tree(&mut program, FIRST);
    for promotes in [false, true] {
        let mut assembler = Assembler::new(AssemblerSettings::trees()).with_promotion(promotes);
        for event in &program.events {
            assembler.handle(event, &mut Discarded);
        }
        let ends = assembler.statistics().ends;
        let expected = if promotes { (0, 1) } else { (1, 0) };
        assert_eq!((ends.exit_lost, ends.approximate), expected);
    }
}

/// Nobody wants to see it.
struct Discarded;

impl TraceSink for Discarded {
    fn line(&mut self, _: &TraceLine) {}

    fn part_end(&mut self, _: Goroutine, _: PartEnd) {}
}

#[test]
fn still_open() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(SECOND, ROOT);
    program.call(SECOND, MIDDLE);
    program.call(FIRST, LEAF);
    program.stop();
    let statistics = check_trees("still_open", &program);
    assert_eq!(statistics.ends.still_open, 4);
    check_stream("still_open_stream", &program);
}

#[test]
fn process_exit_among_two_processes() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(ELSEWHERE, ROOT);
    program.call(FIRST, MIDDLE);
    program.end_process(FIRST.pid, ProcessEnd::Exited);
    program.call(ELSEWHERE, LEAF);
    program.ret(ELSEWHERE);
    program.ret(ELSEWHERE);
    let statistics = check_trees("process_exit", &program);
    assert_eq!(statistics.ends.process_exited, 2);
    check_stream("process_exit_stream", &program);
}

#[test]
fn a_thread_that_outlives_its_process_shows_nothing() {
    let late = Event::Goroutine {
        goroutine: FIRST,
        position: SequencePosition {
            sequence: 7,
            tree: 0,
        },
        time: MonotonicTime { time_ns: 9_000 },
        kind: GoroutineEvent::Entry {
            function: LEAF,
            depth: FrameDepth { bytes: 400 },
            return_address: RuntimeAddress(0x1000),
            load_bias: LoadBias(0),
            starts_tree: false,
            end_probe: EndProbe::Return,
            is_already_open: false,
        },
    };
    let end = Event::ProcessEnded {
        pid: FIRST.pid,
        time: MonotonicTime { time_ns: 8_000 },
        cause: ProcessEnd::Exited,
    };
    let mut assembler = Assembler::new(AssemblerSettings::stream());
    let mut lines = CollectedLines::default();
    assembler.handle(&end, &mut lines);
    assembler.handle(&late, &mut lines);
    assembler.finish(MonotonicTime { time_ns: 10_000 }, &mut lines);
    assert_eq!(lines.0, []);
    let statistics = assembler.statistics();
    assert_eq!((statistics.trees, statistics.events_lost), (0, 0));
    assert_eq!(statistics.events_after_exit, 1);
}

#[derive(Default)]
struct CollectedLines(Vec<TraceLine>);

impl TraceSink for CollectedLines {
    fn line(&mut self, line: &TraceLine) {
        self.0.push(line.clone());
    }

    fn part_end(&mut self, _: Goroutine, _: PartEnd) {}
}

#[test]
fn exec_starts_anew() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(FIRST, MIDDLE);
    program.end_process(FIRST.pid, ProcessEnd::Executed);
    plain_tree(&mut program, FIRST);
    let statistics = check_trees("exec", &program);
    assert_eq!((statistics.trees, statistics.trees_finished), (2, 1));
    assert_eq!(statistics.events_out_of_order, 0);
}

#[test]
fn lost_news_of_an_exec_is_survived() {
    let mut program = program();
    program.call(FIRST, ROOT);
    program.call(FIRST, MIDDLE);
    program.end_process(FIRST.pid, ProcessEnd::Executed);
    program.events.pop();
    plain_tree(&mut program, FIRST);
    let statistics = check_trees("exec_unnoticed", &program);
    assert_eq!(statistics.events_out_of_order, 1);
}
