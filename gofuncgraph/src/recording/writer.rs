use std::time::Duration;

use foldhash::HashMap;

use super::definitions::{Definition, Position};
use super::events::{BlockContext, EntryReference};
use super::format::{
    self, BlockKind, MAX_BLOCK_RECORDS, MAX_CALLS, MAX_FUNCTIONS, MAX_IMAGES, MAX_RETURN_SITES,
    MAX_TEXT_BYTES, MAX_TEXT_LENGTH, MAX_TEXTS,
};
use super::header::{LossCounters, RecordedEnd, RecordingHeader};
use super::header_json::HeaderJson;
use super::reasons;
use crate::binary::{LoadBias, SourceLine, VirtualAddress};
use crate::events::{EndProbe, Event, GoroutineEvent, MonotonicTime, Symbols};
use crate::plan::{FunctionId, ProbePlan, SiteId};

/// A block is closed when it has so many bytes.
const BLOCK_BYTES: usize = 1 << 20;

/// A block is closed when its first event has waited so long: what a tracer that is killed loses
/// is a second, together with the time between two ticks.
const BLOCK_DURATION: Duration = Duration::from_millis(800);

/// Makes the bytes of a recording of events and of what they refer to.
///
/// Keeps memory for the definitions so far and for one block. Each block is whole: who writes
/// what [`take_output`](Self::take_output) gives, in one piece or several, loses at most a block
/// when he is stopped.
pub struct RecordingWriter<'a> {
    symbols: Box<dyn Symbols + 'a>,
    definitions: Vec<u8>,
    definition_count: u32,
    texts: HashMap<String, u32>,
    text_bytes: usize,
    return_sites: HashMap<SiteId, ()>,
    calls: HashMap<(FunctionId, VirtualAddress), u32>,
    images: HashMap<LoadBias, u32>,
    last_image: Option<(LoadBias, u32)>,
    block: Vec<u8>,
    block_events: u32,
    reasons: Vec<u8>,
    reason_count: u32,
    block_start: Option<MonotonicTime>,
    context: BlockContext,
    /// The latest moment that is known.
    time: MonotonicTime,
    losses: LossCounters,
    events: u64,
    events_taken: u64,
    out: Vec<u8>,
}

impl<'a> RecordingWriter<'a> {
    /// Begins a recording of events of `plan`, whose names `symbols` gives.
    pub fn new(header: &RecordingHeader, plan: &ProbePlan, symbols: Box<dyn Symbols + 'a>) -> Self {
        let mut writer = Self {
            symbols,
            definitions: Vec::new(),
            definition_count: 0,
            texts: HashMap::default(),
            text_bytes: 0,
            return_sites: HashMap::default(),
            calls: HashMap::default(),
            images: HashMap::default(),
            last_image: None,
            block: Vec::new(),
            block_events: 0,
            reasons: Vec::new(),
            reason_count: 0,
            block_start: None,
            context: BlockContext::default(),
            time: header.clock.start,
            losses: LossCounters::default(),
            events: 0,
            events_taken: 0,
            out: Vec::new(),
        };
        format::push_preamble(&mut writer.out);
        // Serialising text, numbers and lists of them cannot fail.
        let json = serde_json::to_vec(&HeaderJson::from(header)).unwrap_or_default();
        format::push_block(BlockKind::Header, 1, &json, &mut writer.out);
        for function in plan.functions.iter().take(MAX_FUNCTIONS) {
            // Functions have numbers in order: one without a name would shift them.
            let name = writer.text(&function.name).unwrap_or_default();
            writer.define(Definition::Function {
                name,
                start: function.start,
                is_target: function.is_target,
            });
        }
        writer.close_definitions();
        writer
    }

    /// Takes the next event.
    pub fn handle(&mut self, event: &Event) {
        if let Event::Reason { .. } | Event::ProcessEnding { .. } = event {
            self.reason(event);
            return;
        }
        let mut reference = EntryReference::default();
        if let Event::Goroutine { kind, .. } = event {
            match *kind {
                GoroutineEvent::Entry {
                    function,
                    return_address,
                    load_bias,
                    end_probe,
                    ..
                } => {
                    if let EndProbe::Observer {
                        only_return: Some(site),
                        ..
                    } = end_probe
                    {
                        self.return_site(site);
                    }
                    let return_address = return_address.to_virtual(load_bias);
                    reference = EntryReference {
                        call: self.call(function, return_address),
                        image: self.image(load_bias),
                    };
                }
                GoroutineEvent::Return { site, .. } => self.return_site(site),
                GoroutineEvent::Observed { .. }
                | GoroutineEvent::Checked { .. }
                | GoroutineEvent::Close { .. } => {}
            }
        }
        self.context.push(event, reference, &mut self.block);
        self.block_events += 1;
        self.events += 1;
        self.time = self.time.max(event.time());
        self.block_start.get_or_insert(self.time);
        if self.block_events >= MAX_BLOCK_RECORDS || self.block.len() >= BLOCK_BYTES {
            self.close_block();
        }
    }

    fn reason(&mut self, event: &Event) {
        if self.reason_count >= MAX_BLOCK_RECORDS || self.reasons.len() >= BLOCK_BYTES {
            self.close_block();
            // Without an event since they are of no use.
            self.reasons.clear();
            self.reason_count = 0;
        }
        let place = reasons::place_of(event);
        let site = place.and_then(|place| self.site(place.address()));
        if reasons::push(self.block_events, event, site, &mut self.reasons) {
            self.reason_count += 1;
        }
    }

