//! Segments and sections of an ELF executable, addressed as the loader does it.

use std::ops::Range;

use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64, Rela64, Sym64};
use object::read::elf::SectionHeader as _;
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _, Rela as _, Sym as _};

use super::file_kind::{self, FileKind};
use super::{BinaryError, FileOffset, VirtualAddress};

const ENDIAN: LittleEndian = LittleEndian;
const SECTION_HEADER_SIZE: u64 = 64;
const PROGRAM_HEADER_SIZE: u64 = 56;
/// Linux refuses larger program header tables (fs/binfmt_elf.c, `load_elf_phdrs`).
const PROGRAM_HEADERS_MAX_SIZE: u64 = 65536;

/// A PT_LOAD segment, as far as the file has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    address: u64,
    file_offset: u64,
    file_size: u64,
    flags: elf::ProgramFlags,
}

impl Segment {
    /// Whether it is mapped executable.
    pub(super) fn is_executable(&self) -> bool {
        self.flags.contains(elf::PF_X)
    }

    /// Whether it is mapped writable.
    pub(super) fn is_writable(&self) -> bool {
        self.flags.contains(elf::PF_W)
    }

    /// Its first address.
    pub(super) fn address(&self) -> VirtualAddress {
        VirtualAddress(self.address)
    }

    /// Distance of `address` from the segment's start, if the file has the byte there.
    fn offset_of(&self, address: VirtualAddress) -> Option<u64> {
        address
            .0
            .checked_sub(self.address)
            .filter(|offset| *offset < self.file_size)
    }
}

/// A section that is in memory at run time.
#[derive(Clone, Copy, Debug)]
struct Section<'data> {
    name: &'data [u8],
    address: VirtualAddress,
}

/// An x86-64 executable.
pub(super) struct Elf<'data> {
    data: &'data [u8],
    segments: Vec<Segment>,
    sections: Vec<Section<'data>>,
    relocations: &'data [Rela64<LittleEndian>],
    symbols: SymbolTable<'data>,
    is_position_independent: bool,
}

/// `.symtab`, which stripped files do not have.
#[derive(Clone, Copy, Default)]
struct SymbolTable<'data> {
    entries: &'data [Sym64<LittleEndian>],
    strings: &'data [u8],
}

impl<'data> Elf<'data> {
    /// Reads the headers. A section table that makes no sense is ignored, as the loader does.
    pub(super) fn parse(data: &'data [u8]) -> Result<Self, BinaryError> {
        let header = file_header(data)?;
        let is_position_independent = match header.e_type(ENDIAN) {
            elf::ET_EXEC => false,
            elf::ET_DYN => true,
            other => {
                return Err(BinaryError::NotExecutable {
                    kind: file_kind::not_executable(other),
                });
            }
        };
        let program_headers = program_headers(header, data)?;
        let mut elf = Self {
            data,
            segments: load_segments(program_headers, data)?,
            sections: sections(header, data)?,
            relocations: &[],
            symbols: symbols(header, data).unwrap_or_default(),
            is_position_independent,
        };
        elf.relocations = elf.find_relocations(program_headers).unwrap_or_default();
        Ok(elf)
    }

    /// Whether the loader chooses where it runs (ET_DYN).
    pub(super) fn is_position_independent(&self) -> bool {
        self.is_position_independent
    }

    /// PT_LOAD segments in the order of the file.
    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether there is any section in memory.
    pub(super) fn has_sections(&self) -> bool {
        !self.sections.is_empty()
    }

