use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

use super::escape::is_obeyed;

/// Appends `value` as JSON on one line. What a terminal might obey is escaped, so that the text
/// can be looked at, and means the same.
pub(super) fn push_json(value: &impl Serialize, out: &mut Vec<u8>) {
    let length = out.len();
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, SafeFormatter);
    if value.serialize(&mut serializer).is_err() {
        // Only values that JSON cannot hold fail, and records have none.
        out.truncate(length);
        out.extend_from_slice(b"null");
    }
}

/// Compact, with escapes for what a terminal might obey.
struct SafeFormatter;

impl Formatter for SafeFormatter {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.is_ascii() && !fragment.contains('\u{7f}') {
            return CompactFormatter.write_string_fragment(writer, fragment);
        }
        let mut plain = fragment;
        while let Some(at) = plain.find(is_obeyed) {
            let (before, rest) = plain.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut characters = rest.chars();
            // All of them are in the first plane, so one escape is enough for each.
            let obeyed = characters.next().map_or(0, u32::from);
            write!(writer, "\\u{obeyed:04x}")?;
            plain = characters.as_str();
        }
        writer.write_all(plain.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::push_json;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_means_the_same() {
        for text in [
            "main.f",
            "main.Größe",
            "a\n\u{1b}[31m\"\\",
            "\u{9b}2J\u{7f}x\u{202e}y",
        ] {
            let mut out = Vec::new();
            push_json(&text, &mut out);
            let json = String::from_utf8(out).expect("UTF-8");
            assert!(!json.contains(super::is_obeyed), "{json:?}");
            assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
        }
    }
}
