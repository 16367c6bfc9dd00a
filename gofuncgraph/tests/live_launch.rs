//! Launching the program that is traced.

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use support::memory::changed_code_bytes;
use support::private_binary::PrivateBinary;
use support::program::Program;
use support::text::{Layout, Trace};
use support::tracer::{Outcome, Tracer, command, configured, executable, run};

/// Calls of counted before main does what it was told.
const AT_ONCE: u64 = 3;

fn launched() -> PrivateBinary {
    PrivateBinary::program("launched")
}

/// A tracer with `options` that launches `binary` with `arguments` and traces counted.
fn tracing(options: &[&str], binary: &Path, arguments: &[&str]) -> Command {
    let mut command = command();
    if let Some(how) = std::env::var_os("GOFUNCGRAPH_RET") {
        command.arg("--ret").arg(how);
    }
    command.args(options).args(["main.counted", "--"]);
    command.arg(binary).args(arguments);
    command
}

fn launch(options: &[&str], binary: &Path, arguments: &[&str]) -> Tracer {
    Tracer::spawn(tracing(options, binary, arguments), true)
}

fn is_running(pid: Pid) -> bool {
    test_kill_process(pid).is_ok()
}

/// What the program "signals" says of itself.
fn pid_when_ready(tracer: &mut Tracer) -> Pid {
    let pid = tracer.wait_for_printed("ready ");
    Pid::from_raw(pid.parse().expect("a number")).expect("not 0")
}

/// The lines of standard error that are no notices.
fn trace_on_stderr(outcome: &Outcome) -> Trace {
    let lines = outcome.stderr.iter();
    let lines = lines.filter(|line| line.is_empty() || line.as_bytes()[0].is_ascii_digit());
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    Trace::parse(&text, Layout::Trees, 6, None)
}

#[test]
fn every_call_from_the_first_one_on_is_seen() {
    let binary = launched();
    for promote in ["auto", "off"] {
        let options = ["--promote", promote];
        let outcome = launch(&options, binary.path(), &["count", "500"]).wait();
        let summary = outcome.summary();
        summary.assert_nothing_lost();
        assert_eq!(
            (summary.trees, summary.calls),
            (AT_ONCE + 500, AT_ONCE + 500)
        );
        assert_eq!(outcome.stdout, "counted 500\n", "it is the program's own");
        let trace = trace_on_stderr(&outcome);
        assert_eq!(trace.counts()["main.counted"].entries, AT_ONCE + 500);
        let callers: Vec<&str> = trace.calls[..3]
            .iter()
            .map(|call| {
                call.call_site
                    .as_ref()
                    .expect("it is known")
                    .function
                    .as_str()
            })
            .collect();
        assert_eq!(callers, ["main.init", "main.init.0", "main.main"]);
        outcome.assert_says(&["has ended"]);
    }
}

