//! A Go program whose calls are scripted, seen through what the kernel side does: only
//! goroutines with an active root are traced, records are numbered whether or not they can be
//! written, and what is lost is told where it is noticed.

#![allow(dead_code, reason = "every test uses its part of it")]

#[path = "gate_reasons.rs"]
mod gate_reasons;

use std::collections::{BTreeMap, BTreeSet};

use gofuncgraph::binary::{LoadBias, RuntimeAddress, VirtualAddress};
use gofuncgraph::events::{
    CloseCause, CodeAddress, EndProbe, Event, FrameDepth, Goroutine, GoroutineEvent, MonotonicTime,
    ObservedPlace, ProcessEnd, SequencePosition,
};
use gofuncgraph::plan::{FunctionId, SiteId};

/// Position independent, so that a forgotten bias shows.
pub const LOAD_BIAS: LoadBias = LoadBias(0x5555_0000_0000);

/// Bytes between a frame and its caller's.
const FRAME_BYTES: u64 = 0x40;

/// Depth of the first frame of a goroutine.
const FIRST_FRAME_BYTES: u64 = 0x10;

/// Virtual return address of a call by `caller`.
pub fn return_address(caller: Option<FunctionId>) -> u64 {
    0x40_0000 + 0x1000 * (caller.map_or(0, |caller| u64::from(caller.0) + 1)) + 0x2f
}

/// The same as where code of `function` panics, or goes on.
pub fn code_address(function: Option<FunctionId>) -> Option<CodeAddress> {
    CodeAddress::new(VirtualAddress(return_address(function)))
}

/// The RET that the simulated functions leave by.
pub fn return_site(function: FunctionId) -> SiteId {
    SiteId(function.0 * 10 + 7)
}

/// The RET of those simulated functions that have one.
pub fn only_return(function: FunctionId) -> Option<SiteId> {
    function.0.is_multiple_of(2).then(|| return_site(function))
}

#[derive(Clone, Copy, Debug)]
struct Call {
    function: FunctionId,
    depth: FrameDepth,
}

/// As in the kernel side's map of goroutines.
#[derive(Clone, Copy, Debug, Default)]
struct Gate {
    root: Option<FrameDepth>,
    next_sequence: u64,
    tree: u16,
    lost_records: bool,
}

/// What the kernel side counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateCounts {
    pub entries_written: u64,
    pub entries_lost: u64,
    /// Calls that were found to be open already.
    pub already_open: u64,
    pub returns_written: u64,
    pub returns_lost: u64,
    pub observations_written: u64,
    pub observations_lost: u64,
    /// Calls that returned to where no observer is.
    pub unobserved_returns: u64,
    pub closes_lost: u64,
    pub returns_without_tree: u64,
}

/// The program, the kernel side and the clock.
pub struct GateSimulator {
    targets: BTreeSet<FunctionId>,
    /// Functions without probes on their RETs.
    pub promoted: BTreeSet<FunctionId>,
    /// Functions that return as soon as what they have called has returned.
    pub returning_at_once: BTreeSet<FunctionId>,
    /// Where calls return to and no observer is.
    pub unobservable_returns: BTreeSet<u64>,
    /// Stacks are searched for calls that were open when tracing began.
    pub searches_already_open: bool,
    looked_at: BTreeSet<Goroutine>,
    /// Place on the stack of the last root that was found so.
    found_root: Option<usize>,
    stacks: BTreeMap<Goroutine, Vec<Call>>,
    gates: BTreeMap<Goroutine, Gate>,
    /// Every step of the program takes so long.
    pub step_ns: u64,
    pub now: MonotonicTime,
    /// Whether the ring has room now.
    pub ring_is_full: bool,
    pub counts: GateCounts,
    pub events: Vec<Event>,
}

impl GateSimulator {
    pub fn new(targets: impl IntoIterator<Item = FunctionId>) -> Self {
        Self {
            targets: targets.into_iter().collect(),
            promoted: BTreeSet::new(),
            returning_at_once: BTreeSet::new(),
            unobservable_returns: BTreeSet::new(),
            searches_already_open: false,
            looked_at: BTreeSet::new(),
            found_root: None,
            stacks: BTreeMap::new(),
            gates: BTreeMap::new(),
            step_ns: 1_234_567,
            now: MonotonicTime {
                time_ns: 1_000_000_000,
            },
            ring_is_full: false,
            counts: GateCounts::default(),
            events: Vec::new(),
        }
    }

