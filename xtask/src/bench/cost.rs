//! What tracing costs a program per unit of its work, with all rivals in turn.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use super::report::{Case, Unit};
use super::rival::{self, Job, Rival, Summary, Tools};
use super::{Plan, words_of};
use crate::line_program::LineProgram;

/// What rows are called.
pub const ADDED: &str = "added";
/// The row of the program as it is.
pub const TAKES: &str = "takes";

/// Batches of a round whose time counts.
const BATCHES: usize = 3;
/// Batches before, for the program and the tracer to settle.
const WARM_UP_BATCHES: usize = 1;
/// More of them until functions are promoted.
const MOST_WARM_UP_BATCHES: usize = 20;
/// No batch takes longer.
const LONGEST_BATCH: Duration = Duration::from_secs(120);

/// Work that is measured untraced and with each rival.
struct Work<'a> {
    job: Job<'a>,
    /// Units of a batch when nobody traces, by this project's tracer and those like it, by `dlv`.
    units: [usize; 3],
    rivals: &'a [Rival],
    /// Each unit is at least so many calls.
    calls_per_unit: u64,
}

/// A traced call.
pub fn calls(binary: &Path, plan: &Plan, tools: &Tools) -> Case {
    let mut case = Case::new(
        "call",
        "Cost to the target of a traced call",
        "A function of a few instructions (`main.leaf` of xtask/programs/percall) is called in a \
         loop by `main.root`, on one thread. Told is how much longer a call takes, entry and \
         exit together, than with no tracing, in batches of 20,000 calls (one tree each; 2,000,000 \
         calls with no tracing, 50 for `dlv`) after a batch to warm up. gofuncgraph's targets are \
         `main.root`, its wildcard is `main.leaf`, and its trees are printed to /dev/null; \
         `--promote auto` is measured once it has promoted the function. bpftrace counts hits of \
         the function's first instruction and, where its build can place probes there, of each \
         RET (uretprobes break Go programs), and does not say which call was when or how long. \
         `dlv trace` stops the program at \
         each breakpoint.",
    );
    let job = Job {
        binary,
        target: "main.root",
        shown: "main.leaf",
        caller: "main.root",
    };
    measure(
        &mut case,
        plan,
        tools,
        &Work {
            job,
            units: [plan.scaled(2_000_000), plan.scaled(20_000), 50],
            rivals: if plan.quick {
                &Rival::ALL[..4]
            } else {
                &Rival::ALL
            },
            calls_per_unit: 1,
        },
    );
    case.finish()
}

/// A call that is attached but in no tree.
pub fn calls_outside(binary: &Path, plan: &Plan, tools: &Tools) -> Case {
    let mut case = Case::new(
        "outside",
        "Cost to the target of a call outside of any tree",
        "The same calls of `main.leaf`, but the target is `main.never`, which nothing calls: no \
         call is shown, and each pays for being attached. `--promote auto` is measured once it has \
         promoted the function. bpftrace counts hits only if a flag of \
         the thread says that it is inside of the target (`/@inside[tid]/`).",
    );
    let job = Job {
        binary,
        target: "main.never",
        shown: "main.leaf",
        caller: "main.root",
    };
    measure(
        &mut case,
        plan,
        tools,
        &Work {
            job,
            units: [plan.scaled(2_000_000), plan.scaled(20_000), 50],
            rivals: &Rival::ALL[..if plan.quick { 4 } else { 5 }],
            calls_per_unit: 0,
        },
    );
    case.finish()
}

/// A program of many small calls.
pub fn json(binary: &Path, plan: &Plan, tools: &Tools) -> Case {
    let mut case = Case::new(
        "json",
        "A program of many small calls",
        "xtask/programs/jsonloop encodes a small order as JSON in a loop; all functions of \
         `encoding/json` are attached and `main.encode` is the target. Told is the time that one \
         encoding takes more than with no tracing. Batches of 1,000 encodings (20,000 with no \
         tracing) after a batch to warm up, for `--promote auto` until functions are promoted. \
         bpftrace counts as above.",
    );
    let job = Job {
        binary,
        target: "main.encode",
        shown: "encoding/json.*",
        caller: "main.encode",
    };
    measure(
        &mut case,
        plan,
        tools,
        &Work {
            job,
            units: [plan.scaled(20_000), plan.scaled(1_000), 10],
            rivals: &Rival::ALL[..if plan.quick { 4 } else { 5 }],
            calls_per_unit: 2,
        },
    );
    case.finish()
}

fn measure(case: &mut Case, plan: &Plan, tools: &Tools, work: &Work<'_>) {
    let reference = Rival::Returns.name();
    for rival in work.rivals {
        let row = match rival {
            Rival::Untraced => case.promise(rival.name(), TAKES, Unit::Nanoseconds, None),
            Rival::Returns => case.promise(reference, ADDED, Unit::Nanoseconds, None),
            _ => case.promise(rival.name(), ADDED, Unit::Nanoseconds, Some(reference)),
        };
        row.ours = rival.is_ours();
        if let Some(note) = tools.note(*rival) {
            row.note(note);
        }
    }
    for round in 1..=plan.rounds {
        plan.progress(case.name, round);
        for rival in work.rivals {
            if case.is_hopeless(rival.name()) {
                continue;
            }
            match one_round(*rival, work, tools) {
                Ok(measured) => {
                    let metric = if *rival == Rival::Untraced {
                        TAKES
                    } else {
                        ADDED
                    };
                    for value in measured.nanoseconds {
                        case.push(rival.name(), metric, value);
                    }
                    for note in measured.notes {
                        case.note(rival.name(), &note);
                    }
                }
                Err(error) => case.fail(rival.name(), &words_of(&error)),
            }
        }
    }
    subtract_untraced(case);
}

