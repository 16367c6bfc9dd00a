use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use super::args::{Arguments, ColorChoice, PlacementChoice};
use super::quantity::{BufferSize, TimeDigits};

/// What one run shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The executable file.
    pub binary: PathBuf,
    /// Which functions.
    pub patterns: PatternSettings,
    /// Which instructions get probes.
    pub placement: PlacementChoice,
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
    /// Where trees go; `None`: standard output.
    pub output: Option<PathBuf>,
    /// [`ColorChoice::Auto`] only if NO_COLOR does not forbid it.
    pub color: ColorChoice,
    /// Decimals of the seconds.
    pub time_digits: TimeDigits,
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
    /// Something stands after `--`.
    #[error(
        "nothing may follow '--': it is reserved for a command to launch, which this version \
         cannot do yet. Start the program by itself; the tracer also waits for one that starts later"
    )]
    CommandToLaunch,
    /// `--duration 0s`.
    #[error("--duration has to be longer than nothing")]
    NoDuration,
}

impl Settings {
    /// Applies every rule that concerns more than the form of one value.
    pub(super) fn resolve(
        arguments: Arguments,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        if arguments.duration == Some(Duration::ZERO) {
            return Err(SettingsError::NoDuration);
        }
        arguments
            .targets
            .iter()
            .try_for_each(|target| check_target(target))?;
        let count = arguments.count.and_then(NonZero::new);
        let slower_than = arguments.slower_than;
        let whole_trees = !arguments.targets.is_empty() || count.is_some() || slower_than.is_some();
        let mode = if arguments.stream || !whole_trees {
            OutputMode::Stream
        } else {
            OutputMode::Trees { slower_than }
        };
        let color = match arguments.color {
            ColorChoice::Auto if environment.no_color => ColorChoice::Never,
            choice => choice,
        };
        Ok(Self {
            binary: arguments.binary,
            patterns: PatternSettings {
                wildcards: split_patterns(&arguments.uprobe_wildcards)?,
                targets: arguments.targets,
                excludes: split_patterns(&arguments.exclude)?,
                exclude_vendor: arguments.exclude_vendor,
            },
            placement: arguments.placement,
            ebpf_object: arguments.ebpf_object,
            dry_run: arguments.dry_run,
            mode,
            max_calls: NonZero::new(arguments.max_calls).unwrap_or(NonZero::<u64>::MIN),
            duration: arguments.duration,
            count,
            output: arguments.output,
            color,
            time_digits: arguments.time_digits,
            buffer: arguments.buffer,
            verbose: arguments.verbose,
            debug: arguments.debug,
        })
    }
}

/// The patterns in comma-separated lists. Commas in brackets belong to the names of generic
/// functions and of closures' types. What is empty between two commas is left out.
fn split_patterns(lists: &[String]) -> Result<Vec<String>, SettingsError> {
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