    /// Lets time pass.
    pub fn wait_ns(&mut self, time_ns: u64) {
        self.now.time_ns += time_ns;
    }

    /// What happens in `steps` finds the ring full.
    pub fn losing(&mut self, steps: impl FnOnce(&mut Self)) {
        self.ring_is_full = true;
        steps(self);
        self.ring_is_full = false;
    }

    /// Number of calls on the goroutine's stack.
    pub fn stack_height(&self, goroutine: Goroutine) -> usize {
        self.stacks.get(&goroutine).map_or(0, Vec::len)
    }

    /// The goroutine's innermost function calls `function`.
    pub fn call(&mut self, goroutine: Goroutine, function: FunctionId) {
        self.step();
        if !self.targets.contains(&function) {
            self.look_at_return(goroutine);
        }
        let (depth, caller) = self.call_unseen(goroutine, function);
        self.supersede(goroutine, depth);
        let gate = self.gates.get(&goroutine).copied().unwrap_or_default();
        let starts_tree = gate.root.is_none();
        if starts_tree {
            if !self.targets.contains(&function) {
                return;
            }
            let known = self.gates.contains_key(&goroutine);
            let gate = self.gates.entry(goroutine).or_default();
            gate.root = Some(depth);
            if known {
                gate.tree = gate.tree.wrapping_add(1);
            }
        }
        let kind = GoroutineEvent::Entry {
            function,
            depth,
            return_address: RuntimeAddress(return_address(caller).wrapping_add(LOAD_BIAS.0)),
            load_bias: LOAD_BIAS,
            starts_tree,
            end_probe: self.end_probe(goroutine, self.stack_height(goroutine) - 1),
            is_already_open: false,
        };
        if self.record(goroutine, kind) {
            self.counts.entries_written += 1;
        } else {
            self.counts.entries_lost += 1;
        }
    }

    /// Place on the stack of the root that was found by the last step, if one was.
    pub fn take_found_root(&mut self) -> Option<usize> {
        self.found_root.take()
    }

    fn is_target(&self, call: &Call) -> bool {
        self.targets.contains(&call.function)
    }

    /// Outside of any tree, finds the outermost target that is open, once.
    fn look_at(&mut self, goroutine: Goroutine) {
        if !self.searches_already_open
            || self.gates.contains_key(&goroutine)
            || !self.looked_at.insert(goroutine)
        {
            return;
        }
        let stack = self.stacks.get(&goroutine).map_or(&[][..], Vec::as_slice);
        if let Some(root) = stack.iter().position(|call| self.is_target(call)) {
            self.start_already_open(goroutine, root);
        }
    }

    /// A target that returns outside of any tree was open.
    fn look_at_return(&mut self, goroutine: Goroutine) {
        let stack = self.stacks.get(&goroutine).map_or(&[][..], Vec::as_slice);
        match stack.last() {
            Some(innermost) if self.is_target(innermost) => {
                if self.searches_already_open && !self.gates.contains_key(&goroutine) {
                    self.start_already_open(goroutine, stack.len() - 1);
                }
            }
            _ => self.look_at(goroutine),
        }
    }

    /// A tree starts at this place of the stack.
    fn start_already_open(&mut self, goroutine: Goroutine, root: usize) {
        self.found_root = Some(root);
        let stack = self.stacks.get(&goroutine).cloned().unwrap_or_default();
        let gate = self.gates.entry(goroutine).or_default();
        gate.root = stack.get(root).map(|call| call.depth);
        if self.ring_is_full {
            gate.next_sequence += 1;
            gate.lost_records = true;
            self.counts.entries_lost += 1;
            return;
        }
        let position = SequencePosition {
            sequence: gate.next_sequence,
            tree: gate.tree,
        };
        let time = self.now;
        for (height, call) in stack.iter().enumerate().skip(root) {
            let caller = height.checked_sub(1).and_then(|below| stack.get(below));
            let return_address = return_address(caller.map(|caller| caller.function));
            self.counts.already_open += 1;
            self.events.push(Event::Goroutine {
                goroutine,
                position,
                time,
                kind: GoroutineEvent::Entry {
                    function: call.function,
                    depth: call.depth,
                    return_address: RuntimeAddress(return_address.wrapping_add(LOAD_BIAS.0)),
                    load_bias: LOAD_BIAS,
                    starts_tree: height == root,
                    end_probe: if self.promoted.contains(&call.function) {
                        EndProbe::None
                    } else {
                        EndProbe::Return
                    },
                    is_already_open: true,
                },
            });
        }
    }

