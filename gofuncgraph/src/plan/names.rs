//! Two names that a generic function can have.

use std::collections::HashMap;

use super::Pattern;
use crate::binary::{Function, GoBinary, VirtualAddress};

/// What a function is called.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    /// As pclntab has it.
    pub(super) linker: &'a str,
    /// With the types it was made for, where they are known and not in the linker's name.
    pub(super) instantiated: Option<&'a str>,
}

impl<'a> Names<'a> {
    /// Of a function that is not generic, or whose types are not known.
    pub(super) fn plain(name: &'a str) -> Self {
        Self {
            linker: name,
            instantiated: None,
        }
    }

    /// The better one.
    pub(super) fn full(self) -> &'a str {
        self.instantiated.unwrap_or(self.linker)
    }

    pub(super) fn match_pattern(self, pattern: &Pattern) -> bool {
        pattern.matches(self.linker) || self.instantiated.is_some_and(|it| pattern.matches(it))
    }

    pub(super) fn are_spelled_by(self, pattern: &Pattern) -> bool {
        pattern.spells(self.linker) || self.instantiated.is_some_and(|it| pattern.spells(it))
    }
}

/// The names of a program's generic functions whose types are known.
pub(super) struct FullNames(HashMap<VirtualAddress, String>);

impl FullNames {
    pub(super) fn of<'a>(binary: &GoBinary<'a>, functions: &[Function<'a>]) -> Self {
        let names = functions.iter().filter_map(|function| {
            let name = binary.instantiated_name(function);
            (name != function.name).then(|| (function.start, name.into_owned()))
        });
        Self(names.collect())
    }

    pub(super) fn names_of<'a>(&'a self, function: &Function<'a>) -> Names<'a> {
        Names {
            linker: function.name,
            instantiated: self.0.get(&function.start).map(String::as_str),
        }
    }
}
