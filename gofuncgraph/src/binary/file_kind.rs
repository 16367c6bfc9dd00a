//! Names for files that are not what is needed.

use object::elf;

/// What a file is that is not ELF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileKind {
    /// For instance `a script for sh`.
    pub(super) looks_like: String,
    /// What to do then.
    pub(super) advice: String,
}

const GIVE_EXECUTABLE: &str = "give the path of an x86-64 ELF executable built by Go";
const BUILD_FOR_LINUX: &str =
    "only Linux programs can be traced: build with GOOS=linux GOARCH=amd64";
const BUILD_MAIN: &str = "`go build` makes one of a package that is not main; give the path of a \
                          program (go build -o NAME of a package main)";

/// Bytes of a text that are looked at.
const TEXT_BYTES: usize = 64 * 1024;

/// What `data`, which is not ELF, looks like, and what to do then.
pub(super) fn describe(data: &[u8]) -> FileKind {
    const MAGICS: [(&[u8], &str, &str); 17] = [
        (
            b"!<arch>\n__.PKGDEF",
            "an archive of a Go package",
            BUILD_MAIN,
        ),
        (
            b"!<arch>\n",
            "an archive of object files (ar)",
            GIVE_EXECUTABLE,
        ),
        (
            b"!<thin>\n",
            "a thin archive of object files (ar)",
            GIVE_EXECUTABLE,
        ),
        (b"MZ", "a Windows executable (PE)", BUILD_FOR_LINUX),
        (
            b"\xcf\xfa\xed\xfe",
            "a 64-bit Mach-O file (macOS)",
            BUILD_FOR_LINUX,
        ),
        (
            b"\xce\xfa\xed\xfe",
            "a 32-bit Mach-O file (macOS)",
            BUILD_FOR_LINUX,
        ),
        (
            b"\xfe\xed\xfa\xcf",
            "a 64-bit big-endian Mach-O file (macOS)",
            BUILD_FOR_LINUX,
        ),
        (
            b"\xfe\xed\xfa\xce",
            "a 32-bit big-endian Mach-O file (macOS)",
            BUILD_FOR_LINUX,
        ),
        (
            b"\xca\xfe\xba\xbe",
            "a universal Mach-O file (macOS) or a Java class",
            BUILD_FOR_LINUX,
        ),
        (b"\0asm", "a WebAssembly module", GIVE_EXECUTABLE),
        (b"go object ", "a Go object file", BUILD_MAIN),
        (b"\x1f\x8b", "gzip-compressed data", GIVE_EXECUTABLE),
        (b"\x28\xb5\x2f\xfd", "zstd-compressed data", GIVE_EXECUTABLE),
        (b"\xfd7zXZ\0", "xz-compressed data", GIVE_EXECUTABLE),
        (b"PK\x03\x04", "a zip archive", GIVE_EXECUTABLE),
        (b"\x64\x86", "a COFF object file (x86-64)", GIVE_EXECUTABLE),
        (
            b"\x93gfgrec\n",
            "a recording",
            "show it with `gofuncgraph replay`",
        ),
    ];
    let kind = |looks_like: &str, advice: &str| FileKind {
        looks_like: looks_like.to_owned(),
        advice: advice.to_owned(),
    };
    let text = data.get(..data.len().min(TEXT_BYTES)).unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    if let Some(script) = text.strip_prefix("#!") {
        return describe_script(script);
    }
    if let Some((_, name, advice)) = MAGICS.iter().find(|(magic, ..)| data.starts_with(magic)) {
        return kind(name, advice);
    }
    let head = data.get(..data.len().min(64)).unwrap_or_default();
    let is_text = head
        .iter()
        .all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e));
    if is_go_source(&text) {
        return kind(
            "Go source",
            "build it (go build -o NAME) and give the path of the program that this makes",
        );
    }
    if is_text {
        return kind("text", GIVE_EXECUTABLE);
    }
    let first: Vec<String> = head
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let looks_like = format!("a file that begins with the bytes {}", first.join(" "));
    kind(&looks_like, GIVE_EXECUTABLE)
}

