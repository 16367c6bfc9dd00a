//! Executables of several Go releases with most of their functions taken out, so that reading one
//! is quick, and changes of them.
//!
//! An input is small: which executable, what is asked of it, and changes of the parts that its
//! readers depend on. So the fuzzer need not find out where these parts are.
//!
//! What panics here is about executables that Go has just built for this, or about the build's own
//! folder, never about an input.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use gofuncgraph::binary::GoBinary;
use object::LittleEndian;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader as _, SectionHeader as _};

use crate::binary;

/// Functions that are looked for by name.
const NAMED: [&str; 10] = [
    "runtime.goroutineheader",
    "runtime.printint",
    "runtime.printuint",
    "runtime.systemstack",
    "runtime.systemstack_switch",
    "runtime.schedinit",
    "runtime.recovery",
    "runtime.gogo",
    "runtime.goexit1",
    "runtime.sigpanic",
];
/// One of so many others stays.
const KEPT_ONE_OF: usize = 120;
/// Of these functions.
const MAX_CODE_BYTES: u64 = 512;
/// `_func.flag` of assembly, whose code is not looked at.
const ASSEMBLY: u8 = 4;
/// Bytes of a change in an input.
pub const CHANGE_BYTES: usize = 12;
/// An input with this first byte is a file itself.
pub const WHOLE_FILE: u8 = 0xff;

thread_local! {
    static BASES: RefCell<Vec<Base>> = RefCell::new(load(&folder()));
}

/// An executable and the parts of it that its readers depend on.
struct Base {
    data: Vec<u8>,
    parts: Vec<Range<usize>>,
}

/// Beside the build of the fuzz targets: `cargo xtask fuzz` puts executables there.
fn folder() -> PathBuf {
    let program = std::env::current_exe().expect("this program is a file");
    let build = program.ancestors().nth(3).expect("cargo made its folder");
    build.join("bases")
}

fn load(folder: &Path) -> Vec<Base> {
    let files = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("`cargo xtask fuzz` makes {}: {error}", folder.display()));
    let mut paths: Vec<_> = files
        .map(|file| file.expect("the folder can be read").path())
        .collect();
    paths.sort();
    let bases: Vec<_> = paths
        .iter()
        .map(|path| reduced(std::fs::read(path).expect("it can be read")))
        .collect();
    assert!(!bases.is_empty(), "{} is empty", folder.display());
    bases
}

/// Does what `input` says.
pub fn look_at(input: &[u8]) {
    let [base, choice, changes @ ..] = input else {
        return;
    };
    if *base == WHOLE_FILE {
        return binary::look_at(changes, *choice);
    }
    BASES.with_borrow_mut(|bases| {
        let count = bases.len();
        bases[usize::from(*base) % count].look_at_changed(*choice, changes);
    });
}

impl Base {
    fn look_at_changed(&mut self, choice: u8, changes: &[u8]) {
        let mut length = self.data.len();
        let mut undo = Vec::new();
        let (changes, _) = changes.as_chunks::<CHANGE_BYTES>();
        for [part, operation, low, high, value @ ..] in changes {
            let value = u64::from_le_bytes(*value);
            if *part == u8::MAX {
                length = value as usize % (self.data.len() + 1);
                continue;
            }
            let part = self.parts[usize::from(*part) % self.parts.len()].clone();
            let scale = part.len() / 0x1_0000 + 1;
            let mut place = usize::from(u16::from_le_bytes([*low, *high])) * scale % part.len();
            // Fields are aligned.
            if operation & 0x80 == 0 {
                place &= !3;
            }
            let place = part.start + place;
            let bytes = self.changed(&part, place, operation & 0x7f, value);
            let room = (self.data.len() - place).min(bytes.len());
            undo.push((place, self.data[place..place + room].to_vec()));
            self.data[place..place + room].copy_from_slice(&bytes[..room]);
        }
        binary::look_at(&self.data[..length], choice);
        for (place, bytes) in undo.into_iter().rev() {
            self.data[place..place + bytes.len()].copy_from_slice(&bytes);
        }
    }

    /// What is to stand at `place`.
    fn changed(&self, part: &Range<usize>, place: usize, operation: u8, value: u64) -> Vec<u8> {
        let word = |at: usize| {
            let bytes = self.data.get(at..at + 4).unwrap_or_default();
            u32::from_le_bytes(bytes.try_into().unwrap_or_default())
        };
        let written = value.to_le_bytes();
        match operation % 8 {
            operation @ 0..4 => written[..1 << operation].to_vec(),
            4 => vec![self.data[place].wrapping_add(written[0])],
            5 => word(place).wrapping_add(value as u32).to_le_bytes().into(),
            6 => {
                let from = part.start + value as usize % part.len();
                self.data[from..self.data.len().min(from + 8)].to_vec()
            }
            _ => vec![0; 16],
        }
    }
}

fn number(data: &[u8], at: usize, size: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes[..size].copy_from_slice(&data[at..at + size]);
    u64::from_le_bytes(bytes)
}

