use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::number::{TimeDigits, push_padded};
use crate::events::MonotonicTime;

const SECOND_NS: i64 = 1_000_000_000;

/// How a second of local time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SecondStyle {
    /// `DD HH:MM:SS`
    DayOfMonth,
    /// `YYYY/MM/DD HH:MM:SS`
    Slashes,
    /// `YYYY-MM-DDTHH:MM:SS`
    Rfc3339,
}

/// What a [`WallClock`] wrote last: most lines share their second with a neighbour.
#[derive(Clone, Debug)]
struct ShownSecond {
    second: i64,
    style: SecondStyle,
    text: Vec<u8>,
    /// `+HH:MM` or `Z`, for [`SecondStyle::Rfc3339`].
    offset: Vec<u8>,
}

/// Shows moments of the monotonic clock as local time of day.
#[derive(Clone, Debug)]
pub struct WallClock {
    realtime_minus_monotonic_ns: i64,
    time_zone: TimeZone,
    shown_second: Option<ShownSecond>,
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

    /// Nanoseconds since 1970-01-01 00:00:00 UTC.
    pub fn unix_ns(&self, time: MonotonicTime) -> i64 {
        i64::try_from(time.time_ns)
            .unwrap_or(i64::MAX)
            .saturating_add(self.realtime_minus_monotonic_ns)
    }

    /// The monotonic moment of a UTC time in nanoseconds since 1970; moments before the clock's
    /// start are its start.
    pub fn monotonic(&self, unix_ns: i64) -> MonotonicTime {
        let time_ns = unix_ns.saturating_sub(self.realtime_minus_monotonic_ns);
        MonotonicTime {
            time_ns: u64::try_from(time_ns).unwrap_or(0),
        }
    }

    /// Where the local time is local.
    pub fn time_zone(&self) -> &TimeZone {
        &self.time_zone
    }

    /// Appends `DD HH:MM:SS.f`.
    pub(super) fn push(&mut self, time: MonotonicTime, digits: TimeDigits, out: &mut Vec<u8>) {
        self.push_styled(SecondStyle::DayOfMonth, time, digits, out);
    }

    /// Appends a moment of local time in a style, with a fraction; RFC 3339 with its offset from
    /// UTC.
    pub(super) fn push_styled(
        &mut self,
        style: SecondStyle,
        time: MonotonicTime,
        digits: TimeDigits,
        out: &mut Vec<u8>,
    ) {
        let time_ns = self.unix_ns(time);
        let second = time_ns.div_euclid(SECOND_NS);
        let is_shown = |shown: &ShownSecond| shown.second == second && shown.style == style;
        if !self.shown_second.as_ref().is_some_and(is_shown) {
            self.shown_second = Some(self.show_second(second, style));
        }
        let Some(shown) = &self.shown_second else {
            return;
        };
        out.extend_from_slice(&shown.text);
        digits.push_fraction(time_ns.rem_euclid(SECOND_NS).unsigned_abs(), out);
        out.extend_from_slice(&shown.offset);
    }

    fn show_second(&self, second: i64, style: SecondStyle) -> ShownSecond {
        // Every i64 of nanoseconds is within a Timestamp's range.
        let timestamp = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
        let offset = self.time_zone.to_offset(timestamp);
        let mut local = offset.to_datetime(timestamp);
        let mut offset_text = Vec::new();
        if style == SecondStyle::Rfc3339 {
            let offset_seconds = offset.seconds();
            if offset_seconds % 60 == 0 && offset_seconds != 0 {
                offset_text.push(if offset_seconds < 0 { b'-' } else { b'+' });
                let minutes = u64::from(offset_seconds.unsigned_abs()) / 60;
                push_padded(minutes / 60, 2, &mut offset_text);
                offset_text.push(b':');
                push_padded(minutes % 60, 2, &mut offset_text);
            } else {
                // The format has no offsets finer than minutes.
                local = TimeZone::UTC.to_datetime(timestamp);
                offset_text.push(b'Z');
            }
        }
        let (date_separator, day_separator) = match style {
            SecondStyle::DayOfMonth | SecondStyle::Slashes => (b'/', b' '),
            SecondStyle::Rfc3339 => (b'-', b'T'),
        };
        let mut text = Vec::with_capacity(24);
        if style != SecondStyle::DayOfMonth {
            push_padded(u64::from(local.year().unsigned_abs()), 4, &mut text);
            text.push(date_separator);
            push_padded(u64::from(local.month().unsigned_abs()), 2, &mut text);
            text.push(date_separator);
        }
        for (number, separator) in [
            (local.day(), Some(day_separator)),
            (local.hour(), Some(b':')),
            (local.minute(), Some(b':')),
            (local.second(), None),
        ] {
            push_padded(u64::from(number.unsigned_abs()), 2, &mut text);
            text.extend(separator);
        }
        ShownSecond {
            second,
            style,
            text,
            offset: offset_text,
        }
    }
}
