//! Where the calls that targets make return to: a goroutine that has such an address on its stack is
//! in a call of the target.

use iced_x86::FlowControl;

use super::{ProbePlan, SiteId};
use crate::binary::disassembly::instructions;
use crate::binary::{GoBinary, VirtualAddress};

/// Of a return address.
const WORD_BYTES: u32 = 8;

/// A call in the code of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetCall {
    /// Where it returns to.
    pub return_address: VirtualAddress,
    /// The entry site of the target.
    pub entry: SiteId,
    /// From where the call's return address stands up to the target's own.
    pub frame_bytes: u32,
}

/// The calls in the code of `plan`'s targets, in the order of addresses. `None` if there are more than
/// `limit`.
pub fn target_calls(
    binary: &GoBinary<'_>,
    plan: &ProbePlan,
    limit: usize,
) -> Option<Vec<TargetCall>> {
    let mut calls = Vec::new();
    for (entry, site) in plan.sites_with_ids() {
        if !plan.is_target_entry(entry) {
            continue;
        }
        let Some(function) = binary.find_function(site.address) else {
            continue;
        };
        let code = binary.code(function.start..function.end);
        for instruction in instructions(code.unwrap_or_default(), function.start) {
            let is_call = matches!(
                instruction.flow_control(),
                FlowControl::Call | FlowControl::IndirectCall
            );
            let call = VirtualAddress(instruction.ip());
            let Some(frame_bytes) = is_call.then(|| binary.frame_bytes(call)).flatten() else {
                continue;
            };
            if calls.len() == limit {
                return None;
            }
            calls.push(TargetCall {
                return_address: VirtualAddress(instruction.next_ip()),
                entry,
                frame_bytes: frame_bytes.saturating_add(WORD_BYTES),
            });
        }
    }
    Some(calls)
}
