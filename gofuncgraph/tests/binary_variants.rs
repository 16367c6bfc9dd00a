//! One small program as different releases and link modes make it.

mod support;

use std::path::Path;

use gofuncgraph::binary::{BinaryError, Function, GoBinary, RuntimeOffsets};
use object::LittleEndian;
use object::elf::{self, Rela64};
use object::read::elf::{ElfFile64, ProgramHeader as _, Rela as _, SectionHeader as _};
use support::go_build::{Flavor, Variant, build};

struct Release {
    toolchain: &'static str,
    version: &'static str,
    offsets: RuntimeOffsets,
    wrapper_id: u8,
    /// What is said of it when it does not tell its version.
    guess: &'static str,
}

const RELEASES: [Release; 6] = [
    Release {
        toolchain: "go1.17.13",
        version: "go1.17.13",
        offsets: BEFORE_1_23,
        wrapper_id: 22,
        guess: "go1.17",
    },
    Release {
        toolchain: "go1.18.10",
        version: "go1.18.10",
        offsets: BEFORE_1_23,
        wrapper_id: 21,
        guess: "go1.18 to go1.19",
    },
    Release {
        toolchain: "go1.20.14",
        version: "go1.20.14",
        offsets: BEFORE_1_23,
        wrapper_id: 21,
        guess: "go1.20 to go1.21",
    },
    Release {
        toolchain: "go1.21.13",
        version: "go1.21.13",
        offsets: BEFORE_1_23,
        wrapper_id: 21,
        guess: "go1.20 to go1.21",
    },
    Release {
        toolchain: "go1.24.9",
        version: "go1.24.9",
        offsets: RuntimeOffsets {
            goid: 160,
            curg: 192,
        },
        wrapper_id: 22,
        guess: "go1.23 to go1.24",
    },
    Release {
        toolchain: "go1.27.3",
        version: "go1.27.3",
        offsets: RuntimeOffsets {
            goid: 152,
            curg: 184,
        },
        wrapper_id: 23,
        guess: "go1.27 or newer",
    },
];

const BEFORE_1_23: RuntimeOffsets = RuntimeOffsets {
    goid: 152,
    curg: 192,
};

const FLAVORS: [Flavor; 5] = [
    Flavor::Plain,
    Flavor::NoSymbols,
    Flavor::Pie,
    Flavor::PieNoSymbols,
    Flavor::Stripped,
];

fn program(toolchain: &'static str, flavor: Flavor) -> Vec<u8> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/variants");
    std::fs::read(build(&source, Variant { toolchain, flavor })).unwrap()
}

fn functions<'data>(binary: &GoBinary<'data>) -> Vec<Function<'data>> {
    binary.functions().map(Result::unwrap).collect()
}

/// Overwrites every occurrence of `from`, and says how many there were.
fn overwrite(data: &mut [u8], from: &[u8], to: &[u8]) -> usize {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> = data
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from)
        .map(|(index, _)| index)
        .collect();
    for place in &places {
        data[*place..place + to.len()].copy_from_slice(to);
    }
    places.len()
}

/// Line of `needle` in a file of the program's source, from 1.
fn line_of(file: &str, needle: &str) -> u32 {
    let source = match file {
        "/generic.go" => include_str!("programs/variants/generic.go"),
        _ => include_str!("programs/variants/main.go"),
    };
    let index = source.lines().position(|line| line.contains(needle));
    u32::try_from(index.unwrap()).unwrap() + 1
}

