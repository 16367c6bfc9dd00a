//! Copies a recording from standard input to standard output without what it says of the machine
//! and of folders: `cargo xtask golden-recordings` uses it for what is checked in.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

use gofuncgraph::recording::{
    ReadEnd, RecordedHost, RecordedZone, RecordingReader, RecordingWriter,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::stdin(), &mut bytes)?;

    // Once to know every function, once more to write what refers to them.
    let mut reader = RecordingReader::new(&bytes[..])?;
    while reader.read_events(&mut |_| {})? != 0 {}
    let symbols = reader.symbols();
    let Some(ReadEnd::Whole(end)) = reader.end().copied() else {
        return Err("the recording was cut".into());
    };
    let plan = symbols.plan();

    let mut reader = RecordingReader::new(&bytes[..])?;
    let mut header = reader.header().clone();
    header.host = RecordedHost {
        kernel: "6.18.0".to_owned(),
        architecture: header.host.architecture,
        cpu_model: String::new(),
        cpus: 2,
    };
    header.clock.zone = RecordedZone::default();
    let name = Path::new(&header.target.path)
        .file_name()
        .ok_or("the target has no name")?;
    header.target.path = format!("/usr/local/bin/{}", name.to_string_lossy());

    let mut writer = RecordingWriter::new(&header, &plan, Box::new(symbols));
    while reader.read_events(&mut |event| writer.handle(&event))? != 0 {}
    writer.finish(&end);
    io::stdout().write_all(&writer.take_output().0)?;
    Ok(())
}