fn put(data: &mut [u8], at: usize, size: usize, value: u64) {
    data[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
}

/// Takes most functions out of the table. What lies between the others becomes assembly.
fn reduced(mut data: Vec<u8>) -> Base {
    let Places {
        pclntab,
        module,
        mut parts,
    } = Places::of(&data);
    let before_1_18 = data[pclntab.start] == 0xfa;
    let header_word = |index: usize| pclntab.start + index * 8;
    let (entry, last_part, id_field) = match data[pclntab.start] {
        0xfa => (8, 7, 10),
        0xf0 => (4, 8, 9),
        _ => (4, 8, 10),
    };
    let functions = pclntab.start + number(&data, header_word(last_part), 8) as usize;
    let count = number(&data, header_word(1), 8) as usize;
    let kept = kept_functions(&data);
    assert!(kept.len() > NAMED.len() && kept.iter().all(|index| *index < count));
    let wanted: BTreeSet<usize> = kept.iter().flat_map(|index| [*index, index + 1]).collect();
    let end = kept.last().expect("some are kept") + 1;

    let entry_of = |data: &[u8], index: usize| number(data, functions + index * 2 * entry, entry);
    let record_of =
        |data: &[u8], index: usize| number(data, functions + (index * 2 + 1) * entry, entry);
    let text = match before_1_18 {
        true => 0,
        false => number(&data, module.start + 22 * 8, 8),
    };
    let (first, last) = (text + entry_of(&data, kept[0]), text + entry_of(&data, end));
    let rows: Vec<_> = wanted
        .iter()
        .filter(|index| **index < end)
        .map(|index| (*index, entry_of(&data, *index), record_of(&data, *index)))
        .collect();
    let last_entry = entry_of(&data, end);
    for (new, (index, start, record)) in rows.iter().enumerate() {
        let place = functions + new * 2 * entry;
        put(&mut data, place, entry, *start);
        put(&mut data, place + entry, entry, *record);
        let record = functions + *record as usize;
        if !kept.contains(index) {
            data[record + id_field * 4 + 1] |= ASSEMBLY;
        }
        parts.push(record..record + id_field * 4 + 16);
    }
    put(
        &mut data,
        functions + rows.len() * 2 * entry,
        entry,
        last_entry,
    );
    put(&mut data, header_word(1), 8, rows.len() as u64);
    put(&mut data, module.start + 17 * 8, 8, rows.len() as u64 + 1);
    put(&mut data, module.start + 20 * 8, 8, first);
    put(&mut data, module.start + 21 * 8, 8, last);
    parts.push(functions..functions + rows.len() * 2 * entry);
    for range in code_of(&data) {
        parts.push(range);
    }
    let binary = GoBinary::parse(&data).expect("it can still be read");
    assert_eq!(binary.function_count(), rows.len());
    Base { data, parts }
}

fn kept_functions(data: &[u8]) -> Vec<usize> {
    let binary = GoBinary::parse(data).expect("Go has built it");
    let functions = binary.functions().map(|it| it.expect("nothing is damaged"));
    functions
        .filter(|function| {
            let is_small = function.end.0 - function.start.0 < MAX_CODE_BYTES;
            NAMED.contains(&function.name)
                || function.name.starts_with("main.")
                || is_small && function.index % KEPT_ONE_OF == 0
        })
        .map(|function| function.index)
        .collect()
}

/// Where the code of a few functions is, and how it ends.
fn code_of(data: &[u8]) -> Vec<Range<usize>> {
    let binary = GoBinary::parse(data).expect("it can still be read");
    let functions = binary.functions().filter_map(Result::ok);
    functions
        .filter(|function| function.name.starts_with("main.") || NAMED.contains(&function.name))
        .filter_map(|function| {
            let start = binary.file_offset(function.start)?.0 as usize;
            let size = (function.end.0 - function.start.0) as usize;
            (size > 0).then_some(start..start + size)
        })
        .collect()
}

struct Places {
    pclntab: Range<usize>,
    module: Range<usize>,
    parts: Vec<Range<usize>>,
}

impl Places {
    fn of(data: &[u8]) -> Self {
        let header = FileHeader64::<LittleEndian>::parse(data).expect("it is ELF");
        let sections = header
            .sections(LittleEndian, data)
            .expect("it has sections");
        let section = |name: &str| {
            let (_, section) = sections.section_by_name(LittleEndian, name.as_bytes())?;
            let (offset, size) = section.file_range(LittleEndian)?;
            let range = offset as usize..(offset + size) as usize;
            Some((range, section.sh_addr(LittleEndian)))
        };
        let (pclntab, address) = section(".gopclntab")
            .or_else(|| section(".data.rel.ro.gopclntab"))
            .expect("it has a function table");
        let module = (0..data.len() - 8)
            .step_by(8)
            .rfind(|place| number(data, *place, 8) == address)
            .expect("it has module data");
        let module = module..module + 24 * 8;
        let headers = header.e_shoff(LittleEndian) as usize;
        let mut parts = vec![
            0..64,
            64..64 + 56 * usize::from(header.e_phnum(LittleEndian)),
            headers..headers + 64 * usize::from(header.e_shnum(LittleEndian)),
            pclntab.start..pclntab.start + 72,
            module.clone(),
            pclntab.clone(),
        ];
        for name in [".go.buildinfo", ".note.go.buildid", ".dynamic", ".rela"] {
            parts.extend(section(name).map(|(range, _)| range));
        }
        Self {
            pclntab,
            module,
            parts,
        }
    }
}
