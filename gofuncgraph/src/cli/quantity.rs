//! Durations, sizes and digits as they are written on the command line.

use std::fmt;
use std::time::Duration;

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// A bare number.
    #[error("'{0}' has no unit: write {0}ns, {0}us, {0}ms or {0}s")]
    NoUnit(String),
    /// Something else after the number.
    #[error("'{0}' is not a unit of time: use ns, us, ms or s")]
    UnknownUnit(String),
    /// No number in front.
    #[error("'{0}' is not a duration: write a number and a unit, for instance 5us, 250ms or 1.5s")]
    NotADuration(String),
    /// Digits beyond the nanosecond.
    #[error("'{0}' is finer than a nanosecond")]
    TooFine(String),
    /// More than 64 bits of nanoseconds.
    #[error("'{0}' is too long: at most 18446744073s")]
    TooLong(String),
}

/// Reads `5us`, `250ms`, `1.5s`: a decimal number and one of the units ns, us, ms and s.
///
/// # Errors
/// Everything else.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let unit_at = text
        .find(|letter: char| !(letter.is_ascii_digit() || letter == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let not_a_duration = || DurationError::NotADuration(text.to_owned());
    if whole.is_empty() || fraction.contains('.') || number.ends_with('.') {
        return Err(not_a_duration());
    }
    let digits_to_nanoseconds = match unit {
        "ns" => 0,
        "us" => 3,
        "ms" => 6,
        "s" => 9,
        "" => return Err(DurationError::NoUnit(text.to_owned())),
        other => return Err(DurationError::UnknownUnit(other.to_owned())),
    };
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > digits_to_nanoseconds {
        return Err(DurationError::TooFine(text.to_owned()));
    }
    format!("{whole}{fraction:0<digits_to_nanoseconds$}")
        .parse()
        .map(Duration::from_nanos)
        .map_err(|_| DurationError::TooLong(text.to_owned()))
}

/// Why a text is not a buffer size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Not a whole number with K, M, G or nothing behind it.
    #[error(
        "'{0}' is not a size: write a whole number of bytes, or one with K, M or G, for instance 16M"
    )]
    NotASize(String),
    /// Nothing.
    #[error("a buffer of no bytes holds no events: the least is 4K")]
    Zero,
    /// Beyond [`BufferSize::MAX`].
    #[error("'{0}' is too large: the ring buffer can have 1G at most")]
    TooLarge(String),
}

/// Bytes of a ring buffer: a power of two, from a page to 1 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BufferSize {
    bytes: u32,
}

impl BufferSize {
    /// A page, the least that the kernel accepts.
    pub const MIN: Self = Self { bytes: 4 << 10 };
    /// The kernel takes the size as a 32-bit number of bytes, and maps the ring twice in a row.
    pub const MAX: Self = Self { bytes: 1 << 30 };

    /// In bytes.
    pub fn bytes(self) -> u32 {
        self.bytes
    }
}

impl fmt::Display for BufferSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes.trailing_zeros() {
            30.. => write!(f, "{}G", self.bytes >> 30),
            20..30 => write!(f, "{}M", self.bytes >> 20),
            _ => write!(f, "{}K", self.bytes >> 10),
        }
    }
}

/// Reads `65536`, `64K`, `16M`, `1G` (also k, m, g), and rounds up to a power of two of at least
/// a page.
///
/// # Errors
/// Everything else, zero, and more than 1G.
pub fn parse_buffer_size(text: &str) -> Result<BufferSize, SizeError> {
    let (number, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (text.get(..text.len() - 1), 10),
        Some(b'M' | b'm') => (text.get(..text.len() - 1), 20),
        Some(b'G' | b'g') => (text.get(..text.len() - 1), 30),
        _ => (Some(text), 0),
    };
    let number = number
        .filter(|digits| !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit()))
        .ok_or_else(|| SizeError::NotASize(text.to_owned()))?;
    let too_large = || SizeError::TooLarge(text.to_owned());
    let bytes = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(too_large)?;
    if bytes == 0 {
        return Err(SizeError::Zero);
    }
    let bytes = bytes
        .checked_next_power_of_two()
        .and_then(|bytes| u32::try_from(bytes).ok())
        .filter(|&bytes| bytes <= BufferSize::MAX.bytes)
        .ok_or_else(too_large)?;
    Ok(BufferSize { bytes }.max(BufferSize::MIN))
}

