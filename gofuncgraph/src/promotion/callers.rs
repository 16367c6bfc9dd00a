use std::collections::{HashMap, HashSet};

use iced_x86::Code;

use super::observer::is_go_code;
use crate::binary::disassembly::instructions;
use crate::binary::{GoBinary, VirtualAddress};

/// First byte of `call rel32`, and its length.
const CALL: u8 = 0xe8;
const CALL_BYTES: usize = 5;

/// Where the direct calls of some functions return to.
#[derive(Clone, Debug, Default)]
pub struct DirectCallers {
    /// By the first instruction of the called function.
    returns: HashMap<VirtualAddress, Vec<VirtualAddress>>,
}

impl DirectCallers {
    /// Looks for calls of the functions that begin at `callees` in all Go code of `binary`.
    /// Takes tens of milliseconds for ten megabytes of code, and ends early, with what there is,
    /// once `is_wanted` does not hold.
    pub fn find(
        binary: &GoBinary<'_>,
        callees: &HashSet<VirtualAddress>,
        is_wanted: &dyn Fn() -> bool,
    ) -> Self {
        let mut callers = Self::default();
        for function in binary.functions().filter_map(Result::ok) {
            if !is_wanted() {
                break;
            }
            if !is_go_code(&function) {
                continue;
            }
            let code = binary.code(function.start..function.end);
            let code = code.unwrap_or_default();
            // Most code calls none of them: decoding takes longer than this.
            if may_call(code, function.start, callees) {
                callers.add(code, function.start, callees);
            }
        }
        callers
    }

    /// Where calls of the function that begins at `callee` return to.
    pub fn returns_of(&self, callee: VirtualAddress) -> &[VirtualAddress] {
        self.returns.get(&callee).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, code: &[u8], start: VirtualAddress, callees: &HashSet<VirtualAddress>) {
        for instruction in instructions(code, start) {
            if instruction.code() != Code::Call_rel32_64 {
                continue;
            }
            let callee = VirtualAddress(instruction.near_branch_target());
            if callees.contains(&callee) {
                let return_address = VirtualAddress(instruction.next_ip());
                self.returns.entry(callee).or_default().push(return_address);
            }
        }
    }
}

/// Whether some bytes of `code` are a call of one of them, if an instruction begins there.
fn may_call(code: &[u8], start: VirtualAddress, callees: &HashSet<VirtualAddress>) -> bool {
    code.windows(CALL_BYTES).enumerate().any(|(offset, bytes)| {
        let [CALL, a, b, c, d] = *bytes else {
            return false;
        };
        let distance = i64::from(i32::from_le_bytes([a, b, c, d]));
        let next = start.0.wrapping_add((offset + CALL_BYTES) as u64);
        callees.contains(&VirtualAddress(next.wrapping_add_signed(distance)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_an_instruction() {
        // mov $0xe8,%eax; call 0x1000 (at 0x2005); ret; and a constant that looks like a call.
        let code = [
            0xb8, 0xe8, 0, 0, 0, 0xe8, 0xf6, 0xef, 0xff, 0xff, 0xc3, 0x48, 0xb8, 0xe8, 0xee, 0xef,
            0xff, 0xff, 0, 0, 0, 0xc3,
        ];
        let start = VirtualAddress(0x2000);
        let callees = HashSet::from([VirtualAddress(0x1000)]);
        assert!(may_call(&code, start, &callees));
        let mut callers = DirectCallers::default();
        callers.add(&code, start, &callees);
        assert_eq!(
            callers.returns_of(VirtualAddress(0x1000)),
            [VirtualAddress(0x200a)]
        );
        assert!(callers.returns_of(VirtualAddress(0x1001)).is_empty());
        assert!(!may_call(&code[..5], start, &callees));
    }
}
