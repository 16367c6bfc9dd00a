use std::collections::{BTreeSet, HashSet};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::view_parts::{Make, delivery};
use super::window::Window;
use crate::cli::{Format, OutputMode, OutputSettings};
use crate::events::{Event, MonotonicTime};
use crate::filter::Filter;
use crate::output::{LiveScreen, Renderer, SharedSymbols, Symbols, WallClock, push_net_remark};
use crate::trace::{
    Assembler, AssemblerSettings, Delivery, LineBody, NetCosts, PartEnd, Statistics, TraceLine,
    TraceSink,
};

/// Bytes of one destination from which on they are offered to [`Meanwhile::spill`].
const SPILL_BYTES: usize = 1 << 20;

/// Lines between two calls of [`Meanwhile::lines_written`]: a fraction of a millisecond.
const LINES_BETWEEN: u32 = 1 << 12;

/// What a [`View`] has to know beside what the command line says.
pub struct ViewContext<'a> {
    /// Names and source lines.
    pub symbols: Box<dyn Symbols + 'a>,
    /// Of the traced machine.
    pub wall_clock: WallClock,
    /// When tracing began, for `--from` and `--to`; `None`: with the first event.
    pub beginning: Option<MonotonicTime>,
    /// File name of the traced program.
    pub program: String,
    /// Lines as they happen, or trees.
    pub mode: OutputMode,
    /// Calls that a tree may hold.
    pub max_calls: NonZero<u64>,
    /// The trace is complete after so many trees.
    pub count: Option<NonZero<u64>>,
    /// What probes cost, to be taken off durations; `None`: nothing is.
    pub net: Option<NetCosts>,
    /// Functions may be promoted.
    pub promotes: bool,
    /// What has no file goes to a terminal.
    pub output_is_terminal: bool,
    /// That terminal, if what is shown on it may be drawn again and again.
    pub screen: Option<LiveScreen>,
}

/// Names an output of a [`View`]: its index in [`View::destinations`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DestinationId(pub usize);

/// What is done while a large tree is being written.
pub trait Meanwhile {
    /// Is offered the bytes for a destination, and may take them, so that a tree need not be kept
    /// whole as bytes, too.
    fn spill(&mut self, destination: DestinationId, bytes: &mut Vec<u8>);

    /// Some thousand lines were written since the tree began or this was last called.
    fn lines_written(&mut self) {}
}

/// Takes bytes.
impl<F: FnMut(DestinationId, &mut Vec<u8>)> Meanwhile for F {
    fn spill(&mut self, destination: DestinationId, bytes: &mut Vec<u8>) {
        self(destination, bytes);
    }
}

/// Where bytes of a [`View`] go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// `None`: standard output or `--output`.
    pub file: Option<PathBuf>,
}

/// Events in, bytes of every format out: what a live trace and a replayed one have in common.
pub struct View<'a> {
    branches: Vec<Branch<'a>>,
    destinations: Vec<Destination>,
    /// Bytes that were not taken yet, of each destination.
    pending: Vec<Vec<u8>>,
    /// None: all.
    goids: HashSet<u64>,
    /// Needs the trace's beginning.
    window: Option<Window>,
    has_begun: bool,
}

/// Formats that get the same lines.
struct Branch<'a> {
    assembler: Assembler,
    delivery: Delivery,
    filter: Option<Filter<'a>>,
    outputs: Vec<Output<'a>>,
    /// Calls whose entry was handed to the outputs.
    shown_calls: u64,
}

struct Output<'a> {
    renderer: Box<dyn Renderer + 'a>,
    destination: usize,
    /// Lines that are no calls stand among its lines.
    is_for_eyes: bool,
}

