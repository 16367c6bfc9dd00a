use core::mem::{offset_of, size_of};

/// What a record says. Numbers are part of the wire format and never reused.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// An [`EntryRecord`].
    Entry = 1,
    /// A [`ReturnRecord`].
    Return = 2,
    /// A [`CloseRecord`].
    Close = 3,
    /// A [`ProcessRecord`]: the process is gone.
    ProcessExit = 4,
    /// A [`ProcessRecord`]: the process runs another program image.
    ProcessExec = 5,
    /// A [`ReturnRecord`] whose site is an observer: every frame deeper than its depth is over.
    Observed = 6,
    /// A [`SampleRecord`] of a call outside of any tree.
    Sample = 7,
    /// A [`SampleRecord`] of an observer that was reached and had nothing to tell.
    IdleSample = 8,
    /// A [`SampleRecord`] of a call of a promoted function whose callers return at once: where
    /// the last of them returns to there is no observer.
    Missed = 9,
    /// A [`ReasonRecord`].
    Reason = 10,
    /// An [`AlreadyOpenRecord`].
    AlreadyOpen = 11,
}

impl RecordKind {
    /// The kind with the number `kind`, or `None` for one that this version does not know.
    pub fn from_u16(kind: u16) -> Option<Self> {
        Some(match kind {
            1 => Self::Entry,
            2 => Self::Return,
            3 => Self::Close,
            4 => Self::ProcessExit,
            5 => Self::ProcessExec,
            6 => Self::Observed,
            7 => Self::Sample,
            8 => Self::IdleSample,
            9 => Self::Missed,
            10 => Self::Reason,
            11 => Self::AlreadyOpen,
            _ => return None,
        })
    }
}

/// Starts every record. A reader steps by `size` and skips kinds that it does not know.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordHeader {
    /// A [`RecordKind`].
    pub kind: u16,
    /// Bytes of the whole record, this header included.
    pub size: u16,
    /// Thread group id as the initial pid namespace has it.
    pub tgid: u32,
    /// Counts the records of one goroutine from 0, failed ones included; 0 in process records.
    /// Starts again at 0 after a tree whose records were all written.
    pub sequence: u64,
    /// Go's goroutine id; 0 in process records.
    pub goid: u64,
    /// CLOCK_MONOTONIC.
    pub time_ns: u64,
}

/// Bits of the `flags` fields.
pub mod record_flags {
    /// This entry starts a tree.
    pub const STARTS_TREE: u16 = 1 << 0;
    /// This return or close ends the goroutine's tree.
    pub const ENDS_TREE: u16 = 1 << 1;
    /// This entry's function is promoted: an observer at its return site tells of its end.
    pub const PROMOTED: u16 = 1 << 2;
    /// The same, but there is no observer at this call's return site.
    pub const UNOBSERVED: u16 = 1 << 3;
    /// The same, but a caller returns as soon as the call does, and that is seen: a
    /// [`ChainedEntryRecord`](super::ChainedEntryRecord).
    pub const CHAINED: u16 = 1 << 5;
    /// The same, and it is seen at the caller's RET.
    pub const ENDS_AT_RETURN: u16 = 1 << 6;
    /// This return is told of beside the observer, to check that; it ends nothing.
    pub const VERIFY: u16 = 1 << 4;
}

/// A call begins.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryRecord {
    /// Kind [`RecordKind::Entry`].
    pub header: RecordHeader,
    /// `stack.hi - SP` with SP at the return address: the frame's identity, which survives stack copying.
    pub depth_bytes: u64,
    /// The word at SP: where the call returns to, a runtime address.
    pub return_address: u64,
    /// Runtime address of the probed instruction; minus the site's virtual address it is the load bias.
    pub instruction_pointer: u64,
    /// The site's id.
    pub site: u32,
    /// Which tree of the goroutine this belongs to; counts on while records were lost, else 0.
    pub tree: u16,
    /// [`record_flags`].
    pub flags: u16,
}

/// A call begins that returns to where its caller returns at once.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainedEntryRecord {
    /// Flags include [`record_flags::CHAINED`].
    pub entry: EntryRecord,
    /// Where the caller returns to whose observer tells of the end, a runtime address; with
    /// [`record_flags::ENDS_AT_RETURN`] the depth of the caller whose RET does.
    pub end: u64,
}

