//! A large tree's bytes can be taken while it is being written.

#[path = "support/gate_simulator.rs"]
mod gate_simulator;
#[path = "support/golden.rs"]
mod golden;
#[path = "support/viewed.rs"]
mod viewed;

use gofuncgraph::session::{DestinationId, Meanwhile};
use golden::{FIRST, LEAF, ROOT, plain_tree, program};
use viewed::*;

/// More than this of a destination does not wait, but for the longest line.
const MOST_BYTES: usize = (1 << 20) + 1000;

/// Calls of the large tree.
const CALLS: usize = 40_000;

#[derive(Default)]
struct Taken {
    bytes: Vec<u8>,
    most_bytes: usize,
    pauses: usize,
}

impl Meanwhile for Taken {
    fn spill(&mut self, _: DestinationId, bytes: &mut Vec<u8>) {
        self.most_bytes = self.most_bytes.max(bytes.len());
        self.bytes.append(bytes);
    }

    fn lines_written(&mut self) {
        self.pauses += 1;
    }
}

#[test]
fn bytes_are_the_same_and_few_of_them_wait() {
    let mut program = program();
    plain_tree(&mut program, FIRST);
    program.call(FIRST, ROOT);
    for _ in 0..CALLS {
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
            let mut taken = Taken::default();
            for event in &program.events {
                view.handle_spilling(event, &mut taken);
            }
            view.finish_spilling(program.now, &mut taken);
            let rest: Vec<u8> = view
                .take_output()
                .into_iter()
                .flat_map(|(_, bytes)| bytes)
                .collect();
            let Taken {
                bytes: mut taken,
                most_bytes,
                pauses,
            } = taken;
            assert!(most_bytes <= MOST_BYTES, "{options:?}: {most_bytes} bytes");
            // The ring of a live trace is emptied meanwhile. Lines that go out as they happen are
            // few at a time.
            let comes_at_once =
                format != "functrace" && variant != ["--stream"] || variant == ["--top", "1"];
            assert_eq!(
                comes_at_once,
                pauses >= 2 * CALLS / 5_000,
                "{options:?}: {pauses}"
            );
            assert!(rest.len() <= MOST_BYTES, "{options:?}: {}", rest.len());
            assert_eq!(format == "folded", taken.is_empty(), "{options:?}");
            taken.extend(rest);
            assert!(taken == whole.as_bytes(), "{options:?}");
        }
    }
}
