//! Any bytes as a recording: see `cargo xtask fuzz`.
#![no_main]

use gofuncgraph_fuzz::{memory, mutate, pipeline};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

#[global_allocator]
static MEMORY: memory::Counted = memory::Counted;

fuzz_target!(|recording: &[u8]| pipeline::look_at(recording));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::recording(data, size, max_size, seed)
});
