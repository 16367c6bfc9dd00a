//! A table of functions.

use std::time::{Duration, Instant};

use super::measure::{number_of, share, time};
use super::note::NET_REMARK;
use super::renderer::Renderer;
use super::symbols::Symbols;
use super::table::{Align, Table, plain};
use crate::analysis::{
    Accuracy, Aggregator, AggregatorSettings, CallStatistics, Durations, FunctionProfile,
    LOG_BUCKETS, Profile,
};
use crate::binary::readable_name;
use crate::cli::SortKey;
use crate::events::{Goroutine, MonotonicTime};
use crate::trace::{PartEnd, TraceLine};

/// Moves a terminal's cursor to the upper left and clears what is below.
const CLEAR: &[u8] = b"\x1b[H\x1b[J";

const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How often a live summary is drawn.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// A terminal that shows a summary while the trace goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveScreen {
    /// Lines it has.
    pub rows: usize,
    /// Columns it has.
    pub columns: usize,
}

/// How a summary is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SummarySettings {
    /// Order of the functions.
    pub sort: SortKey,
    /// Durations are without what probes cost.
    pub net: bool,
    /// Draws the summary again and again; else it is written once, at the end.
    pub live: Option<LiveScreen>,
}

/// Writes a table of all functions, as docs/FORMATS.md describes it.
pub struct SummaryRenderer<S> {
    symbols: S,
    settings: SummarySettings,
    aggregator: Aggregator,
    /// The last line's moment.
    latest: Option<MonotonicTime>,
    /// The same when the summary was drawn, or the first line's.
    drawn: Option<MonotonicTime>,
    /// When that was.
    drawn_at: Option<Instant>,
    /// There is something that was not drawn.
    has_news: bool,
}

impl<S: Symbols> SummaryRenderer<S> {
    /// One that has written nothing yet.
    pub fn new(symbols: S, settings: SummarySettings) -> Self {
        let mut aggregator = Aggregator::new(AggregatorSettings::default());
        if settings.net {
            aggregator.set_net();
        }
        Self {
            symbols,
            settings,
            aggregator,
            latest: None,
            drawn: None,
            drawn_at: None,
            has_news: false,
        }
    }

    /// Draws what is known so far, as much of it as there is room for.
    fn draw(&mut self, screen: LiveScreen, out: &mut Vec<u8>) {
        self.has_news = false;
        self.drawn = self.latest;
        self.drawn_at = Some(Instant::now());
        let mut text = Vec::new();
        write_summary(self.aggregator.profile(), self.settings.sort, &mut text);
        out.extend_from_slice(CLEAR);
        let text = String::from_utf8_lossy(&text);
        for (number, line) in text.lines().take(screen.rows.saturating_sub(1)).enumerate() {
            if number > 0 {
                out.push(b'\n');
            }
            let line: String = line.chars().take(screen.columns).collect();
            out.extend_from_slice(line.as_bytes());
        }
        out.push(b'\n');
    }
}

impl<S: Symbols> Renderer for SummaryRenderer<S> {
    fn line(&mut self, line: &TraceLine, out: &mut Vec<u8>) {
        let symbols = &mut self.symbols;
        self.aggregator.line(line, &mut |function| {
            let name = symbols.function_name(function)?;
            Some(readable_name(name).into_owned())
        });
        self.has_news = true;
        let Some(screen) = self.settings.live else {
            return;
        };
        self.latest = Some(line.time);
        // Usually it is drawn in a pause, when trees are whole. There may be none.
        let drawn = *self.drawn.get_or_insert(line.time);
        if line.time - drawn >= REFRESH_INTERVAL {
            self.draw(screen, out);
        }
    }

    fn part_end(&mut self, goroutine: Goroutine, end: PartEnd, _: &mut Vec<u8>) {
        self.aggregator.part_end(goroutine, end);
    }

