//! Numbers of 1 to 10 bytes, 7 bits each, least significant first (LEB128).

/// Appends an unsigned number.
pub(super) fn push(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number: small magnitudes are short (zigzag).
pub(super) fn push_signed(value: i64, out: &mut Vec<u8>) {
    push(((value << 1) ^ (value >> 63)).cast_unsigned(), out);
}

/// Appends a length and the bytes of `text`.
pub(super) fn push_text(text: &str, out: &mut Vec<u8>) {
    push(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

/// Reads what the functions above wrote. `None` where that is not what stands there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    pub(super) fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A number that has to fit in a smaller type.
    pub(super) fn number<N: TryFrom<u64>>(&mut self) -> Option<N> {
        self.unsigned()?.try_into().ok()
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// A length and as many bytes.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number::<usize>()?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(unsigned: u64, signed: i64, text: String) {
            let mut bytes = Vec::new();
            push(unsigned, &mut bytes);
            push_signed(signed, &mut bytes);
            push_text(&text, &mut bytes);
            let mut fields = Fields::new(&bytes);
            prop_assert_eq!(fields.unsigned(), Some(unsigned));
            prop_assert_eq!(fields.signed(), Some(signed));
            prop_assert_eq!(fields.text(), Some(text.as_str()));
            prop_assert_eq!(fields.byte(), None);
        }
    }

    #[test]
    fn the_largest_numbers_take_ten_bytes() {
        let mut bytes = Vec::new();
        push(u64::MAX, &mut bytes);
        assert_eq!(bytes.len(), 10);
        let mut bytes = Vec::new();
        push_signed(i64::MIN, &mut bytes);
        assert_eq!(Fields::new(&bytes).signed(), Some(i64::MIN));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for bytes in [&[][..], &[0x80], &[0xff; 10], &[0x80; 11]] {
            assert_eq!(Fields::new(bytes).unsigned(), None, "{bytes:?}");
        }
        assert_eq!(Fields::new(&[0x80, 2]).number::<u8>(), None);
        assert_eq!(Fields::new(&[3, b'a', b'b']).text(), None);
        assert_eq!(Fields::new(&[1, 0xff]).text(), None);
    }
}