#[test]
fn every_variant_is_read() {
    for release in &RELEASES {
        let plain = program(release.toolchain, Flavor::Plain);
        let plain_functions = functions(&GoBinary::parse(&plain).unwrap());
        for flavor in FLAVORS {
            let context = format!("{} {flavor:?}", release.toolchain);
            let data = program(release.toolchain, flavor);
            let binary =
                GoBinary::parse(&data).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(binary.go_version(), release.version, "{context}");
            assert_eq!(binary.warnings(), [""; 0], "{context}");
            assert_eq!(binary.runtime_offsets(), release.offsets, "{context}");
            assert_eq!(
                binary.main_module(),
                Some("example.com/variants"),
                "{context}"
            );
            let is_pie = matches!(flavor, Flavor::Pie | Flavor::PieNoSymbols);
            assert_eq!(binary.is_position_independent(), is_pie, "{context}");

            let functions = functions(&binary);
            if is_pie {
                // Other code, but the program's own functions are the same.
                let own = |functions: &[Function<'_>]| -> Vec<String> {
                    let names = functions.iter().map(|function| function.name);
                    names
                        .filter(|name| name.starts_with("main."))
                        .map(str::to_owned)
                        .collect()
                };
                assert_eq!(own(&functions), own(&plain_functions), "{context}");
            } else {
                assert_eq!(functions, plain_functions, "{context}");
            }
            check_program(&binary, release, &context);
        }
    }
}

fn check_program(binary: &GoBinary<'_>, release: &Release, context: &str) {
    let generic = match release.toolchain {
        "go1.17.13" => None,
        "go1.18.10" | "go1.20.14" => Some("main.Map[...]"),
        _ => Some("main.Map[go.shape.int,go.shape.string]"),
    };
    let generic = generic.map(|name| ("/generic.go", name, "func Map["));
    let plain = [
        ("/main.go", "main.main", "func main()"),
        ("/main.go", "main.deferring", "func deferring("),
        ("/main.go", "main.deferring.func1", "defer func() {"),
        ("/main.go", "main.(*inner).Inc", "func (i *inner) Inc()"),
    ];
    for (file, name, declaration) in plain.into_iter().chain(generic) {
        let [function] = binary.find_functions_named(name)[..] else {
            panic!("{context}: one {name}");
        };
        let source = binary.source_line(function.start).unwrap();
        assert!(source.file.ends_with(file), "{context}: {source:?}");
        assert_eq!(source.line, line_of(file, declaration), "{context}: {name}");
        assert_eq!(
            function.deferreturn != 0,
            name == "main.deferring",
            "{context}: {name}"
        );
        let code = binary.code(function.start..function.end).unwrap();
        assert!(code.contains(&0xc3), "{context}: {name} returns");
        let offset = binary.file_offset(function.start).unwrap();
        assert!(offset.0 > 0, "{context}: {name}");
    }
    let [wrapper] = binary.find_functions_named("main.outer.Inc")[..] else {
        panic!("{context}: one main.outer.Inc");
    };
    assert!(wrapper.is_wrapper, "{context}");
    assert_eq!(wrapper.function_id, release.wrapper_id, "{context}");
}

/// The table and the code are two sources: with a version that names another row, the code
/// corrects every number of it.
#[test]
fn the_code_corrects_a_wrong_version() {
    const GOID: &str = "offset of runtime.g.goid";
    const CURG: &str = "offset of runtime.m.curg";
    const WRAPPER: &str = "funcID of wrappers";
    let [.., oldest, middle, newest] = &RELEASES;
    let cases: [(&Release, &str, &[&str]); 5] = [
        (oldest, "go1.24.13", &[GOID, WRAPPER]),
        (oldest, "go1.27.13", &[CURG, WRAPPER]),
        (middle, "go1.21.9", &[GOID, WRAPPER]),
        (middle, "go1.26.9", &[GOID, CURG, WRAPPER]),
        (newest, "go1.23.3", &[GOID, CURG, WRAPPER]),
    ];
    for (release, wrong, corrected) in cases {
        for flavor in FLAVORS {
            let context = format!("{} {flavor:?} as {wrong}", release.toolchain);
            let mut data = program(release.toolchain, flavor);
            let changed = overwrite(&mut data, release.version.as_bytes(), wrong.as_bytes());
            assert!(changed > 0);
            let binary = GoBinary::parse(&data).unwrap();
            assert_eq!(binary.go_version(), wrong);
            assert_eq!(binary.runtime_offsets(), release.offsets, "{context}");
            let warnings = binary.warnings();
            assert_eq!(warnings.len(), corrected.len(), "{context}: {warnings:?}");
            for (warning, name) in warnings.iter().zip(corrected) {
                assert!(warning.starts_with(name), "{context}: {warning}");
            }
            let wrapper = binary.find_functions_named("main.outer.Inc");
            assert!(wrapper[0].is_wrapper, "{context}");
        }
    }
}

