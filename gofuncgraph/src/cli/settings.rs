use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use super::analysis_options::{CheckOptions, DiffOptions, ReportOptions};
use super::args::{
    ColorChoice, Command as Subcommand, CommandLine, LiveArguments, PlacementChoice,
    PromotionChoice, RecordArguments, ReplayArguments, RetChoice, TraceArguments,
};
use super::list_options::ListSettings;
use super::output_options::{Format, OutputSettings};
use super::process_options::{ProcessSettings, TracedProgram};
use super::quantity::BufferSize;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Trace a running program.
    Trace(Box<Settings>),
    /// Show a recording.
    Replay(Box<ReplaySettings>),
    /// Statistics of recordings.
    Report(ReportOptions),
    /// Two recordings side by side.
    Diff(DiffOptions),
    /// A recording against rules.
    Check(CheckOptions),
    /// The functions of a program.
    List(ListSettings),
    /// Text that was asked for: a manual page, or completions for a shell.
    Print(Vec<u8>),
}

/// What showing a recording shall do. What `view` does not say about which trees are shown is as
/// the recording says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplaySettings {
    /// The recording; `None`: standard input.
    pub recording: Option<PathBuf>,
    /// What is shown.
    pub view: OutputSettings,
    /// End after so many trees.
    pub count: Option<NonZero<u64>>,
    /// Where trees go; `None`: standard output.
    pub output: Option<PathBuf>,
}

/// What tracing shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which program, and which of its processes.
    pub process: ProcessSettings,
    /// Which functions.
    pub patterns: PatternSettings,
    /// Which instructions get probes.
    pub placement: PlacementChoice,
    /// Functions whose returns are seen where they return to.
    pub promote: PromotionChoice,
    /// Compare these with probes on RETs.
    pub verify_exits: bool,
    /// Who executes the RETs that have probes.
    pub ret: RetChoice,
    /// An eBPF object to load instead of the embedded one.
    pub ebpf_object: Option<PathBuf>,
    /// Print the plan and end.
    pub dry_run: bool,
    /// Lines as they happen, or trees.
    pub mode: OutputMode,
    /// Calls that a tree may hold.
    pub max_calls: NonZero<u64>,
    /// End after so long; never zero.
    pub duration: Option<Duration>,
    /// End after so many trees.
    pub count: Option<NonZero<u64>>,
    /// Where trees or the recording go; `None`: standard output, or standard error where a
    /// program is launched, whose own the standard output is.
    pub output: Option<PathBuf>,
    /// The output is a recording.
    pub records: bool,
    /// What is shown.
    pub view: OutputSettings,
    /// Of the ring buffer.
    pub buffer: BufferSize,
    /// Say more.
    pub verbose: bool,
    /// Print the kernel programs' log.
    pub debug: bool,
}

/// Which functions the user wants, as globs over full Go names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternSettings {
    /// What is shown.
    pub wildcards: Vec<String>,
    /// Where trees start.
    pub targets: Vec<String>,
    /// What is taken away.
    pub excludes: Vec<String>,
    /// Take names with `/vendor/` away.
    pub exclude_vendor: bool,
}

/// When something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputMode {
    /// Each line as it happens.
    Stream,
    /// Each tree when its root has returned.
    Trees {
        /// Only trees that took at least so long.
        slower_than: Option<Duration>,
    },
}

/// What the process's environment says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// NO_COLOR is set and not empty (<https://no-color.org>).
    pub no_color: bool,
}

impl Environment {
    /// The one that this process has.
    pub fn of_this_process() -> Self {
        Self {
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
        }
    }
}

