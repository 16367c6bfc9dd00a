use std::collections::HashMap;

use crate::binary::VirtualAddress;
use crate::events::{
    CloseCause, EndProbe, Event, FrameDepth, Goroutine, GoroutineEvent, ObservedPlace,
    SequencePosition,
};

/// How observers compared with probes on RETs. Counts calls of promoted functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitCounts {
    /// Ended by the observer that is for them, and nothing happened since their RET.
    pub exact: u64,
    /// Their end was noticed, but by something later.
    pub late: u64,
    /// Said to be over before their RET: never right.
    pub early: u64,
    /// Unwound, or still open.
    pub without_return: u64,
    /// Events were lost while they were open.
    pub unchecked: u64,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    depth_bytes: u64,
    call: VirtualAddress,
    is_promoted: bool,
    place: ObservedPlace,
    has_returned: bool,
    /// Something else happened after it had returned.
    is_late: bool,
}

#[derive(Debug, Default)]
struct Stack {
    frames: Vec<Frame>,
    next: Option<SequencePosition>,
}

/// Compares the ends that observers tell of with RETs that are told of beside them.
#[derive(Debug, Default)]
pub struct ExitChecker {
    stacks: HashMap<Goroutine, Stack>,
    counts: ExitCounts,
}

impl ExitChecker {
    /// Takes the next event.
    pub fn handle(&mut self, event: &Event) {
        match event {
            Event::Goroutine {
                goroutine,
                position,
                kind,
                ..
            } => {
                let stack = self.stacks.entry(*goroutine).or_default();
                let tree_ends = stack.take(*position, kind, &mut self.counts);
                if tree_ends {
                    stack.end_all(&mut self.counts);
                    self.stacks.remove(goroutine);
                }
            }
            Event::ProcessEnded { pid, .. } => {
                for (_, mut stack) in self.stacks.extract_if(|goroutine, _| goroutine.pid == *pid) {
                    stack.end_all(&mut self.counts);
                }
            }
            Event::LossNoticed { .. } | Event::Reason { .. } | Event::ProcessEnding { .. } => {}
        }
    }

    /// What was found. Call it when nothing more will come.
    pub fn finish(mut self) -> ExitCounts {
        for stack in self.stacks.values_mut() {
            stack.end_all(&mut self.counts);
        }
        self.counts
    }
}

impl Stack {
    /// Says whether the tree is over.
    fn take(
        &mut self,
        position: SequencePosition,
        kind: &GoroutineEvent,
        counts: &mut ExitCounts,
    ) -> bool {
        // A root can begin where another was whose end nothing told of.
        let is_next = |next: SequencePosition| {
            let is_other_tree =
                matches!(kind, GoroutineEvent::Entry { starts_tree, .. } if *starts_tree);
            next.sequence == position.sequence && (next.tree == position.tree || is_other_tree)
        };
        if self.next.is_some_and(|next| !is_next(next)) {
            let promoted = self.frames.iter().filter(|frame| frame.is_promoted);
            counts.unchecked += promoted.count() as u64;
            self.frames.clear();
        }
        self.next = Some(SequencePosition {
            sequence: position.sequence + u64::from(kind.has_number()),
            tree: position.tree,
        });
        match *kind {
            GoroutineEvent::Entry {
                depth,
                return_address,
                load_bias,
                end_probe,
                starts_tree,
                ..
            } => {
                if starts_tree {
                    self.end_all(counts);
                }
                self.end_while(counts, Proof::Later, |frame| {
                    frame.depth_bytes >= depth.bytes
                });
                for frame in &mut self.frames {
                    frame.is_late |= frame.has_returned;
                }
                self.frames.push(Frame {
                    depth_bytes: depth.bytes,
                    call: return_address.to_virtual(load_bias),
                    is_promoted: end_probe != EndProbe::Return,
                    place: match end_probe {
                        EndProbe::Observer { place, .. } => place,
                        EndProbe::Return | EndProbe::None => ObservedPlace::Own,
                    },
                    has_returned: false,
                    is_late: false,
                });
                false
            }
            GoroutineEvent::Checked { depth, .. } => {
                // Its caller's end is what will be seen of a call that is chained to it.
                self.end_while(counts, Proof::Later, |frame| {
                    let is_chained = frame.has_returned && frame.place != ObservedPlace::Own;
                    frame.depth_bytes > depth.bytes && !is_chained
                });
                let mut frames = self.frames.iter_mut();
                if let Some(frame) = frames.rfind(|frame| frame.depth_bytes == depth.bytes) {
                    frame.has_returned = true;
                }
                false
            }
            GoroutineEvent::Return {
                depth, ends_tree, ..
            } => {
                self.end_while(counts, Proof::CallersReturn(depth), |frame| {
                    frame.depth_bytes > depth.bytes
                });
                self.frames.pop_if(|frame| frame.depth_bytes == depth.bytes);
                ends_tree
            }
            GoroutineEvent::Observed {
                depth,
                return_address,
                ends_tree,
            } => {
                self.end_while(counts, Proof::Observer(return_address), |frame| {
                    ends_tree || frame.depth_bytes > depth.bytes
                });
                ends_tree
            }
            GoroutineEvent::Close {
                depth,
                cause,
                ends_tree,
            } => {
                let proof = match cause {
                    CloseCause::Recovered | CloseCause::GoroutineExit => Proof::Unwound,
                    CloseCause::Superseded
                    | CloseCause::ReturnedUnobserved
                    | CloseCause::SignalPanic => Proof::Later,
                };
                self.end_while(counts, proof, |frame| {
                    ends_tree || frame.depth_bytes > depth.bytes
                });
                ends_tree
            }
        }
    }

    fn end_while(
        &mut self,
        counts: &mut ExitCounts,
        proof: Proof,
        is_over: impl Fn(&Frame) -> bool,
    ) {
        while let Some(frame) = self.frames.pop_if(|frame| is_over(frame)) {
            if !frame.is_promoted {
                continue;
            }
            let count = match proof {
                _ if !frame.has_returned && proof == Proof::Unwound => &mut counts.without_return,
                _ if !frame.has_returned => &mut counts.early,
                proof if proof.is_for(&frame) && !frame.is_late => &mut counts.exact,
                _ => &mut counts.late,
            };
            *count += 1;
        }
    }

    fn end_all(&mut self, counts: &mut ExitCounts) {
        self.end_while(counts, Proof::Unwound, |_| true);
    }
}

/// What says that calls are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// The observer for calls that return to this address.
    Observer(VirtualAddress),
    /// The RET of a caller at this depth.
    CallersReturn(FrameDepth),
    /// Something that can only happen when they are.
    Later,
    /// They did not return, or that is not known.
    Unwound,
}

impl Proof {
    /// Whether it is what was to tell of the end of `frame`.
    fn is_for(self, frame: &Frame) -> bool {
        match (self, frame.place) {
            (Self::Observer(address), ObservedPlace::Own) => frame.call == address,
            (Self::Observer(address), ObservedPlace::Caller(expected)) => expected == address,
            (Self::CallersReturn(depth), ObservedPlace::CallersReturn(expected)) => {
                expected == depth
            }
            _ => false,
        }
    }
}
