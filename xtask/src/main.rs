//! Developer commands: `cargo xtask`, which lists them.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::{
    bench, demo, ebpf, figures, fuzz, golden_recordings, kernels, matrix, realworld, suite,
};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Developer commands of gofuncgraph",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything, start the example server, trace its slow requests and say what is slow
    Demo,
    /// Install what the tests need, then run formatters, linters and every test
    Test(suite::Options),
    /// Rebuild the eBPF object that is checked in
    BuildEbpf(ebpf::Options),
    /// Make the recordings anew that tests replay
    GoldenRecordings,
    /// Give hostile bytes to whatever reads recordings and rules
    Fuzz(fuzz::Options),
    /// Run live tests on other kernels, in a virtual machine
    Kernels(kernels::Options),
    /// Trace what every Go release builds in every way, and write docs/SUPPORT.md
    Matrix(matrix::Options),
    /// Trace well-known programs while they work, and write docs/SUPPORT.md
    Realworld(realworld::Options),
    /// Measure what tracing costs on this machine
    Figures(figures::Options),
    /// Measure what tracing costs on this machine, beside other tracers
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    match Arguments::parse().command {
        Command::Demo => demo::run(),
        Command::Test(options) => suite::run(&options),
        Command::BuildEbpf(options) => ebpf::run(&options),
        Command::GoldenRecordings => golden_recordings::run(),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Kernels(options) => kernels::run(&options),
        Command::Matrix(options) => matrix::run(&options),
        Command::Realworld(options) => realworld::run(&options),
        Command::Figures(options) => figures::run(&options),
        Command::Bench(options) => bench::run(&options),
    }
}
