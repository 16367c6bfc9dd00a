use super::frame::Entry;
use super::handover::Handover;
use super::line::{Beginning, CallEnd, LineBody, Note, Unwinding};
use super::net::EndedBy;
use crate::binary::VirtualAddress;
use crate::events::{MonotonicTime, ProcessEnding};
use crate::plan::{FunctionId, SiteId};

/// A line that waits. Levels, functions of ends and durations follow from the order.
#[derive(Debug)]
enum Item {
    Entry {
        time: MonotonicTime,
        call: VirtualAddress,
        function: FunctionId,
        is_already_open: bool,
    },
    End {
        time: MonotonicTime,
        how: PlainEnd,
        ended_by: EndedBy,
    },
    /// An end with more to tell than is kept of most.
    ToldEnd {
        time: MonotonicTime,
        how: Box<CallEnd>,
    },
    Lost {
        time: MonotonicTime,
        events: u64,
    },
    Note {
        time: MonotonicTime,
        note: Box<Note>,
    },
}

/// How a call ended, as far as it takes little room.
#[derive(Clone, Copy, Debug)]
enum PlainEnd {
    Returned { site: Option<SiteId> },
    Approximate,
    Unwound,
    ExitLost,
    StillOpen,
    ProcessExited,
}

impl PlainEnd {
    /// `None` if there is more to tell.
    fn of(how: CallEnd) -> Option<Self> {
        Some(match how {
            CallEnd::Returned { site } => Self::Returned { site },
            CallEnd::Approximate => Self::Approximate,
            CallEnd::Unwound(Unwinding::Unknown) => Self::Unwound,
            CallEnd::ExitLost => Self::ExitLost,
            CallEnd::StillOpen => Self::StillOpen,
            CallEnd::ProcessExited(ProcessEnding::Unknown) => Self::ProcessExited,
            CallEnd::Unwound(_) | CallEnd::ProcessExited(_) => return None,
        })
    }

    fn how(self) -> CallEnd {
        match self {
            Self::Returned { site } => CallEnd::Returned { site },
            Self::Approximate => CallEnd::Approximate,
            Self::Unwound => CallEnd::Unwound(Unwinding::Unknown),
            Self::ExitLost => CallEnd::ExitLost,
            Self::StillOpen => CallEnd::StillOpen,
            Self::ProcessExited => CallEnd::ProcessExited(ProcessEnding::Unknown),
        }
    }
}

// Up to DEFAULT_MAX_BUFFERED_CALLS times two of them are kept.
const _: () = assert!(size_of::<Item>() == 24);

impl Item {
    fn time(&self) -> MonotonicTime {
        match self {
            Self::Entry { time, .. }
            | Self::End { time, .. }
            | Self::ToldEnd { time, .. }
            | Self::Lost { time, .. }
            | Self::Note { time, .. } => *time,
        }
    }
}

/// The entry of a call that is known by its return only, found out after later lines.
#[derive(Clone, Copy, Debug)]
struct MissingEntry {
    /// The item before which the call began. Of several with the same position, the later found
    /// is the outer one.
    position: usize,
    function: FunctionId,
    /// Calls that were shown as open at `position` but were over before this one began. Their
    /// ends stand among the items inside this call and are not true there.
    over_before: usize,
}

/// A call that is open while items become lines.
struct OpenCall {
    function: FunctionId,
    begin: Option<MonotonicTime>,
    /// Its entry is shown in an earlier part, or was dropped.
    is_earlier: bool,
    /// Ends to be passed over before its own.
    untrue_ends: usize,
    /// What hits had cost when it began, in nanoseconds.
    probes_before_ns: u64,
}

/// A call that was open when a part began.
#[derive(Clone, Copy, Debug)]
pub(super) struct EarlierCall {
    pub function: FunctionId,
    /// `None`: it was open when tracing began.
    pub begin: Option<MonotonicTime>,
    /// What hits had cost in the tree when it began, in nanoseconds.
    pub probes_before_ns: u64,
}

/// The lines of a tree, or of the part since it was last cut, until they are handed over.
#[derive(Debug, Default)]
pub(super) struct TreeBuffer {
    /// Stand before everything else.
    introduction: Vec<(MonotonicTime, Note)>,
    /// The calls that were open when the part began.
    earlier_calls: Vec<EarlierCall>,
    /// What hits had cost by then, in nanoseconds.
    probes_before_ns: u64,
    items: Vec<Item>,
    missing_entries: Vec<MissingEntry>,
    calls: usize,
}

