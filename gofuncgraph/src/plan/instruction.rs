//! What the kernel does with a probe on an instruction.
//!
//! Facts from Linux, arch/x86/kernel/uprobes.c: `is_prefix_bad`, the tables of accepted opcodes,
//! `branch_setup_xol_ops`, `push_setup_xol_ops`. What slips through here is refused when the
//! probes are attached, so only what has been refused in every version is refused.

use super::InstructionCost;

/// What a probe on the instruction with exactly these `bytes` costs, or `None` if the kernel
/// refuses it. Multi-byte nops are single-stepped by kernels that do not know them.
pub fn probe_cost(bytes: &[u8]) -> Option<InstructionCost> {
    use InstructionCost::{Emulated, SingleStepped};

    if matches!(bytes, [0xc3] | [0xf3, 0xc3]) {
        return Some(cost_of_ret(bytes));
    }
    let prefix_count = bytes.iter().take_while(|&&byte| is_prefix(byte)).count();
    let (prefixes, rest) = bytes.split_at_checked(prefix_count)?;
    if prefixes
        .iter()
        .any(|prefix| matches!(prefix, 0x26 | 0x2e | 0x36 | 0x3e | 0xf0))
    {
        return None;
    }
    let operand_size_prefix = prefixes.contains(&0x66);
    let (rex, opcode) = match rest.split_first()? {
        (&rex @ 0x40..=0x4f, opcode) => (Some(rex), opcode),
        _ => (None, rest),
    };
    match (*opcode.first()?, opcode.get(1).copied()) {
        (0x90, _) if rex.is_none() => Some(Emulated),
        (0x50..=0x57, _) if prefixes.is_empty() && matches!(rex, None | Some(0x41)) => {
            Some(Emulated)
        }
        (0xe8 | 0xe9 | 0xeb | 0x70..=0x7f, _) | (0x0f, Some(0x80..=0x8f)) => {
            (!operand_size_prefix).then_some(Emulated)
        }
        (0x0f, Some(second)) => (!is_refused_two_byte(second)).then_some(SingleStepped),
        (0xc5, _) => single_stepped_vector(opcode.get(2)),
        (0xc4, _) => single_stepped_vector(opcode.get(3)),
        (0x62, _) => single_stepped_vector(opcode.get(4)),
        (first, _) => (!is_refused_one_byte(first)).then_some(SingleStepped),
    }
}

/// What a probe on the RET that `code` begins with costs.
pub(super) fn cost_of_ret(code: &[u8]) -> InstructionCost {
    match code {
        // Compilers write the second for the sake of old processors.
        [0xc3, ..] | [0xf3, 0xc3, ..] => InstructionCost::SingleSteppedRet,
        _ => InstructionCost::SingleStepped,
    }
}

fn is_prefix(byte: u8) -> bool {
    matches!(
        byte,
        0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0x66 | 0x67 | 0xf0 | 0xf2 | 0xf3
    )
}

/// The kernel looks the opcode byte after a VEX or EVEX prefix up among the one-byte opcodes.
fn single_stepped_vector(opcode: Option<&u8>) -> Option<InstructionCost> {
    (!is_refused_one_byte(*opcode?)).then_some(InstructionCost::SingleStepped)
}

/// Invalid in 64-bit mode, port and interrupt instructions, hlt, cli, sti.
fn is_refused_one_byte(opcode: u8) -> bool {
    matches!(
        opcode,
        0x06 | 0x07
            | 0x0e
            | 0x0f
            | 0x16
            | 0x17
            | 0x1e
            | 0x1f
            | 0x26
            | 0x27
            | 0x2e
            | 0x2f
            | 0x36
            | 0x37
            | 0x3e
            | 0x3f
            | 0x40..=0x4f
            | 0x60..=0x62
            | 0x66
            | 0x67
            | 0x6c..=0x6f
            | 0x82
            | 0x9a
            | 0xc4
            | 0xc5
            | 0xcc..=0xcf
            | 0xd4..=0xd6
            | 0xe4..=0xe7
            | 0xea
            | 0xec..=0xf1
            | 0xf4
            | 0xfa
            | 0xfb
    )
}

