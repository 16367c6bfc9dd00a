//! x86-64 instructions of a piece of code.

use iced_x86::{Decoder, DecoderOptions, Instruction};

use super::VirtualAddress;

/// Decodes `code`, whose first byte stands at `start`, from its beginning to its end.
///
/// Bytes that are no instruction, and one that the end of `code` cuts off, give one
/// instruction for which [`Instruction::is_invalid`] holds, and nothing follows it.
pub fn instructions<'a>(
    code: &'a [u8],
    start: VirtualAddress,
) -> impl Iterator<Item = Instruction> + 'a {
    let mut decoder = Decoder::with_ip(64, code, start.0, DecoderOptions::NONE);
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed || !decoder.can_decode() {
            return None;
        }
        let instruction = decoder.decode();
        failed = instruction.is_invalid();
        Some(instruction)
    })
}

#[cfg(test)]
mod tests {
    use iced_x86::Mnemonic;

    use super::*;

    #[test]
    fn instructions_have_virtual_addresses() {
        // push %rbp; mov %rsp,%rbp; ret
        let code = [0x55, 0x48, 0x89, 0xe5, 0xc3];
        let decoded: Vec<_> = instructions(&code, VirtualAddress(0x40_1000))
            .map(|instruction| (instruction.ip(), instruction.mnemonic()))
            .collect();
        assert_eq!(
            decoded,
            [
                (0x40_1000, Mnemonic::Push),
                (0x40_1001, Mnemonic::Mov),
                (0x40_1004, Mnemonic::Ret)
            ]
        );
    }

    #[test]
    fn an_invalid_instruction_is_the_last() {
        // push %rbp; 0x06 (push %es, which 64-bit mode does not have); ret
        let code = [0x55, 0x06, 0xc3];
        let validity: Vec<_> = instructions(&code, VirtualAddress(0))
            .map(|instruction| instruction.is_invalid())
            .collect();
        assert_eq!(validity, [false, true]);
    }

    #[test]
    fn a_cut_instruction_is_invalid() {
        let code = [0xc3, 0x48, 0x89];
        let validity: Vec<_> = instructions(&code, VirtualAddress(0))
            .map(|instruction| instruction.is_invalid())
            .collect();
        assert_eq!(validity, [false, true]);
        assert_eq!(instructions(&[], VirtualAddress(0)).count(), 0);
    }
}