    /// Takes what was lost so far, as it is at the moment `time`, and closes a block that has
    /// waited long. To be called now and then.
    pub fn tick(&mut self, time: MonotonicTime, losses: &LossCounters) {
        self.losses = *losses;
        self.time = self.time.max(time);
        let is_due = |start| self.time - start >= BLOCK_DURATION;
        if self.block_start.is_some_and(is_due) {
            self.close_block();
        }
    }

    /// Ends the recording; no event may follow. `end.events` is filled in.
    pub fn finish(&mut self, end: &RecordedEnd) {
        self.losses = end.losses;
        self.time = self.time.max(end.time);
        self.close_block();
        let mut payload = Vec::new();
        let end = RecordedEnd {
            events: self.events,
            ..*end
        };
        format::push_end(&end, &mut payload);
        format::push_block(BlockKind::End, 1, &payload, &mut self.out);
    }

    /// The blocks that were closed since this was last called, and the number of events in them.
    pub fn take_output(&mut self) -> (Vec<u8>, u64) {
        let closed = self.events - u64::from(self.block_events);
        let events = closed - self.events_taken;
        self.events_taken = closed;
        (std::mem::take(&mut self.out), events)
    }

    /// Whether [`take_output`](Self::take_output) would give anything.
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Events that were handed in.
    pub fn events(&self) -> u64 {
        self.events
    }

    fn close_block(&mut self) {
        self.close_definitions();
        if self.block_events == 0 {
            return;
        }
        if self.reason_count != 0 {
            format::push_block(
                BlockKind::Reasons,
                self.reason_count,
                &self.reasons,
                &mut self.out,
            );
            self.reasons.clear();
            self.reason_count = 0;
        }
        format::push_trailer(self.time, &self.losses, &mut self.block);
        format::push_block(
            BlockKind::Events,
            self.block_events,
            &self.block,
            &mut self.out,
        );
        self.block.clear();
        self.block_events = 0;
        self.block_start = None;
        self.context = BlockContext::default();
    }

    fn close_definitions(&mut self) {
        if self.definition_count == 0 {
            return;
        }
        format::push_block(
            BlockKind::Definitions,
            self.definition_count,
            &self.definitions,
            &mut self.out,
        );
        self.definitions.clear();
        self.definition_count = 0;
    }

    fn define(&mut self, definition: Definition<'_>) {
        definition.push(&mut self.definitions);
        self.definition_count += 1;
        if self.definition_count >= MAX_BLOCK_RECORDS || self.definitions.len() >= BLOCK_BYTES {
            self.close_definitions();
        }
    }

    fn text(&mut self, text: &str) -> Option<u32> {
        let text = text
            .get(..text.floor_char_boundary(MAX_TEXT_LENGTH))
            .unwrap_or_default();
        if let Some(index) = self.texts.get(text) {
            return Some(*index);
        }
        let bytes = self.text_bytes + text.len();
        if self.texts.len() >= MAX_TEXTS || bytes > MAX_TEXT_BYTES {
            return None;
        }
        let index = u32::try_from(self.texts.len()).ok()?;
        self.text_bytes = bytes;
        self.texts.insert(text.to_owned(), index);
        self.define(Definition::Text(text));
        Some(index)
    }

    fn position(&mut self, offset: u64, line: Option<(String, u32)>) -> Position {
        let line = line.and_then(|(file, line)| Some((self.text(&file)?, line)));
        Position { offset, line }
    }

    fn return_site(&mut self, site: SiteId) {
        if self.return_sites.contains_key(&site) || self.return_sites.len() >= MAX_RETURN_SITES {
            return;
        }
        self.return_sites.insert(site, ());
        let position = self.symbols.return_site(site);
        let Some((offset, line)) = position.map(|it| (it.offset, owned(it.line))) else {
            return;
        };
        let position = self.position(offset, line);
        self.define(Definition::ReturnSite { site, position });
    }

    fn call(&mut self, callee: FunctionId, return_address: VirtualAddress) -> u32 {
        if let Some(index) = self.calls.get(&(callee, return_address)) {
            return *index;
        }
        if self.calls.len() >= MAX_CALLS {
            // Events that wait refer to the old ones.
            self.close_block();
            self.calls.clear();
            self.define(Definition::ForgetCalls);
        }
        let site = self.site(return_address);
        let index = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        self.calls.insert((callee, return_address), index);
        self.define(Definition::Call {
            callee,
            return_address,
            site,
        });
        index
    }

    /// Caller and position of the call that returns to `return_address`, if known.
    fn site(&mut self, return_address: VirtualAddress) -> Option<(u32, Position)> {
        let site = self.symbols.call_site(return_address)?;
        let (caller, offset, line) = (site.caller.to_owned(), site.offset, owned(site.line));
        Some((self.text(&caller)?, self.position(offset, line)))
    }

    fn image(&mut self, bias: LoadBias) -> u32 {
        match self.last_image {
            Some((last, index)) if last == bias => return index,
            _ => {}
        }
        let index = match self.images.get(&bias) {
            Some(index) => *index,
            None => {
                if self.images.len() >= MAX_IMAGES {
                    self.close_block();
                    self.images.clear();
                    self.define(Definition::ForgetImages);
                }
                let index = u32::try_from(self.images.len()).unwrap_or(u32::MAX);
                self.images.insert(bias, index);
                self.define(Definition::Image(bias));
                index
            }
        };
        self.last_image = Some((bias, index));
        index
    }
}

fn owned(line: Option<SourceLine<'_>>) -> Option<(String, u32)> {
    line.map(|line| (line.file.to_owned(), line.line))
}
