//! Where members of the kernel's structs are, from its BTF (Linux: Documentation/bpf/btf.rst).

const MAGIC: u16 = 0xeb9f;
const TYPE_HEADER_BYTES: usize = 12;
const MEMBER_BYTES: usize = 12;
const KIND_STRUCT: u32 = 4;

/// Byte offsets of members of structs, each given as the struct's and the member's name. `None`
/// if one was not found before something that makes no sense.
pub(super) fn member_offsets<const N: usize>(
    kernel_types: &[u8],
    wanted: [(&str, &str); N],
) -> Option<[u32; N]> {
    let magic = kernel_types.first_chunk().copied().map(u16::from_le_bytes);
    if magic != Some(MAGIC) {
        return None;
    }
    let header = |index: usize| word(kernel_types, 4 + 4 * index).map(|word| word as usize);
    let [header_bytes, types, types_bytes, strings] =
        [header(0)?, header(1)?, header(2)?, header(3)?];
    let types = part(kernel_types, header_bytes.checked_add(types)?)?.get(..types_bytes)?;
    let strings = part(kernel_types, header_bytes.checked_add(strings)?)?;

    let mut found = [None; N];
    let mut rest = types;
    while found.contains(&None) {
        let info = word(rest, 4)?;
        let (kind, count) = (info >> 24 & 0x1f, info as usize & 0xffff);
        let (header, body) = rest.split_at_checked(TYPE_HEADER_BYTES)?;
        let (body, next) = body.split_at_checked(body_bytes(kind, count)?)?;
        if kind == KIND_STRUCT {
            let name = string(strings, word(header, 0)?)?;
            // Offsets share their word with the width of bit fields if a struct has any.
            let mask = if info >> 31 == 0 { u32::MAX } else { 0xff_ffff };
            for ((_, member), offset) in wanted
                .iter()
                .zip(&mut found)
                .filter(|((of, _), _)| of.as_bytes() == name)
            {
                *offset = offset.or(bit_offset(body, strings, member)
                    .map(|bits| bits & mask)
                    .filter(|bits| bits % 8 == 0)
                    .map(|bits| bits / 8));
            }
        }
        rest = next;
    }
    let mut offsets = [0; N];
    for (offset, found) in offsets.iter_mut().zip(found) {
        *offset = found?;
    }
    Some(offsets)
}

/// As it is written down for the member of a struct.
fn bit_offset(members: &[u8], strings: &[u8], name: &str) -> Option<u32> {
    members
        .chunks_exact(MEMBER_BYTES)
        .find(|member| word(member, 0).and_then(|at| string(strings, at)) == Some(name.as_bytes()))
        .and_then(|member| word(member, 8))
}

/// What follows the header of a type; `None` for a kind that is not known.
fn body_bytes(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        // Pointers, forward declarations, typedefs, qualifiers, functions, floats, type tags.
        2 | 7..=12 | 16 | 18 => 0,
        // Integers, variables, declaration tags.
        1 | 14 | 17 => 4,
        // Arrays.
        3 => 12,
        // Structs, unions, sections, 64-bit enumerations.
        KIND_STRUCT | 5 | 15 | 19 => count * MEMBER_BYTES,
        // Enumerations, function prototypes.
        6 | 13 => count * 8,
        _ => return None,
    })
}

fn part(bytes: &[u8], start: usize) -> Option<&[u8]> {
    bytes.get(start..)
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = part(bytes, offset)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

fn string(strings: &[u8], offset: u32) -> Option<&[u8]> {
    let string = part(strings, offset as usize)?;
    let length = string.iter().position(|&byte| byte == 0)?;
    string.get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRINGS: &[u8] = b"\0int\0inner\0outer\0flags\0part\0";
    /// Where the names stand.
    const INT: u32 = 1;
    const INNER: u32 = 5;
    const OUTER: u32 = 11;
    const FLAGS: u32 = 17;
    const PART: u32 = 23;

    /// `struct inner { int part; }`, `struct outer { int flags: 3; …; struct inner inner; }`.
    fn example() -> Vec<u8> {
        let types: [&[u32]; 3] = [
            &[INT, 1 << 24, 4, 32],
            &[INNER, 4 << 24 | 1, 4, PART, 1, 64],
            &[
                OUTER,
                1 << 31 | 4 << 24 | 2,
                24,
                FLAGS,
                1,
                3 << 24,
                INNER,
                2,
                128,
            ],
        ];
        let types: Vec<u8> = types
            .concat()
            .iter()
            .flat_map(|it| it.to_le_bytes())
            .collect();
        let types_bytes = u32::try_from(types.len()).unwrap();
        let strings_bytes = u32::try_from(STRINGS.len()).unwrap();
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, types_bytes, types_bytes, strings_bytes] {
            bytes.extend(u32::to_le_bytes(word));
        }
        [&bytes, &types[..], STRINGS].concat()
    }

    #[test]
    fn members_are_found_by_name() {
        let bytes = example();
        let both = [("inner", "part"), ("outer", "inner")];
        assert_eq!(member_offsets(&bytes, both), Some([8, 16]));
        assert_eq!(member_offsets(&bytes, [("outer", "flags")]), Some([0]));
        assert_eq!(member_offsets(&bytes, [("outer", "part")]), None);
        assert_eq!(member_offsets(&bytes, [("int", "part")]), None);
    }

    #[test]
    fn what_is_cut_is_not_found() {
        let bytes = example();
        for length in 0..bytes.len() - STRINGS.len() {
            let cut = &bytes[..length];
            assert_eq!(member_offsets(cut, [("outer", "inner")]), None, "{length}");
        }
    }
}
