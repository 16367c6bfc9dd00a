use iced_x86::{FlowControl, Instruction, Mnemonic, Register};

use crate::binary::disassembly::instructions;
use crate::binary::{FileOffset, Function, GoBinary, VirtualAddress};
use crate::plan::{InstructionCost, probe_cost};

/// Instructions after a return address that are looked at.
const MAX_INSTRUCTIONS: usize = 64;

/// An instruction that is reached, in a straight line, after a call has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObserverSite {
    /// Of the instruction.
    pub address: VirtualAddress,
    /// Of the instruction.
    pub file_offset: FileOffset,
    /// What a hit costs.
    pub cost: InstructionCost,
}

/// Finds where an observer for the calls that return to `return_address` goes: the first
/// instruction from there on that the kernel emulates, or else the first that control leaves
/// the straight line by. When it is reached, every frame deeper than SP is over. `None`: there
/// is no such place, for instance in assembly, where R14 need not be g.
pub fn find_observer(
    binary: &GoBinary<'_>,
    return_address: VirtualAddress,
) -> Option<ObserverSite> {
    // The call is before its return address, which can be the next function's start.
    let call = VirtualAddress(return_address.0.checked_sub(1)?);
    let function = binary.find_function(call)?;
    if !is_go_code(&function) && function.name != GOROUTINE_EXIT {
        return None;
    }
    let end = function.end;
    if return_address >= end {
        return None;
    }
    let code = binary.code(return_address..end)?;
    let (address, cost) = first_site(code, return_address)?;
    Some(ObserverSite {
        address,
        file_offset: binary.file_offset(address)?,
        cost,
    })
}

/// Whether R14 is g in the code of `function`: it is neither assembly nor C, whose names have no
/// package.
pub(super) fn is_go_code(function: &Function<'_>) -> bool {
    !function.flags.is_assembly() && function.name.contains('.')
}

/// Goroutines' functions return to it; it is assembly, and runs on the goroutine
/// (Go: src/runtime/asm_amd64.s).
const GOROUTINE_EXIT: &str = "runtime.goexit";

/// The same in the code from `start` on.
fn first_site(code: &[u8], start: VirtualAddress) -> Option<(VirtualAddress, InstructionCost)> {
    for instruction in instructions(code, start).take(MAX_INSTRUCTIONS) {
        if instruction.is_invalid() {
            return None;
        }
        let offset = usize::try_from(instruction.ip().checked_sub(start.0)?).ok()?;
        let bytes = code.get(offset..)?.get(..instruction.len())?;
        let address = VirtualAddress(instruction.ip());
        let cost = probe_cost(bytes);
        if cost == Some(InstructionCost::Emulated) {
            return Some((address, InstructionCost::Emulated));
        }
        match instruction.flow_control() {
            FlowControl::Next => {
                if lowers_stack_pointer(&instruction) {
                    return None;
                }
            }
            FlowControl::Return | FlowControl::IndirectCall | FlowControl::IndirectBranch => {
                return cost.map(|cost| (address, cost));
            }
            _ => return None,
        }
    }
    None
}

/// Whether frames that are over might not be deeper than SP behind it.
fn lowers_stack_pointer(instruction: &Instruction) -> bool {
    let writes_sp = instruction.op0_register() == Register::RSP;
    match instruction.mnemonic() {
        Mnemonic::Add | Mnemonic::Pop | Mnemonic::Cmp | Mnemonic::Test => false,
        Mnemonic::Push => true,
        _ => writes_sp || instruction.is_stack_instruction(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(code: &[u8]) -> Option<(u64, InstructionCost)> {
        first_site(code, VirtualAddress(0x1000)).map(|(address, cost)| (address.0 - 0x1000, cost))
    }

    #[test]
    fn the_first_emulated_instruction_is_taken() {
        // mov %rax,%rbx; test %rax,%rax; je +0
        let code = [0x48, 0x89, 0xc3, 0x48, 0x85, 0xc0, 0x74, 0x00];
        assert_eq!(site(&code), Some((6, InstructionCost::Emulated)));
        // nop
        assert_eq!(site(&[0x90, 0xc3]), Some((0, InstructionCost::Emulated)));
        // mov %rax,%rbx; call rel32
        let code = [0x48, 0x89, 0xc3, 0xe8, 0, 0, 0, 0];
        assert_eq!(site(&code), Some((3, InstructionCost::Emulated)));
    }

    #[test]
    fn else_what_leaves_the_straight_line() {
        // add $0x18,%rsp; pop %rbp; ret
        let code = [0x48, 0x83, 0xc4, 0x18, 0x5d, 0xc3];
        assert_eq!(site(&code), Some((5, InstructionCost::SingleStepped)));
        // call *%rcx
        assert_eq!(
            site(&[0xff, 0xd1]),
            Some((0, InstructionCost::SingleStepped))
        );
    }

    #[test]
    fn what_cannot_be_told_is_left_alone() {
        // sub $8,%rsp; nop
        assert_eq!(site(&[0x48, 0x83, 0xec, 0x08, 0x90]), None);
        // ud2
        assert_eq!(site(&[0x0f, 0x0b]), None);
        // mov %rax,%rsp; nop
        assert_eq!(site(&[0x48, 0x89, 0xc4, 0x90]), None);
        assert_eq!(site(&[]), None);
        assert_eq!(site(&[0x48]), None);
    }
}
