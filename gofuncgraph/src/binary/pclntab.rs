//! The table of functions that every Go program carries, as Go 1.17 to 1.27 lay it out
//! (Go: src/runtime/symtab.go `pcHeader`, src/runtime/runtime2.go `_func`).

use std::ops::RangeInclusive;

use super::table_layout::{Layout, MAGIC, Shape};
use super::{pc_value, type_arguments};

/// No Go name is longer; bounds the time that damaged tables can take.
const NAME_MAX_LENGTH: usize = 1 << 16;

/// `_func` of one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FunctionRecord {
    name_offset: u32,
    /// Offset of the call to deferreturn from the start of the function, or 0.
    pub(super) deferreturn: u32,
    frame_values: u32,
    file_values: u32,
    line_values: u32,
    unit_offset: u32,
    /// `funcID`.
    pub(super) function_id: u8,
    /// `flag`.
    pub(super) flags: u8,
}

/// A table whose header has been checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pclntab<'data> {
    names: &'data [u8],
    units: &'data [u8],
    files: &'data [u8],
    pc_values: &'data [u8],
    /// Entries, the end of the last function, then the `_func` records.
    functions: &'data [u8],
    shape: Shape,
    count: usize,
    names_offset: u64,
    /// What entries count from where they are addresses: the first of them.
    first_address: u64,
}

