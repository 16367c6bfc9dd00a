//! The build id that Go's linker leaves in an ELF note (Go: src/cmd/internal/buildid/note.go).

/// Name size 4, then the size of the description, then type 4 and the name, padded with zero.
const NAME_SIZE: [u8; 4] = [4, 0, 0, 0];
const TYPE_AND_NAME: [u8; 8] = *b"\x04\0\0\0Go\0\0";

/// Notes stand right behind the headers: as far as `go tool buildid` looks.
const SEARCHED_BYTES: usize = 32 << 10;

/// Longer than any that a linker writes (four hashes).
const MAX_LENGTH: usize = 1 << 10;

/// Finds it in a file, with or without sections.
pub(super) fn find(data: &[u8]) -> Option<&str> {
    let searched = data.get(..SEARCHED_BYTES).unwrap_or(data);
    let note = searched
        .windows(16)
        .position(|bytes| bytes.starts_with(&NAME_SIZE) && bytes.ends_with(&TYPE_AND_NAME))?;
    let note = data.get(note..)?;
    let length = note.get(4..)?.first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let id = note.get(16..)?.get(..length)?;
    let is_id = (1..=MAX_LENGTH).contains(&length) && id.iter().all(u8::is_ascii_graphic);
    is_id.then(|| std::str::from_utf8(id).ok())?
}

#[cfg(test)]
mod tests {
    use super::find;

    fn note(length: u32, id: &[u8]) -> Vec<u8> {
        let mut bytes = b"something before".to_vec();
        bytes.extend_from_slice(&[4, 0, 0, 0]);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(b"\x04\0\0\0Go\0\0");
        bytes.extend_from_slice(id);
        bytes
    }

    #[test]
    fn the_note_is_found() {
        assert_eq!(find(&note(5, b"a/b_c and more")), Some("a/b_c"));
    }

    #[test]
    fn what_is_no_id_is_none() {
        for bytes in [
            note(5, b"a/b"),
            note(0, b"a/b"),
            note(u32::MAX, b"a/b"),
            note(3, b"a\nb"),
            b"nothing of the kind".to_vec(),
            Vec::new(),
        ] {
            assert_eq!(find(&bytes), None, "{bytes:?}");
        }
    }
}
