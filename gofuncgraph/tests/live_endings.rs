//! How tracing ends, and how the traced program may.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::memory::{changed_code_bytes, wait_until_unchanged};
use support::private_binary::PrivateBinary;
use support::program::Program;
use support::text::{End, Layout, Trace};
use support::tracer::{Outcome, Tracer};

/// What the sleeper's commands call.
const SLEEPERS_CALLS: [&str; 2] = ["main.outer", "main.quick"];
const HELD: [&str; 2] = ["-u", "main.held"];

fn sleeper() -> (PrivateBinary, Program) {
    let binary = PrivateBinary::program("sleeper");
    let program = Program::start(binary.path(), &[]);
    (binary, program)
}

fn trace_sleeper(binary: &Path) -> Tracer {
    Tracer::start(binary, &HELD, &SLEEPERS_CALLS)
}

fn is_return(end: &End) -> bool {
    matches!(end, End::Returned(Some(_)))
}

/// Demands one tree, of a held call whose calls ended so.
fn assert_held_tree(trace: &Trace, tree: usize, end: &End) {
    let [root] = trace.trees[tree].roots[..] else {
        panic!("tree {tree} has several roots");
    };
    assert_eq!(trace.shape(root), "main.outer(main.held)");
    let outer = &trace.calls[root];
    assert_eq!(outer.end, *end, "of main.outer");
    assert_eq!(trace.calls[outer.children[0]].end, *end, "of main.held");
}

/// Demands the tree of a call that is still open, after that of one that returned.
fn assert_returned_and_still_open(outcome: &Outcome) {
    let summary = outcome.summary();
    summary.assert_nothing_lost();
    assert_eq!((summary.trees, summary.calls), (2, 3));
    let trace = outcome.trees();
    assert_eq!(trace.shapes(), ["main.quick", "main.outer(main.held)"]);
    assert!(is_return(&trace.calls[0].end));
    assert_held_tree(&trace, 1, &End::StillOpen);
    assert!(
        trace.calls[1].duration.is_none(),
        "its end was not measured"
    );
}

fn a_signal_ends_tracing(signal: Signal) {
    let (binary, mut program) = sleeper();
    let tracer = trace_sleeper(binary.path());
    program.tell("call", "called");
    program.tell("enter", "entered");
    assert!(
        changed_code_bytes(&program, binary.path()) > 0,
        "there are probes"
    );
    tracer.signal(signal);
    assert_returned_and_still_open(&tracer.wait());

    assert_eq!(
        changed_code_bytes(&program, binary.path()),
        0,
        "no probe is left"
    );
    program.tell("leave", "left");
    assert!(program.finish().1.success());
}

#[test]
fn ctrl_c_ends_tracing() {
    a_signal_ends_tracing(Signal::INT);
}

#[test]
fn sigterm_ends_tracing() {
    a_signal_ends_tracing(Signal::TERM);
}

#[test]
fn a_killed_tracer_leaves_a_program_that_runs_on() {
    let binary = PrivateBinary::program("hot");
    let mut program = Program::start(binary.path(), &[]);
    let check = |program: &mut Program| {
        let answer = program.ask("check");
        assert!(answer.starts_with("ok "), "{answer:?}");
    };

    let options = ["-u", "main.twice"];
    let mut tracer = Tracer::start(binary.path(), &options, &["main.nested"]);
    tracer.wait_for_output();
    assert!(
        changed_code_bytes(&program, binary.path()) > 0,
        "there are probes"
    );
    tracer.signal(Signal::KILL);
    drop(tracer);
    check(&mut program);
    wait_until_unchanged(&mut program, binary.path(), check);
    check(&mut program);

    let options = ["-u", "main.twice", "--count", "5"];
    let outcome = Tracer::start(binary.path(), &options, &["main.nested"]).wait();
    outcome.assert_code(0);
    assert_eq!(
        outcome.trees().shapes(),
        ["main.nested(main.twice main.twice)"; 5]
    );
    check(&mut program);
    let (_, status) = program.finish();
    assert!(
        status.success(),
        "the results were right to the end: {status}"
    );
}

#[test]
fn tracing_ends_after_the_duration() {
    let (binary, mut program) = sleeper();
    let mut options = HELD.to_vec();
    options.extend(["--duration", "300ms"]);
    let tracer = Tracer::start(binary.path(), &options, &SLEEPERS_CALLS);
    let started = Instant::now();
    program.tell("call", "called");
    program.tell("enter", "entered");
    let outcome = tracer.wait();
    let took = started.elapsed();
    // The line "tracing started" reaches this process a little after it was written.
    assert!(
        took >= Duration::from_millis(200),
        "it ended after {took:?}"
    );
    assert_returned_and_still_open(&outcome);
}

