//! Build information that `go build` leaves in the file (Go: src/debug/buildinfo/buildinfo.go).

use super::VirtualAddress;
use super::elf::Elf;

const MAGIC: &[u8; 14] = b"\xff Go buildinf:";
const ALIGNMENT: usize = 16;
const INLINE_STRINGS_OFFSET: usize = 32;
const FLAG_BIG_ENDIAN: u8 = 1;
const FLAG_INLINE_STRINGS: u8 = 2;
/// Module information stands between two markers of this length.
const MARKER_LENGTH: usize = 16;
const VERSION_MAX_LENGTH: u64 = 1024;
const MODULES_MAX_LENGTH: u64 = 1 << 24;

/// What was found of the build information.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BuildInfo<'data> {
    /// For instance `go1.26.8`; obfuscators write `unknown` or nothing.
    pub(super) go_version: Option<&'data str>,
    /// Path of the main module or, if it has none, of the main package.
    pub(super) main_module: Option<&'data str>,
    /// Import path of the main package, if it has one.
    pub(super) main_package: Option<&'data str>,
    /// Built with `-buildmode=plugin`.
    pub(super) is_plugin: bool,
}

/// Reads the section `.go.buildinfo`, or searches the segments when there is none.
pub(super) fn find<'data>(elf: &Elf<'data>) -> Option<BuildInfo<'data>> {
    let from_section = elf
        .section_address(".go.buildinfo")
        .and_then(|address| elf.bytes_from(address))
        .filter(|bytes| bytes.starts_with(MAGIC));
    let bytes = from_section.or_else(|| search(elf))?;
    parse(elf, bytes)
}

fn search<'data>(elf: &Elf<'data>) -> Option<&'data [u8]> {
    elf.segments()
        .iter()
        .filter(|segment| segment.is_writable())
        .find_map(|segment| {
            let bytes = elf.segment_bytes(segment);
            let misalignment = segment.address().0 % ALIGNMENT as u64;
            let skip = (ALIGNMENT as u64 - misalignment) % ALIGNMENT as u64;
            let aligned = bytes.get(usize::try_from(skip).ok()?..)?;
            let index = aligned
                .chunks_exact(ALIGNMENT)
                .position(|chunk| chunk.starts_with(MAGIC))?;
            aligned.get(index.checked_mul(ALIGNMENT)?..)
        })
}

fn parse<'data>(elf: &Elf<'data>, bytes: &'data [u8]) -> Option<BuildInfo<'data>> {
    let pointer_size = *bytes.get(MAGIC.len())?;
    let flags = *bytes.get(MAGIC.len() + 1)?;
    let (version, modules) = if flags & FLAG_INLINE_STRINGS != 0 {
        let (version, rest) =
            inline_string(bytes.get(INLINE_STRINGS_OFFSET..)?, VERSION_MAX_LENGTH)?;
        (
            version,
            inline_string(rest, MODULES_MAX_LENGTH).map(|(modules, _)| modules),
        )
    } else if pointer_size == 8 && flags & FLAG_BIG_ENDIAN == 0 {
        let string = |offset: usize, max_length| {
            let pointer = bytes.get(offset..)?.first_chunk::<8>()?;
            elf.go_string(VirtualAddress(u64::from_le_bytes(*pointer)), max_length)
        };
        (
            string(16, VERSION_MAX_LENGTH)?,
            string(24, MODULES_MAX_LENGTH),
        )
    } else {
        return None;
    };
    Some(BuildInfo {
        go_version: std::str::from_utf8(version)
            .ok()
            .map(str::trim)
            .filter(|version| !version.is_empty() && *version != "unknown"),
        main_module: modules.and_then(main_module),
        main_package: modules.and_then(main_package),
        is_plugin: modules.is_some_and(is_plugin),
    })
}

/// A string behind its length as an unsigned varint, and what follows it.
fn inline_string(bytes: &[u8], max_length: u64) -> Option<(&[u8], &[u8])> {
    let mut length = 0u64;
    let mut rest = bytes;
    for shift in (0..63).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        rest = tail;
        length |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            if length > max_length {
                return None;
            }
            return rest.split_at_checked(usize::try_from(length).ok()?);
        }
    }
    None
}

/// The second field of the line `mod`, else of the line `path`, of what stands between the
/// markers.
fn main_module(modules: &[u8]) -> Option<&str> {
    field(modules, "mod").or_else(|| main_package(modules))
}

/// The second field of the line `path`, unless it stands for a list of files.
fn main_package(modules: &[u8]) -> Option<&str> {
    field(modules, "path").filter(|path| *path != "command-line-arguments")
}

/// The second field of the line that begins with `key`.
fn field<'data>(modules: &'data [u8], key: &str) -> Option<&'data str> {
    let end = modules.len().checked_sub(MARKER_LENGTH)?;
    let text = std::str::from_utf8(modules.get(MARKER_LENGTH..end)?).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split('\t');
        (fields.next()? == key)
            .then(|| fields.next())
            .flatten()
            .filter(|value| !value.is_empty())
    })
}

/// Whether the settings say so (since Go 1.21; older plugins have no build information).
fn is_plugin(modules: &[u8]) -> bool {
    modules
        .split(|byte| *byte == b'\n')
        .any(|line| line == b"build\t-buildmode=plugin")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_markers(text: &str) -> Vec<u8> {
        let marker = [0x30u8; MARKER_LENGTH];
        [&marker, text.as_bytes(), &marker].concat()
    }

    #[test]
    fn the_main_module_comes_from_mod_before_path() {
        let text =
            "path\texample.com/a/cmd\nmod\texample.com/a\t(devel)\t\ndep\texample.com/b\tv1\n";
        assert_eq!(main_module(&with_markers(text)), Some("example.com/a"));
        assert_eq!(main_package(&with_markers(text)), Some("example.com/a/cmd"));
        let text = "path\tcmd/go\nbuild\t-compiler=gc\n";
        assert_eq!(main_module(&with_markers(text)), Some("cmd/go"));
        let text = "path\tcommand-line-arguments\nbuild\t-compiler=gc\n";
        assert_eq!(main_module(&with_markers(text)), None);
        assert_eq!(main_module(b"short"), None);
        assert_eq!(main_module(&with_markers("mod\nmod\t\n")), None);
    }

    #[test]
    fn plugins_say_so() {
        let text = "path\tp\nbuild\t-buildmode=plugin\nbuild\t-compiler=gc\n";
        assert!(is_plugin(&with_markers(text)));
        assert!(!is_plugin(&with_markers(&text.replace("plugin", "pie"))));
    }

    #[test]
    fn inline_strings_are_bounded() {
        assert_eq!(
            inline_string(b"\x03abcdef", 100),
            Some((b"abc".as_slice(), b"def".as_slice()))
        );
        assert_eq!(inline_string(b"\x07abc", 100), None);
        assert_eq!(inline_string(b"\x03abc", 2), None);
        assert_eq!(inline_string(&[0xff; 20], u64::MAX), None);
        let mut long = vec![0x80, 0x01];
        long.extend([b'x'; 128]);
        assert_eq!(
            inline_string(&long, 128).map(|(text, _)| text.len()),
            Some(128)
        );
    }
}
