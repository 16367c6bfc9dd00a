//! What is said of panics, of `runtime.Goexit` and of how a process ended, on real programs.

mod support;

use rustix::process::Signal;
use support::go_build::{Flavor, Variant};
use support::private_binary::PrivateBinary;
use support::program::Program;
use support::text::{End, Trace};
use support::tracer::{self, Outcome, Tracer};

/// The oldest, the last that finds deferred calls by lists alone, one that walks frames, and the
/// newest, which raises the runtime's errors in another way.
const RELEASES: [&str; 4] = ["go1.17.13", "go1.21.13", "go1.24.9", "go1.27.3"];

const TARGETS: [&str; 6] = [
    "main.recovering",
    "main.recoverSelf",
    "main.panicInDeferred",
    "main.startGoroutine",
    "main.holder",
    "main.failing",
];

struct Traced {
    program: Program,
    tracer: Tracer,
    _binary: PrivateBinary,
}

impl Traced {
    fn start(toolchain: &'static str, flavor: Flavor, options: &[&str]) -> Self {
        let binary = PrivateBinary::program_variant("panics", Variant { toolchain, flavor });
        let program = Program::start(binary.path(), &[]);
        let tracer = Tracer::start(binary.path(), options, &TARGETS);
        Self {
            program,
            tracer,
            _binary: binary,
        }
    }

    /// Runs `cases`, and gives what was traced.
    fn run(mut self, cases: &[&str]) -> Outcome {
        for case in cases {
            self.program.tell(case, "done");
        }
        self.tracer.stop()
    }
}

/// Of every call of `name`, what is said of its end.
fn remarks<'a>(trace: &'a Trace, name: &'a str) -> Vec<&'a str> {
    trace.calls_of(name).map(|call| &*call.remark).collect()
}

const PANICKED: &str = "panicked, unwound, recovered in main.recovering";
const UNWOUND: &str = "unwound by panic, recovered in main.recovering";

/// Demands that `case` panics in `function`, which `main.middle` calls.
fn assert_panics_in(toolchain: &'static str, cases: &[(&str, &str)], options: &[&str]) {
    let options = [&["-u", "main.*"], options].concat();
    let names: Vec<&str> = cases.iter().map(|(case, _)| *case).collect();
    let outcome = Traced::start(toolchain, Flavor::Plain, &options).run(&names);
    outcome.summary().assert_nothing_lost();
    let trace = outcome.trees();
    assert_eq!(trace.trees.len(), cases.len(), "{toolchain}");
    for (case, function) in cases {
        assert_eq!(
            remarks(&trace, function),
            [PANICKED],
            "{case}, {toolchain}, {options:?}"
        );
    }
    assert_eq!(remarks(&trace, "main.middle"), vec![UNWOUND; cases.len()]);
    for call in trace.calls_of("main.recovering") {
        assert!(matches!(call.end, End::Returned(_)), "{call:?}");
    }
}

/// Every way in which the runtime panics for a function, and that function.
const RAISED: [(&str, &str); 10] = [
    ("nil", "main.derefNil"),
    ("leaf", "main.(*node).get"),
    ("index", "main.index"),
    ("slice", "main.slice"),
    ("divide", "main.divide"),
    ("map", "main.assignNilMap"),
    ("hash", "main.hashSlice"),
    ("type", "main.assertType"),
    ("chan", "main.closeTwice"),
    ("call", "main.callNil"),
];

#[test]
fn the_function_that_panicked_is_told_on_every_release() {
    for toolchain in RELEASES {
        assert_panics_in(toolchain, &RAISED, &[]);
    }
}

#[test]
fn the_function_that_panicked_is_told_where_returns_are_observed() {
    for toolchain in RELEASES {
        assert_panics_in(toolchain, &RAISED, &["--promote", "all"]);
    }
}

#[test]
fn without_symbols_and_at_other_addresses_it_is_told_too() {
    for toolchain in RELEASES {
        let traced = Traced::start(toolchain, Flavor::PieNoSymbols, &["-u", "main.*"]);
        let trace = traced.run(&["plain", "index", "nil"]).trees();
        for name in ["main.p3", "main.index", "main.derefNil"] {
            assert_eq!(remarks(&trace, name), [PANICKED], "{name}, {toolchain}");
        }
        assert_eq!(remarks(&trace, "main.p2"), [UNWOUND], "{toolchain}");
    }
}

