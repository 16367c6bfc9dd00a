//! The grammar of rules: what is understood, and where errors point.

use gofuncgraph::analysis::{Comparison, Limit, Metric, Rule, RuleError, parse_rules};
use proptest::prelude::*;

fn rule(text: &str) -> Rule {
    text.parse()
        .unwrap_or_else(|error: RuleError| panic!("{text}: {error}"))
}

#[test]
fn metrics_and_limits() {
    let p99 = rule("  p99( main.handleBar )>50ms ");
    assert_eq!(p99.text, "p99( main.handleBar )>50ms");
    assert_eq!(p99.metric, Metric::Quantile { quantile: 0.99 });
    assert_eq!(p99.functions.expect("named").as_str(), "main.handleBar");
    assert_eq!(p99.comparison, Comparison::Above);
    assert_eq!(
        p99.limit,
        Limit::Time {
            time_ns: 50_000_000
        }
    );
    assert_eq!(p99.per, None);

    let limits = [
        (
            "p99.9(f) >= 1.5s",
            Limit::Time {
                time_ns: 1_500_000_000,
            },
        ),
        ("max(f) > 1.2 * baseline", Limit::Baseline { factor: 1.2 }),
        ("max(f) > baseline*1.2", Limit::Baseline { factor: 1.2 }),
        ("min(f) < baseline", Limit::Baseline { factor: 1.0 }),
        ("self(f) > 5%", Limit::Share(0.05)),
        ("total(f) > 12.5 % per g", Limit::Share(0.125)),
        ("calls(f) == 0", Limit::Count(0.0)),
        ("maxcalls(f) != 2.5", Limit::Count(2.5)),
        ("lost > 0", Limit::Count(0.0)),
        ("mean(f)<=7ns", Limit::Time { time_ns: 7 }),
    ];
    for (text, limit) in limits {
        assert_eq!(rule(text).limit, limit, "{text}");
    }
}

#[test]
fn patterns_end_where_their_brackets_do() {
    let patterns = [
        ("p50(main.(*T).M) > 1ms", "main.(*T).M"),
        ("p50((*T).M) > 1ms", "(*T).M"),
        (
            "p50(main.Map[go.shape.struct { X int }]) > 1ms",
            "main.Map[go.shape.struct { X int }]",
        ),
        ("p50(main.f.func1) > 1ms", "main.f.func1"),
        ("p50(net/http.(*conn).*) > 1ms", "net/http.(*conn).*"),
        ("p50(*) > 1ms", "*"),
    ];
    for (text, pattern) in patterns {
        assert_eq!(rule(text).functions.expect("named").as_str(), pattern);
    }
    let per = rule("calls(main.query) > 10 per main.(*T).handle[go.shape.struct { X int }]");
    assert_eq!(
        per.per.expect("named").as_str(),
        "main.(*T).handle[go.shape.struct { X int }]"
    );
}

#[test]
fn errors_point_at_the_character() {
    let mut texts = String::new();
    for text in [
        "",
        "p99",
        "p99(main.f",
        "p99() > 50ms",
        "p99(main.f)",
        "p99(main.f) = 50ms",
        "p99(main.f) => 50ms",
        "p99(main.f) >",
        "p99(main.f) > 50",
        "p99(main.f) > 50 ms",
        "p99(main.f) > 50µs",
        "p99(main.f) > 5%",
        "p99(main.f) > 1.2 * base",
        "p99(main.f) > 1.2 *",
        "p99(main.f) > baseline *",
        "p99(main.f) > baseline * x",
        "p99(main.f) == baseline",
        "p99(main.f) > 50ms per main.g",
        "p99(main.f) > 50ms or p50(main.f) > 1ms",
        "p100(main.f) > 50ms",
        "p(main.f) > 50ms",
        "median(main.größe) > 50ms",
        "p99(main.größe) > ten",
        "calls(main.f) > many",
        "calls(main.f) > 50ms",
        "calls(main.f) > 5%",
        "calls(main.f) > 5 per",
        "calls(main.f) > 5 per main.g main.h",
        "lost > baseline",
        "lost(main.f) > 0",
        "lost",
        "> 5ms",
    ] {
        let error = text.parse::<Rule>().expect_err(text);
        texts.push_str(&format!("{error}\n\n"));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/rule_errors.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &texts).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(texts == golden, "--- expected\n{golden}--- actual\n{texts}");
}

#[test]
fn files_have_comments() {
    let rules = parse_rules(
        "# What may not happen.\n\n  lost > 0 # not even once\r\ncalls(main.f) == 0\n\t# more\n",
    )
    .expect("rules");
    let texts: Vec<&str> = rules.iter().map(|rule| rule.text.as_str()).collect();
    assert_eq!(texts, ["lost > 0", "calls(main.f) == 0"]);
    let (line, error) = parse_rules("lost > 0\n\nlost > x\n").expect_err("no number");
    assert_eq!((line, error.position), (3, 7));
    assert_eq!(parse_rules("#\n"), Ok(vec![]));
}

/// Pieces that rules are made of, and some that they are not.
const PIECES: [&str; 32] = [
    "p99",
    "p50",
    "calls",
    "self",
    "lost",
    "(",
    ")",
    "main.f",
    "main.(*T).M",
    "[",
    "]",
    "{",
    ">",
    ">=",
    "==",
    "<",
    "=",
    "50ms",
    "1.2",
    "*",
    "baseline",
    "per",
    "%",
    " ",
    "\t",
    "5",
    ".",
    "µs",
    "\u{1b}[31m",
    "#",
    "0x",
    "18446744073709551616s",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_text_is_a_rule_or_an_error_with_a_place(text in "\\PC{0,60}") {
        understood_or_located(&text)?;
    }

    #[test]
    fn any_pieces_are_a_rule_or_an_error_with_a_place(
        pieces in proptest::collection::vec(0..PIECES.len(), 0..14),
    ) {
        let text: String = pieces.iter().map(|&piece| PIECES[piece]).collect();
        understood_or_located(&text)?;
    }

    #[test]
    fn a_rule_that_is_changed_a_little(
        position in 0..60_usize,
        replacement in "\\PC{0,2}",
        removed in 0..3_usize,
    ) {
        let text = "calls(net/http.(*conn).serve) > 1.25 * baseline per main.g";
        let mut letters: Vec<char> = text.chars().collect();
        let start = position.min(letters.len());
        let end = (start + removed).min(letters.len());
        letters.splice(start..end, replacement.chars());
        let text: String = letters.into_iter().collect();
        understood_or_located(&text)?;
    }
}

fn understood_or_located(text: &str) -> Result<(), TestCaseError> {
    match text.parse::<Rule>() {
        Ok(rule) => {
            // What was understood is understood in the same way again.
            prop_assert_eq!(rule.text.parse::<Rule>(), Ok(rule.clone()));
            prop_assert_eq!(rule.functions.is_none(), rule.metric == Metric::Lost);
            if let Limit::Count(number)
            | Limit::Share(number)
            | Limit::Baseline { factor: number } = rule.limit
            {
                prop_assert!(number.is_finite() && number >= 0.0);
            }
        }
        Err(error) => {
            prop_assert!(
                text.get(error.position..error.position + error.length)
                    .is_some()
            );
            prop_assert!(!error.problem.is_empty());
            let shown = error.to_string();
            prop_assert!(!shown.contains(char::from(27)));
            let marks = shown.lines().last().unwrap_or_default();
            prop_assert!(marks.ends_with('^'));
        }
    }
    Ok(())
}
