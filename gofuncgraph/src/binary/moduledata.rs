//! Where the function table and the code are: `runtime.moduledata`
//! (Go: src/runtime/symtab.go), whose first 24 words are the same in Go 1.17 to 1.27.

use std::ops::Range;

use super::elf::{Elf, Segment};
use super::file_kind;
use super::pclntab::Pclntab;
use super::table_layout::Layout;
use super::{BinaryError, VirtualAddress};

/// Sections that begin with the function table.
const PCLNTAB_SECTIONS: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];
/// Section that begins with the module data, since Go 1.26.
const MODULE_SECTION: &str = ".go.module";
/// Places that look like a function table and are looked at closely.
const CANDIDATES_MAX: usize = 8;

const WORD_FUNCTION_NAMES: u64 = 1;
const WORD_FUNCTION_TABLE_LENGTH: u64 = 17;
const WORD_MINIMUM_PC: u64 = 20;
const WORD_MAXIMUM_PC: u64 = 21;
const WORD_TEXT: u64 = 22;

/// The function table of a program, and what its offsets count from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Module<'data> {
    /// The function table.
    pub(super) pclntab: Pclntab<'data>,
    /// `runtime.text`, which is not the start of `.text` where C code is linked in; where the
    /// table has addresses (Go 1.17), its first function.
    pub(super) text: VirtualAddress,
    /// The module data itself.
    pub(super) address: VirtualAddress,
}

impl Module<'_> {
    /// The addresses of the function `index`.
    pub(super) fn range(&self, index: usize) -> Option<Range<VirtualAddress>> {
        let start = self.pclntab.entry_offset(index)?;
        let end = self.pclntab.entry_offset(index.checked_add(1)?)?;
        Some(self.text.checked_add(start.into())?..self.text.checked_add(end.into())?)
    }

    /// The function that contains `pc`.
    pub(super) fn index_at(&self, pc: VirtualAddress) -> Option<usize> {
        let offset = u32::try_from(pc.offset_from(self.text)?).ok()?;
        self.pclntab.find(offset)
    }
}

/// Finds the function table by section or by its first bytes, and the module data by its
/// section or by its pointers to the table.
///
/// `looks_built_by_go`: something else already tells that the Go linker made the file.
pub(super) fn find<'data>(
    elf: &Elf<'data>,
    data: &'data [u8],
    looks_built_by_go: bool,
) -> Result<Module<'data>, BinaryError> {
    let from_sections: Vec<VirtualAddress> = PCLNTAB_SECTIONS
        .iter()
        .filter_map(|name| elf.section_address(name))
        .collect();
    // Only looked for when the sections do not lead to the table: this reads the whole file.
    let scanned = scan_for_tables(elf)
        .filter(|address| !from_sections.contains(address))
        .take(CANDIDATES_MAX);

    let mut problem = None;
    for address in from_sections.iter().copied().chain(scanned) {
        match read_table(elf, address) {
            Ok(module) => return Ok(module),
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    if file_kind::is_packed_by_upx(data) {
        return Err(BinaryError::Packed { packer: "UPX" });
    }
    let looks_built_by_go = looks_built_by_go
        || !from_sections.is_empty()
        || elf.section_address(".note.go.buildid").is_some();
    Err(match problem {
        Some(error) => error,
        None if looks_built_by_go => BinaryError::Garbled {
            found: "the file has other marks of the Go toolchain, but no table".to_owned(),
        },
        None => BinaryError::NotGo,
    })
}

fn read_table<'data>(
    elf: &Elf<'data>,
    address: VirtualAddress,
) -> Result<Module<'data>, BinaryError> {
    let garbled = |problem: String| BinaryError::Garbled {
        found: format!("at {address}, {problem}"),
    };
    let bytes = elf
        .bytes_from(address)
        .ok_or_else(|| garbled("the file has no bytes".to_owned()))?;
    if let Some(Layout::Older(releases)) = bytes.first_chunk::<8>().map(|head| Layout::of(*head)) {
        return Err(BinaryError::TooOld {
            found: format!("{releases} (by its function table)"),
        });
    }
    let pclntab = Pclntab::parse(bytes).map_err(garbled)?;
    if pclntab.first_address() == Some(0) {
        return Err(garbled(
            "the table of Go 1.17 has addresses, which this linker (lld?) left to the loader to fill in"
                .to_owned(),
        ));
    }
    let (module_data, text) = find_text(elf, address, &pclntab)
        .ok_or_else(|| garbled("the table has no module data that agrees with it".to_owned()))?;
    // Obfuscators encrypt what the records say about their functions.
    pclntab.record(0).map_err(garbled)?;
    pclntab.record(pclntab.count() / 2).map_err(garbled)?;
    Ok(Module {
        pclntab,
        text,
        address: module_data,
    })
}