#[test]
fn its_streams_are_its_own() {
    let binary = launched();
    let trace = binary.beside("trace");
    let options = ["-o", trace.to_str().unwrap()];
    let mut child = configured(tracing(&options, binary.path(), &["copy"]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"a line\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, b"a line\n");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("\na line\n"), "{stderr}");
    assert!(!stderr.contains("main.counted()"), "{stderr}");
    let trace = fs::read_to_string(trace).unwrap();
    assert_eq!(trace.matches("main.counted() {").count() as u64, AT_ONCE);
}

#[test]
fn a_format_with_a_file_leaves_standard_error_alone() {
    let binary = launched();
    let chrome = binary.beside("chrome.json");
    let format = format!("chrome:{}", chrome.display());
    let outcome = launch(&["-f", &format], binary.path(), &["count", "2"]).wait();
    assert_eq!(outcome.summary().calls, AT_ONCE + 2);
    assert_eq!(outcome.stdout, "counted 2\n");
    assert!(trace_on_stderr(&outcome).calls.is_empty());
    let chrome = fs::read_to_string(chrome).unwrap();
    let begins = chrome.matches(r#""ph":"B""#).count() as u64;
    assert_eq!(begins, AT_ONCE + 2, "{chrome}");
}

#[test]
fn its_status_is_passed_on_if_that_is_wanted() {
    let binary = launched();
    for (arguments, status) in [
        (["status", "0"], 0),
        (["status", "5"], 5),
        (["status", "255"], 255),
        (["kill", "9"], 128 + 9),
        (["kill", "15"], 128 + 15),
    ] {
        let outcome = launch(&["--exit-status"], binary.path(), &arguments).wait();
        outcome.assert_code(status);
        outcome.assert_says(&["summary: trees 3, "]);
        let outcome = launch(&[], binary.path(), &arguments).wait();
        outcome.assert_code(0);
    }
}

#[test]
fn signals_are_passed_on() {
    let binary = launched();
    let mut tracer = launch(&["--exit-status"], binary.path(), &["signals"]);
    pid_when_ready(&mut tracer);
    for (signal, name) in [
        (Signal::USR1, "user defined signal 1"),
        (Signal::USR2, "user defined signal 2"),
        (Signal::WINCH, "window changed"),
        (Signal::TERM, "terminated"),
    ] {
        tracer.signal(signal);
        tracer.wait_until_printed(&format!("got {name}"));
    }
    let outcome = tracer.wait();
    outcome.assert_code(7);
    // The trace goes on until the program has ended.
    outcome.assert_says(&["summary: trees 7, "]);
    assert_eq!(outcome.stdout.lines().count(), 5, "{}", outcome.stdout);
}

#[test]
fn a_second_interrupt_ends_the_tracer_at_once() {
    let binary = launched();
    let mut tracer = launch(&["--exit-status"], binary.path(), &["signals"]);
    let pid = pid_when_ready(&mut tracer);
    tracer.signal(Signal::HUP);
    tracer.wait_until_printed("got hangup");
    // Sooner it would be taken for the same one.
    let first = std::time::Instant::now();
    while first.elapsed() < std::time::Duration::from_millis(150) {
        tracer.signal(Signal::USR1);
        std::thread::yield_now();
    }
    tracer.signal(Signal::HUP);
    tracer.wait_until_said("ended at once");
    assert_eq!(tracer.wait_for_status().code(), Some(130));
    assert!(is_running(pid), "the program decides for itself");
    kill_process(pid, Signal::TERM).unwrap();
    tracer.wait_until_printed("got terminated");
}

/// What is typed at a terminal the kernel sends to both.
#[test]
fn an_interrupt_typed_at_a_terminal_comes_once() {
    let binary = launched();
    let script = r#"
import os, pty, signal, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
def until(words):
    global seen
    while words not in seen:
        seen += os.read(terminal, 4096)
until(b"ready ")
os.write(terminal, b"\x03")
until(b"got interrupt")
os.kill(pid, signal.SIGUSR1)
until(b"got user defined signal 1")
program = int(seen.split(b"ready ")[1].split()[0])
os.kill(program, signal.SIGTERM)
try:
    while True:
        seen += os.read(terminal, 4096)
except OSError:
    pass
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;
    let mut command = configured(Command::new("python3"));
    command.args(["-c", script]).arg(executable());
    command
        .args(["--exit-status", "-o"])
        .arg(binary.beside("trace"));
    command
        .args(["main.counted", "--"])
        .arg(binary.path())
        .arg("signals");
    let outcome = Tracer::spawn(command, true).wait();
    outcome.assert_code(7);
    let interrupts = outcome.stdout.matches("got interrupt").count();
    assert_eq!(interrupts, 1, "{}", outcome.stdout);
    assert!(
        outcome.stdout.contains("summary: trees 6, "),
        "{}",
        outcome.stdout
    );
}

#[test]
fn the_program_survives_the_tracer() {
    let binary = launched();
    let mut tracer = launch(&[], binary.path(), &["signals"]);
    let pid = pid_when_ready(&mut tracer);
    tracer.signal(Signal::KILL);
    assert_eq!(tracer.wait_for_status().code(), None);
    kill_process(pid, Signal::USR1).unwrap();
    tracer.wait_until_printed("got user defined signal 1");
    kill_process(pid, Signal::TERM).unwrap();
    tracer.wait_until_printed("got terminated");
}

#[test]
fn the_program_goes_on_when_tracing_ends_first() {
    let binary = launched();
    for end in [["--count", "2"], ["--duration", "1ms"]] {
        let options = [&["--exit-status"], &end[..]].concat();
        let mut tracer = launch(&options, binary.path(), &["signals"]);
        let said = format!("{} goes on without probes", binary.path().display());
        tracer.wait_until_said(&said);
        pid_when_ready(&mut tracer);
        tracer.signal(Signal::TERM);
        let outcome = tracer.wait();
        outcome.assert_code(7);
        outcome.assert_says(&["summary: trees "]);
    }
}

fn assert_not_run(outcome: &Outcome, code: i32, says: &[&str]) {
    outcome.assert_code(code);
    outcome.assert_says(says);
    assert_eq!(outcome.stdout, "", "nothing was launched");
}

#[test]
fn what_cannot_be_traced_is_not_run() {
    let binary = launched();
    let refused = |words: &[&str], code, says: &[&str]| {
        let mut command = command();
        command.args(words);
        assert_not_run(&Tracer::spawn(command, true).wait(), code, says);
    };
    let path = binary.path().to_str().unwrap();
    refused(
        &["main.nowhere", "--", path, "count", "1"],
        3,
        &["main.nowhere"],
    );
    refused(&["main.f", "--", "no-such-command-anywhere"], 2, &["PATH"]);
    refused(&["main.f", "--", "./no-such-command"], 2, &["cannot read"]);
    refused(&["main.f", "--", "echo", "run"], 5, &["not built by Go"]);
    refused(&["main.f", "--"], 2, &["behind '--'"]);
    refused(&["record", "-o", "-", "main.f", "--", path], 2, &["mixed"]);

    let script = binary.beside("script");
    fs::write(&script, "#!/usr/bin/env sh\necho run\n").unwrap();
    let script = script.to_str().unwrap();
    let says = ["a script", "/usr/bin/env sh", "name the Go program"];
    refused(&["main.f", "--", script], 5, &says);

    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    refused(
        &["main.counted", "--", path, "count", "1"],
        4,
        &["may not be executed"],
    );
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();

    let mut powerless = Command::new("setpriv");
    powerless
        .args(["--bounding-set=-all", "--inh-caps=-all"])
        .arg(executable());
    powerless.args(["main.counted", "--", path, "count", "1"]);
    let outcome = Tracer::spawn(configured(powerless), true).wait();
    assert_not_run(&outcome, 4, &["CAP_BPF"]);

    // With what a launch needs but for the output.
    let outcome = run(&[
        "-o",
        "/no/such/folder/file",
        "main.counted",
        "--",
        path,
        "count",
        "1",
    ]);
    assert_not_run(&outcome, 1, &["/no/such/folder/file"]);
}

#[test]
fn a_command_is_found_in_path() {
    let binary = launched();
    let name = binary.path().file_name().unwrap().to_str().unwrap();
    let mut command = tracing(&[], Path::new(name), &["count", "2"]);
    let path = format!("/:{}", binary.path().parent().unwrap().display());
    command.env("PATH", path);
    let outcome = Tracer::spawn(command, true).wait();
    assert_eq!(outcome.summary().calls, AT_ONCE + 2);
}

#[test]
fn a_plan_runs_nothing() {
    let binary = launched();
    let outcome = launch(&["--dry-run"], binary.path(), &["count", "1"]).wait();
    outcome.assert_code(0);
    assert!(
        outcome.stdout.contains("main.counted"),
        "{}",
        outcome.stdout
    );
    assert!(!outcome.stdout.contains("counted 1"), "{}", outcome.stdout);
}

#[test]
fn a_recording_of_a_launched_program() {
    let binary = launched();
    let folder = binary.beside("folder");
    fs::create_dir(&folder).unwrap();
    let mut command = tracing(&["record"], binary.path(), &["count", "5"]);
    command.current_dir(&folder);
    let outcome = Tracer::spawn(command, true).wait();
    assert_eq!(outcome.summary().calls, AT_ONCE + 5);
    assert_eq!(outcome.stdout, "counted 5\n");
    outcome.assert_says(&["gofuncgraph replay gofuncgraph.rec"]);
    let recording = folder.join("gofuncgraph.rec");
    let replayed = run(&["replay", recording.to_str().unwrap()]);
    assert_eq!(replayed.summary().calls, AT_ONCE + 5);
}

/// As nohup(1) leaves them.
#[test]
fn signals_that_are_ignored_stay_ignored() {
    let binary = launched();
    let mut command = tracing(&["--exit-status"], binary.path(), &["signals"]);
    // SAFETY: it makes a system call that changes nothing in memory.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGUSR2, libc::SIG_IGN);
            Ok(())
        });
    }
    let mut tracer = Tracer::spawn(command, true);
    let pid = pid_when_ready(&mut tracer);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let bits = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        u64::from_str_radix(line.expect("it is there").trim(), 16).unwrap()
    };
    assert_eq!(bits("SigBlk:"), 0, "{status}");
    tracer.signal(Signal::USR2);
    tracer.signal(Signal::TERM);
    let outcome = tracer.wait();
    outcome.assert_code(7);
    assert!(!outcome.stdout.contains("signal 2"), "{}", outcome.stdout);
}