impl<'data> Pclntab<'data> {
    /// Reads the header of the table that `bytes` begins with; more may follow the table.
    /// The error says what makes no sense.
    pub(super) fn parse(bytes: &'data [u8]) -> Result<Self, String> {
        let word = |index: usize| -> Result<u64, String> {
            let start = index.saturating_mul(8);
            bytes
                .get(start..)
                .and_then(|rest| rest.first_chunk::<8>())
                .map(|word| u64::from_le_bytes(*word))
                .ok_or_else(|| format!("its header is cut off at {:#x} bytes", bytes.len()))
        };
        let layout = Layout::of(word(0)?.to_le_bytes());
        let shape = match layout {
            Layout::Supported(shape) => shape,
            Layout::Unknown(magic) => {
                return Err(format!(
                    "it begins with {magic:#010x} where {MAGIC:#010x} is expected"
                ));
            }
            Layout::Older(_) => {
                return Err(format!(
                    "its layout is that of another release ({layout:?})"
                ));
            }
        };
        let first = shape.first_part();
        let bounds = [
            word(first)?,
            word(first + 1)?,
            word(first + 2)?,
            word(first + 3)?,
            word(first + 4)?,
            bytes.len() as u64,
        ];
        let [names_offset, ..] = bounds;
        let header_size = (first as u64 + 5) * 8;
        if names_offset < header_size || !bounds.is_sorted() {
            return Err(format!(
                "its parts are not in order: they begin at {bounds:#x?} of its bytes"
            ));
        }
        let part = |from: u64, to: u64| -> &'data [u8] {
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            let to = usize::try_from(to).unwrap_or(usize::MAX);
            bytes.get(from..to).unwrap_or_default()
        };
        let [names, units, files, pc_values, functions, end] = bounds;
        let count = word(1)?;
        let mut table = Self {
            names: part(names, units),
            units: part(units, files),
            files: part(files, pc_values),
            pc_values: part(pc_values, functions),
            functions: part(functions, end),
            shape,
            count: usize::try_from(count).unwrap_or(usize::MAX),
            names_offset,
            first_address: 0,
        };
        if shape.has_addresses() {
            table.first_address = u64_at(table.functions, 0).unwrap_or_default();
        }
        table.check_order(count)?;
        Ok(table)
    }

    /// As the runtime does when it starts (`moduledataverify1`): functions do not overlap.
    fn check_order(&self, count: u64) -> Result<(), String> {
        let entry_size = self.shape.entry_size;
        let available = self.functions.len().saturating_sub(entry_size / 2) / entry_size;
        if self.count == 0 || self.count > available {
            return Err(format!(
                "it says that it has {count:#x} functions, and there is room for {available:#x}"
            ));
        }
        let mut previous = 0;
        for index in 0..=self.count {
            let offset = self.entry_offset(index).unwrap_or_default();
            if offset < previous {
                return Err(format!(
                    "its functions are not in order: entry {index} is at {offset:#x}, the one before at {previous:#x}"
                ));
            }
            previous = offset;
        }
        Ok(())
    }

    /// Number of functions; at least 1.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Where the names begin, from the start of the table.
    pub(super) fn names_offset(&self) -> u64 {
        self.names_offset
    }

    /// Minor versions of the Go releases that write such a table.
    pub(super) fn minor_versions(&self) -> RangeInclusive<u32> {
        self.shape.first_minor..=self.shape.last_minor
    }

    /// The address that offsets count from, where the table itself has addresses; else they
    /// count from `runtime.text`.
    pub(super) fn first_address(&self) -> Option<u64> {
        self.shape.has_addresses().then_some(self.first_address)
    }

    /// Start of the function `index` as an offset; the end of the last one if `index` is their
    /// number.
    pub(super) fn entry_offset(&self, index: usize) -> Option<u32> {
        if index > self.count {
            return None;
        }
        let place = index.checked_mul(self.shape.entry_size)?;
        if !self.shape.has_addresses() {
            return u32_at(self.functions, place);
        }
        let address = u64_at(self.functions, place)?;
        u32::try_from(address.checked_sub(self.first_address)?).ok()
    }

    /// Where the table has the record of the function `index`, from the first entry.
    fn record_start(&self, index: usize) -> Option<usize> {
        let entry_size = self.shape.entry_size;
        let place = index.checked_mul(entry_size)?.checked_add(entry_size / 2)?;
        // Tables are shorter than 4 GiB: the upper half of a longer number is zero.
        usize::try_from(u32_at(self.functions, place)?).ok()
    }

    /// The function at `offset`.
    pub(super) fn find(&self, offset: u32) -> Option<usize> {
        let (mut low, mut high) = (0, self.count.checked_add(1)?);
        while low < high {
            let middle = low.midpoint(high);
            if self.entry_offset(middle)? <= offset {
                low = middle.checked_add(1)?;
            } else {
                high = middle;
            }
        }
        // `low` is the first entry behind `offset`.
        low.checked_sub(1).filter(|index| *index < self.count)
    }

    /// The record of the function `index`. The error says what makes no sense.
    pub(super) fn record(&self, index: usize) -> Result<FunctionRecord, String> {
        let start = self
            .record_start(index)
            .filter(|_| index < self.count)
            .ok_or_else(|| format!("the table has {} functions", self.count))?;
        let bytes = self
            .functions
            .get(start..)
            .and_then(|rest| rest.get(..self.shape.record_size()))
            .ok_or_else(|| {
                format!(
                    "its record at {start:#x} is outside the table of {:#x} bytes",
                    self.functions.len()
                )
            })?;
        // An address takes two fields.
        let moved = usize::from(self.shape.has_addresses());
        let field = |number: usize| u32_at(bytes, (number + moved) * 4).unwrap_or_default();
        let expected = self.entry_offset(index).unwrap_or_default();
        let found = match self.first_address() {
            Some(first) => u64_at(bytes, 0).unwrap_or_default().wrapping_sub(first),
            None => u64::from(u32_at(bytes, 0).unwrap_or_default()),
        };
        if found != u64::from(expected) {
            return Err(format!(
                "the table has it at {expected:#x} and its record at {found:#x}"
            ));
        }
        let [function_id, flags, ..] = u32_at(bytes, self.shape.id_field * 4)
            .unwrap_or_default()
            .to_le_bytes();
        Ok(FunctionRecord {
            name_offset: field(1),
            deferreturn: field(3),
            frame_values: field(4),
            file_values: field(5),
            line_values: field(6),
            unit_offset: field(8),
            function_id,
            flags,
        })
    }

    /// The name that `record` has. The error says what makes no sense.
    pub(super) fn name(&self, record: &FunctionRecord) -> Result<&'data str, String> {
        c_string(self.names, record.name_offset).ok_or_else(|| {
            format!(
                "its name at {:#x} is not a string inside the {:#x} bytes of names",
                record.name_offset,
                self.names.len()
            )
        })
    }

    /// Whether the names of functions have `[...]` for shapes, as they had before Go 1.21.
    pub(super) fn lacks_shapes(&self) -> bool {
        memchr::memmem::find(self.names, type_arguments::UNKNOWN.as_bytes()).is_some()
    }

    /// The name at `offset` of the names, which is how the linker refers to one.
    pub(super) fn name_at(&self, offset: u32) -> Option<&'data str> {
        c_string(self.names, offset)
    }

    /// Line of the keyword `func` of the function `index`; `None` where the compiler made it up.
    pub(super) fn start_line(&self, index: usize) -> Option<u32> {
        self.function_word(index, self.shape.start_line()?)
            .filter(|line| *line > 0)
    }

    /// Up to where the function `index` has source files, in bytes: its length without padding.
    pub(super) fn described_size(&self, index: usize) -> Option<u64> {
        let file_values = self.record(index).ok()?.file_values;
        if file_values == 0 {
            return None;
        }
        let table = self.pc_values.get(usize::try_from(file_values).ok()?..)?;
        let limit = self
            .entry_offset(index.checked_add(1)?)?
            .checked_sub(self.entry_offset(index)?)?;
        let last = pc_value::steps(table)
            .take_while(|step| step.offsets.start < limit)
            .last()?;
        Some(last.offsets.end.into())
    }

    /// Values by instruction of the function `index`: those of `PCDATA_` number `kind`. The
    /// table is at the beginning of the answer.
    pub(super) fn pc_data(&self, index: usize, kind: u32) -> Option<&'data [u8]> {
        let count = self.function_word(index, self.shape.pc_data_count())?;
        if kind >= count {
            return None;
        }
        let position = self
            .shape
            .record_size()
            .checked_add(usize::try_from(kind).ok()?.checked_mul(4)?)?;
        match self.function_word(index, position)? {
            0 => None,
            table => self.pc_values.get(usize::try_from(table).ok()?..),
        }
    }

    /// Where `FUNCDATA_` number `kind` of the function `index` is, counted from `gofunc`. `None`
    /// in the layout of Go 1.16 and 1.17, which has pointers instead.
    pub(super) fn function_data(&self, index: usize, kind: u8) -> Option<u32> {
        if self.shape.has_addresses() {
            return None;
        }
        let pc_data_count = self.function_word(index, self.shape.pc_data_count())?;
        let [.., count] = self
            .function_word(index, self.shape.record_size() - 4)?
            .to_le_bytes();
        if kind >= count {
            return None;
        }
        let words = usize::try_from(pc_data_count)
            .ok()?
            .checked_add(kind.into())?;
        let position = self
            .shape
            .record_size()
            .checked_add(words.checked_mul(4)?)?;
        self.function_word(index, position)
            .filter(|offset| *offset != u32::MAX)
    }

    /// The word at `position` of the function's `_func`, in bytes, and of what follows that.
    fn function_word(&self, index: usize, position: usize) -> Option<u32> {
        if index >= self.count {
            return None;
        }
        let record = self.record_start(index)?;
        u32_at(self.functions, record.checked_add(position)?)
    }

    /// Whether the function `index` is named `name`; cheaper than to compare the name.
    pub(super) fn is_named(&self, index: usize, name: &str) -> bool {
        let is_named = || {
            let name_field = self.shape.entry_size / 2;
            let field = self.record_start(index)?.checked_add(name_field)?;
            let start = usize::try_from(u32_at(self.functions, field)?).ok()?;
            let rest = self.names.get(start..)?.strip_prefix(name.as_bytes())?;
            (rest.first() == Some(&0)).then_some(())
        };
        is_named().is_some()
    }

    /// Bytes from SP at the instruction `pc_offset` bytes behind the start of the function `index`
    /// to its return address (Go: `funcspdelta`, src/runtime/symtab.go).
    pub(super) fn frame_bytes(&self, index: usize, pc_offset: u32) -> Option<u32> {
        let frame_values = self.record(index).ok()?.frame_values;
        if frame_values == 0 {
            return None;
        }
        let table = self.pc_values.get(usize::try_from(frame_values).ok()?..)?;
        u32::try_from(pc_value::find(table, pc_offset)?).ok()
    }

    /// File and line of the instruction `pc_offset` bytes behind the start of the function.
    pub(super) fn source_line(
        &self,
        record: &FunctionRecord,
        pc_offset: u32,
    ) -> Option<(&'data str, u32)> {
        let value = |table: u32| {
            let table = self.pc_values.get(usize::try_from(table).ok()?..)?;
            pc_value::find(table, pc_offset)
        };
        if record.file_values == 0 || record.line_values == 0 {
            return None;
        }
        let file_number = u32::try_from(value(record.file_values)?).ok()?;
        let unit_entry = usize::try_from(record.unit_offset.checked_add(file_number)?).ok()?;
        let file_offset = u32_at(self.units, unit_entry.checked_mul(4)?)?;
        let line = u32::try_from(value(record.line_values)?).ok()?;
        Some((c_string(self.files, file_offset)?, line)).filter(|_| line > 0)
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let bytes = bytes.get(offset..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*bytes))
}

