//! gofuncgraph prints the call trees of running Go programs.
//!
//! Data flows one way, and a module knows only what stands before it in this list:
//!
//! 1. [`cli`]: raw arguments, then resolved settings.

pub mod cli;
