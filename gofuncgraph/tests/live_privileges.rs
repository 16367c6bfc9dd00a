//! Running without the privileges that tracing takes, with those and no more, and giving them up.

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use support::PATIENCE;
use support::oracle::{self, Truth};
use support::private_binary::PrivateBinary;
use support::program::Program;
use support::tracer::{Outcome, Tracer, configured, executable};

/// The user who owns nothing.
const NOBODY: u32 = 65534;

fn run(mut command: Command, arguments: &[&str], binary: &Path) -> Outcome {
    command.args(arguments).arg(binary).arg("main.outer");
    Tracer::spawn(configured(command), true).wait()
}

/// As a user without capabilities.
fn run_as_nobody(arguments: &[&str], binary: &Path) -> Outcome {
    // The build's directory may be closed to other users.
    let tracer = PrivateBinary::for_every_user(executable());
    let mut command = Command::new(tracer.path());
    command.uid(NOBODY).gid(NOBODY);
    run(command, arguments, binary)
}

fn sleeper() -> PrivateBinary {
    let built = PrivateBinary::program("sleeper");
    PrivateBinary::for_every_user(built.path())
}

#[test]
fn another_user_is_told_which_capability_is_missing() {
    let binary = sleeper();
    let mut program = Program::start(binary.path(), &[]);
    let outcome = run_as_nobody(&[], binary.path());
    outcome.assert_code(4);
    outcome.assert_says(&["CAP_BPF", "CAP_PERFMON"]);
    assert_eq!(outcome.stdout, "");
    program.tell("call", "called");
}

#[test]
fn root_without_capabilities_is_told_which_is_missing() {
    let binary = sleeper();
    let mut command = Command::new("setpriv");
    command
        .args(["--bounding-set=-all", "--inh-caps=-all"])
        .arg(executable());
    let outcome = run(command, &[], binary.path());
    outcome.assert_code(4);
    outcome.assert_says(&["CAP_BPF"]);
}

#[test]
fn a_dry_run_takes_no_privileges() {
    let binary = sleeper();
    let outcome = run_as_nobody(&["--dry-run"], binary.path());
    outcome.assert_code(0);
    assert!(outcome.stdout.contains("main.outer"), "{}", outcome.stdout);
    let cost = "\ncost not measured: not permitted: ";
    assert!(outcome.stdout.contains(cost), "{}", outcome.stdout);
}

/// What README.md says to type.
const SETCAP: &str = "setcap cap_bpf,cap_perfmon=ep gofuncgraph";

#[test]
fn the_documented_setcap_line_is_all_that_another_user_needs() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).expect("it can be read");
    assert!(readme.contains(&format!("`sudo {SETCAP}`")));

    let tracer = PrivateBinary::for_every_user(executable());
    let words: Vec<&str> = SETCAP.split(' ').collect();
    let granted = Command::new(words[0])
        .args(&words[1..words.len() - 1])
        .arg(tracer.path())
        .status()
        .expect("setcap runs");
    assert!(granted.success(), "{granted}");

    let binary = PrivateBinary::program("oracle");
    let binary = PrivateBinary::for_every_user(binary.path());
    let mut program = Program::start(binary.path(), &[]);
    let mut command = Command::new(tracer.path());
    command.uid(NOBODY).gid(NOBODY);
    command
        .args(["-v", "--promote", "all", "-u", "main.*"])
        .arg(binary.path());
    let mut tracer = Tracer::spawn(configured(command), true);
    tracer.wait_until_started();
    let mut truth = oracle::round(&mut program);
    // Links are made for that, with no capability left.
    tracer.wait_until_said(PROMOTED);
    assert_gave_up_capabilities(tracer.pid(), 0);
    truth.add(oracle::round(&mut program));
    let outcome = tracer.stop();
    outcome.assert_code(0);
    outcome.summary().assert_nothing_lost();
    assert_all_entries(&outcome, &truth);
}

/// Shows which file a process of another user runs (Linux: include/uapi/linux/capability.h).
const CAP_SYS_PTRACE: u64 = 1 << 19;