/// What runs a script, and which program that starts: `text` follows `#!`.
fn describe_script(text: &str) -> FileKind {
    let (first_line, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut words = first_line.split_whitespace();
    let interpreter = words
        .next()
        .map(base_name)
        .filter(|name| *name != "env")
        // `env` may have options and assignments in front of the command.
        .or_else(|| words.find(|word| !word.starts_with('-') && !word.contains('=')))
        .map_or("an unknown interpreter", base_name);
    let is_shell = ["sh", "bash", "dash", "ash", "ksh", "zsh"].contains(&interpreter);
    let started = rest.lines().rev().filter_map(executed).next();
    let advice = match started.filter(|_| is_shell) {
        Some(program) => format!("it starts {program}: give the path of that program"),
        None if is_shell => {
            "give the path of the Go program that it starts, or trace that by its process: -p PID"
                .to_owned()
        }
        None => format!(
            "{interpreter} is what runs it; {GIVE_EXECUTABLE}, or trace the Go program that it starts: -p PID"
        ),
    };
    FileKind {
        looks_like: format!("a script for {interpreter}"),
        advice,
    }
}

/// The program that a line of a shell script replaces the shell with, as it is written there.
fn executed(line: &str) -> Option<&str> {
    let line = line.split('#').next().unwrap_or_default();
    let mut words = line.split_whitespace();
    words.by_ref().find(|word| *word == "exec")?;
    while let Some(word) = words.next() {
        let is_redirection = word.contains(['<', '>']);
        let is_before_program = word.contains('=') || word == "env";
        match word {
            // The name that the program shall see.
            "-a" => drop(words.next()),
            _ if word.starts_with('-') || is_before_program => {}
            _ if is_redirection => return None,
            _ => return Some(word),
        }
    }
    None
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether the first line that is neither empty nor a comment is a package clause.
fn is_go_source(text: &str) -> bool {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let end = if rest.starts_with("//") {
            rest.find('\n')
        } else if rest.starts_with("/*") {
            rest.find("*/").map(|at| at + "*/".len())
        } else {
            break;
        };
        match end.and_then(|end| rest.get(end..)) {
            Some(behind) => rest = behind.trim_start(),
            None => return false,
        }
    }
    let name = rest
        .strip_prefix("package ")
        .and_then(|rest| rest.split([';', '\n', '\r', ' ', '/']).next());
    name.is_some_and(|name| {
        !name.is_empty() && name.chars().all(|it| it.is_alphanumeric() || it == '_')
    })
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
        let describe = |data: &[u8]| super::describe(data).looks_like;
        assert_eq!(describe(b"#!/bin/sh\nexec true\n"), "a script for sh");
        assert_eq!(
            describe(b"!<arch>\n/     0"),
            "an archive of object files (ar)"
        );
        assert_eq!(describe(b"MZ\x90\0"), "a Windows executable (PE)");
        assert_eq!(
            describe(b"\xcf\xfa\xed\xfe\x07"),
            "a 64-bit Mach-O file (macOS)"
        );
        assert_eq!(describe(b"package main\n"), "Go source");
        assert_eq!(describe(b"packages: main\n"), "text");
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
    fn scripts_name_what_they_start() {
        for (script, looks_like, starts) in [
            (
                "#!/bin/sh\ncd /srv\nexec ./server --port 80\n",
                "a script for sh",
                Some("it starts ./server: "),
            ),
            (
                "#!/usr/bin/env -S bash -e\nexec 3</dev/null\nexec -a x \"$here/server\"\n",
                "a script for bash",
                Some("it starts \"$here/server\": "),
            ),
            (
                "#!/usr/bin/env bash\n[ -t 0 ] && exec \"$here/server\" \"$@\"\n",
                "a script for bash",
                Some("it starts \"$here/server\": "),
            ),
            (
                "#! /bin/dash\nserver &\nexec 3</dev/null\n# to exec: x\n",
                "a script for dash",
                None,
            ),
            (
                "#!/usr/bin/env A=b python3\nexec code\n",
                "a script for python3",
                None,
            ),
            ("#!/usr/bin/node", "a script for node", None),
            ("#!", "a script for an unknown interpreter", None),
        ] {
            let kind = describe(script.as_bytes());
            assert_eq!(kind.looks_like, looks_like, "{script}");
            match starts {
                Some(words) => assert!(kind.advice.starts_with(words), "{script}: {kind:?}"),
                None => assert!(kind.advice.contains("-p PID"), "{script}: {kind:?}"),
            }
        }
    }

    #[test]
    fn go_source_is_known_by_its_package_clause() {
        for source in [
            "package main",
            "// Copyright\n//go:build linux\n\n/* long\npackage x */ package main // it\n",
            "\u{feff}\npackage a_b; import \"fmt\"",
        ] {
            assert!(is_go_source(source), "{source}");
        }
        for other in [
            "",
            "// package main",
            "/* package",
            "package ",
            "package: x",
            "packages x",
        ] {
            assert!(!is_go_source(other), "{other}");
        }
        assert!(
            describe(b"!<arch>\n__.PKGDEF       0")
                .advice
                .contains("package main")
        );
        assert!(describe(b"MZ\x90\0").advice.contains("GOOS=linux"));
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