/// Why arguments that are right one by one make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A pattern of no characters.
    #[error("an empty pattern matches nothing: write '*' for everything")]
    EmptyPattern,
    /// Recording of arguments is asked for.
    #[error(
        "'{target}' holds a rule for arguments, which this version cannot do yet: \
         give the function's name alone{}",
        if name.is_empty() { String::new() } else { format!(", '{name}'") }
    )]
    ArgumentRule {
        /// As given.
        target: String,
        /// Without the rule.
        name: String,
    },
    /// No program is named.
    #[error(
        "name the executable file that the program runs, or a process (--pid PID or --name NAME), \
         or a program to launch (-- COMMAND)"
    )]
    NoBinary,
    /// A program is named in two ways.
    #[error(
        "{} is no target: with --pid, --name or -- COMMAND the program is known, and all other \
         words are patterns of functions; leave it out", path.display()
    )]
    BinaryAmongTargets {
        /// As given.
        path: PathBuf,
    },
    /// Nothing stands behind `--`.
    #[error("name the program to launch, and its arguments, behind '--'")]
    NothingToLaunch,
    /// `--follow-forks` of all processes.
    #[error(
        "--follow-forks is for --pid, --name and -- COMMAND: of BINARY every process is traced"
    )]
    NothingToFollow,
    /// `--exit-status`, but nothing is launched.
    #[error("--exit-status is that of a program to launch: write it behind '--'")]
    NoCommandToEndWith,
    /// A recording would go to the standard output of the program that is launched.
    #[error(
        "the recording would be mixed with what the launched program prints: \
         name a file, as in --output FILE"
    )]
    RecordingAmongOutput,
    /// `list` without a program.
    #[error("name the executable file whose functions are to be listed, or a process: --pid PID")]
    NothingToList,
    /// `man` of a command that there is not.
    #[error("there is no command {name} to print a page of: use one of {pages}")]
    NoSuchPage {
        /// As given.
        name: String,
        /// Those that there are.
        pages: String,
    },
    /// `--duration 0s`.
    #[error("--duration has to be longer than nothing")]
    NoDuration,
    /// `--calls-slower-than 0s`.
    #[error("--calls-slower-than has to be longer than nothing: no call is shorter than 0s")]
    NothingIsShorter,
    /// `--net` of a format without durations of its own.
    #[error(
        "--net changes durations, and {format} shows moments, which stay: \
         use another format, or leave out --net"
    )]
    NetMoments {
        /// As it is called.
        format: &'static str,
    },
    /// `--from` is not before `--to`.
    #[error("--from has to be earlier than --to: nothing lies in between")]
    EmptyWindow,
    /// Two formats would be mixed.
    #[error(
        "'{first}' and '{second}' would be mixed in one output: give one of them a file, \
         as in --format {second}:FILE"
    )]
    TwoFormatsInOne {
        /// One of them.
        first: &'static str,
        /// Another.
        second: &'static str,
    },
    /// Two outputs would overwrite one another.
    #[error("two outputs would go to {}: name another file for one of them", path.display())]
    TwoOutputsInOneFile {
        /// Where.
        path: PathBuf,
    },
    /// `--output`, but every format has a file.
    #[error(
        "nothing would go to --output {}: every --format has a file of its own; leave out one or the other",
        path.display()
    )]
    UnusedOutput {
        /// As given.
        path: PathBuf,
    },
    /// More than one `record:FILE`.
    #[error("a run makes one recording: name one record:FILE, or --output of record")]
    SeveralRecordings,
    /// `record:FILE` of a replay.
    #[error("record:FILE is for live traces: a recording is copied with cp")]
    RecordingOfRecording,
}

/// Calls that a tree may hold unless the command line says otherwise.
const DEFAULT_MAX_CALLS: NonZero<u64> = NonZero::new(1_000_000).expect("it is not zero");

impl Command {
    /// Applies every rule that concerns more than the form of one value.
    pub(super) fn resolve(
        line: CommandLine,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        match line.command {
            Some(Subcommand::Report(options)) => return Ok(Self::Report(options)),
            Some(Subcommand::Diff(options)) => return Ok(Self::Diff(options)),
            Some(Subcommand::Check(options)) => return Ok(Self::Check(options)),
            Some(Subcommand::List(list)) => return Ok(Self::List(ListSettings::resolve(list)?)),
            Some(Subcommand::Man(manual)) => return Ok(Self::Print(manual.text()?)),
            Some(Subcommand::Completions(completions)) => {
                return Ok(Self::Print(completions.text()));
            }
            Some(Subcommand::Record(record)) => {
                let RecordArguments { trace, output } = *record;
                let output = unless_standard_stream(output);
                Settings::resolve(trace, output, true, environment)
            }
            Some(Subcommand::Replay(replay)) => {
                let settings = ReplaySettings::resolve(replay, environment)?;
                return Ok(Self::Replay(Box::new(settings)));
            }
            None => {
                let LiveArguments { trace, output } = line.live;
                Settings::resolve(trace, output, false, environment)
            }
        }
        .map(|settings| Self::Trace(Box::new(settings)))
    }
}