/// Decimals of the seconds in printed times and durations: 4 to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeDigits(u8);

impl TimeDigits {
    /// As a number.
    pub fn get(self) -> u8 {
        self.0
    }

    /// `None` unless `digits` is from 4 to 9.
    pub fn new(digits: u8) -> Option<Self> {
        (4..=9).contains(&digits).then_some(Self(digits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let nanoseconds = |text| parse_duration(text).map(|it| it.as_nanos());
        assert_eq!(nanoseconds("7ns"), Ok(7));
        assert_eq!(nanoseconds("5us"), Ok(5_000));
        assert_eq!(nanoseconds("250ms"), Ok(250_000_000));
        assert_eq!(nanoseconds("1.5s"), Ok(1_500_000_000));
        assert_eq!(nanoseconds("0.25us"), Ok(250));
        assert_eq!(nanoseconds("1.000000000000s"), Ok(1_000_000_000));
        assert_eq!(nanoseconds("0s"), Ok(0));
        assert_eq!(nanoseconds("18446744073s"), Ok(18_446_744_073_000_000_000));
    }

    #[test]
    fn what_is_no_duration() {
        use DurationError::*;
        let own = str::to_owned;
        assert_eq!(parse_duration("5"), Err(NoUnit(own("5"))));
        assert_eq!(parse_duration("1.5"), Err(NoUnit(own("1.5"))));
        assert_eq!(parse_duration("5m"), Err(UnknownUnit(own("m"))));
        assert_eq!(parse_duration("5 s"), Err(UnknownUnit(own(" s"))));
        assert_eq!(parse_duration("5µs"), Err(UnknownUnit(own("µs"))));
        for text in ["", "s", ".5s", "5.s", "1.2.3s", "-1s"] {
            assert_eq!(parse_duration(text), Err(NotADuration(own(text))), "{text}");
        }
        assert_eq!(parse_duration("0.5ns"), Err(TooFine(own("0.5ns"))));
        let text = "18446744074s";
        assert_eq!(parse_duration(text), Err(TooLong(own(text))));
        assert!(
            parse_duration("5")
                .is_err_and(|error| error.to_string().contains("write 5ns, 5us, 5ms or 5s"))
        );
    }

    #[test]
    fn sizes() {
        let bytes = |text| parse_buffer_size(text).map(BufferSize::bytes);
        assert_eq!(bytes("16M"), Ok(16 << 20));
        assert_eq!(bytes("16m"), Ok(16 << 20));
        assert_eq!(bytes("1G"), Ok(1 << 30));
        assert_eq!(bytes("64K"), Ok(64 << 10));
        assert_eq!(bytes("65536"), Ok(65_536));
        assert_eq!(bytes("17M"), Ok(32 << 20));
        assert_eq!(bytes("600M"), Ok(1 << 30));
        assert_eq!(bytes("1"), Ok(4096));
    }

    #[test]
    fn what_is_no_size() {
        use SizeError::*;
        let own = str::to_owned;
        for text in ["", "M", "1.5M", "-1", "16MB", "16 M", "+1", "é"] {
            assert_eq!(parse_buffer_size(text), Err(NotASize(own(text))), "{text}");
        }
        for text in [
            "2G",
            "1025M",
            "99999999999999999999",
            "18446744073709551615G",
        ] {
            assert_eq!(parse_buffer_size(text), Err(TooLarge(own(text))), "{text}");
        }
        assert_eq!(parse_buffer_size("0K"), Err(Zero));
    }

    #[test]
    fn sizes_are_shown_as_they_are_written() {
        for text in ["4K", "64K", "16M", "1G"] {
            assert_eq!(
                parse_buffer_size(text).map(|size| size.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn digits() {
        assert_eq!(TimeDigits::new(3), None);
        assert_eq!(TimeDigits::new(4).map(TimeDigits::get), Some(4));
        assert_eq!(TimeDigits::new(9).map(TimeDigits::get), Some(9));
        assert_eq!(TimeDigits::new(10), None);
    }
}
