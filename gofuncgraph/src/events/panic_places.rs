//! Where a panic comes from, told by the return addresses on the stack.

use gofuncgraph_common::WalkedFrame;

use super::{CodeAddress, FrameDepth, PanickingCall};
use crate::binary::{Function, GoBinary, LoadBias, RuntimeAddress, VirtualAddress};

/// What a fault of Go code is made to call (Go: src/runtime/signal_unix.go). It returns to the
/// instruction that faulted, and not behind a call.
const SIGNAL_PANIC: &str = "runtime.sigpanic";
/// Opcode and length of a direct call.
const CALL: u8 = 0xe8;
const CALL_BYTES: u64 = 5;

/// Names the functions that panics come from.
pub struct PanicPlaces<'a> {
    binary: &'a GoBinary<'a>,
}

/// Where a panic comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PanicOrigin {
    pub(super) address: CodeAddress,
    pub(super) call: Option<PanickingCall>,
}

impl<'a> PanicPlaces<'a> {
    /// Of processes that run `binary`.
    pub fn new(binary: &'a GoBinary<'a>) -> Self {
        Self { binary }
    }

    /// The innermost of `frames` that is not the runtime's, or a fault. `None` if it is not among
    /// them, or not certain: frame pointers pass over callers of functions that keep none, so the
    /// frame of a runtime function has to be called directly from the next one.
    pub(super) fn origin(&self, frames: &[WalkedFrame], bias: LoadBias) -> Option<PanicOrigin> {
        let to_virtual = |address| RuntimeAddress(address).to_virtual(bias);
        let depth = |frame: &WalkedFrame| FrameDepth {
            bytes: frame.depth_bytes,
        };
        let mut is_fault = false;
        for (index, frame) in frames.iter().enumerate() {
            if frame.return_address == 0 {
                return None;
            }
            // Of a fault the instruction itself; every other call stands before its return address.
            let behind = if is_fault { 1 } else { 0 };
            let address = to_virtual(frame.return_address).checked_add(behind)?;
            let function = self.function_before(address)?;
            if !is_fault && is_of_runtime(function.name) {
                is_fault = function.name == SIGNAL_PANIC;
                continue;
            }
            if !is_fault && index > 0 && !self.calls_runtime(address) {
                return None;
            }
            let framed = frames
                .get(index + 1)
                .filter(|caller| caller.return_address != 0)
                .map(|caller| (depth(caller), to_virtual(caller.return_address)));
            let call = match framed {
                _ if is_fault => Some(PanickingCall::Faulting {
                    depth: FrameDepth {
                        bytes: frame.depth_bytes.wrapping_sub(8),
                    },
                    framed,
                }),
                Some((depth, return_address)) => Some(PanickingCall::Framed {
                    depth,
                    return_address,
                }),
                None => None,
            };
            return Some(PanicOrigin {
                address: CodeAddress::new(address)?,
                call,
            });
        }
        None
    }

    /// Where a function goes on that recovered. `None` if it is the runtime's: a panic of a call
    /// that `runtime.Goexit` had deferred is over, and Goexit goes on, or before Go 1.22 what it
    /// has called for that.
    pub(super) fn resumed(&self, address: VirtualAddress) -> Option<CodeAddress> {
        let function = self.function_before(address)?;
        (!is_of_runtime(function.name)).then(|| CodeAddress::new(address))?
    }

    fn function_before(&self, address: VirtualAddress) -> Option<Function<'a>> {
        self.binary
            .find_function(VirtualAddress(address.0.checked_sub(1)?))
    }

    /// Whether what returns to `address` is a direct call of a function of the runtime.
    fn calls_runtime(&self, address: VirtualAddress) -> bool {
        let Some(start) = address.0.checked_sub(CALL_BYTES).map(VirtualAddress) else {
            return false;
        };
        let Some([CALL, distance @ ..]) = self.binary.code(start..address) else {
            return false;
        };
        let Some(distance) = distance.first_chunk().copied().map(i32::from_le_bytes) else {
            return false;
        };
        let callee = VirtualAddress(address.0.wrapping_add_signed(distance.into()));
        let callee = self.binary.find_function(callee);
        callee.is_some_and(|callee| is_of_runtime(callee.name))
    }
}

/// Whether a function is one of the runtime's own, which panic for those that call them.
fn is_of_runtime(name: &str) -> bool {
    name.starts_with("runtime.") || name.starts_with("internal/runtime/")
}
