//! The report as tables that people read, on a terminal and in docs/BENCHMARKS.md.

use super::report::{Case, Goal, Report, Row};

/// Everything.
pub fn text(report: &Report) -> String {
    let cases: String = report.cases.iter().map(case).collect();
    let caution = if report.quick {
        "This was a quick run, of about a tenth of the work that is described: it shows that \
         everything can be measured, and its figures are worth little.\n\n"
    } else {
        ""
    };
    format!(
        "Measured by `{}` on {}, in {:.0} s.\n\n{caution}\
         The subjects of a case are measured in turn, in {} unless it says otherwise. Told are \
         the median of all values, their spread (least to greatest, and the middle half in \
         brackets), how many there are, and the median divided by that of another row: `x 0.25 \
         of NAME`. The file that `--json` names has every value.\n\n{}{cases}",
        report.command,
        report.machine,
        report.took_s,
        rounds(report.rounds),
        goals(&report.goals)
    )
}

fn rounds(count: usize) -> String {
    match count {
        1 => "1 round".to_owned(),
        _ => format!("{count} rounds"),
    }
}

fn goals(goals: &[Goal]) -> String {
    if goals.is_empty() {
        return String::new();
    }
    let rows: String = goals
        .iter()
        .map(|goal| {
            let met = match goal.met {
                Some(true) => "met",
                Some(false) => "not met",
                None => "unknown",
            };
            let measured = goal.measured.as_deref().unwrap_or("not measured");
            line(&[goal.what, measured, met])
        })
        .collect();
    format!("## Goals\n\n| goal | measured | |\n|---|---|---|\n{rows}\n")
}

fn case(case: &Case) -> String {
    let rows: String = case.rows.iter().map(row).collect();
    format!(
        "## {} (`{}`)\n\n{}\n\n\
         | subject | what | median | least – greatest (middle half) | values | compared | notes |\n\
         |---|---|---:|---:|---:|---|---|\n{rows}\n",
        case.title, case.name, case.measures
    )
}

fn row(row: &Row) -> String {
    let mut notes = row.notes.join("; ");
    if let Some(error) = &row.error {
        let separator = if notes.is_empty() { "" } else { "; " };
        let what = if row.spread.is_some() {
            "not in all rounds"
        } else {
            "not available"
        };
        notes = format!("{notes}{separator}{what}: {error}");
    }
    let format = |value| row.unit.format(value);
    let (median, spread, count) = match &row.spread {
        Some(spread) if spread.count == 1 => (format(spread.median), String::new(), "1".to_owned()),
        Some(spread) => (
            format(spread.median),
            format!(
                "{} – {} ({} – {})",
                format(spread.min),
                format(spread.max),
                format(spread.lower_quartile),
                format(spread.upper_quartile)
            ),
            spread.count.to_string(),
        ),
        None => ("–".to_owned(), String::new(), "0".to_owned()),
    };
    let compared = row.ratio.zip(row.compared_with.as_ref());
    let compared = compared.map(|(ratio, other)| format!("x {ratio:.2} of {other}"));
    line(&[
        &row.subject,
        row.metric,
        &median,
        &spread,
        &count,
        &compared.unwrap_or_default(),
        &notes,
    ])
}

fn line(cells: &[&str]) -> String {
    let cells: Vec<String> = cells
        .iter()
        .map(|cell| cell.replace('|', "\\|").replace('\n', " "))
        .collect();
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::Unit;

    #[test]
    fn a_report_is_a_table_a_case() {
        let mut case = Case::new("call", "Calls", "What a call costs.");
        case.promise("old", "added", Unit::Nanoseconds, None);
        case.promise("new", "added", Unit::Nanoseconds, Some("old"));
        case.promise("other", "added", Unit::Nanoseconds, Some("old"));
        for value in [10_000.0, 12_000.0, 14_000.0] {
            case.push("old", "added", value);
        }
        case.push("new", "added", 3000.0);
        case.note("new", "promoted");
        case.fail("other", "no such file | or\nfolder");
        let report = Report {
            machine: "a machine".to_owned(),
            command: "cargo xtask bench".to_owned(),
            rounds: 3,
            quick: false,
            took_s: 12.4,
            cases: vec![case.finish()],
            goals: vec![Goal {
                what: "at most 3 us",
                measured: Some("3.00 us".to_owned()),
                met: Some(true),
            }],
        };
        let text = text(&report);
        let start = "Measured by `cargo xtask bench` on a machine, in 12 s.\n";
        assert!(text.starts_with(start), "{text}");
        let end = "\
## Goals

| goal | measured | |
|---|---|---|
| at most 3 us | 3.00 us | met |

## Calls (`call`)

What a call costs.

| subject | what | median | least – greatest (middle half) | values | compared | notes |
|---|---|---:|---:|---:|---|---|
| old | added | 12.00 us | 10.00 us – 14.00 us (11.00 us – 13.00 us) | 3 |  |  |
| new | added | 3.00 us |  | 1 | x 0.25 of old | promoted |
| other | added | – |  | 0 |  | not available: no such file \\| or folder |

";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn values_of_some_rounds_are_not_hidden_by_a_later_failure() {
        let mut case = Case::new("call", "", "");
        case.promise("a", "added", Unit::Nanoseconds, None);
        case.push("a", "added", 5.0);
        case.fail("a", "it broke");
        let case = case.finish();
        assert!(row(&case.rows[0]).contains("| 5.0 ns |"));
        assert!(row(&case.rows[0]).contains("| not in all rounds: it broke |"));
    }
}