    /// The names of all symbols, each with a zero byte behind it; empty if they were stripped.
    pub(super) fn symbol_strings(&self) -> &'data [u8] {
        self.symbols.strings
    }

    /// Addresses and names of the functions among the symbols.
    pub(super) fn function_symbols(&self) -> impl Iterator<Item = (VirtualAddress, &'data str)> {
        let SymbolTable { entries, strings } = self.symbols;
        let functions = entries.iter().filter(|it| it.st_type() == elf::STT_FUNC);
        functions.filter_map(move |symbol| {
            let rest = strings.get(usize::try_from(symbol.st_name(ENDIAN)).ok()?..)?;
            let name = rest.get(..rest.iter().position(|byte| *byte == 0)?)?;
            let address = VirtualAddress(symbol.st_value(ENDIAN));
            Some((address, std::str::from_utf8(name).ok()?))
        })
    }

    /// Start of the section named `name`, if it is in memory at run time.
    pub(super) fn section_address(&self, name: &str) -> Option<VirtualAddress> {
        self.sections
            .iter()
            .find(|section| section.name == name.as_bytes())
            .map(|section| section.address)
    }

    /// What the file has of `segment`.
    pub(super) fn segment_bytes(&self, segment: &Segment) -> &'data [u8] {
        slice(self.data, segment.file_offset, segment.file_size).unwrap_or_default()
    }

    /// The bytes from `address` to the end of what the file has of its segment.
    pub(super) fn bytes_from(&self, address: VirtualAddress) -> Option<&'data [u8]> {
        let (segment, offset) = self.segment_at(address, |_| true)?;
        slice(
            self.data,
            segment.file_offset.checked_add(offset)?,
            segment.file_size.checked_sub(offset)?,
        )
    }

    /// The bytes of `range`, if one executable segment has all of them in the file.
    pub(super) fn code(&self, range: Range<VirtualAddress>) -> Option<&'data [u8]> {
        let size = range.end.offset_from(range.start)?;
        let offset = self.file_offset(range.start)?;
        let bytes = slice(self.data, offset.0, size)?;
        let last = VirtualAddress(range.end.0.checked_sub(1)?.max(range.start.0));
        let (segment, _) = self.segment_at(range.start, Segment::is_executable)?;
        segment.offset_of(last)?;
        Some(bytes)
    }

    /// Where in the file the executable segment has `address`.
    pub(super) fn file_offset(&self, address: VirtualAddress) -> Option<FileOffset> {
        let (segment, offset) = self.segment_at(address, Segment::is_executable)?;
        segment.file_offset.checked_add(offset).map(FileOffset)
    }

    /// The 8-byte word at `address` in the file.
    pub(super) fn word(&self, address: VirtualAddress) -> Option<u64> {
        let bytes = self.bytes_from(address)?.first_chunk::<8>()?;
        Some(u64::from_le_bytes(*bytes))
    }

    /// The address stored at `address`. Some linkers leave it to the loader to store it: where
    /// the file has zero, the R_X86_64_RELATIVE relocation for the place is applied.
    pub(super) fn pointer(&self, address: VirtualAddress) -> Option<VirtualAddress> {
        let word = self.word(address)?;
        if word != 0 {
            return Some(VirtualAddress(word));
        }
        let relocated = self
            .relative_relocations()
            .find(|(place, _)| *place == address)
            .map(|(_, value)| value);
        Some(relocated.unwrap_or_default())
    }

    /// The Go string whose header (pointer, length) is at `address`, of at most `max_length`
    /// bytes.
    pub(super) fn go_string(
        &self,
        address: VirtualAddress,
        max_length: u64,
    ) -> Option<&'data [u8]> {
        let length = self.word(address.checked_add(8)?)?;
        if length == 0 || length > max_length {
            return None;
        }
        slice(self.bytes_from(self.pointer(address)?)?, 0, length)
    }

    /// Places and values of the R_X86_64_RELATIVE relocations.
    pub(super) fn relative_relocations(
        &self,
    ) -> impl Iterator<Item = (VirtualAddress, VirtualAddress)> + '_ {
        self.relocations
            .iter()
            .filter(|entry| entry.r_type(ENDIAN, false) == elf::R_X86_64_RELATIVE)
            .map(|entry| {
                (
                    VirtualAddress(entry.r_offset(ENDIAN)),
                    VirtualAddress(entry.r_addend(ENDIAN).cast_unsigned()),
                )
            })
    }

    fn segment_at(
        &self,
        address: VirtualAddress,
        accept: impl Fn(&Segment) -> bool,
    ) -> Option<(&Segment, u64)> {
        self.segments
            .iter()
            .filter(|segment| accept(segment))
            .find_map(|segment| Some((segment, segment.offset_of(address)?)))
    }

    /// The table that DT_RELA and DT_RELASZ describe, which needs no section to be found.
    fn find_relocations(
        &self,
        program_headers: &'data [ProgramHeader64<LittleEndian>],
    ) -> Option<&'data [Rela64<LittleEndian>]> {
        let dynamic = program_headers
            .iter()
            .find_map(|header| header.dynamic(ENDIAN, self.data).ok().flatten())?;
        let value = |tag| {
            dynamic
                .iter()
                .take_while(|entry| entry.d_tag(ENDIAN) != elf::DT_NULL)
                .find(|entry| entry.d_tag(ENDIAN) == tag)
                .map(|entry| entry.d_val(ENDIAN))
        };
        let table = self.bytes_from(VirtualAddress(value(elf::DT_RELA)?))?;
        let size = usize::try_from(value(elf::DT_RELASZ)?).ok()?;
        let count = size.min(table.len()) / size_of::<Rela64<LittleEndian>>();
        let (entries, _) = object::pod::slice_from_bytes(table, count).ok()?;
        Some(entries)
    }
}

fn slice(data: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    data.get(start..end)
}

/// Fails unless `size` bytes at `offset` are in the file.
fn check_extent(
    data: &[u8],
    what: &'static str,
    offset: u64,
    size: u64,
) -> Result<(), BinaryError> {
    let file_size = data.len() as u64;
    match offset.checked_add(size) {
        Some(end) if end <= file_size => Ok(()),
        _ => Err(BinaryError::Truncated {
            what,
            offset,
            size,
            file_size,
        }),
    }
}

