//! The mistakes of the first ten minutes, each with the message that ends it. Nothing here gets as
//! far as asking for privileges, but for the tests that are about them.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::go_build::go;
use support::private_binary::PrivateBinary;
use support::tracer::configured;

const USAGE: i32 = 2;
const NOTHING_MATCHED: i32 = 3;
const NOT_PERMITTED: i32 = 4;
const UNSUPPORTED: i32 = 5;

/// A folder in which a newcomer types commands.
struct Place {
    binary: PrivateBinary,
    folder: PathBuf,
}

impl Place {
    fn new() -> Self {
        let binary = PrivateBinary::program("sleeper");
        let folder = binary.beside("here");
        fs::create_dir(&folder).expect("our directory can be written");
        let place = Self { binary, folder };
        let copied = fs::copy(place.binary.path(), place.path("server"));
        copied.expect("our directory can be written");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        let folder = path.parent().expect("it has one");
        fs::create_dir_all(folder).expect("our directory can be written");
        fs::write(&path, text).expect("our directory can be written");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&path, mode).expect("it is ours");
    }

    /// What is said of `words`, as standard error has it; `gofuncgraph: ` in front is left out.
    #[track_caller]
    fn refused(&self, words: &[&str], code: i32) -> String {
        let output = configured(Command::new(env!("CARGO_BIN_EXE_gofuncgraph")))
            .args(words)
            .current_dir(&self.folder)
            .output()
            .expect("it was built");
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{words:?}: {output:?}");
        let said = String::from_utf8(output.stderr).expect("it is text");
        let said = said.trim_end();
        said.strip_prefix("gofuncgraph: ")
            .unwrap_or(said)
            .to_owned()
    }

    /// Demands that what is said of `words` ends with `advice`, on a line.
    #[track_caller]
    fn advised(&self, words: &[&str], code: i32, advice: &str) {
        let said = self.refused(words, code);
        assert!(said.ends_with(advice), "{words:?} is answered with {said}");
        assert!(
            said.lines().count() == 1,
            "{words:?} is answered with {said}"
        );
    }
}

#[test]
fn something_else_stands_where_the_program_should() {
    let place = Place::new();
    for (words, advice) in [
        (
            &["./servr", "main.held"] as &[&str],
            "; perhaps gofuncgraph ./server main.held",
        ),
        (&["Server"], "; perhaps gofuncgraph server"),
        (
            &["*held", "./server"],
            "; the program's file stands before the targets: gofuncgraph ./server '*held'",
        ),
        (
            &["-u", "fmt.*", "main.held", "main.outer", "./server"],
            "the targets: gofuncgraph ./server main.held main.outer",
        ),
        (
            &["main.*"],
            "; a pattern stands behind the program's file: gofuncgraph ./PROGRAM 'main.*'",
        ),
        (
            &["1", "main.held"],
            "; to trace the process 1: gofuncgraph -p 1 main.held",
        ),
        (
            &["4194999", "main.held"],
            "; a process is given as -p PID, but there is no process 4194999",
        ),
        (
            &["sh", "main.held"],
            "; programs are given by path: gofuncgraph /usr/bin/sh main.held",
        ),
        (
            &["go", "run", "main.go"],
            "or trace it while it runs: -p PID",
        ),
        (
            &["uprobe:./server:main.held"],
            "; file and function are words of their own: gofuncgraph ./server main.held",
        ),
        (&["live", "./server"], "or gofuncgraph -p PID '*handle'"),
        (
            &["main.held"],
            "; a function stands behind the program's file: gofuncgraph ./PROGRAM main.held",
        ),
        (&["top"], "gofuncgraph report gofuncgraph.rec"),
        (
            &["./cmd/server"],
            "give the path of the program that this makes",
        ),
        (&["bin/server"], "; there is no folder bin"),
        (&["list", "./servr"], "; perhaps gofuncgraph ./server"),
    ] {
        place.advised(words, USAGE, advice);
    }
    let pid = std::process::id();
    let name = fs::read_to_string("/proc/self/comm").expect("it is ours");
    let said = place.refused(&[name.trim_end(), "main.f"], USAGE);
    let command = format!("gofuncgraph -p {pid} main.f");
    let several = said.contains("processes have that name") && said.contains("gofuncgraph -p ");
    assert!(said.ends_with(&command) || several, "{said}");
}

