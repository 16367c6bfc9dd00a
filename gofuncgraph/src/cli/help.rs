//! What `-h` prints, examples, and the other texts that the help and the manual pages share.

/// What `-h` prints: a screen.
pub(super) const SHORT_HELP: &str = "\
Print call trees of a running Go program, with wall times.

Usage: gofuncgraph [OPTIONS] <BINARY> [TARGET]...     every process of a program
       gofuncgraph [OPTIONS] -p <PID> [TARGET]...     one process
       gofuncgraph [OPTIONS] [TARGET]... -- <COMMAND> launch it
       gofuncgraph record|replay|report|diff|check|list|man|completions ...

  -u, --uprobe-wildcards <GLOB>  Also show these functions, as in -u 'net/http*'
      --slower-than <DURATION>   Only trees that took at least so long: 5us, 250ms, 1.5s
      --max-depth <N>            Only so many levels of calls
      --count <N>                End after N trees
      --duration <DURATION>      End after so long
  -f, --format <FORMAT[:FILE]>   text, graph, functrace, jsonl, chrome, folded, summary
  -o, --output <FILE>            Write trees to FILE
      --dry-run                  Print what would be traced, and what it would cost
  -v, --verbose                  Say more about what is done

Examples:
  gofuncgraph ./server '*handleBar'                   When does it run, how long?
  gofuncgraph -u 'net/http*' ./server '*handleBar'    What does it call in net/http?
  gofuncgraph list ./server '*handle*'                Which functions are there?

--help tells everything; `gofuncgraph man` prints it as a manual page.
";

/// A command line, and what it is for.
pub(super) struct Example {
    pub(super) command: &'static str,
    pub(super) answers: &'static str,
}

/// Examples of one task.
pub(super) struct Task {
    pub(super) name: &'static str,
    pub(super) examples: &'static [Example],
}

/// What the help of the whole command shows.
pub(super) const TASKS: &[Task] = &[
    Task {
        name: "See how long something takes",
        examples: &[
            Example {
                command: "gofuncgraph ./server '*handleBar'",
                answers: "When does a request for /bar run, and how long?",
            },
            Example {
                command: "gofuncgraph -u 'net/http*' -u 'main.*' --slower-than 250ms ./server '*handleBar'",
                answers: "Only the slow ones, with what they called.",
            },
            Example {
                command: "gofuncgraph -f summary --duration 10s -u 'main.*' ./server '*handleBar'",
                answers: "Who takes the time in ten seconds: counts, percentiles, histograms.",
            },
            Example {
                command: "gofuncgraph ./server",
                answers: "What does the program do at all? Its own functions, as they are called.",
            },
        ],
    },
    Task {
        name: "Choose the process",
        examples: &[
            Example {
                command: "gofuncgraph -p 4711 '*handleBar'",
                answers: "This process alone, in whatever container it runs.",
            },
            Example {
                command: "gofuncgraph 'main.*' -- ./tool --its-option",
                answers: "Launch a program, and see it from its first instruction on.",
            },
        ],
    },
    Task {
        name: "Choose functions; needs no privileges",
        examples: &[
            Example {
                command: "gofuncgraph list ./server '*handle*'",
                answers: "Which functions are there, and which cannot be traced?",
            },
            Example {
                command: "gofuncgraph --dry-run -u 'net/http*' ./server",
                answers: "Which probes would that take, and, as root, what would a call cost?",
            },
        ],
    },
    Task {
        name: "Record now, look later: anywhere, without privileges",
        examples: &[
            Example {
                command: "gofuncgraph record -u 'net/http*' --duration 10s ./server '*handleBar'",
                answers: "Writes gofuncgraph.rec.",
            },
            Example {
                command: "gofuncgraph replay -f graph --top 3 gofuncgraph.rec",
                answers: "The three slowest trees, for eyes.",
            },
            Example {
                command: "gofuncgraph replay -f chrome:trace.json gofuncgraph.rec",
                answers: "A file for ui.perfetto.dev.",
            },
            Example {
                command: "gofuncgraph diff base.rec gofuncgraph.rec",
                answers: "What became slower, and is it more than chance?",
            },
        ],
    },
];

