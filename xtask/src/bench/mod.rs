//! `cargo xtask bench`: what tracing costs, with rivals in the same run.
//!
//! - [`cost`], [`http`], [`attach`] and [`tracer_cost`] measure cases; [`goals`] holds them against
//!   what the project wants to reach.
//! - [`rival`] starts tracers, [`child`] waits for them only so long, [`load`] asks a server for
//!   pages, and [`system`] reads what the kernel tells of a process.
//! - [`report`] and [`statistics`] are what was found, [`markdown`] writes it.

mod attach;
pub(crate) mod child;
mod cost;
mod goals;
mod http;
mod load;
mod markdown;
mod report;
mod rival;
mod statistics;
mod system;
mod tracer_cost;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use self::report::{Case, Report};
use self::rival::Tools;
use crate::{example, figures, go, process, workspace};

const DOCUMENT_PATH: &str = "docs/BENCHMARKS.md";
const DEFAULT_ROUNDS: u16 = 5;
/// In the order in which they run.
const CASES: [&str; 9] = [
    "call",
    "outside",
    "json",
    "http",
    "tree",
    "attach",
    "startup",
    "cost",
    "sustained",
];
/// Cases that measure other tracers as well.
const WITH_RIVALS: [&str; 3] = ["call", "outside", "json"];
/// Cases that measure a large program, which is built first.
const WITH_LARGE_SERVER: [&str; 2] = ["attach", "startup"];
/// All binaries of this case have to be fetched.
const NOT_QUICK: &str = "startup";

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Options {
    /// Measure only these cases: call, outside, json, http, tree, attach, startup, cost, sustained
    #[arg(value_name = "CASE")]
    cases: Vec<String>,
    /// How often each case is measured
    #[arg(long, value_name = "N", default_value_t = DEFAULT_ROUNDS,
        value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// One round of small cases, without rivals and without what has to be fetched first: shows
    /// that the benchmark works, not how fast anything is
    #[arg(long, conflicts_with = "rounds")]
    quick: bool,
    /// Where to write all values [default: bench.json in the target folder, or bench-quick.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write docs/BENCHMARKS.md as well
    #[arg(long, conflicts_with_all = ["quick", "cases"])]
    write: bool,
    /// Measure this tracer instead of building one
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    tracer: Option<PathBuf>,
}

/// How much is measured.
pub struct Plan {
    /// How often each case is measured.
    pub rounds: usize,
    /// Only to show that it works.
    pub quick: bool,
}

impl Plan {
    /// So much of something, or a tenth of it in a quick run.
    fn scaled(&self, count: usize) -> usize {
        if self.quick { count / 10 } else { count }
    }

    fn progress(&self, case: &str, round: usize) {
        eprintln!("{case}: round {round}");
    }
}

