//! Where a panic comes from, told by the return addresses on the stack.

use gofuncgraph_common::WalkedFrame;

use super::{CodeAddress, FrameDepth, PanickingCall};
use crate::binary::{GoBinary, LoadBias, RuntimeAddress, VirtualAddress};

/// What a fault of Go code is made to call (Go: src/runtime/signal_unix.go). It returns to the
/// instruction that faulted, and not behind a call.
const SIGNAL_PANIC: &str = "runtime.sigpanic";
/// Of a return address.
const WORD_BYTES: u64 = 8;

/// Names the functions that panics come from.
pub struct PanicPlaces<'a> {
    binary: &'a GoBinary<'a>,
}

/// Where a panic comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PanicOrigin {
    /// As in [`Panic::origin`](super::Panic::origin).
    pub address: CodeAddress,
    /// As in [`Panic::call`](super::Panic::call).
    pub call: Option<PanickingCall>,
}

impl<'a> PanicPlaces<'a> {
    /// Of processes that run `binary`.
    pub fn new(binary: &'a GoBinary<'a>) -> Self {
        Self { binary }
    }

    /// The innermost of `frames` that is not the runtime's, or a fault. `None` if it is not among
    /// them, or not certain.
    ///
    /// Frame pointers pass over the caller of a function that keeps none. So each frame has to be
    /// as large as pclntab says that its function's is at this instruction. Depths may have any
    /// origin.
    pub fn origin(&self, frames: &[WalkedFrame], bias: LoadBias) -> Option<PanicOrigin> {
        let to_virtual = |address| RuntimeAddress(address).to_virtual(bias);
        let mut is_fault = false;
        for (index, frame) in frames.iter().enumerate() {
            if frame.return_address == 0 {
                return None;
            }
            // Of a fault the instruction itself; every other call stands before its return address.
            let behind = if is_fault { 1 } else { 0 };
            let address = to_virtual(frame.return_address).checked_add(behind)?;
            let before = VirtualAddress(address.0.checked_sub(1)?);
            let function = self.binary.find_function(before)?;
            let frame_bytes = self.binary.frame_bytes(before);
            let depth_bytes = frame_bytes.map(|bytes| callers_depth(*frame, bytes));
            let caller = frames
                .get(index + 1)
                .filter(|caller| Some(caller.depth_bytes) == depth_bytes);
            if !is_fault && is_of_runtime(function.name) {
                // What is not called from where the walk goes on has nothing to do with it.
                caller?;
                is_fault = function.name == SIGNAL_PANIC;
                continue;
            }
            let is_frameless = frame_bytes == Some(0);
            return Some(PanicOrigin {
                address: CodeAddress::new(address)?,
                call: depth_bytes
                    .filter(|_| is_frameless || caller.is_some())
                    .map(|bytes| PanickingCall {
                        depth: FrameDepth { bytes },
                        return_address: caller
                            .map(|caller| to_virtual(caller.return_address))
                            .filter(|_| !is_frameless),
                    }),
            });
        }
        None
    }

    /// Where a function goes on that recovered. `None` if it is the runtime's: a panic of a call
    /// that `runtime.Goexit` had deferred is over, and Goexit goes on, or before Go 1.22 what it
    /// has called for that.
    pub fn resumed(&self, address: VirtualAddress) -> Option<CodeAddress> {
        let function = self
            .binary
            .find_function(VirtualAddress(address.0.checked_sub(1)?))?;
        (!is_of_runtime(function.name)).then(|| CodeAddress::new(address))?
    }
}

/// Where the return address of the function stands that `callee` returns to, if it has so many bytes of
/// frame there.
pub(super) fn callers_depth(callee: WalkedFrame, frame_bytes: u32) -> u64 {
    // The callee's return address stands just below SP.
    let stack_pointer = callee.depth_bytes.wrapping_sub(WORD_BYTES);
    stack_pointer.wrapping_sub(frame_bytes.into())
}

/// Whether a function is one of the runtime's own, which panic for those that call them.
fn is_of_runtime(name: &str) -> bool {
    name.starts_with("runtime.") || name.starts_with("internal/runtime/")
}
