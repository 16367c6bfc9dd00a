//! Names are shown, and may be given, as the source has them.

mod support;

use std::process::Command;

use support::go_build::{Flavor, Variant};
use support::private_binary::PrivateBinary;
use support::program::Program;
use support::tracer::{Tracer, executable};

const PACKAGE: &str = "example.com/names/dotted.v2";
const ESCAPED: &str = "example.com/names/dotted%2ev2";

/// Traces a call of `dotted.Outer`, chosen by patterns for this spelling of the package.
fn record(package: &str, recording: &str) -> String {
    let binary = PrivateBinary::program("names");
    let mut program = Program::start(binary.path(), &[]);
    let options = ["--count", "1", "-u", &format!("{package}.*")];
    let file = format!("record:{recording}");
    let options: Vec<&str> = options
        .into_iter()
        .chain(["-f", &file, "-f", "text"])
        .collect();
    let target = format!("{package}.Outer");
    let tracer = Tracer::start(binary.path(), &options, &[&target]);
    program.tell("call", "called");
    let outcome = tracer.wait();
    outcome.assert_code(0);
    outcome.stdout
}

#[test]
fn dots_in_paths_are_dots_in_every_format() {
    let folder = tempfile::tempdir().expect("one can be made");
    let recording = folder.path().join("names.rec");
    let recording = recording.to_str().expect("it is UTF-8");
    for package in [PACKAGE, ESCAPED] {
        let text = record(package, recording);
        for name in ["Outer()", "inner()", "(*Node).Value()"] {
            assert!(
                text.contains(&format!("{PACKAGE}.{name}")),
                "{name}: {text}"
            );
        }
        assert!(
            text.contains(&format!("{PACKAGE}.Outer+")),
            "the caller: {text}"
        );
        assert!(!text.contains("%2e"), "{text}");
    }
    for format in [
        "text",
        "graph",
        "functrace",
        "jsonl",
        "chrome",
        "folded",
        "summary",
    ] {
        for only in [PACKAGE, ESCAPED] {
            let shown = replay(&[
                "replay",
                "-f",
                format,
                "--only",
                &format!("{only}.inner"),
                recording,
            ]);
            assert!(
                shown.contains(&format!("{PACKAGE}.inner")),
                "{format}: {shown}"
            );
            assert!(
                !shown.contains("%2e") && !shown.contains("Value"),
                "{format}: {shown}"
            );
        }
        let shown = replay(&["replay", "-f", format, recording]);
        assert!(
            shown.contains(&format!("{PACKAGE}.(*Node).Value")),
            "{format}: {shown}"
        );
        assert!(!shown.contains("%2e"), "{format}: {shown}");
        if matches!(format, "jsonl" | "chrome") {
            assert!(
                shown.contains(&format!("\"{PACKAGE}\"")),
                "{format}: {shown}"
            );
        }
    }
    let report = replay(&["report", recording]) + &replay(&["report", "--tree", recording]);
    assert!(report.contains(&format!("{PACKAGE}.inner")), "{report}");
    assert!(!report.contains("%2e"), "{report}");
    for package in [PACKAGE, ESCAPED] {
        // A pattern that no function fits would let it end otherwise.
        let rule = format!("calls({package}.inner) > 1 per {package}.Outer");
        let checked = replay(&["check", recording, "--fail-if", &rule]);
        assert!(!checked.contains("no call of"), "{checked}");
    }
}

/// What a command on the recording prints.
fn replay(arguments: &[&str]) -> String {
    let output = Command::new(executable())
        .args(arguments)
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it is UTF-8")
}

/// A release, and what is left of the symbols.
fn shapes_program(toolchain: &'static str, flavor: Flavor) -> PrivateBinary {
    PrivateBinary::program_variant("shapes", Variant { toolchain, flavor })
}

/// The trees of one call of each of `targets`, by [`Trace::shapes`].
fn trees(binary: &PrivateBinary, targets: &[&str]) -> Vec<String> {
    let mut program = Program::start(binary.path(), &[]);
    let shown = "main.*,example.com/shapes/asm.*";
    let options = ["--promote", "off", "-u", shown];
    let tracer = Tracer::start(binary.path(), &options, targets);
    program.tell("call", "called");
    let outcome = tracer.stop();
    outcome.summary().assert_nothing_lost();
    assert!(!outcome.stdout.contains("go.shape"), "{}", outcome.stdout);
    let mut shapes = outcome.trees().shapes();
    shapes.sort();
    shapes
}