impl<'a> View<'a> {
    /// One that has seen nothing yet.
    pub fn new(settings: &OutputSettings, context: ViewContext<'a>) -> Self {
        let window = Window::new(settings, context.wall_clock.clone(), context.beginning);
        let symbols = SharedSymbols::new(context.symbols);
        let net = context.net.map(Arc::new);
        let make = Make {
            settings,
            symbols,
            wall_clock: context.wall_clock,
            program: context.program,
            is_net: net.is_some(),
            output_is_terminal: context.output_is_terminal,
            screen: context.screen,
        };
        let mut view = Self {
            branches: Vec::new(),
            destinations: Vec::new(),
            pending: Vec::new(),
            goids: settings.goids.iter().copied().collect(),
            window,
            has_begun: false,
        };
        let delivery = delivery(context.mode, context.max_calls);
        for request in &settings.formats {
            // The order in which things happened is lost where trees have to be waited for.
            let needs_trees = settings.slower_than.is_some() || settings.top.is_some();
            let delivery = match request.format {
                Format::Functrace if !needs_trees => Delivery::Stream,
                _ => delivery,
            };
            let output = Output {
                renderer: make.renderer(request, delivery),
                destination: view.destinations.len(),
                is_for_eyes: matches!(request.format, Format::Text | Format::Graph),
            };
            view.destinations.push(Destination {
                file: request.file.clone(),
            });
            view.pending.push(Vec::new());
            let known = view.branches.iter_mut();
            match known.into_iter().find(|branch| branch.delivery == delivery) {
                Some(branch) => branch.outputs.push(output),
                None => view.branches.push(Branch {
                    assembler: Assembler::new(AssemblerSettings {
                        delivery,
                        count: context.count,
                    })
                    .with_net(net.clone())
                    .with_promotion(context.promotes),
                    delivery,
                    filter: make.filter(),
                    outputs: vec![output],
                    shown_calls: 0,
                }),
            }
        }
        if view.branches.is_empty() {
            // Somebody may still want to know what there was, and when it is complete.
            view.branches.push(Branch {
                assembler: Assembler::new(AssemblerSettings {
                    delivery,
                    count: context.count,
                })
                .with_net(net.clone())
                .with_promotion(context.promotes),
                delivery,
                filter: None,
                outputs: Vec::new(),
                shown_calls: 0,
            });
        }
        for output in view
            .branches
            .iter_mut()
            .flat_map(|branch| &mut branch.outputs)
        {
            if let Some(out) = view.pending.get_mut(output.destination) {
                output.renderer.begin(out);
                if make.is_net && output.is_for_eyes {
                    push_net_remark(out);
                }
            }
        }
        view
    }

    /// Where bytes go, in the order of [`DestinationId`]s.
    pub fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// Takes the next event. What is written for it waits to be taken.
    pub fn handle(&mut self, event: &Event) {
        self.handle_spilling(event, &mut |_: DestinationId, _: &mut Vec<u8>| {});
    }

    /// Takes the next event; `meanwhile` is offered what is much.
    pub fn handle_spilling(&mut self, event: &Event, meanwhile: &mut dyn Meanwhile) {
        if !self.has_begun {
            self.begin(event.time());
        }
        if !self.goids.is_empty()
            && let Event::Goroutine { goroutine, .. }
            | Event::Reason { goroutine, .. }
            | Event::LossNoticed { goroutine, .. } = event
            && !self.goids.contains(&goroutine.goid)
        {
            return;
        }
        let pending = &mut Pending {
            bytes: &mut self.pending,
            lines: 0,
            meanwhile,
        };
        for branch in &mut self.branches {
            branch.feed(pending, |assembler, sink| assembler.handle(event, sink));
        }
    }

    /// Nothing more will come; `time` is the present. Call it once.
    pub fn finish(&mut self, time: MonotonicTime) {
        self.finish_spilling(time, &mut |_: DestinationId, _: &mut Vec<u8>| {});
    }

    /// The same; `meanwhile` is offered what is much.
    pub fn finish_spilling(&mut self, time: MonotonicTime, meanwhile: &mut dyn Meanwhile) {
        let pending = &mut Pending {
            bytes: &mut self.pending,
            lines: 0,
            meanwhile,
        };
        for branch in &mut self.branches {
            branch.feed(pending, |assembler, sink| assembler.finish(time, sink));
            if let Some(filter) = &mut branch.filter {
                filter.finish(&mut FanOut {
                    outputs: &mut branch.outputs,
                    pending,
                    shown_calls: &mut branch.shown_calls,
                });
            }
        }
        self.each_output(|renderer, out| renderer.finish(out));
    }

    /// Now and then in a live trace: shows what waits for what comes next.
    pub fn pause(&mut self) {
        self.each_output(|renderer, out| renderer.pause(out));
    }

    /// The asked-for number of trees was finished; no more lines will come.
    pub fn is_complete(&self) -> bool {
        self.branches
            .iter()
            .all(|branch| branch.assembler.is_complete())
    }

    /// Processes of which calls are open.
    pub fn pids_with_open_calls(&self) -> BTreeSet<u32> {
        self.branches
            .iter()
            .flat_map(|branch| branch.assembler.pids_with_open_calls())
            .collect()
    }

