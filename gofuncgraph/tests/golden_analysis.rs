//! What analysis makes of scripted programs, compared whole with `tests/golden/NAME.txt`.

#[path = "support/analysis.rs"]
mod analysis;
#[path = "support/gate_simulator.rs"]
mod gate_simulator;
#[path = "support/golden.rs"]
mod golden;

use analysis::*;
use gate_simulator::GateSimulator;
use gofuncgraph::analysis::{DEFAULT_LEVEL, DIFF_LEVEL, Diff, Recorded, Verdict, check, diff};
use gofuncgraph::cli::SortKey;
use gofuncgraph::output::Renderer;
use gofuncgraph::output::{
    CheckReport, DiffHeading, LiveScreen, RenderingSink, SummaryRenderer, SummarySettings,
    write_check_junit, write_check_markdown, write_check_text, write_diff_json_lines,
    write_diff_markdown, write_diff_text, write_report_tree, write_summary,
};
use gofuncgraph::trace::{Assembler, AssemblerSettings};
use golden::*;

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

/// A program that does everything that there is a word for.
fn eventful() -> GateSimulator {
    let mut program = server(Requests {
        count: 40,
        leaves: 3,
        ..USUAL
    });
    program.step_ns = 1_234;
    // Another root, calls of names that terminals obey, and recursion.
    let mut program = {
        let mut other = GateSimulator::new([ROOT, OTHER]);
        other.step_ns = 1_234;
        other.now = program.now;
        other.events = std::mem::take(&mut program.events);
        other
    };
    program.call(ELSEWHERE, OTHER);
    program.call(ELSEWHERE, HOSTILE);
    program.call(ELSEWHERE, HOSTILE);
    program.ret(ELSEWHERE);
    program.ret(ELSEWHERE);
    program.ret(ELSEWHERE);
    // Unwound, lost and open.
    program.call(SECOND, ROOT);
    program.call(SECOND, LEAF);
    program.recover(SECOND, 1);
    program.losing(|program| program.call(SECOND, MIDDLE));
    program.ret(SECOND);
    program.ret(SECOND);
    program.call(FIRST, ROOT);
    program.call(FIRST, LEAF);
    program.losing(|program| program.ret(FIRST));
    program.call(FIRST, MIDDLE);
    program.stop();
    program
}

#[test]
fn summaries() {
    let recorded = recorded("x", &eventful(), &[]);
    for (name, sort) in [
        ("summary", SortKey::Total),
        ("summary_by_name", SortKey::Name),
        ("summary_by_p99", SortKey::P99),
    ] {
        let summary = text(|out| write_summary(&recorded.profile, sort, out));
        check_golden(name, &summary);
    }
    let tree = text(|out| write_report_tree(&recorded.profile, SortKey::Total, out));
    check_golden("report_tree", &tree);
}

#[test]
fn nothing_has_a_summary_too() {
    let recorded = recorded("x", &program(), &[]);
    let summary = text(|out| write_summary(&recorded.profile, SortKey::Total, out));
    assert_eq!(summary, "0 trees, 0 calls of 0 functions, in 0ns\n");
    let tree = text(|out| write_report_tree(&recorded.profile, SortKey::Total, out));
    assert_eq!(tree, summary);
}

fn rendered(settings: SummarySettings, program: &GateSimulator) -> String {
    let mut renderer = SummaryRenderer::new(TestSymbols, settings);
    text(|out| {
        renderer.begin(out);
        let mut assembler = Assembler::new(AssemblerSettings::stream());
        let mut sink = RenderingSink {
            renderer: &mut renderer,
            out,
        };
        for event in &program.events {
            assembler.handle(event, &mut sink);
        }
        assembler.finish(program.now, &mut sink);
        renderer.finish(out);
    })
}

#[test]
fn a_summary_is_printed_once_or_refreshed() {
    let program = server(USUAL);
    let once = rendered(SummarySettings::default(), &program);
    let whole = recorded("x", &program, &[]);
    let summary = text(|out| write_summary(&whole.profile, SortKey::Total, out));
    assert_eq!(once, summary);

    let screen = LiveScreen {
        rows: 6,
        columns: 40,
    };
    let live = SummarySettings {
        live: Some(screen),
        ..SummarySettings::default()
    };
    let refreshed = rendered(live, &program);
    let screens: Vec<&str> = refreshed.split("\u{1b}[H\u{1b}[J").skip(1).collect();
    // 200 requests of some 10 ms, once a second, and at the end.
    assert!((3..6).contains(&screens.len()), "{}", screens.len());
    let (last, earlier) = screens.split_last().expect("there are");
    assert_eq!(*last, once);
    for screen in earlier {
        assert!(screen.lines().count() <= 5, "{screen}");
        assert!(screen.lines().all(|line| line.chars().count() <= 40));
    }
}

