//! A recording, shown in every way.

use std::num::NonZero;
use std::path::Path;
use std::sync::LazyLock;

use gofuncgraph::analysis::{
    self, Aggregator, AggregatorSettings, DEFAULT_LEVEL, DIFF_LEVEL, Profile, Recorded, Watched,
};
use gofuncgraph::cli::{self, Command, Environment, Format, OutputMode, ReplaySettings, SortKey};
use gofuncgraph::events::{Event, Symbols};
use gofuncgraph::output::{
    CheckReport, DiffHeading, WallClock, write_check_junit, write_check_markdown, write_check_text,
    write_diff_json_lines, write_diff_markdown, write_diff_text, write_report_tree, write_summary,
};
use gofuncgraph::recording::{RecordingError, RecordingReader};
use gofuncgraph::session::{DestinationId, View, ViewContext};
use gofuncgraph::trace::{Assembler, AssemblerSettings, NetCosts};
use serde::de::IgnoredAny;

/// What is kept of a format's output to look at it as a whole.
const KEPT_BYTES: usize = 1 << 20;

/// Options of `replay`; all formats are asked for beside.
const VIEWS: [&[&str]; 12] = [
    &[],
    &["--stream"],
    &["--slower-than", "1us"],
    &["--top", "3", "--max-calls", "5"],
    &["--calls-slower-than", "10us"],
    &["--calls-slower-than", "1ms", "--max-depth", "2", "--stream"],
    &["--max-depth", "3", "--max-calls", "2"],
    &[
        "--only",
        "*handle*",
        "--only",
        "main.*",
        "--hide",
        "net/http.*",
    ],
    &[
        "--hide",
        "*a*",
        "--stream",
        "--time-digits",
        "9",
        "--fold-by",
        "calls",
    ],
    &["--goid", "18", "--goid", "1", "--fold-by", "total"],
    &[
        "--from",
        "1ms",
        "--to",
        "100ms",
        "--color",
        "always",
        "--trim-prefix",
        "net/",
    ],
    &[
        "--from",
        "23 01:02:03",
        "--slower-than",
        "1ns",
        "--count",
        "1",
    ],
];

/// Values of the byte that chooses a view which make a difference: the last two choose analysis.
pub const CHOICES: u8 = VIEWS.len() as u8 + 2;

static SETTINGS: LazyLock<Vec<ReplaySettings>> =
    LazyLock::new(|| VIEWS.iter().map(|options| settings(options)).collect());

/// Rules that look at everything.
const RULES: [&str; 8] = [
    "p99(*) > 1ms",
    "max(main.*) > 1.1 * baseline",
    "calls(*) > 10 per main.*",
    "maxcalls(*) > 3 per *",
    "self(*) > 5%",
    "total(*) > 5% per *",
    "mean(*) < 2 * baseline",
    "lost > 0",
];

/// Reads `recording` to its end or the first error, in one of many ways, which the first of the
/// two bytes that the format ignores chooses.
pub fn look_at(recording: &[u8]) {
    let choice = recording.get(10).copied().unwrap_or_default();
    match SETTINGS.get(usize::from(choice) % usize::from(CHOICES)) {
        Some(settings) => show(recording, settings),
        None => analyse(recording),
    }
}

fn settings(options: &[&str]) -> ReplaySettings {
    let files = Format::ALL.map(|format| format!("{0}:{0}", format.name()));
    let formats = files.iter().flat_map(|format| ["-f", format.as_str()]);
    let words: Vec<&str> = ["gofuncgraph", "replay"]
        .into_iter()
        .chain(options.iter().copied())
        .chain(formats)
        .chain(["a.rec"])
        .collect();
    match cli::parse_in(&Environment { no_color: false }, &words) {
        Ok(Command::Replay(replay)) => *replay,
        other => panic!("{words:?} gave {other:?}"),
    }
}

/// As `session::replay`, but for where bytes go.
fn show(recording: &[u8], settings: &ReplaySettings) {
    let Ok(mut reader) = RecordingReader::new(recording) else {
        return;
    };
    let header = reader.header();
    let mode = settings.view.mode(true);
    let context = ViewContext {
        symbols: Box::new(reader.symbols()),
        wall_clock: WallClock::new(
            header.clock.realtime_minus_monotonic_ns,
            header.clock.zone.to_time_zone(),
        ),
        beginning: Some(header.clock.start),
        program: header.target.path.clone(),
        mode: match mode {
            OutputMode::Trees { slower_than: None } => OutputMode::Trees {
                slower_than: header.view.slower_than,
            },
            mode => mode,
        },
        max_calls: settings.view.max_calls.unwrap_or(header.view.max_calls),
        count: settings.count.or(header.view.count),
        net: settings.view.net.then(NetCosts::default),
        promotes: header.plan.promotes,
        output_is_terminal: false,
        screen: None,
    };
    let mut kept = vec![Kept::default(); Format::ALL.len()];
    let mut keep = |DestinationId(destination), bytes: &mut Vec<u8>| {
        kept[destination].push(bytes);
        bytes.clear();
    };
    let mut view = View::new(&settings.view, context);
    let outcome = read(&mut reader, &mut |event| {
        view.handle_spilling(&event, &mut keep);
    });
    let end = reader.end().map_or(reader.time(), |end| end.time());
    view.finish_spilling(end, &mut keep);
    for (destination, mut bytes) in view.take_output() {
        keep(destination, &mut bytes);
    }
    let _ = view.statistics();
    let _ = outcome.map_err(|error| error.to_string());
    drop(view);
    for (format, kept) in Format::ALL.into_iter().zip(kept) {
        kept.check(format.name());
    }
}