#[test]
fn files_of_other_kinds() {
    let place = Place::new();
    place.write("start.sh", "#!/bin/sh\ncd /srv\nexec ./server --port 80\n");
    place.write("app.py", "#!/usr/bin/env python3\n");
    place.write("main.go", "// A program.\npackage main\n\nfunc main() {}\n");
    place.write("cmd/tool/main.go", "package main\n");
    place.write("out/server.txt", "");
    place.write("out/tool", b"\x7fELF");
    place.write("empty", "");
    place.write(
        "packed.rec",
        "\u{93}gfgrec\n"
            .chars()
            .map(|it| it as u8)
            .collect::<Vec<_>>(),
    );
    for (word, advice) in [
        (
            "./start.sh",
            "a script for sh; it starts ./server: give the path of that program",
        ),
        ("app.py", "or trace the Go program that it starts: -p PID"),
        (
            "main.go",
            "Go source; build it (go build -o NAME) and give the path of the program that this makes",
        ),
        (
            "cmd/tool",
            "; it holds Go source: build it (go build -o NAME ./cmd/tool) and give the path of the \
             program that this makes",
        ),
        ("out", "; perhaps out/tool is meant"),
        (
            "empty",
            "give the path of an x86-64 ELF executable built by Go",
        ),
        (
            "packed.rec",
            "a recording; show it with `gofuncgraph replay`",
        ),
        (
            "/bin/true",
            "; give the path of the Go program (or of the Go library, if another program loads one)",
        ),
    ] {
        place.advised(&[word, "main.f"], UNSUPPORTED, advice);
    }
    let said = place.refused(&["app.py"], UNSUPPORTED);
    assert!(said.contains("a script for python3"), "{said}");
}

#[test]
fn what_go_makes_for_others() {
    let place = Place::new();
    place.write("go.mod", "module example.com/other\n\ngo 1.21\n");
    place.write("main.go", "package main\n\nfunc main() {}\n");
    place.write("lib/lib.go", "package lib\n\nfunc F() {}\n");
    let build = |system: &str, machine: &str, output: &str, package: &str| {
        let built = go("go1.27.3")
            .env("GOOS", system)
            .env("GOARCH", machine)
            .args(["build", "-o", output, package])
            .current_dir(&place.folder)
            .output()
            .expect("go is in PATH");
        assert!(built.status.success(), "{built:?}");
    };
    for (system, machine, advice) in [
        ("linux", "arm64", "(build with GOARCH=amd64)"),
        ("windows", "amd64", "build with GOOS=linux GOARCH=amd64"),
    ] {
        build(system, machine, "other", ".");
        place.advised(&["./other", "main.f"], UNSUPPORTED, advice);
    }
    build("linux", "amd64", "lib.a", "./lib");
    let said = place.refused(&["lib.a", "lib.F"], UNSUPPORTED);
    assert!(
        said.contains("an archive of a Go package; `go build` makes"),
        "{said}"
    );
}

#[test]
fn patterns_of_other_tools() {
    let place = Place::new();
    for (pattern, advice) in [
        (r"main\.he.*", "not regular expressions; write 'main.he*'"),
        ("^main", "not regular expressions; write 'main*'"),
        ("/held/", "not regular expressions; write '*held*'"),
        ("main.(held|outer)", "; write 'main.held' and 'main.outer'"),
        ("uprobe:./server:main.held", "; write 'main.held'"),
        ("./server:main.held", "; write 'main.held'"),
        ("main.held()", "; write 'main.held'"),
        ("fmt/...", "; write 'fmt.*'"),
        ("main", "; write 'main.*'"),
        (
            "example.com/gofuncgraph/sleeper.held",
            "; write 'main.held'",
        ),
    ] {
        place.advised(&["--dry-run", "./server", pattern], NOTHING_MATCHED, advice);
        place.advised(&["list", "./server", pattern], NOTHING_MATCHED, advice);
    }
    let absent = "begins with 'database/sql.'; `gofuncgraph list` names all";
    place.advised(&["./server", "database/sql.*"], NOTHING_MATCHED, absent);
    // Words of `list` may be lists.
    let list = ["./server", "main.held,main.outer"];
    place.advised(
        &list,
        NOTHING_MATCHED,
        "; write 'main.held' and 'main.outer'",
    );
    let said = place.refused(&["./server", "main.go:15"], NOTHING_MATCHED);
    assert!(
        said.contains("is the name of a function, not a place"),
        "{said}"
    );
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/sleeper/main.go");
    let source = fs::read_to_string(source).expect("it is there");
    let line = source
        .lines()
        .position(|line| line.starts_with("func held("));
    let line = line.expect("it is declared") + 1;
    let place_in_held = format!("main.go:{}", line + 1);
    let advice = format!("is 'main.held', which begins in line {line}");
    place.advised(&["./server", &place_in_held], NOTHING_MATCHED, &advice);
    for pattern in ["Held", "HELD", "main::held", "mian.held", "main.hled"] {
        let said = place.refused(&["./server", pattern], NOTHING_MATCHED);
        assert!(said.contains("\n  main.held"), "{pattern}: {said}");
    }
}

#[test]
fn what_the_shell_makes_of_patterns_without_quotes() {
    let place = Place::new();
    place.write("main.go", "package main\n");
    place.write("main_test.go", "package main\n");
    let said = place.refused(&["./server", "main.go", "main_test.go"], NOTHING_MATCHED);
    let last = said.lines().last().expect("something is said");
    assert!(
        last.starts_with("there are files main.go, main_test.go here: quote patterns"),
        "{said}"
    );
}