#[test]
fn the_version_is_found_without_build_info() {
    for release in &RELEASES {
        for flavor in FLAVORS {
            let context = format!("{} {flavor:?}", release.toolchain);
            let mut data = program(release.toolchain, flavor);
            assert!(overwrite(&mut data, b"\xff Go buildinf:", &[0; 14]) > 0);
            let binary = GoBinary::parse(&data).unwrap();
            assert_eq!(binary.go_version(), release.version, "{context}");
            assert_eq!(binary.warnings(), [""; 0], "{context}");
            assert_eq!(binary.main_module(), None, "{context}");

            let nothing = vec![b'?'; release.version.len()];
            assert!(overwrite(&mut data, release.version.as_bytes(), &nothing) > 0);
            let binary = GoBinary::parse(&data).unwrap();
            assert_eq!(binary.go_version(), release.guess, "{context}");
            assert_eq!(binary.runtime_offsets(), release.offsets, "{context}");
            assert_eq!(binary.warnings().len(), 1, "{context}");
        }
    }
}

/// What needs no section table: the loader does not read it either.
#[test]
fn sections_are_not_needed() {
    for release in &RELEASES {
        for flavor in FLAVORS {
            let context = format!("{} {flavor:?}", release.toolchain);
            let whole = program(release.toolchain, flavor);
            let mut data = whole.clone();
            // e_shoff, then e_shnum and e_shstrndx.
            data[0x28..0x30].fill(0);
            data[0x3c..0x40].fill(0);
            let binary =
                GoBinary::parse(&data).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(binary.go_version(), release.version, "{context}");
            assert_eq!(
                binary.main_module(),
                Some("example.com/variants"),
                "{context}"
            );
            assert_eq!(binary.warnings(), [""; 0], "{context}");
            let expected = functions(&GoBinary::parse(&whole).unwrap());
            assert_eq!(functions(&binary), expected, "{context}");
        }
    }
}

/// Some linkers leave the words that the loader relocates zero.
#[test]
fn relocations_are_applied() {
    // The function table of Go 1.17 has addresses: without them it is not read, which is said.
    let mut data = program(RELEASES[0].toolchain, Flavor::Pie);
    assert!(zero_relocated_words(&mut data) > 1000);
    let error = GoBinary::parse(&data).err().unwrap().to_string();
    assert!(error.contains("left to the loader"), "{error}");
    for release in &RELEASES[1..] {
        let whole = program(release.toolchain, Flavor::Pie);
        let mut data = whole.clone();
        let zeroed = zero_relocated_words(&mut data);
        assert!(zeroed > 1000, "{zeroed}");
        for remove_sections in [false, true] {
            let context = format!("{} {remove_sections}", release.toolchain);
            if remove_sections {
                data[0x28..0x30].fill(0);
                data[0x3c..0x40].fill(0);
            }
            let binary =
                GoBinary::parse(&data).unwrap_or_else(|error| panic!("{context}: {error}"));
            let expected = functions(&GoBinary::parse(&whole).unwrap());
            assert_eq!(functions(&binary), expected, "{context}");
        }
        // The string header of runtime.buildVersion is relocated too.
        assert!(overwrite(&mut data, b"\xff Go buildinf:", &[0; 14]) > 0);
        let binary = GoBinary::parse(&data).unwrap();
        assert_eq!(binary.go_version(), release.version);
    }
}