/// The statuses of `gofuncgraph`.
pub(super) const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "traced, even if no tree was seen or events were lost"),
    ("1", "something failed while tracing"),
    (
        "2",
        "the command line makes no sense, or the executable or process is not there",
    ),
    ("3", "a pattern matches no function that can be attached"),
    (
        "4",
        "not permitted: the message names the missing capability",
    ),
    ("5", "the executable or the kernel is not supported"),
    ("10", "a rule of check failed"),
    ("130", "ended at once by a second Ctrl-C"),
];

/// What else there is to say of statuses.
pub(super) const STATUS_OF_COMMAND: &str = "With --exit-status that of COMMAND, if it was traced.";

/// What ends `--help`.
pub(super) fn after_help() -> String {
    let mut text = "Examples:".to_owned();
    for task in TASKS {
        text += &format!("\n  {}\n", task.name);
        for Example { command, answers } in task.examples {
            text += &format!("    {command}\n        {answers}\n");
        }
    }
    text += "\nExit status:";
    for (status, meaning) in EXIT_STATUS {
        text += &format!("\n  {status:<4} {meaning}");
    }
    text + "\n" + STATUS_OF_COMMAND
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::args::CommandLine;
    use super::super::{Command, parse};
    use super::*;

    fn short_help(words: &[&str]) -> String {
        let words = [&["gofuncgraph"], words].concat();
        let shown = parse(words).expect_err("help is shown");
        assert_eq!(shown.exit_code(), 0);
        shown.to_string()
    }

    #[test]
    fn short_help_fits_a_screen() {
        for words in [
            &["-h"] as &[&str],
            &["-h", "./server"],
            &["./server", "-vh"],
        ] {
            let said = short_help(words);
            assert_eq!(said.trim_end(), SHORT_HELP.trim_end(), "{words:?}");
        }
        assert!(
            SHORT_HELP.lines().count() <= 24,
            "{}",
            SHORT_HELP.lines().count()
        );
        assert!(
            SHORT_HELP
                .lines()
                .all(|line| line.chars().count() <= 80 + 8)
        );
        let long = short_help(&["--help"]);
        assert!(long.lines().count() > 60, "{long}");
        assert_eq!(short_help(&["help"]), long);
        assert_ne!(
            short_help(&["record", "-h"]),
            short_help(&["record", "--help"])
        );
    }

    #[test]
    fn short_help_names_what_there_is() {
        let command = CommandLine::command();
        for subcommand in command.get_subcommands() {
            let name = subcommand.get_name();
            assert!(SHORT_HELP.contains(name), "{name}");
        }
        let options = SHORT_HELP.lines().filter_map(|line| {
            let (_, rest) = line.split_once("--")?;
            (line.starts_with("  -") || line.starts_with("      --"))
                .then(|| rest.split(' ').next().unwrap_or_default())
        });
        let options: Vec<&str> = options.collect();
        for name in &options {
            let mut arguments = command.get_arguments();
            assert!(
                arguments.any(|argument| argument.get_long() == Some(name)),
                "{name}"
            );
        }
        assert_eq!(options.len(), 9, "{options:?}");
    }

    #[test]
    fn no_words_show_the_same_as_an_error() {
        let error = parse(["gofuncgraph"]).expect_err("there is nothing to do");
        assert_eq!(error.exit_code(), 2);
        assert_eq!(error.to_string().trim_end(), SHORT_HELP.trim_end());
    }

    #[test]
    fn examples_can_be_typed() {
        for example in TASKS.iter().flat_map(|task| task.examples) {
            let words = example
                .command
                .split(' ')
                .map(|word| word.trim_matches('\''));
            let command = parse(words).unwrap_or_else(|error| panic!("{error}"));
            assert!(!matches!(command, Command::Print(_)));
        }
        let long = short_help(&["--help"]);
        for example in TASKS.iter().flat_map(|task| task.examples) {
            assert!(long.contains(example.command), "{long}");
        }
    }
}
