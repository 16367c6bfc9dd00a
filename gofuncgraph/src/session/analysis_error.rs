use std::io;
use std::path::PathBuf;

use crate::analysis::RuleError;
use crate::cli::ExitCode;
use crate::recording::RecordingError;

/// Why `report`, `diff` or `check` ends with another status than 0.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// A recording or a file of rules cannot be opened.
    #[error("cannot read {}: {source}", path.display())]
    Open {
        /// As given.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A recording cannot be read to its end.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// As given.
        path: PathBuf,
        /// What was found.
        source: RecordingError,
    },
    /// `--net` of a recording that does not tell what a probe costs.
    #[error(
        "--net needs what a probe costs, which {} does not tell: it was not measured, or an older \
         version recorded; leave it out to see durations with that cost",
        path.display()
    )]
    NetWithoutCosts {
        /// As given.
        path: PathBuf,
    },
    /// A rule of the command line is none.
    #[error("--fail-if: {0}")]
    Rule(#[source] RuleError),
    /// A rule of a file is none.
    #[error("{}:{line}: {source}", path.display())]
    RuleInFile {
        /// As given.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        source: RuleError,
    },
    /// There is nothing to check.
    #[error("there is no rule to check: the files hold only comments")]
    NoRules,
    /// A rule has nothing to compare with.
    #[error("the rule '{rule}' compares with a baseline: name a recording with --baseline")]
    NoBaseline {
        /// The rule.
        rule: String,
    },
    /// More than one recording shall come from standard input.
    #[error("only one recording can come from standard input (-)")]
    SeveralStandardInputs,
    /// More than one report shall go to standard output.
    #[error("only one of --junit and --markdown can go to standard output (-)")]
    SeveralStandardOutputs,
    /// A file for the outcome cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Create {
        /// As given.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Standard output failed.
    #[error("cannot write the output: {source}; it ends early")]
    Output {
        /// The system's answer.
        source: io::Error,
    },
    /// The build shall fail.
    #[error("{failed} of {rules} rule{} failed", if *rules == 1 { "" } else { "s" })]
    RulesFailed {
        /// How many.
        failed: usize,
        /// Of how many.
        rules: usize,
    },
}

impl AnalysisError {
    /// The status for it.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::RulesFailed { .. } => ExitCode::RuleFailed,
            Self::Rule(_)
            | Self::RuleInFile { .. }
            | Self::NoRules
            | Self::NoBaseline { .. }
            | Self::SeveralStandardInputs
            | Self::SeveralStandardOutputs => ExitCode::Usage,
            Self::NetWithoutCosts { .. }
            | Self::Open { .. }
            | Self::Read { .. }
            | Self::Create { .. }
            | Self::Output { .. } => ExitCode::RuntimeFailure,
        }
    }
}
