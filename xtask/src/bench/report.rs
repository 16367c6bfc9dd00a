//! What a run of the benchmark found: cases, their rows, and whether goals are met.

use serde::Serialize;

use super::statistics::Spread;

/// What a value is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Nanoseconds.
    Nanoseconds,
    /// Seconds.
    Seconds,
    /// So many a second.
    PerSecond,
    /// Bytes.
    Bytes,
    /// Hundredths.
    Percent,
}

impl Unit {
    /// The value as people read it.
    pub fn format(self, value: f64) -> String {
        match self {
            Self::Nanoseconds => nanoseconds(value),
            Self::Seconds => nanoseconds(value * 1e9),
            Self::PerSecond => format!("{} /s", grouped(value)),
            Self::Bytes => format!("{:.1} MiB", value / f64::from(1 << 20)),
            Self::Percent => format!("{value:.1} %"),
        }
    }
}

fn nanoseconds(value: f64) -> String {
    match value.abs() {
        size if size < 1e3 => format!("{value:.1} ns"),
        size if size < 1e6 => format!("{:.2} us", value / 1e3),
        size if size < 1e9 => format!("{:.2} ms", value / 1e6),
        _ => format!("{:.2} s", value / 1e9),
    }
}

/// A whole number with commas between thousands.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value <= -0.5 {
        text.insert(0, '-');
    }
    text
}

/// One thing that was measured.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Who or what was measured: a tool with its options, a number of probes.
    pub subject: String,
    /// What of it.
    pub metric: &'static str,
    /// What the values are counted in.
    pub unit: Unit,
    /// Each value, in the order in which they were measured.
    pub values: Vec<f64>,
    /// Their middle and spread; filled by [`Case::finish`].
    pub spread: Option<Spread>,
    /// The subject whose row of the same metric this one is compared with.
    pub compared_with: Option<String>,
    /// Median divided by that row's median.
    pub ratio: Option<f64>,
    /// What has to be known beside the values.
    pub notes: Vec<String>,
    /// Why there are no values, or not of all rounds.
    pub error: Option<String>,
    /// Rounds that gave no value.
    pub failed_rounds: usize,
    /// It needs nothing but this repository, so it may not be missing.
    pub ours: bool,
}

impl Row {
    /// Adds what has to be known beside the values, once.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// Rows that answer one question.
#[derive(Debug, Serialize)]
pub struct Case {
    /// What it is chosen by.
    pub name: &'static str,
    /// The heading.
    pub title: &'static str,
    /// Exactly what is measured.
    pub measures: String,
    /// In the order of their promise.
    pub rows: Vec<Row>,
}

impl Case {
    /// One without rows.
    pub fn new(name: &'static str, title: &'static str, measures: impl Into<String>) -> Self {
        Self {
            name,
            title,
            measures: measures.into(),
            rows: Vec::new(),
        }
    }

    /// Promises a row: it will be there, with values or with the reason why not.
    pub fn promise(
        &mut self,
        subject: &str,
        metric: &'static str,
        unit: Unit,
        compared_with: Option<&str>,
    ) -> &mut Row {
        let row = Row {
            subject: subject.to_owned(),
            metric,
            unit,
            values: Vec::new(),
            spread: None,
            compared_with: compared_with.map(str::to_owned),
            ratio: None,
            notes: Vec::new(),
            error: None,
            failed_rounds: 0,
            ours: true,
        };
        self.rows.push(row);
        let last = self.rows.len() - 1;
        &mut self.rows[last]
    }

    /// Adds a value to a promised row.
    pub fn push(&mut self, subject: &str, metric: &str, value: f64) {
        for row in self.rows_of(subject) {
            if row.metric == metric {
                row.values.push(value);
            }
        }
    }

    /// Says in all rows of the subject why a round gave no values.
    pub fn fail(&mut self, subject: &str, error: &str) {
        for row in self.rows_of(subject) {
            row.error.get_or_insert_with(|| error.to_owned());
            row.failed_rounds += 1;
        }
    }

    /// Says why the subject could not even be tried, which is not this project's fault.
    pub fn give_up(&mut self, subject: &str, error: &str) {
        for row in self.rows_of(subject) {
            row.ours = false;
        }
        self.fail(subject, error);
    }

    /// Whether the subject has failed too often to take more time: others once, this project's own
    /// twice, because it may have been the machine.
    pub fn is_hopeless(&self, subject: &str) -> bool {
        let mut rows = self.rows.iter().filter(|row| row.subject == subject);
        rows.any(|row| row.failed_rounds >= if row.ours { 2 } else { 1 })
    }

    /// Says in all rows of the subject what has to be known beside the values.
    pub fn note(&mut self, subject: &str, note: &str) {
        for row in self.rows_of(subject) {
            row.note(note);
        }
    }

    /// Middle, spread and ratios, when all values are there.
    pub fn finish(mut self) -> Self {
        for row in &mut self.rows {
            row.spread = Spread::of(&row.values);
            if row.spread.is_none() && row.error.is_none() {
                row.error = Some("no value was measured".to_owned());
            }
        }
        let medians: Vec<_> = self
            .rows
            .iter()
            .map(|row| (row.subject.clone(), row.metric, row.spread))
            .collect();
        for row in &mut self.rows {
            let other = medians.iter().find(|(subject, metric, _)| {
                Some(subject) == row.compared_with.as_ref() && *metric == row.metric
            });
            let medians = row.spread.zip(other.and_then(|(_, _, spread)| *spread));
            row.ratio = medians
                .filter(|(_, other)| other.median > 0.0)
                .map(|(own, other)| own.median / other.median);
        }
        self
    }

