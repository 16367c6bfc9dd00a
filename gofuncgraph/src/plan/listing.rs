//! Every function of a program and what tracing it would take, whatever a selection says.

use super::build::place_one;
use super::error::{PlanError, UnmatchedPattern};
use super::habit;
use super::nearest::nearest_names;
use super::selection::skip_always;
use super::{Pattern, Site, SkipReason};
use crate::binary::{
    Function, GoBinary, InlinedCalls, InlinedFunction, SourceLine, VirtualAddress, readable_name,
};

/// In which order functions are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListOrder {
    /// By name; by address where several have the same.
    #[default]
    Name,
    /// By address; those without code last, by name.
    Address,
    /// The largest first; then by name.
    Size,
}

/// Why a function cannot be traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTraced {
    /// It has no code: every call of it was inlined.
    InlinedEverywhere,
    /// Its code, or what it is.
    Skipped(SkipReason),
}

/// A function, and what tracing it would take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFunction<'a> {
    /// Full Go name, as pclntab has it.
    pub name: &'a str,
    /// Where it is declared, where the tables tell.
    pub declaration: Option<SourceLine<'a>>,
    /// Its code, without padding; `None` if it exists only inlined.
    pub code: Option<(VirtualAddress, u64)>,
    /// Its entry, then its exits.
    pub sites: Result<Vec<Site>, NotTraced>,
    /// Copies of it in other functions.
    pub inlined: Option<&'a InlinedFunction<'a>>,
}

enum Entry<'a> {
    WithCode { function: Function<'a>, size: u64 },
    Inlined(&'a InlinedFunction<'a>),
}

impl<'a> Entry<'a> {
    fn name(&self) -> &'a str {
        match self {
            Self::WithCode { function, .. } => function.name,
            Self::Inlined(function) => function.name,
        }
    }

    fn size(&self) -> u64 {
        match self {
            Self::WithCode { size, .. } => *size,
            Self::Inlined(_) => 0,
        }
    }
}

/// The functions of a program that patterns match, in order. What each would take is found out
/// when it is its turn.
pub struct Listing<'a> {
    binary: &'a GoBinary<'a>,
    inlined: &'a InlinedCalls<'a>,
    entries: Vec<Entry<'a>>,
}

impl<'a> Listing<'a> {
    /// No patterns mean all functions.
    ///
    /// # Errors
    /// A pattern that matches no function, and damaged tables.
    pub fn new(
        binary: &'a GoBinary<'a>,
        inlined: &'a InlinedCalls<'a>,
        patterns: &[Pattern],
        order: ListOrder,
    ) -> Result<Self, PlanError> {
        let functions = (0..binary.function_count())
            .map(|index| binary.function(index))
            .collect::<Result<Vec<_>, _>>()?;
        let without_code = inlined.functions().iter().filter(|it| !it.has_code);
        let names = functions.iter().map(|it| it.name);
        let names = names.chain(without_code.clone().map(|it| it.name));
        let patterns = named_exactly(patterns, names.clone());
        let declared = functions
            .iter()
            .filter_map(|it| Some((binary.declaration(it.index)?, it.name)))
            .chain(
                without_code
                    .clone()
                    .filter_map(|it| Some((it.declaration?, it.name))),
            );
        check_patterns(&patterns, names, declared, binary.main_package())?;
        let wanted = |name: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name))
        };
        let mut entries: Vec<Entry<'a>> = functions
            .iter()
            .filter(|function| wanted(function.name))
            .map(|function| Entry::WithCode {
                function: *function,
                size: binary.code_size(function),
            })
            .chain(
                without_code
                    .filter(|function| wanted(function.name))
                    .map(Entry::Inlined),
            )
            .collect();
        match order {
            ListOrder::Name => {
                entries.sort_by(|one, other| one.name().cmp(other.name()));
            }
            // They are, by construction.
            ListOrder::Address => {}
            ListOrder::Size => {
                entries.sort_by_key(|entry| (std::cmp::Reverse(entry.size()), entry.name()));
            }
        }
        Ok(Self {
            binary,
            inlined,
            entries,
        })
    }

    /// Each function in turn.
    pub fn functions(&self) -> impl Iterator<Item = ListedFunction<'a>> + '_ {
        self.entries.iter().map(|entry| match entry {
            Entry::WithCode { function, size } => ListedFunction {
                name: function.name,
                declaration: self.binary.declaration(function.index),
                code: Some((function.start, *size)),
                sites: match skip_always(function) {
                    Some(reason) => Err(reason),
                    None => place_one(self.binary, function),
                }
                .map_err(NotTraced::Skipped),
                inlined: self.inlined.find(function.name),
            },
            Entry::Inlined(function) => ListedFunction {
                name: function.name,
                declaration: function.declaration,
                code: None,
                sites: Err(NotTraced::InlinedEverywhere),
                inlined: Some(function),
            },
        })
    }

    /// The name of the function `index`, which [`InlinedFunction::hosts`] has.
    pub fn host_name(&self, index: usize) -> Option<&'a str> {
        Some(self.binary.function(index).ok()?.name)
    }
}

/// A pattern that is a function's name means that function alone.
fn named_exactly<'name>(
    patterns: &[Pattern],
    names: impl Iterator<Item = &'name str> + Clone,
) -> Vec<Pattern> {
    let exact = |pattern: &Pattern| names.clone().any(|name| pattern.spells(name));
    patterns
        .iter()
        .map(|pattern| {
            if pattern.as_str().contains("(*") && exact(pattern) {
                pattern.clone().into_name()
            } else {
                pattern.clone()
            }
        })
        .collect()
}

fn check_patterns<'name>(
    patterns: &[Pattern],
    names: impl Iterator<Item = &'name str> + Clone,
    declared: impl Iterator<Item = (SourceLine<'name>, &'name str)> + Clone,
    main_package: Option<&str>,
) -> Result<(), PlanError> {
    let unmatched: Vec<_> = patterns
        .iter()
        .filter(|pattern| !names.clone().any(|name| pattern.matches(name)))
        .map(|pattern| UnmatchedPattern {
            pattern: pattern.to_string(),
            reasons: Vec::new(),
            inlined: Vec::new(),
            inlined_count: 0,
            instead: habit::instead_of(pattern.as_str(), names.clone(), main_package)
                .or_else(|| habit::at_line(pattern.as_str(), declared.clone())),
            names: nearest_names(pattern.as_str(), names.clone())
                .into_iter()
                .map(|name| readable_name(name).into_owned())
                .collect(),
        })
        .collect();
    if unmatched.is_empty() {
        Ok(())
    } else {
        Err(PlanError::Unmatched(unmatched))
    }
}
