use std::time::Duration;

/// For remarks.
pub(super) const DIM: &[u8] = b"\x1b[2m";
/// Ends every colour.
pub(super) const RESET: &[u8] = b"\x1b[0m";

/// From which duration on which colour is used, longest first.
const DURATION_COLOURS: [(Duration, &[u8]); 4] = [
    (Duration::from_secs(1), b"\x1b[1;31m"),
    (Duration::from_millis(100), b"\x1b[31m"),
    (Duration::from_millis(10), b"\x1b[33m"),
    (Duration::from_millis(1), b"\x1b[32m"),
];

/// What a duration is coloured with on a terminal; nothing below a millisecond.
pub(super) fn colour_of(duration: Duration) -> Option<&'static [u8]> {
    DURATION_COLOURS
        .iter()
        .find(|(at_least, _)| duration >= *at_least)
        .map(|(_, colour)| *colour)
}
