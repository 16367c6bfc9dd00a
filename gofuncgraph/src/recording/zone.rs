use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// Changes of the offset that are kept: two years where clocks change twice a year.
const MAX_CHANGES: usize = 4;

/// Transitions that are looked at to find them: some zones change only names.
const MAX_TRANSITIONS: usize = 16;

/// What of a time zone shows local time while a recording lasted. Names of zones are not kept:
/// the machine that replays may know them otherwise, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedZone {
    /// Local time minus UTC when the recording began.
    pub utc_offset_seconds: i32,
    /// What changed later, in order of time.
    pub changes: Vec<ZoneChange>,
}

/// A clock change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneChange {
    /// When, in seconds since 1970 UTC.
    pub unix_seconds: i64,
    /// Local time minus UTC from then on.
    pub utc_offset_seconds: i32,
}

impl RecordedZone {
    /// What `zone` says from the moment `start_ns`, in nanoseconds since 1970 UTC, on.
    pub fn of(zone: &TimeZone, start_ns: i64) -> Self {
        let start =
            Timestamp::from_nanosecond(i128::from(start_ns)).unwrap_or(Timestamp::UNIX_EPOCH);
        let utc_offset_seconds = zone.to_offset(start).seconds();
        let mut changes: Vec<ZoneChange> = Vec::new();
        for transition in zone.following(start).take(MAX_TRANSITIONS) {
            let before = changes
                .last()
                .map_or(utc_offset_seconds, |change| change.utc_offset_seconds);
            let change = ZoneChange {
                unix_seconds: transition.timestamp().as_second(),
                utc_offset_seconds: transition.offset().seconds(),
            };
            if change.utc_offset_seconds != before {
                changes.push(change);
            }
            if changes.len() == MAX_CHANGES {
                break;
            }
        }
        Self {
            utc_offset_seconds,
            changes,
        }
    }

    /// A zone that shows the same local time. What makes no sense becomes UTC.
    pub fn to_time_zone(&self) -> TimeZone {
        let fixed = || {
            let offset = Offset::from_seconds(self.utc_offset_seconds).unwrap_or(Offset::UTC);
            TimeZone::fixed(offset)
        };
        if self.changes.is_empty() {
            return fixed();
        }
        TimeZone::tzif("recorded", &self.to_tzif()).unwrap_or_else(|_| fixed())
    }

    /// RFC 9636, version 2: an empty first part, then this zone.
    fn to_tzif(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_part(&[(0, 0)], &[], &mut bytes);
        let types: Vec<(i32, u8)> = std::iter::once(self.utc_offset_seconds)
            .chain(self.changes.iter().map(|change| change.utc_offset_seconds))
            .map(|offset| (offset, 0))
            .collect();
        push_part(&types, &self.changes, &mut bytes);
        let last = types.last().map_or(0, |(offset, _)| *offset);
        bytes.extend_from_slice(posix_zone(last).as_bytes());
        bytes
    }
}

/// Appends a header and the data that it announces: `types` of local time (offset and whether
/// it is summer time), of which the first holds until the first of `changes`.
fn push_part(types: &[(i32, u8)], changes: &[ZoneChange], out: &mut Vec<u8>) {
    const DESIGNATION: &[u8] = b"-00\0";
    out.extend_from_slice(b"TZif2");
    out.extend_from_slice(&[0; 15]);
    let counts = [0, 0, 0, changes.len(), types.len(), DESIGNATION.len()];
    for count in counts {
        out.extend_from_slice(&u32::try_from(count).unwrap_or(0).to_be_bytes());
    }
    for change in changes {
        out.extend_from_slice(&change.unix_seconds.to_be_bytes());
    }
    out.extend((1..=changes.len()).map(|index| u8::try_from(index).unwrap_or(0)));
    for (offset, is_summer_time) in types {
        out.extend_from_slice(&offset.to_be_bytes());
        out.extend_from_slice(&[*is_summer_time, 0]);
    }
    out.extend_from_slice(DESIGNATION);
}

/// What holds after the last change, as a footer. POSIX counts offsets westward.
fn posix_zone(offset_seconds: i32) -> String {
    let sign = if offset_seconds > 0 { '-' } else { '+' };
    let seconds = offset_seconds.unsigned_abs();
    format!(
        "\n<-00>{sign}{}:{:02}:{:02}\n",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_NS: i64 = 86_400_000_000_000;

    /// 2026-01-15.
    const START_NS: i64 = 1_768_435_200_000_000_000;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    #[test]
    fn local_time_is_the_same_for_two_years() {
        for name in [
            "Europe/Berlin",
            "America/St_Johns",
            "Australia/Lord_Howe",
            "Asia/Kathmandu",
            "UTC",
        ] {
            let original = zone(name);
            let recorded = RecordedZone::of(&original, START_NS);
            let again = recorded.to_time_zone();
            for day in 0..720 {
                for hour in [0, 1, 2, 3, 12] {
                    let time_ns = START_NS + day * DAY_NS + hour * 3_600_000_000_000;
                    let moment = Timestamp::from_nanosecond(i128::from(time_ns))
                        .unwrap_or_else(|error| panic!("{error}"));
                    assert_eq!(
                        original.to_datetime(moment),
                        again.to_datetime(moment),
                        "{name} on day {day}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_zone_that_makes_no_sense_is_no_panic() {
        for seconds in [i32::MIN, -100_000, 100_000, i32::MAX] {
            for unix_seconds in [i64::MIN, 0, i64::MAX] {
                let zone = RecordedZone {
                    utc_offset_seconds: seconds,
                    changes: vec![
                        ZoneChange {
                            unix_seconds,
                            utc_offset_seconds: seconds,
                        };
                        3
                    ],
                };
                zone.to_time_zone().to_datetime(Timestamp::UNIX_EPOCH);
            }
        }
    }
}