/// One of many calls outside of any tree, or of many idle hits of an observer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleRecord {
    /// Kind [`RecordKind::Sample`] or [`RecordKind::IdleSample`]; sequence and goid are 0.
    pub header: RecordHeader,
    /// As in [`EntryRecord::return_address`]; 0 of an observer. Of a call that was missed where
    /// a caller returns to, or 0 if too many callers return at once.
    pub return_address: u64,
    /// As in [`EntryRecord::instruction_pointer`]; 0 of an observer.
    pub instruction_pointer: u64,
    /// The id of the entry's site, or of the observer.
    pub site: u32,
    /// Always 0.
    pub padding: u32,
    /// Of a call outside of any tree where a caller returns to, if the call's end is seen there
    /// or would have to be; else 0.
    pub end: u64,
}

/// A call ends at a RET instruction, or an observer was passed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReturnRecord {
    /// Kind [`RecordKind::Return`].
    pub header: RecordHeader,
    /// As in the call's [`EntryRecord`].
    pub depth_bytes: u64,
    /// The id of the RET's site, or of the observer.
    pub site: u32,
    /// As in [`EntryRecord::tree`].
    pub tree: u16,
    /// [`record_flags`].
    pub flags: u16,
}

/// Why frames end together.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// A panic was recovered; the frames deeper than `depth_bytes` were unwound.
    Recovered = 1,
    /// The goroutine ended; `depth_bytes` is 0.
    GoroutineExit = 2,
    /// A shallower event of the goroutine proved that its tree is over, though no RET was seen.
    Superseded = 3,
    /// The word at a frame's depth is its return address no more: the frame returned unobserved.
    ReturnedUnobserved = 4,
    /// The runtime turned a fault into a panic at this depth: the frame there had returned, and
    /// its observer was not reached.
    SignalPanic = 5,
}

impl CloseCause {
    /// The cause with the number `cause`, or `None` for one that this version does not know.
    pub fn from_u32(cause: u32) -> Option<Self> {
        Some(match cause {
            1 => Self::Recovered,
            2 => Self::GoroutineExit,
            3 => Self::Superseded,
            4 => Self::ReturnedUnobserved,
            5 => Self::SignalPanic,
            _ => return None,
        })
    }
}

/// Every frame of the goroutine that is deeper than `depth_bytes` is over.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloseRecord {
    /// Kind [`RecordKind::Close`].
    pub header: RecordHeader,
    /// Frames with this depth or less live on.
    pub depth_bytes: u64,
    /// A [`CloseCause`].
    pub cause: u32,
    /// As in [`EntryRecord::tree`].
    pub tree: u16,
    /// [`record_flags`].
    pub flags: u16,
}

/// A process ended or replaced its program image: everything it had open is over.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessRecord {
    /// Kind [`RecordKind::ProcessExit`] or [`RecordKind::ProcessExec`].
    pub header: RecordHeader,
    /// Of an exit, if it is known: what wait(2) calls the status.
    pub exit_status: u32,
    /// Not 0: `exit_status` is known.
    pub has_exit_status: u32,
}

/// What a [`ReasonRecord`] tells of.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasonKind {
    /// The goroutine panics: the entry of `runtime.gopanic`.
    Panic = 1,
    /// A function goes on that recovered a panic; the close with this sequence number follows.
    Recovery = 2,
    /// The entry of `runtime.Goexit`.
    Goexit = 3,
    /// The entry of `os.Exit`.
    Exit = 4,
    /// A panic ends the process: the entry of `runtime.fatalpanic`.
    FatalPanic = 5,
    /// The runtime gives up: the entry of `runtime.fatalthrow`.
    FatalError = 6,
}

impl ReasonKind {
    /// The kind with the number `kind`, or `None` for one that this version does not know.
    pub fn from_u32(kind: u32) -> Option<Self> {
        Some(match kind {
            1 => Self::Panic,
            2 => Self::Recovery,
            3 => Self::Goexit,
            4 => Self::Exit,
            5 => Self::FatalPanic,
            6 => Self::FatalError,
            _ => return None,
        })
    }
}

/// Return addresses that a [`ReasonRecord`] has at most.
pub const WALKED_FRAMES: usize = 6;

/// A return address on the stack.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalkedFrame {
    /// A runtime address; 0 from where on the walk ended.
    pub return_address: u64,
    /// Where it stands, as in [`EntryRecord::depth_bytes`]; of process-wide records only the
    /// differences mean something.
    pub depth_bytes: u64,
}

