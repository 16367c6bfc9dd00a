//! The parts of a view, made as the settings say.

use std::num::NonZero;

use crate::cli::{FoldBy, Format, FormatRequest, OutputMode, OutputSettings};
use crate::events::Symbols;
use crate::filter::{Filter, FilterSettings, FunctionChoice};
use crate::output::{
    ChromeRenderer, FoldedRenderer, FoldedValue, FunctraceRenderer, GraphRenderer, GraphSettings,
    JsonlRenderer, LiveScreen, Renderer, SharedSymbols, SummaryRenderer, SummarySettings,
    TextLayout, TextRenderer, TextSettings, TimeDigits, WallClock,
};
use crate::plan::Pattern;
use crate::trace::{DEFAULT_MAX_BUFFERED_CALLS, Delivery};

/// Makes the parts of a view.
pub(super) struct Make<'s, 'a> {
    pub(super) settings: &'s OutputSettings,
    pub(super) symbols: SharedSymbols<'a>,
    pub(super) wall_clock: WallClock,
    pub(super) program: String,
    pub(super) is_net: bool,
    pub(super) output_is_terminal: bool,
    pub(super) screen: Option<LiveScreen>,
}

impl<'a> Make<'_, 'a> {
    pub(super) fn renderer(
        &self,
        request: &FormatRequest,
        delivery: Delivery,
    ) -> Box<dyn Renderer + 'a> {
        let symbols = self.symbols.clone();
        let wall_clock = self.wall_clock.clone();
        let settings = self.settings;
        let time_digits =
            TimeDigits::try_from(u32::from(settings.time_digits.get())).unwrap_or_default();
        let is_terminal = request.file.is_none() && self.output_is_terminal;
        let colour = settings.color.applies_to(is_terminal);
        let layout = match delivery {
            Delivery::Stream => TextLayout::Stream,
            Delivery::Trees { .. } => TextLayout::Trees,
        };
        match request.format {
            Format::Text => Box::new(TextRenderer::new(
                symbols,
                TextSettings {
                    layout,
                    time_digits,
                    wall_clock,
                    colour,
                },
            )),
            Format::Graph => Box::new(GraphRenderer::new(
                symbols,
                GraphSettings {
                    layout,
                    time_digits,
                    wall_clock,
                    colour,
                    trim_prefixes: settings.trim_prefixes.clone(),
                },
            )),
            Format::Functrace => Box::new(FunctraceRenderer::new(symbols, wall_clock)),
            Format::Jsonl => Box::new(JsonlRenderer::new(symbols, wall_clock, self.is_net)),
            Format::Chrome => Box::new(ChromeRenderer::new(symbols, self.program.as_str())),
            Format::Folded => Box::new(FoldedRenderer::new(
                symbols,
                match settings.fold_by {
                    FoldBy::SelfTime => FoldedValue::SelfTime,
                    FoldBy::TotalTime => FoldedValue::TotalTime,
                    FoldBy::Calls => FoldedValue::Calls,
                },
            )),
            Format::Summary => Box::new(SummaryRenderer::new(
                symbols,
                SummarySettings {
                    sort: settings.sort,
                    net: self.is_net,
                    live: self.screen.filter(|_| is_terminal),
                },
            )),
        }
    }

    /// `None` if nothing is left out.
    pub(super) fn filter(&self) -> Option<Filter<'a>> {
        let settings = self.settings;
        let chosen = self.chosen();
        let has_window = settings.from.is_some() || settings.to.is_some();
        let filter = FilterSettings {
            calls_slower_than: settings.calls_slower_than,
            max_depth: settings.max_depth,
            // Set when the trace's beginning is known.
            from: None,
            to: None,
            top: settings.top.and_then(|top| NonZero::try_from(top).ok()),
        };
        (has_window || chosen.is_some() || filter != FilterSettings::default())
            .then(|| Filter::new(filter, chosen))
    }

    /// `None` if every function is wanted.
    fn chosen(&self) -> Option<FunctionChoice<'a>> {
        let patterns = |globs: &[String]| globs.iter().map(Pattern::new).collect::<Vec<_>>();
        let (only, hide) = (patterns(&self.settings.only), patterns(&self.settings.hide));
        if only.is_empty() && hide.is_empty() {
            return None;
        }
        let mut symbols = self.symbols.clone();
        Some(Box::new(move |function| {
            let name = symbols.function_name(function).unwrap_or("?");
            let fits = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(name));
            (only.is_empty() || fits(&only)) && !fits(&hide)
        }))
    }
}

pub(super) fn delivery(mode: OutputMode, max_calls: NonZero<u64>) -> Delivery {
    match mode {
        OutputMode::Stream => Delivery::Stream,
        OutputMode::Trees { slower_than } => {
            let max_calls = usize::try_from(max_calls.get()).unwrap_or(usize::MAX);
            Delivery::Trees {
                max_calls,
                // Who asks for larger trees has the room for them.
                max_buffered_calls: DEFAULT_MAX_BUFFERED_CALLS.max(max_calls),
                slower_than,
            }
        }
    }
}
