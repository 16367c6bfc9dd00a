use super::{parsed, refused};
use crate::cli::{OutputMode, TracedProgram};

#[test]
fn with_a_process_all_words_are_targets() {
    for (args, program) in [
        (
            &["-p", "7", "main.a", "main.b"][..],
            TracedProgram::Processes(vec![7]),
        ),
        (
            &["main.a", "main.b", "--pid", "7"],
            TracedProgram::Processes(vec![7]),
        ),
        (
            &["-p", "9", "-p", "7", "-p9", "main.a", "main.b"],
            TracedProgram::Processes(vec![7, 9]),
        ),
        (
            &["-n", "server", "main.a", "main.b"],
            TracedProgram::Named("server".to_owned()),
        ),
        (
            &["main.a", "main.b", "--", "./tool"],
            command_of(&["./tool"]),
        ),
        (
            &["main.a", "main.b", "--", "tool", "-u", "--", "main.c"],
            command_of(&["tool", "-u", "--", "main.c"]),
        ),
    ] {
        let settings = parsed(args);
        assert_eq!(settings.process.program, program, "{args:?}");
        assert_eq!(settings.patterns.targets, ["main.a", "main.b"], "{args:?}");
        let recorded = [&["record"], args].concat();
        assert_eq!(parsed(&recorded).process.program, program, "{args:?}");
    }
    let settings = parsed(&["-u", "main.*", "--", "tool"]);
    assert_eq!(settings.process.program, command_of(&["tool"]));
    assert!(settings.patterns.targets.is_empty());
    assert_eq!(settings.mode, OutputMode::Stream);
}

#[test]
fn options_for_processes_need_some() {
    for args in [
        &["--follow-forks", "bin"][..],
        &["--exit-status", "bin"],
        &["--exit-status", "-p", "7"],
        &["-p", "7", "-n", "server"],
        &["-p", "7", "--", "tool"],
        &["-n", "server", "--", "tool"],
        &["-p", "0"],
        &["-p", "7", "./server", "main.a"],
        &["/srv/server", "main.a", "--", "/srv/server"],
        &["-p", "server"],
        &["--"],
        &["main.a", "--"],
        &["record", "-o", "-", "--", "tool"],
    ] {
        refused(args);
    }
    assert!(refused(&["--exit-status", "bin"]).contains("behind '--'"));
    let settings = parsed(&["--follow-forks", "--exit-status", "--", "tool"]);
    assert!(settings.process.follow_forks && settings.process.exit_status);
    assert!(parsed(&["-p", "7", "--follow-forks"]).process.follow_forks);
}

fn command_of(words: &[&str]) -> TracedProgram {
    TracedProgram::Command(words.iter().map(Into::into).collect())
}
