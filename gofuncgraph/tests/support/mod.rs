//! What the live tests share: Go programs built and talked to, the tracer run on them, and its
//! text read back.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod go_build;
pub mod http;
pub mod memory;
pub mod oracle;
pub mod private_binary;
pub mod program;
pub mod text;
pub mod tracer;

use std::time::Duration;

/// How long anything may take before a test fails. Nothing waits that long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(60);