/// Said with `-v` when probes were changed.
const PROMOTED: &str = "promoted by now: ";

#[test]
fn root_gives_all_capabilities_up_when_the_probes_are_there() {
    let binary = PrivateBinary::program("oracle");
    let mut program = Program::start(binary.path(), &[]);
    let mut tracer = Tracer::start(binary.path(), &["-v", "-u", "main.*"], &[]);
    assert_gave_up_capabilities(tracer.pid(), CAP_SYS_PTRACE);
    let mut truth = oracle::round(&mut program);
    tracer.wait_until_said(PROMOTED);
    truth.add(oracle::round(&mut program));
    // When it has looked for the last time which processes run the file.
    assert_gave_up_capabilities(tracer.pid(), 0);
    let outcome = tracer.stop();
    outcome.assert_code(0);
    assert!(!outcome.stderr.iter().any(|line| line.contains("given up")));
    assert_all_entries(&outcome, &truth);
}

fn assert_all_entries(outcome: &Outcome, truth: &Truth) {
    let shown = oracle::counts_by_counted_name(&outcome.stream());
    for (name, truth) in &truth.counts {
        let shown = shown.get(name).copied().unwrap_or_default();
        assert_eq!(shown.entries, truth.entries, "{name}");
    }
    assert!(truth.calls() > 10_000);
}

#[test]
fn what_tells_which_file_a_chosen_process_runs_stays() {
    let binary = sleeper();
    let program = Program::start(binary.path(), &[]);
    let mut command = Command::new(executable());
    command.args(["-p", &program.pid().to_string(), "main.quick"]);
    let mut tracer = Tracer::spawn(configured(command), true);
    tracer.wait_until_started();
    assert_gave_up_capabilities(tracer.pid(), CAP_SYS_PTRACE);
    tracer.stop().assert_code(0);
}

/// Of every thread, but for those in `kept`. Those that close the links of measuring may take a moment to end.
fn assert_gave_up_capabilities(pid: u32, kept: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let with_capabilities = threads_with_capabilities(pid, kept);
        if with_capabilities.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{with_capabilities:?}");
        std::thread::yield_now();
    }
}

fn threads_with_capabilities(pid: u32, kept: u64) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the tracer runs");
    let statuses = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok());
    let has_some = |status: &String| {
        let has = |line: &str| {
            let (name, value) = line.split_once(":\t").unwrap_or_default();
            match name {
                "CapEff" | "CapPrm" | "CapInh" | "CapAmb" => {
                    u64::from_str_radix(value, 16).expect("it is a mask") & !kept != 0
                }
                "NoNewPrivs" => value != "1",
                _ => false,
            }
        };
        status.lines().any(has)
    };
    statuses.filter(has_some).collect()
}

#[test]
fn under_sudo_new_files_belong_to_the_caller() {
    let binary = sleeper();
    let owned_before = binary.beside("before.jsonl");
    fs::write(&owned_before, "").expect("it can be written");
    let recording = binary.beside("trace.rec");
    let of_caller = binary.beside("new.jsonl");
    let format = |path: &Path| format!("jsonl:{}", path.display());

    let mut program = Program::start(binary.path(), &[]);
    let mut command = Command::new(executable());
    command
        .env("SUDO_UID", NOBODY.to_string())
        .env("SUDO_GID", NOBODY.to_string())
        .args(["record", "-f", &format(&of_caller), "-f"])
        .arg(format(&owned_before))
        .arg("-o")
        .arg(&recording)
        .arg(binary.path())
        .arg("main.quick");
    let mut tracer = Tracer::spawn(configured(command), true);
    tracer.wait_until_started();
    program.tell("call", "called");
    tracer.stop().assert_code(0);

    let owner = |path: &Path| {
        let metadata = fs::metadata(path).expect("it was written");
        assert_ne!(metadata.len(), 0, "{}", path.display());
        (metadata.uid(), metadata.gid())
    };
    assert_eq!(owner(&recording), (NOBODY, NOBODY));
    assert_eq!(owner(&of_caller), (NOBODY, NOBODY));
    assert_eq!(owner(&owned_before), (0, 0));
}