/// Addresses where a function table of a known layout may begin.
fn scan_for_tables<'a>(elf: &'a Elf<'_>) -> impl Iterator<Item = VirtualAddress> + 'a {
    aligned_words(elf, |_| true)
        .filter(|(_, word)| !matches!(Layout::of(word.to_le_bytes()), Layout::Unknown(_)))
        .map(|(address, _)| address)
}

/// The 8-byte words of the segments that are accepted, and their addresses.
fn aligned_words<'a>(
    elf: &'a Elf<'_>,
    accept: impl Fn(&Segment) -> bool + 'a,
) -> impl Iterator<Item = (VirtualAddress, u64)> + 'a {
    elf.segments()
        .iter()
        .filter(move |segment| accept(segment))
        .flat_map(|segment| {
            let skip = segment.address().0.wrapping_neg() % 8;
            let bytes = elf.segment_bytes(segment);
            let aligned = bytes
                .get(usize::try_from(skip).unwrap_or_default()..)
                .unwrap_or_default();
            let start = segment.address().0.wrapping_add(skip);
            let (words, _) = aligned.as_chunks::<8>();
            words.iter().zip(0u64..).map(move |(word, index)| {
                let address = start.wrapping_add(index.wrapping_mul(8));
                (VirtualAddress(address), u64::from_le_bytes(*word))
            })
        })
}

/// The module data that belongs to the table at `table`, and `runtime.text` from it.
fn find_text(
    elf: &Elf<'_>,
    table: VirtualAddress,
    pclntab: &Pclntab<'_>,
) -> Option<(VirtualAddress, VirtualAddress)> {
    let text_of = |module: VirtualAddress| Some((module, text_of(elf, module, table, pclntab)?));
    elf.section_address(MODULE_SECTION)
        .and_then(text_of)
        .or_else(|| {
            aligned_words(elf, Segment::is_writable)
                .filter(|(_, word)| *word == table.0)
                .find_map(|(module, _)| text_of(module))
        })
        .or_else(|| {
            elf.relative_relocations()
                .filter(|(_, value)| *value == table)
                .take(CANDIDATES_MAX)
                .find_map(|(module, _)| text_of(module))
        })
}

/// `runtime.text`, if there is module data at `module` that agrees with the table.
fn text_of(
    elf: &Elf<'_>,
    module: VirtualAddress,
    table: VirtualAddress,
    pclntab: &Pclntab<'_>,
) -> Option<VirtualAddress> {
    let place = |word: u64| module.checked_add(word * 8);
    let names = table.checked_add(pclntab.names_offset())?;
    let entries = (pclntab.count() as u64).checked_add(1)?;
    let points_at_table = elf.pointer(module)? == table
        && elf.pointer(place(WORD_FUNCTION_NAMES)?)? == names
        && elf.word(place(WORD_FUNCTION_TABLE_LENGTH)?)? == entries;
    if !points_at_table {
        return None;
    }
    let text = match pclntab.first_address() {
        Some(address) => VirtualAddress(address),
        None => elf.pointer(place(WORD_TEXT)?)?,
    };
    let start = text.checked_add(pclntab.entry_offset(0)?.into())?;
    let end = text.checked_add(pclntab.entry_offset(pclntab.count())?.into())?;
    let agrees = elf.pointer(place(WORD_MINIMUM_PC)?)? == start
        && elf.pointer(place(WORD_MAXIMUM_PC)?)? == end
        && elf.code(start..end).is_some();
    agrees.then_some(text)
}
