use std::time::Duration;

const NANOSECOND_DIGITS: u32 = 9;
const SECOND_NS: u64 = 1_000_000_000;

/// Number of digits after the decimal point of times and durations: 4 to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeDigits(u32);

/// Not 4 to 9 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{digits} digits of a second cannot be shown; give 4 to 9")]
pub struct TimeDigitsError {
    /// What was asked for.
    pub digits: u32,
}

impl TryFrom<u32> for TimeDigits {
    type Error = TimeDigitsError;

    fn try_from(digits: u32) -> Result<Self, TimeDigitsError> {
        if (4..=NANOSECOND_DIGITS).contains(&digits) {
            Ok(Self(digits))
        } else {
            Err(TimeDigitsError { digits })
        }
    }
}

impl Default for TimeDigits {
    /// Microseconds.
    fn default() -> Self {
        Self(6)
    }
}

impl TimeDigits {
    /// As many as there are.
    pub(super) const NANOSECONDS: Self = Self(NANOSECOND_DIGITS);

    /// Columns of a duration below 1000 s.
    pub(super) fn duration_width(self) -> usize {
        self.0 as usize + 4
    }

    /// The shown part of `time_ns` nanoseconds, cut off. Division by a constant is several times
    /// faster.
    fn units(self, time_ns: u64) -> u64 {
        match self.0 {
            4 => time_ns / 100_000,
            5 => time_ns / 10_000,
            6 => time_ns / 1_000,
            7 => time_ns / 100,
            8 => time_ns / 10,
            _ => time_ns,
        }
    }

    fn unit_ns(self) -> u64 {
        10_u64.pow(NANOSECOND_DIGITS - self.0)
    }

    /// Appends what lies below the second, cut off, not rounded: `.` and the digits.
    pub(super) fn push_fraction(self, subsecond_ns: u64, out: &mut Vec<u8>) {
        out.push(b'.');
        push_padded(self.units(subsecond_ns), self.0 as usize, out);
    }

    /// Appends seconds, rounded, with at least `integer_digits` before the point.
    pub(super) fn push_duration(
        self,
        duration: Duration,
        integer_digits: usize,
        out: &mut Vec<u8>,
    ) {
        let time_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let rounded_ns = time_ns.saturating_add(self.unit_ns() / 2);
        push_padded(rounded_ns / SECOND_NS, integer_digits, out);
        self.push_fraction(rounded_ns % SECOND_NS, out);
    }
}

/// Two digits for every number below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// Digits of the greatest number.
const MAX_DIGITS: usize = 20;

/// Appends `value` in decimal with at least `width` digits, 20 at most.
pub(super) fn push_padded(mut value: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; MAX_DIGITS];
    let mut length = 0;
    for pair in digits.as_chunks_mut::<2>().0.iter_mut().rev() {
        if value == 0 {
            break;
        }
        // A pair can begin with a zero.
        length += if value < 10 { 1 } else { 2 };
        // The remainder is below 100.
        *pair = PAIRS[(value % 100) as usize];
        value /= 100;
    }
    let length = length.max(width).clamp(1, MAX_DIGITS);
    out.extend_from_slice(&digits[MAX_DIGITS - length..]);
}

/// Appends `value` in decimal.
pub(super) fn push_number(value: u64, out: &mut Vec<u8>) {
    push_padded(value, 1, out);
}

/// Appends a duration exactly, in the largest unit that leaves something before the point, as in
/// `250us`, `1.5ms`, `12s`.
pub(super) fn push_exact_duration(duration: Duration, out: &mut Vec<u8>) {
    let time_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let (unit, decimals, name) = match time_ns {
        0..1_000 => (1, 0, "ns"),
        1_000..1_000_000 => (1_000, 3, "us"),
        1_000_000..1_000_000_000 => (1_000_000, 6, "ms"),
        1_000_000_000.. => (1_000_000_000, 9, "s"),
    };
    push_number(time_ns / unit, out);
    if time_ns % unit != 0 {
        out.push(b'.');
        push_padded(time_ns % unit, decimals, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.extend_from_slice(name.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duration_text(digits: u32, time_ns: u64) -> String {
        let mut out = Vec::new();
        let digits = TimeDigits::try_from(digits).expect("4 to 9");
        digits.push_duration(Duration::from_nanos(time_ns), 3, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn durations_are_rounded_and_padded_like_printf() {
        for digits in 4..=9 {
            for time_ns in [
                0,
                49_999,
                50_001,
                1_001_800_000,
                999_999_999,
                999_999_951_000,
                1_234_567_891_234,
            ] {
                let exact = format!(
                    "{:01$.2$}",
                    time_ns as f64 / 1e9,
                    digits as usize + 4,
                    digits as usize
                );
                let padded = format!("{exact:0>width$}", width = digits as usize + 4);
                assert_eq!(duration_text(digits, time_ns), padded.replace(' ', "0"));
            }
        }
    }

    #[test]
    fn largest_duration_is_no_overflow() {
        assert_eq!(duration_text(9, u64::MAX), "18446744073.709551615");
        assert_eq!(duration_text(4, u64::MAX), "18446744073.7095");
    }

    #[test]
    fn numbers_are_as_long_as_asked_for() {
        let padded = |value, width| {
            let mut out = Vec::new();
            push_padded(value, width, &mut out);
            String::from_utf8(out).expect("ASCII")
        };
        for value in [0, 1, 9, 10, 99, 100, 101, 999, 1_000, 65_536, u64::MAX] {
            for width in 0..=20 {
                assert_eq!(padded(value, width), format!("{value:0width$}"));
            }
        }
    }

    #[test]
    fn exact_durations_have_no_needless_digits() {
        let text = |time_ns| {
            let mut out = Vec::new();
            push_exact_duration(Duration::from_nanos(time_ns), &mut out);
            String::from_utf8(out).expect("ASCII")
        };
        for (time_ns, expected) in [
            (0, "0ns"),
            (999, "999ns"),
            (250_000, "250us"),
            (1_500_000, "1.5ms"),
            (1_000_001, "1.000001ms"),
            (12_000_000_000, "12s"),
            (u64::MAX, "18446744073.709551615s"),
        ] {
            assert_eq!(text(time_ns), expected);
        }
    }

    #[test]
    fn other_digits_are_refused() {
        assert!(TimeDigits::try_from(3).is_err());
        assert!(TimeDigits::try_from(10).is_err());
    }
}