    /// The median of a row.
    pub fn median(&self, subject: &str, metric: &str) -> Option<f64> {
        let mut rows = self.rows.iter();
        let row = rows.find(|row| row.subject == subject && row.metric == metric)?;
        row.spread.map(|spread| spread.median)
    }

    fn rows_of(&mut self, subject: &str) -> impl Iterator<Item = &mut Row> {
        let rows = self.rows.iter_mut();
        rows.filter(move |row| row.subject == subject)
    }
}

/// Something that the project wants to reach.
#[derive(Debug, PartialEq, Serialize)]
pub struct Goal {
    /// What shall hold.
    pub what: &'static str,
    /// What was measured, if it was.
    pub measured: Option<String>,
    /// Whether it holds.
    pub met: Option<bool>,
}

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Processor, kernel and date.
    pub machine: String,
    /// What was run.
    pub command: String,
    /// How often each case was measured, unless it says otherwise.
    pub rounds: usize,
    /// A run that only shows that the benchmark works.
    pub quick: bool,
    /// The run's own wall time, without building.
    pub took_s: f64,
    /// In the order in which they were measured.
    pub cases: Vec<Case>,
    /// Those that the cases tell of.
    pub goals: Vec<Goal>,
}

impl Report {
    /// Rows of this project's own program that have no values.
    pub fn missing(&self) -> Vec<String> {
        let rows = |case: &Case| {
            let name = case.name;
            let rows = case.rows.iter();
            let missing = rows.filter(|row| row.ours && row.spread.is_none());
            let text = |row: &Row| {
                let error = row.error.as_deref().unwrap_or_default();
                format!("{name}: {}, {}: {error}", row.subject, row.metric)
            };
            missing.map(text).collect::<Vec<_>>()
        };
        self.cases.iter().flat_map(rows).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_people_read_them() {
        assert_eq!(Unit::Nanoseconds.format(7.14), "7.1 ns");
        assert_eq!(Unit::Nanoseconds.format(1987.0), "1.99 us");
        assert_eq!(Unit::Seconds.format(0.0478), "47.80 ms");
        assert_eq!(Unit::Seconds.format(21.5), "21.50 s");
        assert_eq!(Unit::PerSecond.format(1_234_567.4), "1,234,567 /s");
        assert_eq!(Unit::PerSecond.format(999.0), "999 /s");
        assert_eq!(Unit::Bytes.format(1_572_864.0), "1.5 MiB");
        assert_eq!(Unit::Percent.format(8.26), "8.3 %");
        assert_eq!(grouped(-1000.0), "-1,000");
        assert_eq!(grouped(-0.2), "0");
    }

    fn case() -> Case {
        let mut case = Case::new("call", "Calls", "calls");
        case.promise("old", "cost", Unit::Nanoseconds, None);
        case.promise("new", "cost", Unit::Nanoseconds, Some("old"));
        case
    }

    #[test]
    fn a_row_is_compared_with_the_median_of_another() {
        let mut case = case();
        for value in [20.0, 30.0, 10.0] {
            case.push("old", "cost", value);
        }
        case.push("new", "cost", 5.0);
        let case = case.finish();
        assert_eq!(case.rows[1].ratio, Some(0.25));
        assert_eq!(case.rows[0].ratio, None);
        assert_eq!(case.median("old", "cost"), Some(20.0));
        assert_eq!(case.median("old", "memory"), None);
    }

    #[test]
    fn a_promised_row_is_there_even_if_nothing_was_measured() {
        let mut case = case();
        case.fail("old", "it broke");
        let case = case.finish();
        assert_eq!(case.rows[0].error.as_deref(), Some("it broke"));
        assert_eq!(case.rows[1].error.as_deref(), Some("no value was measured"));
        assert_eq!(case.rows[1].ratio, None);
    }

    #[test]
    fn what_fails_is_tried_again_once_if_it_is_ours() {
        let mut case = case();
        case.rows[0].ours = false;
        case.fail("old", "not installed");
        case.fail("new", "it was lost");
        assert!(case.is_hopeless("old") && !case.is_hopeless("new"));
        case.fail("new", "it was lost again");
        assert!(case.is_hopeless("new"));
        assert_eq!(case.rows[1].error.as_deref(), Some("it was lost"));
    }

    #[test]
    fn what_cannot_be_fetched_is_nobodys_fault() {
        let mut case = case();
        case.give_up("new", "no network");
        assert!(case.is_hopeless("new") && !case.rows[1].ours && case.rows[0].ours);
    }

    #[test]
    fn rivals_may_be_missing_and_our_own_rows_may_not() {
        let mut case = case();
        case.rows[0].ours = false;
        case.fail("old", "not installed");
        case.fail("new", "it broke");
        let report = Report {
            machine: String::new(),
            command: String::new(),
            rounds: 1,
            quick: false,
            took_s: 0.0,
            cases: vec![case.finish()],
            goals: Vec::new(),
        };
        assert_eq!(report.missing(), ["call: new, cost: it broke"]);
    }
}
