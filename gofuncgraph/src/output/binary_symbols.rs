use std::borrow::Cow;

use foldhash::HashMap;

use super::symbols::{CallSite, CodePosition, Symbols};
use crate::binary::{GoBinary, SourceLine, VirtualAddress};
use crate::plan::{FunctionId, ProbePlan, SiteId, SiteKind};

/// More call sites than a program under trace plausibly has: only garbage return addresses can
/// fill the cache so far.
const MAX_CACHED_CALL_SITES: usize = 1 << 20;

/// Names and source lines out of a Go executable and the plan of its probes. What was looked up
/// once is remembered.
pub struct BinarySymbols<'a, 'data> {
    binary: &'a GoBinary<'data>,
    plan: &'a ProbePlan,
    return_sites: HashMap<SiteId, CodePosition<'data>>,
    call_sites: HashMap<VirtualAddress, FoundCallSite<'data>>,
}

/// A [`CallSite`] whose caller's name may have been put together.
struct FoundCallSite<'data> {
    caller: Cow<'data, str>,
    offset: u64,
    line: Option<SourceLine<'data>>,
}

impl FoundCallSite<'_> {
    fn borrowed(&self) -> CallSite<'_> {
        CallSite {
            caller: &self.caller,
            offset: self.offset,
            line: self.line,
        }
    }
}

impl<'a, 'data> BinarySymbols<'a, 'data> {
    /// Nothing is looked up yet. `plan` is one of `binary`.
    pub fn new(binary: &'a GoBinary<'data>, plan: &'a ProbePlan) -> Self {
        Self {
            binary,
            plan,
            return_sites: HashMap::default(),
            call_sites: HashMap::default(),
        }
    }

    fn find_return_site(&self, site: SiteId) -> Option<CodePosition<'data>> {
        let site = self.plan.sites.get(usize::try_from(site.0).ok()?)?;
        let SiteKind::Return(function) = site.kind else {
            return None;
        };
        let function = self.plan.functions.get(usize::try_from(function.0).ok()?)?;
        Some(CodePosition {
            offset: site.address.offset_from(function.start)?,
            line: self.binary.source_line(site.address),
        })
    }

    fn find_call_site(&self, return_address: VirtualAddress) -> Option<FoundCallSite<'data>> {
        // The return address may be the first instruction of another line, or, after a call that
        // never returns, of the next function. The byte before it belongs to the call.
        let call = VirtualAddress(return_address.0.checked_sub(1)?);
        let caller = self.binary.find_function(call)?;
        Some(FoundCallSite {
            caller: self.binary.instantiated_name(&caller),
            offset: return_address.offset_from(caller.start)?,
            line: self.binary.source_line(call),
        })
    }
}

impl Symbols for BinarySymbols<'_, '_> {
    fn function_name(&mut self, function: FunctionId) -> Option<&str> {
        let function = self.plan.functions.get(usize::try_from(function.0).ok()?)?;
        Some(&function.name)
    }

    fn return_site(&mut self, site: SiteId) -> Option<CodePosition<'_>> {
        if let Some(position) = self.return_sites.get(&site) {
            return Some(*position);
        }
        let position = self.find_return_site(site)?;
        self.return_sites.insert(site, position);
        Some(position)
    }

    fn call_site(&mut self, return_address: VirtualAddress) -> Option<CallSite<'_>> {
        if !self.call_sites.contains_key(&return_address) {
            let call_site = self.find_call_site(return_address)?;
            if self.call_sites.len() >= MAX_CACHED_CALL_SITES {
                self.call_sites.clear();
            }
            self.call_sites.insert(return_address, call_site);
        }
        self.call_sites
            .get(&return_address)
            .map(FoundCallSite::borrowed)
    }
}