/// Runs `cargo xtask bench`.
pub fn run(options: &Options) -> Result<()> {
    let chosen = chosen(&options.cases, options.quick)?;
    process::prepare_sudo()?;
    go::ensure()?;
    let tracer = match &options.tracer {
        Some(tracer) => std::path::absolute(tracer)?,
        None => workspace::build_tracer()?,
    };
    let plan = Plan {
        rounds: if options.quick {
            1
        } else {
            options.rounds.into()
        },
        quick: options.quick,
    };
    let report = measure(&chosen, &plan, tracer, command(options))?;
    let json_path = match &options.json {
        Some(path) => path.clone(),
        None => workspace::target_dir()?.join(match options.quick {
            true => "bench-quick.json",
            false => "bench.json",
        }),
    };
    let text = markdown::text(&report);
    print!("{text}");
    let mut json = serde_json::to_string_pretty(&report).context("cannot write JSON")?;
    json.push('\n');
    fs::write(&json_path, json).with_context(|| format!("cannot write {}", json_path.display()))?;
    eprintln!("wrote {}", json_path.display());
    if options.write {
        let path = workspace::root()?.join(DOCUMENT_PATH);
        fs::write(&path, format!("# Benchmarks\n\n{}\n", text.trim_end()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {DOCUMENT_PATH}");
    }
    let missing = report.missing();
    if !missing.is_empty() {
        bail!(
            "rows that have to be there are missing:\n{}",
            missing.join("\n")
        );
    }
    Ok(())
}

/// Runs the quick cases with a tracer that is built already, to show that the benchmark works.
pub fn smoke(tracer: PathBuf) -> Result<()> {
    run(&Options {
        cases: Vec::new(),
        rounds: DEFAULT_ROUNDS,
        quick: true,
        json: None,
        write: false,
        tracer: Some(tracer),
    })
}

fn measure(
    chosen: &[&'static str],
    plan: &Plan,
    tracer: PathBuf,
    command: String,
) -> Result<Report> {
    let programs = workspace::root()?.join("xtask").join("programs");
    let program = |name: &str| example::build_go(&programs.join(name), name);
    let (percall, jsonloop) = (program("percall")?, program("jsonloop")?);
    let loadserver = program("loadserver")?;
    let any_of = |names: &[&str]| chosen.iter().any(|case| names.contains(case));
    let tools = if any_of(&WITH_RIVALS) && !plan.quick {
        Tools::install(tracer)
    } else {
        Tools::ours(tracer)
    };
    if any_of(&WITH_LARGE_SERVER) && !plan.quick {
        // Built before anything is measured; if it cannot be, its rows say why.
        let _ = attach::large_server();
    }
    let begun = Instant::now();
    let cases: Vec<Case> = chosen
        .iter()
        .filter_map(|case| {
            Some(match *case {
                "call" => cost::calls(&percall, plan, &tools),
                "outside" => cost::calls_outside(&percall, plan, &tools),
                "json" => cost::json(&jsonloop, plan, &tools),
                "http" => http::measure(&loadserver, plan, &tools),
                "tree" => tracer_cost::large_tree(&percall, plan, &tools),
                "attach" => attach::attach_and_detach(&loadserver, plan, &tools),
                "startup" => attach::start_up(plan, &tools),
                "cost" => tracer_cost::share(&percall, plan, &tools),
                "sustained" => tracer_cost::sustained(&percall, plan, &tools),
                _ => return None,
            })
        })
        .collect();
    Ok(Report {
        machine: figures::describe()?,
        command,
        rounds: plan.rounds,
        quick: plan.quick,
        took_s: begun.elapsed().as_secs_f64(),
        goals: goals::of(&cases),
        cases,
    })
}

fn chosen(names: &[String], quick: bool) -> Result<Vec<&'static str>> {
    if let Some(name) = names.iter().find(|name| !CASES.contains(&name.as_str())) {
        bail!(
            "there is no case {name:?}: choose from {}",
            CASES.join(", ")
        );
    }
    let chosen = CASES.into_iter().filter(|case| {
        let is_named = names.iter().any(|name| name == case);
        (names.is_empty() || is_named) && !(quick && *case == NOT_QUICK)
    });
    let chosen: Vec<_> = chosen.collect();
    if chosen.is_empty() {
        bail!("a quick run has no case `{NOT_QUICK}`: leave --quick away");
    }
    Ok(chosen)
}

fn command(options: &Options) -> String {
    let mut words = vec!["cargo xtask bench".to_owned()];
    words.extend(options.cases.iter().cloned());
    if options.quick {
        words.push("--quick".to_owned());
    } else if options.rounds != DEFAULT_ROUNDS {
        words.push(format!("--rounds {}", options.rounds));
    }
    if options.write {
        words.push("--write".to_owned());
    }
    words.join(" ")
}

/// What an error says, without the places of this machine, which are nobody's business.
fn words_of(error: &anyhow::Error) -> String {
    let mut words = format!("{error:#}");
    if let Ok(root) = workspace::root() {
        words = words.replace(&root.display().to_string(), ".");
    }
    if let Some(home) = std::env::home_dir() {
        words = words.replace(&format!("{}/", home.display()), "~/");
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_chosen_by_name_and_run_in_their_order() {
        let names = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        assert_eq!(chosen(&[], false).unwrap(), CASES);
        assert_eq!(chosen(&[], true).unwrap().len(), CASES.len() - 1);
        assert_eq!(
            chosen(&names(&["http", "call"]), false).unwrap(),
            ["call", "http"]
        );
        let error = chosen(&names(&["htp"]), false).unwrap_err().to_string();
        assert!(error.contains("choose from call, outside"), "{error}");
        assert!(chosen(&names(&["startup"]), true).is_err());
    }

    #[test]
    fn errors_name_no_place_of_this_machine() {
        let root = workspace::root().unwrap();
        let error = anyhow::anyhow!("cannot read {}/target/x:\n  gone", root.display());
        assert_eq!(words_of(&error), "cannot read ./target/x: gone");
    }
}
