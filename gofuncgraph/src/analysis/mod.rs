//! Call trees become numbers: statistics, comparisons, verdicts.
//!
//! [`Aggregator`] takes the lines of traces and makes a [`Profile`] of them, in bounded memory.
//! [`diff`] puts two profiles side by side; [`check`] applies [`Rule`]s to one. It knows nothing
//! of files and nothing of text but the grammar of rules.
//!
//! - `aggregate`, `profile_rows`, `open_tree`, `outcome`, `watch`, `slow_tree`: lines become a
//!   profile.
//! - `durations`, `profile`: what a profile holds.
//! - `significance`, `random`: whether a difference is more than chance.
//! - `compare`, `check`, `rule`, `rule_parser`: what is made of profiles.

mod aggregate;
mod check;
mod compare;
mod durations;
mod open_tree;
mod outcome;
mod profile;
mod profile_rows;
mod random;
mod rule;
mod rule_parser;
mod significance;
mod slow_tree;
mod watch;

pub use aggregate::{
    AggregatingSink, Aggregator, AggregatorSettings, DEFAULT_SAMPLE_BYTES, DEFAULT_TREE_RECORDS,
};
pub use check::{Compared, DEFAULT_LEVEL, Finding, Gap, Measure, Recorded, Verdict, check};
pub use compare::{
    Change, DIFF_LEVEL, Diff, DiffRow, Figures, LEAST_CHANGE, LEAST_CHANGE_NS, diff,
};
pub use durations::{
    Accuracy, Durations, EXACT_DURATIONS, EXACT_PATH_DURATIONS, LOG_BUCKETS, Quantiles,
};
pub use profile::{
    CallStatistics, FunctionProfile, Losses, PathProfile, Profile, RootProfile, TreeShare,
    Unmeasured,
};
pub use profile_rows::{MAX_PATH_LEVELS, MAX_PATHS, NameOf};
pub use rule::{Comparison, Limit, Metric, Rule, RuleError, parse_rules};
pub use slow_tree::{SlowCall, SlowTree};
pub use watch::{Example, FunctionPattern, Watch, Watched};
