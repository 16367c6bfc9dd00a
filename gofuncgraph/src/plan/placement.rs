//! Where the probes of one function go, from its bytes alone.

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Register};

use super::frameless::first_cheap;
use super::instruction::probe_cost;
use super::{InstructionCost, SkipReason};
use crate::cli::PlacementChoice;

/// Which instructions probes are put on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Entry at the `push %rbp` that follows the stack check; where something else follows, as before
    /// Go 1.21, at the branch of the check, which counts where it is not taken. Without a check at the first emulated
    /// instruction, or the RET of a straight line, where that is exact, else at the first instruction. Exit at every RET. An
    /// entry counts once per call, and mostly on an emulated instruction.
    #[default]
    Standard,
    /// Entry at the first instruction, exit at every RET: to compare with. A call whose stack
    /// has to grow is counted twice.
    Classic,
}

impl From<PlacementChoice> for Placement {
    fn from(choice: PlacementChoice) -> Self {
        match choice {
            PlacementChoice::Standard => Self::Standard,
            PlacementChoice::Classic => Self::Classic,
        }
    }
}

/// Where a function's entry probe goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntrySite {
    /// From the function's start, in bytes. SP still points at the return address there.
    pub(super) offset: u32,
    pub(super) cost: InstructionCost,
}

pub(super) const BITNESS: u32 = 64;

/// Finds the sites of the function whose bytes, padding included, are `code` and whose first
/// instruction is at `start`. Appends the offsets of its RETs to `exits`, in their order; what
/// is appended when the answer is an error means nothing.
pub(super) fn place(
    code: &[u8],
    start: u64,
    placement: Placement,
    exits: &mut Vec<u32>,
) -> Result<EntrySite, SkipReason> {
    let length = u32::try_from(code.len()).map_err(|_| SkipReason::Undecodable)?;
    let end = start
        .checked_add(u64::from(length))
        .ok_or(SkipReason::Undecodable)?;
    let check = stack_check(code, start);
    let after_check = check.map_or(0, |check| check.end);
    let standard_site = start + u64::from(after_check);
    let probed = match placement {
        Placement::Standard => after_check,
        Placement::Classic => 0,
    };
    let cheap = match placement {
        Placement::Standard if after_check == 0 => first_cheap(code, start),
        Placement::Standard | Placement::Classic => None,
    };
    let way_to_cheap = start..=start + u64::from(cheap.map_or(0, |site| site.offset));
    let mut is_cheap_exact = true;

    let mut entry = None;
    let mut decoder = Decoder::with_ip(BITNESS, code, start, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        let offset = offset_from(start, instruction.ip());
        if offset == probed && !instruction.is_invalid() {
            let bytes = bytes_at(code, offset, instruction.len());
            let cost = probe_cost(bytes);
            entry = Some(match (check, cost) {
                (Some(check), cost)
                    if placement == Placement::Standard
                        && cost != Some(InstructionCost::Emulated) =>
                {
                    EntrySite {
                        offset: check.branch,
                        cost: InstructionCost::EmulatedStackCheck,
                    }
                }
                (_, Some(cost)) => EntrySite { offset, cost },
                (_, None) => return Err(SkipReason::EntryNotProbeable),
            });
        }
        match instruction.flow_control() {
            FlowControl::Next | FlowControl::Call | FlowControl::IndirectCall => {}
            FlowControl::Return => match instruction.code() {
                Code::Retnq | Code::Retnq_imm16 => exits.push(offset),
                _ => return Err(SkipReason::Undecodable),
            },
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {
                let target = instruction.near_branch_target();
                if target == standard_site {
                    return Err(SkipReason::MayRepeat);
                }
                if !(start..end).contains(&target) {
                    return Err(SkipReason::TailJump);
                }
                is_cheap_exact &= !way_to_cheap.contains(&target);
            }
            FlowControl::IndirectBranch => {
                if !is_switch(&instruction) {
                    return Err(SkipReason::TailJump);
                }
                is_cheap_exact = false;
            }
            FlowControl::Interrupt | FlowControl::Exception | FlowControl::XbeginXabortXend => {
                if instruction.is_invalid() {
                    let rest = code.get(offset as usize..).unwrap_or_default();
                    if rest.iter().any(|byte| !matches!(byte, 0x00 | 0xcc)) {
                        return Err(SkipReason::Undecodable);
                    }
                    break;
                }
            }
        }
    }
    let entry = entry.ok_or(SkipReason::Undecodable)?;
    Ok(cheap.filter(|_| is_cheap_exact).unwrap_or(entry))
}

