//! What is told of inlined functions is what the compiler says that it inlined.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gofuncgraph::binary::GoBinary;
use gofuncgraph::plan::{Pattern, Placement, PlanError, PlanWarning, Selection, plan};
use support::go_build::{Flavor, Variant, build, go};

const TOOLCHAINS: [&str; 3] = ["go1.21.13", "go1.24.9", "go1.27.3"];
const FLAVORS: [Flavor; 5] = [
    Flavor::Plain,
    Flavor::NoSymbols,
    Flavor::Pie,
    Flavor::PieNoSymbols,
    Flavor::Stripped,
];
/// It leaves no instruction.
const FOLDED: &str = "main.folded";

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/inlining")
}

fn program(toolchain: &'static str, flavor: Flavor) -> Vec<u8> {
    std::fs::read(build(&source(), Variant { toolchain, flavor })).unwrap()
}

/// Number of copies by inlined function and function that has them.
type Copies = BTreeMap<(String, String), u32>;

/// The functions of the program and of its package, as the linker names them.
fn is_own(name: &str) -> bool {
    name.starts_with("main.") || name.starts_with("example.com/inlining/")
}

/// What the compiler says, for functions that have code in the program.
fn copies_by_compiler(toolchain: &str, flavor: Flavor, with_code: &BTreeSet<String>) -> Copies {
    let mut command = go(toolchain);
    command
        .args([
            "build",
            "-o",
            "/dev/null",
            "-gcflags=example.com/inlining/...=-m",
        ])
        .current_dir(source());
    if matches!(flavor, Flavor::Pie | Flavor::PieNoSymbols) {
        command.arg("-buildmode=pie");
    }
    let output = command.arg(".").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut copies = Copies::new();
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        let Some((place, inlined)) = line.split_once(": inlining call to ") else {
            continue;
        };
        let mut place = place.trim_start_matches("./").split(':');
        let (file, line) = (place.next().unwrap(), place.next().unwrap());
        let package = match file {
            "main.go" => "main",
            "helper/helper.go" => "example.com/inlining/helper",
            other => panic!("{other}: another file"),
        };
        let inlined = match inlined.strip_prefix("helper.") {
            Some(name) => format!("example.com/inlining/helper.{name}"),
            None if inlined.starts_with("fmt.") => continue,
            None => format!("{package}.{inlined}"),
        };
        let host = format!("{package}.{}", declared_before(file, line.parse().unwrap()));
        if with_code.contains(&host) && inlined != FOLDED {
            *copies.entry((inlined, host)).or_default() += 1;
        }
    }
    copies
}

/// Name of the function whose declaration is the last up to `line` of `file`.
fn declared_before(file: &str, line: usize) -> String {
    let text = std::fs::read_to_string(source().join(file)).unwrap();
    let declaration = text
        .lines()
        .take(line)
        .filter_map(|line| line.strip_prefix("func "))
        .last()
        .unwrap()
        .to_owned();
    let name = declaration.trim_start_matches("(c *counter) ");
    let name: String = name.chars().take_while(|it| it.is_alphanumeric()).collect();
    if declaration.starts_with('(') {
        format!("(*counter).{name}")
    } else {
        name
    }
}

#[test]
fn copies_are_where_the_compiler_says() {
    for toolchain in TOOLCHAINS {
        for flavor in FLAVORS {
            let context = format!("{toolchain} {flavor:?}");
            let data = program(toolchain, flavor);
            let binary = GoBinary::parse(&data).unwrap();
            let calls = binary.inlined_calls().unwrap();
            assert_eq!(calls.unreadable(), 0, "{context}");
            let with_code: BTreeSet<String> = binary
                .functions()
                .map(|function| function.unwrap().name.to_owned())
                .collect();
            let mut found = Copies::new();
            for function in calls.functions() {
                let is_known = with_code.contains(function.name);
                assert_eq!(function.has_code, is_known, "{context}: {function:?}");
                let copies: u32 = function.hosts.iter().map(|(_, copies)| copies).sum();
                assert_eq!(copies, function.copies, "{context}: {function:?}");
                assert!(function.declaration.is_some(), "{context}: {function:?}");
                for (host, copies) in &function.hosts {
                    let host = binary.function(*host).unwrap().name;
                    if is_own(function.name) {
                        found.insert((function.name.to_owned(), host.to_owned()), *copies);
                    }
                }
            }
            let expected = copies_by_compiler(toolchain, flavor, &with_code);
            assert_eq!(found, expected, "{context}");
            let total: u32 = found.values().sum();
            assert!(total >= 13, "{context}: {found:?}");
            assert!(!with_code.contains("main.square"), "{context}");
            assert!(with_code.contains("main.called"), "{context}");
        }
    }
}

