//! Tracing one process, or some, of those that run a file.

mod support;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use support::go_build::Flavor;
use support::memory::changed_code_bytes;
use support::private_binary::{PrivateBinary, releases};
use support::program::Program;
use support::tracer::{Outcome, Tracer, command, configured, run};

fn sleeper() -> PrivateBinary {
    PrivateBinary::program("sleeper")
}

/// A tracer that has started to trace what `arguments` say.
fn start(arguments: &[&str]) -> Tracer {
    let mut command = command();
    if let Some(how) = std::env::var_os("GOFUNCGRAPH_RET") {
        command.arg("--ret").arg(how);
    }
    command.args(arguments);
    let mut tracer = Tracer::spawn(command, true);
    tracer.wait_until_started();
    tracer
}

fn call(program: &mut Program, times: usize) {
    for _ in 0..times {
        program.tell("call", "called");
    }
}

fn pid_of(program: &Program) -> String {
    program.pid().to_string()
}

fn assert_refused(outcome: &Outcome, code: i32, says: &[&str]) {
    outcome.assert_code(code);
    outcome.assert_says(says);
    assert_eq!(outcome.stdout, "", "standard output is for trees");
}

#[test]
fn another_process_of_the_file_is_neither_seen_nor_touched() {
    let binary = sleeper();
    let mut chosen = Program::start(binary.path(), &[]);
    let mut other = Program::start(binary.path(), &[]);
    // With observers, which are placed while tracing, and without.
    for promote in ["all", "off"] {
        let tracer = start(&[
            "--promote",
            promote,
            "-u",
            "main.*",
            "-p",
            &pid_of(&chosen),
            "main.quick",
        ]);
        call(&mut chosen, 30);
        call(&mut other, 50);
        assert_ne!(changed_code_bytes(&chosen, binary.path()), 0);
        assert_eq!(changed_code_bytes(&other, binary.path()), 0);
        // One that starts later, too.
        let mut late = Program::start(binary.path(), &[]);
        call(&mut late, 50);
        assert_eq!(changed_code_bytes(&late, binary.path()), 0);
        call(&mut chosen, 3);
        let outcome = tracer.stop();
        let summary = outcome.summary();
        summary.assert_nothing_lost();
        assert_eq!((summary.trees, summary.calls), (33, 33), "{promote}");
        assert_eq!(outcome.trees().counts()["main.quick"].entries, 33);
        assert_eq!(changed_code_bytes(&chosen, binary.path()), 0);
    }
}

#[test]
fn several_processes_are_traced_together() {
    let binary = sleeper();
    let mut first = Program::start(binary.path(), &[]);
    let mut second = Program::start(binary.path(), &[]);
    let mut other = Program::start(binary.path(), &[]);
    let tracer = start(&[
        "-p",
        &pid_of(&first),
        "--pid",
        &pid_of(&second),
        "main.quick",
    ]);
    call(&mut first, 5);
    call(&mut second, 7);
    call(&mut other, 50);
    assert_eq!(changed_code_bytes(&other, binary.path()), 0);
    // The other goes on being traced.
    let ended = pid_of(&first);
    first.finish();
    call(&mut second, 2);
    let said = second.pid();
    second.finish();
    let outcome = tracer.wait();
    assert_eq!(outcome.summary().calls, 14);
    outcome.assert_says(&["all 2 processes have ended"]);
    let of_second = format!("[{said}] ");
    assert_eq!(
        outcome.stdout.matches(&of_second).count(),
        2 * 9,
        "of {ended} and {said}"
    );
    call(&mut other, 1);
}

#[test]
fn the_end_of_the_process_ends_tracing() {
    let binary = sleeper();
    let mut program = Program::start(binary.path(), &[]);
    let tracer = start(&["-u", "main.held", "-p", &pid_of(&program), "main.outer"]);
    program.tell("enter", "entered");
    program.send("exit 0");
    let outcome = tracer.wait();
    outcome.assert_code(0);
    outcome.assert_says(&[&format!("process {} has ended", program.pid())]);
    assert_eq!(outcome.summary().other("process exited"), 2);
}

