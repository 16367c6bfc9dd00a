//! What the code of a few runtime functions tells about the runtime's structures. These
//! functions are in every program, and pclntab names them even when it is stripped.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::elf::Elf;
use super::moduledata::Module;
use super::pclntab::FunctionRecord;
use super::{VirtualAddress, disassembly, version};

/// Larger offsets than this are no fields of `runtime.g` or `runtime.m` that are looked for.
const FIELD_OFFSET_MAX: u64 = 4096;
const VERSION_MAX_LENGTH: u64 = 256;

/// What could be read from the code; `None` where its shape is not the expected one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ObservedRuntime {
    /// Offset of `goid` in `runtime.g`.
    pub(super) goid: Option<u32>,
    /// Offset of `curg` in `runtime.m`.
    pub(super) curg: Option<u32>,
    /// `FuncIDWrapper`.
    pub(super) wrapper_id: Option<u8>,
}

/// Looks at the code of `module`.
pub(super) fn observe(elf: &Elf<'_>, module: &Module<'_>) -> ObservedRuntime {
    ObservedRuntime {
        goid: goid_offset(elf, module),
        curg: curg_offset(elf, module),
        wrapper_id: wrapper_id(module),
    }
}

/// `runtime.goroutineheader` prints the goid: it is the last field that is loaded before the
/// first call that prints a number (Go: src/runtime/traceback.go).
fn goid_offset(elf: &Elf<'_>, module: &Module<'_>) -> Option<u32> {
    let mut loaded = None;
    for instruction in named_code(elf, module, "runtime.goroutineheader")? {
        if instruction.is_call_near() {
            let target = module.index_at(VirtualAddress(instruction.near_branch_target()));
            let prints_number = target.is_some_and(|index| {
                ["runtime.printint", "runtime.printuint"]
                    .iter()
                    .any(|name| module.pclntab.is_named(index, name))
            });
            if prints_number {
                return loaded;
            }
        }
        let is_load = instruction.mnemonic() == Mnemonic::Mov
            && instruction.op0_kind() == OpKind::Register
            && instruction.op0_register().is_gpr64();
        if is_load {
            loaded = field_offset(&instruction).or(loaded);
        }
    }
    None
}

/// `runtime.systemstack` compares g with m.gsignal, then with m.curg
/// (Go: src/runtime/asm_amd64.s).
fn curg_offset(elf: &Elf<'_>, module: &Module<'_>) -> Option<u32> {
    named_code(elf, module, "runtime.systemstack")?
        .filter(|instruction| instruction.mnemonic() == Mnemonic::Cmp)
        .filter_map(|instruction| field_offset(&instruction))
        .nth(1)
}

/// `FuncIDWrapper` follows the funcID of `runtime.systemstack_switch`
/// (Go: src/internal/abi/symtab.go).
fn wrapper_id(module: &Module<'_>) -> Option<u8> {
    let (_, record) = named_function(module, "runtime.systemstack_switch")?;
    record
        .function_id
        .checked_add(1)
        .filter(|_| record.function_id != 0)
}

/// The string in `runtime.buildVersion`, which `runtime.schedinit` looks at so that the linker
/// keeps it (Go: src/runtime/proc.go).
pub(super) fn build_version<'data>(elf: &Elf<'data>, module: &Module<'data>) -> Option<&'data str> {
    named_code(elf, module, "runtime.schedinit")?
        .filter(Instruction::is_ip_rel_memory_operand)
        .find_map(|instruction| {
            let operand = instruction.ip_rel_memory_address();
            // The operand is the string's pointer or, 8 bytes on, its length.
            [Some(operand), operand.checked_sub(8)]
                .into_iter()
                .flatten()
                .find_map(|header| {
                    let bytes = elf.go_string(VirtualAddress(header), VERSION_MAX_LENGTH)?;
                    let text = std::str::from_utf8(bytes).ok()?;
                    version::looks_like_version(text).then_some(text)
                })
        })
}

/// The displacement of an 8-byte memory operand that is a field of a structure: relative to a
/// register that is neither the stack's nor the frame's, without an index.
fn field_offset(instruction: &Instruction) -> Option<u32> {
    let has_memory =
        (0..instruction.op_count()).any(|operand| instruction.op_kind(operand) == OpKind::Memory);
    let is_field = has_memory
        && instruction.memory_size().size() == 8
        && instruction.memory_index() == Register::None
        && instruction.memory_base().is_gpr64()
        && !matches!(instruction.memory_base(), Register::RSP | Register::RBP)
        && instruction.segment_prefix() == Register::None;
    let offset = instruction.memory_displacement64();
    if !is_field || offset == 0 || offset > FIELD_OFFSET_MAX || !offset.is_multiple_of(8) {
        return None;
    }
    u32::try_from(offset).ok()
}

fn named_function(module: &Module<'_>, name: &str) -> Option<(usize, FunctionRecord)> {
    let index = (0..module.pclntab.count()).find(|index| module.pclntab.is_named(*index, name))?;
    Some((index, module.pclntab.record(index).ok()?))
}

fn named_code<'data>(
    elf: &Elf<'data>,
    module: &Module<'data>,
    name: &str,
) -> Option<impl Iterator<Item = Instruction> + use<'data>> {
    let (index, _) = named_function(module, name)?;
    let range = module.range(index)?;
    let start = range.start;
    Some(disassembly::instructions(elf.code(range)?, start))
}
