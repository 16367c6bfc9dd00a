use std::time::Duration;

use foldhash::HashMap;

use super::hidden::HiddenCalls;
use super::rules::Rules;
use super::{FilterSettings, FunctionChoice};
use crate::events::{Goroutine, MonotonicTime};
use crate::plan::FunctionId;
use crate::trace::{Beginning, CallEnd, LineBody, Note, PartEnd, TraceLine, TraceSink};

/// Goroutines whose hidden roots wait to be told of. When there are more, all are told of.
const MAX_WAITING_GOROUTINES: usize = 1 << 16;

/// Leaves out calls by function, depth, duration and moment.
pub(super) struct CallFilter<'a> {
    rules: Rules<'a>,
    goroutines: HashMap<Goroutine, Stack>,
    /// Hidden calls that no shown call was around, until the goroutine's next line.
    hidden_roots: HashMap<Goroutine, HiddenCalls>,
}

/// What is decided about an open call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visibility {
    /// Not shown, whatever happens in it.
    Out,
    /// Shown if it turns out to be long enough, or something in it is shown. All calls in it are
    /// undecided or out.
    Undecided,
    /// Its entry was handed on.
    Shown {
        /// In a part of the tree that is over.
        in_earlier_part: bool,
    },
}

#[derive(Debug)]
struct Frame {
    function: FunctionId,
    time: MonotonicTime,
    beginning: Beginning,
    visibility: Visibility,
    hidden: HiddenCalls,
}

/// The open calls of a goroutine.
#[derive(Debug, Default)]
struct Stack {
    frames: Vec<Frame>,
    /// Frames that are not out.
    wanted: usize,
    /// Frames that are shown.
    shown: usize,
    /// Index of the first frame that may be undecided.
    undecided_from: usize,
    last_time: MonotonicTime,
    /// The ends that follow are those of calls that go on in the next part.
    is_cut: bool,
    /// A line of the current part was handed on.
    any_in_part: bool,
    /// A line of the tree was handed on.
    any_in_tree: bool,
}

impl<'a> CallFilter<'a> {
    pub fn new(settings: FilterSettings, chosen: Option<FunctionChoice<'a>>) -> Self {
        Self {
            rules: Rules::new(settings, chosen),
            goroutines: HashMap::default(),
            hidden_roots: HashMap::default(),
        }
    }

    /// Sets the moments between which calls are shown, before the first line.
    pub fn set_window(&mut self, from: Option<MonotonicTime>, to: Option<MonotonicTime>) {
        self.rules.set_window(from, to);
    }

    /// Takes the next line and hands on what is known to be shown.
    pub fn line(&mut self, line: &TraceLine, next: &mut dyn TraceSink) {
        let goroutine = line.goroutine;
        let time = line.time;
        if matches!(line.body, LineBody::Note(Note::Lost { .. }))
            && !self.goroutines.contains_key(&goroutine)
        {
            if self.rules.has_begun(time) && !self.rules.is_over(time) {
                next.line(line);
            }
            return;
        }
        let stack = self.goroutines.entry(goroutine).or_default();
        stack.last_time = time;
        let shown = &mut Shown {
            goroutine,
            shorter_than: self.rules.shorter_than(),
            hidden_roots: &mut self.hidden_roots,
            next,
        };
        if stack.is_cut {
            // What the ends of the cut calls would say is said at the end of the part.
            return;
        }
        stack.show_what_is_known(&self.rules, time, shown);
        match &line.body {
            LineBody::Entry {
                function,
                beginning,
            } => {
                stack.begin(&mut self.rules, time, *function, *beginning, shown);
            }
            LineBody::End { how, duration, .. } => {
                stack.end(&self.rules, time, *how, *duration, shown);
            }
            LineBody::Note(Note::EndedAfterCut { how, duration, .. }) => {
                stack.end(&self.rules, time, *how, *duration, shown);
            }
            LineBody::Note(Note::Continued { path }) => {
                stack.go_on(&mut self.rules, time, path, shown);
            }
            LineBody::Note(note @ Note::Cut { .. }) => {
                stack.is_cut = true;
                if stack.any_in_part {
                    stack.note(time, note.clone(), shown);
                }
            }
            LineBody::Note(note) => {
                if self.rules.has_begun(time) && !self.rules.is_over(time) {
                    stack.show(shown, stack.frames.len());
                    stack.note(time, note.clone(), shown);
                }
            }
        }
    }