/// One call in the source is one call in the tree, whatever the compiler puts in between.
#[test]
fn wrappers_are_not_shown_beside_what_they_call() {
    let inc = "main.callInc(main.(*inner).Inc) ".repeat(6);
    let get = "main.callGet(main.inner.Get) ".repeat(6);
    let values = "main.callFunc(main.(*inner).Inc) main.callFunc(main.(*inner).Inc) \
                  main.callFunc(main.inner.Get) main.(*inner).Inc";
    let assembly = "example.com/shapes/asm.goCallback(example.com/shapes/asm.helper)";
    // Small was inlined into the wrapper, which is all there is of the call.
    let small = "main.callSmall(main.(*byValue).Small)";
    let adapted = format!("main.adapted({inc}{get}{small} {values} {assembly})");
    let closures = "main.closures(main.nested main.nested.func1(main.callFunc(main.nested.func1.1)) \
                    main.callGet(main.inner.Get) main.closures.func1)";
    let targets = ["main.adapted", "main.closures", "main.produce"];
    for toolchain in ["go1.18.10", "go1.21.13", "go1.24.9", "go1.27.3"] {
        let shown = trees(&shapes_program(toolchain, Flavor::Plain), &targets);
        assert_eq!(shown, [&adapted, closures, "main.produce"], "{toolchain}");
    }
}

#[test]
fn a_wrapper_is_shown_if_it_is_named() {
    let binary = shapes_program("go1.27.3", Flavor::Plain);
    let options = ["-u", "main.(*inner).Get,main.inner.Get"];
    let mut program = Program::start(binary.path(), &[]);
    let tracer = Tracer::start(binary.path(), &options, &["main.adapted"]);
    program.tell("call", "called");
    let trees = tracer.stop().trees();
    let wrapped = "main.(*inner).Get(main.inner.Get)";
    let others = "main.inner.Get ".repeat(5);
    let expected = format!("main.adapted({wrapped} {wrapped} {}", others.trim_end()) + ")";
    assert_eq!(trees.shapes(), [expected]);
}

/// The types are shown where the dictionaries tell them, and `[...]` elsewhere.
#[test]
fn generic_functions_are_shown_with_their_types() {
    let with_symbols = "main.callGenerics(\
        main.Map[int,string](main.with[...](main.Map[int,string].func1(main.callGenerics.func1))) \
        main.Map[main.pair,[]uint8](main.with[...](main.Map[main.pair,[]uint8].func1(main.callGenerics.func2))) \
        main.Map[struct { A int; B int },map[string][]*main.pair](main.with[...](\
        main.Map[struct { A int; B int },map[string][]*main.pair].func1(main.callGenerics.func3))) \
        main.one[float64] main.several[...] main.several[...] \
        main.callInc(main.(*stack[int]).Inc) main.callInc(main.(*stack[int]).Inc) \
        main.callGet(main.stack[string].Get) main.callGet(main.stack[string].Get) \
        main.callFunc(main.(*stack[int]).Inc) main.(*stack[int]).Inc main.one[uint8])";
    let without = with_symbols
        .replace("[int,string]", "[...]")
        .replace("[main.pair,[]uint8]", "[...]")
        .replace("[struct { A int; B int },map[string][]*main.pair]", "[...]");
    let without = ["[float64]", "[int]", "[string]", "[uint8]"]
        .iter()
        .fold(without, |shape, types| shape.replace(types, "[...]"));
    for toolchain in ["go1.20.14", "go1.21.13", "go1.24.9", "go1.27.3"] {
        for (flavor, expected) in [
            (Flavor::Plain, with_symbols),
            (Flavor::Pie, with_symbols),
            (Flavor::NoSymbols, &without),
        ] {
            let binary = shapes_program(toolchain, flavor);
            let shown = trees(&binary, &["main.callGenerics"]);
            assert_eq!(shown, [expected], "{toolchain} {flavor:?}");
        }
    }
}

