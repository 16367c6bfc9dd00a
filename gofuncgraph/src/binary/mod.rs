//! What a Go executable says about itself. Takes `&[u8]`, does no IO.

mod address;
mod build_id;
mod build_info;
pub mod disassembly;
mod elf;
mod error;
mod file_kind;
mod inline_tree;
mod instantiations;
mod moduledata;
mod package;
mod pc_value;
mod pclntab;
mod runtime_code;
mod table_layout;
mod type_arguments;
mod version;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

pub use address::{FileOffset, LoadBias, RuntimeAddress, VirtualAddress};
pub use error::BinaryError;
pub use inline_tree::{InlinedCalls, InlinedFunction};
pub use package::{package_of, readable_name, unescaped_name};

use build_info::BuildInfo;
use elf::Elf;
use instantiations::Instantiations;
use moduledata::Module;
use version::{FileEvidence, Resolved};

/// A Go executable, read lazily from its bytes.
pub struct GoBinary<'data> {
    elf: Elf<'data>,
    module: Module<'data>,
    resolved: Resolved,
    main_module: Option<&'data str>,
    main_package: Option<&'data str>,
    build_id: Option<&'data str>,
    /// Owns what it has: a lock around borrowed data would keep a binary from being lent for less.
    instantiations: OnceLock<Instantiations>,
}

/// Offsets of runtime structures that the kernel side needs, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeOffsets {
    /// `goid` in `runtime.g`.
    pub goid: u32,
    /// `curg` in `runtime.m`.
    pub curg: u32,
}

/// `_func.flag` (Go: src/internal/abi/symtab.go).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionFlags(pub u8);

impl FunctionFlags {
    /// Stack traces end here: entry points of threads and goroutines.
    pub fn is_top_frame(self) -> bool {
        self.0 & 1 != 0
    }
    /// The function writes SP in a way that pclntab does not describe.
    pub fn writes_stack_pointer(self) -> bool {
        self.0 & 2 != 0
    }
    /// The function is written in assembly.
    pub fn is_assembly(self) -> bool {
        self.0 & 4 != 0
    }
}

/// One function of pclntab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function<'data> {
    /// Index in pclntab's function table, which is in the order of addresses.
    pub index: usize,
    /// Full Go name, as pclntab has it.
    pub name: &'data str,
    /// First instruction.
    pub start: VirtualAddress,
    /// Start of the next function: padding is included.
    pub end: VirtualAddress,
    /// `_func.flag`.
    pub flags: FunctionFlags,
    /// `_func.funcID` (numbers differ between Go versions).
    pub function_id: u8,
    /// The compiler made it to adapt a call (`funcID_wrapper` of this Go version).
    pub is_wrapper: bool,
    /// Offset from `start` of the call to deferreturn; 0: the function defers nothing.
    pub deferreturn: u32,
}

/// A line of Go source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceLine<'data> {
    /// As pclntab has it.
    pub file: &'data str,
    /// From 1.
    pub line: u32,
}

impl<'data> GoBinary<'data> {
    /// Reads the headers of `data` and finds the function table; functions and lines are read
    /// when they are asked for.
    ///
    /// # Errors
    ///
    /// One variant of [`BinaryError`] for each reason why the file cannot be traced.
    pub fn parse(data: &'data [u8]) -> Result<Self, BinaryError> {
        let elf = Elf::parse(data)?;
        let build_info = build_info::find(&elf);
        let BuildInfo {
            go_version,
            main_module,
            main_package,
            is_plugin,
        } = build_info.unwrap_or_default();
        check_age(go_version)?;
        let module = moduledata::find(&elf, data, build_info.is_some())?;
        let go_version = go_version
            .filter(|version| version::looks_like_version(version))
            .or_else(|| runtime_code::build_version(&elf, &module))
            .or(go_version);
        check_age(go_version)?;
        let evidence = FileEvidence {
            table_of: module.pclntab.minor_versions(),
            has_sections: elf.has_sections(),
            has_go_module: elf.section_address(".go.module").is_some(),
            has_go_type: [".go.type", ".data.rel.ro.go.type"]
                .iter()
                .any(|name| elf.section_address(name).is_some()),
        };
        let mut resolved =
            version::resolve(go_version, runtime_code::observe(&elf, &module), evidence);
        if is_plugin {
            resolved.warnings.push(PLUGIN_WARNING.to_owned());
        }
        Ok(Self {
            elf,
            module,
            resolved,
            main_module,
            main_package,
            build_id: build_id::find(data),
            instantiations: OnceLock::new(),
        })
    }

