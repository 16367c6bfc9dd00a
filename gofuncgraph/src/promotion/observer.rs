use iced_x86::{Code, FlowControl, Instruction, Mnemonic, Register};

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
    /// If the instruction is a RET, so that the caller returns as soon as the call has returned:
    /// so far above the call's return address stands the caller's own.
    pub caller_slot_bytes: Option<u32>,
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
    let site = first_site(code, return_address)?;
    Some(ObserverSite {
        address: site.address,
        file_offset: binary.file_offset(site.address)?,
        cost: site.cost,
        caller_slot_bytes: site.caller_slot_bytes,
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

struct FirstSite {
    address: VirtualAddress,
    cost: InstructionCost,
    caller_slot_bytes: Option<u32>,
}

/// The same in the code from `start` on.
fn first_site(code: &[u8], start: VirtualAddress) -> Option<FirstSite> {
    // The RET has taken the return address off the stack.
    let mut slot_bytes = Some(WORD_BYTES);
    for instruction in instructions(code, start).take(MAX_INSTRUCTIONS) {
        if instruction.is_invalid() {
            return None;
        }
        let offset = usize::try_from(instruction.ip().checked_sub(start.0)?).ok()?;
        let bytes = code.get(offset..)?.get(..instruction.len())?;
        let address = VirtualAddress(instruction.ip());
        let cost = probe_cost(bytes);
        if cost == Some(InstructionCost::Emulated) {
            return Some(FirstSite {
                address,
                cost: InstructionCost::Emulated,
                caller_slot_bytes: None,
            });
        }
        match instruction.flow_control() {
            FlowControl::Next => {
                if lowers_stack_pointer(&instruction) {
                    return None;
                }
                let raised = raises_stack_pointer_by(&instruction);
                slot_bytes = slot_bytes.zip(raised).and_then(|(a, b)| a.checked_add(b));
            }
            FlowControl::Return | FlowControl::IndirectCall | FlowControl::IndirectBranch => {
                let is_plain_return = instruction.code() == Code::Retnq;
                return cost.map(|cost| FirstSite {
                    address,
                    cost,
                    caller_slot_bytes: slot_bytes.filter(|_| is_plain_return),
                });
            }
            _ => return None,
        }
    }
    None
}

const WORD_BYTES: u32 = 8;

/// By how much an instruction that does not lower SP raises it, if that is known.
fn raises_stack_pointer_by(instruction: &Instruction) -> Option<u32> {
    match instruction.mnemonic() {
        Mnemonic::Pop if instruction.op0_register() != Register::RSP => {
            u32::try_from(instruction.stack_pointer_increment()).ok()
        }
        Mnemonic::Add if instruction.op0_register() == Register::RSP => {
            let is_constant = instruction.try_immediate(1).is_ok();
            is_constant.then(|| u32::try_from(instruction.immediate(1)).ok())?
        }
        // These only read it.
        Mnemonic::Cmp | Mnemonic::Test => Some(0),
        _ => (instruction.op0_register() != Register::RSP).then_some(0),
    }
}

/// Whether frames that are over might not be deeper than SP behind it.
fn lowers_stack_pointer(instruction: &Instruction) -> bool {
    let writes_sp = instruction.op0_register() == Register::RSP;
    match instruction.mnemonic() {
        Mnemonic::Add => {
            // `add $-0x80,%rsp` has a shorter encoding than the subtraction of 0x80.
            writes_sp
                && instruction
                    .try_immediate(1)
                    .is_ok_and(|by| by.cast_signed() < 0)
        }
        Mnemonic::Pop | Mnemonic::Cmp | Mnemonic::Test => false,
        Mnemonic::Push => true,
        _ => writes_sp || instruction.is_stack_instruction(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(code: &[u8]) -> Option<(u64, InstructionCost)> {
        let site = first_site(code, VirtualAddress(0x1000))?;
        Some((site.address.0 - 0x1000, site.cost))
    }

    fn slot_bytes(code: &[u8]) -> Option<u32> {
        first_site(code, VirtualAddress(0x1000))?.caller_slot_bytes
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
        assert_eq!(site(&code), Some((5, InstructionCost::SingleSteppedRet)));
        // call *%rcx
        assert_eq!(
            site(&[0xff, 0xd1]),
            Some((0, InstructionCost::SingleStepped))
        );
    }

    #[test]
    fn a_caller_that_returns_at_once_has_its_return_address_above() {
        // add $0x18,%rsp; pop %rbp; ret
        let code = [0x48, 0x83, 0xc4, 0x18, 0x5d, 0xc3];
        assert_eq!(slot_bytes(&code), Some(8 + 0x18 + 8));
        // add $0x128,%rsp; pop %rbp; ret
        let code = [0x48, 0x81, 0xc4, 0x28, 0x01, 0, 0, 0x5d, 0xc3];
        assert_eq!(slot_bytes(&code), Some(8 + 0x128 + 8));
        // mov %rax,%rbx; pop %rbp; ret
        assert_eq!(slot_bytes(&[0x48, 0x89, 0xc3, 0x5d, 0xc3]), Some(8 + 8));
        assert_eq!(slot_bytes(&[0xc3]), Some(8));
        // add %rcx,%rsp; ret: by how much is not known.
        assert_eq!(slot_bytes(&[0x48, 0x01, 0xcc, 0xc3]), None);
        // ret $8; call *%rcx; je +0
        assert_eq!(slot_bytes(&[0xc2, 0x08, 0x00]), None);
        assert_eq!(slot_bytes(&[0xff, 0xd1]), None);
        assert_eq!(slot_bytes(&[0x74, 0x00]), None);
    }

    #[test]
    fn what_cannot_be_told_is_left_alone() {
        // add $-0x80,%rsp; nop
        assert_eq!(site(&[0x48, 0x83, 0xc4, 0x80, 0x90]), None);
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