/// System instructions, ud2, and the three-byte opcodes 0f 38 and 0f 3a.
fn is_refused_two_byte(second: u8) -> bool {
    matches!(
        second,
        0x00 | 0x01 | 0x05..=0x09 | 0x0b | 0x30 | 0x34 | 0x35 | 0x37 | 0x38 | 0x3a | 0x78 | 0x79
    )
}

#[cfg(test)]
mod tests {
    use super::InstructionCost::{Emulated, SingleStepped, SingleSteppedRet};
    use super::*;

    #[test]
    fn emulated_instructions() {
        for bytes in [
            &[0x55][..],               // push rbp
            &[0x41, 0x57],             // push r15
            &[0x90],                   // nop
            &[0x66, 0x90],             // two-byte nop
            &[0xeb, 0x10],             // jmp rel8
            &[0xe9, 0, 0, 0, 0],       // jmp rel32
            &[0x76, 0x10],             // jbe rel8
            &[0x0f, 0x86, 0, 0, 0, 0], // jbe rel32
            &[0xe8, 0, 0, 0, 0],       // call rel32
        ] {
            assert_eq!(probe_cost(bytes), Some(Emulated), "{bytes:02x?}");
        }
    }

    #[test]
    fn single_stepped_instructions() {
        for bytes in [
            &[0xc2, 8, 0][..],                           // ret 8
            &[0x66, 0xc3],                               // ret of 16 bits
            &[0x48, 0x89, 0xc3],                         // mov rbx, rax
            &[0x49, 0x3b, 0x66, 0x10],                   // cmp rsp, [r14+0x10]
            &[0x66, 0x50],                               // push ax
            &[0x49, 0x90],                               // xchg r8, rax
            &[0x0f, 0x1f, 0x40, 0],                      // four-byte nop
            &[0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0], // mov rax, fs:[0]
            &[0xc5, 0xf8, 0x77],                         // vzeroupper
            &[0x0f, 0xb6, 0xc0],                         // movzx eax, al
        ] {
            assert_eq!(probe_cost(bytes), Some(SingleStepped), "{bytes:02x?}");
        }
    }

    #[test]
    fn returns_that_programs_can_do() {
        for bytes in [&[0xc3][..], &[0xf3, 0xc3]] {
            assert_eq!(probe_cost(bytes), Some(SingleSteppedRet), "{bytes:02x?}");
        }
    }

    #[test]
    fn refused_instructions() {
        for bytes in [
            &[0xf0, 0x48, 0x0f, 0xc1, 0x08][..],   // lock xadd
            &[0x3e, 0x48, 0x8b, 0x00],             // mov rax, ds:[rax]
            &[0x2e, 0x74, 0x00],                   // je with a branch hint
            &[0xcc],                               // int3
            &[0xcd, 0x80],                         // int 0x80
            &[0x0f, 0x05],                         // syscall
            &[0x0f, 0x0b],                         // ud2
            &[0x0f, 0x01, 0xf9],                   // rdtscp
            &[0xf4],                               // hlt
            &[0x66, 0xe9, 0, 0],                   // jmp rel16
            &[0xc5, 0xfa, 0x6f, 0x00],             // vmovdqu
            &[0x62, 0xf1, 0xfe, 0x48, 0x6f, 0x00], // vmovdqu64, EVEX
            &[0x66, 0x0f, 0x3a, 0x0b, 0xc0, 0x09], // roundsd
            &[],
            &[0x66],
            &[0x48],
            &[0xc4, 0xe2],
        ] {
            assert_eq!(probe_cost(bytes), None, "{bytes:02x?}");
        }
    }
}