#[test]
fn a_name_that_one_process_has() {
    let binary = sleeper();
    let name = "a-sleeper-that-one-process-runs";
    let renamed = binary.beside(name);
    fs::rename(binary.path(), &renamed).unwrap();
    let none = run(&["-n", name, "main.quick"]);
    assert_refused(
        &none,
        2,
        &["no process is called 'a-sleeper-that-one-process-runs'"],
    );

    let mut program = Program::start(&renamed, &[]);
    let tracer = start(&["--name", name, "main.quick"]);
    call(&mut program, 3);
    assert_eq!(tracer.stop().summary().calls, 3);

    let second = Program::start(&renamed, &[]);
    let several = run(&["-n", name, "main.quick"]);
    let pids = [&program, &second].map(|it| format!("\n  {}  ", it.pid()));
    assert_refused(&several, 2, &[&pids[0], &pids[1], "2 processes", "--pid"]);
}

#[test]
fn a_file_that_was_deleted_or_replaced() {
    let binary = sleeper();
    let mut deleted = Program::start(binary.path(), &[]);
    fs::remove_file(binary.path()).unwrap();
    let tracer = start(&["-p", &pid_of(&deleted), "main.quick"]);
    call(&mut deleted, 3);
    assert_eq!(tracer.stop().summary().calls, 3);

    let another = PrivateBinary::program("hot");
    fs::rename(another.path(), binary.path()).unwrap();
    let replacing = Program::start(binary.path(), &[]);
    let tracer = start(&["-p", &pid_of(&deleted), "main.quick"]);
    call(&mut deleted, 4);
    let outcome = tracer.stop();
    assert_eq!(outcome.summary().calls, 4);
    drop(replacing);
}

/// A mount and pid namespace of its own, as a container has, with a file that no other process
/// can see.
#[test]
fn a_process_in_other_namespaces() {
    let binary = sleeper();
    let folder = binary.beside("hidden");
    fs::create_dir(&folder).unwrap();
    let script = format!(
        "mount -t tmpfs none {0} && cp {1} {0}/program && exec {0}/program",
        folder.display(),
        binary.path().display()
    );
    let words = [
        "--mount",
        "--kill-child",
        "--pid",
        "--fork",
        "--mount-proc",
        "sh",
        "-c",
        &script,
    ];
    let mut program = Program::spawn(Path::new("unshare"), &words);
    assert_eq!(program.line(), "ready 1");
    assert!(!folder.join("program").exists());
    let children = format!("/proc/{0}/task/{0}/children", program.pid());
    let pid = fs::read_to_string(children).unwrap();
    let tracer = start(&["-p", pid.trim(), "main.quick"]);
    call(&mut program, 3);
    let summary = tracer.stop().summary();
    assert_eq!((summary.trees, summary.calls), (3, 3));
}

/// Where gofuncgraph is in a pid namespace itself, as beside the program in a container.
#[test]
fn a_tracer_in_the_same_namespace() {
    let binary = sleeper();
    let trace = binary.beside("trace");
    let outcome = in_namespace(&binary, &trace);
    assert_eq!(outcome, (6, 3));
}

/// Runs two sleepers and a tracer of one in a pid namespace; gives the lines of its trace, and how
/// often the program said that it was called.
fn in_namespace(binary: &PrivateBinary, trace: &Path) -> (usize, usize) {
    let fifo = binary.beside("commands");
    let said = binary.beside("said");
    let script = r#"
        mkfifo "$FIFO" "$FIFO.other"
        "$PROGRAM" <"$FIFO" & pid=$!
        exec 3>"$FIFO"
        "$PROGRAM" <"$FIFO.other" >/dev/null 3>&- & other=$!
        exec 4>"$FIFO.other"
        "$TOOL" -o "$TRACE" -p $pid main.quick 2>"$SAID" 3>&- 4>&- & tracer=$!
        until grep -q 'tracing started' "$SAID" 2>/dev/null; do
            kill -0 $tracer || exit 1
        done
        printf 'call\ncall\ncall\n' >&4
        exec 4>&-
        wait $other
        printf 'call\ncall\ncall\n' >&3
        exec 3>&-
        wait $pid
        wait $tracer
    "#;
    let output = Command::new("unshare")
        .args([
            "--kill-child",
            "--pid",
            "--fork",
            "--mount-proc",
            "bash",
            "-c",
            script,
        ])
        .env("FIFO", &fifo)
        .env("PROGRAM", binary.path())
        .env("TOOL", env!("CARGO_BIN_EXE_gofuncgraph"))
        .env("TRACE", trace)
        .env("SAID", &said)
        .output()
        .expect("unshare runs");
    let said = fs::read_to_string(&said).unwrap_or_default();
    assert!(output.status.success(), "{output:?}\n{said}");
    let lines = fs::read_to_string(trace).expect("it was written");
    let lines = lines.lines().filter(|line| !line.is_empty()).count();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("has ended"), "{said}");
    (lines, stdout.matches("called").count())
}