/// Why frames or a process will end. Counts no number of its own: `sequence` is that of the
/// goroutine's next record. If it cannot be written, it counts as a lost one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReasonRecord {
    /// Kind [`RecordKind::Reason`].
    pub header: RecordHeader,
    /// Runtime address of the probed instruction.
    pub instruction_pointer: u64,
    /// The id of the watched site.
    pub site: u32,
    /// A [`ReasonKind`].
    pub reason: u32,
    /// The argument of `os.Exit`.
    pub exit_code: i32,
    /// As in [`EntryRecord::tree`].
    pub tree: u16,
    /// Always 0.
    pub padding: u16,
    /// The innermost first, found by frame pointers. Of a recovery, the first is where the
    /// function goes on.
    pub frames: [WalkedFrame; WALKED_FRAMES],
}

/// Return addresses that an [`AlreadyOpenRecord`] has at most.
pub const OPEN_FRAMES: usize = 64;

/// A goroutine was found to be in a call of a target that began before tracing: the root of a tree that
/// starts with this. Counts no number of its own: `sequence` is that of the
/// goroutine's next record. If it cannot be written, it counts as a lost one.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyOpenRecord {
    /// Kind [`RecordKind::AlreadyOpen`].
    pub header: RecordHeader,
    /// As in [`EntryRecord::instruction_pointer`].
    pub instruction_pointer: u64,
    /// Depth of the root.
    pub root_depth_bytes: u64,
    /// The id of the site of that event. If it is a RET's, the call that returns there is open, too:
    /// the first frame is its own.
    pub site: u32,
    /// As in [`EntryRecord::tree`].
    pub tree: u16,
    /// Always 0.
    pub padding: u16,
    /// The innermost first, found by frame pointers; the root's is the last, and what stands behind
    /// it means nothing. Each is that of the function which the return address before it is in.
    pub frames: [WalkedFrame; OPEN_FRAMES],
}

const _: () = {
    assert!(size_of::<AlreadyOpenRecord>() == 56 + OPEN_FRAMES * 16);
    assert!(offset_of!(AlreadyOpenRecord, root_depth_bytes) == 40);
    assert!(offset_of!(AlreadyOpenRecord, site) == 48);
    assert!(offset_of!(AlreadyOpenRecord, frames) == 56);
    assert!(size_of::<RecordHeader>() == 32);
    assert!(offset_of!(RecordHeader, tgid) == 4);
    assert!(offset_of!(RecordHeader, sequence) == 8);
    assert!(offset_of!(RecordHeader, goid) == 16);
    assert!(offset_of!(RecordHeader, time_ns) == 24);
    assert!(size_of::<EntryRecord>() == 64);
    assert!(offset_of!(EntryRecord, depth_bytes) == 32);
    assert!(offset_of!(EntryRecord, return_address) == 40);
    assert!(offset_of!(EntryRecord, instruction_pointer) == 48);
    assert!(offset_of!(EntryRecord, site) == 56);
    assert!(offset_of!(EntryRecord, tree) == 60);
    assert!(offset_of!(EntryRecord, flags) == 62);
    assert!(size_of::<ReturnRecord>() == 48);
    assert!(offset_of!(ReturnRecord, depth_bytes) == 32);
    assert!(offset_of!(ReturnRecord, site) == 40);
    assert!(offset_of!(ReturnRecord, tree) == 44);
    assert!(offset_of!(ReturnRecord, flags) == 46);
    assert!(size_of::<ChainedEntryRecord>() == 72);
    assert!(offset_of!(ChainedEntryRecord, end) == 64);
    assert!(size_of::<SampleRecord>() == 64);
    assert!(offset_of!(SampleRecord, end) == 56);
    assert!(offset_of!(SampleRecord, return_address) == 32);
    assert!(offset_of!(SampleRecord, instruction_pointer) == 40);
    assert!(offset_of!(SampleRecord, site) == 48);
    assert!(size_of::<CloseRecord>() == 48);
    assert!(offset_of!(CloseRecord, depth_bytes) == 32);
    assert!(offset_of!(CloseRecord, cause) == 40);
    assert!(offset_of!(CloseRecord, tree) == 44);
    assert!(offset_of!(CloseRecord, flags) == 46);
    assert!(size_of::<ProcessRecord>() == 40);
    assert!(offset_of!(ProcessRecord, exit_status) == 32);
    assert!(size_of::<ReasonRecord>() == 152);
    assert!(offset_of!(ReasonRecord, site) == 40);
    assert!(offset_of!(ReasonRecord, exit_code) == 48);
    assert!(offset_of!(ReasonRecord, tree) == 52);
    assert!(offset_of!(ReasonRecord, frames) == 56);
};
