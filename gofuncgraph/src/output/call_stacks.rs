use std::time::Duration;

use foldhash::HashMap;

use crate::events::{Goroutine, MonotonicTime};
use crate::plan::FunctionId;
use crate::trace::{Beginning, CallEnd, LineBody, Note, PartEnd, TraceLine};

/// A call that is open.
#[derive(Debug)]
pub(super) struct OpenCall<T> {
    /// The called function.
    pub function: FunctionId,
    /// What is known of its beginning; lost if it was dropped at a cut.
    pub beginning: Beginning,
    /// When it began, if its entry was seen.
    pub begin: Option<MonotonicTime>,
    /// Time in calls directly inside of it; `None` once one of unknown duration was among them.
    pub inner: Option<Duration>,
    /// What the visitor knows it by.
    pub data: T,
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallEnding {
    /// When that was seen.
    pub time: MonotonicTime,
    /// How.
    pub how: CallEnd,
    /// From entry to end, where both were seen.
    pub duration: Option<Duration>,
}

/// What begins with a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallBeginning {
    /// The called function.
    pub function: FunctionId,
    /// When, if its entry is known; else when it was certain.
    pub time: MonotonicTime,
    /// What is known of it; lost if it was dropped at a cut.
    pub beginning: Beginning,
}

/// Is told of whole calls, across the places where a tree was cut.
pub(super) trait CallVisitor {
    /// What it knows an open call by.
    type Data;

    /// A call begins inside `around`, the innermost last.
    fn begin(
        &mut self,
        goroutine: Goroutine,
        beginning: CallBeginning,
        around: &[OpenCall<Self::Data>],
    ) -> Self::Data;

    /// A call that was open inside `around` ends.
    fn end(
        &mut self,
        goroutine: Goroutine,
        call: &OpenCall<Self::Data>,
        ending: CallEnding,
        around: &[OpenCall<Self::Data>],
    );

    /// A remark inside `around`. Those that only tell how the text goes on after a cut are left
    /// out.
    fn note(
        &mut self,
        goroutine: Goroutine,
        time: MonotonicTime,
        note: &Note,
        around: &[OpenCall<Self::Data>],
    );
}

#[derive(Debug)]
struct Stack<T> {
    open: Vec<OpenCall<T>>,
    last_time: MonotonicTime,
    /// The ends that follow are those of calls that go on in the next part.
    is_cut: bool,
}

/// The open calls of every goroutine.
#[derive(Debug)]
pub(super) struct CallStacks<T> {
    stacks: HashMap<Goroutine, Stack<T>>,
}

impl<T> Default for CallStacks<T> {
    fn default() -> Self {
        Self {
            stacks: HashMap::default(),
        }
    }
}

impl<T> CallStacks<T> {
    /// Takes the next line and tells `visitor` what it means.
    pub fn line(&mut self, line: &TraceLine, visitor: &mut impl CallVisitor<Data = T>) {
        let goroutine = line.goroutine;
        if let LineBody::Note(note) = &line.body
            && !self.stacks.contains_key(&goroutine)
            && !matches!(note, Note::Continued { .. })
        {
            visitor.note(goroutine, line.time, note, &[]);
            return;
        }
        let stack = self.stacks.entry(goroutine).or_insert_with(|| Stack {
            open: Vec::new(),
            last_time: line.time,
            is_cut: false,
        });
        stack.last_time = line.time;
        match &line.body {
            LineBody::Entry {
                function,
                beginning: how,
            } => {
                let beginning = CallBeginning {
                    function: *function,
                    time: line.time,
                    beginning: *how,
                };
                let begin = how.is_seen().then_some(line.time);
                stack.begin(goroutine, beginning, begin, Some(Duration::ZERO), visitor);
            }
            LineBody::End { .. } if stack.is_cut => {}
            LineBody::End { how, duration, .. } => {
                let ending = CallEnding {
                    time: line.time,
                    how: *how,
                    duration: *duration,
                };
                stack.end(goroutine, ending, visitor);
            }
            LineBody::Note(Note::Continued { path }) => {
                stack.go_on(goroutine, line.time, path, visitor);
            }
            LineBody::Note(Note::EndedAfterCut { how, duration, .. }) => {
                let ending = CallEnding {
                    time: line.time,
                    how: *how,
                    duration: *duration,
                };
                stack.end(goroutine, ending, visitor);
            }
            LineBody::Note(note) => {
                if let Note::Hidden { total, .. } = note
                    && let Some(innermost) = stack.open.last_mut()
                {
                    innermost.inner = innermost.inner.map(|inner| inner.saturating_add(*total));
                }
                stack.is_cut |= matches!(note, Note::Cut { .. });
                visitor.note(goroutine, line.time, note, &stack.open);
            }
        }
    }

    /// `goroutine`'s tree, or a part of it, is complete.
    pub fn part_end(
        &mut self,
        goroutine: Goroutine,
        end: PartEnd,
        visitor: &mut impl CallVisitor<Data = T>,
    ) {
        match end {
            PartEnd::Cut => {
                if let Some(stack) = self.stacks.get_mut(&goroutine) {
                    stack.is_cut = false;
                }
            }
            PartEnd::Tree => {
                if let Some(mut stack) = self.stacks.remove(&goroutine) {
                    stack.end_all(goroutine, visitor);
                }
            }
        }
    }
}

impl<T> Stack<T> {
    fn begin(
        &mut self,
        goroutine: Goroutine,
        beginning: CallBeginning,
        begin: Option<MonotonicTime>,
        inner: Option<Duration>,
        visitor: &mut impl CallVisitor<Data = T>,
    ) {
        let data = visitor.begin(goroutine, beginning, &self.open);
        self.open.push(OpenCall {
            function: beginning.function,
            beginning: beginning.beginning,
            begin,
            inner,
            data,
        });
    }

    fn end(
        &mut self,
        goroutine: Goroutine,
        ending: CallEnding,
        visitor: &mut impl CallVisitor<Data = T>,
    ) {
        let Some(call) = self.open.pop() else {
            return;
        };
        if let Some(outer) = self.open.last_mut() {
            outer.inner = outer
                .inner
                .zip(ending.duration)
                .map(|(inner, duration)| inner.saturating_add(duration));
        }
        visitor.end(goroutine, &call, ending, &self.open);
    }

    /// What no later part told the end of is still open.
    fn end_all(&mut self, goroutine: Goroutine, visitor: &mut impl CallVisitor<Data = T>) {
        let ending = CallEnding {
            time: self.last_time,
            how: CallEnd::StillOpen,
            duration: None,
        };
        while !self.open.is_empty() {
            self.end(goroutine, ending, visitor);
        }
    }

    /// The calls of `path` are open; those whose entries were dropped were not told of yet.
    fn go_on(
        &mut self,
        goroutine: Goroutine,
        time: MonotonicTime,
        path: &[FunctionId],
        visitor: &mut impl CallVisitor<Data = T>,
    ) {
        let known = self.open.iter().map(|call| &call.function);
        if known.eq(path) {
            return;
        }
        self.end_all(goroutine, visitor);
        for function in path {
            let beginning = CallBeginning {
                function: *function,
                time,
                beginning: Beginning::Lost,
            };
            self.begin(goroutine, beginning, None, None, visitor);
        }
    }
}
