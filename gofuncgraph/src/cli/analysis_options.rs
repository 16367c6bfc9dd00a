//! The arguments of `report`, `diff` and `check`.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum, value_parser};

/// What a table of functions is sorted by, the largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SortKey {
    /// Time inside, callees included.
    #[default]
    Total,
    /// Time inside without traced callees.
    #[value(name = "self")]
    SelfTime,
    /// Number of calls.
    Calls,
    /// The shortest duration.
    Min,
    /// The median of the durations.
    P50,
    /// Nine of ten calls took at most so long.
    P90,
    /// 99 of 100 calls took at most so long.
    P99,
    /// The longest duration.
    Max,
    /// Name, from A to Z.
    Name,
}

/// How a comparison is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// Tables for a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Jsonl,
    /// GitHub-flavoured Markdown.
    Markdown,
}

/// Statistics of one or several recordings together.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ReportOptions {
    /// The recordings; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// One tree of all call paths instead of a table of functions
    #[arg(long)]
    pub tree: bool,

    /// What comes first
    #[arg(long, value_name = "KEY", value_enum, default_value_t)]
    pub sort: SortKey,

    /// Take what probes inside of a call cost the program, as measured when tracing began, off
    /// its duration
    #[arg(long)]
    pub net: bool,
}

/// Two recordings, function by function and path by path.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct DiffOptions {
    /// The recording to compare with; - is standard input
    #[arg(value_name = "BASE")]
    pub base: PathBuf,

    /// The recording to compare
    #[arg(value_name = "NEW")]
    pub new: PathBuf,

    /// How the comparison is written
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: DiffFormat,

    /// Show only the N functions and paths that cost most; jsonl has all
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    pub top: Option<u32>,
}

/// A recording against rules.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct CheckOptions {
    /// The recording to check; - is standard input. It stands first, because --baseline and
    /// --fail-if take every word up to the next option
    #[arg(value_name = "NEW")]
    pub new: PathBuf,

    /// Recordings that rules with 'baseline' compare with; they fail only if they do for each
    #[arg(long, value_name = "BASE", num_args = 1.., action = ArgAction::Append)]
    pub baseline: Vec<PathBuf>,

    /// Fail if this holds, for instance 'p99(main.f) > 50ms', 'p50(main.f) > 1.2 * baseline',
    /// 'calls(main.query) > 10 per main.handle', 'self(net/http.*) > 5%', 'lost > 0'
    #[arg(
        long,
        value_name = "EXPR",
        num_args = 1..,
        action = ArgAction::Append,
        required_unless_present = "rules"
    )]
    pub fail_if: Vec<String>,

    /// Rules from a file: one a line, # begins a comment
    #[arg(long, value_name = "FILE", action = ArgAction::Append)]
    pub rules: Vec<PathBuf>,

    /// A difference from a baseline is real if chance makes one like it in at most so many cases,
    /// from 0.001 to 0.5; the functions of one rule share it
    #[arg(long, value_name = "P", default_value = "0.01", value_parser = parse_level)]
    level: Level,

    /// Also write the outcome to FILE as JUnit XML; - writes it instead of the text
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,

    /// Also write the outcome to FILE as GitHub-flavoured Markdown; - writes it instead of the text
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

impl CheckOptions {
    /// A difference is real if chance makes one like it in at most this share of cases.
    pub fn level(&self) -> f64 {
        f64::from(self.level.per_million) / PER_MILLION
    }
}

const PER_MILLION: f64 = 1_000_000.0;

/// The level of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Level {
    per_million: u32,
}

fn parse_level(text: &str) -> Result<Level, String> {
    text.parse()
        .ok()
        .filter(|level: &f64| (0.001..=0.5).contains(level))
        .map(|level| Level {
            // Rounded to a number far below 2^32.
            per_million: (level * PER_MILLION).round() as u32,
        })
        .ok_or_else(|| format!("'{text}' is not a number from 0.001 to 0.5"))
}
