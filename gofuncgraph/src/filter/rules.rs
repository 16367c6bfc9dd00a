//! Which calls are shown, by function, depth, duration and moment.

use std::time::Duration;

use foldhash::HashMap;

use super::{FilterSettings, FunctionChoice};
use crate::events::MonotonicTime;
use crate::plan::FunctionId;

/// Choices that are remembered. More than a program has functions; only made-up events name more.
const MAX_REMEMBERED_CHOICES: usize = 1 << 20;

/// Which calls are shown.
pub(super) struct Rules<'a> {
    settings: FilterSettings,
    chosen: Option<FunctionChoice<'a>>,
    choices: HashMap<FunctionId, bool>,
}

impl<'a> Rules<'a> {
    /// Of `settings` and, if not all are, the functions that are chosen.
    pub(super) fn new(settings: FilterSettings, chosen: Option<FunctionChoice<'a>>) -> Self {
        Self {
            settings,
            chosen,
            choices: HashMap::default(),
        }
    }

    /// Sets the moments between which calls are shown.
    pub(super) fn set_window(&mut self, from: Option<MonotonicTime>, to: Option<MonotonicTime>) {
        self.settings.from = from;
        self.settings.to = to;
    }

    /// Calls that are hidden are shorter.
    pub(super) fn shorter_than(&self) -> Option<Duration> {
        self.settings.calls_slower_than
    }

    fn is_chosen(&mut self, function: FunctionId) -> bool {
        let Some(chosen) = &mut self.chosen else {
            return true;
        };
        if let Some(&choice) = self.choices.get(&function) {
            return choice;
        }
        let choice = chosen(function);
        if self.choices.len() >= MAX_REMEMBERED_CHOICES {
            self.choices.clear();
        }
        self.choices.insert(function, choice);
        choice
    }

    /// Whether a call of `function` inside `level` others may be shown.
    pub(super) fn is_wanted(&mut self, function: FunctionId, level: usize) -> bool {
        let max_depth = self
            .settings
            .max_depth
            .map_or(u32::MAX, |depth| depth.get());
        u32::try_from(level).is_ok_and(|level| level < max_depth) && self.is_chosen(function)
    }

    /// Whether what happens at `time` is not before the window.
    pub(super) fn has_begun(&self, time: MonotonicTime) -> bool {
        self.settings.from.is_none_or(|from| time >= from)
    }

    /// Whether it is behind the window.
    pub(super) fn is_over(&self, time: MonotonicTime) -> bool {
        self.settings.to.is_some_and(|to| time >= to)
    }

    /// At `time`, a call that is open since `begin` is known to be shown.
    pub(super) fn shows(&self, begin: MonotonicTime, time: MonotonicTime) -> bool {
        let is_long = |least| time - begin >= least;
        self.has_begun(time) && self.settings.calls_slower_than.is_none_or(is_long)
    }
}
