//! Rules, read and applied.

use gofuncgraph::analysis::{Limit, Recorded, Rule, parse_rules};

use crate::pipeline;

/// What rules are applied to.
const RECORDING: &[u8] = include_bytes!("../../gofuncgraph/tests/golden/recordings/example.rec");

/// Lines of a file whose rules are applied, too.
const MAX_APPLIED: usize = 4;

/// Reads `text` as a rule and as a file of rules, and applies what is understood.
pub fn apply(text: &str) {
    read_one(text);
    match parse_rules(text) {
        Ok(rules) => {
            let rules: Vec<Rule> = rules.into_iter().take(MAX_APPLIED).collect();
            verdicts(&rules);
        }
        Err((line, error)) => {
            assert!((1..=text.lines().count()).contains(&line), "line {line}");
            let _ = error.to_string();
        }
    }
}

fn read_one(text: &str) {
    match text.parse::<Rule>() {
        Ok(rule) => {
            assert_eq!(rule.text.parse::<Rule>(), Ok(rule.clone()));
            if let Limit::Count(number)
            | Limit::Share(number)
            | Limit::Baseline { factor: number } = rule.limit
            {
                assert!(number.is_finite() && number >= 0.0);
            }
            let _ = rule.to_string();
        }
        Err(error) => {
            let place = error.position..error.position + error.length;
            assert!(text.get(place).is_some());
            assert!(!error.problem.is_empty());
            let shown = error.to_string();
            assert!(
                shown
                    .chars()
                    .all(|letter| letter == '\n' || !letter.is_control())
            );
            assert!(shown.ends_with('^'));
        }
    }
}

fn verdicts(rules: &[Rule]) {
    if rules.is_empty() {
        return;
    }
    let recorded = |bytes: &[u8]| {
        let watches = rules.iter().map(Rule::watch).collect();
        let (profile, watched) = pipeline::profile(bytes, watches).expect("it is a recording");
        Recorded {
            name: "a.rec".to_owned(),
            profile,
            watched,
        }
    };
    let new = recorded(RECORDING);
    let baseline = recorded(RECORDING);
    let mut out = Vec::new();
    pipeline::write_verdicts(rules, &new, &[baseline], &mut out);
    std::str::from_utf8(&out).expect("every format is UTF-8");
}
