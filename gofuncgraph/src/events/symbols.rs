use crate::binary::{SourceLine, VirtualAddress};
use crate::plan::{FunctionId, SiteId};

/// A place in a function that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodePosition<'a> {
    /// Bytes from the function's first instruction.
    pub offset: u64,
    /// Source line of the instruction, if it has one.
    pub line: Option<SourceLine<'a>>,
}

/// Where a call came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallSite<'a> {
    /// Full name of the calling function.
    pub caller: &'a str,
    /// Bytes from the caller's first instruction to the return address.
    pub offset: u64,
    /// Source line of the call, if it has one.
    pub line: Option<SourceLine<'a>>,
}

/// Gives names and source lines. `None` means that it is not known; nothing is made up.
pub trait Symbols {
    /// The full name of a function.
    fn function_name(&mut self, function: FunctionId) -> Option<&str>;

    /// The place of a RET in its function.
    fn return_site(&mut self, site: SiteId) -> Option<CodePosition<'_>>;

    /// The call that returns to `return_address`.
    fn call_site(&mut self, return_address: VirtualAddress) -> Option<CallSite<'_>>;
}