#[test]
fn exactly_so_many_trees_are_printed() {
    let binary = PrivateBinary::program("hot");
    let _program = Program::start(binary.path(), &[]);
    for count in [1, 7] {
        let number = count.to_string();
        let options = ["-u", "main.twice", "--count", &number];
        let outcome = Tracer::start(binary.path(), &options, &["main.nested"]).wait();
        assert_eq!(outcome.summary().trees, count as u64);
        let trace = outcome.trees();
        assert_eq!(
            trace.shapes(),
            vec!["main.nested(main.twice main.twice)"; count]
        );
        assert!(trace.calls.iter().all(|call| is_return(&call.end)));
    }
}

#[test]
fn a_stream_ends_after_so_many_trees() {
    let binary = PrivateBinary::program("hot");
    let _program = Program::start(binary.path(), &[]);
    let options = ["--stream", "--count", "3", "-u", "main.twice"];
    let outcome = Tracer::start(binary.path(), &options, &["main.nested"]).wait();
    outcome.assert_code(0);
    let trace = outcome.stream();
    let roots = trace.trees.iter().map(|tree| &trace.calls[tree.roots[0]]);
    assert_eq!(roots.filter(|root| is_return(&root.end)).count(), 3);
}

#[test]
fn a_closed_pipe_is_noticed_without_a_line() {
    let (binary, mut program) = sleeper();
    let mut tracer = Tracer::start_unread(binary.path(), &HELD, &SLEEPERS_CALLS);
    let closed = Instant::now();
    tracer.close_stdout();
    tracer.wait().assert_code(0);
    assert!(
        closed.elapsed() < Duration::from_secs(10),
        "it took {:?}",
        closed.elapsed()
    );
    assert_eq!(
        changed_code_bytes(&program, binary.path()),
        0,
        "no probe is left"
    );
    program.tell("call", "called");
}

#[test]
fn a_closed_pipe_is_noticed_at_a_line() {
    let binary = PrivateBinary::program("hot");
    let mut program = Program::start(binary.path(), &[]);
    let mut tracer = Tracer::start_unread(binary.path(), &[], &["main.nested"]);
    assert!(program.ask("check").starts_with("ok "));
    tracer.close_stdout();
    tracer.wait().assert_code(0);
    assert!(program.finish().1.success());
}

#[test]
fn the_program_exits() {
    let (binary, mut program) = sleeper();
    let tracer = trace_sleeper(binary.path());
    program.tell("enter", "entered");
    program.send("exit 7");
    assert_eq!(program.finish().1.code(), Some(7));

    // Tracing goes on, with the next process.
    let mut program = Program::start(binary.path(), &[]);
    program.tell("call", "called");
    let outcome = tracer.stop();
    outcome.summary().assert_nothing_lost();
    let trace = outcome.trees();
    assert_eq!(trace.shapes(), ["main.outer(main.held)", "main.quick"]);
    assert_held_tree(&trace, 0, &End::ProcessExited);
    assert_eq!(trace.trees[1].pid, Some(program.pid()));
}

#[test]
fn the_program_is_killed() {
    let (binary, mut program) = sleeper();
    let tracer = trace_sleeper(binary.path());
    program.tell("enter", "entered");
    program.signal(Signal::KILL);
    assert_eq!(program.finish().1.code(), None);
    let outcome = tracer.stop();
    outcome.summary().assert_nothing_lost();
    assert_held_tree(&outcome.trees(), 0, &End::ProcessExited);
}

#[test]
fn the_program_dies_of_a_panic() {
    let (binary, mut program) = sleeper();
    let tracer = trace_sleeper(binary.path());
    program.tell("enter", "entered");
    program.send("panic");
    assert_eq!(program.finish().1.code(), Some(2));
    let outcome = tracer.stop();
    outcome.summary().assert_nothing_lost();
    assert_held_tree(&outcome.trees(), 0, &End::ProcessExited);
}

#[test]
fn the_program_runs_itself_anew() {
    let (binary, mut program) = sleeper();
    let tracer = trace_sleeper(binary.path());
    program.tell("call", "called");
    program.tell("enter", "entered");
    // The first goroutines of both images have the same numbers.
    program.send(&format!("exec {}", binary.path().display()));
    program.expect_ready();
    program.tell("enter", "entered");
    program.tell("call", "called");
    program.tell("leave", "left");
    let outcome = tracer.stop();

    outcome.summary().assert_nothing_lost();
    let trace = outcome.trees();
    let held = "main.outer(main.held)";
    assert_eq!(trace.shapes(), ["main.quick", held, "main.quick", held]);
    assert_held_tree(&trace, 1, &End::ProcessExited);
    let after = &trace.calls[trace.trees[2].roots[0]..];
    assert!(after.iter().all(|call| is_return(&call.end)), "{after:?}");
    assert!(
        trace.trees.iter().all(|tree| tree.pid.is_none()),
        "it is one process"
    );
}