fn file_header(data: &[u8]) -> Result<&FileHeader64<LittleEndian>, BinaryError> {
    if data.is_empty() {
        return Err(BinaryError::Empty);
    }
    if !data.starts_with(&elf::ELFMAG) {
        let FileKind { looks_like, advice } = file_kind::describe(data);
        return Err(BinaryError::NotElf { looks_like, advice });
    }
    let header_size = size_of::<FileHeader64<LittleEndian>>() as u64;
    let (class, encoding) = (data.get(4).copied(), data.get(5).copied());
    if let Some(class) = class.filter(|class| *class != elf::ELFCLASS64.0) {
        let class = match elf::FileClass(class) {
            elf::ELFCLASS32 => "32-bit".to_owned(),
            other => format!("class {:#x}", other.0),
        };
        return Err(BinaryError::Not64Bit { class });
    }
    if let Some(encoding) = encoding.filter(|encoding| *encoding != elf::ELFDATA2LSB.0) {
        let encoding = match elf::DataEncoding(encoding) {
            elf::ELFDATA2MSB => "big-endian".to_owned(),
            other => format!("unknown ({:#x})", other.0),
        };
        return Err(BinaryError::NotLittleEndian { encoding });
    }
    check_extent(data, "the ELF header", 0, header_size)?;
    let header = FileHeader64::<LittleEndian>::parse(data).map_err(malformed)?;
    match header.e_machine(ENDIAN) {
        elf::EM_X86_64 => Ok(header),
        other => Err(BinaryError::WrongMachine {
            machine: file_kind::machine(other),
        }),
    }
}

fn program_headers<'data>(
    header: &FileHeader64<LittleEndian>,
    data: &'data [u8],
) -> Result<&'data [ProgramHeader64<LittleEndian>], BinaryError> {
    let size = u64::from(header.e_phnum(ENDIAN)).saturating_mul(PROGRAM_HEADER_SIZE);
    if size > PROGRAM_HEADERS_MAX_SIZE {
        return Err(BinaryError::MalformedElf {
            problem: format!(
                "the program header table has {size:#x} bytes, and Linux loads no more than {PROGRAM_HEADERS_MAX_SIZE:#x}"
            ),
        });
    }
    check_extent(
        data,
        "the program header table",
        header.e_phoff(ENDIAN),
        size,
    )?;
    header.program_headers(ENDIAN, data).map_err(malformed)
}

fn load_segments(
    headers: &[ProgramHeader64<LittleEndian>],
    data: &[u8],
) -> Result<Vec<Segment>, BinaryError> {
    let mut segments = Vec::new();
    for header in headers
        .iter()
        .filter(|header| header.p_type(ENDIAN) == elf::PT_LOAD)
    {
        let (file_offset, file_size) = header.file_range(ENDIAN);
        check_extent(data, "a segment", file_offset, file_size)?;
        segments.push(Segment {
            address: header.p_vaddr(ENDIAN),
            file_offset,
            file_size,
            flags: header.p_flags(ENDIAN),
        });
    }
    if segments.iter().any(Segment::is_executable) {
        return Ok(segments);
    }
    Err(BinaryError::MalformedElf {
        problem: format!(
            "none of its {} PT_LOAD segments is executable",
            segments.len()
        ),
    })
}

fn sections<'data>(
    header: &FileHeader64<LittleEndian>,
    data: &'data [u8],
) -> Result<Vec<Section<'data>>, BinaryError> {
    let offset = header.e_shoff(ENDIAN);
    if offset != 0 {
        let size = u64::from(header.e_shnum(ENDIAN)).saturating_mul(SECTION_HEADER_SIZE);
        check_extent(data, "the section header table", offset, size)?;
    }
    let Ok(table) = header.sections(ENDIAN, data) else {
        return Ok(Vec::new());
    };
    let in_memory = table
        .iter()
        .filter(|section| section.sh_flags(ENDIAN).contains(elf::SHF_ALLOC))
        .filter_map(|section| {
            Some(Section {
                name: table.section_name(ENDIAN, section).ok()?,
                address: VirtualAddress(section.sh_addr(ENDIAN)),
            })
        });
    Ok(in_memory.collect())
}

fn symbols<'data>(
    header: &FileHeader64<LittleEndian>,
    data: &'data [u8],
) -> Option<SymbolTable<'data>> {
    let sections = header.sections(ENDIAN, data).ok()?;
    let table = sections
        .iter()
        .find(|section| section.sh_type(ENDIAN) == elf::SHT_SYMTAB)?;
    let strings = sections.section(table.link(ENDIAN)).ok()?;
    Some(SymbolTable {
        entries: table.data_as_array(ENDIAN, data).ok()?,
        strings: strings.data(ENDIAN, data).ok()?,
    })
}

fn malformed(error: object::read::Error) -> BinaryError {
    BinaryError::MalformedElf {
        problem: error.to_string(),
    }
}
