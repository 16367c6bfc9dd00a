//! Reads a rule:
//!
//! ```text
//! rule     = measured comparison limit [ "per" pattern ]
//! measured = metric "(" pattern ")" | "lost"
//! metric   = "min" | "p" percent | "max" | "mean" | "calls" | "maxcalls" | "total" | "self"
//! percent  = a decimal number above 0 and below 100
//! comparison = ">" | ">=" | "<" | "<=" | "==" | "!="
//! limit    = duration | number | number "%" | baseline
//! baseline = [ number "*" ] "baseline" | "baseline" "*" number
//! duration = number ( "ns" | "us" | "ms" | "s" )
//! number   = digits [ "." digits ]
//! ```
//!
//! A pattern ends where its brackets are balanced and a `)` (or, after `per`, a blank) follows.

use super::rule::{Comparison, Limit, Metric, Rule, RuleError};
use super::watch::FunctionPattern;
use crate::cli::parse_duration;

const METRICS: &str =
    "min, p50 (or another percentile), max, mean, calls, maxcalls, total, self, lost";

struct Parser<'a> {
    text: &'a str,
    position: usize,
}

/// A piece of the text.
#[derive(Clone, Copy)]
struct Piece<'a> {
    text: &'a str,
    position: usize,
}

pub(super) fn parse(text: &str) -> Result<Rule, RuleError> {
    let mut parser = Parser { text, position: 0 };
    let (metric, name) = parser.metric()?;
    let functions = match metric {
        Metric::Lost => None,
        _ => Some(parser.pattern_in_parentheses(name)?),
    };
    let comparison = parser.comparison()?;
    let limit = parser.limit(metric, name.text, comparison.0)?;
    let per = parser.per(metric, name)?;
    Ok(Rule {
        text: text.trim().to_owned(),
        metric,
        functions,
        comparison: comparison.0,
        limit,
        per,
    })
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_start().len();
    }

    /// The next characters that `belongs` accepts, after blanks.
    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> Piece<'a> {
        self.skip_blanks();
        let rest = self.rest();
        let length = rest.find(|letter| !belongs(letter)).unwrap_or(rest.len());
        let piece = Piece {
            text: rest.get(..length).unwrap_or_default(),
            position: self.position,
        };
        self.position += length;
        piece
    }

    /// Whether `text` comes next, after blanks; it is taken then.
    fn take(&mut self, text: &str) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(text);
        if found {
            self.position += text.len();
        }
        found
    }

    fn error(&self, position: usize, length: usize, problem: impl Into<String>) -> RuleError {
        RuleError {
            text: self.text.to_owned(),
            position,
            length,
            problem: problem.into(),
        }
    }

    fn error_at(&self, piece: Piece<'_>, problem: impl Into<String>) -> RuleError {
        self.error(piece.position, piece.text.len(), problem)
    }

    /// What comes next is not what was expected.
    fn error_here(&mut self, problem: impl Into<String>) -> RuleError {
        self.skip_blanks();
        let length = self.rest().chars().next().map_or(0, char::len_utf8);
        self.error(self.position, length, problem)
    }

    fn metric(&mut self) -> Result<(Metric, Piece<'a>), RuleError> {
        let name = self.take_while(|letter| letter.is_ascii_alphanumeric() || letter == '.');
        let metric = match name.text {
            "" => {
                return Err(self.error_here(format!("a rule begins with one of: {METRICS}")));
            }
            "min" => Metric::Min,
            "max" => Metric::Max,
            "mean" => Metric::Mean,
            "calls" => Metric::Calls,
            "maxcalls" => Metric::MostCalls,
            "total" => Metric::Total,
            "self" => Metric::SelfTime,
            "lost" => Metric::Lost,
            other => match other.strip_prefix('p').and_then(decimal) {
                Some(percent) if percent > 0.0 && percent < 100.0 => Metric::Quantile {
                    quantile: percent / 100.0,
                },
                Some(_) => {
                    return Err(self.error_at(name, "a percentile lies above 0 and below 100"));
                }
                None => {
                    let problem = format!("'{other}' cannot be measured; what can: {METRICS}");
                    return Err(self.error_at(name, problem));
                }
            },
        };
        Ok((metric, name))
    }

    fn pattern_in_parentheses(&mut self, metric: Piece<'_>) -> Result<FunctionPattern, RuleError> {
        if !self.take("(") {
            let problem = format!(
                "'{0}' needs a function in parentheses: {0}(main.f)",
                metric.text
            );
            return Err(self.error_here(problem));
        }
        let opening = self.position - 1;
        let pattern = self.pattern(|letter| letter == ')');
        if !self.take(")") {
            return Err(self.error(opening, 1, "this parenthesis is not closed"));
        }
        if pattern.text.is_empty() {
            let problem = "name a function here, or write * for all of them";
            return Err(self.error(opening, self.position - opening, problem));
        }
        Ok(FunctionPattern::new(pattern.text))
    }

    /// Up to `ends`, outside of all brackets that begin in the pattern.
    fn pattern(&mut self, ends: impl Fn(char) -> bool) -> Piece<'a> {
        self.skip_blanks();
        let rest = self.rest();
        let mut depth = 0_usize;
        let end = rest.find(|letter| {
            if depth == 0 && ends(letter) {
                return true;
            }
            match letter {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            false
        });
        let text = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let piece = Piece {
            text: text.trim_end(),
            position: self.position,
        };
        self.position += text.len();
        piece
    }

    fn comparison(&mut self) -> Result<(Comparison, Piece<'a>), RuleError> {
        let sign = self.take_while(|letter| matches!(letter, '<' | '>' | '=' | '!'));
        let comparison = match sign.text {
            ">" => Comparison::Above,
            ">=" => Comparison::AtLeast,
            "<" => Comparison::Below,
            "<=" => Comparison::AtMost,
            "==" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            "" => return Err(self.error_here("a comparison is missing: > >= < <= == or !=")),
            "=" => return Err(self.error_at(sign, "equality is written ==")),
            other => {
                let problem = format!("'{other}' is not a comparison; use > >= < <= == or !=");
                return Err(self.error_at(sign, problem));
            }
        };
        Ok((comparison, sign))
    }

    fn limit(
        &mut self,
        metric: Metric,
        metric_name: &str,
        comparison: Comparison,
    ) -> Result<Limit, RuleError> {
        let value = self.take_while(|letter| letter.is_alphanumeric() || letter == '.');
        if value.text.is_empty() {
            let problem = format!(
                "what shall {metric_name} be compared with? {}",
                wanted(metric)
            );
            return Err(self.error_here(problem));
        }
        if value.text == "baseline" {
            let factor = if self.take("*") { self.factor()? } else { 1.0 };
            return self.baseline(metric, comparison, factor, value);
        }
        let number = decimal(value.text);
        if let Some(factor) = number
            && self.take("*")
        {
            let name = self.take_while(|letter| letter.is_ascii_alphanumeric());
            if name.text == "baseline" {
                return self.baseline(metric, comparison, factor, name);
            }
            let problem = "only the baseline can be multiplied: 1.2 * baseline";
            return Err(if name.text.is_empty() {
                self.error_here(problem)
            } else {
                self.error_at(name, problem)
            });
        }
        if let Some(percent) = number
            && self.take("%")
        {
            return match metric {
                Metric::Total | Metric::SelfTime => Ok(Limit::Share(percent / 100.0)),
                _ => {
                    let length = self.position - value.position;
                    let problem = format!(
                        "{metric_name} is not a share of anything; {}",
                        wanted(metric)
                    );
                    Err(self.error(value.position, length, problem))
                }
            };
        }
        if metric.is_time() {
            return match parse_duration(value.text) {
                Ok(duration) => Ok(Limit::Time {
                    time_ns: u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX),
                }),
                Err(error) => Err(self.error_at(value, error.to_string())),
            };
        }
        match number {
            Some(number) => Ok(Limit::Count(number)),
            None => {
                let problem = format!("'{}' is not a number; {}", value.text, wanted(metric));
                Err(self.error_at(value, problem))
            }
        }
    }

    fn factor(&mut self) -> Result<f64, RuleError> {
        let factor = self.take_while(|letter| letter.is_ascii_digit() || letter == '.');
        match decimal(factor.text) {
            Some(number) => Ok(number),
            None if factor.text.is_empty() => {
                Err(self.error_here("a number is missing: baseline * 1.2"))
            }
            None => Err(self.error_at(factor, "this is not a number")),
        }
    }

    fn baseline(
        &self,
        metric: Metric,
        comparison: Comparison,
        factor: f64,
        name: Piece<'_>,
    ) -> Result<Limit, RuleError> {
        if metric == Metric::Lost {
            return Err(self.error_at(
                name,
                "losses are not compared with a baseline; write lost > 0",
            ));
        }
        if matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
            let problem = "two runs are never exactly equal; compare with < or >, for instance > 1.2 * baseline";
            return Err(self.error_at(name, problem));
        }
        Ok(Limit::Baseline { factor })
    }

    fn per(
        &mut self,
        metric: Metric,
        metric_name: Piece<'_>,
    ) -> Result<Option<FunctionPattern>, RuleError> {
        self.skip_blanks();
        if self.rest().is_empty() {
            return Ok(None);
        }
        let word = self.take_while(|letter| !letter.is_whitespace());
        if word.text != "per" {
            let problem = "nothing but 'per' and a function can follow here";
            return Err(self.error_at(word, problem));
        }
        if metric.is_of_durations() || metric == Metric::Lost {
            let problem = format!(
                "'per' goes with calls, maxcalls, total and self, not with {}",
                metric_name.text
            );
            return Err(self.error_at(word, problem));
        }
        let pattern = self.pattern(char::is_whitespace);
        if pattern.text.is_empty() {
            return Err(self.error_here("per what? Name a function: per main.handle"));
        }
        let more = self.take_while(|letter| !letter.is_whitespace());
        if !more.text.is_empty() {
            return Err(self.error_at(more, "a rule ends after the function that follows 'per'"));
        }
        Ok(Some(FunctionPattern::new(pattern.text)))
    }
}

/// What a metric can be compared with.
fn wanted(metric: Metric) -> &'static str {
    match metric {
        Metric::Total | Metric::SelfTime => {
            "write a time with a unit (50ms), a share (5%) or a multiple of the baseline (1.2 * baseline)"
        }
        Metric::Calls | Metric::MostCalls => {
            "write a number (10) or a multiple of the baseline (1.2 * baseline)"
        }
        Metric::Lost => "write a number (0)",
        _ => "write a time with a unit (50ms) or a multiple of the baseline (1.2 * baseline)",
    }
}

/// `12` or `1.5`, and nothing else that `f64` accepts.
fn decimal(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}