#[test]
fn the_program_runs_another() {
    let (binary, mut program) = sleeper();
    let other = PrivateBinary::program("hot");
    let tracer = trace_sleeper(binary.path());
    program.tell("enter", "entered");
    program.send(&format!("exec {}", other.path().display()));
    program.expect_ready();
    let outcome = tracer.stop();
    assert!(program.ask("check").starts_with("ok "));
    outcome.summary().assert_nothing_lost();
    let trace = outcome.trees();
    assert_eq!(trace.trees.len(), 1);
    assert_held_tree(&trace, 0, &End::ProcessExited);
}

#[test]
fn the_program_starts_later() {
    let binary = PrivateBinary::program("sleeper");
    let tracer = trace_sleeper(binary.path());
    let mut program = Program::start(binary.path(), &[]);
    program.tell("call", "called");
    program.tell("enter", "entered");
    program.tell("leave", "left");
    let outcome = tracer.stop();
    outcome.summary().assert_nothing_lost();
    let trace = outcome.trees();
    assert_eq!(trace.shapes(), ["main.quick", "main.outer(main.held)"]);
    assert!(trace.calls.iter().all(|call| is_return(&call.end)));
}

#[test]
fn calls_that_began_before_are_shown_where_they_return() {
    let (binary, mut program) = sleeper();
    program.tell("enter", "entered");
    let tracer = Tracer::start(
        binary.path(),
        &[],
        &["main.outer", "main.held", "main.quick"],
    );
    program.tell("leave", "left");
    program.tell("call", "called");
    let outcome = tracer.stop();
    let summary = outcome.summary();
    summary.assert_nothing_lost();
    assert_eq!(summary.other("already open"), 2, "{summary:?}");
    assert_eq!(summary.other("began before tracing"), 0, "{summary:?}");
    let trace = outcome.trees();
    assert_eq!(trace.shapes(), ["main.held", "main.outer", "main.quick"]);
    let open = trace.calls.iter().map(|call| call.is_already_open);
    assert!(open.eq([true, true, false]));
}

#[test]
fn two_processes_of_one_file_are_told_apart() {
    let (binary, mut first) = sleeper();
    let mut second = Program::start(binary.path(), &[]);
    let tracer = trace_sleeper(binary.path());
    first.tell("call", "called");
    first.tell("enter", "entered");
    second.tell("enter", "entered");
    second.tell("leave", "left");
    first.tell("leave", "left");
    let outcome = tracer.stop();

    outcome.summary().assert_nothing_lost();
    let trace = outcome.trees();
    let held = "main.outer(main.held)";
    assert_eq!(trace.shapes(), ["main.quick", held, held]);
    assert!(trace.calls.iter().all(|call| is_return(&call.end)));
    let pids: Vec<_> = trace.trees.iter().map(|tree| tree.pid).collect();
    // A tree is printed when it ends, so the second process's comes first.
    assert_eq!(pids[1..], [Some(second.pid()), Some(first.pid())]);
}

#[test]
fn two_processes_are_told_apart_in_a_stream() {
    let (binary, mut first) = sleeper();
    let mut second = Program::start(binary.path(), &[]);
    let tracer = Tracer::start(binary.path(), &["-u", "main.outer,main.held"], &[]);
    first.tell("enter", "entered");
    second.tell("enter", "entered");
    first.tell("leave", "left");
    second.tell("leave", "left");
    let outcome = tracer.stop();

    outcome.summary().assert_nothing_lost();
    let trace = Trace::parse(&outcome.stdout, Layout::Stream, 6, Some(first.pid()));
    assert_eq!(trace.shapes(), ["main.outer(main.held)"; 2]);
    assert_eq!(trace.trees[1].pid, Some(second.pid()));
    assert!(trace.calls.iter().all(|call| is_return(&call.end)));
}

#[test]
fn children_are_traced_and_leave_their_parent_in_order() {
    let binary = PrivateBinary::program("forkexec");
    let mut program = Program::start(binary.path(), &[]);
    let tracer = Tracer::start(binary.path(), &[], &["main.spawn", "main.childWork"]);
    let answer = program.ask("spawn 5");
    let outcome = tracer.stop();

    let children: Vec<u32> = answer
        .split(' ')
        .skip(1)
        .map(|pid| pid.parse().expect("the program names its children"))
        .collect();
    assert_eq!(children.len(), 5);
    outcome.summary().assert_nothing_lost();
    let trace = Trace::parse(&outcome.stdout, Layout::Trees, 6, None);
    assert!(trace.calls.iter().all(|call| is_return(&call.end)));
    assert_eq!(trace.calls_of("main.spawn").count(), 5);
    for child in children {
        let of_child = trace
            .calls_of("main.childWork")
            .filter(|call| call.pid == Some(child));
        // The first line of all may have come when there was one process only.
        let unnamed = trace
            .calls_of("main.childWork")
            .filter(|call| call.pid.is_none());
        let (of_child, unnamed) = (of_child.count(), unnamed.count());
        assert!(
            of_child == 3 || of_child + unnamed == 3,
            "{of_child} of {child}"
        );
    }
}
