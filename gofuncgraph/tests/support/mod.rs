//! What the tests of this folder share.
#![allow(
    dead_code,
    reason = "every test file includes this module and uses a part of it"
)]

pub mod go_build;
