//! Numbers for eyes: three digits and a unit.

use std::time::Duration;

use crate::analysis::Measure;

/// `0ns`, `12.3us`, `250ms`, `1.50s`, `1230s`: three digits, or all before the point.
pub(super) fn time(time_ns: f64) -> String {
    let sign = if time_ns < 0.0 { "-" } else { "" };
    let size_ns = time_ns.abs();
    // What rounds up to 1000 belongs to the next unit.
    let (size, unit) = if size_ns < 999.5 {
        (size_ns, "ns")
    } else if size_ns < 999.5e3 {
        (size_ns / 1e3, "us")
    } else if size_ns < 999.5e6 {
        (size_ns / 1e6, "ms")
    } else {
        (size_ns / 1e9, "s")
    };
    // Single nanoseconds have no fractions, averages of few do.
    if unit == "ns" && size_ns.fract() == 0.0 {
        return format!("{sign}{size:.0}{unit}");
    }
    format!("{sign}{}{unit}", three_digits(size))
}

/// The same of a duration.
pub(super) fn duration(duration: Duration) -> String {
    time(duration.as_nanos() as f64)
}

/// At least three digits; no more than two behind the point.
fn three_digits(size: f64) -> String {
    let decimals = if size < 9.995 {
        2
    } else if size < 99.95 {
        1
    } else {
        0
    };
    format!("{size:.decimals$}")
}

/// `60.1%`.
pub(super) fn share(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// `+30.2%`, `-12.0%`, `+0.0%`; `new` if there was nothing before.
pub(super) fn change(before: f64, after: f64) -> String {
    if before == after {
        "+0.0%".to_owned()
    } else if before == 0.0 {
        "new".to_owned()
    } else {
        format!("{:+.1}%", (after / before - 1.0) * 100.0)
    }
}

/// A number of calls: whole, or with two decimals for an average, four below 0.1.
pub(super) fn count(count: f64) -> String {
    if count.fract() == 0.0 {
        format!("{count:.0}")
    } else if count < 0.1 {
        format!("{count:.4}")
    } else {
        format!("{count:.2}")
    }
}

/// Any of them.
pub(super) fn measure(value: Measure) -> String {
    match value {
        Measure::Time(time_ns) => time(time_ns),
        Measure::Count(number) => count(number),
        Measure::Share(part) => share(part),
    }
}

/// `1 tree`, `2 trees`.
pub(super) fn number_of(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        for (time_ns, text) in [
            (0.0, "0ns"),
            (7.0, "7ns"),
            (7.25, "7.25ns"),
            (999.0, "999ns"),
            (1000.0, "1.00us"),
            (12_345.0, "12.3us"),
            (99_960.0, "100us"),
            (999_499.0, "999us"),
            (999_500.0, "1.00ms"),
            (250_000_000.0, "250ms"),
            (1_500_000_000.0, "1.50s"),
            (1_234_567_000_000.0, "1235s"),
            (-12_345.0, "-12.3us"),
        ] {
            assert_eq!(time(time_ns), text);
        }
    }

    #[test]
    fn changes_say_from_what() {
        assert_eq!(change(100.0, 130.0), "+30.0%");
        assert_eq!(change(2.0, 1.0), "-50.0%");
        assert_eq!(change(0.0, 1.0), "new");
        assert_eq!(change(0.0, 0.0), "+0.0%");
    }
}