    /// What was counted before filters other than `--slower-than` and `--goid` left anything
    /// out: for the first format.
    pub fn statistics(&self) -> Statistics {
        self.branches
            .first()
            .map(|branch| *branch.assembler.statistics())
            .unwrap_or_default()
    }

    /// Of the calls in [`View::statistics`], those that filters left out.
    pub fn calls_left_out(&self) -> u64 {
        let branch = self.branches.first();
        branch
            .filter(|branch| branch.filter.is_some())
            .map_or(0, |branch| {
                let calls = branch.assembler.statistics().calls;
                calls.saturating_sub(branch.shown_calls)
            })
    }

    /// Trees among those that `--top` asks for that had to be left out for lack of room.
    pub fn trees_without_room(&self) -> u64 {
        let filters = self
            .branches
            .iter()
            .filter_map(|branch| branch.filter.as_ref());
        filters.map(Filter::trees_without_room).max().unwrap_or(0)
    }

    /// The destinations that something was written for and not taken yet.
    pub fn waiting(&self) -> Vec<DestinationId> {
        let pending = self.pending.iter().enumerate();
        pending
            .filter(|(_, bytes)| !bytes.is_empty())
            .map(|(index, _)| DestinationId(index))
            .collect()
    }

    /// Takes what was written for `destination` since the last time.
    pub fn take(&mut self, destination: DestinationId) -> Vec<u8> {
        let pending = self.pending.get_mut(destination.0);
        pending.map(std::mem::take).unwrap_or_default()
    }

    /// Takes what was written since the last time, where there is any.
    pub fn take_output(&mut self) -> Vec<(DestinationId, Vec<u8>)> {
        self.waiting()
            .into_iter()
            .map(|destination| (destination, self.take(destination)))
            .collect()
    }

    fn begin(&mut self, first_event: MonotonicTime) {
        self.has_begun = true;
        let Some(window) = &self.window else {
            return;
        };
        let (from, to) = window.resolved(first_event);
        for filter in self
            .branches
            .iter_mut()
            .filter_map(|branch| branch.filter.as_mut())
        {
            filter.set_window(from, to);
        }
    }

    fn each_output(&mut self, mut act: impl FnMut(&mut dyn Renderer, &mut Vec<u8>)) {
        for output in self
            .branches
            .iter_mut()
            .flat_map(|branch| &mut branch.outputs)
        {
            if let Some(out) = self.pending.get_mut(output.destination) {
                act(&mut *output.renderer, out);
            }
        }
    }
}

impl Branch<'_> {
    fn feed(
        &mut self,
        pending: &mut Pending<'_>,
        act: impl FnOnce(&mut Assembler, &mut dyn TraceSink),
    ) {
        let mut fan_out = FanOut {
            outputs: &mut self.outputs,
            pending,
            shown_calls: &mut self.shown_calls,
        };
        match &mut self.filter {
            Some(filter) => act(&mut self.assembler, &mut filter.sink(&mut fan_out)),
            None => act(&mut self.assembler, &mut fan_out),
        }
    }
}

/// Bytes of each destination that were not taken yet, and who may take them early.
struct Pending<'s> {
    bytes: &'s mut [Vec<u8>],
    lines: u32,
    meanwhile: &'s mut dyn Meanwhile,
}

/// Hands every line to several formats.
struct FanOut<'s, 'a, 'p> {
    outputs: &'s mut [Output<'a>],
    pending: &'s mut Pending<'p>,
    shown_calls: &'s mut u64,
}

impl TraceSink for FanOut<'_, '_, '_> {
    fn line(&mut self, line: &TraceLine) {
        if let LineBody::Entry { beginning, .. } = line.body
            && beginning.is_seen()
        {
            *self.shown_calls += 1;
        }
        for output in &mut *self.outputs {
            let destination = output.destination;
            if let Some(out) = self.pending.bytes.get_mut(destination) {
                output.renderer.line(line, out);
                if out.len() >= SPILL_BYTES {
                    let destination = DestinationId(destination);
                    self.pending.meanwhile.spill(destination, out);
                }
            }
        }
        self.pending.lines += 1;
        if self.pending.lines >= LINES_BETWEEN {
            self.pending.lines = 0;
            self.pending.meanwhile.lines_written();
        }
    }

    fn part_end(&mut self, goroutine: crate::events::Goroutine, end: PartEnd) {
        for output in &mut *self.outputs {
            if let Some(out) = self.pending.bytes.get_mut(output.destination) {
                output.renderer.part_end(goroutine, end, out);
            }
        }
    }
}

/// The file name of a program, to name its processes by.
pub(super) fn program_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