    fn pause(&mut self, out: &mut Vec<u8>) {
        let Some(screen) = self.settings.live.filter(|_| self.has_news) else {
            return;
        };
        let is_due = self
            .drawn_at
            .is_none_or(|drawn| drawn.elapsed() >= REFRESH_INTERVAL);
        if is_due {
            self.draw(screen, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.aggregator.end_recording();
        if self.settings.live.is_some() {
            out.extend_from_slice(CLEAR);
        }
        write_summary(self.aggregator.profile(), self.settings.sort, out);
    }
}

/// Appends the tables of `profile`: roots, functions, and what is missing.
pub fn write_summary(profile: &Profile, sort: SortKey, out: &mut Vec<u8>) {
    push_line(out, &headline(profile));
    if profile.calls() == 0 {
        return;
    }
    if !profile.roots.is_empty() {
        out.push(b'\n');
        roots_table(profile).write(out);
    }
    out.push(b'\n');
    functions_table(profile, sort).write(out);
    let functions = profile.functions.iter();
    let accuracies: Vec<Accuracy> = functions.map(|it| it.calls.durations.accuracy()).collect();
    write_notes(profile, (&accuracies, "function"), out);
}

/// What there is altogether.
pub(super) fn headline(profile: &Profile) -> String {
    format!(
        "{}, {} of {}, in {}{}",
        number_of(profile.trees(), "tree"),
        number_of(profile.calls(), "call"),
        number_of(profile.functions.len() as u64, "function"),
        time(profile.span_ns as f64),
        if profile.is_net {
            format!("; {NET_REMARK}")
        } else {
            String::new()
        }
    )
}

fn roots_table(profile: &Profile) -> Table {
    let mut table = Table::new(&[
        ("root", Align::Left),
        ("trees", Align::Right),
        ("total", Align::Right),
        ("share", Align::Right),
    ]);
    let mut roots: Vec<_> = profile.roots.iter().collect();
    roots.sort_by_key(|root| std::cmp::Reverse((root.total_ns, root.trees)));
    for root in roots {
        table.push(vec![
            plain(profile.function_name(root.function)),
            root.trees.to_string(),
            time(root.total_ns as f64),
            optional(profile.share_of_trees(root.total_ns).map(share)),
        ]);
    }
    table
}

fn functions_table(profile: &Profile, sort: SortKey) -> Table {
    let scale = Scale::of(profile);
    let distribution = scale.head();
    let mut table = Table::new(&[
        ("function", Align::Left),
        ("calls", Align::Right),
        ("total", Align::Right),
        ("%root", Align::Right),
        ("self", Align::Right),
        ("%root", Align::Right),
        ("min", Align::Right),
        ("p50", Align::Right),
        ("p90", Align::Right),
        ("p99", Align::Right),
        ("max", Align::Right),
        (distribution.as_str(), Align::Left),
    ]);
    for function in sorted(profile, sort) {
        let calls = &function.calls;
        let durations = &calls.durations;
        let quantiles = durations.quantiles();
        let of_roots = |time_ns| optional(profile.share_of_trees(time_ns).map(share));
        table.push(vec![
            plain(&function.name),
            calls.all.calls.to_string(),
            time(calls.all.total_ns as f64),
            of_roots(calls.in_finished_trees.total_ns),
            time(calls.all.self_ns as f64),
            of_roots(calls.in_finished_trees.self_ns),
            optional_time(durations.min_ns()),
            optional_time(quantiles.map(|it| it.p50_ns)),
            optional_time(quantiles.map(|it| it.p90_ns)),
            optional_time(quantiles.map(|it| it.p99_ns)),
            optional_time(durations.max_ns()),
            scale.bars(durations),
        ]);
    }
    table
}

/// The functions in the order that `sort` names; what is equal, by name.
pub(super) fn sorted(profile: &Profile, sort: SortKey) -> Vec<&FunctionProfile> {
    let mut functions: Vec<(u64, &FunctionProfile)> = profile
        .functions
        .iter()
        .map(|function| (sort_value(&function.calls, sort), function))
        .collect();
    functions.sort_by(|left, right| {
        let larger_first = right.0.cmp(&left.0);
        larger_first.then_with(|| left.1.name.cmp(&right.1.name))
    });
    functions
        .into_iter()
        .map(|(_, function)| function)
        .collect()
}

/// What calls are sorted by, the largest first; 0 for names.
pub(super) fn sort_value(calls: &CallStatistics, sort: SortKey) -> u64 {
    let quantile = |quantile| calls.durations.quantile_ns(quantile).unwrap_or(0);
    match sort {
        SortKey::Total => calls.all.total_ns,
        SortKey::SelfTime => calls.all.self_ns,
        SortKey::Calls => calls.all.calls,
        SortKey::Min => calls.durations.min_ns().unwrap_or(0),
        SortKey::P50 => quantile(0.5),
        SortKey::P90 => quantile(0.9),
        SortKey::P99 => quantile(0.99),
        SortKey::Max => calls.durations.max_ns().unwrap_or(0),
        SortKey::Name => 0,
    }
}

/// Appends what is missing and what is not exact, on lines that begin with `note:`.
/// `rows`: how accurate the percentiles of each are, and what a row is.
pub(super) fn write_notes(profile: &Profile, rows: (&[Accuracy], &str), out: &mut Vec<u8>) {
    let mut notes = Vec::new();
    let unmeasured = profile.unmeasured();
    let kinds = [
        (unmeasured.already_open, "already open"),
        (unmeasured.entry_lost, "entry lost"),
        (unmeasured.exit_lost, "exit lost"),
        (unmeasured.still_open, "still open"),
        (unmeasured.process_exited, "process exited"),
        (unmeasured.approximate, "approximate"),
    ];
    if unmeasured.total() > 0 {
        let kinds = kinds.iter().filter(|(count, _)| *count > 0);
        let kinds: Vec<String> = kinds
            .map(|(count, kind)| format!("{kind} {count}"))
            .collect();
        notes.push(format!(
            "{} without an exact duration, counted in calls but not in percentiles: {}",
            number_of(unmeasured.total(), "call"),
            kinds.join(", ")
        ));
    }
    let unwound: u64 = profile.functions.iter().map(|it| it.calls.unwound).sum();
    if unwound > 0 {
        notes.push(format!(
            "{} unwound by a panic or Goexit",
            number_of(unwound, "call")
        ));
    }
    let losses = &profile.losses;
    if losses.events > 0 {
        notes.push(format!(
            "{} lost: the ring buffer was full at times",
            number_of(losses.events, "event")
        ));
    }
    if losses.calls_dropped > 0 {
        notes.push(format!(
            "{} dropped where trees were cut",
            number_of(losses.calls_dropped, "call")
        ));
    }
    if losses.trees_without_room > 0 {
        notes.push(format!(
            "{} not among the finished: too many were open at the same time",
            number_of(losses.trees_without_room, "tree")
        ));
    }
    if losses.calls_hidden > 0 {
        notes.push(format!(
            "{} hidden by a filter, {} in all, and not in the tables",
            number_of(losses.calls_hidden, "call"),
            time(losses.hidden.as_nanos() as f64)
        ));
    }
    if losses.out_of_order > 0 {
        notes.push(format!(
            "{} out of order, not counted",
            number_of(losses.out_of_order, "line")
        ));
    }
    let (accuracies, row) = rows;
    let with = |accuracy| accuracies.iter().filter(|it| **it == accuracy).count() as u64;
    let rounded = with(Accuracy::WithinOnePercent);
    if rounded > 0 {
        notes.push(format!(
            "percentiles of {} with many calls are within 1%",
            number_of(rounded, row)
        ));
    }
    let sampled = with(Accuracy::Sampled);
    if sampled > 0 {
        notes.push(format!(
            "percentiles of {} are those of a sample, because there are too many of them",
            number_of(sampled, row)
        ));
    }
    if !notes.is_empty() {
        out.push(b'\n');
    }
    for note in notes {
        push_line(out, &format!("note: {note}"));
    }
}

/// The magnitudes that a distribution's bars stand for.
struct Scale {
    first: usize,
    last: usize,
}

impl Scale {
    /// From the first decade with a call to the last.
    fn of(profile: &Profile) -> Self {
        let used = |bucket: &usize| {
            profile.functions.iter().any(|function| {
                let buckets = function.calls.durations.log_buckets();
                buckets.get(*bucket).is_some_and(|&count| count > 0)
            })
        };
        let first = (0..LOG_BUCKETS).find(used).unwrap_or(0);
        let last = (0..LOG_BUCKETS).rev().find(used).unwrap_or(first);
        Self {
            first: first - first % 2,
            last: last | 1,
        }
    }

    /// `1us..100ms`, from the least to the end of the largest magnitude.
    fn head(&self) -> String {
        let edge = |bucket: usize| {
            let decade = u32::try_from(bucket / 2).unwrap_or(0);
            let (size, unit) = match decade {
                0..3 => (10_u64.pow(decade), "ns"),
                3..6 => (10_u64.pow(decade - 3), "us"),
                6..9 => (10_u64.pow(decade - 6), "ms"),
                _ => (10_u64.pow(decade - 9), "s"),
            };
            format!("{size}{unit}")
        };
        format!("{}..{}", edge(self.first), edge(self.last + 1))
    }

    /// Two bars for each power of ten; the highest has the most calls.
    fn bars(&self, durations: &Durations) -> String {
        let buckets = durations.log_buckets();
        let most = buckets.iter().copied().max().unwrap_or(0).max(1);
        let shown = buckets.get(self.first..=self.last).unwrap_or_default();
        let bars = shown.iter().map(|&count| {
            // What is there at all can be seen.
            let height = u128::from(count) * (BARS.len() as u128 - 1);
            let height = usize::try_from(height.div_ceil(u128::from(most))).unwrap_or(0);
            BARS.get(height).copied().unwrap_or(' ')
        });
        bars.collect()
    }
}

fn optional_time(time_ns: Option<u64>) -> String {
    optional(time_ns.map(|time_ns| time(time_ns as f64)))
}

fn optional(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn push_line(out: &mut Vec<u8>, line: &str) {
    out.extend_from_slice(line.as_bytes());
    out.push(b'\n');
}
