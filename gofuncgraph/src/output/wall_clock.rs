use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::number::{TimeDigits, push_padded};
use crate::events::MonotonicTime;

const SECOND_NS: i64 = 1_000_000_000;

/// Length of `DD HH:MM:SS`.
const SECOND_TEXT_LENGTH: usize = 11;

/// Shows moments of the monotonic clock as local time of day.
#[derive(Clone, Debug)]
pub struct WallClock {
    realtime_minus_monotonic_ns: i64,
    time_zone: TimeZone,
    /// Text of the second that was shown last: most lines share theirs with a neighbour.
    shown_second: Option<(i64, [u8; SECOND_TEXT_LENGTH])>,
}

impl WallClock {
    /// A clock in `time_zone` that is `realtime_minus_monotonic_ns` nanoseconds ahead of
    /// CLOCK_MONOTONIC.
    pub fn new(realtime_minus_monotonic_ns: i64, time_zone: TimeZone) -> Self {
        Self {
            realtime_minus_monotonic_ns,
            time_zone,
            shown_second: None,
        }
    }

    /// Appends `DD HH:MM:SS.f`.
    pub(super) fn push(&mut self, time: MonotonicTime, digits: TimeDigits, out: &mut Vec<u8>) {
        let time_ns = i64::try_from(time.time_ns)
            .unwrap_or(i64::MAX)
            .saturating_add(self.realtime_minus_monotonic_ns);
        let second = time_ns.div_euclid(SECOND_NS);
        let text = match self.shown_second {
            Some((shown, text)) if shown == second => text,
            _ => {
                let text = self.second_text(second);
                self.shown_second = Some((second, text));
                text
            }
        };
        out.extend_from_slice(&text);
        digits.push_fraction(time_ns.rem_euclid(SECOND_NS).unsigned_abs(), out);
    }

    fn second_text(&self, second: i64) -> [u8; SECOND_TEXT_LENGTH] {
        // Every i64 of nanoseconds is within a Timestamp's range.
        let timestamp = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
        let local = self.time_zone.to_datetime(timestamp);
        let mut text = Vec::with_capacity(SECOND_TEXT_LENGTH);
        for (number, separator) in [
            (local.day(), Some(b' ')),
            (local.hour(), Some(b':')),
            (local.minute(), Some(b':')),
            (local.second(), None),
        ] {
            push_padded(u64::from(number.unsigned_abs()), 2, &mut text);
            text.extend(separator);
        }
        text.try_into().unwrap_or([b'?'; SECOND_TEXT_LENGTH])
    }
}
