use super::line::CallEnd;

/// How shown calls ended. The sum is [`Statistics::calls`] + [`Statistics::calls_already_open`] +
/// [`Statistics::calls_without_entry`] once the trace is finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndCounts {
    /// [`CallEnd::Returned`].
    pub returned: u64,
    /// [`CallEnd::Approximate`].
    pub approximate: u64,
    /// [`CallEnd::Unwound`].
    pub unwound: u64,
    /// [`CallEnd::ExitLost`].
    pub exit_lost: u64,
    /// [`CallEnd::StillOpen`]; also the calls that were open where a tree was cut.
    pub still_open: u64,
    /// [`CallEnd::ProcessExited`].
    pub process_exited: u64,
}

impl EndCounts {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.returned
            + self.approximate
            + self.unwound
            + self.exit_lost
            + self.still_open
            + self.process_exited
    }

    pub(super) fn add(&mut self, how: CallEnd) {
        let count = match how {
            CallEnd::Returned { .. } => &mut self.returned,
            CallEnd::Approximate => &mut self.approximate,
            CallEnd::Unwound(_) => &mut self.unwound,
            CallEnd::ExitLost => &mut self.exit_lost,
            CallEnd::StillOpen => &mut self.still_open,
            CallEnd::ProcessExited(_) => &mut self.process_exited,
        };
        *count += 1;
    }
}

/// What an [`Assembler`](super::Assembler) counted. What the kernel side counted (entries and
/// exits lost, returns of calls that began before tracing and are not shown) is not here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Trees of which at least one call is shown; a tree that was cut counts once.
    pub trees: u64,
    /// Of those, how many are finished: their root returned or was unwound, and was not open when
    /// tracing began.
    pub trees_finished: u64,
    /// Shown entries.
    pub calls: u64,
    /// Shown calls that were open when tracing began; not among [`calls`](Self::calls).
    pub calls_already_open: u64,
    /// Shown calls whose entry was lost; not among [`calls`](Self::calls).
    pub calls_without_entry: u64,
    /// How shown calls ended.
    pub ends: EndCounts,
    /// Events whose loss was located on a goroutine.
    pub events_lost: u64,
    /// Of those, how many were noticed while their goroutine had no open tree to show them in.
    pub events_lost_outside_trees: u64,
    /// Calls that are not shown because too many were open around them.
    pub calls_without_room: u64,
    /// Trees that were cut, each once.
    pub trees_cut: u64,
    /// Calls that were open where a tree was cut, and are shown as [`CallEnd::StillOpen`] there.
    pub calls_open_at_cuts: u64,
    /// Calls dropped when a tree was cut that was not long enough to be shown.
    pub calls_dropped: u64,
    /// Trees not shown because they were shorter than asked for.
    pub trees_too_short: u64,
    /// Trees not shown because they may have been shorter than asked for: when they began or
    /// ended is not known.
    pub trees_of_unknown_duration: u64,
    /// Trees that were open when the asked-for number was reached, and are not shown (or not
    /// further).
    pub trees_after_count: u64,
    /// Events of processes that had ended, in calls that are shown as `process exited`: a thread
    /// can still hit probes while its process goes down.
    pub events_after_exit: u64,
    /// Events on goroutines of which nothing was kept, because too many others had something
    /// open: more than the kernel side lets have a tree, so that a recording is damaged or made up.
    pub events_without_room: u64,
    /// Events that contradict their goroutine's earlier ones.
    pub events_out_of_order: u64,
}
