use std::num::NonZeroU32;

use super::FrameDepth;
use crate::binary::VirtualAddress;

/// A virtual address of Go code, kept small: code of the small model is below 4 GiB (System V ABI
/// for AMD64, "Code models"), and Go's linker knows no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeAddress(NonZeroU32);

impl CodeAddress {
    /// `None` for 0 and for what is no address of Go code.
    pub fn new(address: VirtualAddress) -> Option<Self> {
        u32::try_from(address.0)
            .ok()
            .and_then(NonZeroU32::new)
            .map(Self)
    }

    /// The same as a virtual address: what [`Symbols::call_site`](super::Symbols::call_site) takes.
    pub fn address(self) -> VirtualAddress {
        VirtualAddress(self.0.get().into())
    }
}

/// Why frames will end that nothing returns from. It changes no tree: the close that follows does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The goroutine panics.
    Panic(Panic),
    /// A function goes on that recovered a panic. The close that this event's sequence number is
    /// of says what was unwound.
    Recovery {
        /// Where it goes on; `None` if that is not known, or if it is `runtime.Goexit`, which goes
        /// on with what it was at.
        resumed: Option<CodeAddress>,
    },
    /// The goroutine calls `runtime.Goexit`, as `testing.(*T).FailNow` does.
    Goexit,
}

/// A panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panic {
    /// Of the call of `runtime.gopanic`: deferred functions run deeper than it.
    pub depth: FrameDepth,
    /// Behind the instruction that panicked: a call of `panic`, a fault, or a call into the
    /// runtime, which found an index out of range or the like. `None` if that is not certain.
    pub origin: Option<CodeAddress>,
    /// The call that panicked, if it is certain.
    pub call: Option<PanickingCall>,
}

/// What names the call that panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PanickingCall {
    /// Of the call.
    pub depth: FrameDepth,
    /// Where it returns to: what stands at this depth is another call's if this is another. `None`
    /// if it has no frame and faulted, so that nothing else can have its depth.
    pub return_address: Option<VirtualAddress>,
}

impl PanickingCall {
    /// Whether it is the open call with `depth` that returns to `return_address`.
    pub fn is(&self, depth: FrameDepth, return_address: VirtualAddress) -> bool {
        self.depth == depth && self.return_address.is_none_or(|it| it == return_address)
    }
}

/// Why a process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProcessEnding {
    /// `main.main` returned, or it is not known.
    #[default]
    Unknown,
    /// A panic that nothing recovered.
    Panic {
        /// As in [`Panic::origin`].
        origin: Option<CodeAddress>,
    },
    /// `os.Exit` was called.
    Exit {
        /// What it was called with.
        code: i32,
        /// Where that call returns to.
        call: Option<CodeAddress>,
    },
    /// The Go runtime gave up: concurrent map writes, a deadlock, memory that ran out.
    FatalError,
    /// A signal killed it.
    Signal {
        /// As in signal(7).
        number: u8,
    },
}
