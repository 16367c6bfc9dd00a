//! Every function of the `go` command's own binary, against `go tool nm` and
//! `go tool addr2line`.

mod support;

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use gofuncgraph::binary::{Function, GoBinary, VirtualAddress};
use support::go_build::go;

fn go_command() -> PathBuf {
    let output = go("local").args(["env", "GOROOT"]).output().unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()).join("bin/go")
}

fn functions<'data>(binary: &GoBinary<'data>) -> Vec<Function<'data>> {
    binary.functions().map(Result::unwrap).collect()
}

/// Text symbols of the linker that are no functions: the bounds of the text and the build id.
const NO_FUNCTIONS: [&str; 3] = ["runtime.text", "runtime.etext", "go:buildid"];

#[test]
fn names_and_ranges_agree_with_nm() {
    let path = go_command();
    let data = std::fs::read(&path).unwrap();
    let binary = GoBinary::parse(&data).unwrap();
    assert_eq!(binary.warnings(), [""; 0]);
    let functions = functions(&binary);
    assert!(functions.len() > 10_000, "{}", functions.len());

    let output = go("local")
        .args(["tool", "nm", "-n", "-size", "-type"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(output.status.success());
    let listing = String::from_utf8(output.stdout).unwrap();
    let mut symbols: HashMap<u64, Vec<(&str, u64)>> = HashMap::new();
    for line in listing.lines() {
        let mut fields = line.split_ascii_whitespace();
        let [Some(address), Some(size), Some(kind)] = [(); 3].map(|()| fields.next()) else {
            continue;
        };
        let name = line.split_once(&format!(" {kind} ")).unwrap().1;
        // Symbols have a dot for U+00B7 and tell the two calling conventions apart, pclntab does not.
        let name = name.strip_suffix(".abi0").unwrap_or(name);
        if matches!(kind, "T" | "t") && !NO_FUNCTIONS.contains(&name) {
            let address = u64::from_str_radix(address, 16).unwrap();
            let size = size.parse().unwrap();
            symbols.entry(address).or_default().push((name, size));
        }
    }

    let mut starts = HashSet::new();
    for function in &functions {
        assert!(function.start < function.end, "{function:?}");
        starts.insert(function.start.0);
        let here = symbols
            .get(&function.start.0)
            .unwrap_or_else(|| panic!("no symbol for {function:?}"));
        let (_, size) = here
            .iter()
            .find(|(name, _)| *name == function.name.replace('·', "."))
            .unwrap_or_else(|| panic!("{function:?} is {here:?} in the symbol table"));
        // The range goes on to the next function: after the symbol's end only padding follows.
        let code_end = VirtualAddress(function.start.0 + size);
        assert!(code_end <= function.end, "{function:?} has size {size}");
        let padding = binary.code(code_end..function.end).unwrap_or_default();
        assert!(padding.iter().all(|byte| *byte == 0xcc), "{function:?}");
        assert_eq!(binary.find_function(function.start), Some(*function));
        assert_eq!(
            binary.find_function(VirtualAddress(function.end.0 - 1)),
            Some(*function)
        );
    }
    let missing: Vec<_> = symbols
        .iter()
        .filter(|(address, _)| !starts.contains(address))
        .collect();
    assert!(missing.is_empty(), "not in pclntab: {missing:?}");
    for pair in functions.windows(2) {
        assert_eq!(pair[0].end, pair[1].start);
    }
}

/// What `go tool addr2line` says of code that belongs to no line, such as the markers that the
/// linker puts around cryptographic code.
const NO_LINE: &str = ":-1";

#[test]
fn lines_agree_with_addr2line() {
    let path = go_command();
    let data = std::fs::read(&path).unwrap();
    let binary = GoBinary::parse(&data).unwrap();
    let mut addresses = Vec::new();
    for function in functions(&binary) {
        // The first byte, one in the middle and the last before the padding.
        let code = binary.code(function.start..function.end).unwrap();
        let padding = code.iter().rev().take_while(|byte| **byte == 0xcc).count();
        let size = (code.len() - padding).max(1) as u64;
        addresses.extend([0, size / 2, size - 1].map(|offset| function.start.0 + offset));
    }

    let mut input = String::new();
    for address in &addresses {
        writeln!(input, "{address:#x}").unwrap();
    }
    let mut child = go("local")
        .args(["tool", "addr2line"])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let answers = String::from_utf8(output.stdout).unwrap();
    let mut without_line = 0;
    let mut lines = answers.lines();
    for address in addresses {
        let (_name, expected) = (lines.next().unwrap(), lines.next().unwrap());
        let found = binary.source_line(VirtualAddress(address));
        if found.is_none() {
            without_line += 1;
        }
        let found = found.map_or_else(
            || NO_LINE.to_owned(),
            |source| format!("{}:{}", source.file, source.line),
        );
        assert_eq!(found, expected, "{address:#x}");
    }
    assert_eq!(lines.next(), None);
    assert!(without_line < 10, "{without_line} addresses have no line");
}

#[test]
fn functions_are_found_by_name() {
    let data = std::fs::read(go_command()).unwrap();
    let binary = GoBinary::parse(&data).unwrap();
    let functions = functions(&binary);
    for name in [
        "main.main",
        "runtime.goexit1",
        "runtime.memmove",
        "fmt.(*pp).doPrintf",
    ] {
        let expected: Vec<_> = functions
            .iter()
            .filter(|function| function.name == name)
            .copied()
            .collect();
        assert!(!expected.is_empty(), "{name}");
        assert_eq!(binary.find_functions_named(name), expected);
    }
    for name in ["", "main.mai", "main.main.", "\0"] {
        assert_eq!(binary.find_functions_named(name), []);
    }
    let [main] = binary.find_functions_named("main.main")[..] else {
        panic!("one main.main");
    };
    assert_eq!(binary.main_module(), Some("cmd/go"));
    assert!(!main.is_wrapper && !main.flags.is_assembly());
    let [goexit] = binary.find_functions_named("runtime.goexit")[..] else {
        panic!("one runtime.goexit");
    };
    assert!(goexit.flags.is_top_frame() && goexit.flags.is_assembly());
    let wrappers = functions.iter().filter(|function| function.is_wrapper);
    assert!(wrappers.count() > 100);
}

/// Some 20 times what it takes on an ordinary machine, and far less than anything that is not
/// linear would take.
#[test]
fn reading_all_names_is_fast() {
    let data = std::fs::read(go_command()).unwrap();
    let start = Instant::now();
    let binary = GoBinary::parse(&data).unwrap();
    let length: usize = functions(&binary)
        .iter()
        .map(|function| function.name.len())
        .sum();
    let elapsed = start.elapsed();
    println!(
        "{} functions, {length} bytes of names: {elapsed:?}",
        binary.function_count()
    );
    assert!(length > 100_000);
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
}
