//! Which lines of a trace are shown.
//!
//! [`Filter::sink`] stands between an [`Assembler`](crate::trace::Assembler) and what takes its
//! lines. Whatever is left out, what is shown nests and balances as before, and levels count
//! shown calls only. Nothing here knows names: a closure says which functions are wanted.
//!
//! - `rules`: which calls are shown, by function, depth, duration and moment.
//! - `calls`: leaves the others out.
//! - `hidden`: what is known of calls that were left out.
//! - `slowest`: keeps the slowest trees until the end.

mod calls;
mod hidden;
mod rules;
mod slowest;

use std::num::NonZero;
use std::time::Duration;

use crate::events::{Goroutine, MonotonicTime};
use crate::plan::FunctionId;
use crate::trace::{PartEnd, TraceLine, TraceSink};

use calls::CallFilter;
use slowest::SlowestTrees;

/// What is shown. The default leaves nothing out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterSettings {
    /// Calls that are known to be shorter are hidden, and what is inside of them; their number
    /// and time are told in a note where they were.
    pub calls_slower_than: Option<Duration>,
    /// Levels that are shown.
    pub max_depth: Option<NonZero<u32>>,
    /// Calls that were over before are not shown.
    pub from: Option<MonotonicTime>,
    /// Calls that began then or later are not shown.
    pub to: Option<MonotonicTime>,
    /// Only the slowest trees are shown, when all are known, the slowest first. Needs lines that
    /// come a tree at a time.
    pub top: Option<NonZero<usize>>,
}

/// Decides which functions are wanted. Calls of others are not shown; calls inside of them are.
pub type FunctionChoice<'a> = Box<dyn FnMut(FunctionId) -> bool + 'a>;

/// Leaves out lines.
///
/// Keeps memory for the open calls of every goroutine; with [`FilterSettings::top`] also for up
/// to a million lines, some 60 MB.
pub struct Filter<'a> {
    calls: CallFilter<'a>,
    slowest: Option<SlowestTrees>,
}

impl<'a> Filter<'a> {
    /// One that has seen nothing yet. `chosen`: `None` if every function is wanted.
    pub fn new(settings: FilterSettings, chosen: Option<FunctionChoice<'a>>) -> Self {
        Self {
            calls: CallFilter::new(settings, chosen),
            slowest: settings.top.map(SlowestTrees::new),
        }
    }

    /// Sets [`FilterSettings::from`] and [`FilterSettings::to`], before the first line.
    pub fn set_window(&mut self, from: Option<MonotonicTime>, to: Option<MonotonicTime>) {
        self.calls.set_window(from, to);
    }

    /// Lines go through it to `next`.
    pub fn sink<'s>(&'s mut self, next: &'s mut dyn TraceSink) -> FilterSink<'s, 'a> {
        FilterSink { filter: self, next }
    }

    /// Hands over what was kept until everything is known. Call it once, after the last line.
    pub fn finish(&mut self, next: &mut dyn TraceSink) {
        match &mut self.slowest {
            Some(slowest) => {
                self.calls.finish(slowest);
                slowest.hand_over(next);
            }
            None => self.calls.finish(next),
        }
    }

    /// Trees among the slowest that had to be left out because there was no room for them.
    pub fn trees_without_room(&self) -> u64 {
        self.slowest
            .as_ref()
            .map_or(0, SlowestTrees::trees_without_room)
    }
}

/// Takes lines and hands on those that are shown.
pub struct FilterSink<'s, 'a> {
    filter: &'s mut Filter<'a>,
    next: &'s mut dyn TraceSink,
}

impl TraceSink for FilterSink<'_, '_> {
    fn line(&mut self, line: &TraceLine) {
        let Filter { calls, slowest } = &mut *self.filter;
        match slowest {
            Some(slowest) => {
                slowest.happened(line);
                calls.line(line, slowest);
            }
            None => calls.line(line, self.next),
        }
    }

    fn part_end(&mut self, goroutine: Goroutine, end: PartEnd) {
        let Filter { calls, slowest } = &mut *self.filter;
        match slowest {
            Some(slowest) => {
                calls.part_end(goroutine, end, slowest);
                if end == PartEnd::Tree {
                    slowest.tree_over(goroutine);
                }
            }
            None => calls.part_end(goroutine, end, self.next),
        }
    }
}