/// Also where it is inlined into another file's function, which begins with it.
#[test]
fn declarations_are_where_the_source_has_them() {
    for toolchain in TOOLCHAINS {
        for flavor in [Flavor::Plain, Flavor::PieNoSymbols] {
            let data = program(toolchain, flavor);
            let binary = GoBinary::parse(&data).unwrap();
            let calls = binary.inlined_calls().unwrap();
            let inlined = calls.functions().iter();
            let inlined = inlined.map(|it| (it.name, it.declaration.unwrap()));
            let functions: Vec<_> = binary.functions().map(Result::unwrap).collect();
            let with_code = functions
                .iter()
                .filter(|it| is_own(it.name))
                .map(|it| (it.name, binary.declaration(it.index).unwrap()));
            let mut count = 0;
            for (name, source) in inlined.filter(|(name, _)| is_own(name)).chain(with_code) {
                let file = match name.strip_prefix("main.") {
                    Some(_) => "main.go",
                    None => "helper/helper.go",
                };
                let context = format!("{toolchain} {flavor:?} {name} {source:?}");
                assert!(source.file.ends_with(file), "{context}");
                let declared = declared_before(file, source.line as usize);
                let line = std::fs::read_to_string(self::source().join(file)).unwrap();
                let line = line
                    .lines()
                    .nth(source.line as usize - 1)
                    .unwrap()
                    .to_owned();
                assert!(line.starts_with("func "), "{context}: {line}");
                let package = name.strip_suffix(&declared).or_else(|| {
                    let generic = format!("{declared}[");
                    name.split_once(&generic).map(|(package, _)| package)
                });
                assert!(
                    matches!(package, Some("main." | "example.com/inlining/helper.")),
                    "{context}: {declared}"
                );
                count += 1;
            }
            assert!(count >= 11, "{count}");
        }
    }
}

/// The totals of a large program, which another reader of the same tables found.
#[test]
fn totals_of_the_go_command() {
    let output = go("go1.27.3").args(["env", "GOROOT"]).output().unwrap();
    let root = String::from_utf8(output.stdout).unwrap();
    let data = std::fs::read(Path::new(root.trim()).join("bin/go")).unwrap();
    let binary = GoBinary::parse(&data).unwrap();
    assert_eq!(binary.go_version(), "go1.27.3");
    let calls = binary.inlined_calls().unwrap();
    assert_eq!(binary.function_count(), 16_170);
    let copies: u32 = calls.functions().iter().map(|it| it.copies).sum();
    assert_eq!(copies, 43_718);
    let with_code = calls.functions().iter().filter(|it| it.has_code).count();
    assert_eq!(with_code, 1358);
    assert_eq!(calls.functions().len() - with_code, 4038);
    assert_eq!(calls.unreadable(), 0);
    assert!(
        calls
            .functions()
            .is_sorted_by(|one, next| one.name < next.name)
    );
    for function in calls.functions() {
        assert_eq!(calls.find(function.name), Some(function));
    }
    assert_eq!(calls.find("main.main"), None);
}

/// Where the version is not known, or a wrong one, the trees are found all the same.
#[test]
fn trees_are_found_with_a_wrong_version() {
    for (toolchain, wrong) in [
        ("go1.21.13", "go1.27.13"),
        ("go1.24.9", "go1.27.9"),
        ("go1.27.3", "go1.26.3"),
        ("go1.27.3", "????????"),
    ] {
        let mut data = program(toolchain, Flavor::Pie);
        let right = data.clone();
        let right = GoBinary::parse(&right)
            .unwrap()
            .inlined_calls()
            .unwrap()
            .functions()
            .len();
        let places: Vec<usize> = (0..data.len() - wrong.len())
            .filter(|place| data[*place..].starts_with(toolchain.as_bytes()))
            .collect();
        assert!(!places.is_empty());
        for place in places {
            data[place..place + wrong.len()].copy_from_slice(wrong.as_bytes());
        }
        let binary = GoBinary::parse(&data).unwrap();
        let calls = binary.inlined_calls().unwrap();
        assert_eq!(calls.functions().len(), right, "{toolchain} as {wrong}");
    }
}

fn selection(targets: &[&str], wildcards: &[&str]) -> Selection {
    let patterns = |texts: &[&str]| texts.iter().copied().map(Pattern::new).collect();
    Selection {
        targets: patterns(targets),
        wildcards: patterns(wildcards),
        ..Selection::default()
    }
}

