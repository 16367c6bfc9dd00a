//! A cheap entry site for functions that begin with an instruction which the kernel would have
//! to single-step: mostly frameless leaf functions.
//!
//! Such a function often compares a little and then branches. The branch is emulated, so the
//! entry probe goes there instead, where that is exact: each call reaches the site exactly once,
//! SP still points at the return address, and nothing that matters has happened yet. Where the
//! straight line ends at a RET, the entry probe joins the exit probe there: the instruction is
//! single-stepped for both at once, and nothing else of the function is.
//!
//! A site is exact when
//! - it is the first instruction from the entry on that the kernel emulates, or else the first
//!   RET, and no control transfer comes before it: no call, no jump, no RET. A site that is itself a
//!   conditional jump is hit for both outcomes, and one that is a call is hit before the call;
//! - nothing on the way can fault, so a call that panics on a nil receiver is not missed:
//!   memory is read relative to the instruction pointer or to SP, nothing is divided;
//! - nothing on the way writes memory that others see: only the caller's part of the stack above
//!   the return address, where arguments are spilled;
//! - nothing on the way changes SP, or R14, which holds g;
//! - no branch of the function leads into the way or to the site, which would be hit again. The
//!   targets of an indirect jump are unknown, so a function that has one does not qualify. (Nor
//!   does one that branches to its very beginning, see [`SkipReason::MayRepeat`].) This is for
//!   [`place`](super::placement::place) to check, which sees every instruction;
//! - the way is at most [`MAX_INSTRUCTIONS`] long. They take a few nanoseconds, by which the call
//!   is seen to begin late; more where one of them reads memory that is not in the cache, or
//!   where the goroutine is preempted between them, as can happen before any entry site.
//!
//! Registers that hold arguments at the entry may hold something else at the site.

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfo, InstructionInfoFactory,
    Mnemonic, OpAccess, Register,
};

use super::InstructionCost;
use super::instruction::probe_cost;
use super::placement::{BITNESS, EntrySite, bytes_at, offset_from};

/// Before the site.
const MAX_INSTRUCTIONS: usize = 16;

/// The first instruction of the function that costs nothing extra, if every call reaches it, once
/// unless it is branched to from elsewhere; `None` where there is no such instruction.
pub(super) fn first_cheap(code: &[u8], start: u64) -> Option<EntrySite> {
    let mut information = InstructionInfoFactory::new();
    let mut decoder = Decoder::with_ip(BITNESS, code, start, DecoderOptions::NONE);
    for _ in 0..=MAX_INSTRUCTIONS {
        if !decoder.can_decode() {
            return None;
        }
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return None;
        }
        let offset = offset_from(start, instruction.ip());
        let cost = probe_cost(bytes_at(code, offset, instruction.len()));
        if cost == Some(InstructionCost::Emulated)
            || instruction.flow_control() == FlowControl::Return
        {
            return cost.map(|cost| EntrySite { offset, cost });
        }
        if !may_precede_entry(&instruction, information.info(&instruction)) {
            return None;
        }
    }
    None
}

/// Whether the instruction goes on to the next one, always, and nobody but the function itself
/// can tell that it was executed.
fn may_precede_entry(instruction: &Instruction, information: &InstructionInfo) -> bool {
    instruction.flow_control() == FlowControl::Next
        && !instruction.is_privileged()
        && !instruction.is_stack_instruction()
        && !matches!(instruction.mnemonic(), Mnemonic::Div | Mnemonic::Idiv)
        && !information.used_registers().iter().any(|used| {
            is_written(used.access())
                && matches!(
                    used.register().full_register(),
                    Register::RSP | Register::R14
                )
        })
        && information.used_memory().iter().all(|used| {
            used.access() == OpAccess::NoMemAccess
                || is_harmless_access(instruction, is_written(used.access()))
        })
}

fn is_written(access: OpAccess) -> bool {
    !matches!(
        access,
        OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
    )
}

/// Whether the memory operand is always mapped, and, if it is written, the function's own.
fn is_harmless_access(instruction: &Instruction, is_written: bool) -> bool {
    /// The return address stands below.
    const CALLERS_PART: u64 = 8;
    const LARGEST_DISPLACEMENT: u64 = 4096;

    if instruction.memory_index() != Register::None
        || instruction.segment_prefix() != Register::None
    {
        return false;
    }
    let displacement = instruction.memory_displacement64();
    match instruction.memory_base() {
        Register::RIP => !is_written,
        Register::RSP => {
            let least = if is_written { CALLERS_PART } else { 0 };
            (least..LARGEST_DISPLACEMENT).contains(&displacement)
        }
        _ => false,
    }
}

#[cfg(test)]
#[path = "frameless_tests.rs"]
mod tests;
