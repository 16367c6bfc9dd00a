//! Calls that were open when tracing began are found on the stack: on goroutines whose calls are
//! known, in every way of building.

mod support;

use support::go_build::{Flavor, Variant};
use support::private_binary::{PrivateBinary, releases};
use support::program::Program;
use support::text::{End, Layout, Trace};
use support::tracer::{self, Outcome, Tracer};

/// See `tests/programs/parked`.
const PATHS: [&str; 24] = [
    "t",
    "q",
    "o",
    "u",
    "to",
    "ot",
    "tq",
    "qt",
    "uut",
    "tuu",
    "tt",
    "qq",
    "totot",
    "ouotuou",
    "tdo",
    "td",
    "odt",
    "dtd",
    "qdq",
    "tqd",
    "ooooooooqooooo",
    "tuuuuuuuuuuuuuuuuuuuuuuuuu",
    "qutoqutoqutoqutoqutoqutoo",
    "it",
];
/// More calls than are looked through.
const DEEP: &str = "tooooooooooooooooooooooooooooooooooooooooo";

const OPTIONS: [&str; 2] = ["-u", "main.other,main.recovering,main.leaf"];
const TARGETS: [&str; 2] = ["main.target", "main.quiet"];

/// The function of a letter, if it is traced.
fn name(letter: char) -> Option<&'static str> {
    Some(match letter {
        't' | 'i' => "main.target",
        'q' => "main.quiet",
        'o' => "main.other",
        'd' => "main.recovering",
        _ => return None,
    })
}

fn is_target(letter: char) -> bool {
    "tiq".contains(letter)
}

/// The trees of a goroutine that goes on inside the calls of `path`. Without probes on RETs, calls of
/// `leaf` are all that happens.
fn expected(path: &str, has_returns: bool) -> Vec<String> {
    let letters: Vec<char> = path.chars().collect();
    let mut trees = Vec::new();
    for (index, &letter) in letters.iter().enumerate().rev() {
        match letter {
            'u' => {}
            'q' | 'd' if !has_returns => {}
            // Its return is all that happens.
            'q' => trees.push("main.quiet".to_owned()),
            _ => {
                let open = letters.get(..=index).unwrap_or_default();
                let root = open.iter().position(|&letter| is_target(letter));
                trees.extend(root.and_then(|root| shape(open.get(root..)?)));
                break;
            }
        }
    }
    trees
}

/// What is shown of calls inside of one another, of which the first is shown.
fn shape(letters: &[char]) -> Option<String> {
    let (&letter, inside) = letters.split_first()?;
    let inside = shape(inside);
    let Some(name) = name(letter) else {
        return inside;
    };
    let leaf = (!"qd".contains(letter)).then(|| "main.leaf".to_owned());
    let inside: Vec<String> = inside.into_iter().chain(leaf).collect();
    Some(match inside.is_empty() {
        true => name.to_owned(),
        false => format!("{name}({})", inside.join(" ")),
    })
}

fn park(binary: &PrivateBinary, paths: &[&str]) -> Program {
    let mut program = Program::start(binary.path(), &[]);
    for path in paths {
        program.tell(&format!("park {path}"), "parked");
    }
    program
}

/// Trees of which the root was open, sorted.
fn found(outcome: &Outcome) -> (Trace, Vec<String>) {
    outcome.assert_code(0);
    let summary = outcome.summary();
    summary.assert_nothing_lost();
    let trace = Trace::parse(&outcome.stdout, Layout::Trees, 6, None);
    assert_eq!(summary.other("already open"), trace.total().already_open);
    for unexpected in [
        "entry lost",
        "out of order",
        "malformed records",
        "exit lost",
    ] {
        assert_eq!(summary.other(unexpected), 0, "{summary:?}");
    }
    let roots = trace.trees.iter().map(|tree| tree.roots[0]);
    let open = roots.filter(|&root| trace.calls[root].is_already_open);
    let mut shapes: Vec<String> = open.map(|root| trace.shape(root)).collect();
    shapes.sort();
    (trace, shapes)
}

fn all_expected(has_returns: bool) -> Vec<String> {
    let paths = PATHS.iter();
    let mut expected: Vec<String> = paths.flat_map(|path| expected(path, has_returns)).collect();
    expected.sort();
    expected
}

fn assert_found_in(variant: Variant) {
    let binary = PrivateBinary::program_variant("parked", variant);
    let mut program = park(&binary, &PATHS);
    let tracer = Tracer::start(binary.path(), &OPTIONS, &TARGETS);
    program.tell("leave", "left");
    let outcome = tracer.stop();
    let (trace, shapes) = found(&outcome);
    assert_eq!(shapes, all_expected(true), "{variant:?}");
    assert_eq!(outcome.summary().other("began before tracing"), 0);
    for call in &trace.calls {
        assert_eq!(call.is_already_open, call.name != "main.leaf", "{call:?}");
        assert!(matches!(call.end, End::Returned(_)), "{call:?}");
    }
}

