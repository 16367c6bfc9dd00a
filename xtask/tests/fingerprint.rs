//! A change of anything the eBPF object is built from changes its hash, and nothing else does.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use xtask::ebpf::fingerprint::Sources;

const FILES: [(&str, &str); 7] = [
    (
        "Cargo.toml",
        "[workspace.package]\nedition = \"2024\"\n\
         [profile.release]\npanic = \"abort\"\n[profile.bpf]\nlto = true\nopt-level = 3\n",
    ),
    (
        "Cargo.lock",
        "[[package]]\nname = \"gofuncgraph-ebpf\"\nversion = \"0.1.0\"\n\
         dependencies = [\"aya-ebpf\", \"gofuncgraph-common\"]\n\
         [[package]]\nname = \"gofuncgraph-common\"\nversion = \"0.1.0\"\ndependencies = [\"aya\"]\n\
         [[package]]\nname = \"aya-ebpf\"\nversion = \"0.2.1\"\nchecksum = \"01\"\n\
         dependencies = [\"aya-build\", \"cty 2.0.0\"]\n\
         [[package]]\nname = \"aya-build\"\nversion = \"0.2.0\"\nchecksum = \"06\"\n\
         dependencies = [\"cty 1.0.0\"]\n\
         [[package]]\nname = \"aya\"\nversion = \"0.14.0\"\nchecksum = \"02\"\n\
         [[package]]\nname = \"cty\"\nversion = \"1.0.0\"\nchecksum = \"03\"\n\
         [[package]]\nname = \"cty\"\nversion = \"2.0.0\"\nchecksum = \"04\"\n",
    ),
    (
        "gofuncgraph-ebpf/Cargo.toml",
        "[package]\nname = \"gofuncgraph-ebpf\"\n",
    ),
    ("gofuncgraph-ebpf/src/main.rs", "fn main() {}\n"),
    ("gofuncgraph-ebpf/src/programs/entry.rs", "// entry\n"),
    (
        "gofuncgraph-common/Cargo.toml",
        "[dependencies]\naya = { version = \"=0.14.0\", optional = true }\n",
    ),
    ("gofuncgraph-common/src/lib.rs", "// lib\n"),
];

fn tree() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in FILES {
        write(folder.path(), name, text);
    }
    folder
}

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// What changes when `from` becomes `to` in the file `name`.
fn changes(name: &str, from: &str, to: &str) -> Vec<String> {
    let tree = tree();
    let before = Sources::read(tree.path()).unwrap();
    let path = tree.path().join(name);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{name} does not contain {from}");
    fs::write(&path, text.replace(from, to)).unwrap();
    let after = Sources::read(tree.path()).unwrap();
    let differences = before.differences(&after);
    assert_eq!(before.sha256() != after.sha256(), !differences.is_empty());
    differences
}

#[test]
fn every_source_is_named() {
    let sources = Sources::read(tree().path()).unwrap();
    let names: Vec<&str> = sources.0.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "Cargo.lock aya-build 0.2.0",
            "Cargo.lock aya-ebpf 0.2.1",
            "Cargo.lock cty 2.0.0",
            "Cargo.lock gofuncgraph-common 0.1.0",
            "Cargo.lock gofuncgraph-ebpf 0.1.0",
            "Cargo.toml [profile.bpf]",
            "Cargo.toml [profile.release]",
            "Cargo.toml [workspace.package]",
            "build flags",
            "gofuncgraph-common/Cargo.toml",
            "gofuncgraph-common/src/lib.rs",
            "gofuncgraph-ebpf/Cargo.toml",
            "gofuncgraph-ebpf/src/main.rs",
            "gofuncgraph-ebpf/src/programs/entry.rs",
        ]
    );
}

#[test]
fn a_change_of_any_source_is_noticed_and_named() {
    for (name, from, to, difference) in [
        (
            "gofuncgraph-ebpf/src/main.rs",
            "{}",
            "{ }",
            "changed: gofuncgraph-ebpf/src/main.rs",
        ),
        (
            "gofuncgraph-common/src/lib.rs",
            "lib",
            "lob",
            "changed: gofuncgraph-common/src/lib.rs",
        ),
        (
            "Cargo.toml",
            "lto = true",
            "lto = false",
            "changed: Cargo.toml [profile.bpf]",
        ),
        (
            "Cargo.lock",
            "\"01\"",
            "\"05\"",
            "changed: Cargo.lock aya-ebpf 0.2.1",
        ),
        (
            "Cargo.lock",
            "\"04\"",
            "\"05\"",
            "changed: Cargo.lock cty 2.0.0",
        ),
    ] {
        assert_eq!(changes(name, from, to), [difference]);
    }
}

#[test]
fn what_the_object_does_not_depend_on_changes_nothing() {
    for (name, from, to) in [
        (
            "Cargo.toml",
            "lto = true\nopt-level = 3",
            "opt-level = 3\n\nlto = true",
        ),
        ("Cargo.lock", "\"02\"", "\"05\""),
        ("Cargo.lock", "\"03\"", "\"05\""),
    ] {
        assert_eq!(changes(name, from, to), Vec::<String>::new());
    }
}

#[test]
fn added_and_removed_files_are_named() {
    let tree = tree();
    let before = Sources::read(tree.path()).unwrap();
    write(tree.path(), "gofuncgraph-ebpf/src/more.rs", "");
    write(tree.path(), "gofuncgraph-ebpf/src/.more.rs.swp", "");
    fs::remove_file(tree.path().join("gofuncgraph-ebpf/src/programs/entry.rs")).unwrap();
    let after = Sources::read(tree.path()).unwrap();
    assert_eq!(
        before.differences(&after),
        [
            "added: gofuncgraph-ebpf/src/more.rs",
            "removed: gofuncgraph-ebpf/src/programs/entry.rs"
        ]
    );
}
