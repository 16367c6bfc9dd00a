//! Raw arguments, then resolved settings.
//!
//! [`parse`] lets clap read the words of the command line and resolves them into a
//! [`Command`], which holds values ready to use and leaves no rule about options to the rest of the program.

mod analysis_options;
mod args;
mod exit_code;
mod foreign_options;
mod help;
mod list_options;
mod manual;
mod moment;
mod output_options;
mod process_options;
mod quantity;
mod settings;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

pub use analysis_options::{CheckOptions, DiffFormat, DiffOptions, ReportOptions, SortKey};
pub use args::{ColorChoice, PlacementChoice, PromotionChoice, RetChoice};
pub use exit_code::ExitCode;
pub use list_options::{ListSettings, ListSort, Program};
pub use moment::{Moment, MomentError, parse_moment};
pub use output_options::{FoldBy, Format, FormatRequest, OutputSettings};
pub use process_options::{ProcessSettings, TracedProgram};
pub use quantity::{
    BufferSize, DurationError, SizeError, TimeDigits, parse_buffer_size, parse_duration,
};
pub use settings::{
    Command, Environment, OutputMode, PatternSettings, ReplaySettings, Settings, SettingsError,
};

/// Understands a command line, whose first word is the program's name, in the environment of
/// this process.
///
/// # Errors
/// A usage error, or the text that `--help` or `--version` asked for: `print` it and end with
/// `exit_code()`, which is 2 or 0.
pub fn parse(
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Command, clap::Error> {
    parse_in(&Environment::of_this_process(), args)
}

/// The same in a given environment.
///
/// # Errors
/// As [`parse`].
pub fn parse_in(
    environment: &Environment,
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Command, clap::Error> {
    let words: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let usage_error =
        |error: SettingsError| clap::Error::raw(ErrorKind::ValueValidation, format!("{error}\n"));
    // clap does not tell this from no `--` at all.
    let launch = words.iter().position(|word| word == "--");
    if launch.is_some_and(|at| at + 1 == words.len()) {
        return Err(usage_error(SettingsError::NothingToLaunch));
    }
    let own = launch.map_or(words.as_slice(), |at| &words[..at]);
    if let Some(help) = short_help(own) {
        return Err(help);
    }
    let line = args::CommandLine::try_parse_from(&words).map_err(|error| {
        let mut error = foreign_options::explain(error, own);
        // clap's advice is to write `--` before the word, which launches a program here.
        error.remove(ContextKind::Suggested);
        if let Some(advice) = advice_on_check(&error) {
            let advice = ContextValue::StyledStrs(vec![advice.into()]);
            error.insert(ContextKind::Suggested, advice);
        }
        error
    })?;
    Command::resolve(line, environment).map_err(usage_error)
}

/// What to type instead of `word`, which stands where the program should, but is no file: it is a
/// command of another tool.
pub fn advice_on_first_word(word: &str) -> Option<&'static str> {
    foreign_options::advice_on_command(word)
}

/// The help that fits a screen, if `words` ask for it: by `-h` without a command, or by saying
/// nothing at all, which is an error.
fn short_help(words: &[OsString]) -> Option<clap::Error> {
    let command = args::CommandLine::command().override_help(help::SHORT_HELP);
    let first = words.get(1).and_then(|word| word.to_str());
    let has_command =
        first.is_some_and(|word| command.find_subcommand(word).is_some()) || first == Some("help");
    if has_command || foreign_options::own_words(words).any(|word| word == "--help") {
        return None;
    }
    let command = command.arg_required_else_help(true);
    let error = command.try_get_matches_from(words).err()?;
    let is_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    is_help.then_some(error)
}

/// What to do if `check` was told no recording, or an option before it took it, or no rule.
fn advice_on_check(error: &clap::Error) -> Option<&'static str> {
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    let missing = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(missing)) => missing.as_slice(),
        _ => &[],
    };
    if error.kind() != ErrorKind::MissingRequiredArgument || !usage.contains(args::CHECK_USAGE) {
        return None;
    }
    Some(if missing.iter().any(|argument| argument == "<NEW>") {
        "NEW stands before --baseline and --fail-if, which take every word up to the next option"
    } else {
        "rules can also stand in a file: --rules FILE"
    })
}
