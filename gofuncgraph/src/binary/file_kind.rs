//! Names for files that are not what is needed.

use object::elf;

/// What `data`, which is not ELF, looks like.
pub(super) fn describe(data: &[u8]) -> String {
    const MAGICS: [(&[u8], &str); 16] = [
        (b"#!", "a script (#!)"),
        (b"!<arch>\n", "an archive of object files (ar)"),
        (b"!<thin>\n", "a thin archive of object files (ar)"),
        (b"MZ", "a Windows executable (PE)"),
        (b"\xcf\xfa\xed\xfe", "a 64-bit Mach-O file (macOS)"),
        (b"\xce\xfa\xed\xfe", "a 32-bit Mach-O file (macOS)"),
        (
            b"\xfe\xed\xfa\xcf",
            "a 64-bit big-endian Mach-O file (macOS)",
        ),
        (
            b"\xfe\xed\xfa\xce",
            "a 32-bit big-endian Mach-O file (macOS)",
        ),
        (
            b"\xca\xfe\xba\xbe",
            "a universal Mach-O file (macOS) or a Java class",
        ),
        (b"\0asm", "a WebAssembly module"),
        (b"go object ", "a Go object file"),
        (b"\x1f\x8b", "gzip-compressed data"),
        (b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
        (b"\xfd7zXZ\0", "xz-compressed data"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x64\x86", "a COFF object file (x86-64)"),
    ];
    if let Some((_, name)) = MAGICS.iter().find(|(magic, _)| data.starts_with(magic)) {
        return (*name).to_owned();
    }
    let head = data.get(..data.len().min(64)).unwrap_or_default();
    if head
        .iter()
        .all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e))
    {
        return "text".to_owned();
    }
    let first: Vec<String> = head
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("a file that begins with the bytes {}", first.join(" "))
}

/// Name and number of an `e_machine`.
pub(super) fn machine(machine: elf::Machine) -> String {
    let name = match machine {
        elf::EM_AARCH64 => "aarch64 (arm64)",
        elf::EM_386 => "i386",
        elf::EM_ARM => "arm",
        elf::EM_RISCV => "riscv",
        elf::EM_PPC64 => "ppc64",
        elf::EM_S390 => "s390x",
        elf::EM_MIPS => "mips",
        elf::EM_LOONGARCH => "loongarch",
        elf::EM_SPARCV9 => "sparc64",
        elf::EM_BPF => "eBPF",
        _ => "an unknown machine",
    };
    format!("{name} (e_machine {})", machine.0)
}

/// What an `e_type` that is not an executable's stands for.
pub(super) fn not_executable(file_type: elf::FileType) -> String {
    match file_type {
        elf::ET_REL => "a relocatable object file (ET_REL)".to_owned(),
        elf::ET_CORE => "a core dump (ET_CORE)".to_owned(),
        other => format!("an ELF file of type {:#x}", other.0),
    }
}

/// Whether UPX left its marks: in the loader information behind the program headers, or in
/// the trailer (upx: src/p_lx_elf.cpp, `UPX_MAGIC_LE32`).
pub(super) fn is_packed_by_upx(data: &[u8]) -> bool {
    const MARK: &[u8] = b"UPX!";
    let head = data.get(..data.len().min(4096)).unwrap_or_default();
    let tail = data
        .get(data.len().saturating_sub(256)..)
        .unwrap_or_default();
    [head, tail]
        .iter()
        .any(|part| part.windows(MARK.len()).any(|window| window == MARK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_kinds_are_named() {
        assert_eq!(describe(b"#!/bin/sh\nexec true\n"), "a script (#!)");
        assert_eq!(
            describe(b"!<arch>\n/     0"),
            "an archive of object files (ar)"
        );
        assert_eq!(describe(b"MZ\x90\0"), "a Windows executable (PE)");
        assert_eq!(
            describe(b"\xcf\xfa\xed\xfe\x07"),
            "a 64-bit Mach-O file (macOS)"
        );
        assert_eq!(describe(b"package main\n"), "text");
        assert_eq!(
            describe(b"\x01\x02\x03\xff\x05"),
            "a file that begins with the bytes 01 02 03 ff"
        );
        assert_eq!(
            describe(b"\x7fE"),
            "a file that begins with the bytes 7f 45"
        );
    }

    #[test]
    fn upx_marks_are_found_at_both_ends_only() {
        let mut data = vec![0u8; 100_000];
        assert!(!is_packed_by_upx(&data));
        data[50_000..50_004].copy_from_slice(b"UPX!");
        assert!(!is_packed_by_upx(&data));
        data[0xec..0xf0].copy_from_slice(b"UPX!");
        assert!(is_packed_by_upx(&data));
        data[0xec..0xf0].fill(0);
        data[99_964..99_968].copy_from_slice(b"UPX!");
        assert!(is_packed_by_upx(&data));
    }
}
