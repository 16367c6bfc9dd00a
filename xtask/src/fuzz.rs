//! `cargo xtask fuzz`: damaged executables, any bytes as a recording, any text as rules, for as long
//! as one likes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::go;
use crate::process::{self, Run};
use crate::workspace;

/// Arguments of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub struct Options {
    /// What is fuzzed; without it, one after the other
    target: Option<Target>,
    /// How long each of them is
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

/// What can be fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// What is read of an executable before it is traced
    Binary,
    /// The recording reader, and everything that looks at what it reads
    Recording,
    /// The parser of rules, and their verdicts
    Rules,
}

impl Target {
    const ALL: [Self; 3] = [Self::Binary, Self::Recording, Self::Rules];

    fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Recording => "recording",
            Self::Rules => "rules",
        }
    }

    /// Bytes of the longest input.
    fn max_length(self) -> u32 {
        match self {
            Self::Binary => 1000,
            Self::Recording => 40_000,
            Self::Rules => 400,
        }
    }
}

/// The only machine that the tracer runs on. Named, so that the flags below are not used for
/// what runs while building.
const MACHINE: &str = "x86_64-unknown-linux-gnu";

/// What libFuzzer needs to see which code an input reaches. Stable Rust has no option for it,
/// but hands these to LLVM.
const COVERAGE_FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
    -Ccodegen-units=1";

/// Megabytes that the process may have, and seconds that one input may take.
const LIMITS: [&str; 2] = ["-rss_limit_mb=1024", "-timeout=20"];

/// Runs `cargo xtask fuzz`.
pub fn run(options: &Options) -> Result<()> {
    ensure_compiler()?;
    let root = workspace::root()?;
    let folder = workspace::target_dir()?.join("fuzz");
    build(&root, &folder)?;
    let targets = options
        .target
        .map_or_else(|| Target::ALL.to_vec(), |it| vec![it]);
    for target in targets {
        fuzz(target, options.seconds, &root, &folder)?;
    }
    Ok(())
}

/// libFuzzer is written in C++.
fn ensure_compiler() -> Result<()> {
    if Run::new("c++").arg("--version").succeeds() {
        return Ok(());
    }
    process::prepare_sudo()?;
    process::as_root("apt-get")
        .args(["install", "--yes", "g++"])
        .hint("libFuzzer is built with a C++ compiler: install one that is called c++")
        .run()
}

fn build(root: &Path, folder: &Path) -> Result<()> {
    workspace::cargo()?
        .args(["build", "--release", "--locked", "--bins"])
        .args(["--target", MACHINE])
        .arg("--manifest-path")
        .arg(root.join("fuzz/Cargo.toml"))
        .arg("--target-dir")
        .arg(folder)
        .env("RUSTFLAGS", COVERAGE_FLAGS)
        .hint("the compiler names what is wrong above")
        .run()
}

fn fuzz(target: Target, seconds: u32, root: &Path, folder: &Path) -> Result<()> {
    let name = target.name();
    // What is found by one run is where the next one begins.
    let corpus = folder.join("corpus").join(name);
    let seeds = folder.join("seeds").join(name);
    let findings = folder.join("findings");
    for needed in [&corpus, &seeds, &findings] {
        fs::create_dir_all(needed)
            .with_context(|| format!("cannot create {}", needed.display()))?;
    }
    match target {
        Target::Binary => binary_seeds(root, folder, &seeds)?,
        Target::Recording => workspace::cargo()?
            .args(["run", "--release", "--quiet", "--package", "gofuncgraph"])
            .args(["--example", "fuzz_seeds", "--"])
            .arg(&seeds)
            .run()?,
        Target::Rules => rule_seeds(root, &seeds)?,
    }
    let mut fuzzer = Run::new(folder.join(MACHINE).join("release").join(name))
        .args([&corpus, &seeds])
        .args(LIMITS)
        .arg(format!("-max_len={}", target.max_length()))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/{name}-", findings.display()))
        .arg("-print_final_stats=1");
    if target == Target::Rules {
        fuzzer = fuzzer.arg(format!("-dict={}", root.join("fuzz/rules.dict").display()));
    }
    fuzzer
        .hint(format!(
            "what was found is named above; run the same program with that file as its only argument to see it \
             again, mend it, and keep the file in gofuncgraph/tests/hostile/{name}"
        ))
        .run()
}

/// Releases whose executables differ in what is read of them.
const RELEASES: [&str; 7] = [
    "go1.17.13",
    "go1.18.10",
    "go1.20.14",
    "go1.21.13",
    "go1.23.12",
    "go1.25.5",
    "go1.27.3",
];

/// Executables of several releases, and for each the input that changes nothing, and that asks for
/// another plan; beside them every executable's first bytes as a file.
fn binary_seeds(root: &Path, folder: &Path, seeds: &Path) -> Result<()> {
    let bases = folder.join("bases");
    fs::create_dir_all(&bases).with_context(|| format!("cannot create {}", bases.display()))?;
    let source = root.join("xtask/programs/matrix");
    let mut base = 0_u8;
    for release in RELEASES {
        for mode in ["exe", "pie"] {
            let program = bases.join(format!("{release}-{mode}"));
            go::at_release(release)?
                .args(["build", "-trimpath", "-ldflags=-s -w"])
                .arg(format!("-buildmode={mode}"))
                .arg("-o")
                .arg(&program)
                .arg(".")
                .current_dir(&source)
                .read()?;
            let head = fs::read(&program)?;
            let head = head.get(..900).unwrap_or_default();
            for choice in 0..3 {
                let seed = seeds.join(format!("{release}-{mode}-{choice}"));
                // A change that writes nothing new is what others begin with.
                let change = [0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                let input = [&[base, choice], change.as_slice()].concat();
                fs::write(&seed, &input[..if choice == 0 { 2 } else { input.len() }])?;
            }
            let whole = [&[0xff, 0], head].concat();
            fs::write(seeds.join(format!("{release}-{mode}-head")), whole)?;
            base += 1;
        }
    }
    Ok(())
}

/// Every rule by itself, and all of them.
fn rule_seeds(root: &Path, seeds: &Path) -> Result<()> {
    let path = root.join("fuzz/seeds/rules.txt");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let rules = text.lines().chain([text.as_str()]);
    for (number, rule) in rules.enumerate() {
        let seed = seeds.join(number.to_string());
        fs::write(&seed, rule).with_context(|| format!("cannot write {}", seed.display()))?;
    }
    Ok(())
}
