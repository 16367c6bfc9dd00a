//! What a simulated program did, told without records.

use std::collections::{BTreeMap, BTreeSet};

use gofuncgraph::binary::VirtualAddress;
use gofuncgraph::events::{Goroutine, MonotonicTime};
use gofuncgraph::plan::FunctionId;
use gofuncgraph::trace::{Beginning, CallEnd, LineBody, TraceLine, Unwinding};

use crate::gate_simulator::{code_address, return_address};

/// The tree of every root.
#[derive(Default)]
pub struct Truth {
    targets: BTreeSet<FunctionId>,
    /// What is open, and since when if that is known.
    stacks: BTreeMap<Goroutine, Vec<(FunctionId, Option<MonotonicTime>)>>,
    /// The open tree: height of the stack below its root, and its lines.
    open: BTreeMap<Goroutine, (usize, Vec<TraceLine>)>,
    pub trees: Vec<Vec<TraceLine>>,
    /// Calls that panicked and were not unwound, by their height on the stack.
    panicking: BTreeSet<(Goroutine, usize)>,
}

impl Truth {
    /// Nothing has happened yet; trees start with `targets`.
    pub fn new(targets: impl IntoIterator<Item = FunctionId>) -> Self {
        Self {
            targets: targets.into_iter().collect(),
            ..Self::default()
        }
    }

    /// `function` is called.
    pub fn call(&mut self, goroutine: Goroutine, function: FunctionId, time: MonotonicTime) {
        let stack = self.stacks.entry(goroutine).or_default();
        let caller = stack.last().map(|(caller, _)| *caller);
        if self.targets.contains(&function) {
            self.open
                .entry(goroutine)
                .or_insert((stack.len(), Vec::new()));
        }
        if let Some((below, lines)) = self.open.get_mut(&goroutine) {
            lines.push(TraceLine {
                goroutine,
                time,
                level: (stack.len() - *below) as u32,
                body: LineBody::Entry {
                    function,
                    beginning: Beginning::Seen {
                        call: VirtualAddress(return_address(caller)),
                    },
                },
            });
        }
        stack.push((function, Some(time)));
    }

    /// `function` was called before tracing began.
    pub fn call_unseen(&mut self, goroutine: Goroutine, function: FunctionId) {
        let stack = self.stacks.entry(goroutine).or_default();
        stack.push((function, None));
    }

    /// What was open when tracing began is found, from the place `root` of the stack on.
    pub fn find_open(&mut self, goroutine: Goroutine, root: usize, time: MonotonicTime) {
        let stack = self.stacks.get(&goroutine).map_or(&[][..], Vec::as_slice);
        let caller = |height: usize| Some(stack.get(height.checked_sub(1)?)?.0);
        let lines = stack.iter().enumerate().skip(root);
        let lines = lines.map(|(height, (function, _))| TraceLine {
            goroutine,
            time,
            level: (height - root) as u32,
            body: LineBody::Entry {
                function: *function,
                beginning: Beginning::AlreadyOpen {
                    call: VirtualAddress(return_address(caller(height))),
                },
            },
        });
        self.open.insert(goroutine, (root, lines.collect()));
    }

    /// All calls but the outermost `height` end so.
    pub fn end_down_to(
        &mut self,
        goroutine: Goroutine,
        height: usize,
        time: MonotonicTime,
        how: impl Fn(FunctionId) -> CallEnd,
    ) {
        let stack = self.stacks.entry(goroutine).or_default();
        self.panicking
            .retain(|(of, at)| *of != goroutine || *at <= height);
        while stack.len() > height {
            let Some((function, begin)) = stack.pop() else {
                break;
            };
            let Some((below, lines)) = self.open.get_mut(&goroutine) else {
                continue;
            };
            let how = how(function);
            let is_measured = matches!(how, CallEnd::Returned { .. } | CallEnd::Unwound(_));
            let level = stack.len() - *below;
            lines.push(TraceLine {
                goroutine,
                time,
                level: level as u32,
                body: LineBody::End {
                    function,
                    how,
                    duration: begin.filter(|_| is_measured).map(|begin| time - begin),
                },
            });
            if level == 0 {
                self.trees
                    .extend(self.open.remove(&goroutine).map(|(_, lines)| lines));
            }
        }
    }

    /// The innermost call panics.
    pub fn panic(&mut self, goroutine: Goroutine) {
        if let Some(height) = self.stacks.get(&goroutine).map(Vec::len) {
            self.panicking.insert((goroutine, height));
        }
    }

    /// What is above `height` is unwound; the call there goes on.
    pub fn recover(&mut self, goroutine: Goroutine, height: usize, time: MonotonicTime) {
        let resumed = self.stacks.get(&goroutine).and_then(|stack| {
            let (function, _) = stack.get(height.checked_sub(1)?)?;
            code_address(Some(*function))
        });
        while let Some(above) = self.stacks.get(&goroutine).map(Vec::len)
            && above > height
        {
            let panicked = self.panicking.contains(&(goroutine, above));
            let how = CallEnd::Unwound(Unwinding::Panic {
                panicked,
                origin: None,
                resumed,
            });
            self.end_down_to(goroutine, above - 1, time, |_| how);
        }
        self.panicking.remove(&(goroutine, height));
    }

    /// Oldest tree first.
    pub fn end_all(&mut self, time: MonotonicTime, how: CallEnd, is_over: impl Fn(u32) -> bool) {
        let mut over: Vec<Goroutine> = self
            .stacks
            .keys()
            .copied()
            .filter(|goroutine| is_over(goroutine.pid))
            .collect();
        over.sort_by_key(|goroutine| {
            let open = self.open.get(goroutine);
            open.and_then(|(_, lines)| lines.first().map(|line| line.time))
        });
        for goroutine in over {
            self.end_down_to(goroutine, 0, time, |_| how);
        }
    }
}