/// Makes the values of those who trace what they add to the untraced median.
fn subtract_untraced(case: &mut Case) {
    let rows = case.rows.iter();
    let mut untraced = rows.filter(|row| row.metric == TAKES);
    let untraced = untraced.find_map(|row| super::statistics::Spread::of(&row.values));
    for row in case.rows.iter_mut().filter(|row| row.metric == ADDED) {
        match untraced {
            Some(untraced) => row.values.iter_mut().for_each(|it| *it -= untraced.median),
            None => row.values.clear(),
        }
    }
}

struct Measured {
    nanoseconds: Vec<f64>,
    notes: Vec<String>,
}

fn one_round(rival: Rival, work: &Work<'_>, tools: &Tools) -> Result<Measured> {
    let mut program = LineProgram::start(work.job.binary)?;
    let units = match rival {
        Rival::Untraced => work.units[0],
        Rival::Delve => work.units[2],
        _ => work.units[1],
    };
    let batch = units.to_string();
    let child = tools.attach(rival, &work.job, &mut program)?;
    let mut notes = Vec::new();
    let mut batches = 0;
    for _ in 0..WARM_UP_BATCHES {
        program.nanoseconds(&batch, LONGEST_BATCH)?;
        batches += 1;
    }
    if let (Rival::Promoting, Some(child)) = (rival, &child) {
        while !rival::has_promoted(child, Duration::ZERO)? && batches < MOST_WARM_UP_BATCHES {
            program.nanoseconds(&batch, LONGEST_BATCH)?;
            batches += 1;
        }
        // The batch that is under way may still begin at RETs.
        program.nanoseconds(&batch, LONGEST_BATCH)?;
        batches += 1;
        if batches > MOST_WARM_UP_BATCHES {
            notes.push("no function was promoted".to_owned());
        }
    }
    let mut nanoseconds = Vec::new();
    for _ in 0..BATCHES {
        nanoseconds.push(program.nanoseconds(&batch, LONGEST_BATCH)?);
        batches += 1;
    }
    if let Some(child) = child {
        let ended = rival::end(child)?;
        let made = (batches * units) as u64;
        let least = made * work.calls_per_unit;
        let seen = seen(rival, &ended.lines)?;
        if seen < least {
            bail!(
                "not every call was traced, so the figures would flatter: {seen} were seen, but at \
                 least {least} were made"
            );
        }
        if rival.is_ours() && work.calls_per_unit > 1 {
            notes.push(format!("{} traced calls each", seen / made));
        }
    }
    Ok(Measured { nanoseconds, notes })
}

/// The calls that a tracer says that it saw; fails if it lost some.
fn seen(rival: Rival, lines: &[String]) -> Result<u64> {
    let count = |mark: &str| lines.iter().filter(|line| line.contains(mark)).count() as u64;
    match rival {
        Rival::Untraced => Ok(0),
        Rival::Promoting | Rival::Returns | Rival::Classic => {
            let summary = Summary::of(lines)?;
            if summary.lost != 0 {
                bail!(
                    "{} events were lost, so the figures would flatter",
                    summary.lost
                );
            }
            Ok(summary.calls)
        }
        Rival::Bpftrace => {
            let mut last = lines.iter().rev();
            let entries = last.find_map(|line| line.strip_prefix("@entries: "));
            // A map that was never written to is not printed.
            Ok(entries.unwrap_or("0").parse()?)
        }
        Rival::Delve => Ok(count("> goroutine(") - count(">> goroutine(")),
        // It shows a call in more lines than are kept.
        Rival::GoFtrace => Ok(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_told_against_the_untraced_median() {
        let mut case = Case::new("call", "", "");
        case.promise("none", TAKES, Unit::Nanoseconds, None);
        case.promise("a", ADDED, Unit::Nanoseconds, None);
        for value in [5.0, 7.0, 6.0] {
            case.push("none", TAKES, value);
        }
        case.push("a", ADDED, 106.0);
        subtract_untraced(&mut case);
        assert_eq!(case.rows[0].values, [5.0, 7.0, 6.0]);
        assert_eq!(case.rows[1].values, [100.0]);
    }

    #[test]
    fn every_tracer_tells_what_it_saw() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let ours = lines("summary: trees 1, calls 7, lost entries 0, lost exits 0");
        assert_eq!(seen(Rival::Returns, &ours).unwrap(), 7);
        let lossy = lines("summary: trees 1, calls 7, lost entries 1, lost exits 0");
        assert!(seen(Rival::Returns, &lossy).is_err());
        let bpftrace = lines("@first: 1\n@last: 1\n@entries: 20\n@first: 2\n@entries: 40");
        assert_eq!(seen(Rival::Bpftrace, &bpftrace).unwrap(), 40);
        assert_eq!(seen(Rival::Bpftrace, &[]).unwrap(), 0);
        let delve = lines("> goroutine(1): main.leaf(9)\n>> goroutine(1): main.leaf => (0)");
        assert_eq!(seen(Rival::Delve, &delve).unwrap(), 1);
    }

    #[test]
    fn without_an_untraced_value_nothing_is_told() {
        let mut case = Case::new("call", "", "");
        case.promise("none", TAKES, Unit::Nanoseconds, None);
        case.promise("a", ADDED, Unit::Nanoseconds, None);
        case.push("a", ADDED, 106.0);
        subtract_untraced(&mut case);
        assert!(case.rows[1].values.is_empty());
    }
}