impl TreeBuffer {
    /// The lines of a part that begins inside `earlier_calls`.
    pub fn continued(
        introduction: Vec<(MonotonicTime, Note)>,
        earlier_calls: Vec<EarlierCall>,
        probes_before_ns: u64,
    ) -> Self {
        Self {
            introduction,
            earlier_calls,
            probes_before_ns,
            ..Self::default()
        }
    }

    /// Number of calls that begin in it.
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// Where the next line will stand.
    pub fn next_position(&self) -> usize {
        self.items.len()
    }

    /// A vector that doubles would waste as much as it holds.
    fn push(&mut self, item: Item) {
        if self.items.len() == self.items.capacity() {
            self.items.reserve_exact((self.items.len() / 4).max(4));
        }
        self.items.push(item);
    }

    /// A call begins, or is open already.
    pub fn entry(&mut self, time: MonotonicTime, entry: &Entry) {
        self.calls += 1;
        self.push(Item::Entry {
            time,
            call: entry.call,
            function: entry.function,
            is_already_open: entry.is_already_open,
        });
    }

    /// The innermost open call ends.
    pub fn end(&mut self, time: MonotonicTime, how: CallEnd, ended_by: EndedBy) {
        self.push(match PlainEnd::of(how) {
            Some(how) => Item::End {
                time,
                how,
                ended_by,
            },
            // Nothing but returns has a probe of its own.
            None => Item::ToldEnd {
                time,
                how: Box::new(how),
            },
        });
    }

    /// Events were lost. Losses with nothing between them become one.
    pub fn lost(&mut self, time: MonotonicTime, events: u64) {
        if let Some(Item::Lost { events: before, .. }) = self.items.last_mut() {
            *before = before.saturating_add(events);
        } else {
            self.push(Item::Lost { time, events });
        }
    }

    /// Any other remark.
    pub fn note(&mut self, time: MonotonicTime, note: Note) {
        self.push(Item::Note {
            time,
            note: Box::new(note),
        });
    }

    /// A call of `function` ends whose entry was lost: it turns out to have begun at `position`
    /// and to enclose all lines since. `over_before` of the calls that were shown as open at
    /// `position` were over before it.
    pub fn end_without_entry(
        &mut self,
        position: usize,
        over_before: usize,
        function: FunctionId,
        time: MonotonicTime,
        how: CallEnd,
    ) {
        self.calls += 1;
        self.missing_entries.push(MissingEntry {
            position,
            function,
            over_before,
        });
        self.end(time, how, EndedBy::Return);
    }

    /// Hands everything over and forgets it. Says whether there was a line, other than an
    /// introduction to nothing.
    pub fn hand_over(&mut self, tree_counted: &mut bool, handover: &mut Handover<'_>) -> bool {
        let mut buffer = std::mem::take(self);
        handover.shared.buffered_calls =
            handover.shared.buffered_calls.saturating_sub(buffer.calls);
        // Of those at one position, the later found comes first.
        buffer.missing_entries.reverse();
        buffer
            .missing_entries
            .sort_by_key(|missing| missing.position);
        let mut lines = Lines {
            introduction: buffer.introduction,
            open: Vec::new(),
            any_line: false,
            probes_ns: buffer.probes_before_ns,
            tree_counted,
            handover,
        };
        lines
            .open
            .extend(buffer.earlier_calls.into_iter().map(|call| OpenCall {
                function: call.function,
                begin: call.begin,
                is_earlier: true,
                untrue_ends: 0,
                probes_before_ns: call.probes_before_ns,
            }));

        let mut missing_entries = buffer.missing_entries.as_slice();
        let mut last_time = MonotonicTime::default();
        let mut after_loss = false;
        for (index, item) in buffer.items.into_iter().enumerate() {
            let time = item.time();
            let here = missing_entries.partition_point(|missing| missing.position <= index);
            if here > 0 {
                let (begin_here, later) = missing_entries.split_at(here);
                lines.missing_entries(if after_loss { last_time } else { time }, begin_here);
                missing_entries = later;
            }
            after_loss = matches!(item, Item::Lost { .. });
            last_time = time;
            lines.item(item);
        }
        while !lines.open.is_empty() {
            lines.end_innermost(last_time, CallEnd::StillOpen, EndedBy::Other);
        }
        lines.any_line
    }

    /// Forgets everything and takes its calls off `buffered_calls`.
    pub fn forget(&mut self, buffered_calls: &mut usize) {
        *buffered_calls = buffered_calls.saturating_sub(self.calls);
        *self = Self::default();
    }
}

