//! What rules found, for people and for CI systems.

use super::example_tree;
use super::measure::{change, measure, number_of};
use super::table::{markdown_code, markdown_text, plain};
use crate::analysis::{
    Comparison, Example, Finding, FunctionPattern, Gap, Limit, Measure, Recorded, Rule, Verdict,
};

/// Failed functions of one rule that are listed.
const LISTED_FUNCTIONS: usize = 10;

/// A check that was made.
#[derive(Clone, Debug)]
pub struct CheckReport<'a> {
    /// What was checked.
    pub new: &'a Recorded,
    /// What became of the rules.
    pub verdicts: &'a [Verdict],
    /// What makes recordings hard to compare, a sentence each.
    pub warnings: &'a [String],
}

impl CheckReport<'_> {
    fn failed(&self) -> usize {
        self.verdicts
            .iter()
            .filter(|verdict| verdict.failed())
            .count()
    }

    fn untold(&self) -> usize {
        self.verdicts
            .iter()
            .filter(|verdict| verdict.untold())
            .count()
    }

    fn outcome(&self) -> String {
        let count = self.verdicts.len();
        let rules = number_of(count as u64, "rule");
        match (self.failed(), self.untold()) {
            (0, 0) => format!("{rules} passed"),
            (0, untold) => format!("{} of {rules} passed, {untold} skipped", count - untold),
            (failed, 0) => format!("{failed} of {rules} failed"),
            (failed, untold) => format!("{failed} of {rules} failed, {untold} skipped"),
        }
    }
}

/// Appends a line for each rule, with what was expected, found and the tree in question for those
/// that failed, and at the end how many did. A rule that could not have failed is called skipped.
pub fn write_check_text(report: &CheckReport<'_>, out: &mut Vec<u8>) {
    let mut push = |line: &str| {
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    };
    for warning in report.warnings {
        push(&format!("warning: {}", plain(warning)));
    }
    for verdict in report.verdicts {
        let word = if verdict.failed() {
            "FAIL"
        } else if verdict.untold() {
            "skip"
        } else {
            "ok  "
        };
        push(&format!("{word} {}", plain(&verdict.rule.text)));
        for line in details(report.new, verdict) {
            push(&format!("       {line}"));
        }
    }
    push(&report.outcome());
}

/// Appends GitHub-flavoured Markdown: a table of all rules, then the failed ones with their trees.
pub fn write_check_markdown(report: &CheckReport<'_>, out: &mut Vec<u8>) {
    let mut text = format!("### gofuncgraph check: {}\n", report.outcome());
    for warning in report.warnings {
        text.push_str(&format!("\n> [!WARNING]\n> {}\n", markdown_text(warning)));
    }
    text.push_str("\n| | rule | found |\n| :--- | :--- | :--- |\n");
    for verdict in report.verdicts {
        let mark = if verdict.failed() {
            "❌"
        } else if verdict.untold() {
            "⚠️"
        } else {
            "✅"
        };
        let found: Vec<String> = statements(verdict)
            .iter()
            .map(|it| markdown_text(it))
            .collect();
        text.push_str(&format!(
            "| {mark} | {} | {} |\n",
            markdown_code(&verdict.rule.text),
            found.join("<br>")
        ));
    }
    for verdict in report.verdicts.iter().filter(|verdict| verdict.failed()) {
        let Some((title, lines)) = example(report.new, verdict) else {
            continue;
        };
        text.push_str(&format!(
            "\n<details><summary>{}: {}</summary>\n\n<pre>\n",
            markdown_code(&verdict.rule.text),
            markdown_text(&title)
        ));
        for line in lines {
            text.push_str(&markdown_text(&line));
            text.push('\n');
        }
        text.push_str("</pre>\n</details>\n");
    }
    out.extend_from_slice(text.as_bytes());
}

/// Appends JUnit's XML: one test case a rule, in the class `gofuncgraph.check`.
pub fn write_check_junit(report: &CheckReport<'_>, out: &mut Vec<u8>) {
    let tests = report.verdicts.len();
    let (failures, skipped) = (report.failed(), report.untold());
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites tests=\"{tests}\" failures=\"{failures}\">\n  \
         <testsuite name=\"gofuncgraph check {}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\">\n",
        xml(&report.new.name)
    );
    for verdict in report.verdicts {
        text.push_str(&format!(
            "    <testcase classname=\"gofuncgraph.check\" name=\"{}\"",
            xml(&verdict.rule.text)
        ));
        let details = details(report.new, verdict).join("\n");
        let message = statements(verdict).into_iter().next();
        let message = message.map_or_else(String::new, |message| plain(&message));
        if verdict.untold() {
            text.push_str(&format!(
                ">\n      <skipped message=\"{}\"/>\n    </testcase>\n",
                xml(&message)
            ));
        } else if verdict.failed() {
            text.push_str(&format!(
                ">\n      <failure message=\"{}\" type=\"rule\">{}</failure>\n    </testcase>\n",
                xml(&message),
                xml(&details)
            ));
        } else {
            text.push_str(&format!(
                ">\n      <system-out>{}</system-out>\n    </testcase>\n",
                xml(&details)
            ));
        }
    }
    if !report.warnings.is_empty() {
        let warnings = report.warnings.join("\n");
        text.push_str(&format!(
            "    <system-err>{}</system-err>\n",
            xml(&warnings)
        ));
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    out.extend_from_slice(text.as_bytes());
}

/// Text and attribute values of XML 1.0, where most control characters cannot stand at all.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = line
            .strip_suffix('\n')
            .map_or((line, ""), |line| (line, "\n"));
        for letter in plain(line).chars() {
            match letter {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                // Noncharacters.
                '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
                other => out.push(other),
            }
        }
        out.push_str(end);
    }
    out
}

