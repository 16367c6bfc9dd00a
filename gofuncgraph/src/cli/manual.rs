//! Manual pages and completions, made of the same description that reads the command line.

use std::io;

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;
use roff::{Inline, Roff, bold, roman};

use super::args::CommandLine;
use super::help::{EXIT_STATUS, Example, STATUS_OF_COMMAND, TASKS};
use super::settings::SettingsError;

const NAME: &str = "gofuncgraph";

/// Which page.
#[derive(Clone, Debug, Args)]
pub(super) struct ManualArguments {
    /// The command that the page is about. None: gofuncgraph itself
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

/// For which shell.
#[derive(Clone, Debug, Args)]
pub(super) struct CompletionArguments {
    /// The shell that shall complete words
    #[arg(value_name = "SHELL", value_enum)]
    shell: CompletedShell,
}

/// A shell that completions can be made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CompletedShell {
    /// GNU Bash, with bash-completion or without.
    Bash,
    /// The Z shell.
    Zsh,
    /// The friendly interactive shell.
    Fish,
}

impl CompletionArguments {
    /// The script.
    pub(super) fn text(&self) -> Vec<u8> {
        let shell = match self.shell {
            CompletedShell::Bash => Shell::Bash,
            CompletedShell::Zsh => Shell::Zsh,
            CompletedShell::Fish => Shell::Fish,
        };
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut CommandLine::command(), NAME, &mut text);
        text
    }
}

impl ManualArguments {
    /// The page as roff.
    pub(super) fn text(&self) -> Result<Vec<u8>, SettingsError> {
        let mut whole = CommandLine::command().disable_help_subcommand(true);
        whole.build();
        let command = match &self.command {
            None => whole,
            Some(name) => match whole.find_subcommand(name) {
                Some(command) => command.clone(),
                None => {
                    let names = whole.get_subcommands().map(clap::Command::get_name);
                    return Err(SettingsError::NoSuchPage {
                        name: name.clone(),
                        pages: names.collect::<Vec<_>>().join(", "),
                    });
                }
            },
        };
        // Writing to memory does not fail.
        Ok(page(command, self.command.is_none()).unwrap_or_default())
    }
}

fn page(command: clap::Command, is_whole: bool) -> io::Result<Vec<u8>> {
    let after_help = match is_whole {
        true => None,
        false => command.get_after_help().map(ToString::to_string),
    };
    let has_commands = command.has_subcommands();
    let source = format!("{NAME} {}", env!("CARGO_PKG_VERSION"));
    let title = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
        .to_uppercase();
    // Else clap_mangen leaves out what `-h` does.
    let command = command.mut_args(|argument| argument.hide_short_help(false));
    let man = Man::new(command).title(title).source(source);
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if has_commands {
        man.render_subcommands_section(&mut text)?;
    }
    let mut roff = Roff::new();
    match after_help {
        Some(help) => write_sections(&mut roff, &help),
        None if is_whole => write_examples_and_status(&mut roff),
        None => {}
    }
    if is_whole {
        write_surroundings(&mut roff);
    }
    roff.control("SH", ["SEE ALSO"]);
    let pages = match is_whole {
        true => "gofuncgraph-record(1), gofuncgraph-replay(1), gofuncgraph-list(1), bpf(2)",
        false => "gofuncgraph(1)",
    };
    roff.text([roman(pages)]);
    roff.to_writer(&mut text)?;
    Ok(text)
}

/// Paragraphs of a help text, with a section for each line that ends in a colon.
fn write_sections(roff: &mut Roff, help: &str) {
    let mut is_in_section = false;
    for line in help.lines() {
        if let Some((heading, rest)) = line.split_once(':')
            && !line.starts_with(' ')
        {
            roff.control("SH", [heading.to_uppercase().as_str()]);
            is_in_section = true;
            if !rest.is_empty() {
                roff.text([roman(rest.trim_start())]);
            }
        } else {
            if !is_in_section {
                roff.control("SH", ["NOTES"]);
                is_in_section = true;
            }
            if line.starts_with(' ') {
                roff.control("PP", []);
            }
            roff.text([roman(line.trim_start())]);
        }
    }
}

fn write_examples_and_status(roff: &mut Roff) {
    roff.control("SH", ["EXAMPLES"]);
    for task in TASKS {
        roff.control("SS", [task.name]);
        for Example { command, answers } in task.examples {
            definition(roff, bold(*command), answers);
        }
    }
    roff.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in EXIT_STATUS {
        definition(roff, bold(*status), meaning);
    }
    roff.control("PP", []);
    roff.text([roman(STATUS_OF_COMMAND)]);
}

/// What a run reads and writes beside its arguments.
fn write_surroundings(roff: &mut Roff) {
    roff.control("SH", ["ENVIRONMENT"]);
    let no_color = "If it is set and not empty, --color auto means never.";
    definition(roff, bold("NO_COLOR"), no_color);
    let zone =
        "The time zone of what is printed; recordings keep that of the machine that recorded.";
    definition(roff, bold("TZ"), zone);
    roff.control("SH", ["FILES"]);
    let recording = "What gofuncgraph record writes unless --output says otherwise.";
    definition(roff, bold("gofuncgraph.rec"), recording);
    let executable = "Where the program of a process is found: in containers, too, and after its file was \
                      replaced.";
    definition(roff, bold("/proc/PID/exe"), executable);
}

fn definition(roff: &mut Roff, term: Inline, text: &str) {
    roff.control("TP", []);
    roff.text([term]);
    roff.text([roman(text)]);
}
