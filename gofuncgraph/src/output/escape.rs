use crate::binary::readable_name;

/// Appends `text` with all that a terminal might obey written as `\u{…}`: control characters,
/// line separators, and what changes the direction of writing. Names come from the traced file,
/// which may be hostile.
pub(super) fn push_escaped(text: &str, out: &mut Vec<u8>) {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut buffer = [0; 4];
    for character in text.chars() {
        if is_obeyed(character) {
            for escaped in character.escape_unicode() {
                out.extend_from_slice(escaped.encode_utf8(&mut buffer).as_bytes());
            }
        } else {
            out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
    }
}

/// Appends a function's name as a reader of the source expects it, escaped likewise.
pub(super) fn push_escaped_name(name: &str, out: &mut Vec<u8>) {
    push_escaped(&readable_name(name), out);
}

/// Whether a terminal might do something else with it than show it.
pub(super) fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::push_escaped;

    fn escaped(text: &str) -> String {
        let mut out = Vec::new();
        push_escaped(text, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn names_that_go_allows_stay_as_they_are() {
        for name in [
            "main.(*T).M",
            "main.Größe",
            "a b/c.F[go.shape.int]",
            "main.f·1",
        ] {
            assert_eq!(escaped(name), name);
        }
    }

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        assert_eq!(escaped("a\n\u{1b}[31mb"), "a\\u{a}\\u{1b}[31mb");
        assert_eq!(escaped("\u{9b}2J\u{7f}"), "\\u{9b}2J\\u{7f}");
        assert_eq!(escaped("x\u{202e}y"), "x\\u{202e}y");
    }
}
