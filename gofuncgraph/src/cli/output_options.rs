//! What is shown of a trace, in which formats, and where it goes: the same for a live trace and
//! for a recording.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum, value_parser};

use super::analysis_options::SortKey;
use super::args::ColorChoice;
use super::moment::{Moment, parse_moment};
use super::quantity::{TimeDigits, parse_duration};
use super::settings::{Environment, OutputMode, SettingsError, split_patterns};

/// Options, to be flattened into a command's.
#[derive(Clone, Debug, Args)]
pub(super) struct OutputOptions {
    /// Print each line as it happens instead of whole trees; the default without targets, unless
    /// --count, --slower-than or --top is given
    #[arg(long, help_heading = "What to show")]
    stream: bool,

    /// Only trees that took at least so long, for instance 5us, 250ms, 1.5s
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = parse_duration,
        conflicts_with = "stream",
        help_heading = "What to show"
    )]
    slower_than: Option<Duration>,

    /// Only the N slowest trees, printed at the end, the slowest first
    #[arg(
        long,
        value_name = "N",
        value_parser = value_parser!(u32).range(1..),
        conflicts_with = "stream",
        help_heading = "What to show"
    )]
    top: Option<u32>,

    /// Hide calls that took less; their number and time are told where they were
    #[arg(
        long,
        hide_short_help = true,
        alias = "time-filter",
        value_name = "DURATION",
        value_parser = parse_duration,
        help_heading = "What to show"
    )]
    calls_slower_than: Option<Duration>,

    /// Take what probes inside of a call cost the program, as measured when tracing began, off
    /// its duration
    #[arg(
        long,
        hide_short_help = true,
        conflicts_with_all = ["top", "calls_slower_than"],
        help_heading = "What to show"
    )]
    net: bool,

    /// Show N levels of calls
    #[arg(
        long,
        aliases = ["depth", "max-graph-depth"],
        value_name = "N",
        value_parser = value_parser!(u32).range(1..),
        help_heading = "What to show"
    )]
    max_depth: Option<u32>,

    /// Show calls of these functions only, as if no others were traced; repeatable, and several
    /// with commas between them
    #[arg(long, value_name = "GLOB", action = ArgAction::Append, help_heading = "What to show")]
    only: Vec<String>,

    /// Do not show calls of these functions, as if they were not traced; repeatable, and with
    /// commas
    #[arg(
        long,
        short_alias = 'H',
        value_name = "GLOB",
        action = ArgAction::Append,
        help_heading = "What to show"
    )]
    hide: Vec<String>,

    /// Show this goroutine; repeatable, and with commas
    #[arg(
        long,
        hide_short_help = true,
        value_name = "ID",
        action = ArgAction::Append,
        value_delimiter = ',',
        help_heading = "What to show"
    )]
    goid: Vec<u64>,

    /// Leave out calls that were over before: 1.5s after the beginning, 15:04:05.25 or
    /// '02 15:04:05.25' in local time, or 2006-01-02T15:04:05Z
    #[arg(
        long,
        hide_short_help = true,
        value_name = "MOMENT",
        value_parser = parse_moment,
        help_heading = "What to show"
    )]
    from: Option<Moment>,

    /// Leave out calls that began then or later
    #[arg(
        long,
        hide_short_help = true,
        value_name = "MOMENT",
        value_parser = parse_moment,
        help_heading = "What to show"
    )]
    to: Option<Moment>,

    /// Calls that a tree may hold; what has more is printed in pieces [default: 1000000]
    #[arg(
        long,
        hide_short_help = true,
        value_name = "N",
        value_parser = value_parser!(u64).range(1..),
        help_heading = "What to show"
    )]
    max_calls: Option<u64>,

    /// How to write it: text (the default), graph, functrace, jsonl, chrome, folded or summary, to
    /// FILE instead of where output goes; record:FILE makes a recording. Repeatable: all but one
    /// need a FILE
    #[arg(
        short,
        long,
        value_name = "FORMAT[:FILE]",
        action = ArgAction::Append,
        value_parser = parse_request,
        help_heading = "Output"
    )]
    format: Vec<Request>,

    /// Leave this out where names and paths begin with it, in the format graph; repeatable
    #[arg(
        long,
        alias = "trimprefix",
        hide_short_help = true,
        value_name = "TEXT",
        action = ArgAction::Append,
        help_heading = "Output"
    )]
    trim_prefix: Vec<String>,

    /// What the numbers of the format folded are: nanoseconds or calls
    #[arg(
        long,
        hide_short_help = true,
        value_name = "VALUE",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    fold_by: FoldBy,

    /// What the table of the format summary is sorted by
    #[arg(
        long,
        hide_short_help = true,
        value_name = "KEY",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    sort: SortKey,

    /// Colour: auto means on a terminal, unless NO_COLOR is set
    #[arg(
        long,
        hide_short_help = true,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    color: ColorChoice,

    /// Decimals of the seconds in times and durations, 4 to 9
    #[arg(
        long,
        hide_short_help = true,
        value_name = "N",
        default_value = "6",
        value_parser = parse_time_digits,
        help_heading = "Output"
    )]
    time_digits: TimeDigits,
}