/// By the name that is shown, by the linker's, and by `[...]`.
#[test]
fn generic_functions_are_chosen_by_each_of_their_names() {
    let binary = shapes_program("go1.27.3", Flavor::Plain);
    for (target, shown) in [
        ("main.Map[int,string]", 1),
        ("main.Map[go.shape.int,go.shape.string]", 1),
        ("main.Map[main.pair,*]", 1),
        ("main.Map[...]", 3),
        ("main.several[go.shape.int]", 2),
        ("main.several[...]", 2),
        ("main.(*stack[int]).Inc", 4),
        ("main.(*stack[...]).Inc", 4),
        ("main.one[*]", 2),
    ] {
        let mut program = Program::start(binary.path(), &[]);
        let tracer = Tracer::start(binary.path(), &[], &[target]);
        program.tell("call", "called");
        let trees = tracer.stop().trees();
        assert_eq!(trees.trees.len(), shown, "{target}: {:?}", trees.shapes());
    }
}

#[test]
fn bodies_of_range_loops_and_iterators_have_go_s_own_names() {
    let inner = "main.count main.count.func1(main.callIterators-range1-range1(main.use))";
    let loops = format!(
        "main.count main.count.func1(main.callIterators-range1({inner}) main.callIterators-range1({inner}))"
    );
    let expected = format!("main.callIterators({loops} main.count main.use main.use)");
    // Go 1.23 and 1.24 number the bodies of a function.
    for (toolchain, nested) in [("go1.24.9", "-range2"), ("go1.27.3", "-range1-range1")] {
        let binary = shapes_program(toolchain, Flavor::Plain);
        let shown = trees(&binary, &["main.callIterators"]);
        let expected = expected.replace("-range1-range1", nested);
        assert_eq!(shown, [expected], "{toolchain}");
    }
}

#[test]
fn iterators_that_are_pulled_run_on_a_goroutine_of_their_own() {
    let binary = shapes_program("go1.27.3", Flavor::Plain);
    let mut program = Program::start(binary.path(), &[]);
    let options = ["--promote", "off", "-u", "iter.Pull[int]*,main.count.func1"];
    let targets = ["main.callIterators", "iter.Pull[int].func1"];
    let tracer = Tracer::start(binary.path(), &options, &targets);
    program.tell("call", "called");
    let outcome = tracer.stop();
    outcome.summary().assert_nothing_lost();
    let mut shapes = outcome.trees().shapes();
    shapes.sort();
    // Stopped in the middle, the iterator returns before the call of stop does.
    let pulled = "iter.Pull[int].func1(main.count.func1(iter.Pull[int].func1.1 iter.Pull[int].func1.1) \
                  iter.Pull[int].func1.2)";
    let pulling = "main.callIterators(main.count.func1(main.count.func1 main.count.func1) \
                   iter.Pull[int] iter.Pull[int].func2 iter.Pull[int].func2 iter.Pull[int].func3)";
    assert_eq!(shapes, [pulled, pulling]);
}

/// What `list` says of each kind of function.
#[test]
fn every_kind_of_name_is_listed() {
    let binary = shapes_program("go1.27.3", Flavor::Plain);
    let path = binary.path().to_str().expect("it is UTF-8");
    let list = replay(&["list", path, "main.*", "example.com/shapes/asm.*", "iter.*"]);
    assert!(!list.contains("go.shape"), "{list}");
    for (name, is_traced) in [
        ("main.init", true),
        ("main.init.0", true),
        ("main.init.1", true),
        ("main.init.func1", true),
        ("main.nested.func1.1", true),
        ("main.callIterators-range1-range1", true),
        ("main.callIterators-range1.deferwrap1", false),
        ("main.closures.gowrap2", false),
        ("main.closures.deferwrap1", false),
        ("main.(*inner).Inc-fm", false),
        ("main.(*byValue).Get", false),
        ("main.(*byValue).Small", true),
        ("main.Map[int,string]", true),
        ("main.Map[int,string].func1", true),
        ("main.several[...]", true),
        ("iter.Pull[int].func1", true),
    ] {
        let columns = format!("  {name}  ");
        let lines: Vec<&str> = list.lines().filter(|it| it.contains(&columns)).collect();
        assert_eq!(lines.len(), 1, "{name}: {list}");
        let reason = "// not traced: wrapper of another function";
        assert_eq!(!lines[0].contains(reason), is_traced, "{}", lines[0]);
    }
    // The linker's names tell functions of the same name apart.
    let objects = replay(&["list", "--json", path, "main.several[...]"]);
    let object: serde_json::Value = serde_json::from_str(&objects).expect("it is one object");
    assert_eq!(object["name"], "main.several[...]");
    assert_eq!(object["linker_name"], "main.several[go.shape.int]");
}
