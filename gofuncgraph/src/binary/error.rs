use super::version;

/// Why a file cannot be traced: what was found, and what is supported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BinaryError {
    /// The file has no bytes.
    #[error("the file is empty; give the path of an x86-64 ELF executable built by Go")]
    Empty,
    /// The file does not begin with the ELF magic number.
    #[error("not an ELF file but {looks_like}; {advice}")]
    NotElf {
        /// What the first bytes suggest.
        looks_like: String,
        /// What to do then.
        advice: String,
    },
    /// `EI_CLASS` is not ELFCLASS64.
    #[error(
        "a {class} ELF file; only 64-bit x86-64 executables are supported (build with GOARCH=amd64)"
    )]
    Not64Bit {
        /// What `EI_CLASS` says.
        class: String,
    },
    /// `EI_DATA` is not ELFDATA2LSB.
    #[error(
        "an ELF file in {encoding} byte order; only little-endian x86-64 executables are supported"
    )]
    NotLittleEndian {
        /// What `EI_DATA` says.
        encoding: String,
    },
    /// `e_machine` is not EM_X86_64.
    #[error("an executable for {machine}; only x86-64 is supported (build with GOARCH=amd64)")]
    WrongMachine {
        /// Name and number of `e_machine`.
        machine: String,
    },
    /// `e_type` is neither ET_EXEC nor ET_DYN.
    #[error("{kind}, not an executable; give the path of the linked program")]
    NotExecutable {
        /// What `e_type` says.
        kind: String,
    },
    /// Something the file describes lies beyond its end.
    #[error(
        "the file is truncated: {what} needs {size:#x} bytes at offset {offset:#x}, but the file has {file_size:#x} bytes; copy or build it again"
    )]
    Truncated {
        /// The part that is not there.
        what: &'static str,
        /// Where it begins, as a file offset.
        offset: u64,
        /// Its length in bytes.
        size: u64,
        /// Length of the file in bytes.
        file_size: u64,
    },
    /// The ELF headers contradict each other.
    #[error("the ELF headers are damaged: {problem}; copy or build the file again")]
    MalformedElf {
        /// What is wrong, with the values.
        problem: String,
    },
    /// An executable without any trace of the Go toolchain.
    #[error(
        "not built by Go: neither a Go function table (pclntab) nor Go build information was found; \
         give the path of the Go program (or of the Go library, if another program loads one)"
    )]
    NotGo,
    /// Built by a Go release whose code has another shape.
    #[error(
        "built by {found}, which is too old; {} are supported: build with one of them",
        version::supported_range()
    )]
    TooOld {
        /// The release, or what its function table tells about it.
        found: String,
    },
    /// A Go program whose function table does not make sense.
    #[error(
        "the Go function table (pclntab) cannot be read: {found}. Programs obfuscated with garble and tables of releases after {} are not supported; build the program with plain `go build`",
        version::newest_release()
    )]
    Garbled {
        /// What does not make sense, with the values.
        found: String,
    },
    /// The code is compressed: what runs is not what the file has.
    #[error(
        "packed with {packer}: its code is unpacked into memory that no file stands behind, so it cannot be probed; unpack it first (upx -d) or run the program as it was built"
    )]
    Packed {
        /// The packer.
        packer: &'static str,
    },
    /// What the compiler inlined is not to be found.
    #[error("which functions were inlined cannot be read from the file: {problem}")]
    NoInlineTrees {
        /// What does not make sense.
        problem: String,
    },
    /// An index that is not in pclntab's function table.
    #[error("there is no function {index}: the function table has {count} entries")]
    NoSuchFunction {
        /// The index asked for.
        index: usize,
        /// The number of functions.
        count: usize,
    },
    /// One entry of pclntab's function table does not make sense.
    #[error("entry {index} of the Go function table (pclntab) is damaged: {problem}")]
    BadFunction {
        /// Index in the function table.
        index: usize,
        /// What is wrong, with the values.
        problem: String,
    },
}