#[test]
fn calls_are_found_in_every_release() {
    for variant in releases(Flavor::Plain) {
        assert_found_in(variant);
    }
}

#[test]
fn calls_are_found_where_addresses_are_not_those_of_the_file() {
    for variant in releases(Flavor::Pie) {
        assert_found_in(variant);
    }
}

#[test]
fn calls_are_found_in_one_process_alone() {
    let binary = PrivateBinary::program("parked");
    let mut program = park(&binary, &PATHS);
    let mut another = park(&binary, &["t"]);
    let pid = program.pid().to_string();
    let mut command = tracer::command();
    command.args(OPTIONS).args(["-p", &pid]).args(TARGETS);
    let mut tracer = Tracer::spawn(command, true);
    tracer.wait_until_started();
    another.tell("leave", "left");
    program.tell("leave", "left");
    let (_, shapes) = found(&tracer.stop());
    assert_eq!(shapes, all_expected(true));
}

/// What is beyond the calls that are looked through may be in a target: then no tree is right.
#[test]
fn a_stack_that_is_too_deep_is_told_of_where_targets_return() {
    let binary = PrivateBinary::program("parked");
    let mut program = park(&binary, &[DEEP]);
    let tracer = Tracer::start(binary.path(), &OPTIONS, &TARGETS);
    program.tell("leave", "left");
    let (_, shapes) = found(&tracer.stop());
    assert_eq!(shapes, ["main.target"]);
}

/// Who asks for so many trees asks for whole ones.
#[test]
fn trees_are_counted_from_their_beginning() {
    let binary = PrivateBinary::program("parked");
    let mut program = park(&binary, &["t"]);
    let options = [&OPTIONS[..], &["--count", "2"]].concat();
    let tracer = Tracer::start(binary.path(), &options, &TARGETS);
    program.tell("leave", "left");
    for _ in 0..2 {
        program.tell("call to", "called");
    }
    let outcome = tracer.wait();
    let (trace, shapes) = found(&outcome);
    assert!(shapes.is_empty());
    assert_eq!(trace.trees.len(), 2);
    assert_eq!(outcome.summary().other("began before tracing"), 1);
}

/// A child has the stack of its parent until it executes its own program, and calls functions that have
/// probes. The parent's call was told of.
#[test]
fn the_call_that_forks_is_not_open_in_the_child() {
    let binary = PrivateBinary::program("forkexec");
    let mut program = Program::start(binary.path(), &[]);
    let options = ["-u", "syscall.*"];
    let tracer = Tracer::start(binary.path(), &options, &["main.spawn"]);
    program.ask("spawn 3");
    let outcome = tracer.stop();
    outcome.assert_code(0);
    let summary = outcome.summary();
    assert_eq!(summary.other("already open"), 0, "{summary:?}");
    let trace = Trace::parse(&outcome.stdout, Layout::Trees, 6, None);
    assert_eq!(trace.calls_of("main.spawn").count(), 3);
}

#[test]
fn nothing_is_open_where_calls_begin_later() {
    let binary = PrivateBinary::program("parked");
    let mut program = Program::start(binary.path(), &[]);
    let tracer = Tracer::start(binary.path(), &OPTIONS, &TARGETS);
    program.tell("park to", "parked");
    program.tell("leave", "left");
    let outcome = tracer.stop();
    let (trace, shapes) = found(&outcome);
    assert!(shapes.is_empty());
    assert_eq!(
        trace.shapes(),
        ["main.target(main.other(main.leaf) main.leaf)"]
    );
}

/// Returns that have no probes any more are seen where they return to, or by what comes next.
#[test]
fn calls_of_promoted_functions_are_found() {
    let binary = PrivateBinary::program("parked");
    let mut program = park(&binary, &PATHS);
    let options = [&OPTIONS[..], &["-v", "--promote", "all"]].concat();
    let mut tracer = Tracer::start(binary.path(), &options, &TARGETS);
    while tracer.times_said("promoted by now: 5 functions") == 0 {
        program.tell("call tqdo", "called");
    }
    program.tell("leave", "left");
    let outcome = tracer.stop();
    let (trace, shapes) = found(&outcome);
    assert_eq!(shapes, all_expected(false));
    let ends = trace.calls.iter().map(|call| &call.end);
    for end in ends {
        assert!(
            matches!(end, End::Returned(_) | End::Approximate),
            "{end:?}"
        );
    }
}
