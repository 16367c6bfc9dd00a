//! How a call ended, as far as statistics are concerned.

use super::durations::SamplePool;
use super::profile::CallStatistics;
use crate::trace::{Beginning, CallEnd};

/// What is known of a call that ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Measured { duration_ns: u64, unwound: bool },
    AlreadyOpen,
    EntryLost,
    ExitLost,
    StillOpen,
    ProcessExited,
    Approximate,
}

impl Outcome {
    pub fn of(how: CallEnd, beginning: Beginning, duration_ns: Option<u64>) -> Self {
        match (how, duration_ns) {
            (CallEnd::Approximate, Some(_)) => Self::Approximate,
            (CallEnd::Returned { .. } | CallEnd::Unwound(_), Some(duration_ns)) => Self::Measured {
                duration_ns,
                unwound: matches!(how, CallEnd::Unwound(_)),
            },
            _ if matches!(beginning, Beginning::AlreadyOpen { .. }) => Self::AlreadyOpen,
            _ if beginning == Beginning::Lost => Self::EntryLost,
            (CallEnd::StillOpen, _) => Self::StillOpen,
            (CallEnd::ProcessExited(_), _) => Self::ProcessExited,
            (CallEnd::ExitLost, _) => Self::ExitLost,
            (CallEnd::Returned { .. } | CallEnd::Unwound(_) | CallEnd::Approximate, None) => {
                Self::EntryLost
            }
        }
    }

    pub fn record(self, calls: &mut CallStatistics, pool: &mut SamplePool) {
        let unmeasured = &mut calls.unmeasured;
        match self {
            Self::Measured {
                duration_ns,
                unwound,
            } => {
                calls.durations.push(duration_ns, pool);
                calls.unwound += u64::from(unwound);
            }
            Self::AlreadyOpen => unmeasured.already_open += 1,
            Self::EntryLost => unmeasured.entry_lost += 1,
            Self::ExitLost => unmeasured.exit_lost += 1,
            Self::StillOpen => unmeasured.still_open += 1,
            Self::ProcessExited => unmeasured.process_exited += 1,
            Self::Approximate => unmeasured.approximate += 1,
        }
    }
}