#[test]
fn a_function_without_probes_is_named_as_the_one_that_panicked() {
    for toolchain in RELEASES {
        let traced = Traced::start(
            toolchain,
            Flavor::Plain,
            &["-u", "main.p2,main.middle,main.*Negative,main.derefLeaf"],
        );
        let trace = traced.run(&["plain", "library", "index", "leaf"]).trees();
        let by = |function: &str| {
            format!("unwound by panic in {function}, recovered in main.recovering")
        };
        assert_eq!(remarks(&trace, "main.p2"), [by("main.p3")], "{toolchain}");
        let library = by("strings.Repeat");
        assert_eq!(remarks(&trace, "main.repeatNegative"), [&*library]);
        // It has no frame: frame pointers lead past the call that it faulted in.
        let leaf = by("main.(*node).get");
        assert_eq!(remarks(&trace, "main.derefLeaf"), [&*leaf], "{toolchain}");
        let middle = [library.clone(), by("main.index"), leaf.clone()];
        assert_eq!(remarks(&trace, "main.middle"), middle, "{toolchain}");
    }
}

/// What recovers need not be traced, nor inside of the tree.
#[test]
fn a_recovery_outside_of_the_tree_is_told() {
    for toolchain in RELEASES {
        let binary = PrivateBinary::program_variant(
            "panics",
            Variant {
                toolchain,
                flavor: Flavor::Plain,
            },
        );
        let mut program = Program::start(binary.path(), &[]);
        let tracer = Tracer::start(binary.path(), &["-u", "main.p3"], &["main.p2"]);
        program.tell("plain", "done");
        let trace = tracer.stop().trees();
        assert_eq!(remarks(&trace, "main.p3"), [PANICKED], "{toolchain}");
        assert_eq!(remarks(&trace, "main.p2"), [UNWOUND], "{toolchain}");
    }
}

#[test]
fn panics_inside_of_panics_are_told_apart() {
    for toolchain in RELEASES {
        let run = |case| {
            let traced = Traced::start(toolchain, Flavor::Plain, &["-u", "main.*"]);
            let outcome = traced.run(&[case]);
            outcome.summary().assert_nothing_lost();
            outcome.trees()
        };
        // A deferred call panics; both are recovered together.
        let trace = run("nested");
        assert_eq!(remarks(&trace, "main.first"), [PANICKED], "{toolchain}");
        assert_eq!(remarks(&trace, "main.second"), [UNWOUND], "{toolchain}");
        assert_eq!(remarks(&trace, "main.third"), [PANICKED], "{toolchain}");

        // A deferred call recovers another panic, and the first goes on.
        let trace = run("inner");
        assert_eq!(remarks(&trace, "main.p3"), [PANICKED], "{toolchain}");
        assert_eq!(remarks(&trace, "main.p2"), [UNWOUND], "{toolchain}");
        assert_eq!(remarks(&trace, "main.plain"), [""], "it returned");
        assert_eq!(remarks(&trace, "main.outerPanic"), [PANICKED]);
        assert_eq!(remarks(&trace, "main.recovering"), ["", ""]);

        // A deferred call recovers and panics with the same value.
        let trace = run("repanic");
        assert_eq!(remarks(&trace, "main.again2"), [PANICKED], "{toolchain}");
        assert_eq!(remarks(&trace, "main.p3"), [PANICKED], "{toolchain}");
        assert_eq!(remarks(&trace, "main.again1"), [UNWOUND], "{toolchain}");

        // A deferred call panics while its caller returns.
        let trace = run("deferred");
        let own = "panicked, unwound, recovered in main.panicInDeferred";
        assert_eq!(remarks(&trace, "main.deferredPanic"), [own], "{toolchain}");
        assert_eq!(remarks(&trace, "main.panicInDeferred"), [""]);

        // What recovers its own panic returns.
        let trace = run("self");
        assert_eq!(remarks(&trace, "main.recoverSelf"), [""], "{toolchain}");
    }
}

const GOEXIT: &str = "goroutine ended by runtime.Goexit";

