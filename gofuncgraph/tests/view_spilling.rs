//! A large tree's bytes can be taken while it is being written.

#[path = "support/gate_simulator.rs"]
mod gate_simulator;
#[path = "support/golden.rs"]
mod golden;
#[path = "support/viewed.rs"]
mod viewed;

use golden::{FIRST, LEAF, ROOT, plain_tree, program};
use viewed::*;

/// More than this of a destination does not wait, but for the longest line.
const MOST_BYTES: usize = (1 << 20) + 1000;

#[test]
fn bytes_are_the_same_and_few_of_them_wait() {
    let mut program = program();
    plain_tree(&mut program, FIRST);
    program.call(FIRST, ROOT);
    for _ in 0..40_000 {
        program.call(FIRST, LEAF);
        program.ret(FIRST);
    }
    program.ret(FIRST);
    plain_tree(&mut program, FIRST);
    let formats = ["text", "graph", "functrace", "jsonl", "chrome", "folded"];
    let variants: [&[&str]; 3] = [&[], &["--stream"], &["--top", "1"]];
    for format in formats {
        for variant in variants {
            let options = [&["-f", format], variant].concat();
            let whole = output(&options, &program);
            let mut view = view(&options);
            let mut taken = Vec::new();
            let mut most = 0;
            let spill = &mut |_, bytes: &mut Vec<u8>| {
                most = most.max(bytes.len());
                taken.append(bytes);
            };
            for event in &program.events {
                view.handle_spilling(event, spill);
            }
            view.finish_spilling(program.now, spill);
            let rest: Vec<u8> = view
                .take_output()
                .into_iter()
                .flat_map(|(_, bytes)| bytes)
                .collect();
            assert!(most <= MOST_BYTES, "{options:?}: {most} bytes");
            assert!(rest.len() <= MOST_BYTES, "{options:?}: {}", rest.len());
            assert_eq!(format == "folded", taken.is_empty(), "{options:?}");
            taken.extend(rest);
            assert!(taken == whole.as_bytes(), "{options:?}");
        }
    }
}
