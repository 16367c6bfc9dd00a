//! What the simulated kernel side says of why calls and processes end.

use gofuncgraph::binary::VirtualAddress;
use gofuncgraph::events::{
    Event, FrameDepth, Goroutine, Panic, PanickingCall, ProcessEnding, Reason, SequencePosition,
};
use gofuncgraph::plan::FunctionId;

use super::{FRAME_BYTES, GateSimulator, code_address, return_address};

impl GateSimulator {
    /// `function` panics, which the innermost function calls and no probe is on.
    pub fn panic_in(&mut self, goroutine: Goroutine, function: FunctionId) {
        let stack = self.stacks.get(&goroutine).map_or(&[][..], Vec::as_slice);
        let panic = Panic {
            depth: FrameDepth {
                bytes: stack.last().map_or(0, |call| call.depth.bytes) + FRAME_BYTES - 8,
            },
            origin: code_address(Some(function)),
            call: None,
        };
        self.step();
        self.reason(goroutine, Reason::Panic(panic));
    }

    /// The innermost function panics; what is called until it is recovered are deferred calls.
    pub fn panic(&mut self, goroutine: Goroutine) {
        let stack = self.stacks.get(&goroutine).map_or(&[][..], Vec::as_slice);
        let [callers @ .., call] = stack else {
            return;
        };
        let caller = callers.last().map(|caller| caller.function);
        let panic = Panic {
            // Deeper than where the function itself would go on, and than no deferred call.
            depth: FrameDepth {
                bytes: call.depth.bytes + FRAME_BYTES - 8,
            },
            origin: code_address(Some(call.function)),
            call: Some(PanickingCall {
                depth: call.depth,
                return_address: Some(VirtualAddress(return_address(caller))),
            }),
        };
        self.step();
        self.reason(goroutine, Reason::Panic(panic));
    }

    /// The same as [`recover`](Self::recover), after the kernel side has said where it is.
    pub fn recover_told(&mut self, goroutine: Goroutine, height: usize) {
        let stack = self.stacks.entry(goroutine).or_default();
        let recovering = height.checked_sub(1).and_then(|index| stack.get(index));
        let resumed = code_address(recovering.map(|call| call.function));
        self.reason(goroutine, Reason::Recovery { resumed });
        self.recover(goroutine, height);
    }

    /// The same as [`goexit`](Self::goexit), after the kernel side has said that it was called.
    pub fn goexit_told(&mut self, goroutine: Goroutine) {
        self.reason(goroutine, Reason::Goexit);
        self.goexit(goroutine);
    }

    /// The kernel side has seen why the process will end.
    pub fn process_ending(&mut self, pid: u32, ending: ProcessEnding) {
        self.events.push(Event::ProcessEnding {
            pid,
            time: self.now,
            ending,
        });
    }

    fn reason(&mut self, goroutine: Goroutine, reason: Reason) {
        let Some(gate) = self.gates.get_mut(&goroutine) else {
            return;
        };
        if gate.root.is_none() {
            return;
        }
        if self.ring_is_full {
            gate.next_sequence += 1;
            gate.lost_records = true;
            self.counts.closes_lost += 1;
            return;
        }
        self.events.push(Event::Reason {
            goroutine,
            position: SequencePosition {
                sequence: gate.next_sequence,
                tree: gate.tree,
            },
            time: self.now,
            reason,
        });
    }
}