fn heading() -> DiffHeading {
    DiffHeading {
        base: "base.rec".to_owned(),
        new: "new|<b>.rec".to_owned(),
        warnings: vec!["base.rec comes from another Go version than new.rec".to_owned()],
        top: None,
    }
}

fn slower_and_more() -> (Recorded, Recorded) {
    let mut slow = server(Requests {
        seed: 2,
        leaf_ns: 13_000_000,
        leaves: 2,
        ..USUAL
    });
    // Only the new one has it.
    slow.call(FIRST, ROOT);
    slow.call(FIRST, HOSTILE);
    slow.ret(FIRST);
    slow.ret(FIRST);
    (
        recorded("base.rec", &server(USUAL), &[]),
        recorded("new.rec", &slow, &[]),
    )
}

#[test]
fn differences() {
    let (base, new) = slower_and_more();
    let diff = diff(&base.profile, &new.profile, DIFF_LEVEL);
    check_golden("diff", &text(|out| write_diff_text(&diff, &heading(), out)));
    check_golden(
        "diff_markdown",
        &text(|out| write_diff_markdown(&diff, &heading(), out)),
    );
    let lines = text(|out| write_diff_json_lines(&diff, out));
    check_golden("diff_jsonl", &lines);
    for line in lines.lines() {
        let object: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(object["change"]["self"]["real"].is_boolean(), "{line}");
    }
    let top = DiffHeading {
        top: Some(1),
        ..heading()
    };
    let top = text(|out| write_diff_text(&diff, &top, out));
    assert!(top.contains("(3 more, which cost less)\n"), "{top}");
}

fn real(diff: &Diff) -> Vec<&str> {
    let rows = diff.functions.iter().filter(|row| row.is_real());
    rows.map(|row| row.path[0].as_str()).collect()
}

#[test]
fn what_costs_most_comes_first_and_is_real() {
    let (base, new) = slower_and_more();
    let diff = diff(&base.profile, &new.profile, DIFF_LEVEL);
    assert_eq!(diff.functions[0].path, ["net/http.leaf"]);
    assert!(diff.functions[0].duration.is_real);
    assert!(diff.functions[0].calls.is_real);
    assert!(diff.functions[0].self_time.is_real);
    // Their own time is the same; only what they contain has grown.
    let root = diff.functions.iter().find(|row| row.path == ["main.root"]);
    let root = root.expect("it was called");
    assert!(root.total.is_real && !root.calls.is_real);
}

#[test]
fn small_changes_are_not_real_however_certain() {
    let taking = |time_ns: u64| {
        let mut program = program();
        program.step_ns = 1;
        for request in 0..200 {
            program.call(FIRST, ROOT);
            program.wait_ns(time_ns + request);
            program.ret(FIRST);
        }
        recorded("x", &program, &[])
    };
    for (base_ns, new_ns, is_real) in [
        // 3 %, half a microsecond, and enough of both.
        (10_000_000, 10_300_000, false),
        (1_000, 1_500, false),
        (10_000_000, 10_600_000, true),
        (1_000, 9_000, true),
        (10_600_000, 10_000_000, true),
    ] {
        let (base, new) = (taking(base_ns), taking(new_ns));
        let diff = diff(&base.profile, &new.profile, DIFF_LEVEL);
        assert_eq!(real(&diff).len(), usize::from(is_real), "{diff:?}");
        let root = &diff.functions[0];
        assert!(root.duration.probability.expect("enough") < 1e-6);
        assert_eq!(
            (root.duration.is_real, root.p99.is_real),
            (is_real, is_real)
        );
    }
}