#[test]
fn namespaces_in_which_processes_cannot_be_told_apart() {
    let tool = env!("CARGO_BIN_EXE_gofuncgraph");
    let run_apart = |options: &[&str], script: &str| {
        let mut command = Command::new("unshare");
        command.arg("--kill-child").args(options);
        command.args(["bash", "-c", script]);
        command.env("TOOL", tool);
        Tracer::spawn(configured(command), true).wait()
    };
    let foreign = run_apart(&["--pid", "--fork"], r#""$TOOL" -p 1 main.quick"#);
    assert_refused(&foreign, 5, &["/proc belongs to another pid namespace"]);

    let script = r#"
        unshare --pid --fork sleep 60 >/dev/null 2>&1 & unshare=$!
        until child=$(cat /proc/$unshare/task/$unshare/children) && [ -n "$child" ]; do :; done
        "$TOOL" -p $child main.quick
        code=$?
        kill -KILL $child
        exit $code
    "#;
    let below = run_apart(&["--pid", "--fork", "--mount-proc"], script);
    assert_refused(&below, 5, &["in a pid namespace of its own"]);

    let binary = sleeper();
    let script = format!(
        r#"exec "$TOOL" --follow-forks main.quick -- {}"#,
        binary.path().display()
    );
    let following = run_apart(&["--pid", "--fork", "--mount-proc"], &script);
    assert_refused(&following, 5, &["--follow-forks", "pid namespace"]);
}

#[test]
fn a_thread_names_its_process() {
    let binary = sleeper();
    let mut program = Program::start(binary.path(), &[]);
    program.tell("enter", "entered");
    let threads = fs::read_dir(format!("/proc/{}/task", program.pid())).unwrap();
    let thread = threads
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|thread| *thread != pid_of(&program))
        .expect("Go programs have several");
    let tracer = start(&["-p", &thread, "-p", &pid_of(&program), "main.quick"]);
    call(&mut program, 3);
    assert_eq!(tracer.stop().summary().calls, 3);
}

#[test]
fn processes_that_cannot_be_traced() {
    let gone = run(&["-p", "999999999", "main.quick"]);
    assert_refused(&gone, 2, &["no such process"]);
    let own = std::process::id().to_string();
    assert_refused(&run(&["-p", &own, "main.quick"]), 5, &["not built by Go"]);

    // This process has not waited for it.
    let mut ended = Command::new("true").spawn().unwrap();
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(Pid::from_child(&ended)), options).unwrap();
    let outcome = run(&["-p", &ended.id().to_string(), "main.quick"]);
    assert_refused(&outcome, 2, &["has ended"]);
    ended.wait().unwrap();

    let binary = sleeper();
    let running = Program::start(binary.path(), &[]);
    let other = PrivateBinary::program("hot");
    let of_another_file = Program::start(other.path(), &[]);
    let outcome = run(&["-p", &pid_of(&running), "-p", &pid_of(&of_another_file)]);
    let paths = [binary.path(), other.path()].map(|path| path.to_string_lossy().into_owned());
    assert_refused(&outcome, 2, &[&paths[0], &paths[1], "same file"]);
}

#[test]
fn a_process_of_somebody_else() {
    let binary = sleeper();
    let program = Program::start(binary.path(), &[]);
    let tool = PrivateBinary::for_every_user(Path::new(env!("CARGO_BIN_EXE_gofuncgraph")));
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(tool.path())
        .args(["-p", &pid_of(&program), "main.quick"]);
    let outcome = Tracer::spawn(configured(command), true).wait();
    assert_refused(&outcome, 4, &["not yours", "root"]);
}

#[test]
fn a_plan_for_a_process() {
    let binary = sleeper();
    let program = Program::start(binary.path(), &[]);
    let outcome = run(&["--dry-run", "-p", &pid_of(&program), "main.quick"]);
    outcome.assert_code(0);
    assert!(outcome.stdout.contains("main.quick"), "{}", outcome.stdout);
    assert_eq!(changed_code_bytes(&program, binary.path()), 0);
}