/// What is shown, ready to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputSettings {
    /// What is written. Empty only if nothing but a recording is.
    pub formats: Vec<FormatRequest>,
    /// Where a recording is made while looking.
    pub recording: Option<PathBuf>,
    /// Lines as they happen were asked for; see [`OutputSettings::mode`].
    pub stream: bool,
    /// Only trees that took at least so long.
    pub slower_than: Option<Duration>,
    /// Only so many trees, the slowest.
    pub top: Option<NonZero<u32>>,
    /// Calls that took less are hidden.
    pub calls_slower_than: Option<Duration>,
    /// Durations are without what probes cost.
    pub net: bool,
    /// So many levels.
    pub max_depth: Option<NonZero<u32>>,
    /// Globs; none: all functions.
    pub only: Vec<String>,
    /// Globs.
    pub hide: Vec<String>,
    /// Goroutines; none: all.
    pub goids: Vec<u64>,
    /// Calls that were over before are left out.
    pub from: Option<Moment>,
    /// Calls that began then or later are left out.
    pub to: Option<Moment>,
    /// Calls that a tree may hold, if the command line says.
    pub max_calls: Option<NonZero<u64>>,
    /// For [`Format::Graph`].
    pub trim_prefixes: Vec<String>,
    /// For [`Format::Folded`].
    pub fold_by: FoldBy,
    /// For [`Format::Summary`].
    pub sort: SortKey,
    /// [`ColorChoice::Auto`] only if NO_COLOR does not forbid it.
    pub color: ColorChoice,
    /// Decimals of the seconds.
    pub time_digits: TimeDigits,
}

/// A format and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatRequest {
    /// Which.
    pub format: Format,
    /// `None`: standard output or `--output`. At most one of several has that.
    pub file: Option<PathBuf>,
}

/// How a trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The README's grammar.
    Text,
    /// The same tree for eyes.
    Graph,
    /// Entries and exits in the order in which they happen.
    Functrace,
    /// JSON Lines, an object a call.
    Jsonl,
    /// Trace Event JSON.
    Chrome,
    /// Folded stacks.
    Folded,
    /// A table of functions.
    Summary,
}

impl Format {
    /// All of them, as the documents order them.
    pub const ALL: [Self; 7] = [
        Self::Text,
        Self::Graph,
        Self::Functrace,
        Self::Jsonl,
        Self::Chrome,
        Self::Folded,
        Self::Summary,
    ];

    /// Whether it shows when things happened, and durations by that alone.
    pub fn shows_moments(self) -> bool {
        matches!(self, Self::Functrace | Self::Chrome)
    }

    /// What it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Graph => "graph",
            Self::Functrace => "functrace",
            Self::Jsonl => "jsonl",
            Self::Chrome => "chrome",
            Self::Folded => "folded",
            Self::Summary => "summary",
        }
    }
}

/// What folded stacks count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FoldBy {
    /// Nanoseconds outside of shown calls inside: what flame graphs are made of
    #[default]
    #[value(name = "self")]
    SelfTime,
    /// Nanoseconds from entry to end
    #[value(name = "total")]
    TotalTime,
    /// Calls
    Calls,
}

/// One value of `--format`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Request {
    Format(FormatRequest),
    Recording(PathBuf),
}

