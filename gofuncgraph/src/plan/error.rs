use std::fmt;

use super::inlining::functions;
use super::{Inlined, InlinedTotals, SkipReason};
use crate::binary::BinaryError;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Some patterns give no function to attach. The command ends with "nothing matched".
    #[error("{}", list(.0))]
    Unmatched(Vec<UnmatchedPattern>),
    /// No pattern was given, and the main module has no function to attach. The command ends
    /// with "nothing matched".
    #[error(
        "none of the main module's functions can be attached{}: choose others with --uprobe-wildcards",
        because(.reasons)
    )]
    NothingInMainModule {
        /// Number of skipped functions per reason.
        reasons: Vec<(SkipReason, usize)>,
    },
    /// The file's tables are damaged.
    #[error(transparent)]
    Binary(#[from] BinaryError),
}

/// A pattern that gives no function to attach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmatchedPattern {
    /// As the user wrote it.
    pub pattern: String,
    /// Number of functions it matches but that are skipped, per reason; empty: it matches none.
    pub reasons: Vec<(SkipReason, usize)>,
    /// The first functions that it matches and that were inlined everywhere.
    pub inlined: Vec<Inlined>,
    /// Number of functions that it matches and that were inlined everywhere.
    pub inlined_count: usize,
    /// What to write instead, if it is written as another tool takes it: the end of a sentence.
    pub instead: Option<String>,
    /// The first of the skipped functions, or names that the pattern may have meant.
    pub names: Vec<String>,
}

impl fmt::Display for UnmatchedPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pattern = &self.pattern;
        if let [only] = self.inlined.as_slice()
            && self.reasons.is_empty()
            && only.name == *pattern
        {
            return only.write_why_not_traced(f);
        }
        if !self.inlined.is_empty() {
            write!(
                f,
                "'{pattern}' matches {} that only {} inlined",
                functions(self.inlined_count),
                if self.inlined_count == 1 {
                    "exists"
                } else {
                    "exist"
                }
            )?;
            if !self.reasons.is_empty() {
                write!(f, " or are not attached{}", because(&self.reasons))?;
            }
            f.write_str(":")?;
            for inlined in &self.inlined {
                f.write_str("\n  ")?;
                inlined.write_why_not_traced(f)?;
            }
            return Ok(());
        }
        if !self.reasons.is_empty() {
            write!(
                f,
                "'{pattern}' matches only functions that are not attached{}, for instance {}",
                because(&self.reasons),
                self.names.join(", "),
            )?;
            let remedies = self
                .reasons
                .iter()
                .filter_map(|(reason, _)| reason.remedy());
            for remedy in remedies {
                write!(f, "; {remedy}")?;
            }
            return Ok(());
        }
        write!(f, "'{pattern}' matches no function")?;
        if let Some(instead) = &self.instead {
            return write!(f, ": {instead}");
        }
        f.write_str("; a pattern has to match the whole name, with * for any text")?;
        if self.names.is_empty() {
            return f.write_str(" (of a function that is inlined everywhere nothing may be left)");
        }
        f.write_str(". The nearest names:")?;
        self.names
            .iter()
            .try_for_each(|name| write!(f, "\n  {name}"))
    }
}

fn list(patterns: &[UnmatchedPattern]) -> String {
    let lines: Vec<_> = patterns.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn because(reasons: &[(SkipReason, usize)]) -> String {
    if reasons.is_empty() {
        return String::new();
    }
    let counts: Vec<_> = reasons
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    format!(" ({})", counts.join(", "))
}

/// What will be missing though there is a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanWarning {
    /// The place where `runtime.recovery` resumes a function is not known.
    RecoveryNotFound,
    /// The entry of `runtime.goexit1` is not known.
    GoroutineExitNotFound,
    /// An exclude pattern, probably mistyped.
    ExcludesNothing(String),
    /// A function that was chosen by its name or as a target.
    Inlined(Inlined),
    /// Of the functions that patterns chose.
    SomeInlined(InlinedTotals),
    /// It is not known what was inlined; says why.
    InliningUnknown(String),
}

impl PlanWarning {
    /// What else there is to say of it, for those who want to know more.
    pub fn details(&self) -> Option<String> {
        match self {
            Self::SomeInlined(totals) => Some(totals.details()),
            _ => None,
        }
    }
}

impl fmt::Display for PlanWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RecoveryNotFound => f.write_str(
                "no call of runtime.gogo was found in runtime.recovery: calls that a recovered \
                 panic unwinds will be shown as 'exit lost' instead of 'unwound', and later than \
                 they ended",
            ),
            Self::GoroutineExitNotFound => f.write_str(
                "runtime.goexit1 was not found: trees of goroutines that end by runtime.Goexit \
                 stay open until the process ends",
            ),
            Self::ExcludesNothing(pattern) => {
                write!(f, "--exclude '{pattern}' takes nothing away")
            }
            Self::Inlined(inlined) => write!(f, "{inlined}"),
            Self::SomeInlined(totals) => write!(f, "{totals}"),
            Self::InliningUnknown(problem) => {
                write!(f, "{problem}; calls that were inlined are not seen")
            }
        }
    }
}