#[test]
fn a_recording_of_a_process() {
    let binary = sleeper();
    let mut program = Program::start(binary.path(), &[]);
    let recording: PathBuf = binary.beside("a.rec");
    let file = recording.to_str().unwrap();
    let tracer = start(&["record", "-o", file, "-p", &pid_of(&program), "main.quick"]);
    call(&mut program, 3);
    program.finish();
    assert_eq!(tracer.wait().summary().calls, 3);
    let replayed = run(&[OsStr::new("replay"), recording.as_os_str()]);
    assert_eq!(replayed.summary().calls, 3);
}

/// The kernel knows a process by its first thread: of what another one executes it would put no
/// probes into.
#[test]
fn a_process_that_executes_its_program_again() {
    for thread in ["leader", "other"] {
        let binary = PrivateBinary::program("launched");
        let words = ["wait", "execute", thread, "signals"];
        let mut program = Program::start(binary.path(), &words);
        let pid = program.pid();
        let mut tracer = start(&["-p", &pid.to_string(), "main.counted"]);
        program.close_stdin();
        assert_eq!(program.line(), format!("ready {pid}"));
        if thread == "other" {
            tracer.wait_until_said(&format!("process {pid} has started its program anew"));
        }
        for (signal, name) in [
            (Signal::USR1, "user defined signal 1"),
            (Signal::TERM, "terminated"),
        ] {
            program.signal(signal);
            assert_eq!(program.line(), format!("got {name}"));
        }
        let (_, status) = program.finish();
        assert_eq!(status.code(), Some(7));
        // It calls thrice before it is ready, when probes may not be back yet, and at each signal.
        let calls = tracer.wait().summary().calls;
        let least = if thread == "leader" { 5 } else { 2 };
        assert!((least..=5).contains(&calls), "{thread}: {calls}");
    }
}

/// Loads libraries, and calls what the first exports.
const HOST: &str = "
import ctypes, os, sys
libraries = [ctypes.CDLL(path) for path in sys.argv[1:]]
print('ready', os.getpid(), flush=True)
for line in sys.stdin:
    print(libraries[0].Work(int(line)), flush=True)
";

fn host(libraries: &[&PrivateBinary]) -> Program {
    let paths = libraries.iter().map(|library| library.path().to_str());
    let paths = paths.map(|path| path.expect("a temporary path is text"));
    let arguments: Vec<&str> = ["-c", HOST].into_iter().chain(paths).collect();
    Program::start(Path::new("python3"), &arguments)
}

fn library() -> PrivateBinary {
    let [oldest, _] = releases(Flavor::Shared);
    PrivateBinary::program_variant("library", oldest)
}

#[test]
fn a_library_of_a_program_in_another_language_is_found() {
    let library = library();
    let mut chosen = host(&[&library]);
    let mut other = host(&[&library]);
    // Where the process has loaded it from there is another file by now.
    fs::remove_file(library.path()).expect("it is ours");
    fs::write(library.path(), "another").expect("it can be written");
    let pid = pid_of(&chosen);
    let tracer = start(&["-p", &pid, "main.step"]);
    assert_eq!(other.ask("5"), "5");
    assert_eq!(chosen.ask("3"), "3");
    let outcome = tracer.stop();
    outcome.assert_code(0);
    let path = library.path().display();
    outcome.assert_says(&[&format!(
        "which is not built by Go; of what it has loaded {path} is"
    )]);
    assert_eq!(outcome.trees().shapes(), ["main.step"; 3]);
    outcome.summary().assert_nothing_lost();

    let listed = run(&["list", "-p", &pid, "main.step"]);
    listed.assert_code(0);
    assert!(listed.stdout.contains("main.step"), "{}", listed.stdout);
}

#[test]
fn of_several_libraries_one_has_to_be_named() {
    let libraries = [library(), library()];
    let program = host(&[&libraries[0], &libraries[1]]);
    let outcome = run(&["-p", &pid_of(&program), "main.step"]);
    let paths = libraries.each_ref().map(|it| it.path().to_str().unwrap());
    assert_refused(&outcome, 2, &["several libraries", paths[0], paths[1]]);
}
