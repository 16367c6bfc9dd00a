//! The work behind `cargo xtask`.
//!
//! - [`workspace`] and [`process`] say where things are and run commands.
//! - [`ebpf`] builds, records and checks the eBPF object.
//! - [`example`], [`http`], [`tracer`] and [`tree_text`] start the example server,
//!   ask it for pages, run the tracer on it and read what it printed.
//! - [`readers`] installs the programs that read formats in tests.
//! - [`line_program`] runs Go programs that measure themselves.
//! - [`bench`], [`demo`], [`suite`], [`figures`], [`fuzz`], [`kernels`], [`matrix`], [`realworld`] and [`golden_recordings`] are the other
//!   commands.
//!
//! Nothing here needs a nightly compiler, and nothing but the tracer itself runs as root.

pub mod bench;
pub mod demo;
pub mod ebpf;
pub mod example;
pub mod figures;
pub mod fuzz;
pub mod go;
pub mod golden_recordings;
pub mod http;
pub mod kernels;
pub mod line_program;
pub mod matrix;
pub mod process;
pub mod readers;
pub mod realworld;
pub mod suite;
pub mod tracer;
pub mod tree_text;
pub mod workspace;