    /// For instance `go1.26.8`, from build info or else from `runtime.buildVersion`. If the file
    /// has neither, what its tables allow, for instance `go1.23 to go1.24`.
    pub fn go_version(&self) -> &str {
        &self.resolved.version
    }

    /// What to tell the user about how the version or the offsets were found; empty when they are certain.
    pub fn warnings(&self) -> &[String] {
        &self.resolved.warnings
    }

    /// From the table of Go versions, checked against the code.
    pub fn runtime_offsets(&self) -> RuntimeOffsets {
        self.resolved.offsets
    }

    /// Path of the main module, or of the main package if it belongs to no module; `None` if
    /// build info is missing or has neither.
    pub fn main_module(&self) -> Option<&str> {
        self.main_module
    }

    /// Import path of the main package; `None` if build info is missing, or if the program was
    /// built from a list of files.
    pub fn main_package(&self) -> Option<&str> {
        self.main_package
    }

    /// The build id that Go's linker wrote, as `go tool buildid` prints it.
    pub fn build_id(&self) -> Option<&str> {
        self.build_id
    }

    /// ET_DYN: processes have a load bias.
    pub fn is_position_independent(&self) -> bool {
        self.elf.is_position_independent()
    }

    /// Number of functions in pclntab.
    pub fn function_count(&self) -> usize {
        self.module.pclntab.count()
    }

