//! Damaged copies of real binaries: whatever is in the file, reading it ends soon, in a value
//! or an error.

#[path = "../../fuzz/src/binary.rs"]
mod fuzzed;
mod support;

use std::cell::Cell;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use gofuncgraph::binary::{GoBinary, VirtualAddress};
use object::LittleEndian;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader as _, SectionHeader as _};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use support::go_build::{Flavor, Variant, build};

/// Far more than a damaged copy takes (some 50 ms without optimisation), far less than anything
/// that is not linear in the file would take.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Damaged copies for which a plan is made, too.
const PLANNED_ONE_OF: u32 = 8;

const VARIANTS: [(&str, Flavor); 4] = [
    ("go1.21.13", Flavor::Plain),
    ("go1.24.9", Flavor::PieNoSymbols),
    ("go1.27.3", Flavor::Stripped),
    ("go1.27.3", Flavor::Pie),
];

/// A binary and the parts of it that its readers depend on.
struct Sample {
    data: Vec<u8>,
    parts: Vec<Range<usize>>,
}

fn samples() -> Vec<Sample> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/variants");
    let programs =
        VARIANTS.map(|(toolchain, flavor)| build(&source, Variant { toolchain, flavor }));
    programs
        .map(|path| sample(std::fs::read(path).unwrap()))
        .into()
}

fn sample(data: Vec<u8>) -> Sample {
    let header = FileHeader64::<LittleEndian>::parse(data.as_slice()).unwrap();
    let sections_offset = usize::try_from(header.e_shoff(LittleEndian)).unwrap();
    let sections_size = 64 * usize::from(header.e_shnum(LittleEndian));
    let mut parts = vec![
        0..64,
        64..0x190,
        sections_offset..sections_offset + sections_size,
    ];
    let sections = header.sections(LittleEndian, data.as_slice()).unwrap();
    let bytes_of = |name: &str| -> Option<Range<usize>> {
        let (_, section) = sections.section_by_name(LittleEndian, name.as_bytes())?;
        let (offset, size) = section.file_range(LittleEndian)?;
        Some(usize::try_from(offset).unwrap()..usize::try_from(offset + size).unwrap())
    };
    let pclntab = bytes_of(".gopclntab")
        .or_else(|| bytes_of(".data.rel.ro.gopclntab"))
        .unwrap();
    let word = |index: usize| {
        let place = pclntab.start + index * 8;
        u64::from_le_bytes(data[place..place + 8].try_into().unwrap())
    };
    let functions = pclntab.start + usize::try_from(word(8)).unwrap();
    let count = usize::try_from(word(1)).unwrap();
    let (_, section) = sections
        .section_by_name(LittleEndian, b".gopclntab")
        .or_else(|| sections.section_by_name(LittleEndian, b".data.rel.ro.gopclntab"))
        .unwrap();
    let pointer = section.sh_addr(LittleEndian).to_le_bytes();
    let module = (0..data.len() - 8)
        .step_by(8)
        .rfind(|place| data[*place..place + 8] == pointer)
        .unwrap();
    parts.extend([
        pclntab.start..pclntab.start + 72,
        functions..functions + 8 * count,
        functions + 8 * count..pclntab.end.min(functions + 200 * count),
        pclntab.clone(),
        module..module + 48 * 8,
        bytes_of(".go.buildinfo").unwrap(),
    ]);
    parts.extend(bytes_of(".dynamic"));
    parts.extend(bytes_of(".rela"));
    Sample { data, parts }
}

/// Asks for everything. Returns how many functions could be read.
fn read_everything(data: &[u8]) -> usize {
    let binary = match GoBinary::parse(data) {
        Ok(binary) => binary,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return 0;
        }
    };
    let _ = (binary.go_version(), binary.main_module(), binary.warnings());
    let _ = binary.main_package();
    let mut readable = 0;
    for function in binary.functions() {
        let function = match function {
            Ok(function) => function,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                continue;
            }
        };
        readable += 1;
        assert!(function.start <= function.end);
        let size = function.end.0 - function.start.0;
        for offset in [0, size / 2, size.saturating_sub(1), size] {
            let pc = VirtualAddress(function.start.0.saturating_add(offset));
            let _ = binary.source_line(pc);
            let _ = binary
                .find_function(pc)
                .map(|it| binary.instantiated_name(&it).len());
            let _ = binary.file_offset(pc);
        }
        let _ = binary.code(function.start..function.end);
        let _ = binary.declaration(function.index);
        assert!(binary.code_size(&function) <= size);
    }
    let _ = binary.find_functions_named("main.main");
    match binary.inlined_calls() {
        Ok(calls) => {
            assert!(calls.unreadable() <= binary.function_count());
            for function in calls.functions() {
                assert!(function.copies > 0 && !function.hosts.is_empty());
                assert_eq!(calls.find(function.name), Some(function));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    for address in [0, 1, u64::MAX] {
        assert_eq!(binary.source_line(VirtualAddress(address)), None);
    }
    assert!(binary.function(binary.function_count()).is_err());
    assert!(binary.function(usize::MAX).is_err());
    readable
}

/// Reads everything within the time limit. Returns how many functions could be read.
fn check(data: &[u8]) -> usize {
    let start = Instant::now();
    let readable = read_everything(data);
    let elapsed = start.elapsed();
    assert!(elapsed < TIME_LIMIT, "{elapsed:?}");
    readable
}

fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        rng_algorithm: RngAlgorithm::ChaCha,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng)
}

