//! Any text as rules: see `cargo xtask fuzz`.
#![no_main]

use gofuncgraph_fuzz::{memory, rules};
use libfuzzer_sys::{Corpus, fuzz_target};

#[global_allocator]
static MEMORY: memory::Counted = memory::Counted;

fuzz_target!(|bytes: &[u8]| -> Corpus {
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            rules::apply(text);
            Corpus::Keep
        }
        Err(_) => Corpus::Reject,
    }
});