fn c_string(bytes: &[u8], offset: u32) -> Option<&str> {
    let rest = bytes.get(usize::try_from(offset).ok()?..)?;
    let bounded = rest.get(..rest.len().min(NAME_MAX_LENGTH))?;
    let length = bounded.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(bounded.get(..length)?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::table_layout::SHAPES;
    use super::*;

    /// One function at `entry`, named `main.f`, with lines 7 and 9 of `a.go`, as releases lay it
    /// out that begin with `magic`.
    fn table_of(magic: u32, entry: u32, end: u32) -> Vec<u8> {
        let Layout::Supported(shape) = Layout::of((u64::from(magic) | 0x0801 << 48).to_le_bytes())
        else {
            panic!("{magic:#x}");
        };
        let names = b"\0main.f\0";
        let units = 0u32.to_le_bytes();
        let files = b"a.go\0";
        // (value +1, pc +16), end; (value +8, pc +4), (value +2, pc +12), end.
        let pc_values = [0, 2, 16, 0, 16, 4, 4, 12, 0];
        let mut functions = Vec::new();
        let push_address = |bytes: &mut Vec<u8>, offset: u32| {
            if shape.has_addresses() {
                bytes.extend((0x40_0000 + u64::from(offset)).to_le_bytes());
            } else {
                bytes.extend(offset.to_le_bytes());
            }
        };
        push_address(&mut functions, entry);
        let record = shape.entry_size + shape.entry_size / 2;
        functions.extend((record as u32).to_le_bytes());
        functions.resize(shape.entry_size, 0);
        push_address(&mut functions, end);
        push_address(&mut functions, entry);
        for field in [1, 0, 0, 0, 1, 4, 0, 0] {
            functions.extend(u32::to_le_bytes(field));
        }
        functions.resize(record + shape.id_field * 4, 7);
        functions.extend([21, 4, 0, 0]);
        let first = shape.first_part();
        let mut offset = (first as u64 + 5) * 8;
        let mut bytes = magic.to_le_bytes().to_vec();
        bytes.extend([0, 0, 1, 8]);
        bytes.extend(1u64.to_le_bytes());
        bytes.resize(first * 8, 0);
        for length in [names.len(), units.len(), files.len(), pc_values.len(), 0] {
            bytes.extend(offset.to_le_bytes());
            offset += length as u64;
        }
        bytes.extend([names.as_slice(), &units, files, &pc_values, &functions].concat());
        bytes
    }

    fn table(entry: u32, end: u32) -> Vec<u8> {
        table_of(MAGIC, entry, end)
    }

    #[test]
    fn a_function_is_read_in_every_layout() {
        for (magic, shape) in SHAPES {
            let bytes = table_of(magic, 0x20, 0x30);
            let table = Pclntab::parse(&bytes).unwrap();
            let record = table.record(0).unwrap();
            assert_eq!(table.name(&record), Ok("main.f"));
            assert_eq!((record.function_id, record.flags), (21, 4), "{magic:#x}");
            assert_eq!(table.source_line(&record, 3), Some(("a.go", 7)));
            assert_eq!(table.source_line(&record, 4), Some(("a.go", 9)));
            assert_eq!(table.source_line(&record, 16), None);
            assert!(table.is_named(0, "main.f"));
            assert!(!table.is_named(0, "main."));
            assert!(!table.is_named(1, "main.f"));
            // Addresses count from the first function, offsets from the text.
            let start = if shape.has_addresses() { 0 } else { 0x20 };
            assert_eq!(
                [start, start + 0xf, start + 0x10].map(|offset| table.find(offset)),
                [Some(0), Some(0), None]
            );
            let first_address = shape.has_addresses().then_some(0x40_0020);
            assert_eq!(table.first_address(), first_address);
        }
    }

    #[test]
    fn contradictions_are_errors() {
        let good = table(0x20, 0x30);
        assert!(Pclntab::parse(&good[..40]).unwrap_err().contains("cut off"));
        assert!(
            Pclntab::parse(&table(0x40, 0x30))
                .unwrap_err()
                .contains("not in order")
        );
        let mut bytes = good.clone();
        bytes[8] = 200;
        assert!(
            Pclntab::parse(&bytes)
                .unwrap_err()
                .contains("0xc8 functions")
        );
        let mut bytes = good.clone();
        bytes[40..48].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(Pclntab::parse(&bytes).unwrap_err().contains("parts"));
        let mut bytes = good.clone();
        let record = good.len() - SHAPES[0].1.record_size();
        bytes[record] = 0x21;
        let table = Pclntab::parse(&bytes).unwrap();
        assert!(table.record(0).unwrap_err().contains("0x20"));
        assert!(table.record(1).is_err());
    }
}
