use std::cell::RefCell;
use std::rc::Rc;

pub use super::definitions::RecordedFunction;
use super::definitions::{RecordedPosition, Tables};
use crate::binary::{SourceLine, VirtualAddress};
use crate::events::{CallSite, CodePosition, Symbols};
use crate::plan::{FunctionId, PlannedFunction, ProbePlan, SiteId};

/// Names and source lines that a recording defines. Clones share what is defined, and know what
/// a [`RecordingReader`](super::RecordingReader) has read so far.
#[derive(Clone, Debug, Default)]
pub struct RecordedSymbols {
    tables: Rc<RefCell<Tables>>,
    /// What was asked for last.
    function: Option<Rc<str>>,
    return_site: Option<RecordedPosition>,
    call_site: Option<(Rc<str>, RecordedPosition)>,
}

impl RecordedSymbols {
    pub(super) fn new(tables: Rc<RefCell<Tables>>) -> Self {
        Self {
            tables,
            ..Self::default()
        }
    }

    /// Every function that was attached, whether or not it was called; the first is number 0.
    /// All are known when the first event is.
    pub fn functions(&self) -> Vec<RecordedFunction> {
        self.tables.borrow().functions.clone()
    }

    /// [`functions`](Self::functions) as a plan without probes: for a
    /// [`RecordingWriter`](super::RecordingWriter) that copies what is read.
    pub fn plan(&self) -> ProbePlan {
        let tables = self.tables.borrow();
        let functions = tables.functions.iter().map(|function| PlannedFunction {
            name: function.name.to_string(),
            start: function.start,
            is_target: function.is_target,
        });
        ProbePlan {
            functions: functions.collect(),
            ..ProbePlan::default()
        }
    }
}

impl Symbols for RecordedSymbols {
    fn function_name(&mut self, function: FunctionId) -> Option<&str> {
        let tables = self.tables.borrow();
        let function = tables.functions.get(usize::try_from(function.0).ok()?)?;
        self.function = Some(Rc::clone(&function.name));
        self.function.as_deref()
    }

    fn return_site(&mut self, site: SiteId) -> Option<CodePosition<'_>> {
        self.return_site = self.tables.borrow().return_sites.get(&site).cloned();
        let position = self.return_site.as_ref()?;
        Some(CodePosition {
            offset: position.offset,
            line: position.source_line(),
        })
    }

    fn call_site(&mut self, return_address: VirtualAddress) -> Option<CallSite<'_>> {
        {
            let tables = self.tables.borrow();
            self.call_site = tables
                .call_sites
                .get(&return_address)
                .or_else(|| tables.forgotten_call_sites.get(&return_address))
                .cloned();
        }
        let (caller, position) = self.call_site.as_ref()?;
        Some(CallSite {
            caller,
            offset: position.offset,
            line: position.source_line(),
        })
    }
}

impl RecordedPosition {
    fn source_line(&self) -> Option<SourceLine<'_>> {
        let (file, line) = self.line.as_ref()?;
        Some(SourceLine { file, line: *line })
    }
}
