//! `gofuncgraph list`, which takes no privileges.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use gofuncgraph::binary::GoBinary;
use gofuncgraph::plan::{Pattern, Placement, ProbePlan, Selection, SiteKind, plan};
use serde_json::Value;
use support::go_build::go;
use support::private_binary::PrivateBinary;
use support::program::Program;

/// Runs the command as it is, whoever runs the test.
fn list(arguments: &[impl AsRef<std::ffi::OsStr>]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gofuncgraph"))
        .arg("list")
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Standard output, of a command that does what it is told.
fn listed(arguments: &[impl AsRef<std::ffi::OsStr>]) -> String {
    let output = list(arguments);
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout).to_owned()
}

#[track_caller]
fn assert_refused(output: &Output, code: i32, says: &[&str]) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert_eq!(text(&output.stdout), "");
    for words in says {
        assert!(text(&output.stderr).contains(words), "{words}: {output:?}");
    }
}

fn go_command() -> PathBuf {
    let output = go("go1.27.3").args(["env", "GOROOT"]).output().unwrap();
    Path::new(text(&output.stdout).trim()).join("bin/go")
}

fn objects(lines: &str) -> Vec<Value> {
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn columns() {
    let program = PrivateBinary::program("inlining");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/inlining");
    let path = program.path().to_str().unwrap();
    let output = list(&[path, "main.*", "*.(*counter).add"]);
    assert!(output.status.success(), "{output:?}");
    let shown = text(&output.stdout).replace(&format!("{}/", folder.display()), "");
    let expected = "  bytes  entry           exits  function
      -  -                   -  main.(*counter).add  main.go:14  // not traced: inlined everywhere, at least once
     22  single-stepped      1  main.called  main.go:22  // not seen where it is inlined, at least once
      9  emulated            1  main.frameless  main.go:35
     48  single-stepped      1  main.kept  main.go:30
    517  emulated            1  main.main  main.go:40
      -  -                   -  main.square  main.go:16  // not traced: inlined everywhere, at least 4 times
      -  -                   -  main.sumOfSquares  main.go:19  // not traced: inlined everywhere, at least 2 times
";
    assert_eq!(shown, expected);
    let totals = "7 functions: 4 can be traced (2 emulated, 2 single-stepped; 1 of them inlined as \
                  well), 0 cannot, 3 exist only inlined\n";
    assert_eq!(text(&output.stderr), totals);
}

/// Every function that `go tool nm` knows, and its size; every site of the plan, and every
/// function that has none with the plan's reason.
#[test]
fn every_function_of_the_go_command() {
    let path = go_command();
    let arguments: [OsString; 2] = ["--json".into(), path.clone().into()];
    let objects = objects(&listed(&arguments));
    assert!(objects.is_sorted_by_key(|object| object["name"].as_str().unwrap().to_owned()));

    let data = fs::read(&path).unwrap();
    let binary = GoBinary::parse(&data).unwrap();
    let everything = Selection {
        wildcards: ["*", "runtime*", "internal/runtime/*", "internal/abi*"]
            .map(Pattern::new)
            .into(),
        ..Selection::default()
    };
    let plan = plan(&binary, &everything, Placement::Standard).unwrap();
    let sites = sites_of(&plan);
    let mut with_code = 0;
    let mut inlined = BTreeMap::new();
    for object in &objects {
        let copies = object["inlined_copies"].as_u64().unwrap();
        let into = object["inlined_into"].as_array().unwrap();
        let sum: u64 = into
            .iter()
            .map(|host| host["copies"].as_u64().unwrap())
            .sum();
        assert_eq!(copies, sum, "{object}");
        if copies > 0 {
            let linker_name = object["linker_name"].as_str().unwrap();
            inlined.insert(linker_name, copies);
        }
        let Some(address) = object["address"].as_u64() else {
            assert_eq!(object["reason"], "inlined_everywhere", "{object}");
            assert!(copies > 0 && object["size_bytes"].is_null(), "{object}");
            continue;
        };
        with_code += 1;
        let listed: Vec<(u64, u64, bool, bool)> = object["sites"]
            .as_array()
            .unwrap()
            .iter()
            .map(|site| {
                (
                    address + site["offset"].as_u64().unwrap(),
                    site["file_offset"].as_u64().unwrap(),
                    site["kind"] == "entry",
                    site["cost"] == "emulated",
                )
            })
            .collect();
        assert_eq!(object["traceable"], !listed.is_empty(), "{object}");
        assert_eq!(object["reason"].is_null(), !listed.is_empty(), "{object}");
        let planned = sites.get(&address).cloned().unwrap_or_default();
        assert_eq!(listed, planned, "{object}");
    }
    assert_eq!(with_code, 16_170);
    assert_eq!(objects.len(), 16_170 + 4038);
    assert_eq!(inlined.values().sum::<u64>(), 43_718);
    check_sizes(&path, &objects);
}

/// Address, file offset, whether it is the entry and whether it is emulated, by function.
fn sites_of(plan: &ProbePlan) -> BTreeMap<u64, Vec<(u64, u64, bool, bool)>> {
    let mut sites: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    for site in &plan.sites {
        let (SiteKind::Entry(id) | SiteKind::Return(id)) = site.kind else {
            continue;
        };
        let start = plan.functions[id.0 as usize].start.0;
        sites.entry(start).or_default().push((
            site.address.0,
            site.file_offset.0,
            matches!(site.kind, SiteKind::Entry(_)),
            site.cost.is_emulated(),
        ));
    }
    for sites in sites.values_mut() {
        // The entry comes first, even if it is behind an exit.
        sites.sort_by_key(|(address, _, is_entry, _)| (!is_entry, *address));
    }
    sites
}

fn check_sizes(path: &Path, objects: &[Value]) {
    let output = go("go1.27.3")
        .args(["tool", "nm", "-size"])
        .arg(path)
        .output()
        .unwrap();
    let mut sizes: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for line in text(&output.stdout).lines() {
        let mut fields = line.split_ascii_whitespace();
        let [Some(address), Some(size)] = [(); 2].map(|()| fields.next()) else {
            continue;
        };
        if let (Ok(address), Ok(size)) = (u64::from_str_radix(address, 16), size.parse()) {
            sizes.entry(address).or_default().insert(size);
        }
    }
    let mut wrong = Vec::new();
    // Markers around cryptographic code, of which nothing but a name is known.
    let is_marker = |object: &Value| object["name"].as_str().unwrap().starts_with("go:textfips");
    for object in objects {
        if object["address"].is_null() || is_marker(object) {
            continue;
        }
        let known = &sizes[&object["address"].as_u64().unwrap()];
        if !known.contains(&object["size_bytes"].as_u64().unwrap()) {
            wrong.push(format!("{known:?} {object}"));
        }
    }
    assert!(wrong.is_empty(), "{} {}", wrong.len(), wrong.join("\n"));
}

/// The documented names are those that are written.
#[test]
fn every_field_is_documented() {
    let program = PrivateBinary::program("inlining");
    let path = program.path().to_str().unwrap();
    let objects = objects(&listed(&["--json", path, "main.*", "runtime.*"]));
    let keys = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/LIST.md");
    let document = fs::read_to_string(document).unwrap();
    let documented = |heading: &str| -> BTreeSet<String> {
        let (_, section) = document.split_once(&format!("## {heading}\n")).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.map(|row| row.split('`').next().unwrap().to_owned())
            .collect()
    };
    let all = |field: &str| -> BTreeSet<String> {
        let inner = objects
            .iter()
            .flat_map(|object| object[field].as_array().unwrap());
        inner.flat_map(keys).collect()
    };
    for object in &objects {
        assert_eq!(keys(object), documented("JSON"), "{object}");
    }
    assert_eq!(all("sites"), documented("`sites`"));
    assert_eq!(all("inlined_into"), documented("`inlined_into`"));
    let reasons = documented("`reason`");
    let given: BTreeSet<String> = objects
        .iter()
        .filter_map(|object| object["reason"].as_str())
        .map(str::to_owned)
        .collect();
    assert!(given.len() >= 4, "{given:?}");
    assert!(given.is_subset(&reasons), "{given:?} {reasons:?}");
}

#[test]
fn orders() {
    let program = PrivateBinary::program("inlining");
    let path = program.path().to_str().unwrap();
    let field = |sort: &str, field: &str| -> Vec<Option<u64>> {
        let objects = objects(&listed(&["--json", "--sort", sort, path]));
        objects
            .iter()
            .map(|object| object[field].as_u64())
            .collect()
    };
    let addresses = field("address", "address");
    let (with_code, without): (Vec<_>, Vec<_>) =
        addresses.iter().partition(|address| address.is_some());
    assert!(with_code.is_sorted() && with_code.len() > 1000 && without.len() > 500);
    assert!(
        addresses.ends_with(&without),
        "those without code come last"
    );
    let sizes = field("size", "size_bytes");
    assert!(
        sizes.is_sorted_by_key(|size| std::cmp::Reverse(size.unwrap_or(0))),
        "the largest first"
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    for json in [&[] as &[&str], &["--json"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gofuncgraph"))
            .arg("list")
            .args(json)
            .arg(go_command())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Dropped when something has come: far more is to come than a pipe holds.
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 100]).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(text(&output.stderr), "", "nothing is said");
    }
}

#[test]
fn what_cannot_be_listed() {
    let program = PrivateBinary::program("inlining");
    let path = program.path().to_str().unwrap();
    assert_refused(&list(&[] as &[&str]), 2, &["executable file", "--pid"]);
    assert_refused(&list(&["/nonexistent/server"]), 2, &["/nonexistent/server"]);
    assert_refused(&list(&["/bin/sh"]), 5, &["not built by Go"]);
    assert_refused(
        &list(&[path, "main.squrae"]),
        3,
        &["main.squrae", "  main.square"],
    );
    assert_refused(&list(&[path, "main.*", "nowhere.*"]), 3, &["'nowhere.*'"]);
    assert_refused(&list(&[path, ""]), 2, &["empty pattern"]);
    assert_refused(&list(&["--pid", "0"]), 2, &["0"]);
}

/// As in `-u`.
#[test]
fn patterns() {
    let program = PrivateBinary::program("inlining");
    let path = program.path().to_str().unwrap();
    let names = |pattern: &str| -> Vec<String> {
        let objects = objects(&listed(&["--json", path, pattern]));
        let names = objects
            .iter()
            .map(|object| object["name"].as_str().unwrap().to_owned());
        names.collect()
    };
    assert_eq!(names("main.kept,main.called"), ["main.called", "main.kept"]);
    assert_eq!(names("main.(*counter).add"), ["main.(*counter).add"]);
    assert_eq!(names("*/helper.Last[...]").len(), 2);
    // A name means itself, though its * would match more.
    let go = go_command();
    let go = go.to_str().unwrap();
    let lock = listed(&["--json", go, "sync.(*Mutex).Lock"]);
    assert_eq!(objects(&lock).len(), 1, "{lock}");
    let both = listed(&["--json", go, "sync.(*Mutex).Loc?"]);
    assert!(both.contains("sync.(*RWMutex).Lock"), "{both}");
}

#[test]
fn processes() {
    let program = PrivateBinary::program("sleeper");
    let path = program.path().to_str().unwrap();
    let mut running = Program::start(program.path(), &[]);
    let pid = running.pid().to_string();
    let expected = listed(&[path, "main.*"]);
    assert!(expected.contains("main.outer"), "{expected}");
    assert_eq!(listed(&["--pid", &pid, "main.*"]), expected);
    assert_eq!(listed(&["-p", &pid]), listed(&[path]));

    // Another file in its place, then none: the process runs what it has run.
    fs::rename(program.path(), program.beside("old")).unwrap();
    fs::write(program.path(), "another file").unwrap();
    assert_eq!(listed(&["--pid", &pid, "main.*"]), expected);
    fs::remove_file(program.path()).unwrap();
    fs::remove_file(program.beside("old")).unwrap();
    assert_eq!(listed(&["--pid", &pid, "main.*"]), expected);
    running.tell("call", "called");
}

/// The path of the executable is no path outside.
#[test]
fn a_process_in_other_namespaces() {
    let program = PrivateBinary::program("sleeper");
    let root = tempfile::tempdir().unwrap();
    let script =
        "mount -t tmpfs none \"$1\" && cp \"$2\" \"$1/inside\" && exec chroot \"$1\" /inside";
    let mut child = as_root("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(root.path())
        .arg(program.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    let pid = line.trim().strip_prefix("ready ").unwrap().to_owned();
    assert!(!root.path().join("inside").exists());
    let found = as_root(env!("CARGO_BIN_EXE_gofuncgraph"))
        .args(["list", "--pid", &pid, "main.*"])
        .output()
        .unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(found.status.success(), "{found:?}");
    let path = program.path().to_str().unwrap();
    assert_eq!(text(&found.stdout), listed(&[path, "main.*"]));
}

/// What root runs: through sudo if `cargo xtask test` asks for that because it is not run by root.
fn as_root(program: &str) -> Command {
    if std::env::var_os("GOFUNCGRAPH_SUDO").is_none() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", "--", program]);
    command
}

#[test]
fn processes_that_cannot_be_listed() {
    assert_refused(&list(&["--pid", "999999999"]), 2, &["no such process"]);
    assert_refused(
        &list(&["--pid", &std::process::id().to_string()]),
        5,
        &["not built by Go"],
    );
    // Its parent, this process, has not waited for it.
    let mut ended = Command::new("true").spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&ended);
    let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
    rustix::process::waitid(rustix::process::WaitId::Pid(pid), options).unwrap();
    assert_refused(
        &list(&["--pid", &ended.id().to_string()]),
        2,
        &["has ended"],
    );
    ended.wait().unwrap();

    let program = PrivateBinary::program("sleeper");
    let running = Program::start(program.path(), &[]);
    let tool = PrivateBinary::for_every_user(Path::new(env!("CARGO_BIN_EXE_gofuncgraph")));
    let output = as_root("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(tool.path())
        .args(["list", "--pid", &running.pid().to_string()])
        .output()
        .unwrap();
    assert_refused(&output, 4, &["not yours", "root"]);
}