/// The statements of a verdict and, if it failed, the tree in question.
fn details(new: &Recorded, verdict: &Verdict) -> Vec<String> {
    let mut lines: Vec<String> = statements(verdict).iter().map(|it| plain(it)).collect();
    if let Some((title, tree)) = example(new, verdict) {
        lines.push(title);
        lines.extend(tree);
    }
    lines
}

fn example(new: &Recorded, verdict: &Verdict) -> Option<(String, Vec<String>)> {
    let tree = verdict.example.as_deref()?;
    // A rule that could not be applied says nothing of any tree.
    if !verdict.findings.iter().any(|finding| finding.fails) {
        return None;
    }
    let title = format!(
        "{}, on goroutine {} of process {}:",
        example_title(&verdict.rule),
        tree.goid,
        tree.pid
    );
    let lines = example_tree::lines(&new.profile, &verdict.rule, tree);
    Some((title, lines))
}

fn example_title(rule: &Rule) -> &'static str {
    match rule.watch().example {
        Example::SlowestCall => "tree with the slowest call",
        Example::MostCalls => "tree with the most calls",
        Example::MostSelf => "tree with the most self time",
        Example::SlowestTree => "slowest tree",
    }
}

/// What a rule found, a line for each function or gap; of a rule that failed only what failed.
fn statements(verdict: &Verdict) -> Vec<String> {
    let failed = verdict.failed();
    let findings: Vec<&Finding> = verdict
        .findings
        .iter()
        .filter(|finding| finding.fails == failed)
        .collect();
    let listed = if failed { LISTED_FUNCTIONS } else { 1 };
    let mut statements: Vec<String> = findings
        .iter()
        .take(listed)
        .map(|finding| statement(&verdict.rule, finding))
        .collect();
    if failed && findings.len() > listed {
        let left = number_of((findings.len() - listed) as u64, "more function");
        statements.push(format!("and {left}"));
    }
    let cannot_fail = |findings: &mut dyn Iterator<Item = &Finding>| {
        findings.filter(|finding| finding.cannot_fail()).count()
    };
    let listed = cannot_fail(&mut findings.iter().take(listed).copied());
    let unlisted = cannot_fail(&mut verdict.findings.iter()) - listed;
    if unlisted > 0 {
        let functions = number_of(unlisted as u64, "more function");
        statements.push(format!(
            "{functions} with too few samples to tell a difference from chance"
        ));
    }
    statements.extend(verdict.gaps.iter().map(|gap| gap_text(&verdict.rule, gap)));
    statements
}

fn statement(rule: &Rule, finding: &Finding) -> String {
    let mut text = String::new();
    if let Some(function) = &finding.function {
        text.push_str(function);
        text.push_str(": ");
    }
    text.push_str(&format!(
        "expected {}, found {}",
        expected(rule.comparison, finding.limit),
        measure(finding.found)
    ));
    if let (Limit::Baseline { factor }, Some(compared)) = (rule.limit, &finding.compared) {
        let (found, value) = (number(finding.found), number(compared.value));
        text.push_str(&format!(
            " ({} against {} in {}, factor {factor}; ",
            change(value, found),
            measure(compared.value),
            compared.baseline
        ));
        let (base, new) = compared.samples;
        text.push_str(&match compared.probability {
            Some(probability) if finding.fails => {
                format!("real: p = {probability:.4} from {base} and {new})")
            }
            _ if !compared.is_enough => {
                format!("{base} and {new} samples are too few to tell a difference from chance)")
            }
            None => "within the factor)".to_owned(),
            Some(_) => {
                format!("but {base} and {new} samples do not show that it is more than chance)")
            }
        });
    }
    text
}

fn number(value: Measure) -> f64 {
    match value {
        Measure::Time(number) | Measure::Count(number) | Measure::Share(number) => number,
    }
}

/// What would have been right.
fn expected(comparison: Comparison, limit: Measure) -> String {
    let is_zero = number(limit) == 0.0;
    let limit = measure(limit);
    match comparison {
        Comparison::Equal if is_zero => format!("more than {limit}"),
        Comparison::Above => format!("at most {limit}"),
        Comparison::AtLeast => format!("less than {limit}"),
        Comparison::Below => format!("at least {limit}"),
        Comparison::AtMost => format!("more than {limit}"),
        Comparison::Equal => format!("anything but {limit}"),
        Comparison::NotEqual => format!("exactly {limit}"),
    }
}

fn gap_text(rule: &Rule, gap: &Gap) -> String {
    let pattern = |pattern: &Option<FunctionPattern>| {
        pattern
            .as_ref()
            .map_or_else(|| "*".to_owned(), |pattern| pattern.as_str().to_owned())
    };
    match gap {
        Gap::NoCalls => format!(
            "no call of {} has a measured duration: was it renamed, inlined or not traced?",
            pattern(&rule.functions)
        ),
        Gap::NoGroups => format!(
            "no call of {} has a measured duration: was it renamed, inlined or not traced?",
            pattern(&rule.per)
        ),
        Gap::NoTrees => "no tree has a measured duration".to_owned(),
        Gap::NeverCalled => format!(
            "no call of {} was recorded: if there should be, was it renamed, inlined or not traced?",
            pattern(&rule.functions)
        ),
        Gap::NotInBaseline { function } => format!(
            "{} is not in the baseline, so there is nothing to compare with",
            function.as_deref().unwrap_or("what it counts")
        ),
    }
}
