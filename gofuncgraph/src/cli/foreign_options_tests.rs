use std::collections::BTreeSet;

use clap::CommandFactory;

use super::super::args::CommandLine;
use super::*;

/// Every option of every command, with dashes.
fn options() -> BTreeSet<String> {
    fn add(command: &clap::Command, options: &mut BTreeSet<String>) {
        for argument in command.get_arguments() {
            let long = argument.get_long_and_visible_aliases().unwrap_or_default();
            options.extend(long.iter().map(|name| format!("--{name}")));
            let short = argument.get_short_and_visible_aliases().unwrap_or_default();
            options.extend(short.iter().map(|name| format!("-{name}")));
        }
        for command in command.get_subcommands() {
            add(command, options);
        }
    }
    let mut options = BTreeSet::new();
    add(&CommandLine::command(), &mut options);
    options
}

/// Words of `text` that look like options.
fn named_options(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split([' ', ',', ';', ':', '\n']);
    words.filter(|word| {
        let name = word.trim_start_matches('-');
        word.starts_with('-') && name.starts_with(|letter: char| letter.is_alphabetic())
    })
}

#[test]
fn advice_names_options_and_commands_that_there_are() {
    let options = options();
    let command = CommandLine::command();
    let commands: Vec<&str> = command.get_subcommands().map(|it| it.get_name()).collect();
    let advices = OPTIONS.iter().map(|option| option.advice);
    let advices: Vec<&str> = advices.chain(COMMANDS.iter().map(|(_, it)| *it)).collect();
    for advice in &advices {
        for name in named_options(advice) {
            // What stands behind `--` is the program's.
            let is_ours = name != "-port";
            assert!(!is_ours || options.contains(name), "{name} in {advice:?}");
        }
        for (_, rest) in advice
            .match_indices("gofuncgraph ")
            .map(|(at, it)| (it, &advice[at + it.len()..]))
        {
            let word = rest.split([' ', ',']).next().unwrap_or_default();
            let is_trace = word.starts_with(['-', '.']) || word == "main.handle";
            assert!(is_trace || commands.contains(&word), "{word} in {advice:?}");
        }
    }
    assert!(advices.iter().flat_map(|it| named_options(it)).count() > 20);
}

#[test]
fn every_row_is_told() {
    let own = options();
    let mut seen = BTreeSet::new();
    for option in OPTIONS {
        for name in option.names {
            assert!(seen.insert(*name), "{name} stands there twice");
            for words in [
                vec!["gofuncgraph", name, "./server", "main.f"],
                vec!["gofuncgraph", "./server", "main.f", name],
                vec!["gofuncgraph", "record", name, "5", "./server"],
            ] {
                let error = super::super::parse(&words).expect_err(name);
                assert_eq!(error.exit_code(), 2, "{words:?}");
                let said = error.to_string();
                let expected = format!("error: there is no {name}: {}\n", option.advice);
                assert_eq!(said, expected, "{words:?}");
            }
            let is_of_a_trace = CommandLine::command().get_arguments().any(|argument| {
                let longs = argument.get_long_and_visible_aliases().unwrap_or_default();
                longs.iter().any(|long| format!("--{long}") == **name)
            });
            assert!(!is_of_a_trace, "{name}");
        }
    }
    assert!(own.contains("--max-depth"));
    let mut words = BTreeSet::new();
    for (names, advice) in COMMANDS {
        for name in *names {
            assert!(words.insert(name), "{name} stands there twice");
            assert_eq!(advice_on_command(name), Some(*advice));
            assert!(
                CommandLine::command().find_subcommand(name).is_none(),
                "{name}"
            );
        }
    }
    assert_eq!(advice_on_command("./server"), None);
}

#[test]
fn with_a_value_attached() {
    let said = |words: &[&str]| {
        let words = [&["gofuncgraph"], words].concat();
        super::super::parse(&words)
            .expect_err("it is refused")
            .to_string()
    };
    for (words, begins) in [
        (
            &["--call-graph=dwarf", "x"] as &[&str],
            "error: there is no --call-graph: a call tree",
        ),
        (
            &["-tt", "x"],
            "error: there is no -tt: every line has its time",
        ),
        (
            &["-etrace=x", "x"],
            "error: there is no -e: functions are words",
        ),
        (
            &["x", "-L", "5"],
            "error: there is no -L: --slower-than 5ms",
        ),
    ] {
        let said = said(words);
        assert!(said.starts_with(begins), "{said}");
    }
    let said = said(&["--no-such-option", "x"]);
    assert!(
        said.starts_with("error: unexpected argument '--no-such-option'"),
        "{said}"
    );
    assert!(!said.contains("Usage"), "{said}");
    assert!(said.lines().count() <= 5, "{said}");
}

#[test]
fn what_belongs_to_a_program_is_not_looked_at() {
    let words = ["gofuncgraph", "-v", "--", "./tool", "-tt"].map(OsString::from);
    let own: Vec<&OsString> = own_words(&words).collect();
    assert_eq!(own, ["gofuncgraph", "-v"]);
}

#[test]
fn options_of_the_same_meaning_are_taken() {
    for (theirs, ours) in [
        (["--depth", "3"], ["--max-depth", "3"]),
        (["--max-graph-depth", "3"], ["--max-depth", "3"]),
        (["--time-filter", "5us"], ["--calls-slower-than", "5us"]),
        (["-H", "main.f"], ["--hide", "main.f"]),
        (["--trimprefix", "/src/"], ["--trim-prefix", "/src/"]),
    ] {
        let parsed = |option: [&str; 2]| {
            super::super::parse(["gofuncgraph", option[0], option[1], "./server", "main.f"])
        };
        assert_eq!(parsed(theirs).unwrap(), parsed(ours).unwrap(), "{theirs:?}");
    }
}