#[test]
fn requests_of_another_kind_do_not_change_a_path() {
    let mixed = |others: u64| {
        let mut program = GateSimulator::new([ROOT, OTHER]);
        for request in 0..100 + others {
            let root = if request < 100 { ROOT } else { OTHER };
            program.call(FIRST, root);
            program.call(FIRST, MIDDLE);
            program.ret(FIRST);
            program.ret(FIRST);
        }
        recorded("x", &program, &[])
    };
    let diff = diff(&mixed(50).profile, &mixed(400).profile, DIFF_LEVEL);
    assert_eq!(diff.paths.len(), 4);
    for row in &diff.paths {
        assert!(!row.is_real(), "{row:?}");
        assert_eq!(row.new.map(|side| side.calls_per_tree), Some(1.0));
    }
    let tree = text(|out| write_report_tree(&mixed(50).profile, SortKey::Total, out));
    assert_eq!(tree.matches("1.00").count(), 4, "{tree}");
}

#[test]
fn the_same_program_differs_in_nothing() {
    let base = recorded("base.rec", &server(USUAL), &[]);
    for seed in 2..22 {
        let new = recorded("new.rec", &server(Requests { seed, ..USUAL }), &[]);
        let diff = diff(&base.profile, &new.profile, DIFF_LEVEL);
        // One in a hundred comparisons may find something.
        assert!(seed == 0 || real(&diff).len() <= 3);
        assert_eq!(diff.functions.len(), 3);
    }
    let silent = (2..102).filter(|&seed| {
        let new = recorded("new.rec", &server(Requests { seed, ..USUAL }), &[]);
        real(&diff(&base.profile, &new.profile, DIFF_LEVEL)).is_empty()
    });
    let silent = silent.count();
    assert!(silent >= 95, "{silent} of 100");
}

const RULES: [&str; 14] = [
    "p99(net/http.leaf) > 5ms",
    "p50(net/http.leaf) > 1.2 * baseline",
    "calls(net/http.leaf) > 1 per main.(*Middle).Work",
    "calls(net/http.leaf) > baseline",
    "maxcalls(net/http.*) >= 3",
    "self(net/http.*) > 5%",
    "total(main.root) > 1h9 * baseline",
    "mean(main.*) > 1s",
    "lost > 0",
    "calls(main.gone) == 0",
    "max(main.gone) > 1ms",
    "p50(main.evil*) > 1.1 * baseline",
    "self(main.root) < 0.9 * baseline",
    "calls(net/http.leaf) > 5 per main.gone",
];

fn checked(
    rules: &[&str],
    new: &GateSimulator,
    base: &[&GateSimulator],
) -> (Recorded, Vec<Verdict>) {
    let rules = analysis::rules(rules);
    let new = recorded("new.rec", new, &rules);
    let names = ["base.rec", "older.rec"];
    let base: Vec<Recorded> = names
        .iter()
        .zip(base)
        .map(|(name, base)| recorded(name, base, &rules))
        .collect();
    let verdicts = check(&rules, &new, &base, DEFAULT_LEVEL);
    (new, verdicts)
}

fn regressed() -> GateSimulator {
    let mut program = server(Requests {
        seed: 2,
        leaf_ns: 13_000_000,
        leaves: 2,
        ..USUAL
    });
    program.call(FIRST, ROOT);
    program.call(FIRST, HOSTILE);
    program.ret(FIRST);
    program.losing(|program| program.call(FIRST, MIDDLE));
    program.losing(|program| program.ret(FIRST));
    program.ret(FIRST);
    program.stop();
    program
}

#[test]
fn verdicts() {
    let rules: Vec<&str> = RULES
        .into_iter()
        .filter(|rule| !rule.contains("1h9"))
        .collect();
    let (new, verdicts) = checked(&rules, &regressed(), &[&server(USUAL)]);
    let warnings = [
        "base.rec comes from another Go version than new.rec: go1.25.3 against go1.26.8".to_owned(),
    ];
    let report = CheckReport {
        new: &new,
        verdicts: &verdicts,
        warnings: &warnings,
    };
    check_golden("check", &text(|out| write_check_text(&report, out)));
    check_golden(
        "check_markdown",
        &text(|out| write_check_markdown(&report, out)),
    );
    let junit = text(|out| write_check_junit(&report, out));
    check_golden("check_junit", &junit);
    let document = roxmltree::Document::parse(&junit).expect("XML");
    let cases = document
        .descendants()
        .filter(|node| node.has_tag_name("testcase"));
    let failed: Vec<bool> = cases
        .map(|case| case.children().any(|child| child.has_tag_name("failure")))
        .collect();
    let expected: Vec<bool> = verdicts.iter().map(Verdict::failed).collect();
    assert_eq!(failed, expected);
    let suite = document
        .descendants()
        .find(|node| node.has_tag_name("testsuite"));
    let failures = suite.and_then(|suite| suite.attribute("failures"));
    let count = failed.iter().filter(|failed| **failed).count().to_string();
    assert_eq!(failures, Some(count.as_str()));
}