impl ReplaySettings {
    fn resolve(
        arguments: ReplayArguments,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        let output = arguments.output;
        let view = (arguments.view).resolve(output.as_deref(), Some(Format::Text), environment)?;
        if view.recording.is_some() {
            return Err(SettingsError::RecordingOfRecording);
        }
        Ok(Self {
            recording: unless_standard_stream(arguments.recording),
            view,
            count: arguments.count.and_then(NonZero::new),
            output,
        })
    }
}

impl Environment {
    pub(super) fn allowed(&self, color: ColorChoice) -> ColorChoice {
        match color {
            ColorChoice::Auto if self.no_color => ColorChoice::Never,
            choice => choice,
        }
    }
}

/// `None` for `-`.
fn unless_standard_stream(path: PathBuf) -> Option<PathBuf> {
    (path.as_os_str() != "-").then_some(path)
}

impl Settings {
    fn resolve(
        trace: TraceArguments,
        output: Option<PathBuf>,
        records: bool,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        if trace.duration == Some(Duration::ZERO) {
            return Err(SettingsError::NoDuration);
        }
        let mut targets = trace.targets;
        let process = trace.process.resolve(trace.binary, &mut targets)?;
        let launches = matches!(process.program, TracedProgram::Command(_));
        if launches && records && output.is_none() {
            return Err(SettingsError::RecordingAmongOutput);
        }
        targets.iter().try_for_each(|target| check_target(target))?;
        let count = trace.count.and_then(NonZero::new);
        let view = trace.view;
        let view = if records {
            let view = view.resolve(None, None, environment)?;
            check_beside_recording(&view, output.is_none())?;
            view
        } else {
            view.resolve(output.as_deref(), Some(Format::Text), environment)?
        };
        let mode = view.mode(!targets.is_empty() || count.is_some());
        Ok(Self {
            process,
            patterns: PatternSettings {
                wildcards: split_patterns(&trace.uprobe_wildcards)?,
                targets,
                excludes: split_patterns(&trace.exclude)?,
                exclude_vendor: trace.exclude_vendor,
            },
            placement: trace.placement,
            promote: trace.promote,
            verify_exits: trace.verify_exits,
            ret: trace.ret,
            ebpf_object: trace.ebpf_object,
            dry_run: trace.dry_run,
            mode,
            max_calls: view.max_calls.unwrap_or(DEFAULT_MAX_CALLS),
            duration: trace.duration,
            count,
            output,
            records,
            view,
            buffer: trace.buffer,
            verbose: trace.verbose,
            debug: trace.debug,
        })
    }
}

/// Demands that what is shown beside a recording is neither another nor where that goes.
fn check_beside_recording(
    view: &OutputSettings,
    to_standard_output: bool,
) -> Result<(), SettingsError> {
    if view.recording.is_some() {
        return Err(SettingsError::SeveralRecordings);
    }
    let shown = view.formats.iter().find(|request| request.file.is_none());
    match shown {
        Some(request) if to_standard_output => Err(SettingsError::TwoFormatsInOne {
            first: "record",
            second: request.format.name(),
        }),
        _ => Ok(()),
    }
}

/// The patterns in comma-separated lists. Commas in brackets belong to the names of generic
/// functions and of closures' types. What is empty between two commas is left out.
pub(super) fn split_patterns(lists: &[String]) -> Result<Vec<String>, SettingsError> {
    let mut patterns = Vec::new();
    for list in lists {
        let known = patterns.len();
        let mut depth = 0usize;
        let pieces = list.split(|letter: char| {
            match letter {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            letter == ',' && depth == 0
        });
        patterns.extend(
            pieces
                .map(str::trim)
                .filter(|piece| !piece.is_empty())
                .map(str::to_owned),
        );
        if patterns.len() == known {
            return Err(SettingsError::EmptyPattern);
        }
    }
    Ok(patterns)
}

fn check_target(target: &str) -> Result<(), SettingsError> {
    if target.is_empty() {
        return Err(SettingsError::EmptyPattern);
    }
    match split_argument_rule(target) {
        Some(name) => Err(SettingsError::ArgumentRule {
            target: target.to_owned(),
            name: name.to_owned(),
        }),
        None => Ok(()),
    }
}

/// What stands before the parentheses that end `target` and hold a `=`.
fn split_argument_rule(target: &str) -> Option<&str> {
    if !target.ends_with(')') {
        return None;
    }
    let mut depth = 0usize;
    let (opening, _) = target.char_indices().rev().find(|&(_, letter)| {
        match letter {
            ')' => depth += 1,
            '(' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })?;
    let (name, rule) = target.split_at_checked(opening)?;
    rule.contains('=').then_some(name)
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
