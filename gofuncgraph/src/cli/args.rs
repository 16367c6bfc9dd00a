use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, ValueEnum};

use super::quantity::{BufferSize, TimeDigits, parse_buffer_size, parse_duration};

const AFTER_HELP: &str = "\
Examples:
  gofuncgraph ./server '*handleBar'
      When does a request for /bar run, and how long?
  gofuncgraph -u 'net/http*' -u 'main.*' --slower-than 250ms ./server '*handleBar'
      Only the slow ones, with what they called.
  gofuncgraph --dry-run -u 'net/http*' ./server
      Which probes would that take? Needs no privileges.

Exit status:
  0    traced, even if no tree was seen or events were lost
  1    something failed while tracing
  2    the command line makes no sense, or the executable is not there
  3    a pattern matches no function that can be attached
  4    not permitted: the message names the missing capability
  5    the executable or the kernel is not supported
  130  ended at once by a second Ctrl-C";

/// Print call trees of a running Go program, with wall times.
///
/// Probes are placed on the functions that were chosen, in every process that runs BINARY or
/// starts to; the program is neither rebuilt nor restarted. TARGETs say where a tree starts,
/// --uprobe-wildcards what is shown in it. Ctrl-C ends tracing and leaves the program as it was.
///
/// A pattern (TARGET, GLOB) matches a function's whole name as Go writes it, for instance
/// net/http.(*conn).serve: * stands for any text, ? for one character.
#[derive(Clone, Debug, Parser)]
#[command(name = "gofuncgraph", version, after_help = AFTER_HELP, max_term_width = 100,
    disable_help_flag = true, disable_version_flag = true)]
pub(super) struct Arguments {
    /// The executable file that the program runs
    #[arg(value_name = "BINARY")]
    pub(super) binary: PathBuf,

    /// Where a tree starts. None: every attached function can start one
    #[arg(value_name = "TARGET")]
    pub(super) targets: Vec<String>,

    /// Also show these functions; repeatable, and several with commas between them. Without it
    /// and without targets: the functions of the program's own module
    #[arg(
        short,
        long,
        value_name = "GLOB",
        action = ArgAction::Append,
        help_heading = "What to trace"
    )]
    pub(super) uprobe_wildcards: Vec<String>,

    /// Attach none of these functions, not even as targets; repeatable, and with commas
    #[arg(long, value_name = "GLOB", action = ArgAction::Append, help_heading = "What to trace")]
    pub(super) exclude: Vec<String>,

    /// Attach no function with /vendor/ in its name
    #[arg(
        short = 'x',
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        hide_possible_values = true,
        action = ArgAction::Set,
        help_heading = "What to trace"
    )]
    pub(super) exclude_vendor: bool,

    /// Print the probes that would be placed, and end
    #[arg(long, help_heading = "What to trace")]
    pub(super) dry_run: bool,

    /// Which instructions get probes
    #[arg(long, value_enum, default_value_t, hide = true)]
    pub(super) placement: PlacementChoice,

    /// Load this eBPF object instead of the embedded one, to test a new one
    #[arg(long, value_name = "FILE", hide = true)]
    pub(super) ebpf_object: Option<PathBuf>,

    /// Print each line as it happens instead of whole trees; the default without targets, unless
    /// --count or --slower-than is given
    #[arg(long, help_heading = "What to show")]
    pub(super) stream: bool,

    /// Only trees that took at least so long, for instance 5us, 250ms, 1.5s
    #[arg(
        long,
        allow_hyphen_values = true,
        value_name = "DURATION",
        value_parser = parse_duration,
        conflicts_with = "stream",
        help_heading = "What to show"
    )]
    pub(super) slower_than: Option<Duration>,

    /// Calls that a tree may hold; what has more is printed in pieces
    #[arg(
        long,
        allow_hyphen_values = true,
        value_name = "N",
        default_value_t = 1_000_000,
        value_parser = parse_count,
        help_heading = "What to show"
    )]
    pub(super) max_calls: u64,

    /// End after so long, counted from "tracing started"
    #[arg(
        long,
        allow_hyphen_values = true,
        value_name = "DURATION",
        value_parser = parse_duration,
        help_heading = "When to stop"
    )]
    pub(super) duration: Option<Duration>,

    /// End when N trees were finished and printed
    #[arg(
        long,
        allow_hyphen_values = true,
        value_name = "N",
        value_parser = parse_count,
        help_heading = "When to stop"
    )]
    pub(super) count: Option<u64>,

    /// Write trees to FILE instead of standard output
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(super) output: Option<PathBuf>,

    /// Colour: auto means on a terminal, unless NO_COLOR is set
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub(super) color: ColorChoice,

    /// Decimals of the seconds in times and durations, 4 to 9
    #[arg(
        long,
        allow_hyphen_values = true,
        value_name = "N",
        default_value = "6",
        value_parser = parse_time_digits,
        help_heading = "Output"
    )]
    pub(super) time_digits: TimeDigits,

    /// Ring buffer between kernel and tracer; rounded up to a power of two, at most 1G. Larger
    /// loses fewer events
    #[arg(
        long,
        allow_hyphen_values = true,
        value_name = "SIZE",
        default_value = "16M",
        value_parser = parse_buffer_size,
        help_heading = "Other"
    )]
    pub(super) buffer: BufferSize,

    /// Say more about what is done, on standard error
    #[arg(short, long, help_heading = "Other")]
    pub(super) verbose: bool,

    /// Also print the log of the programs in the kernel; slows every event down
    #[arg(short, long, help_heading = "Other")]
    pub(super) debug: bool,

    /// Print this; -h prints less
    #[arg(short, long, action = ArgAction::Help, help_heading = "Other")]
    help: Option<bool>,

    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = "Other")]
    version: Option<bool>,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

impl ColorChoice {
    /// Whether to colour what goes to a terminal, or to something else.
    pub fn applies_to(self, is_terminal: bool) -> bool {
        match self {
            Self::Auto => is_terminal,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Which instructions get probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PlacementChoice {
    /// Where a probe is exact and cheap.
    #[default]
    Standard,
    /// At the first instruction and every RET, to compare with.
    Classic,
}

fn parse_count(text: &str) -> Result<u64, String> {
    text.parse()
        .ok()
        .filter(|&count| count >= 1)
        .ok_or_else(|| format!("'{text}' is not a whole number of at least 1"))
}

fn parse_time_digits(text: &str) -> Result<TimeDigits, String> {
    text.parse()
        .ok()
        .and_then(TimeDigits::new)
        .ok_or_else(|| format!("'{text}' is not a number from 4 to 9"))
}
