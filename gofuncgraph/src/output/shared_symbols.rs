use std::cell::RefCell;
use std::rc::Rc;

use foldhash::HashMap;

use super::symbols::{CallSite, CodePosition, Symbols};
use crate::binary::{SourceLine, VirtualAddress};
use crate::plan::{FunctionId, SiteId};

/// Entries of each kind that a handle remembers. More than a program plausibly has; only made-up
/// events can name more.
const MAX_REMEMBERED: usize = 1 << 18;

/// A source line whose file several handles share.
#[derive(Clone)]
struct OwnedLine {
    file: Rc<str>,
    line: u32,
}

impl OwnedLine {
    fn borrowed(&self) -> SourceLine<'_> {
        SourceLine {
            file: &self.file,
            line: self.line,
        }
    }
}

#[derive(Clone)]
struct OwnedCallSite {
    caller: Rc<str>,
    offset: u64,
    line: Option<OwnedLine>,
}

/// What all handles have in common: the symbols, and one copy of every text.
struct Shared<'a> {
    symbols: Box<dyn Symbols + 'a>,
    texts: HashMap<Rc<str>, ()>,
}

impl Shared<'_> {
    fn intern(texts: &mut HashMap<Rc<str>, ()>, text: &str) -> Rc<str> {
        if let Some((text, ())) = texts.get_key_value(text) {
            return Rc::clone(text);
        }
        if texts.len() >= MAX_REMEMBERED {
            texts.clear();
        }
        let text: Rc<str> = text.into();
        texts.insert(Rc::clone(&text), ());
        text
    }

    fn intern_line(texts: &mut HashMap<Rc<str>, ()>, line: SourceLine<'_>) -> OwnedLine {
        OwnedLine {
            file: Self::intern(texts, line.file),
            line: line.line,
        }
    }
}

/// A handle to symbols that several renderers use. Each remembers what it looked up; texts are
/// kept once for all. What was not known is asked again: it may become known.
pub struct SharedSymbols<'a> {
    shared: Rc<RefCell<Shared<'a>>>,
    functions: HashMap<FunctionId, Rc<str>>,
    return_sites: HashMap<SiteId, (u64, Option<OwnedLine>)>,
    call_sites: HashMap<VirtualAddress, OwnedCallSite>,
}

impl<'a> SharedSymbols<'a> {
    /// The first handle.
    pub fn new(symbols: Box<dyn Symbols + 'a>) -> Self {
        Self::handle(Rc::new(RefCell::new(Shared {
            symbols,
            texts: HashMap::default(),
        })))
    }

    fn handle(shared: Rc<RefCell<Shared<'a>>>) -> Self {
        Self {
            shared,
            functions: HashMap::default(),
            return_sites: HashMap::default(),
            call_sites: HashMap::default(),
        }
    }
}

impl Clone for SharedSymbols<'_> {
    /// Another handle, which remembers nothing yet.
    fn clone(&self) -> Self {
        Self::handle(Rc::clone(&self.shared))
    }
}

impl Symbols for SharedSymbols<'_> {
    fn function_name(&mut self, function: FunctionId) -> Option<&str> {
        if !self.functions.contains_key(&function) {
            let shared = &mut *self.shared.borrow_mut();
            let name = shared.symbols.function_name(function)?;
            let name = Shared::intern(&mut shared.texts, name);
            remember(&mut self.functions, function, name);
        }
        self.functions.get(&function).map(|name| &**name)
    }

    fn return_site(&mut self, site: SiteId) -> Option<CodePosition<'_>> {
        if !self.return_sites.contains_key(&site) {
            let shared = &mut *self.shared.borrow_mut();
            let position = shared.symbols.return_site(site)?;
            let line = position
                .line
                .map(|line| Shared::intern_line(&mut shared.texts, line));
            remember(&mut self.return_sites, site, (position.offset, line));
        }
        let (offset, line) = self.return_sites.get(&site)?;
        Some(CodePosition {
            offset: *offset,
            line: line.as_ref().map(OwnedLine::borrowed),
        })
    }

    fn call_site(&mut self, return_address: VirtualAddress) -> Option<CallSite<'_>> {
        if !self.call_sites.contains_key(&return_address) {
            let shared = &mut *self.shared.borrow_mut();
            let call_site = shared.symbols.call_site(return_address)?;
            let owned = OwnedCallSite {
                caller: Shared::intern(&mut shared.texts, call_site.caller),
                offset: call_site.offset,
                line: call_site
                    .line
                    .map(|line| Shared::intern_line(&mut shared.texts, line)),
            };
            remember(&mut self.call_sites, return_address, owned);
        }
        let call_site = self.call_sites.get(&return_address)?;
        Some(CallSite {
            caller: &call_site.caller,
            offset: call_site.offset,
            line: call_site.line.as_ref().map(OwnedLine::borrowed),
        })
    }
}

fn remember<K: std::hash::Hash + Eq, V>(memory: &mut HashMap<K, V>, key: K, value: V) {
    if memory.len() >= MAX_REMEMBERED {
        memory.clear();
    }
    memory.insert(key, value);
}
