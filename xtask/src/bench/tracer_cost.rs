//! What the tracer itself takes: CPU time, memory, and how much it can take in.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::report::{Case, Unit, grouped};
use super::rival::{self, Rival, Summary, Tools};
use super::{Plan, system, words_of};
use crate::line_program::LineProgram;

/// Tracer's CPU time divided by the target's in probes.
pub const SHARE: &str = "tracer's CPU time per CPU time of the target in probes";
const PER_CALL: &str = "tracer's CPU time per call";
const TRACER_MEMORY: &str = "peak memory of the tracer";
const TARGET_GROWTH: &str = "growth of the target's memory";
const WALL: &str = "time";
const TRACER_CPU: &str = "tracer's CPU time";
/// Entries and exits.
const EVENTS: &str = "events without loss";

const TARGET: &str = "main.root";
const SHOWN: &str = "main.leaf";
/// The tracer has done what is left to do within this, after calls.
const LONGEST_REST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(400);
/// Most calls of a tree of this module's, but for the large one.
const TREE: usize = 20_000;
const MOST_PROMOTION_BATCHES: usize = 20;
const PART_OF_MOST_THAT_IS_TRIED: f64 = 0.8;
const MOST_RATES: usize = 8;

/// How a trace is kept.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    rival: Rival,
    records: bool,
}

const WAYS: [Way; 3] = [
    Way {
        name: "gofuncgraph `--promote auto`, text",
        rival: Rival::Promoting,
        records: false,
    },
    Way {
        name: "gofuncgraph `--promote auto`, recording",
        rival: Rival::Promoting,
        records: true,
    },
    Way {
        name: "gofuncgraph `--promote off`, text",
        rival: Rival::Returns,
        records: false,
    },
];

/// The row that the goal for the tracer's CPU time is about.
pub const USUAL_WAY: &str = WAYS[0].name;

impl Way {
    fn trace(self, tools: &Tools, binary: &Path) -> Result<super::child::Child> {
        let mut words = Vec::new();
        if self.records {
            words.extend(["record", "-o", "/dev/null"]);
        }
        words.extend(self.rival.options().context("it is not this project's")?);
        words.extend(["-u", SHOWN]);
        tools.trace(&words, binary, TARGET)
    }

    /// Lets the program work until its function is promoted, should it be.
    fn settle(self, child: &super::child::Child, program: &mut LineProgram) -> Result<()> {
        let batch = TREE.to_string();
        program.nanoseconds(&batch, LONGEST)?;
        if self.rival == Rival::Promoting {
            for _ in 0..MOST_PROMOTION_BATCHES {
                if rival::has_promoted(child, Duration::ZERO)? {
                    break;
                }
                program.nanoseconds(&batch, LONGEST)?;
            }
        }
        Ok(())
    }
}

/// CPU time and memory while calls are traced.
pub fn share(binary: &Path, plan: &Plan, tools: &Tools) -> Case {
    let mut case = Case::new(
        "cost",
        "What the tracer takes",
        "xtask/programs/percall calls `main.leaf` in trees of 20,000 calls without a pause: \
         1,000,000 calls with `--promote auto` once it has promoted the function, 200,000 with \
         `--promote off`. The tracer's user and system time from before these calls until it has \
         nothing left to do is divided by the time that the target spends in probes: the time \
         of the calls, less what they take with no tracing. Text and recording go to /dev/null. \
         The growth is that of the target's resident set from before the tracer \
         starts until after the calls.",
    );
    for way in WAYS {
        case.promise(way.name, SHARE, Unit::Percent, None);
        case.promise(way.name, PER_CALL, Unit::Nanoseconds, None);
        case.promise(way.name, TRACER_MEMORY, Unit::Bytes, None);
        case.promise(way.name, TARGET_GROWTH, Unit::Bytes, None);
    }
    for round in 1..=plan.rounds {
        plan.progress(case.name, round);
        for way in WAYS {
            if case.is_hopeless(way.name) {
                continue;
            }
            if let Err(error) = one_share(&mut case, way, binary, plan, tools) {
                case.fail(way.name, &words_of(&error));
            }
        }
    }
    case.finish()
}

fn one_share(case: &mut Case, way: Way, binary: &Path, plan: &Plan, tools: &Tools) -> Result<()> {
    let calls = plan.scaled(match way.rival {
        Rival::Promoting => 1_000_000,
        _ => 200_000,
    });
    let mut program = LineProgram::start(binary)?;
    let untraced = program.nanoseconds("2000000", LONGEST)?;
    let resident_before = system::resident_bytes(program.pid())?;
    let child = way.trace(tools, binary)?;
    way.settle(&child, &mut program)?;
    let tracer = child.pid()?;
    let cpu_before = system::cpu_time_at_rest(tracer, LONGEST_REST)?;
    let mut nanoseconds = 0.0;
    for _ in 0..calls / TREE {
        nanoseconds += (program.nanoseconds(&TREE.to_string(), LONGEST)? - untraced) * TREE as f64;
    }
    let cpu = system::cpu_time_at_rest(tracer, LONGEST_REST)?.saturating_sub(cpu_before);
    let growth = system::resident_bytes(program.pid())? as f64 - resident_before as f64;
    let ended = rival::end(child)?;
    let summary = Summary::of(&ended.lines)?;
    let cpu_ns = cpu.as_secs_f64() * 1e9;
    case.push(way.name, SHARE, 100.0 * cpu_ns / nanoseconds);
    case.push(way.name, PER_CALL, cpu_ns / calls as f64);
    case.push(way.name, TRACER_MEMORY, ended.peak_memory_bytes as f64);
    case.push(way.name, TARGET_GROWTH, growth);
    if summary.lost != 0 {
        case.note(way.name, "events were lost in some rounds");
    }
    Ok(())
}

