use clap::error::ErrorKind;

use super::super::{FoldBy, Format, FormatRequest, Moment, SortKey, parse_buffer_size, parse_in};
use super::*;

#[path = "process_options_tests.rs"]
mod processes;

fn command(no_color: bool, args: &[&str]) -> Result<Command, clap::Error> {
    let args = [&["gofuncgraph"], args].concat();
    parse_in(&Environment { no_color }, args)
}

fn parse_with(no_color: bool, args: &[&str]) -> Result<Settings, clap::Error> {
    command(no_color, args).map(|command| match command {
        Command::Trace(settings) => *settings,
        other => panic!("{args:?} gave {other:?}"),
    })
}

fn replay(args: &[&str]) -> ReplaySettings {
    match command(false, args) {
        Ok(Command::Replay(settings)) => *settings,
        other => panic!("{args:?} gave {other:?}"),
    }
}

fn parsed(args: &[&str]) -> Settings {
    parse_with(false, args).unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

/// The message of a usage error.
fn refused(args: &[&str]) -> String {
    match parse_with(false, args) {
        Ok(settings) => panic!("{args:?} gave {settings:?}"),
        Err(error) => {
            assert_eq!(error.exit_code(), 2, "{args:?}");
            error.to_string()
        }
    }
}

#[test]
fn the_originals_command_line() {
    let settings = parsed(&["--uprobe-wildcards", "net/http*", "./bin", "*handleBar"]);
    assert_eq!(settings.process.program, file("./bin"));
    assert_eq!(
        settings.patterns,
        PatternSettings {
            wildcards: vec!["net/http*".to_owned()],
            targets: vec!["*handleBar".to_owned()],
            excludes: vec![],
            exclude_vendor: true,
        }
    );
    assert_eq!(settings.mode, OutputMode::Trees { slower_than: None });
}

#[test]
fn defaults() {
    let settings = parsed(&["./bin"]);
    assert_eq!(settings.mode, OutputMode::Stream);
    assert_eq!(settings.placement, PlacementChoice::Standard);
    assert_eq!(settings.ret, RetChoice::Auto);
    assert_eq!(settings.max_calls.get(), 1_000_000);
    assert_eq!(settings.view.time_digits.get(), 6);
    assert_eq!(settings.buffer.bytes(), 16 << 20);
    assert_eq!(settings.view.color, ColorChoice::Auto);
    assert_eq!((settings.duration, settings.count), (None, None));
    assert_eq!(settings.output, None);
    assert!(!settings.dry_run && !settings.verbose && !settings.debug);
    assert!(settings.patterns.exclude_vendor);
}

#[test]
fn every_option_arrives() {
    let settings = parsed(&[
        "-u",
        "a.*",
        "--exclude",
        "a.b",
        "-x=false",
        "--dry-run",
        "--stream",
        "-o",
        "out.txt",
        "--color",
        "always",
        "--time-digits",
        "9",
        "--max-calls",
        "5",
        "--buffer",
        "1M",
        "--duration",
        "10s",
        "--count",
        "3",
        "-d",
        "-v",
        "--placement",
        "classic",
        "bin",
        "a.c",
    ]);
    assert_eq!(settings.patterns.excludes, ["a.b"]);
    assert!(!settings.patterns.exclude_vendor);
    assert!(settings.dry_run && settings.debug && settings.verbose);
    assert_eq!(settings.mode, OutputMode::Stream);
    assert_eq!(settings.output, Some(PathBuf::from("out.txt")));
    assert_eq!(settings.view.color, ColorChoice::Always);
    assert_eq!(settings.view.time_digits.get(), 9);
    assert_eq!(settings.max_calls.get(), 5);
    assert_eq!(parse_buffer_size("1M"), Ok(settings.buffer));
    assert_eq!(settings.duration, Some(Duration::from_secs(10)));
    assert_eq!(settings.count, NonZero::new(3));
    assert_eq!(settings.placement, PlacementChoice::Classic);
}

#[test]
fn wildcards_repeat_and_split_at_commas_outside_brackets() {
    let settings = parsed(&[
        "-u",
        "a.*,b.*",
        "-u",
        "main.Map[go.shape.string,go.shape.int],c",
        "bin",
    ]);
    assert_eq!(
        settings.patterns.wildcards,
        ["a.*", "b.*", "main.Map[go.shape.string,go.shape.int]", "c"]
    );
    let settings = parsed(&["-u", "f(a,b),g{x,y}, h ,,)i,j", "--exclude", "k,l", "bin"]);
    assert_eq!(
        settings.patterns.wildcards,
        ["f(a,b)", "g{x,y}", "h", ")i", "j"]
    );
    assert_eq!(settings.patterns.excludes, ["k", "l"]);
}

#[test]
fn who_executes_rets() {
    for (how, expected) in [
        ("auto", RetChoice::Auto),
        ("step", RetChoice::Step),
        ("emulate", RetChoice::Emulate),
    ] {
        assert_eq!(parsed(&["--ret", how, "bin"]).ret, expected);
    }
    refused(&["--ret", "none", "bin"]);
}

#[test]
fn empty_patterns_are_refused() {
    for args in [
        &["-u", "", "bin"][..],
        &["-u", ",", "bin"],
        &["--exclude", "", "bin"],
        &["bin", ""],
    ] {
        assert!(refused(args).contains("an empty pattern"), "{args:?}");
    }
}

#[test]
fn vendor_switch() {
    for (arg, expected) in [
        ("-x", true),
        ("-x=true", true),
        ("-x=false", false),
        ("--exclude-vendor", true),
        ("--exclude-vendor=true", true),
        ("--exclude-vendor=false", false),
    ] {
        let settings = parsed(&[arg, "bin", "target"]);
        assert_eq!(settings.patterns.exclude_vendor, expected, "{arg}");
        assert_eq!(settings.patterns.targets, ["target"], "{arg}");
    }
    refused(&["--exclude-vendor=maybe", "bin"]);
}

#[test]
fn lines_or_trees() {
    let mode = |args: &[&str]| parsed(args).mode;
    let trees = OutputMode::Trees { slower_than: None };
    let slow = OutputMode::Trees {
        slower_than: Some(Duration::from_micros(5)),
    };
    assert_eq!(mode(&["bin"]), OutputMode::Stream);
    assert_eq!(mode(&["-u", "a", "bin"]), OutputMode::Stream);
    assert_eq!(mode(&["bin", "t"]), trees);
    assert_eq!(mode(&["bin", "t", "--stream"]), OutputMode::Stream);
    assert_eq!(mode(&["bin", "--count", "1"]), trees);
    assert_eq!(mode(&["bin", "--slower-than", "5us"]), slow);
    assert_eq!(mode(&["bin", "t", "--slower-than", "5us"]), slow);
    assert_eq!(
        mode(&["bin", "--count", "1", "--stream"]),
        OutputMode::Stream
    );
    let error = parse_with(false, &["bin", "--stream", "--slower-than", "5us"]);
    assert_eq!(
        error.map_err(|error| error.kind()),
        Err(ErrorKind::ArgumentConflict)
    );
}

#[test]
fn argument_rules_are_not_there_yet() {
    for (target, name) in [
        ("main.f(n=%ax:u64)", "main.f"),
        ("main.f(s=+16(+8(%ax)):c64, n=%bx:s32)", "main.f"),
        ("main.(*T).M(x=(%ax):u8)", "main.(*T).M"),
    ] {
        let message = refused(&["bin", target]);
        assert!(message.contains("cannot do yet"), "{message}");
        assert!(message.contains(&format!("alone, '{name}'")), "{message}");
    }
    for target in [
        "main.(*T).M",
        "main.Map[...]",
        "main.Map[func(int)]",
        "main.f()",
        "main.f(=",
        "a=b",
        ")",
        "(=",
        "(a=b)c",
    ] {
        assert_eq!(parsed(&["bin", target]).patterns.targets, [target]);
    }
}

fn file(path: &str) -> TracedProgram {
    TracedProgram::File(path.into())
}

#[test]
fn values_out_of_range() {
    assert!(refused(&["bin", "--slower-than", "5"]).contains("has no unit"));
    assert!(refused(&["bin", "--duration", "10"]).contains("has no unit"));
    assert!(refused(&["bin", "--duration", "0s"]).contains("longer than nothing"));
    assert!(refused(&["bin", "--time-digits", "3"]).contains("4 to 9"));
    assert!(refused(&["bin", "--time-digits", "10"]).contains("4 to 9"));
    assert!(refused(&["bin", "--buffer", "2G"]).contains("1G at most"));
    refused(&["bin", "--count", "0"]);
    refused(&["bin", "--max-calls", "0"]);
    refused(&["bin", "--color", "sometimes"]);
    refused(&["bin", "--placement", "other"]);
    refused(&["bin", "--no-such-option"]);
    refused(&[]);
}

#[test]
fn no_color_turns_auto_off_and_nothing_else() {
    let color = |args: &[&str]| {
        parse_with(true, args)
            .map(|settings| settings.view.color)
            .map_err(|error| error.to_string())
    };
    assert_eq!(color(&["bin"]), Ok(ColorChoice::Never));
    assert_eq!(color(&["--color", "auto", "bin"]), Ok(ColorChoice::Never));
    assert_eq!(
        color(&["--color", "always", "bin"]),
        Ok(ColorChoice::Always)
    );
    assert!(ColorChoice::Auto.applies_to(true));
    assert!(!ColorChoice::Auto.applies_to(false));
    assert!(ColorChoice::Always.applies_to(false));
    assert!(!ColorChoice::Never.applies_to(true));
}

#[test]
fn help_and_version_are_no_errors() {
    for args in [["--help"], ["-h"], ["--version"], ["-V"]] {
        let error = parse_with(false, &args).map_err(|error| error.exit_code());
        assert_eq!(error, Err(0), "{args:?}");
    }
    let Err(help) = parse_with(false, &["--help"]) else {
        panic!("--help gave settings");
    };
    let help = help.to_string();
    for part in [
        "What to trace",
        "What to show",
        "When to stop",
        "Output",
        "Other",
        "Examples:",
        "Exit status:",
        "  130  ",
    ] {
        assert!(help.contains(part), "no {part:?} in {help}");
    }
    assert!(!help.contains("--placement"), "{help}");
}

#[test]
fn a_recording_takes_every_option_of_a_trace() {
    let options = ["-u", "a.*", "--duration", "10s", "--count", "3", "-x=false"];
    let program = ["bin", "a.c"];
    let live = parsed(&[&options[..], &program].concat());
    let record = parsed(&[&["record"][..], &options, &program].concat());
    assert_eq!(record.output, Some(PathBuf::from("gofuncgraph.rec")));
    assert!(record.records && !live.records);
    assert_eq!(record.view.formats, [], "a recording shows nothing beside");
    let shown = Settings {
        records: false,
        output: None,
        view: live.view.clone(),
        ..record
    };
    assert_eq!(shown, live);

    assert_eq!(parsed(&["record", "-o", "-", "bin"]).output, None);
    let named = parsed(&["record", "-o", "other.rec", "bin"]);
    assert_eq!(named.output, Some(PathBuf::from("other.rec")));
    refused(&["record"]);
}

#[test]
fn a_window_ends_after_it_begins() {
    for (from, to) in [
        ("1s", "1s"),
        ("1.5s", "900ms"),
        ("2026-03-04T05:06:09Z", "2026-03-04T05:06:09+02:00"),
    ] {
        let message = refused(&["replay", "a.rec", "--from", from, "--to", to]);
        assert!(message.contains("--from"), "{message}");
    }
    // Around midnight.
    replay(&["replay", "a.rec", "--from", "23:59:59", "--to", "00:00:01"]);
    replay(&["replay", "a.rec", "--from", "1s", "--to", "12:00:00"]);
}

#[test]
fn a_replay_leaves_to_the_recording_what_is_not_said() {
    let settings = replay(&["replay", "a.rec"]);
    assert_eq!(settings.recording, Some(PathBuf::from("a.rec")));
    assert!(!settings.view.stream);
    assert_eq!(settings.view.slower_than, None);
    assert_eq!((settings.view.max_calls, settings.count), (None, None));
    assert_eq!(replay(&["replay", "-"]).recording, None);
    let settings = replay(&["replay", "--slower-than", "5ms", "--count", "2", "a.rec"]);
    assert_eq!(settings.view.slower_than, Some(Duration::from_millis(5)));
    assert_eq!(settings.count, NonZero::new(2));
    for args in [
        &["replay"][..],
        &["replay", "a.rec", "b.rec"],
        &["replay", "-u", "f", "a.rec"],
    ] {
        assert!(command(false, args).is_err_and(|error| error.exit_code() == 2));
    }
}

#[test]
fn only_the_first_word_is_a_command() {
    let program = |args: &[&str]| parsed(args).process.program;
    assert_eq!(program(&["./record"]), file("./record"));
    assert_eq!(parsed(&["bin", "replay"]).patterns.targets, ["replay"]);
    assert_eq!(program(&["-v", "record"]), file("record"));
}

#[test]
fn text_is_what_is_written_unless_something_else_is_asked_for() {
    let formats = |args: &[&str]| parsed(&[args, &["bin"]].concat()).view.formats;
    let request = |format, file: Option<&str>| FormatRequest {
        format,
        file: file.map(PathBuf::from),
    };
    assert_eq!(formats(&[]), [request(Format::Text, None)]);
    assert_eq!(formats(&["-f", "graph"]), [request(Format::Graph, None)]);
    assert_eq!(
        formats(&["-f", "folded:-"]),
        [request(Format::Folded, None)]
    );
    assert_eq!(
        formats(&["-f", "jsonl:a:b.jsonl", "-f", "text"]),
        [
            request(Format::Jsonl, Some("a:b.jsonl")),
            request(Format::Text, None)
        ]
    );
    let settings = parsed(&["-f", "record:x.rec", "bin"]);
    assert_eq!(settings.view.formats, []);
    assert_eq!(settings.view.recording, Some(PathBuf::from("x.rec")));
}

#[test]
fn outputs_that_make_no_sense_together() {
    assert!(refused(&["-f", "xml", "bin"]).contains("functrace"));
    assert!(refused(&["-f", "jsonl:", "bin"]).contains("no file"));
    assert!(refused(&["-f", "record", "bin"]).contains("record:FILE"));
    assert!(refused(&["-f", "text", "-f", "graph", "bin"]).contains("graph:FILE"));
    assert!(refused(&["-f", "text:a", "-f", "jsonl:a", "bin"]).contains("two outputs"));
    assert!(refused(&["-f", "text", "-f", "jsonl:a", "-o", "a", "bin"]).contains("two outputs"));
    assert!(refused(&["-f", "jsonl:a", "-o", "b", "bin"]).contains("--output b"));
    assert!(refused(&["-f", "record:a", "-f", "record:b", "bin"]).contains("one recording"));
    assert!(refused(&["--top", "3", "--stream", "bin"]).contains("--stream"));
    assert!(refused(&["--top", "0", "bin"]).contains('0'));
    assert!(refused(&["--only", "", "bin"]).contains("'*'"));
    assert!(refused(&["--calls-slower-than", "0s", "bin"]).contains("0s"));
    assert!(refused(&["--from", "noon", "bin"]).contains("15:04:05"));
}

#[test]
fn net_durations_are_for_formats_with_durations() {
    assert!(parsed(&["--net", "./server"]).view.net);
    for format in ["chrome", "functrace:calls"] {
        let said = refused(&["-f", "text:trees", "-f", format, "--net", "./server"]);
        assert!(said.contains("shows moments, which stay"), "{said}");
    }
    for options in [["--top", "3"], ["--calls-slower-than", "1ms"]] {
        let said = refused(&[&options[..], &["--net", "./server"]].concat());
        assert!(said.contains("cannot be used with"), "{said}");
    }
}

#[test]
fn what_is_shown_arrives() {
    let settings = parsed(&[
        "--top",
        "3",
        "--calls-slower-than",
        "1ms",
        "--max-depth",
        "2",
        "--only",
        "a.*,b.*",
        "--hide",
        "*.c",
        "--goid",
        "7,8",
        "--from",
        "1s",
        "--trim-prefix",
        "a/",
        "--fold-by",
        "calls",
        "--sort",
        "p99",
        "bin",
    ]);
    let view = &settings.view;
    assert_eq!(view.top, NonZero::new(3));
    assert_eq!(settings.mode, OutputMode::Trees { slower_than: None });
    assert_eq!(view.calls_slower_than, Some(Duration::from_millis(1)));
    assert_eq!(view.max_depth, NonZero::new(2));
    assert_eq!(view.only, ["a.*", "b.*"]);
    assert_eq!(view.hide, ["*.c"]);
    assert_eq!(view.goids, [7, 8]);
    assert_eq!(
        view.from,
        Some(Moment::AfterBeginning(Duration::from_secs(1)))
    );
    assert_eq!(view.trim_prefixes, ["a/"]);
    assert_eq!((view.fold_by, view.sort), (FoldBy::Calls, SortKey::P99));
}