    /// How the end of the call at this place of the stack is seen.
    fn end_probe(&self, goroutine: Goroutine, height: usize) -> EndProbe {
        let stack = self.stacks.get(&goroutine).map_or(&[][..], Vec::as_slice);
        let (callers, function) = (&stack[..height], stack[height].function);
        if !self.promoted.contains(&function) {
            return EndProbe::Return;
        }
        let root = self.gates.get(&goroutine).and_then(|gate| gate.root);
        let returning_at_once = callers
            .iter()
            .rev()
            .take_while(|caller| self.returning_at_once.contains(&caller.function));
        let with_return = returning_at_once.clone().find(|caller| {
            !self.promoted.contains(&caller.function) && root.is_some_and(|it| it <= caller.depth)
        });
        let links = returning_at_once.count();
        let last_caller = callers.iter().nth_back(links).map(|caller| caller.function);
        let place = if let Some(caller) = with_return {
            ObservedPlace::CallersReturn(caller.depth)
        } else if self
            .unobservable_returns
            .contains(&return_address(last_caller))
        {
            return EndProbe::None;
        } else if links == 0 {
            ObservedPlace::Own
        } else {
            ObservedPlace::Caller(VirtualAddress(return_address(last_caller)))
        };
        EndProbe::Observer {
            only_return: only_return(function),
            place,
        }
    }

    /// A call that happened before tracing began.
    pub fn call_unseen(
        &mut self,
        goroutine: Goroutine,
        function: FunctionId,
    ) -> (FrameDepth, Option<FunctionId>) {
        let stack = self.stacks.entry(goroutine).or_default();
        let caller = stack.last().copied();
        let depth = FrameDepth {
            bytes: caller.map_or(FIRST_FRAME_BYTES, |caller| caller.depth.bytes + FRAME_BYTES),
        };
        stack.push(Call { function, depth });
        (depth, caller.map(|caller| caller.function))
    }

    /// The goroutine's innermost function returns, and those that do so at once.
    pub fn ret(&mut self, goroutine: Goroutine) {
        self.step();
        self.innermost_returns(goroutine);
        while let Some(caller) = self.stacks.get(&goroutine).and_then(|stack| stack.last())
            && self.returning_at_once.contains(&caller.function)
        {
            self.innermost_returns(goroutine);
        }
    }

    fn innermost_returns(&mut self, goroutine: Goroutine) {
        let height = self.stack_height(goroutine);
        let end_probe = (height > 0).then(|| self.end_probe(goroutine, height - 1));
        if end_probe == Some(EndProbe::Return) {
            self.look_at(goroutine);
        }
        let call = self
            .stacks
            .get_mut(&goroutine)
            .and_then(Vec::pop)
            .expect("the script returns from what it called");
        let root = self.gates.get(&goroutine).and_then(|gate| gate.root);
        let has_probes_on_returns = end_probe == Some(EndProbe::Return);
        if has_probes_on_returns && root.is_some_and(|root| call.depth < root) {
            self.supersede(goroutine, call.depth);
        }
        let Some(root) = self.gates.get(&goroutine).and_then(|gate| gate.root) else {
            if self.targets.contains(&call.function) {
                self.counts.returns_without_tree += 1;
            }
            return;
        };
        let ends_tree = call.depth <= root;
        let caller = self.stacks.get(&goroutine).and_then(|stack| stack.last());
        let caller = caller.map(|caller| caller.function);
        match end_probe.expect("the script returns from what it called") {
            EndProbe::Return => {
                let kind = GoroutineEvent::Return {
                    function: call.function,
                    site: return_site(call.function),
                    depth: call.depth,
                    ends_tree,
                };
                if self.record(goroutine, kind) {
                    self.counts.returns_written += 1;
                } else {
                    self.counts.returns_lost += 1;
                }
            }
            EndProbe::Observer { place, .. } if place != ObservedPlace::Own => return,
            EndProbe::Observer { .. } => {
                let kind = GoroutineEvent::Observed {
                    depth: FrameDepth {
                        bytes: call.depth.bytes - 8,
                    },
                    return_address: VirtualAddress(return_address(caller)),
                    ends_tree,
                };
                if self.record(goroutine, kind) {
                    self.counts.observations_written += 1;
                } else {
                    self.counts.observations_lost += 1;
                }
            }
            EndProbe::None => {
                self.counts.unobserved_returns += 1;
                return;
            }
        }
        if ends_tree {
            self.end_tree(goroutine);
        }
    }

