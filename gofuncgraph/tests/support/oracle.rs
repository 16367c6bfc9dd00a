//! A program that knows how often each of its functions was called.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::program::Program;
use super::text::{Counts, Trace};
use super::tracer::{Outcome, Tracer};

/// What the oracle says about one round.
#[derive(Debug, Default)]
pub struct Truth {
    /// By function; generic functions under a name with `[...]`.
    pub counts: BTreeMap<String, Counts>,
    /// Known sleeps in the order of the calls: the function, and bounds of its duration.
    pub sleeps: Vec<(String, Duration, Duration)>,
}

/// Runs one round of the oracle.
pub fn round(oracle: &mut Program) -> Truth {
    let mut truth = Truth {
        counts: BTreeMap::new(),
        sleeps: Vec::new(),
    };
    let mut is_ok = false;
    for line in oracle.ask_until("go", "done") {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |text: &str| text.parse::<u64>().expect("the oracle prints numbers");
        match words[..] {
            ["ok"] => is_ok = true,
            ["slept", name, inner, outer] => truth.sleeps.push((
                name.to_owned(),
                Duration::from_nanos(number(inner)),
                Duration::from_nanos(number(outer)),
            )),
            [what @ ("entered" | "returned" | "unwound"), name, count] => {
                let counts = truth.counts.entry(name.to_owned()).or_default();
                match what {
                    "entered" => counts.entries = number(count),
                    "returned" => counts.returned = number(count),
                    _ => counts.unwound = number(count),
                }
            }
            _ => panic!("the oracle says {line:?}"),
        }
    }
    assert!(is_ok, "the oracle found no result wrong and says so");
    truth
}

/// The name under which the oracle counts calls of a traced function: what types generic code
/// was made for is left out.
pub fn counted_name(name: &str) -> String {
    match (name.find('['), name.rfind(']')) {
        (Some(open), Some(close)) => format!("{}[...]{}", &name[..open], &name[close + 1..]),
        _ => name.to_owned(),
    }
}

pub fn counts_by_counted_name(trace: &Trace) -> BTreeMap<String, Counts> {
    let mut sums: BTreeMap<String, Counts> = BTreeMap::new();
    for (name, counts) in trace.counts() {
        let sum = sums.entry(counted_name(name)).or_default();
        sum.entries += counts.entries;
        sum.entries_lost += counts.entries_lost;
        sum.returned += counts.returned;
        sum.unwound += counts.unwound;
        sum.ended_otherwise += counts.ended_otherwise;
    }
    sums
}

/// Traces one round of the oracle, by probes on RETs, and stops.
pub fn trace_round(
    oracle: &mut Program,
    binary: &Path,
    options: &[&str],
    targets: &[&str],
) -> (Outcome, Truth) {
    let options = [&["--promote", "off"], options].concat();
    let tracer = Tracer::start(binary, &options, targets);
    let truth = round(oracle);
    (tracer.stop(), truth)
}

impl Truth {
    /// What happened in another round as well.
    pub fn add(&mut self, other: Self) {
        for (name, counts) in other.counts {
            let sum = self.counts.entry(name).or_default();
            sum.entries += counts.entries;
            sum.returned += counts.returned;
            sum.unwound += counts.unwound;
        }
        self.sleeps.extend(other.sleeps);
    }

    /// Calls of all functions.
    pub fn calls(&self) -> u64 {
        self.counts.values().map(|counts| counts.entries).sum()
    }
}

/// Functions of the stages that the tests of loss run, all of which return.
pub const RETURNING: [&str; 13] = [
    "main.descend",
    "main.descendWide",
    "main.even",
    "main.odd",
    "main.worker",
    "main.middle",
    "main.leaf",
    "main.apply",
    "main.makeAdder",
    "main.makeAdder.func1",
    "main.closureRuns",
    "main.closureRuns.func1",
    "main.closureRuns.func2",
];

/// Arguments that make the oracle run those stages.
pub const RETURNING_STAGES: [&str; 2] = ["-stages", "recursion,goroutines,closures"];
