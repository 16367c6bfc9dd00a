//! What the symbols tell of the types for which a generic function was made.
//!
//! One function is made for all types of a shape. Which types a call is for is told by the dictionary
//! that it is given, and each dictionary has a symbol: `main..dict.Map[int,string]`
//! (Go: cmd/compile/internal/noder/reader.go, `dictNameOf`; in Go 1.18 and 1.19 there is one for each
//! method). Every call needs a dictionary, so where only one that is in the file can belong to a
//! shape, all calls are for its types. Where several can, or where the symbols were stripped, the
//! types are not known.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use memchr::memmem;

use super::VirtualAddress;
use super::elf::Elf;
use super::type_arguments::{SHAPE, UNKNOWN, arguments, groups, may_have_shape, shape_arguments};

/// What is between a package and what a dictionary is for.
const DICTIONARY: &str = "..dict.";

/// Longer names are not read: a damaged file can have one that is as long as the file.
const NAME_MAX_LENGTH: usize = 16 * 1024;
/// Types of a generic function that are told apart; each of its shapes is compared with each.
const MAX_DICTIONARIES: usize = 1024;

/// Dictionaries by what they are for, and the full names of generic functions.
#[derive(Default)]
pub(super) struct Instantiations {
    /// Type arguments, brackets included, by the generic function or type, for instance `main.Map`.
    dictionaries: HashMap<String, BTreeSet<String>>,
    /// Names with shapes, where pclntab may have none.
    shape_names: HashMap<VirtualAddress, String>,
}

impl Instantiations {
    /// Reads the symbols, if there are any.
    pub(super) fn read(elf: &Elf<'_>, names_lack_shapes: bool) -> Self {
        let mut found = Self::default();
        let strings = elf.symbol_strings();
        for at in memmem::find_iter(strings, DICTIONARY) {
            if let Some(name) = string_around(strings, at) {
                found.add_dictionary(name);
            }
        }
        if names_lack_shapes && !found.dictionaries.is_empty() {
            let with_shapes = elf
                .function_symbols()
                .filter(|(_, name)| name.contains(SHAPE));
            found.shape_names = with_shapes
                .map(|(start, name)| (start, name.to_owned()))
                .collect();
        }
        found
    }

    fn add_dictionary(&mut self, name: &str) {
        let Some((package, generic)) = name.split_once(DICTIONARY) else {
            return;
        };
        let Some(group) = groups(generic).next() else {
            return;
        };
        let of = generic.get(..group.start).unwrap_or_default();
        let key = format!("{package}.{}", of.strip_prefix("(*").unwrap_or(of));
        let of_generic = self.dictionaries.entry(key).or_default();
        if of_generic.len() <= MAX_DICTIONARIES {
            of_generic.extend(generic.get(group).map(str::to_owned));
        }
    }

    /// The type arguments of the function whose name is `name` in pclntab, brackets included, and
    /// where in `name` they belong; `None` if it is not generic, or if they are not known.
    pub(super) fn type_arguments(
        &self,
        name: &str,
        start: VirtualAddress,
    ) -> Option<(Range<usize>, &str)> {
        let group = shape_arguments(name)?;
        let generic = name.get(..group.start)?;
        let dictionaries = match generic.rsplit_once("(*") {
            Some((package, receiver)) => self.dictionaries.get(&format!("{package}{receiver}")),
            None => self.dictionaries.get(generic),
        }
        .filter(|dictionaries| dictionaries.len() <= MAX_DICTIONARIES)?;
        let written = name.get(group.clone())?;
        let shapes = if written == UNKNOWN {
            let full = self.shape_names.get(&start)?;
            full.get(shape_arguments(full)?)?
        } else {
            written
        };
        let shapes = arguments(shapes);
        let mut fitting = dictionaries.iter().filter(|candidate| {
            let types = arguments(candidate);
            types.len() != shapes.len()
                || types
                    .iter()
                    .zip(&shapes)
                    .all(|(argument, shape)| may_have_shape(argument, shape))
        });
        let only = fitting.next()?;
        fitting.next().is_none().then_some((group, only.as_str()))
    }
}

/// The string among `strings` that has the byte at `at` in it.
fn string_around(strings: &[u8], at: usize) -> Option<&str> {
    let before = strings.get(at.saturating_sub(NAME_MAX_LENGTH)..at)?;
    let length = before.iter().rev().take_while(|byte| **byte != 0).count();
    let rest = strings.get(at.checked_sub(length)?..)?;
    let rest = rest.get(..rest.len().min(NAME_MAX_LENGTH))?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(rest.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instantiations(dictionaries: &[&'static str]) -> Instantiations {
        let mut found = Instantiations::default();
        for name in dictionaries {
            found.add_dictionary(name);
        }
        found
    }

    #[test]
    fn a_single_dictionary_tells_the_types() {
        let found = instantiations(&[
            "main..dict.Map[int,string]",
            "main..dict.Map[main.pair,[]uint8]",
            "main..dict.Two[int]",
            "main..dict.Two[main.id]",
            "main..dict.Two[uint8]",
            "main..dict.stackOf[int]",
            "a/b%2ec..dict.(*list[string]).push",
            "a/b%2ec..dict.list[string].pop",
        ]);
        let arguments = |name: &str| {
            let (at, arguments) = found.type_arguments(name, VirtualAddress(0))?;
            Some(format!(
                "{}|{arguments}|{}",
                &name[..at.start],
                &name[at.end..]
            ))
        };
        for (name, expected) in [
            (
                "main.Map[go.shape.int,go.shape.string]",
                Some("main.Map|[int,string]|"),
            ),
            (
                "main.Map[go.shape.struct { X int },go.shape.[]uint8].func1",
                Some("main.Map|[main.pair,[]uint8]|.func1"),
            ),
            ("main.Two[go.shape.int]", None),
            ("main.Two[go.shape.float64]", Some("main.Two|[main.id]|")),
            (
                "main.(*stackOf[go.shape.int]).push",
                Some("main.(*stackOf|[int]|).push"),
            ),
            (
                "a/b%2ec.list[go.shape.string_0].pop",
                Some("a/b%2ec.list|[string]|.pop"),
            ),
            ("main.Once[go.shape.int]", None),
            // A closure of a copy: its dictionary may be gone.
            ("main.run.Map[go.shape.int,go.shape.string].func1", None),
            ("main.Map[...]", None),
            ("main.Map[int,string]", None),
            ("main.main", None),
        ] {
            assert_eq!(arguments(name).as_deref(), expected, "{name}");
        }
    }
    #[test]
    fn strings_have_bounds() {
        let strings = b"\0main..dict.f[int]\0x\0";
        assert_eq!(string_around(strings, 5), Some("main..dict.f[int]"));
        assert_eq!(string_around(&strings[1..], 4), Some("main..dict.f[int]"));
        assert_eq!(string_around(&strings[..10], 5), None);
        assert_eq!(string_around(strings, 100), None);
        let endless = "a..dict.".repeat(NAME_MAX_LENGTH);
        assert_eq!(string_around(endless.as_bytes(), 8 * 1000), None);
    }

    #[test]
    fn so_many_types_are_not_told_apart() {
        let mut found = Instantiations::default();
        for number in 0..=MAX_DICTIONARIES {
            found.add_dictionary(&format!("main..dict.f[[{number}]int]"));
        }
        let name = "main.f[go.shape.[1]int]";
        assert_eq!(found.type_arguments(name, VirtualAddress(0)), None);
        found = instantiations(&["main..dict.f[[1]int]", "main..dict.f[[2]int]"]);
        assert!(found.type_arguments(name, VirtualAddress(0)).is_some());
    }
}