    /// The innermost function leaves without a RET that is probed.
    pub fn leave_unseen(&mut self, goroutine: Goroutine) {
        self.step();
        self.stacks.get_mut(&goroutine).and_then(Vec::pop);
    }

    /// A panic is recovered by the function that is `height`th on the stack, counted from 1.
    pub fn recover(&mut self, goroutine: Goroutine, height: usize) {
        self.step();
        let stack = self.stacks.entry(goroutine).or_default();
        stack.truncate(height);
        // The recovering function resumes inside its own frame.
        let depth = FrameDepth {
            bytes: stack.last().map_or(0, |call| call.depth.bytes) + FRAME_BYTES / 2,
        };
        self.close(goroutine, depth, CloseCause::Recovered);
    }

    /// The goroutine ends; what is on its stack is unwound.
    pub fn goexit(&mut self, goroutine: Goroutine) {
        self.step();
        self.stacks.remove(&goroutine);
        self.close(
            goroutine,
            FrameDepth { bytes: 0 },
            CloseCause::GoroutineExit,
        );
        if let Some(gate) = self.gates.remove(&goroutine) {
            self.notice_loss(goroutine, gate, true);
        }
    }

    /// The process exits or runs another image.
    pub fn end_process(&mut self, pid: u32, cause: ProcessEnd) {
        self.step();
        let is_over = |goroutine: &Goroutine| goroutine.pid == pid;
        self.stacks.retain(|goroutine, _| !is_over(goroutine));
        let over: Vec<_> = self
            .gates
            .extract_if(.., |goroutine, _| is_over(goroutine))
            .collect();
        for (goroutine, gate) in over {
            self.notice_loss(goroutine, gate, false);
        }
        self.events.push(Event::ProcessEnded {
            pid,
            time: self.now,
            cause,
        });
    }

    /// Tracing ends.
    pub fn stop(&mut self) {
        self.step();
        for (goroutine, gate) in std::mem::take(&mut self.gates) {
            self.notice_loss(goroutine, gate, false);
        }
    }

    fn step(&mut self) {
        self.now.time_ns += self.step_ns;
    }

    /// An event at `depth` proves that a root at this depth or deeper is over.
    fn supersede(&mut self, goroutine: Goroutine, depth: FrameDepth) {
        let root = self.gates.get(&goroutine).and_then(|gate| gate.root);
        if root.is_some_and(|root| depth <= root) {
            let below = FrameDepth {
                bytes: depth.bytes - 1,
            };
            self.close(goroutine, below, CloseCause::Superseded);
        }
    }

    fn close(&mut self, goroutine: Goroutine, depth: FrameDepth, cause: CloseCause) {
        let Some(root) = self.gates.get(&goroutine).and_then(|gate| gate.root) else {
            return;
        };
        let ends_tree = root > depth;
        let kind = GoroutineEvent::Close {
            depth,
            cause,
            ends_tree,
        };
        if !self.record(goroutine, kind) {
            self.counts.closes_lost += 1;
        }
        if ends_tree {
            self.end_tree(goroutine);
        }
    }

    fn record(&mut self, goroutine: Goroutine, kind: GoroutineEvent) -> bool {
        let gate = self.gates.entry(goroutine).or_default();
        let position = SequencePosition {
            sequence: gate.next_sequence,
            tree: gate.tree,
        };
        gate.next_sequence += 1;
        if self.ring_is_full {
            gate.lost_records = true;
            return false;
        }
        self.events.push(Event::Goroutine {
            goroutine,
            position,
            time: self.now,
            kind,
        });
        true
    }

    fn end_tree(&mut self, goroutine: Goroutine) {
        if let Some(gate) = self.gates.get_mut(&goroutine) {
            gate.root = None;
            if !gate.lost_records {
                self.gates.remove(&goroutine);
            }
        }
    }

    fn notice_loss(&mut self, goroutine: Goroutine, gate: Gate, goroutine_ended: bool) {
        if !gate.lost_records {
            return;
        }
        self.events.push(Event::LossNoticed {
            goroutine,
            position: SequencePosition {
                sequence: gate.next_sequence,
                tree: gate.tree.wrapping_add(u16::from(gate.root.is_none())),
            },
            time: self.now,
            goroutine_ended,
        });
    }
}
