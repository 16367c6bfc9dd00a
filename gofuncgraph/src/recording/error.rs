use std::io;

/// Why a recording cannot be read, or not further.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The system's answer.
    #[error("cannot read the recording: {0}")]
    Read(#[from] io::Error),
    /// The bytes do not begin as a recording does.
    #[error("this is not a recording of gofuncgraph: make one with `gofuncgraph record`")]
    NotARecording,
    /// Written by another version of the tool.
    #[error(
        "the recording has format version {found}, and this gofuncgraph reads version {known}: \
         use the version of the tool that recorded it, or a newer one"
    )]
    UnknownVersion {
        /// In the file.
        found: u16,
        /// What can be read.
        known: u16,
    },
    /// It ends before anything was recorded.
    #[error("the recording was cut in its header: it holds no events")]
    NoHeader,
    /// Bytes were changed after they were written, or were never a recording.
    #[error(
        "the recording is damaged: block {block} at byte {offset} {problem}; what stands before \
         it was read"
    )]
    Damaged {
        /// Counted from 0, the header.
        block: u64,
        /// Of the block's first byte.
        offset: u64,
        /// What is wrong with it.
        problem: BlockProblem,
    },
}

/// What is wrong with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockProblem {
    /// The fixed part does not match its checksum.
    #[error("has a head that does not match its checksum")]
    HeadChecksum,
    /// The stored bytes do not match their checksum.
    #[error("does not match its checksum")]
    Checksum,
    /// Lengths or counts beyond the format's limits.
    #[error("is larger than blocks may be")]
    TooLarge,
    /// Compressed bytes that cannot be expanded to the stated length.
    #[error("cannot be expanded")]
    Compression,
    /// The header is not the first block, or comes twice; or something follows the end.
    #[error("stands where nothing of its kind may stand")]
    Misplaced,
    /// A field ends early, has no meaning, or refers to what is not defined.
    #[error("holds a {0} that makes no sense")]
    Malformed(&'static str),
    /// More definitions than the format allows at once.
    #[error("defines more {0} than a recording may")]
    TooManyDefinitions(&'static str),
}