fn said_of(targets: &[&str], wildcards: &[&str]) -> Result<Vec<String>, String> {
    let data = program("go1.27.3", Flavor::Stripped);
    let binary = GoBinary::parse(&data).unwrap();
    match plan(&binary, &selection(targets, wildcards), Placement::Standard) {
        Ok(plan) => Ok(plan.warnings.iter().map(PlanWarning::to_string).collect()),
        Err(error @ PlanError::Unmatched(_)) => Err(error.to_string()),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_function_that_exists_only_inlined_is_an_error_with_a_remedy() {
    let expected = "'main.square' was inlined everywhere, at least 4 times, in main.kept, \
                    main.main, and has no code of its own to attach to; trace one of these \
                    functions instead, or build with `go build -gcflags=-l example.com/inlining` \
                    (or write //go:noinline above the function)";
    assert_eq!(said_of(&["main.square"], &[]), Err(expected.to_owned()));
    assert_eq!(said_of(&[], &["main.square"]), Err(expected.to_owned()));
    let error = said_of(&["*square"], &[]).unwrap_err();
    assert_eq!(
        error,
        format!("'*square' matches 1 function that only exists inlined:\n  {expected}")
    );
    let error = said_of(&["*/helper.Add"], &[]).unwrap_err();
    let flag = "`go build -gcflags='example.com/inlining/helper=-l' example.com/inlining`";
    assert!(error.contains(flag), "{error}");
    let error = said_of(&["*.Last[...]"], &[]).unwrap_err();
    assert!(
        error.contains("matches 2 functions that only exist inlined"),
        "{error}"
    );
    assert!(
        error.contains("`go build -gcflags=all=-l example.com/inlining`"),
        "{error}"
    );
    // A mistyped name can mean one of these.
    let error = said_of(&["main.sumOfSquers"], &[]).unwrap_err();
    assert!(error.ends_with("\n  main.sumOfSquares"), "{error}");
}

#[test]
fn a_function_that_is_also_inlined_is_warned_of() {
    let called = "some calls of 'main.called' are not seen: inlined at least once, in main.kept; \
                  to see them, build with `go build -gcflags=-l example.com/inlining` (or write \
                  //go:noinline above the function)";
    for (targets, wildcards) in [
        (&["main.called"] as &[&str], &[] as &[&str]),
        (&["*called"], &[]),
        (&["main.main"], &["main.called"]),
    ] {
        let warnings = said_of(targets, wildcards).unwrap();
        assert_eq!(warnings, [called], "{targets:?} {wildcards:?}");
    }
    assert_eq!(said_of(&["main.kept"], &[]).unwrap(), [""; 0]);
}

#[test]
fn patterns_that_match_many_functions_give_one_line() {
    let all =
        "calls of 4 functions that patterns match are not seen where inlined: at least 8 times";
    assert_eq!(said_of(&[], &["main.*"]).unwrap(), [all]);
    assert_eq!(said_of(&["main.*"], &[]).unwrap(), [all]);
    assert_eq!(said_of(&["main.main"], &["main.*"]).unwrap(), [all]);
    // What is named is told of by itself.
    let warnings = said_of(&["main.called"], &["main.*"]).unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("'main.called'"), "{warnings:?}");
    assert!(
        warnings[1].starts_with("calls of 3 functions"),
        "{warnings:?}"
    );
}

#[test]
fn the_remedies_work() {
    for flag in [
        "-gcflags=-l",
        "-gcflags=all=-l",
        "-gcflags=example.com/inlining/helper=-l",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        let status = go("go1.27.3")
            .args(["build", flag, "-o"])
            .arg(&path)
            .arg("example.com/inlining")
            .current_dir(source())
            .status()
            .unwrap();
        assert!(status.success());
        let data = std::fs::read(&path).unwrap();
        let binary = GoBinary::parse(&data).unwrap();
        let calls = binary.inlined_calls().unwrap();
        let gone = match flag {
            "-gcflags=-l" => "main.",
            "-gcflags=all=-l" => "",
            _ => "example.com/inlining/helper.A",
        };
        let left: Vec<_> = calls
            .functions()
            .iter()
            .map(|it| it.name)
            .filter(|name| name.starts_with(gone))
            .collect();
        assert_eq!(left, [""; 0], "{flag}");
        assert!(
            !binary
                .find_functions_named("example.com/inlining/helper.Add")
                .is_empty()
        );
    }
}
