//! `--from` and `--to`, as moments of the monotonic clock.

use std::time::Duration;

use jiff::Zoned;
use jiff::civil::DateTime;

use crate::cli::{Moment, OutputSettings};
use crate::events::MonotonicTime;
use crate::output::WallClock;

/// Days that a time of day can be away from a trace's beginning.
const NEAR_DAYS: i64 = 31;

/// `--from` and `--to`.
pub(super) struct Window {
    from: Option<Moment>,
    to: Option<Moment>,
    wall_clock: WallClock,
    beginning: Option<MonotonicTime>,
}

impl Window {
    /// `None` if the command line gives neither. Without `beginning` the first event is it.
    pub(super) fn new(
        settings: &OutputSettings,
        wall_clock: WallClock,
        beginning: Option<MonotonicTime>,
    ) -> Option<Self> {
        let (from, to) = (settings.from, settings.to);
        (from.is_some() || to.is_some()).then_some(Self {
            from,
            to,
            wall_clock,
            beginning,
        })
    }

    pub(super) fn resolved(
        &self,
        first_event: MonotonicTime,
    ) -> (Option<MonotonicTime>, Option<MonotonicTime>) {
        let beginning = self.beginning.unwrap_or(first_event);
        let resolve = |moment: Option<Moment>| moment.map(|it| self.moment(it, beginning));
        (resolve(self.from), resolve(self.to))
    }

    fn moment(&self, moment: Moment, beginning: MonotonicTime) -> MonotonicTime {
        match moment {
            Moment::AfterBeginning(after) => MonotonicTime {
                time_ns: beginning.time_ns.saturating_add(nanoseconds(after)),
            },
            Moment::Absolute(timestamp) => self.monotonic(timestamp.as_nanosecond()),
            Moment::TimeOfDay { day, time } => {
                let unix_ns = self.wall_clock.unix_ns(beginning);
                let time_zone = self.wall_clock.time_zone().clone();
                let begun = jiff::Timestamp::from_nanosecond(i128::from(unix_ns))
                    .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
                    .to_zoned(time_zone.clone());
                let moments = (-NEAR_DAYS..=NEAR_DAYS).filter_map(|days| {
                    let date = begun
                        .date()
                        .checked_add(jiff::Span::new().days(days))
                        .ok()?;
                    let is_meant = day.is_none_or(|day| day == date.day());
                    let local = is_meant.then(|| DateTime::from_parts(date, time))?;
                    local.to_zoned(time_zone.clone()).ok()
                });
                let distance = |moment: &Zoned| {
                    let moment_ns = moment.timestamp().as_nanosecond();
                    moment_ns.abs_diff(begun.timestamp().as_nanosecond())
                };
                moments.min_by_key(distance).map_or(beginning, |moment| {
                    self.monotonic(moment.timestamp().as_nanosecond())
                })
            }
        }
    }

    fn monotonic(&self, unix_ns: i128) -> MonotonicTime {
        let clamped = unix_ns.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        self.wall_clock
            .monotonic(i64::try_from(clamped).unwrap_or(i64::MAX))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
