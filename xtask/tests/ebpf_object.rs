//! The eBPF object that is checked in belongs to the sources beside it.

use std::fs;

use xtask::ebpf::fingerprint::Sources;
use xtask::ebpf::record::Record;
use xtask::ebpf::{OBJECT_PATH, RECORD_PATH, check, strip};
use xtask::workspace;

#[test]
fn the_object_was_built_from_this_tree() {
    let root = workspace::root().unwrap();
    let record = Record::read(&root.join(RECORD_PATH)).unwrap();
    let sources = Sources::read(&root).unwrap();
    if let Err(error) = check::record_matches(&root, &record, &sources) {
        panic!("{error:#}");
    }
}

#[test]
fn the_object_loads_and_has_no_debug_sections() {
    let object = fs::read(workspace::root().unwrap().join(OBJECT_PATH)).unwrap();
    strip::verify(&object).unwrap();
    assert_eq!(
        strip::strip(&object).unwrap(),
        object,
        "stripping changes it again"
    );
}