    /// A tree or a part of it is complete.
    pub fn part_end(&mut self, goroutine: Goroutine, end: PartEnd, next: &mut dyn TraceSink) {
        let shown = &mut Shown {
            goroutine,
            shorter_than: self.rules.shorter_than(),
            hidden_roots: &mut self.hidden_roots,
            next,
        };
        match end {
            PartEnd::Cut => {
                if let Some(stack) = self.goroutines.get_mut(&goroutine) {
                    stack.end_part(shown);
                }
            }
            PartEnd::Tree => {
                if let Some(mut stack) = self.goroutines.remove(&goroutine) {
                    let time = stack.last_time;
                    while !stack.frames.is_empty() {
                        stack.end(&self.rules, time, CallEnd::StillOpen, None, shown);
                    }
                }
            }
        }
        next.part_end(goroutine, end);
        if self.hidden_roots.len() > MAX_WAITING_GOROUTINES {
            self.finish(next);
        }
    }

    /// Tells of what waits for a goroutine's next line.
    pub fn finish(&mut self, next: &mut dyn TraceSink) {
        let mut waiting: Vec<_> = self.hidden_roots.drain().collect();
        waiting.sort_unstable_by_key(|(goroutine, _)| *goroutine);
        for (goroutine, mut hidden) in waiting {
            if let Some((time, note)) = hidden.take(self.rules.shorter_than()) {
                next.line(&TraceLine {
                    goroutine,
                    time,
                    level: 0,
                    body: LineBody::Note(note),
                });
            }
        }
    }
}

/// Where lines of a goroutine go.
struct Shown<'a> {
    goroutine: Goroutine,
    shorter_than: Option<Duration>,
    hidden_roots: &'a mut HashMap<Goroutine, HiddenCalls>,
    next: &'a mut dyn TraceSink,
}

impl Shown<'_> {
    fn line(&mut self, time: MonotonicTime, level: usize, body: LineBody) {
        self.next.line(&TraceLine {
            goroutine: self.goroutine,
            time,
            level: u32::try_from(level).unwrap_or(u32::MAX),
            body,
        });
    }
}

impl Stack {
    fn begin(
        &mut self,
        rules: &mut Rules<'_>,
        time: MonotonicTime,
        function: FunctionId,
        beginning: Beginning,
        shown: &mut Shown<'_>,
    ) {
        let is_wanted = !rules.is_over(time) && rules.is_wanted(function, self.wanted);
        self.frames.push(Frame {
            function,
            time,
            beginning,
            visibility: if is_wanted {
                Visibility::Undecided
            } else {
                Visibility::Out
            },
            hidden: HiddenCalls::default(),
        });
        self.wanted += usize::from(is_wanted);
        self.show_what_is_known(rules, time, shown);
    }

    /// Shows the calls that are known to be shown at `time`: of the undecided ones the outer,
    /// because they are open longest.
    fn show_what_is_known(
        &mut self,
        rules: &Rules<'_>,
        time: MonotonicTime,
        shown: &mut Shown<'_>,
    ) {
        let undecided = self.frames.get(self.undecided_from..).unwrap_or_default();
        let known = undecided
            .iter()
            .take_while(|frame| {
                frame.visibility != Visibility::Undecided || rules.shows(frame.time, time)
            })
            .count();
        if known > 0 {
            self.show(shown, self.undecided_from + known);
        }
    }

    /// Shows the undecided ones of the first `count` calls.
    fn show(&mut self, shown: &mut Shown<'_>, count: usize) {
        let mut index = self.undecided_from;
        if index >= count {
            return;
        }
        while index < count {
            let Some(frame) = self.frames.get_mut(index) else {
                break;
            };
            index += 1;
            if frame.visibility != Visibility::Undecided {
                continue;
            }
            frame.visibility = Visibility::Shown {
                in_earlier_part: false,
            };
            let time = frame.time;
            let body = LineBody::Entry {
                function: frame.function,
                beginning: frame.beginning,
            };
            self.tell_hidden(index - 1, self.shown, shown);
            shown.line(time, self.shown, body);
            self.shown += 1;
            self.any_in_part = true;
            self.any_in_tree = true;
        }
        self.undecided_from = index;
    }

    /// Tells of the calls that were hidden directly inside the innermost wanted one of the first
    /// `around` calls, which is at `level` - 1.
    fn tell_hidden(&mut self, around: usize, level: usize, shown: &mut Shown<'_>) {
        let frames = self.frames.get_mut(..around).unwrap_or_default();
        let is_wanted = |frame: &&mut Frame| frame.visibility != Visibility::Out;
        let told = match frames.iter_mut().rev().find(is_wanted) {
            Some(frame) => frame.hidden.take(shown.shorter_than),
            None => shown
                .hidden_roots
                .remove(&shown.goroutine)
                .and_then(|mut hidden| hidden.take(shown.shorter_than)),
        };
        if let Some((time, note)) = told {
            shown.line(time, level, LineBody::Note(note));
        }
    }