/// Offsets of the direct calls in `code` whose target is one of `targets`.
pub(super) fn calls_to(code: &[u8], start: u64, targets: &[u64]) -> Vec<u32> {
    Decoder::with_ip(BITNESS, code, start, DecoderOptions::NONE)
        .into_iter()
        .filter(|instruction| {
            instruction.code() == Code::Call_rel32_64
                && targets.contains(&instruction.near_branch_target())
        })
        .map(|instruction| offset_from(start, instruction.ip()))
        .collect()
}

/// Functions are shorter than 4 GiB; the decoder wraps at the end of the address space.
pub(super) fn offset_from(start: u64, address: u64) -> u32 {
    address.wrapping_sub(start) as u32
}

pub(super) fn bytes_at(code: &[u8], offset: u32, length: usize) -> &[u8] {
    code.get(offset as usize..)
        .and_then(|rest| rest.get(..length))
        .unwrap_or_default()
}

/// A `switch` jumps through a table that is indexed by words; every other indirect jump of
/// compiled code leaves the function (Go: cmd/compile/internal/amd64, JUMPTABLE).
fn is_switch(jump: &Instruction) -> bool {
    jump.memory_index() != Register::None && jump.memory_index_scale() == 8
}

/// Where the comparison of SP with the stack guard at the start of a function ends, from its start.
#[derive(Clone, Copy)]
struct StackCheck {
    /// The branch that is taken to the call for more stack. SP still points at the return address there.
    branch: u32,
    /// The instruction behind it.
    end: u32,
}

/// The check that the function begins with, if it does
/// (Go: cmd/internal/obj/x86/obj6.go, `stacksplit`).
fn stack_check(code: &[u8], start: u64) -> Option<StackCheck> {
    let mut decoder = Decoder::with_ip(BITNESS, code, start, DecoderOptions::NONE);
    let mut next = || match decoder.can_decode() {
        true => decoder.decode(),
        false => Instruction::default(),
    };
    let first = next();
    let checked = if compares_with_guard(&first, Register::RSP) {
        Some(next())
    } else if is_address_below_stack_pointer(&first) {
        compares_with_guard(&next(), Register::R12).then(&mut next)
    } else if is_copy_of_stack_pointer(&first) {
        let is_huge_frame = subtracts_from_r12(&next())
            && matches!(next().code(), Code::Jb_rel8_64 | Code::Jb_rel32_64)
            && compares_with_guard(&next(), Register::R12);
        is_huge_frame.then(&mut next)
    } else {
        None
    };
    checked
        .filter(|branch| matches!(branch.code(), Code::Jbe_rel8_64 | Code::Jbe_rel32_64))
        .map(|branch| StackCheck {
            branch: offset_from(start, branch.ip()),
            end: offset_from(start, branch.next_ip()),
        })
}

/// `cmp guard(%r14), register`, where the guard is `stackguard0` or `stackguard1` of g.
fn compares_with_guard(instruction: &Instruction, register: Register) -> bool {
    instruction.code() == Code::Cmp_r64_rm64
        && instruction.op0_register() == register
        && instruction.memory_base() == Register::R14
        && instruction.memory_index() == Register::None
        && matches!(instruction.memory_displacement64(), 0x10 | 0x18)
}

/// `lea -X(%rsp), %r12`.
fn is_address_below_stack_pointer(instruction: &Instruction) -> bool {
    instruction.code() == Code::Lea_r64_m
        && instruction.op0_register() == Register::R12
        && instruction.memory_base() == Register::RSP
        && instruction.memory_index() == Register::None
}

/// `mov %rsp, %r12`.
fn is_copy_of_stack_pointer(instruction: &Instruction) -> bool {
    matches!(instruction.code(), Code::Mov_rm64_r64 | Code::Mov_r64_rm64)
        && instruction.op0_register() == Register::R12
        && instruction.op1_register() == Register::RSP
}

/// `sub $X, %r12`.
fn subtracts_from_r12(instruction: &Instruction) -> bool {
    matches!(
        instruction.code(),
        Code::Sub_rm64_imm8 | Code::Sub_rm64_imm32
    ) && instruction.op0_register() == Register::R12
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;
