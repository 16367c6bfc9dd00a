//! Several formats at once, and what becomes of each output.

mod support;

use std::fs;

use support::private_binary::PrivateBinary;
use support::program::Program;
use support::tracer::{self, Tracer};

#[test]
fn several_formats_are_written_at_once() {
    let binary = PrivateBinary::program("bare");
    let mut program = Program::start(binary.path(), &[]);
    let directory = tempfile::tempdir().expect("one can be made");
    let path = |name: &str| directory.path().join(name);
    let to_file = |format: &str| format!("{format}:{}", path(format).display());
    let formats = ["jsonl", "chrome", "folded", "functrace", "graph", "summary"].map(to_file);
    let options: Vec<&str> = formats
        .iter()
        .flat_map(|format| ["-f", format.as_str()])
        .chain(["-f", "text", "-u", "main.nothing"])
        .collect();
    let tracer = Tracer::start(binary.path(), &options, &["main.root"]);
    program.tell("run", "ran");
    let outcome = tracer.stop();
    assert_eq!((outcome.summary().trees, outcome.summary().calls), (1, 101));
    assert_eq!(outcome.trees().trees.len(), 1);

    let read = |name: &str| fs::read_to_string(path(name)).expect("it was written");
    assert_eq!(read("jsonl").matches("\"type\":\"call\"").count(), 101);
    assert_eq!(read("chrome").matches("\"ph\":\"E\"").count(), 101);
    let name = binary
        .path()
        .file_name()
        .expect("it has one")
        .to_string_lossy();
    assert!(read("chrome").contains(&format!("\"args\":{{\"name\":\"{name}\"}}")));
    assert!(read("chrome").contains(&format!("\"pid\":{},", program.pid())));
    assert_eq!(read("folded").lines().count(), 2);
    assert_eq!(read("functrace").matches("\t->main.").count(), 101);
    assert_eq!(read("functrace").matches("\t<-main.").count(), 101);
    assert_eq!(read("graph").matches("main.nothing();").count(), 100);
    assert!(read("summary").contains("main.nothing"));
}

#[test]
fn a_full_disk_under_one_of_several_formats_ends_tracing_with_its_name() {
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    let options = ["-f", "jsonl:/dev/full", "-f", "text"];
    let tracer = Tracer::start(binary.path(), &options, &["main.quick"]);
    program.tell("call", "called");
    let outcome = tracer.wait();
    outcome.assert_code(1);
    outcome.assert_says(&["cannot write /dev/full", "summary: trees 1"]);
    assert_eq!(outcome.trees().trees.len(), 1);
}

#[test]
fn a_reader_that_is_gone_ends_tracing_also_beside_a_file() {
    let binary = PrivateBinary::program("sleeper");
    let _program = Program::start(binary.path(), &[]);
    let directory = tempfile::tempdir().expect("one can be made");
    let file = format!("jsonl:{}", directory.path().join("out.jsonl").display());
    let options = ["-f", file.as_str(), "-f", "graph"];
    let mut tracer = Tracer::start_unread(binary.path(), &options, &["main.quick"]);
    tracer.close_stdout();
    tracer.wait().assert_code(0);
}

#[test]
fn no_format_overwrites_the_executable_or_another() {
    let binary = PrivateBinary::program("sleeper");
    let before = fs::read(binary.path()).expect("it was built");
    let path = binary.path().to_str().expect("a temporary path is text");
    let outcome = tracer::run(&["-f", &format!("jsonl:{path}"), path, "main.quick"]);
    outcome.assert_code(2);
    outcome.assert_says(&["--format", "executable"]);
    assert!(fs::read(binary.path()).expect("it is there") == before);

    let directory = tempfile::tempdir().expect("one can be made");
    let file = directory.path().join("out");
    let link = directory.path().join("link");
    fs::write(&file, "").expect("it can be written");
    fs::hard_link(&file, &link).expect("it can be made");
    let formats = [("text", &file), ("jsonl", &link)];
    let formats = formats.map(|(format, path)| format!("{format}:{}", path.display()));
    let outcome = tracer::run(&["-f", &formats[0], "-f", &formats[1], path, "main.quick"]);
    outcome.assert_code(2);
    outcome.assert_says(&["two outputs would go to"]);
}

/// A call that lasts is shown while it lasts, though it may turn out to be a leaf.
#[test]
fn a_streamed_graph_shows_a_call_that_is_open() {
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    let options = ["-f", "graph", "--stream"];
    let mut tracer = Tracer::start(binary.path(), &options, &["main.held"]);
    program.tell("enter", "entered");
    tracer.wait_for_output();
    let outcome = tracer.stop();
    assert!(
        outcome.stdout.contains("main.held() {"),
        "{}",
        outcome.stdout
    );
}