fn failed(rule: &str, new: &GateSimulator, base: &[&GateSimulator]) -> bool {
    let (_, verdicts) = checked(&[rule], new, base);
    verdicts[0].failed()
}

#[test]
fn a_call_that_is_30_percent_slower_or_made_twice_fails() {
    let slower = server(Requests {
        seed: 3,
        leaf_ns: 13_000_000,
        ..USUAL
    });
    let twice = server(Requests {
        seed: 3,
        leaves: 2,
        ..USUAL
    });
    let base = server(USUAL);
    let older = server(Requests { seed: 9, ..USUAL });
    let base = [&base, &older];
    assert!(failed(
        "p50(net/http.leaf) > 1.1 * baseline",
        &slower,
        &base
    ));
    assert!(failed(
        "mean(net/http.leaf) > 1.2 * baseline",
        &slower,
        &base
    ));
    assert!(failed("self(net/http.*) > 1.2 * baseline", &slower, &base));
    assert!(failed("total(main.root) > 1.2 * baseline", &slower, &base));
    assert!(!failed(
        "p50(net/http.leaf) > 1.5 * baseline",
        &slower,
        &base
    ));
    assert!(!failed("calls(net/http.leaf) > baseline", &slower, &base));
    assert!(failed("calls(net/http.leaf) > baseline", &twice, &base));
    assert!(failed(
        "calls(net/http.leaf) > 1.5 * baseline per main.root",
        &twice,
        &base
    ));
    assert!(failed(
        "calls(net/http.leaf) > 1 per main.root",
        &twice,
        &[]
    ));
    assert!(!failed(
        "p50(net/http.leaf) > 1.1 * baseline",
        &twice,
        &base
    ));
    // The other way round it is an improvement.
    assert!(failed(
        "p50(net/http.leaf) < 0.9 * baseline",
        base[0],
        &[&slower]
    ));
    assert!(!failed(
        "p50(net/http.leaf) > 1.1 * baseline",
        base[0],
        &[&slower]
    ));
}

#[test]
fn the_slower_baseline_of_several_decides() {
    let slower = server(Requests {
        seed: 3,
        leaf_ns: 13_000_000,
        ..USUAL
    });
    let base = server(USUAL);
    let same = server(Requests {
        seed: 4,
        leaf_ns: 13_000_000,
        ..USUAL
    });
    let rule = "mean(net/http.leaf) > 1.1 * baseline";
    assert!(failed(rule, &slower, &[&base]));
    assert!(!failed(rule, &slower, &[&base, &same]));
}

#[test]
fn noise_does_not_fail() {
    let base = server(USUAL);
    let rules = [
        "p50(*) > 1.05 * baseline",
        "p99(*) > 1.05 * baseline",
        "mean(*) > 1.02 * baseline",
        "self(*) > 1.02 * baseline",
        "calls(*) > baseline",
        "total(main.root) > 1.02 * baseline",
    ];
    let failures: usize = (2..102)
        .map(|seed| {
            let new = server(Requests { seed, ..USUAL });
            let (_, verdicts) = checked(&rules, &new, &[&base]);
            verdicts.iter().filter(|verdict| verdict.failed()).count()
        })
        .sum();
    // At level 0.01, 600 verdicts on the edge of their factors give 6; some look at three
    // functions.
    assert!(failures <= 15, "{failures}");

    let rules = [
        "p50(*) > 1.2 * baseline",
        "calls(*) > baseline",
        "mean(*) > 1.2 * baseline",
    ];
    for seed in 2..22 {
        let new = server(Requests { seed, ..USUAL });
        let (_, verdicts) = checked(&rules, &new, &[&base]);
        assert!(!verdicts.iter().any(Verdict::failed), "{verdicts:?}");
    }
}