/// A tree of very many calls.
pub fn large_tree(binary: &Path, plan: &Plan, tools: &Tools) -> Case {
    let calls = plan.scaled(10_000_000) / if plan.quick { 10 } else { 1 };
    let mut case = Case::new(
        "tree",
        "One very large tree",
        format!(
            "`main.root` calls `main.leaf` {} times in one tree, which the tracer prints to /dev/null in \
             parts of 1,000,000 calls. Told are how long the target takes, from the first call on \
             (so a promotion happens on the way), and the tracer's CPU time and peak memory from its \
             start to its end. Measured once in five rounds.",
            grouped(calls as f64)
        ),
    );
    let ways = [WAYS[0], WAYS[2]];
    for way in ways {
        let reference = (way.rival == Rival::Promoting).then_some(WAYS[2].name);
        case.promise(way.name, WALL, Unit::Seconds, reference);
        case.promise(way.name, TRACER_CPU, Unit::Seconds, reference);
        case.promise(way.name, TRACER_MEMORY, Unit::Bytes, reference);
    }
    let rounds = plan.rounds.div_ceil(5);
    for round in 1..=rounds {
        plan.progress(case.name, round);
        for way in ways {
            if case.is_hopeless(way.name) {
                continue;
            }
            if let Err(error) = one_large_tree(&mut case, way, calls, binary, tools) {
                case.fail(way.name, &words_of(&error));
            }
        }
    }
    case.finish()
}

fn one_large_tree(
    case: &mut Case,
    way: Way,
    calls: usize,
    binary: &Path,
    tools: &Tools,
) -> Result<()> {
    let mut program = LineProgram::start(binary)?;
    let child = way.trace(tools, binary)?;
    let nanoseconds = program.nanoseconds(&calls.to_string(), LONGEST)?;
    let ended = rival::end(child)?;
    let summary = Summary::of(&ended.lines)?;
    if summary.calls.saturating_add(summary.lost) < calls as u64 {
        bail!("not every call was traced: {summary:?}");
    }
    case.push(way.name, WALL, nanoseconds * calls as f64 / 1e9);
    case.push(way.name, TRACER_CPU, ended.cpu.as_secs_f64());
    case.push(way.name, TRACER_MEMORY, ended.peak_memory_bytes as f64);
    if summary.lost != 0 {
        let lost = grouped(summary.lost as f64);
        case.note(way.name, &format!("{lost} events were lost"));
    }
    Ok(())
}

/// How many events a second reach the tracer without loss.
pub fn sustained(binary: &Path, plan: &Plan, tools: &Tools) -> Case {
    let mut case = Case::new(
        "sustained",
        "Events a second without loss",
        format!(
            "xtask/programs/percall calls `main.leaf` in trees of 1,000 calls for {} s, first as fast as \
             it can on one thread, then at {PART_OF_MOST_THAT_IS_TRIED} of the rate before, until \
             nothing is lost (at most {MOST_RATES} rates). Told is the rate that was reached \
             then, entries and exits together, with the usual buffer of 16 MiB. \
             It is noted if nothing was lost at the highest rate: then the target, not the tracer, \
             was the limit.",
            plan.sustained_s()
        ),
    );
    for way in WAYS {
        let reference = (way.rival == Rival::Promoting).then_some(WAYS[2].name);
        case.promise(way.name, EVENTS, Unit::PerSecond, reference);
    }
    // One value of a round is the outcome of several runs.
    let rounds = plan.rounds.min(3);
    for round in 1..=rounds {
        plan.progress(case.name, round);
        for way in WAYS {
            if case.is_hopeless(way.name) {
                continue;
            }
            if let Err(error) = one_sustained(&mut case, way, binary, plan, tools) {
                case.fail(way.name, &words_of(&error));
            }
        }
    }
    case.finish()
}

fn one_sustained(
    case: &mut Case,
    way: Way,
    binary: &Path,
    plan: &Plan,
    tools: &Tools,
) -> Result<()> {
    // A rate that no program reaches, so that it never waits.
    let mut asked = 1_000_000_000.0;
    for attempt in 0..MOST_RATES {
        let mut program = LineProgram::start(binary)?;
        let child = way.trace(tools, binary)?;
        way.settle(&child, &mut program)?;
        let probe = program.nanoseconds(&format!("{TREE} {asked:.0}"), LONGEST)?;
        let calls = 1e9 / probe * plan.sustained_s();
        let nanoseconds = program.nanoseconds(&format!("{calls:.0} {asked:.0}"), LONGEST)?;
        let ended = rival::end(child)?;
        let reached = 1e9 / nanoseconds;
        if Summary::of(&ended.lines)?.lost == 0 {
            case.push(way.name, EVENTS, reached * 2.0);
            if attempt == 0 {
                case.note(
                    way.name,
                    "nothing was lost at the highest rate in some rounds",
                );
            }
            return Ok(());
        }
        asked = reached * PART_OF_MOST_THAT_IS_TRIED;
    }
    bail!(
        "events were lost at each of {MOST_RATES} rates, the last of which was {asked:.0} calls/s"
    )
}

impl Plan {
    fn sustained_s(&self) -> f64 {
        if self.quick { 0.3 } else { 3.0 }
    }
}
