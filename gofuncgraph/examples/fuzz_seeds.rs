//! Writes the recordings that fuzzing begins with into the folder that is the only argument:
//! `cargo xtask fuzz` uses it.

#[path = "../tests/support/gate_simulator.rs"]
mod gate_simulator;
#[path = "../tests/support/golden.rs"]
mod golden;
#[path = "../tests/support/recordings.rs"]
mod recordings;
#[path = "../tests/support/viewed.rs"]
mod viewed;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use gofuncgraph::events::Event;
use gofuncgraph::recording::{LossCounters, RecordingReader, RecordingWriter};

/// Ways to look at a recording that the fuzz target has; this byte chooses.
const CHOICES: u8 = 14;
const CHOICE_AT: usize = 10;

/// Events of a golden recording that are kept.
const KEPT_EVENTS: [usize; 2] = [20, 150];

/// Events in a block.
const BLOCK_EVENTS: usize = 40;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("the folder is missing")?;
    let folder = PathBuf::from(folder);
    let golden: [(&str, &[u8]); 2] = [
        (
            "example",
            include_bytes!("../tests/golden/recordings/example.rec"),
        ),
        (
            "go-list",
            include_bytes!("../tests/golden/recordings/go-list.rec"),
        ),
    ];
    for (name, recording) in golden {
        for events in KEPT_EVENTS {
            let cut = beginning(recording, events)?;
            keep(&folder, &format!("{name}-{events}"), &cut)?;
        }
    }
    for (name, program) in [("story", viewed::story()), ("long", viewed::long_tree())] {
        let recording = recordings::record(&program.events, program.now);
        keep(&folder, name, &recording)?;
    }
    Ok(())
}

/// Writes `recording` once for each way to look at it.
fn keep(folder: &Path, name: &str, recording: &[u8]) -> Result<(), Box<dyn Error>> {
    for choice in 0..CHOICES {
        let mut recording = recording.to_vec();
        *recording.get_mut(CHOICE_AT).ok_or("it is empty")? = choice;
        fs::write(folder.join(format!("{name}-{choice}.rec")), recording)?;
    }
    Ok(())
}

/// The first events of a recording, in several blocks.
fn beginning(recording: &[u8], events_kept: usize) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut reader = RecordingReader::new(recording)?;
    let mut events: Vec<Event> = Vec::new();
    while reader.read_events(&mut |event| events.push(event))? != 0 {}
    events.truncate(events_kept);
    let symbols = reader.symbols();
    let plan = symbols.plan();
    let mut writer = RecordingWriter::new(reader.header(), &plan, Box::new(symbols));
    let mut kept = Vec::new();
    for block in events.chunks(BLOCK_EVENTS) {
        for event in block {
            writer.handle(event);
        }
        if let Some(last) = block.last() {
            let mut later = last.time();
            later.time_ns += 2_000_000_000;
            writer.tick(later, &LossCounters::default());
        }
        kept.extend(writer.take_output().0);
    }
    writer.finish(&recordings::end(reader.time()));
    kept.extend(writer.take_output().0);
    Ok(kept)
}
