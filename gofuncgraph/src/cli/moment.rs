//! Moments as they are written on the command line.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Time;

use super::quantity::parse_duration;

/// A moment of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So long after the trace's beginning.
    AfterBeginning(Duration),
    /// The time of day nearest to the trace's beginning, in the trace's time zone.
    TimeOfDay {
        /// Day of the month, if it was given.
        day: Option<i8>,
        /// Time of day.
        time: Time,
    },
    /// One moment.
    Absolute(Timestamp),
}

impl Moment {
    /// Whether no trace can have `self` before `other`. Times of day can be of different days.
    pub(super) fn is_surely_not_before(self, other: Self) -> bool {
        match (self, other) {
            (Self::AfterBeginning(this), Self::AfterBeginning(other)) => this >= other,
            (Self::Absolute(this), Self::Absolute(other)) => this >= other,
            _ => false,
        }
    }
}

/// Reads `1.5s`, `15:04:05.25`, `02 15:04:05.25` (as the text format prints moments) and
/// `2006-01-02T15:04:05Z`.
///
/// # Errors
/// Everything else.
pub fn parse_moment(text: &str) -> Result<Moment, MomentError> {
    let error = || MomentError(text.to_owned());
    if let Ok(duration) = parse_duration(text) {
        return Ok(Moment::AfterBeginning(duration));
    }
    if text.contains('T') {
        return text.parse().map(Moment::Absolute).map_err(|_| error());
    }
    let (day, time) = match text.split_once(' ') {
        Some((day, time)) => {
            let day: i8 = day.parse().map_err(|_| error())?;
            (
                (1..=31).contains(&day).then_some(day).ok_or_else(error)?,
                time,
            )
        }
        None => return time_of_day(None, text).ok_or_else(error),
    };
    time_of_day(Some(day), time).ok_or_else(error)
}

fn time_of_day(day: Option<i8>, text: &str) -> Option<Moment> {
    // Anything else that the library reads as a time, such as 1504, might be meant otherwise.
    let is_plain = |letter: u8| letter.is_ascii_digit() || letter == b':' || letter == b'.';
    if !text.contains(':') || !text.bytes().all(is_plain) {
        return None;
    }
    let time = text.parse().ok()?;
    Some(Moment::TimeOfDay { day, time })
}

/// Why a text is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a moment: write 1.5s for that long after the beginning, 15:04:05.25 or \
     '02 15:04:05.25' for local time, or 2006-01-02T15:04:05Z"
)]
pub struct MomentError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let time = |hour, minute, second, nanosecond| {
            Time::new(hour, minute, second, nanosecond).expect("it is one")
        };
        for (text, moment) in [
            ("1.5s", Moment::AfterBeginning(Duration::from_millis(1500))),
            ("0s", Moment::AfterBeginning(Duration::ZERO)),
            (
                "15:04:05.25",
                Moment::TimeOfDay {
                    day: None,
                    time: time(15, 4, 5, 250_000_000),
                },
            ),
            (
                "02 15:04:05.000123",
                Moment::TimeOfDay {
                    day: Some(2),
                    time: time(15, 4, 5, 123_000),
                },
            ),
            (
                "2026-03-04T05:06:07+02:00",
                Moment::Absolute(Timestamp::from_second(1_772_593_567).expect("in range")),
            ),
        ] {
            assert_eq!(parse_moment(text), Ok(moment), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment() {
        for text in [
            "",
            "5",
            "noon",
            "25:00:00",
            "32 10:00:00",
            "0 10:00:00",
            "2026-03-04",
            "1504",
            "2026-03-04T05:06:07",
            "-1s",
            "10:00:00+02:00",
        ] {
            assert!(parse_moment(text).is_err(), "{text}");
        }
    }
}