/// Zeroes what the R_X86_64_RELATIVE relocations of `data` fill. Returns their number.
fn zero_relocated_words(data: &mut [u8]) -> usize {
    let file: ElfFile64<'_, LittleEndian> = ElfFile64::parse(&*data).unwrap();
    let segments: Vec<_> = file
        .elf_program_headers()
        .iter()
        .filter(|header| header.p_type(LittleEndian) == elf::PT_LOAD)
        .map(|header| {
            (
                header.p_vaddr(LittleEndian),
                header.file_range(LittleEndian),
            )
        })
        .collect();
    let (_, section) = file
        .elf_section_table()
        .section_by_name(LittleEndian, b".rela")
        .unwrap();
    let entries: &[Rela64<LittleEndian>] = section.data_as_array(LittleEndian, &*data).unwrap();
    let places: Vec<usize> = entries
        .iter()
        .filter(|entry| entry.r_type(LittleEndian, false) == elf::R_X86_64_RELATIVE)
        .map(|entry| {
            let address = entry.r_offset(LittleEndian);
            let (start, (offset, _)) = segments
                .iter()
                .find(|(start, (_, size))| (*start..start + size).contains(&address))
                .unwrap();
            usize::try_from(address - start + offset).unwrap()
        })
        .collect();
    for place in &places {
        data[*place..place + 8].fill(0);
    }
    places.len()
}

#[test]
fn each_unsupported_file_has_its_error() {
    let [.., release] = &RELEASES;
    let good = program(release.toolchain, Flavor::Stripped);
    let error = |data: &[u8]| match GoBinary::parse(data) {
        Ok(_) => panic!("it is read"),
        Err(error) => error,
    };
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut data = good.clone();
        change(&mut data);
        error(&data)
    };
    assert_eq!(error(b""), BinaryError::Empty);
    assert!(error(b"#!/bin/sh\n").to_string().contains("a script"));
    let message = with(&|data| data[4] = 1).to_string();
    assert!(message.contains("a 32-bit ELF file"), "{message}");
    let message = with(&|data| data[5] = 2).to_string();
    assert!(message.contains("big-endian"), "{message}");
    let message = with(&|data| data[0x12] = 183).to_string();
    assert!(message.contains("aarch64"), "{message}");
    let message = with(&|data| data[0x10] = 1).to_string();
    assert!(message.contains("relocatable object file"), "{message}");
    let message = with(&|data| data[0x10] = 4).to_string();
    assert!(message.contains("core dump"), "{message}");

    let half = good.len() / 2;
    let truncated = error(&good[..half]);
    assert!(
        matches!(truncated, BinaryError::Truncated { file_size, .. } if file_size == half as u64),
        "{truncated:?}"
    );
    assert!(truncated.to_string().contains(&format!("{half:#x} bytes")));

    let old = |data: &mut Vec<u8>| assert!(overwrite(data, b"go1.27.3", b"go1.16.3") > 0);
    let message = with(&old).to_string();
    assert!(
        message.contains("go1.16.3") && message.contains("Go 1.17 to Go 1.27"),
        "{message}"
    );

    let magic = [0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8];
    let other_magic = |new: [u8; 8]| with(&move |data| assert!(overwrite(data, &magic, &new) > 0));
    let old = other_magic([0xfb, 0xff, 0xff, 0xff, 0, 0, 1, 8]);
    assert!(
        matches!(&old, BinaryError::TooOld { found } if found.contains("before Go 1.16")),
        "{old:?}"
    );
    let garbled = other_magic([0x78, 0x56, 0x34, 0x12, 0, 0, 1, 8]);
    assert!(
        matches!(&garbled, BinaryError::Garbled { found } if found.contains("0x12345678")),
        "{garbled:?}"
    );
    let packed = with(&|data| {
        overwrite(data, &magic, &[0; 8]);
        data.extend(b"UPX!");
        data.extend([0; 32]);
    });
    assert!(matches!(packed, BinaryError::Packed { .. }), "{packed:?}");

    let not_go = std::fs::read("/bin/sh").unwrap();
    assert_eq!(error(&not_go), BinaryError::NotGo);
}