impl OutputOptions {
    /// Applies every rule that concerns more than the form of one value. `output` is where what
    /// has no file of its own goes, if that is not standard output. `default`: what is written
    /// if no format is named.
    pub(super) fn resolve(
        self,
        output: Option<&Path>,
        default: Option<Format>,
        environment: &Environment,
    ) -> Result<OutputSettings, SettingsError> {
        let mut formats = Vec::new();
        let mut recordings = Vec::new();
        for request in self.format {
            match request {
                Request::Format(request) => formats.push(request),
                Request::Recording(path) => recordings.push(path),
            }
        }
        if formats.is_empty() && recordings.is_empty() {
            formats.extend(default.map(|format| FormatRequest { format, file: None }));
        }
        check_destinations(&formats, &recordings, output)?;
        if self.net
            && let Some(request) = formats.iter().find(|it| it.format.shows_moments())
        {
            return Err(SettingsError::NetMoments {
                format: request.format.name(),
            });
        }
        if self.calls_slower_than == Some(Duration::ZERO) {
            return Err(SettingsError::NothingIsShorter);
        }
        if let Some((from, to)) = self.from.zip(self.to)
            && from.is_surely_not_before(to)
        {
            return Err(SettingsError::EmptyWindow);
        }
        Ok(OutputSettings {
            formats,
            recording: recordings.pop(),
            stream: self.stream,
            slower_than: self.slower_than,
            top: self.top.and_then(NonZero::new),
            calls_slower_than: self.calls_slower_than,
            net: self.net,
            max_depth: self.max_depth.and_then(NonZero::new),
            only: split_patterns(&self.only)?,
            hide: split_patterns(&self.hide)?,
            goids: self.goid,
            from: self.from,
            to: self.to,
            max_calls: self.max_calls.and_then(NonZero::new),
            trim_prefixes: self.trim_prefix,
            fold_by: self.fold_by,
            sort: self.sort,
            color: environment.allowed(self.color),
            time_digits: self.time_digits,
        })
    }
}

impl OutputSettings {
    /// Lines as they happen, or trees: what was asked for, else trees if `whole_trees`.
    pub fn mode(&self, whole_trees: bool) -> OutputMode {
        let slower_than = self.slower_than;
        let whole_trees = whole_trees || slower_than.is_some() || self.top.is_some();
        if self.stream || !whole_trees {
            OutputMode::Stream
        } else {
            OutputMode::Trees { slower_than }
        }
    }
}

/// Demands that no two outputs write over one another.
fn check_destinations(
    formats: &[FormatRequest],
    recordings: &[PathBuf],
    output: Option<&Path>,
) -> Result<(), SettingsError> {
    let mut without_file = formats.iter().filter(|request| request.file.is_none());
    if let (Some(first), Some(second)) = (without_file.next(), without_file.next()) {
        return Err(SettingsError::TwoFormatsInOne {
            first: first.format.name(),
            second: second.format.name(),
        });
    }
    let has_main_output = formats.iter().any(|request| request.file.is_none());
    if let Some(path) = output.filter(|_| !has_main_output) {
        return Err(SettingsError::UnusedOutput {
            path: path.to_owned(),
        });
    }
    let files = formats.iter().filter_map(|request| request.file.as_deref());
    let files = files.chain(recordings.iter().map(PathBuf::as_path));
    let mut files: Vec<&Path> = files.chain(output).collect();
    files.sort_unstable();
    match files.iter().zip(files.iter().skip(1)).find(|(a, b)| a == b) {
        Some((path, _)) => Err(SettingsError::TwoOutputsInOneFile {
            path: path.to_path_buf(),
        }),
        None if recordings.len() > 1 => Err(SettingsError::SeveralRecordings),
        None => Ok(()),
    }
}

fn parse_request(text: &str) -> Result<Request, String> {
    let (name, file) = match text.split_once(':') {
        Some((name, file)) => (name, Some(file)),
        None => (text, None),
    };
    if file == Some("") {
        return Err(format!("no file stands after '{name}:'"));
    }
    let file = file.filter(|file| *file != "-").map(PathBuf::from);
    if name == "record" {
        return file.map(Request::Recording).ok_or_else(|| {
            "a recording beside other output needs a file: write record:FILE".to_owned()
        });
    }
    match Format::ALL.into_iter().find(|format| format.name() == name) {
        Some(format) => Ok(Request::Format(FormatRequest { format, file })),
        None => Err(format!(
            "'{name}' is no format (-f is --format): use {} or record:FILE",
            Format::ALL.map(Format::name).join(", ")
        )),
    }
}

fn parse_time_digits(text: &str) -> Result<TimeDigits, String> {
    text.parse()
        .ok()
        .and_then(TimeDigits::new)
        .ok_or_else(|| format!("'{text}' is not a number from 4 to 9"))
}
