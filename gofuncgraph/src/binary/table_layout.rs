//! The layouts of the table of functions, told apart by its first bytes
//! (Go: src/internal/abi/symtab.go `PCLnTabMagic`).

/// First word of the newest layout.
pub(super) const MAGIC: u32 = 0xffff_fff1;
/// First words of the layouts that are read here.
pub(super) const SHAPES: [(u32, Shape); 3] = [
    (MAGIC, Shape::new(20, u32::MAX, 8, 10)),
    // Records have no start line yet.
    (0xffff_fff0, Shape::new(18, 19, 8, 9)),
    // Entries have addresses, and the header has no start of text yet.
    (0xffff_fffa, Shape::new(16, 17, 16, 10)),
];
/// First words of older layouts.
const OLDER_MAGICS: [(u32, &str); 1] = [(0xffff_fffb, "a release before Go 1.16")];
/// Behind the magic: padding, the smallest instruction size and the pointer size of amd64.
const AMD64_LAYOUT: [u8; 4] = [0, 0, 1, 8];

/// What differs between the layouts that are read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Minor versions of the releases that write it.
    pub(super) first_minor: u32,
    pub(super) last_minor: u32,
    /// An entry is two numbers of half this size: where the function is, and its record.
    pub(super) entry_size: usize,
    /// Which 4 bytes of a record the funcID begins.
    pub(super) id_field: usize,
}

impl Shape {
    const fn new(first_minor: u32, last_minor: u32, entry_size: usize, id_field: usize) -> Self {
        Self {
            first_minor,
            last_minor,
            entry_size,
            id_field,
        }
    }

    /// Whether entries are 8-byte addresses, not 4-byte offsets from `runtime.text`.
    pub(super) fn has_addresses(self) -> bool {
        self.entry_size == 16
    }

    /// The word of the header that begins the offsets of its parts.
    pub(super) fn first_part(self) -> usize {
        if self.has_addresses() { 3 } else { 4 }
    }

    /// Fixed part of `_func`.
    pub(super) fn record_size(self) -> usize {
        (self.id_field + 1) * 4
    }

    /// Where `_func` has the number of tables of values by instruction.
    pub(super) fn pc_data_count(self) -> usize {
        self.entry_size / 2 + 24
    }

    /// Where `_func` has the line of the keyword `func`, if it has that.
    pub(super) fn start_line(self) -> Option<usize> {
        (!self.has_addresses() && self.id_field == 10).then_some(36)
    }
}

/// What the first bytes of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One that is read here.
    Supported(Shape),
    /// An older one; names the releases that wrote it.
    Older(&'static str),
    /// Another first word.
    Unknown(u32),
}

impl Layout {
    /// Looks at the first 8 bytes of a table.
    pub(super) fn of(head: [u8; 8]) -> Self {
        let [m0, m1, m2, m3, layout @ ..] = head;
        let magic = u32::from_le_bytes([m0, m1, m2, m3]);
        let older = OLDER_MAGICS.iter().find(|(older, _)| *older == magic);
        let shape = SHAPES.iter().find(|(known, _)| *known == magic);
        match (shape, older) {
            _ if layout != AMD64_LAYOUT => Self::Unknown(magic),
            (Some((_, shape)), _) => Self::Supported(*shape),
            (None, Some((_, releases))) => Self::Older(releases),
            (None, None) => Self::Unknown(magic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_told_apart_by_the_first_bytes() {
        let layout = |hex: u64| Layout::of(hex.to_be_bytes());
        for magic in [0xf1, 0xf0, 0xfa] {
            let layout = layout(0x00ff_ffff_0000_0108 | magic << 56);
            assert!(matches!(layout, Layout::Supported(_)), "{layout:?}");
        }
        assert_eq!(
            layout(0xfbff_ffff_0000_0108),
            Layout::Older("a release before Go 1.16")
        );
        assert_eq!(layout(0xf1ff_ffff_0000_0408), Layout::Unknown(0xffff_fff1));
        assert_eq!(layout(0x1234_5678_0000_0108), Layout::Unknown(0x7856_3412));
    }
}