#[test]
fn what_the_shell_makes_of_an_option_without_quotes() {
    let place = Place::new();
    for name in ["main.go", "main_test.go"] {
        place.write(name, "package main\n");
    }
    let words = ["-u", "main.go", "main_test.go", "./server", "main.held"];
    let advice = "patterns need quotes, as in -u '*handle', else the shell puts names of files in \
                  their place";
    place.advised(&words, UNSUPPORTED, advice);
}

#[test]
fn options_stand_anywhere() {
    let place = Place::new();
    let plan = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_gofuncgraph"))
            .args(words)
            .current_dir(&place.folder)
            .output()
            .expect("it was built");
        assert!(output.status.success(), "{words:?}: {output:?}");
        let text = String::from_utf8(output.stdout).expect("it is text");
        let functions = text.lines().filter(|line| line.starts_with("function "));
        functions.map(str::to_owned).collect::<Vec<_>>()
    };
    let expected = plan(&["--dry-run", "-u", "main.quick", "./server", "main.held"]);
    assert_eq!(expected.len(), 2, "{expected:?}");
    for words in [
        &["./server", "main.held", "-u", "main.quick", "--dry-run"] as &[&str],
        &["./server", "-u", "main.quick", "main.held", "--dry-run"],
        &["-vv", "./server", "--dry-run", "main.held", "-umain.quick"],
    ] {
        assert_eq!(plan(words), expected, "{words:?}");
    }
}

#[test]
fn options_of_other_tools() {
    let place = Place::new();
    for (words, says) in [
        (
            &["--call-graph", "./server"] as &[&str],
            "a call tree is what is always printed",
        ),
        (
            &["-e", "trace=open", "./server"],
            "functions are words behind the program",
        ),
        (&["-ff", "./server"], "error: there is no -ff: "),
        (
            &["./server", "main.f(n=%ax:u64)"],
            "give the function's name alone, 'main.f'",
        ),
        (
            &["-f", "./server"],
            "'./server' is no format (-f is --format)",
        ),
    ] {
        let said = place.refused(words, USAGE);
        assert!(said.contains(says), "{words:?} is answered with {said}");
        assert!(
            said.lines().count() <= 3,
            "{words:?} is answered with {said}"
        );
    }
}

/// `setpriv` with `options`, then the tracer in a place that everybody can enter.
fn without_privileges(options: &[&str]) -> String {
    let tracer = PrivateBinary::for_every_user(Path::new(env!("CARGO_BIN_EXE_gofuncgraph")));
    let sleeper = PrivateBinary::program("sleeper");
    let sleeper = PrivateBinary::for_every_user(sleeper.path());
    let mut command = Command::new("setpriv");
    command.args(options).arg(tracer.path());
    let output = configured(command)
        .arg(sleeper.path())
        .arg("main.held")
        .output()
        .expect("setpriv is part of util-linux");
    assert_eq!(output.status.code(), Some(NOT_PERMITTED), "{output:?}");
    let said = String::from_utf8(output.stderr).expect("it is text");
    said.replace(&tracer.path().display().to_string(), "TRACER")
}

#[test]
fn who_is_not_root_is_told_what_to_type() {
    let said = without_privileges(&["--reuid=65534", "--regid=65534", "--clear-groups"]);
    assert_eq!(
        said,
        "gofuncgraph: not permitted: tracing needs CAP_BPF and CAP_PERFMON; run as root (sudo \
         gofuncgraph …), or grant them once: sudo setcap cap_bpf,cap_perfmon=ep TRACER\n"
    );
}

#[test]
fn root_of_a_container_is_told_what_to_type() {
    let said = without_privileges(&["--bounding-set=-all", "--inh-caps=-all"]);
    assert!(
        said.contains("needs CAP_BPF and CAP_PERFMON; root does not"),
        "{said}"
    );
    assert!(said.contains("--cap-add BPF --cap-add PERFMON"), "{said}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let place = Place::new();
    for command in [
        "gofuncgraph --dry-run -u 'runtime.*' ./server | head -n 1",
        "gofuncgraph list ./server | head -n 1",
        "gofuncgraph --help | head -n 1",
        "gofuncgraph man | head -n 1",
        "gofuncgraph completions bash | head -n 1",
        "gofuncgraph --dry-run ./server main.held 2>&-",
        "gofuncgraph man 2>&-",
    ] {
        let tracer = Path::new(env!("CARGO_BIN_EXE_gofuncgraph"));
        let folder = tracer.parent().expect("it has one").display();
        let output = Command::new("bash")
            .args([
                "-c",
                &format!("set -o pipefail\nPATH={folder}:$PATH\n{command}"),
            ])
            .current_dir(&place.folder)
            .output()
            .expect("bash is there");
        assert!(output.status.success(), "{command}: {output:?}");
        assert!(!output.stdout.is_empty(), "{command}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panic"), "{command}: {said}");
    }
    // Nobody hears why, but the status tells.
    let tracer = env!("CARGO_BIN_EXE_gofuncgraph");
    let output = Command::new("bash")
        .args(["-c", &format!("{tracer} ./nothing 2>&-")])
        .current_dir(&place.folder)
        .output()
        .expect("bash is there");
    assert_eq!(output.status.code(), Some(USAGE), "{output:?}");
}