/// Makes lines of items.
struct Lines<'a, 'b> {
    introduction: Vec<(MonotonicTime, Note)>,
    open: Vec<OpenCall>,
    any_line: bool,
    /// What hits cost so far, in nanoseconds.
    probes_ns: u64,
    tree_counted: &'a mut bool,
    handover: &'a mut Handover<'b>,
}

impl Lines<'_, '_> {
    fn item(&mut self, item: Item) {
        match item {
            Item::Entry {
                time,
                call,
                function,
                is_already_open: false,
            } => {
                let cost_ns = self.handover.shared.entry_ns(function);
                self.probes_ns = self.probes_ns.saturating_add(cost_ns);
                self.begin(time, function, Beginning::Seen { call }, 0);
            }
            Item::Entry {
                time,
                call,
                function,
                is_already_open: true,
            } => self.begin(time, function, Beginning::AlreadyOpen { call }, 0),
            Item::End {
                time,
                how,
                ended_by,
            } => self.end(time, how.how(), ended_by),
            Item::ToldEnd { time, how } => self.end(time, *how, EndedBy::Other),
            Item::Lost { time, events } => self.note(time, Note::Lost { events }),
            Item::Note { time, note } => self.note(time, *note),
        }
    }

    fn end(&mut self, time: MonotonicTime, how: CallEnd, ended_by: EndedBy) {
        match self.open.last_mut() {
            Some(innermost) if innermost.untrue_ends > 0 => innermost.untrue_ends -= 1,
            Some(_) => self.end_innermost(time, how, ended_by),
            None => {}
        }
        let cost_ns = self.handover.shared.end_ns(ended_by);
        self.probes_ns = self.probes_ns.saturating_add(cost_ns);
    }

    /// Calls whose entries are missing begin, the outermost first.
    fn missing_entries(&mut self, time: MonotonicTime, missing_entries: &[MissingEntry]) {
        let over_before = missing_entries.iter().map(|missing| missing.over_before);
        for _ in 0..over_before.sum() {
            self.end_innermost(time, CallEnd::ExitLost, EndedBy::Other);
        }
        for missing in missing_entries {
            self.begin(time, missing.function, Beginning::Lost, missing.over_before);
        }
    }

    fn begin(
        &mut self,
        time: MonotonicTime,
        function: FunctionId,
        beginning: Beginning,
        untrue_ends: usize,
    ) {
        let level = self.open.len();
        let body = LineBody::Entry {
            function,
            beginning,
        };
        self.line(time, level, body);
        self.open.push(OpenCall {
            function,
            begin: beginning.is_seen().then_some(time),
            is_earlier: false,
            untrue_ends,
            probes_before_ns: self.probes_ns,
        });
    }

    fn end_innermost(&mut self, time: MonotonicTime, how: CallEnd, ended_by: EndedBy) {
        let Some(call) = self.open.pop() else {
            return;
        };
        let function = call.function;
        let duration = call.begin.filter(|_| has_measured_end(how)).map(|begin| {
            let inside_ns = self.probes_ns.saturating_sub(call.probes_before_ns);
            let shared = &self.handover.shared;
            shared.net(time - begin, function, inside_ns, ended_by)
        });
        if !call.is_earlier {
            let body = LineBody::End {
                function,
                how,
                duration,
            };
            self.line(time, self.open.len(), body);
        } else if how != CallEnd::StillOpen {
            // That it is open was said where the tree was cut.
            let note = Note::EndedAfterCut {
                function,
                how,
                duration,
            };
            self.note(time, note);
        }
    }

    fn note(&mut self, time: MonotonicTime, note: Note) {
        self.line(time, self.open.len(), LineBody::Note(note));
    }

    fn line(&mut self, time: MonotonicTime, level: usize, body: LineBody) {
        self.any_line = true;
        for (time, note) in std::mem::take(&mut self.introduction) {
            let body = LineBody::Note(note);
            self.handover.line(self.tree_counted, time, 0, body);
        }
        self.handover.line(self.tree_counted, time, level, body);
    }
}

/// The moment at which such an end was seen is the end of the call (or a bound for it).
pub(super) fn has_measured_end(how: CallEnd) -> bool {
    match how {
        CallEnd::Returned { .. } | CallEnd::Approximate | CallEnd::Unwound(_) => true,
        CallEnd::ExitLost | CallEnd::StillOpen | CallEnd::ProcessExited(_) => false,
    }
}
