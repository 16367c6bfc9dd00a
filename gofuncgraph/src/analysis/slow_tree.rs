//! One tree, kept as an example.

use std::time::Duration;

/// Calls of a tree that are kept; of more, the longest.
const MAX_CALLS: usize = 1000;

/// Calls to pass before trying again what freed little room: most of the kept calls are open.
const PAUSE: u32 = 500;

/// Calls of all open trees that are kept altogether.
pub(super) const MAX_OPEN_CALLS: usize = 1 << 20;

/// A call of a [`SlowTree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowCall {
    /// The function, as an index into [`Profile::functions`](super::Profile::functions).
    pub function: usize,
    /// Number of calls around it.
    pub level: usize,
    /// From entry to end, where both were seen.
    pub duration: Option<Duration>,
    is_open: bool,
}

/// A tree, with its calls in the order in which they began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlowTree {
    /// Its calls, as far as they were kept.
    pub calls: Vec<SlowCall>,
    /// Calls that were not: they are shorter than most of those that were.
    pub calls_left_out: u64,
    /// Its process.
    pub pid: u32,
    /// Its goroutine.
    pub goid: u64,
    /// Calls to pass before room is looked for again.
    pause: u32,
}

impl SlowTree {
    /// A tree of which nothing is known yet.
    pub(super) fn new(pid: u32, goid: u64) -> Self {
        Self {
            pid,
            goid,
            ..Self::default()
        }
    }

    /// A call begins. Says whether it is kept; `room` is what all open trees have together.
    pub(super) fn began(&mut self, function: usize, level: usize, room: &mut usize) -> bool {
        if self.calls.len() >= MAX_CALLS {
            self.make_room(room);
        }
        if self.calls.len() >= MAX_CALLS || *room == 0 {
            self.calls_left_out += 1;
            return false;
        }
        *room -= 1;
        self.calls.push(SlowCall {
            function,
            level,
            duration: None,
            is_open: true,
        });
        true
    }

    /// The innermost open call ends, and it was kept.
    pub(super) fn ended(&mut self, duration: Option<Duration>) {
        if let Some(call) = self.calls.iter_mut().rev().find(|call| call.is_open) {
            call.is_open = false;
            call.duration = duration;
        }
    }

    fn make_room(&mut self, room: &mut usize) {
        if self.pause > 0 {
            self.pause -= 1;
            return;
        }
        self.leave_out_short_calls(room);
        if self.calls.len() > MAX_CALLS / 2 + MAX_CALLS / 4 {
            self.pause = PAUSE;
        }
    }

    /// Leaves out about half of the calls that have ended. A caller is at least as long as what
    /// it calls and so stays as long as that does.
    fn leave_out_short_calls(&mut self, room: &mut usize) {
        let mut durations: Vec<Duration> = self
            .calls
            .iter()
            .filter(|call| !call.is_open)
            .filter_map(|call| call.duration)
            .collect();
        if durations.is_empty() {
            return;
        }
        let middle = durations.len() / 2;
        let median = *durations.select_nth_unstable(middle).1;
        let before = self.calls.len();
        self.calls
            .retain(|call| call.is_open || call.duration.is_none_or(|duration| duration > median));
        let left_out = before - self.calls.len();
        self.calls_left_out += left_out as u64;
        *room += left_out;
    }
}
