use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, value_parser};

use super::analysis_options::{CheckOptions, DiffOptions, ReportOptions};
use super::help::after_help;
use super::list_options::{AFTER_LIST_HELP, LIST_USAGE, ListArguments};
use super::manual::{CompletionArguments, ManualArguments};
use super::output_options::OutputOptions;
use super::process_options::ProcessOptions;
use super::quantity::{BufferSize, parse_buffer_size, parse_duration};

const LIVE_USAGE: &str = "\
gofuncgraph [OPTIONS] <BINARY> [TARGET]...
       gofuncgraph [OPTIONS] --pid <PID> | --name <NAME> [TARGET]...
       gofuncgraph [OPTIONS] [TARGET]... -- <COMMAND> [ARGUMENT]...
       gofuncgraph <COMMAND>";

const RECORD_USAGE: &str = "\
gofuncgraph record [OPTIONS] <BINARY> [TARGET]...
       gofuncgraph record [OPTIONS] --pid <PID> | --name <NAME> [TARGET]...
       gofuncgraph record [OPTIONS] [TARGET]... -- <COMMAND> [ARGUMENT]...";

const AFTER_RECORD_HELP: &str = "\
Examples:
  gofuncgraph record -u 'net/http*' --duration 10s ./server '*handleBar'
  gofuncgraph record -o - --count 100 ./server '*handleBar' | gofuncgraph replay -
Notes: the recording holds every event, whatever is shown: output options given here only decide what
--count counts, and are what replay uses unless it is told otherwise.";

// clap would write NEW last, where --baseline or --fail-if would take it.
pub(super) const CHECK_USAGE: &str = "\
gofuncgraph check <NEW> [--baseline <BASE>...] [--fail-if <EXPR>...] [--rules <FILE>] [OPTIONS]";

const AFTER_REPLAY_HELP: &str = "\
Examples:
  gofuncgraph replay -f graph --top 3 gofuncgraph.rec
  gofuncgraph replay --slower-than 250ms --only 'main.*' gofuncgraph.rec
  gofuncgraph replay -f chrome:trace.json gofuncgraph.rec";

const AFTER_MAN_HELP: &str = "\
Examples:
  gofuncgraph man | man -l -
  gofuncgraph man record >/usr/local/share/man/man1/gofuncgraph-record.1";

const AFTER_COMPLETIONS_HELP: &str = "\
Examples:
  gofuncgraph completions bash >~/.local/share/bash-completion/completions/gofuncgraph
  gofuncgraph completions zsh >/usr/local/share/zsh/site-functions/_gofuncgraph
  gofuncgraph completions fish >~/.config/fish/completions/gofuncgraph.fish";

const AFTER_CHECK_HELP: &str = "\
Examples:
  gofuncgraph check new.rec --fail-if 'p99(main.handleBar) > 50ms' 'lost > 0'
  gofuncgraph check new.rec --baseline base.rec --fail-if 'p50(main.handleBar) > 1.2 * baseline'
docs/CHECK.md describes the rules.

Exit status: 0 if no rule failed, 10 if one did, 2 if a rule or option makes no sense, 1 if a file
cannot be read or written";

/// Print call trees of a running Go program, with wall times.
///
/// Probes are placed on the functions that were chosen, in every process that runs BINARY or
/// starts to; the program is neither rebuilt nor restarted. TARGETs say where a tree starts,
/// --uprobe-wildcards what is shown in it. With --pid, --name or -- COMMAND one process is traced
/// alone, and all words are TARGETs. Ctrl-C ends tracing and leaves the program as it was.
///
/// A pattern (TARGET, GLOB) matches a function's whole name as Go writes it, for instance
/// net/http.(*conn).serve: * stands for any text, ? for one character.
///
/// A program whose path is the name of a command has to be written with ./ in front.
#[derive(Clone, Debug, Parser)]
#[command(name = "gofuncgraph", version, after_help = after_help(), max_term_width = 100,
    disable_help_flag = true, disable_version_flag = true,
    args_conflicts_with_subcommands = true, subcommand_negates_reqs = true,
    subcommand_help_heading = "Commands", override_usage = LIVE_USAGE)]
pub(super) struct CommandLine {
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    #[command(flatten)]
    pub(super) live: LiveArguments,

    /// Print this; -h prints less
    #[arg(short, long, action = ArgAction::Help, help_heading = "Other", global = true)]
    help: Option<bool>,

    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = "Other")]
    version: Option<bool>,
}

/// What the first word can be.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// Trace, and keep what happens in a file
    #[command(after_help = AFTER_RECORD_HELP, disable_help_flag = true,
        override_usage = RECORD_USAGE)]
    Record(Box<RecordArguments>),
    /// Show what a recording holds; needs neither privileges nor the program
    #[command(after_help = AFTER_REPLAY_HELP, disable_help_flag = true)]
    Replay(ReplayArguments),
    /// Statistics of one or several recordings together
    #[command(disable_help_flag = true)]
    Report(ReportOptions),
    /// Compare two recordings, function by function and path by path
    #[command(disable_help_flag = true)]
    Diff(DiffOptions),
    /// Functions of a program: where they are, what tracing them costs, which cannot be traced
    #[command(after_help = AFTER_LIST_HELP, disable_help_flag = true, override_usage = LIST_USAGE)]
    List(ListArguments),
    /// Fail if a recording breaks a rule, for instance against a baseline
    #[command(after_help = AFTER_CHECK_HELP, disable_help_flag = true, override_usage = CHECK_USAGE)]
    Check(CheckOptions),
    /// Print the manual page of gofuncgraph, or of one of its commands, for man -l -
    #[command(after_help = AFTER_MAN_HELP, disable_help_flag = true)]
    Man(ManualArguments),
    /// Print what lets a shell complete commands and options
    #[command(after_help = AFTER_COMPLETIONS_HELP, disable_help_flag = true)]
    Completions(CompletionArguments),
}