#[test]
fn children_are_left_alone_unless_they_are_followed() {
    let binary = launched();
    let arguments = ["start", "start", "count", "5"];
    let outcome = launch(&[], binary.path(), &arguments).wait();
    assert_eq!(outcome.summary().calls, AT_ONCE);

    let outcome = launch(&["--follow-forks"], binary.path(), &arguments).wait();
    let summary = outcome.summary();
    summary.assert_nothing_lost();
    assert_eq!(summary.calls, 3 * AT_ONCE + 5);
    assert_eq!(outcome.stdout, "counted 5\n");

    // The child outlives its parent.
    let arguments = ["leave", "wait", "count", "5"];
    let outcome = launch(&["--follow-forks"], binary.path(), &arguments).wait();
    assert_eq!(outcome.summary().calls, 2 * AT_ONCE + 5);
}

#[test]
fn a_program_that_executes_itself() {
    let binary = launched();
    for (options, thread) in [
        (&[][..], "leader"),
        (&["--follow-forks"], "leader"),
        (&["--follow-forks"], "other"),
    ] {
        let arguments = ["execute", thread, "count", "5"];
        let outcome = launch(options, binary.path(), &arguments).wait();
        let summary = outcome.summary();
        assert_eq!(summary.calls, 2 * AT_ONCE + 5, "{options:?} {thread}");
    }
    // Of what is not seen something is said.
    let outcome = launch(&[], binary.path(), &["execute", "other", "count", "5"]).wait();
    assert!((AT_ONCE..=2 * AT_ONCE + 5).contains(&outcome.summary().calls));
    outcome.assert_says(&["from another thread than its first one", "--follow-forks"]);
}

#[test]
fn children_of_a_process_are_followed() {
    let binary = PrivateBinary::program("forkexec");
    let mut parent = Program::start(binary.path(), &[]);
    let mut other = Program::start(binary.path(), &[]);
    let mut command = command();
    command.args([
        "--follow-forks",
        "-p",
        &parent.pid().to_string(),
        "main.childWork",
    ]);
    let mut tracer = Tracer::spawn(command, true);
    tracer.wait_until_started();
    assert!(parent.ask("spawn 4").starts_with("spawned "));
    assert!(other.ask("spawn 4").starts_with("spawned "));
    assert!(parent.ask("spawn 1").starts_with("spawned "));
    let summary = tracer.stop().summary();
    summary.assert_nothing_lost();
    assert_eq!(summary.calls, 5 * 3);
    assert_eq!(changed_code_bytes(&other, binary.path()), 0);
}
