//! The repository's CI script fails a build for a real regression, and never for noise.

mod support;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use roxmltree::{Document, Node};
use support::tracer::{self, Outcome, Tracer};

/// Where one test's recordings and reports are.
struct Workplace(tempfile::TempDir);

impl Workplace {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("there is room"))
    }

    fn text(&self, name: &str) -> String {
        let path = self.0.path().join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Runs the script on the example server with these options.
    fn check(&self, server_options: &str, recordings: &[&str]) -> Outcome {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/ci/check-performance.sh");
        let mut command = tracer::configured(Command::new(script));
        command
            .args(recordings)
            .current_dir(self.0.path())
            .env("PATH", path_with_the_tracer())
            .env("GOFLAGS", "-buildvcs=false")
            .env("SERVER_OPTIONS", server_options);
        Tracer::spawn(command, true).wait()
    }

    /// Makes a recording that others are compared with.
    fn record(&self, name: &str) {
        let outcome = self.check("", &[name]);
        outcome.assert_code(0);
        assert!(outcome.stdout.contains("There is no baseline"));
    }
}

fn path_with_the_tracer() -> OsString {
    let mut folders: Vec<PathBuf> = vec![
        tracer::executable()
            .parent()
            .expect("a file stands in a folder")
            .to_owned(),
    ];
    folders.extend(std::env::split_paths(
        &std::env::var_os("PATH").expect("there is a PATH"),
    ));
    std::env::join_paths(folders).expect("no colon in a path of PATH")
}

const ALL_PASSED: &str = "4 rules passed";
const HANDLER: &str = "p50(main.(*reporter).handleReport) > 1.15 * baseline";
const QUERY: &str = "p50(*/store.(*Store).Orders) > 1.15 * baseline";
const NUMBER_OF_QUERIES: &str = "calls(*/store.*) > 1 per main.(*reporter).handleReport";
const QUERY_FUNCTION: &str = "example.com/gofuncgraph/example-go/internal/store.(*Store).Orders";

#[test]
fn the_unchanged_program_passes_twenty_times() {
    let base_place = Workplace::new();
    base_place.record("base.rec");
    let base = base_place.0.path().join("base.rec");
    let base = base.to_str().expect("a temporary path is text");
    // Two at a time: what one computes disturbs the other, as on a machine that does more.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let place = Workplace::new();
                for _ in 0..10 {
                    let outcome = place.check("", &["new.rec", base]);
                    let text = &outcome.stdout;
                    assert_eq!(outcome.status.code(), Some(0), "{text}");
                    assert!(text.contains(ALL_PASSED), "{text}");
                    assert_junit(&place.text("performance.xml"), &[]);
                    assert!(place.text("performance.md").contains(ALL_PASSED));
                }
            });
        }
    });
}

#[test]
fn planted_regressions_fail_and_are_named() {
    let place = Workplace::new();
    place.record("base.rec");
    place.record("other-base.rec");
    for (regression, failed) in [
        ("slower-query", [HANDLER, QUERY]),
        ("repeated-query", [HANDLER, NUMBER_OF_QUERIES]),
    ] {
        let options = format!("-regression {regression}");
        let recordings = [regression, "base.rec", "other-base.rec"];
        let outcome = place.check(&options, &recordings);
        outcome.assert_code(10);
        outcome.assert_says(&["2 of 4 rules failed"]);
        let markdown = place.text("performance.md");
        let junit = place.text("performance.xml");
        for rule in failed {
            assert!(
                outcome.stdout.contains(&format!("FAIL {rule}")),
                "{regression}: {}",
                outcome.stdout
            );
        }
        assert_junit(&junit, &failed);
        // The query is what got slower or is made twice, and stands in a tree of each report.
        for report in [&outcome.stdout, &junit, &without_entities(&markdown)] {
            assert!(report.contains(QUERY_FUNCTION), "{regression}: {report}");
            assert_eq!(
                report.contains(&format!("{QUERY_FUNCTION}, 2 times")),
                regression == "repeated-query",
                "{report}"
            );
        }
        assert_eq!(markdown.matches('❌').count(), failed.len(), "{markdown}");
    }
}

fn without_entities(markdown: &str) -> String {
    markdown.replace("&#42;", "*")
}

/// Demands the elements and attributes of JUnit's XML as CI systems read it, with these rules
/// failed.
fn assert_junit(text: &str, failed: &[&str]) {
    let document = Document::parse(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    let suites = document.root_element();
    assert!(suites.has_tag_name("testsuites"));
    let suite = elements(suites).next().expect("there is a suite");
    assert!(suite.has_tag_name("testsuite"));
    assert!(suite.attribute("name").is_some_and(|name| !name.is_empty()));
    for (attribute, value) in [
        ("tests", 4),
        ("failures", failed.len()),
        ("errors", 0),
        ("skipped", 0),
    ] {
        assert_eq!(suite.attribute(attribute), Some(&*value.to_string()));
    }
    let cases: Vec<Node<'_, '_>> = elements(suite).collect();
    assert_eq!(cases.len(), 4, "{text}");
    let mut found = Vec::new();
    for case in cases {
        assert!(case.has_tag_name("testcase"), "{text}");
        assert_eq!(case.attribute("classname"), Some("gofuncgraph.check"));
        let rule = case.attribute("name").expect("it has a name");
        let outcome = elements(case).next().expect("it says what was found");
        assert!(
            outcome
                .text()
                .is_some_and(|text| text.contains("expected at most"))
        );
        if outcome.has_tag_name("failure") {
            let message = outcome.attribute("message").expect("it has a message");
            assert!(message.contains("expected at most"), "{message}");
            assert_eq!(outcome.attribute("type"), Some("rule"));
            found.push(rule);
        } else {
            assert!(outcome.has_tag_name("system-out"), "{text}");
        }
    }
    assert_eq!(found, failed);
}

fn elements<'a>(node: Node<'a, 'a>) -> impl Iterator<Item = Node<'a, 'a>> {
    node.children().filter(Node::is_element)
}