/// A trace that is shown while it happens.
#[derive(Clone, Debug, Args)]
pub(super) struct LiveArguments {
    #[command(flatten)]
    pub(super) trace: TraceArguments,

    /// Write to FILE instead of standard output what has no file of its own
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(super) output: Option<PathBuf>,
}

/// A trace that is kept.
#[derive(Clone, Debug, Args)]
pub(super) struct RecordArguments {
    #[command(flatten)]
    pub(super) trace: TraceArguments,

    /// The recording to write; - is standard output
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "gofuncgraph.rec",
        help_heading = "Output"
    )]
    pub(super) output: PathBuf,
}

/// A recording that is shown.
#[derive(Clone, Debug, Args)]
pub(super) struct ReplayArguments {
    /// The recording; - is standard input
    #[arg(value_name = "FILE")]
    pub(super) recording: PathBuf,

    #[command(flatten)]
    pub(super) view: OutputOptions,

    /// End when N trees were finished and printed
    #[arg(
        long,
        value_name = "N",
        value_parser = value_parser!(u64).range(1..),
        help_heading = "When to stop"
    )]
    pub(super) count: Option<u64>,

    /// Write to FILE instead of standard output what has no file of its own
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(super) output: Option<PathBuf>,
}

/// What is traced, until when, and how.
#[derive(Clone, Debug, Args)]
pub(super) struct TraceArguments {
    /// The executable file that the program runs, unless the process is chosen otherwise
    #[arg(value_name = "BINARY")]
    pub(super) binary: Option<OsString>,

    /// Where a tree starts. None: every attached function can start one
    #[arg(value_name = "TARGET")]
    pub(super) targets: Vec<String>,

    #[command(flatten)]
    pub(super) process: ProcessOptions,

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
        hide_short_help = true,
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

    /// Print the probes that would be placed and, as root, what a call would cost, and end
    #[arg(long, help_heading = "What to trace")]
    pub(super) dry_run: bool,

    /// Which instructions get probes
    #[arg(long, value_enum, default_value_t, hide = true)]
    pub(super) placement: PlacementChoice,

    /// Functions whose returns are seen where they return to, which costs the program a tenth:
    /// auto means those that are called often, all means targets as well
    #[arg(
        long,
        hide_short_help = true,
        value_name = "WHICH",
        value_enum,
        default_value_t,
        help_heading = "What to trace"
    )]
    pub(super) promote: PromotionChoice,

    /// Keep the probes on RETs beside what --promote puts in place, and compare
    #[arg(long, hide = true)]
    pub(super) verify_exits: bool,

    /// Who executes probed RETs: the kernel (step), or programs where it lets them (emulate)
    #[arg(long, value_name = "HOW", value_enum, default_value_t, hide = true)]
    pub(super) ret: RetChoice,

    /// Load this eBPF object instead of the embedded one, to test a new one
    #[arg(long, value_name = "FILE", hide = true)]
    pub(super) ebpf_object: Option<PathBuf>,

    // Here, so that help tells what is shown before it tells what else there is.
    #[command(flatten)]
    pub(super) view: OutputOptions,

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

    /// Ring buffer between kernel and tracer; rounded up to a power of two, at most 1G. Larger
    /// loses fewer events
    #[arg(
        long,
        hide_short_help = true,
        allow_hyphen_values = true,
        value_name = "SIZE",
        default_value = "16M",
        value_parser = parse_buffer_size,
        help_heading = "Other"
    )]
    pub(super) buffer: BufferSize,

    /// Say more about what is done, on standard error
    #[arg(short, long, overrides_with = "verbose", help_heading = "Other")]
    pub(super) verbose: bool,

    /// Also print the log of the programs in the kernel; slows every event down
    #[arg(short, long, hide_short_help = true, help_heading = "Other")]
    pub(super) debug: bool,
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

/// Functions whose returns are seen at the places that they return to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PromotionChoice {
    /// Those that are called often, but for targets.
    #[default]
    Auto,
    /// None.
    Off,
    /// Every one that is called.
    All,
    /// For tests: every one that is called, and none, by turns.
    #[value(hide = true)]
    Alternate,
}

/// Who executes the RETs that have probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RetChoice {
    /// The programs of the probes where the kernel lets them, else the kernel.
    #[default]
    Auto,
    /// The kernel, which single-steps a copy of each.
    Step,
    /// The programs of the probes.
    Emulate,
}

/// A whole number of at least 1.
pub(super) fn parse_count(text: &str) -> Result<u64, String> {
    text.parse()
        .ok()
        .filter(|&count| count >= 1)
        .ok_or_else(|| format!("'{text}' is not a whole number of at least 1"))
}
