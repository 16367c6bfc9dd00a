//! Where the programs keep their stack.

/// Keeps the program's variables on the stack of the task it runs for. To be called first.
///
/// Since Linux 6.13 the x86 JIT gives kprobe-type programs with 64 bytes of stack or more a
/// private one per CPU (kernel/bpf/verifier.c, `bpf_enable_priv_stack`), and relies on a check against recursion that uprobes do not have: a handler that
/// preempts another on the same CPU would overwrite its variables. Programs with a tail call are
/// exempt, so here is one that is never reached; the verifier removes it.
#[inline(always)]
pub fn keep_on_task() {
    #[cfg(target_arch = "bpf")]
    // SAFETY: the branch is always taken; only the registers named here change.
    unsafe {
        core::arch::asm!(
            "r0 = 0",
            "if r0 == 0 goto +1",
            "call 12",
            out("r0") _,
        );
    }
}
