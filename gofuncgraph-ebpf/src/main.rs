//! The eBPF programs of gofuncgraph. Entry points are one attribute and one call.
#![no_std]
#![no_main]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

mod already_open;
mod chain;
mod counters;
mod emulation;
mod entry;
mod goroutine;
mod maps;
mod observer;
mod process;
mod reason;
mod ret;
mod ring;
mod sample;
mod scope;
mod stack;
mod tree;
mod watch;

use aya_ebpf::macros::{raw_tracepoint, uprobe};
use aya_ebpf::programs::{ProbeContext, RawTracePointContext};

/// Entry sites of functions, and the watched sites of the Go runtime.
#[uprobe]
pub fn function_entry(ctx: ProbeContext) -> u32 {
    entry::handle(&ctx);
    0
}

/// RET instructions.
#[uprobe]
pub fn function_return(ctx: ProbeContext) -> u32 {
    ret::handle(&ctx);
    0
}

/// The same, where the kernel lets programs change registers.
#[uprobe]
pub fn function_return_emulated(ctx: ProbeContext) -> u32 {
    ret::handle_and_emulate(&ctx);
    0
}

/// Places in callers that are reached when a call has returned.
#[uprobe]
pub fn return_observed(ctx: ProbeContext) -> u32 {
    observer::handle(&ctx);
    0
}

/// RET instructions among them, where the kernel lets programs change registers.
#[uprobe]
pub fn return_observed_emulated(ctx: ProbeContext) -> u32 {
    observer::handle_and_emulate(&ctx);
    0
}

/// A thread of any process ends.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn process_exit(_ctx: RawTracePointContext) -> i32 {
    process::handle_exit();
    0
}

/// Any process has replaced its program image.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn process_exec(ctx: RawTracePointContext) -> i32 {
    process::handle_exec(&ctx);
    0
}

/// Any process or thread has made another; attached only if the traced ones' shall be traced.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn process_fork(ctx: RawTracePointContext) -> i32 {
    scope::handle_fork(&ctx);
    0
}

/// Nothing may panic: a program that could reach this would loop, and the verifier refuses it.
#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
