//! Rules: what a build fails for.

use std::fmt;
use std::str::FromStr;

use super::rule_parser;
use super::watch::{Example, FunctionPattern, Watch};

/// What a rule measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// A percentile of durations.
    Quantile {
        /// 0 to 1, both excluded.
        quantile: f64,
    },
    /// The shortest duration.
    Min,
    /// The longest duration.
    Max,
    /// The average duration.
    Mean,
    /// Number of calls.
    Calls,
    /// The most calls inside of one call or tree.
    MostCalls,
    /// Time inside, callees included.
    Total,
    /// Time inside without traced callees.
    SelfTime,
    /// Number of lost events.
    Lost,
}

impl Metric {
    /// It is one of the durations of single calls.
    pub fn is_of_durations(self) -> bool {
        matches!(
            self,
            Self::Quantile { .. } | Self::Min | Self::Max | Self::Mean
        )
    }

    /// Its unit is time.
    pub fn is_time(self) -> bool {
        self.is_of_durations() || matches!(self, Self::Total | Self::SelfTime)
    }
}

/// How what is found is compared with the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

impl Comparison {
    /// Whether it holds.
    pub fn holds(self, found: f64, limit: f64) -> bool {
        match self {
            Self::Above => found > limit,
            Self::AtLeast => found >= limit,
            Self::Below => found < limit,
            Self::AtMost => found <= limit,
            Self::Equal => found == limit,
            Self::NotEqual => found != limit,
        }
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
        }
    }
}

/// What is found is compared with this.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// A time, in nanoseconds.
    Time {
        /// Nanoseconds.
        time_ns: u64,
    },
    /// A number of calls or events.
    Count(f64),
    /// A share of the time of the trees, or of the calls after `per`; 1 is all of it.
    Share(f64),
    /// What the baseline has, times a factor.
    Baseline {
        /// At least 0.
        factor: f64,
    },
}

/// A condition under which a build fails.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// As it was written, without blanks around it.
    pub text: String,
    /// What is measured.
    pub metric: Metric,
    /// Of which functions; `None` only for [`Metric::Lost`].
    pub functions: Option<FunctionPattern>,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub limit: Limit,
    /// Inside of calls of these functions, on average.
    pub per: Option<FunctionPattern>,
}

impl Rule {
    /// What has to be known before the trace is read.
    pub fn watch(&self) -> Watch {
        Watch {
            counted: self.functions.clone(),
            per: self.per.clone(),
            example: match self.metric {
                Metric::Calls | Metric::MostCalls => Example::MostCalls,
                Metric::SelfTime => Example::MostSelf,
                Metric::Lost => Example::SlowestTree,
                _ => Example::SlowestCall,
            },
        }
    }

    /// It compares with a baseline.
    pub fn needs_baseline(&self) -> bool {
        matches!(self.limit, Limit::Baseline { .. })
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        rule_parser::parse(text)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is wrong with a rule, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// The rule.
    pub text: String,
    /// Where in it, in bytes.
    pub position: usize,
    /// How many bytes of it; may be 0 at its end.
    pub length: usize,
    /// What is wrong there, and what could stand there.
    pub problem: String,
}

impl std::error::Error for RuleError {}

impl fmt::Display for RuleError {
    /// Three lines: the problem, the rule, and a mark under what is wrong.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, rest) = self
            .text
            .split_at_checked(self.position)
            .unwrap_or((&self.text, ""));
        let wrong = rest.get(..self.length).unwrap_or(rest);
        let shown: String = self
            .text
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect();
        writeln!(f, "{}", self.problem)?;
        writeln!(f, "  {shown}")?;
        write!(
            f,
            "  {:indent$}{:^>marks$}",
            "",
            "",
            indent = before.chars().count(),
            marks = wrong.chars().count().max(1)
        )
    }
}

/// Reads a file of rules: one a line; empty lines, and what follows a `#` that begins a line or
/// stands behind a blank, mean nothing.
///
/// # Errors
/// The first rule that is none, with the number of its line, counted from 1.
pub fn parse_rules(text: &str) -> Result<Vec<Rule>, (usize, RuleError)> {
    let mut rules = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let rule = without_comment(line);
        if !rule.trim().is_empty() {
            rules.push(rule.parse().map_err(|error| (number, error))?);
        }
    }
    Ok(rules)
}

fn without_comment(line: &str) -> &str {
    let mut before_is_blank = true;
    for (position, letter) in line.char_indices() {
        if letter == '#' && before_is_blank {
            return line.get(..position).unwrap_or(line);
        }
        before_is_blank = letter.is_whitespace();
    }
    line
}