    /// The function with `index` in pclntab's table.
    ///
    /// # Errors
    ///
    /// [`BinaryError::NoSuchFunction`] if `index` is not less than [`Self::function_count`],
    /// [`BinaryError::BadFunction`] if the table is damaged there.
    pub fn function(&self, index: usize) -> Result<Function<'data>, BinaryError> {
        let pclntab = &self.module.pclntab;
        let count = pclntab.count();
        if index >= count {
            return Err(BinaryError::NoSuchFunction { index, count });
        }
        let bad = |problem: String| BinaryError::BadFunction { index, problem };
        let record = pclntab.record(index).map_err(bad)?;
        let range = self
            .module
            .range(index)
            .ok_or_else(|| bad("it is outside the address space".to_owned()))?;
        Ok(Function {
            index,
            name: pclntab.name(&record).map_err(bad)?,
            start: range.start,
            end: range.end,
            flags: FunctionFlags(record.flags),
            function_id: record.function_id,
            is_wrapper: record.function_id == self.resolved.wrapper_id,
            deferreturn: record.deferreturn,
        })
    }

    /// All functions in the order of addresses. An entry that is damaged gives an error and
    /// does not end the iteration.
    pub fn functions(&self) -> impl Iterator<Item = Result<Function<'data>, BinaryError>> + '_ {
        (0..self.function_count()).map(|index| self.function(index))
    }

    /// The functions whose full name is `name`, in the order of addresses: several may share
    /// one, for instance the two calling conventions of an assembly function.
    pub fn find_functions_named(&self, name: &str) -> Vec<Function<'data>> {
        (0..self.function_count())
            .filter(|index| self.module.pclntab.is_named(*index, name))
            .filter_map(|index| self.function(index).ok())
            .collect()
    }

    /// The function's name with the types it was made for, if it is generic and the symbols tell,
    /// for instance `main.Map[int,string]` for `main.Map[go.shape.int,go.shape.string]`; else its
    /// name as it is. The first call for a generic function reads the symbols.
    pub fn instantiated_name(&self, function: &Function<'data>) -> Cow<'data, str> {
        let name = function.name;
        if !name.contains('[') {
            return Cow::Borrowed(name);
        }
        let instantiations = self
            .instantiations
            .get_or_init(|| Instantiations::read(&self.elf, self.module.pclntab.lacks_shapes()));
        match instantiations.type_arguments(name, function.start) {
            Some((at, arguments)) => {
                let (before, after) = (name.get(..at.start), name.get(at.end..));
                Cow::Owned(
                    [
                        before.unwrap_or_default(),
                        arguments,
                        after.unwrap_or_default(),
                    ]
                    .concat(),
                )
            }
            None => Cow::Borrowed(name),
        }
    }

    /// The function that contains `pc`.
    pub fn find_function(&self, pc: VirtualAddress) -> Option<Function<'data>> {
        self.function(self.module.index_at(pc)?).ok()
    }

    /// Source line of the instruction at (or containing) `pc`: where calls were inlined, the
    /// innermost one's. For a return address ask for the byte before it, which is in the call.
    pub fn source_line(&self, pc: VirtualAddress) -> Option<SourceLine<'data>> {
        let index = self.module.index_at(pc)?;
        let record = self.module.pclntab.record(index).ok()?;
        let start = self.module.range(index)?.start;
        let pc_offset = u32::try_from(pc.offset_from(start)?).ok()?;
        let (file, line) = self.module.pclntab.source_line(&record, pc_offset)?;
        Some(SourceLine { file, line })
    }

    /// Bytes from SP at the instruction at `pc` up to the function's return address: 0 where it has
    /// no frame. `None` if the table does not tell.
    pub fn frame_bytes(&self, pc: VirtualAddress) -> Option<u32> {
        let index = self.module.index_at(pc)?;
        let start = self.module.range(index)?.start;
        let pc_offset = u32::try_from(pc.offset_from(start)?).ok()?;
        self.module.pclntab.frame_bytes(index, pc_offset)
    }

    /// Line of the keyword `func` of the function `index`, or else of its first instruction; `None`
    /// where the table has none.
    pub fn declaration(&self, index: usize) -> Option<SourceLine<'data>> {
        inline_tree::declaration(&self.module, index)
    }

    /// Length of the function's code in bytes, without the padding behind it.
    pub fn code_size(&self, function: &Function<'_>) -> u64 {
        /// `int3`, which fills gaps between functions. The last byte of an instruction can be the
        /// same, so the table of source files, which ends with the code, is asked first.
        const PADDING: u8 = 0xcc;
        let code = self.code(function.start..function.end).unwrap_or_default();
        let described = self.module.pclntab.described_size(function.index);
        described
            .filter(|size| *size <= code.len() as u64)
            .unwrap_or_else(|| {
                let last = code.iter().rposition(|byte| *byte != PADDING);
                last.map_or(0, |last| last as u64 + 1)
            })
    }

    /// Which functions the compiler inlined, how often and where. Reads the tables of every
    /// function anew: some milliseconds for a large program.
    ///
    /// # Errors
    ///
    /// [`BinaryError::NoInlineTrees`] if the file does not tell.
    pub fn inlined_calls(&self) -> Result<InlinedCalls<'data>, BinaryError> {
        inline_tree::read(
            &self.elf,
            &self.module,
            self.resolved.function_data_base,
            self.resolved.inline_nodes,
            self.resolved.wrapper_id,
        )
    }

    /// The bytes of `range`, if one executable segment has all of them in the file.
    pub fn code(&self, range: Range<VirtualAddress>) -> Option<&'data [u8]> {
        self.elf.code(range)
    }

    /// Where in the file the executable segment has `address`.
    pub fn file_offset(&self, address: VirtualAddress) -> Option<FileOffset> {
        self.elf.file_offset(address)
    }
}

/// Only one file is probed, and `runtime.recovery` runs in another one.
const PLUGIN_WARNING: &str = "it is a plugin, and the runtime at work is that of the program that loads it: \
     calls that a recovered panic ends are shown as `exit lost`";

fn check_age(go_version: Option<&str>) -> Result<(), BinaryError> {
    match go_version {
        Some(version) if version::is_too_old(version) => Err(BinaryError::TooOld {
            found: version.to_owned(),
        }),
        _ => Ok(()),
    }
}
