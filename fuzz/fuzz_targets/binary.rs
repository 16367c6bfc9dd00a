//! Damaged executables of several Go releases: see `cargo xtask fuzz`.
#![no_main]

use gofuncgraph_fuzz::{bases, memory};
use libfuzzer_sys::fuzz_target;

#[global_allocator]
static MEMORY: memory::Counted = memory::Counted;

fuzz_target!(|input: &[u8]| bases::look_at(input));
