//! Tables that give a number for every instruction of a function
//! (Go: src/runtime/symtab.go `pcvalue`).

use std::ops::Range;

/// Value before the first step.
const INITIAL_VALUE: i32 = -1;

/// The value at `pc_offset` bytes from the start of the function, from the table that `table`
/// begins with.
pub(super) fn find(table: &[u8], pc_offset: u32) -> Option<i32> {
    steps(table)
        .find(|step| pc_offset < step.offsets.end)
        .map(|step| step.value)
}

/// Instructions in a row that have the same value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// From the start of the function, in bytes; never empty.
    pub(super) offsets: Range<u32>,
    pub(super) value: i32,
}

/// The table that `table` begins with: pairs of varints (zigzag difference of the value, bytes
/// for which it holds), closed by a difference of 0 that is not the first one. A table that is
/// damaged ends there.
pub(super) fn steps(table: &[u8]) -> impl Iterator<Item = Step> {
    let mut rest = table;
    let mut value = INITIAL_VALUE;
    let mut end = 0u32;
    std::iter::from_fn(move || {
        let difference = read_varint(&mut rest)?;
        if difference == 0 && end != 0 {
            return None;
        }
        value = value.wrapping_add(zigzag(difference));
        let length = read_varint(&mut rest)?;
        // No table has an empty step; with this the work is bounded by the function's length.
        if length == 0 {
            return None;
        }
        let start = end;
        end = end.checked_add(length)?;
        Some(Step {
            offsets: start..end,
            value,
        })
    })
}

fn zigzag(encoded: u32) -> i32 {
    let half = (encoded >> 1).cast_signed();
    if encoded & 1 == 0 { half } else { !half }
}

fn read_varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0u32;
    for shift in (0..32).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_zigzag() {
        assert_eq!([0, 1, 2, 3, 4].map(zigzag), [0, -1, 1, -2, 2]);
        assert_eq!(zigzag(u32::MAX), i32::MIN);
    }

    #[test]
    fn values_hold_up_to_their_end() {
        // -1 + 11 = 10 for 2 bytes, 10 - 3 = 7 for 200 bytes.
        let table = [22, 2, 5, 0xc8, 0x01, 0, 99];
        assert_eq!(find(&table, 0), Some(10));
        assert_eq!(find(&table, 1), Some(10));
        assert_eq!(find(&table, 2), Some(7));
        assert_eq!(find(&table, 201), Some(7));
        assert_eq!(find(&table, 202), None);
    }

    #[test]
    fn the_first_difference_may_be_zero() {
        assert_eq!(find(&[0, 4, 4, 4, 0], 3), Some(-1));
        assert_eq!(find(&[0, 4, 4, 4, 0], 4), Some(1));
    }

    #[test]
    fn damaged_tables_end() {
        assert_eq!(find(&[], 0), None);
        assert_eq!(find(&[2], 0), None);
        assert_eq!(find(&[2, 0, 2, 0], 5), None);
        assert_eq!(find(&[0xff; 64], 5), None);
        assert_eq!(
            find(&[2, 0xff, 0xff, 0xff, 0xff, 0x0f, 2, 9], u32::MAX),
            None
        );
    }
}