/// What is left of an output.
#[derive(Clone, Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    is_whole: bool,
    has_more: bool,
}

impl Kept {
    fn push(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() <= KEPT_BYTES {
            self.bytes.extend_from_slice(bytes);
        } else {
            self.has_more = true;
        }
        self.is_whole = !self.has_more;
    }

    /// What a reader of the format relies on, whatever names are.
    fn check(&self, format: &str) {
        if !self.is_whole {
            return;
        }
        let text = std::str::from_utf8(&self.bytes).unwrap_or_else(|_| panic!("{format}"));
        match format {
            "jsonl" => {
                for line in text.lines() {
                    serde_json::from_str::<IgnoredAny>(line)
                        .unwrap_or_else(|error| panic!("{error}: {line}"));
                }
            }
            "chrome" => {
                serde_json::from_str::<IgnoredAny>(text)
                    .unwrap_or_else(|error| panic!("{error}: {text}"));
            }
            _ => {
                let is_colour = |rest: &str| rest.starts_with("\u{1b}[");
                for (at, letter) in text.char_indices() {
                    let is_expected = match letter {
                        '\n' | '\t' => true,
                        '\u{1b}' => format == "text" || format == "graph",
                        letter => !letter.is_control(),
                    };
                    assert!(is_expected, "{format} has {letter:?} at {at}");
                    assert!(letter != '\u{1b}' || is_colour(&text[at..]), "{format}");
                }
            }
        }
    }
}

fn read(
    reader: &mut RecordingReader<&[u8]>,
    sink: &mut dyn FnMut(Event),
) -> Result<(), RecordingError> {
    while reader.read_events(sink)? != 0 {}
    Ok(())
}

/// The statistics of `recording`, as far as it can be read; each of `watches` is answered.
pub fn profile(recording: &[u8], watches: Vec<analysis::Watch>) -> Option<(Profile, Vec<Watched>)> {
    let mut reader = RecordingReader::new(recording).ok()?;
    let mut aggregator = Aggregator::new(AggregatorSettings {
        watches,
        sample_bytes: 4 << 20,
        ..AggregatorSettings::default()
    });
    let mut symbols = reader.symbols();
    let mut name_of = |function| symbols.function_name(function).map(str::to_owned);
    let mut assembler = Assembler::new(AssemblerSettings::stream());
    {
        let mut sink = aggregator.sink(&mut name_of);
        let _ = read(&mut reader, &mut |event| {
            assembler.handle(&event, &mut sink);
        });
        assembler.finish(reader.time(), &mut sink);
    }
    aggregator.add_lost_events(reader.losses().kernel.records_lost());
    aggregator.end_recording();
    Some(aggregator.into_parts())
}

/// As `report`, `diff` and `check`.
fn analyse(recording: &[u8]) {
    let rules = RULES.map(|rule| rule.parse().expect("it is a rule"));
    let Some(new) = recorded(recording, &rules) else {
        return;
    };
    // Half of it, to be compared with.
    let Some(base) = recorded(&recording[..recording.len() / 2], &rules) else {
        return;
    };
    let mut out = Vec::new();
    write_summary(&new.profile, SortKey::default(), &mut out);
    write_report_tree(&new.profile, SortKey::default(), &mut out);
    let diff = analysis::diff(&base.profile, &new.profile, DIFF_LEVEL);
    let heading = DiffHeading {
        base: "base".to_owned(),
        new: "new".to_owned(),
        warnings: Vec::new(),
        top: NonZero::new(10).map(NonZero::get),
    };
    write_diff_text(&diff, &heading, &mut out);
    write_diff_markdown(&diff, &heading, &mut out);
    write_diff_json_lines(&diff, &mut out);
    write_verdicts(&rules, &new, &[base], &mut out);
    std::str::from_utf8(&out).expect("every format is UTF-8");
}

fn recorded(recording: &[u8], rules: &[analysis::Rule]) -> Option<Recorded> {
    let watches = rules.iter().map(analysis::Rule::watch).collect();
    let (profile, watched) = profile(recording, watches)?;
    Some(Recorded {
        name: Path::new("a.rec").display().to_string(),
        profile,
        watched,
    })
}

/// What becomes of rules, in every format.
pub fn write_verdicts(
    rules: &[analysis::Rule],
    new: &Recorded,
    baselines: &[Recorded],
    out: &mut Vec<u8>,
) {
    let verdicts = analysis::check(rules, new, baselines, DEFAULT_LEVEL);
    let report = CheckReport {
        new,
        verdicts: &verdicts,
        warnings: &["a warning".to_owned()],
    };
    write_check_text(&report, out);
    write_check_junit(&report, out);
    write_check_markdown(&report, out);
}
