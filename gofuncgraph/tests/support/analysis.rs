//! Scripted programs become profiles.

#![allow(dead_code, reason = "every test uses its part of it")]

use crate::gate_simulator::GateSimulator;
use crate::golden::{LEAF, MIDDLE, NAMES, ROOT};
use gofuncgraph::analysis::{Aggregator, AggregatorSettings, Recorded, Rule};
use gofuncgraph::events::{Event, Goroutine, MonotonicTime};
use gofuncgraph::plan::FunctionId;
use gofuncgraph::trace::{Assembler, AssemblerSettings};

pub fn name_of(function: FunctionId) -> Option<String> {
    NAMES
        .get(function.0 as usize)
        .map(|name| (*name).to_owned())
}

pub fn aggregate(
    aggregator: &mut Aggregator,
    settings: AssemblerSettings,
    events: &[Event],
    end: MonotonicTime,
) {
    let mut assembler = Assembler::new(settings);
    let mut name_of = name_of;
    {
        let mut sink = aggregator.sink(&mut name_of);
        for event in events {
            assembler.handle(event, &mut sink);
        }
        assembler.finish(end, &mut sink);
    }
    aggregator.add_lost_events(assembler.statistics().events_lost_outside_trees);
    aggregator.end_recording();
}

/// What the program did, read with the watches of `rules`.
pub fn recorded(name: &str, program: &GateSimulator, rules: &[Rule]) -> Recorded {
    let mut aggregator = Aggregator::new(AggregatorSettings {
        watches: rules.iter().map(Rule::watch).collect(),
        ..AggregatorSettings::default()
    });
    aggregate(
        &mut aggregator,
        AssemblerSettings::stream(),
        &program.events,
        program.now,
    );
    let (profile, watched) = aggregator.into_parts();
    Recorded {
        name: name.to_owned(),
        profile,
        watched,
    }
}

/// How the requests of a [`server`] go.
#[derive(Clone, Copy, Debug)]
pub struct Requests {
    pub count: u64,
    /// Chooses what is random about them.
    pub seed: u64,
    /// What `LEAF` takes on average.
    pub leaf_ns: u64,
    /// How often `MIDDLE` calls `LEAF`.
    pub leaves: u32,
}

pub const USUAL: Requests = Requests {
    count: 200,
    seed: 1,
    leaf_ns: 10_000_000,
    leaves: 1,
};

/// `root { middle { leaf … } }`, again and again. `LEAF` takes a random time from half to one
/// and a half times its average.
pub fn server(requests: Requests) -> GateSimulator {
    let mut program = GateSimulator::new([ROOT]);
    program.step_ns = 1_000;
    let mut random = requests.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for request in 0..requests.count {
        let goroutine = Goroutine {
            pid: 100,
            goid: 1 + request % 7,
        };
        program.call(goroutine, ROOT);
        program.call(goroutine, MIDDLE);
        for _ in 0..requests.leaves {
            program.call(goroutine, LEAF);
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            program.wait_ns(requests.leaf_ns / 2 + random % requests.leaf_ns.max(1));
            program.ret(goroutine);
        }
        program.wait_ns(500_000);
        program.ret(goroutine);
        program.ret(goroutine);
    }
    program
}

pub fn rules(texts: &[&str]) -> Vec<Rule> {
    texts
        .iter()
        .map(|text| text.parse().expect("a rule"))
        .collect()
}