    /// The innermost call ends.
    fn end(
        &mut self,
        rules: &Rules<'_>,
        time: MonotonicTime,
        how: CallEnd,
        duration: Option<Duration>,
        shown: &mut Shown<'_>,
    ) {
        let count = self.frames.len();
        let Some(innermost) = self.frames.last() else {
            return;
        };
        if innermost.visibility == Visibility::Undecided && rules.has_begun(time) {
            let least = rules.shorter_than();
            let is_short = duration
                .zip(least)
                .is_some_and(|(duration, least)| duration < least);
            if !is_short {
                self.show(shown, count);
            } else if let Some(duration) = duration {
                self.hide(time, duration, shown);
                return;
            }
        }
        if matches!(
            self.frames.last(),
            Some(Frame {
                visibility: Visibility::Shown { .. },
                ..
            })
        ) {
            self.tell_hidden(count, self.wanted, shown);
        }
        let Some(frame) = self.pop() else {
            return;
        };
        let function = frame.function;
        let Visibility::Shown { in_earlier_part } = frame.visibility else {
            return;
        };
        if !in_earlier_part {
            let body = LineBody::End {
                function,
                how,
                duration,
            };
            shown.line(time, self.wanted, body);
        } else if how != CallEnd::StillOpen {
            let note = Note::EndedAfterCut {
                function,
                how,
                duration,
            };
            self.any_in_part = true;
            shown.line(time, self.wanted, LineBody::Note(note));
        }
    }

    /// The innermost call ends and is not shown.
    fn hide(&mut self, time: MonotonicTime, duration: Duration, shown: &mut Shown<'_>) {
        let Some(frame) = self.pop() else {
            return;
        };
        let is_wanted = |frame: &&mut Frame| frame.visibility != Visibility::Out;
        let hidden = match self.frames.iter_mut().rev().find(is_wanted) {
            Some(around) => &mut around.hidden,
            None => shown.hidden_roots.entry(shown.goroutine).or_default(),
        };
        hidden.add(&frame.hidden, duration, time);
    }

    fn pop(&mut self) -> Option<Frame> {
        let frame = self.frames.pop()?;
        self.wanted -= usize::from(frame.visibility != Visibility::Out);
        self.shown -= usize::from(matches!(frame.visibility, Visibility::Shown { .. }));
        self.undecided_from = self.undecided_from.min(self.frames.len());
        Some(frame)
    }

    fn note(&mut self, time: MonotonicTime, note: Note, shown: &mut Shown<'_>) {
        if self.shown == self.wanted {
            self.tell_hidden(self.frames.len(), self.shown, shown);
        }
        self.any_in_part = true;
        self.any_in_tree = true;
        shown.line(time, self.shown, LineBody::Note(note));
    }

    /// The part of the tree is over: ends what was shown to begin in it.
    fn end_part(&mut self, shown: &mut Shown<'_>) {
        let time = self.last_time;
        let mut level = self.wanted;
        for frame in self.frames.iter_mut().rev() {
            if frame.visibility == Visibility::Out {
                continue;
            }
            level -= 1;
            if let Visibility::Shown { in_earlier_part } = &mut frame.visibility
                && !std::mem::replace(in_earlier_part, true)
            {
                let body = LineBody::End {
                    function: frame.function,
                    how: CallEnd::StillOpen,
                    duration: None,
                };
                shown.line(time, level, body);
            }
        }
        self.is_cut = false;
        self.any_in_part = false;
    }

    /// The next part of the tree begins, inside `path`.
    fn go_on(
        &mut self,
        rules: &mut Rules<'_>,
        time: MonotonicTime,
        path: &[FunctionId],
        shown: &mut Shown<'_>,
    ) {
        let known = self.frames.iter().map(|frame| &frame.function);
        if !known.eq(path) {
            // Their entries were dropped.
            self.frames.clear();
            self.wanted = 0;
            for &function in path {
                // If that was not told of, they are not shown.
                let is_wanted = self.any_in_tree && rules.is_wanted(function, self.wanted);
                self.wanted += usize::from(is_wanted);
                self.frames.push(Frame {
                    function,
                    time,
                    beginning: Beginning::Lost,
                    visibility: if is_wanted {
                        Visibility::Shown {
                            in_earlier_part: true,
                        }
                    } else {
                        Visibility::Out
                    },
                    hidden: HiddenCalls::default(),
                });
            }
            self.shown = self.wanted;
            self.undecided_from = self.frames.len();
        }
        if self.any_in_tree {
            let is_shown = |frame: &&Frame| matches!(frame.visibility, Visibility::Shown { .. });
            let path = self
                .frames
                .iter()
                .filter(is_shown)
                .map(|frame| frame.function)
                .collect();
            shown.line(time, 0, LineBody::Note(Note::Continued { path }));
        }
    }
}