#[test]
fn goexit_is_told() {
    for toolchain in RELEASES {
        let run = |case| {
            let traced = Traced::start(toolchain, Flavor::Plain, &["-u", "main.*"]);
            traced.run(&[case]).trees()
        };
        let trace = run("goexit");
        for name in ["main.goexit", "main.middle", "main.startGoroutine"] {
            assert_eq!(remarks(&trace, name), [GOEXIT], "{name}, {toolchain}");
        }
        assert_eq!(remarks(&trace, "main.holder2"), [""], "it returned");

        let trace = run("failnow");
        assert_eq!(remarks(&trace, "main.failing"), [GOEXIT], "{toolchain}");

        // While it panics, which is forgotten.
        let trace = run("exitpanic");
        for name in ["main.goexit", "main.goexitInPanic", "main.middle"] {
            assert_eq!(remarks(&trace, name), [GOEXIT], "{name}, {toolchain}");
        }

        // A deferred call panics, and what was deferred before it recovers.
        let trace = run("panicexit");
        let inner = "panicked, unwound, recovered in main.recoverNothing";
        assert_eq!(remarks(&trace, "main.p3"), [inner, PANICKED], "{toolchain}");
        for name in ["main.panicInGoexit", "main.middle"] {
            assert_eq!(remarks(&trace, name), [GOEXIT], "{name}, {toolchain}");
        }

        // The same, but what recovers is the frame that called Goexit: Goexit goes on.
        let trace = run("pastgoexit");
        let nobody = "panicked, unwound, recovered";
        assert_eq!(remarks(&trace, "main.p3"), [nobody], "{toolchain}");
        assert_eq!(remarks(&trace, "main.pastGoexit"), [GOEXIT], "{toolchain}");
    }
}

#[test]
fn a_replay_tells_the_same() {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("it can be written");
    let recording = place.path().join("panics.rec").display().to_string();
    let record = format!("record:{recording}");
    let options = ["-u", "main.*", "-f", "text", "-f", &record];
    let mut traced = Traced::start("go1.27.3", Flavor::Plain, &options);
    for case in ["plain", "nil", "library", "nested", "goexit"] {
        traced.program.tell(case, "done");
    }
    traced.program.tell("hold", "held");
    traced.program.send("exit");
    traced.program.finish();
    let live = traced.tracer.stop();
    let replayed = tracer::run(&["replay", &recording]);
    replayed.assert_code(0);
    assert_eq!(replayed.stdout, live.stdout);
    for words in [
        "main.p3 // panicked, unwound, recovered in main.recovering",
        "unwound by panic in strings.Repeat, recovered in main.recovering",
        "main.goexit // goroutine ended by runtime.Goexit",
        "main.holder // process ended by os.Exit(3) called in main.leave",
    ] {
        assert!(replayed.stdout.contains(words), "{words}");
    }
}

#[test]
fn many_panics_are_told_each() {
    for options in [&["-u", "main.*"][..], &["-u", "main.*", "--promote", "all"]] {
        let outcome = Traced::start("go1.27.3", Flavor::Plain, options).run(&["again", "again"]);
        outcome.summary().assert_nothing_lost();
        let trace = outcome.trees();
        assert_eq!(remarks(&trace, "main.p3"), [PANICKED; 200], "{options:?}");
        assert_eq!(remarks(&trace, "main.p2"), [UNWOUND; 200], "{options:?}");
    }
}

/// Every call that is open when the process ends after `command`.
fn ends_by(toolchain: &'static str, command: &str) -> Vec<String> {
    let traced = Traced::start(toolchain, Flavor::Plain, &["-u", "main.*"]);
    let (mut program, tracer) = (traced.program, traced.tracer);
    program.tell("hold", "held");
    match command {
        "SIGKILL" => program.signal(Signal::KILL),
        _ => program.send(command),
    }
    program.finish();
    let trace = tracer.stop().trees();
    let open = trace
        .calls
        .iter()
        .filter(|call| call.end == End::ProcessExited);
    let mut ends: Vec<String> = open.map(|call| call.remark.clone()).collect();
    assert!(ends.len() >= 2, "{ends:?}");
    ends.sort();
    ends.dedup();
    ends
}

#[test]
fn why_a_process_ended_is_told_on_every_goroutine() {
    for toolchain in RELEASES {
        for (command, end) in [
            ("fatal", "process ended: panic in main.p3"),
            ("fatalnil", "process ended: panic in main.derefNil"),
            ("fatalindex", "process ended: panic in main.index"),
            ("fatalnested", "process ended: panic in main.third"),
            ("exit", "process ended by os.Exit(3) called in main.leave"),
            ("exit0", "process ended by os.Exit(0) called in main.leave"),
            ("log", "process ended by os.Exit(1) called in log.Fatal"),
            ("throw", "process ended: fatal error"),
            ("return", "process exited"),
            ("SIGKILL", "process ended by SIGKILL"),
        ] {
            assert_eq!(ends_by(toolchain, command), [end], "{command}, {toolchain}");
        }
    }
}