/// What is written where: values that readers are likely to take amiss, and any others.
fn change() -> impl Strategy<Value = Vec<u8>> {
    let extreme = prop_oneof![
        Just(0u64),
        Just(1),
        Just(0x7fff_ffff),
        Just(0x8000_0000),
        Just(0xffff_ffff),
        Just(1 << 63),
        Just(u64::MAX),
        Just(u64::MAX - 7),
        any::<u64>(),
    ];
    prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        extreme.clone().prop_map(|word| word.to_le_bytes().to_vec()),
        extreme.prop_map(|word| word.to_le_bytes()[..4].to_vec()),
    ]
}

#[test]
fn the_samples_are_readable() {
    for sample in samples() {
        let binary = GoBinary::parse(&sample.data).unwrap();
        assert_eq!(read_everything(&sample.data), binary.function_count());
        assert!(
            sample
                .parts
                .iter()
                .all(|part| part.end <= sample.data.len())
        );
    }
}

#[test]
fn damaged_files_are_survived() {
    let samples = samples();
    let changes = prop::collection::vec(
        (
            any::<prop::sample::Index>(),
            any::<prop::sample::Index>(),
            change(),
        ),
        1..6,
    );
    let strategy = (0..samples.len(), changes);
    let (readable, refused) = (Cell::new(0_u32), Cell::new(0_u32));
    runner(400)
        .run(&strategy, |(sample, changes)| {
            let sample = &samples[sample];
            let mut data = sample.data.clone();
            for (part, place, bytes) in changes {
                let part = &sample.parts[part.index(sample.parts.len())];
                let start = part.start + place.index(part.len());
                // Fields are aligned: half of the changes hit one as a whole.
                let start = if bytes.len() > 1 && place.index(2) == 0 {
                    start & !3
                } else {
                    start
                };
                let end = (start + bytes.len()).min(data.len());
                data[start..end].copy_from_slice(&bytes[..end - start]);
            }
            // Plans take longer: some are enough here, and `cargo xtask fuzz` makes many.
            let number = readable.get() + refused.get();
            if number % PLANNED_ONE_OF == 0 {
                fuzzed::look_at(&data, (number / PLANNED_ONE_OF) as u8);
            }
            let count = if check(&data) > 0 {
                &readable
            } else {
                &refused
            };
            count.set(count.get() + 1);
            Ok(())
        })
        .unwrap();
    // Both happen: the changes are neither harmless nor all caught at once.
    let outcomes = (readable.get(), refused.get());
    assert!(outcomes.0 > 50 && outcomes.1 > 50, "{outcomes:?}");
}

#[test]
fn truncated_files_are_survived() {
    let samples = samples();
    for sample in &samples {
        for length in 0..0x200 {
            assert_eq!(read_everything(&sample.data[..length]), 0, "{length:#x}");
        }
    }
    let strategy = (0..samples.len(), any::<prop::sample::Index>());
    runner(200)
        .run(&strategy, |(sample, length)| {
            let data = &samples[sample].data;
            check(&data[..length.index(data.len())]);
            Ok(())
        })
        .unwrap();
}

/// Every word of the headers and of the module data takes every extreme value once.
#[test]
fn extreme_words_are_survived() {
    let sample = &samples()[2];
    let small: Vec<_> = sample
        .parts
        .iter()
        .filter(|part| part.len() <= 512)
        .collect();
    assert!(small.len() >= 4);
    for part in small {
        for place in part.clone().step_by(8) {
            for word in [0, 0xffff_ffff, u64::MAX, 1 << 63] {
                let mut data = sample.data.clone();
                data[place..place + 8].copy_from_slice(&u64::to_le_bytes(word));
                check(&data);
            }
        }
    }
}
