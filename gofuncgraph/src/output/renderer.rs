use crate::events::Goroutine;
use crate::trace::{PartEnd, TraceLine, TraceSink};

/// Writes a trace in one format.
pub trait Renderer {
    /// Writes what stands before everything. Called once, before any line.
    fn begin(&mut self, _out: &mut Vec<u8>) {}

    /// Writes the next line, or keeps it until what follows is known.
    fn line(&mut self, line: &TraceLine, out: &mut Vec<u8>);

    /// `goroutine`'s tree, or a part of it, is complete.
    fn part_end(&mut self, goroutine: Goroutine, end: PartEnd, out: &mut Vec<u8>);

    /// Nothing happened for a while, or a terminal is due to be refreshed: writes what can be
    /// written already. Called now and then in a live trace, never while replaying.
    fn pause(&mut self, _out: &mut Vec<u8>) {}

    /// Writes what stands after everything. Called once, after the last line.
    fn finish(&mut self, _out: &mut Vec<u8>) {}
}

/// Feeds a [`Renderer`] with what an [`Assembler`](crate::trace::Assembler) hands over.
pub struct RenderingSink<'a> {
    /// Writes the lines.
    pub renderer: &'a mut dyn Renderer,
    /// What was written.
    pub out: &'a mut Vec<u8>,
}

impl TraceSink for RenderingSink<'_> {
    fn line(&mut self, line: &TraceLine) {
        self.renderer.line(line, self.out);
    }

    fn part_end(&mut self, goroutine: Goroutine, end: PartEnd) {
        self.renderer.part_end(goroutine, end, self.out);
    }
}
