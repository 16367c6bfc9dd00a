//! `cargo xtask figures`: what tracing costs on this machine.

mod attaching;
pub(crate) mod machine;
mod measured;
mod per_call;
mod recording;
mod replaying;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::{process, workspace};

pub(crate) use attaching::Timings;
pub(crate) use machine::describe;

const FIGURES_PATH: &str = "docs/FIGURES.md";
const README_PATH: &str = "README.md";
const README_BEGIN: &str = "<!-- figures -->";
const README_END: &str = "<!-- /figures -->";

/// Arguments of `cargo xtask figures`.
#[derive(clap::Args)]
pub struct Options {
    /// Write the figures to docs/FIGURES.md and between README.md's markers as well
    #[arg(long, conflicts_with = "only")]
    write: bool,
    /// Measure this part only; repeatable
    #[arg(long)]
    only: Vec<Part>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// What a traced call costs
    Calls,
    /// Getting ready, attaching and detaching
    Attaching,
    /// What recording costs a traced call
    Recording,
    /// Size of a recording, and speed and memory of its replay
    Replaying,
}

/// One line of the table.
struct Figure {
    what: String,
    measured: String,
    /// What the project wants to reach; empty where there is no such figure.
    goal: &'static str,
}

/// Runs `cargo xtask figures`.
pub fn run(options: &Options) -> Result<()> {
    process::prepare_sudo()?;
    let root = workspace::root()?;
    let tracer = workspace::build_tracer()?;
    let mut figures = Vec::new();
    for part in Part::value_variants() {
        if !options.only.is_empty() && !options.only.contains(part) {
            continue;
        }
        figures.extend(match part {
            Part::Calls => per_call::measure(&root, &tracer),
            Part::Attaching => attaching::measure(&tracer),
            Part::Recording => recording::measure(&root, &tracer),
            Part::Replaying => replaying::measure(&tracer),
        }?);
    }
    let text = to_text(&machine::describe()?, &figures);
    print!("{text}");
    if options.write {
        write(&root, &text)?;
    }
    Ok(())
}

fn to_text(machine: &str, figures: &[Figure]) -> String {
    let rows: String = figures
        .iter()
        .map(|figure| {
            format!(
                "| {} | {} | {} |\n",
                figure.what, figure.measured, figure.goal
            )
        })
        .collect();
    format!(
        "Measured by `cargo xtask figures` on {machine}; medians; of replays the best of several.\n\n\
         | what | measured | goal |\n|---|---|---|\n{rows}"
    )
}

fn write(root: &Path, text: &str) -> Result<()> {
    let readme_path = root.join(README_PATH);
    let readme = fs::read_to_string(&readme_path)
        .with_context(|| format!("cannot read {}", readme_path.display()))?;
    let readme = between_markers(&readme, text).with_context(|| {
        format!("{README_PATH} has no {README_BEGIN} followed by {README_END}: add both")
    })?;
    let figures_path = root.join(FIGURES_PATH);
    fs::write(&figures_path, format!("# What tracing costs\n\n{text}"))
        .with_context(|| format!("cannot write {}", figures_path.display()))?;
    fs::write(&readme_path, readme)
        .with_context(|| format!("cannot write {}", readme_path.display()))?;
    eprintln!("wrote {FIGURES_PATH} and the figures in {README_PATH}");
    Ok(())
}

fn between_markers(readme: &str, text: &str) -> Option<String> {
    let (before, rest) = readme.split_once(README_BEGIN)?;
    let (_, after) = rest.split_once(README_END)?;
    Some(format!("{before}{README_BEGIN}\n{text}{README_END}{after}"))
}

/// The middle value; the mean of the two middle ones of an even number. None of nothing.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(middle.checked_sub(1)?)?;
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let readme = "a\n<!-- figures -->\nold\n<!-- /figures -->\nb\n";
        assert_eq!(
            between_markers(readme, "new\n").unwrap(),
            "a\n<!-- figures -->\nnew\n<!-- /figures -->\nb\n"
        );
        assert_eq!(between_markers("a\n<!-- /figures -->\n", "new\n"), None);
    }

    #[test]
    fn a_figure_is_a_row() {
        let figure = Figure {
            what: "ratio".to_owned(),
            measured: "0.55".to_owned(),
            goal: "at most 0.65",
        };
        let text = to_text("a machine", &[figure]);
        assert!(
            text.ends_with("|---|---|---|\n| ratio | 0.55 | at most 0.65 |\n"),
            "{text}"
        );
    }
}
