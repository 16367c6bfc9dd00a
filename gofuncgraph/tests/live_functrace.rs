//! The format functrace against functrace's own way: a program that was instrumented by hand and
//! the plain program under the tracer tell the same of every goroutine.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use support::go_build::go;
use support::program::Program;
use support::tracer::Tracer;

/// What a traced function runs first. Depths are counted per goroutine.
const TRACE_GO: &str = r#"package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

var (
	mutex  sync.Mutex
	depths = map[uint64]int{}
)

func goid() uint64 {
	buffer := make([]byte, 64)
	buffer = buffer[:runtime.Stack(buffer, false)]
	words := bytes.Fields(buffer)
	id, _ := strconv.ParseUint(string(words[1]), 10, 64)
	return id
}

func trace() func() {
	pc, _, _, _ := runtime.Caller(1)
	name := runtime.FuncForPC(pc).Name()
	id := goid()
	mutex.Lock()
	depths[id]++
	print1(id, depths[id], "->"+name)
	mutex.Unlock()
	return func() {
		mutex.Lock()
		print1(id, depths[id], "<-"+name)
		depths[id]--
		mutex.Unlock()
	}
}

func print1(id uint64, depth int, what string) {
	fmt.Fprintf(os.Stdout, "g[%02d]:%s%s\n", id, strings.Repeat("\t", depth), what)
}
"#;

fn program_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/functrace")
}

/// Builds what is in `directory` without inlining.
fn build(directory: &Path, to: &Path) {
    let output = go("local")
        .args(["build", "-gcflags=all=-l", "-o"])
        .arg(to)
        .arg(".")
        .current_dir(directory)
        .output()
        .expect("Go is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// Copies the program and adds a call of `trace` to every function of work.go.
fn instrument(to: &Path) {
    let from = program_directory();
    for name in ["go.mod", "main.go"] {
        fs::copy(from.join(name), to.join(name)).expect("it can be copied");
    }
    let work = fs::read_to_string(from.join("work.go")).expect("it is there");
    let mut instrumented = String::new();
    for line in work.lines() {
        instrumented.push_str(line);
        instrumented.push('\n');
        if line.starts_with("func ") {
            assert!(line.ends_with('{'), "{line}");
            instrumented.push_str("\tdefer trace()()\n");
        }
    }
    fs::write(to.join("work.go"), instrumented).expect("it can be written");
    fs::write(to.join("trace.go"), TRACE_GO).expect("it can be written");
}

/// What each goroutine did, in an order that does not depend on their ids.
fn sequences<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Vec<String>> {
    let mut goroutines: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for line in lines {
        let (goroutine, what) = line.split_once(':').expect("the goroutine comes first");
        assert!(
            goroutine.starts_with("g[") && goroutine.len() >= 5,
            "{line}"
        );
        goroutines
            .entry(goroutine)
            .or_default()
            .push(what.to_owned());
    }
    let mut sequences: Vec<Vec<String>> = goroutines.into_values().collect();
    sequences.sort();
    sequences
}

#[test]
fn a_program_instrumented_by_hand_tells_the_same() {
    let directory = tempfile::tempdir().expect("one can be made");
    let instrumented = directory.path().join("instrumented");
    fs::create_dir(&instrumented).expect("it can be made");
    instrument(&instrumented);
    let by_hand = directory.path().join("by-hand");
    build(&instrumented, &by_hand);
    let plain = directory.path().join("plain");
    build(&program_directory(), &plain);

    let mut program = Program::start(&by_hand, &[]);
    let expected = program.ask_until("work", "worked");
    let expected = sequences(expected.iter().map(String::as_str));
    assert_eq!(expected.len(), 6);

    let mut program = Program::start(&plain, &[]);
    // Functrace leaves alone what is not a declared function: closures and the compiler's.
    let not_declared = "*.func*,*.gowrap*,*.deferwrap*";
    let options = ["-f", "functrace", "--exclude", not_declared];
    let tracer = Tracer::start(&plain, &options, &[]);
    program.tell("work", "worked");
    let outcome = tracer.stop();
    outcome.summary().assert_nothing_lost();
    let mut times = Vec::new();
    let mut remarks = Vec::new();
    let lines = outcome.stdout.lines().map(|line| {
        // 2021/12/14 14:32:49.684598 g[01]:
        let (time, rest) = line.split_at(27);
        times.push(time);
        // What functrace does not know: why calls end that do not return.
        let rest = rest.split_once(" // ").map_or(rest, |(exit, remark)| {
            remarks.push(remark);
            exit
        });
        // The runtime shortens type arguments, the executable's table has them.
        match rest
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once('['))
        {
            Some((_, arguments)) => {
                let name = rest.strip_suffix(arguments).unwrap_or(rest);
                format!("{name}...]")
            }
            None => rest.to_owned(),
        }
    });
    let lines: Vec<String> = lines.collect();
    assert_eq!(sequences(lines.iter().map(String::as_str)), expected);
    assert!(!remarks.is_empty(), "some panic is recovered");
    assert!(
        remarks
            .iter()
            .all(|remark| remark.contains("unwound") && remark.contains("recovered in main."))
    );
    let shape = |time: &str| {
        let digit = |letter: char| if letter.is_ascii_digit() { '0' } else { letter };
        time.chars().map(digit).collect::<String>()
    };
    assert!(
        times
            .iter()
            .all(|time| shape(time) == "0000/00/00 00:00:00.000000 ")
    );
}
