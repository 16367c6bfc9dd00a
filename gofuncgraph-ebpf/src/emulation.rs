//! RETs that the program does itself, where the kernel lets it change registers: then nothing is
//! left for the kernel to single-step.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::{bpf_get_attach_cookie, bpf_get_current_task, bpf_probe_read_kernel};
use aya_ebpf::programs::ProbeContext;
use gofuncgraph_common::Counter;

use crate::counters::count;
use crate::goroutine::{read, read_word};
use crate::maps::CONFIG;
use crate::stack;

/// What a probe puts in the place of an instruction's first byte.
const BREAKPOINT: u8 = 0xcc;
/// The part of an address that is the same wherever a file is loaded.
const PAGE_OFFSET_MASK: u64 = 0xfff;
/// User addresses are less. What happens beyond is left to the processor.
const USER_ADDRESS_END: u64 = 1 << 47;
/// In `thread_struct.features` (Linux: arch/x86/include/uapi/asm/prctl.h, ARCH_SHSTK_SHSTK).
const SHADOW_STACK: u64 = 1 << 0;

/// A hit of a probe on a RET.
struct Hit {
    /// SP before the RET.
    stack_pointer: u64,
    /// Nobody has done the RET yet.
    is_ahead: bool,
}

/// Calls `tell` with SP before the RET, and does the RET.
#[inline(always)]
pub fn tell_and_emulate(ctx: &ProbeContext, tell: impl FnOnce(&ProbeContext, u64)) {
    stack::keep_on_task();
    let Some(hit) = find(ctx) else {
        return;
    };
    tell(ctx, hit.stack_pointer);
    hit.emulate(ctx);
}

/// Tells a RET that is ahead from one that another program has done for this hit: while probes
/// are replaced there are two of ours, and another tracer may have one, too. Done twice, a RET
/// would take the target to wherever the next word of its stack points. `None`, which is counted:
/// neither can be told.
#[inline(always)]
fn find(ctx: &ProbeContext) -> Option<Hit> {
    // SAFETY: the context of a uprobe program is a readable pt_regs.
    let (instruction_pointer, stack_pointer) = unsafe { ((*ctx.regs).rip, (*ctx.regs).rsp) };
    // SAFETY: a helper of uprobe programs, called with the program's own context.
    let address = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) } >> 32;
    let ahead = |is_ahead| {
        Some(Hit {
            stack_pointer,
            is_ahead,
        })
    };
    let is_position_independent = CONFIG.load().position_independent != 0;
    if !is_position_independent && instruction_pointer == address {
        return ahead(true);
    }
    let is_done = is_done(instruction_pointer, stack_pointer);
    if is_position_independent && instruction_pointer.wrapping_sub(address) & PAGE_OFFSET_MASK == 0
    {
        // The load bias is not known, but that it is whole pages. Where both may be so, or
        // something cannot be read, the kernel knows.
        match read_byte(instruction_pointer) {
            Some(BREAKPOINT) => return ahead(is_done == Some(false)),
            None => return ahead(false),
            Some(_) => {}
        }
    }
    if is_done == Some(true) {
        return Some(Hit {
            stack_pointer: stack_pointer.wrapping_sub(8),
            is_ahead: false,
        });
    }
    count(Counter::Unreadable);
    None
}

/// A RET leaves the return address that it has taken below SP. `None` if that cannot be read.
#[inline(always)]
fn is_done(instruction_pointer: u64, stack_pointer: u64) -> Option<bool> {
    read_word(stack_pointer.wrapping_sub(8)).map(|word| word == instruction_pointer)
}

#[inline(always)]
fn read_byte(address: u64) -> Option<u8> {
    read(address)
}

impl Hit {
    /// Does the RET, if nobody has. Where that is not certain to be right the registers stay,
    /// and the kernel executes the instruction.
    #[inline(always)]
    fn emulate(&self, ctx: &ProbeContext) {
        if !self.is_ahead || has_shadow_stack() {
            return;
        }
        let Some(return_address) = read_word(self.stack_pointer) else {
            return;
        };
        if return_address >= USER_ADDRESS_END {
            return;
        }
        let stack_pointer = self.stack_pointer + 8;
        // SAFETY: this program is loaded only where the verifier allows writing to its context.
        unsafe {
            core::ptr::write_volatile(&raw mut (*ctx.regs).rip, return_address);
            core::ptr::write_volatile(&raw mut (*ctx.regs).rsp, stack_pointer);
        }
    }
}

/// Whether the processor keeps return addresses of this thread a second time: then it has to do
/// the RET itself.
#[inline(always)]
fn has_shadow_stack() -> bool {
    let offset = CONFIG.load().thread_features_offset_bytes;
    if offset == 0 {
        return false;
    }
    // SAFETY: a helper without preconditions.
    let task = unsafe { bpf_get_current_task() };
    let features = task.wrapping_add(u64::from(offset));
    // SAFETY: the helper checks the address.
    match unsafe { bpf_probe_read_kernel(features as *const u64) } {
        Ok(features) => features & SHADOW_STACK != 0,
        Err(_) => true,
    }
}
