//! Every function of a program and what tracing it would take, whatever a selection says.

use std::borrow::Cow;

use super::build::place_one;
use super::error::{PlanError, UnmatchedPattern};
use super::habit;
use super::names::{FullNames, Names};
use super::nearest::nearest_names;
use super::selection::skip_always;
use super::{Pattern, Site, SkipReason, wrapper};
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
    /// Full Go name, with the types it was made for where they are known.
    pub name: &'a str,
    /// The name that pclntab has.
    pub linker_name: &'a str,
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
    WithCode {
        function: Function<'a>,
        name: Cow<'a, str>,
        size: u64,
    },
    Inlined(&'a InlinedFunction<'a>),
}

impl<'a> Entry<'a> {
    fn name(&self) -> &str {
        match self {
            Self::WithCode { name, .. } => name,
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
        let full_names = FullNames::of(binary, &functions);
        let names = functions.iter().map(|it| full_names.names_of(it));
        let names = names.chain(without_code.clone().map(|it| Names::plain(it.name)));
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
        let wanted = |names: Names<'_>| {
            patterns.is_empty() || patterns.iter().any(|pattern| names.match_pattern(pattern))
        };
        let mut entries: Vec<Entry<'a>> = functions
            .iter()
            .filter(|function| wanted(full_names.names_of(function)))
            .map(|function| Entry::WithCode {
                function: *function,
                name: binary.instantiated_name(function),
                size: binary.code_size(function),
            })
            .chain(
                without_code
                    .filter(|function| wanted(Names::plain(function.name)))
                    .map(Entry::Inlined),
            )
            .collect();
        match order {
            ListOrder::Name => {
                entries.sort_by_cached_key(|entry| readable_name(entry.name()).into_owned());
            }
            // They are, by construction.
            ListOrder::Address => {}
            ListOrder::Size => {
                entries.sort_by(|one, other| {
                    let sizes = other.size().cmp(&one.size());
                    sizes.then_with(|| one.name().cmp(other.name()))
                });
            }
        }
        Ok(Self {
            binary,
            inlined,
            entries,
        })
    }

    /// Each function in turn.
    pub fn functions(&self) -> impl Iterator<Item = ListedFunction<'_>> {
        self.entries.iter().map(|entry| match entry {
            Entry::WithCode {
                function,
                name,
                size,
            } => ListedFunction {
                name,
                linker_name: function.name,
                declaration: self.binary.declaration(function.index),
                code: Some((function.start, *size)),
                sites: self.sites(function).map_err(NotTraced::Skipped),
                inlined: self.inlined.find(function.name),
            },
            Entry::Inlined(function) => ListedFunction {
                name: function.name,
                linker_name: function.name,
                declaration: function.declaration,
                code: None,
                sites: Err(NotTraced::InlinedEverywhere),
                inlined: Some(function),
            },
        })
    }

    fn sites(&self, function: &Function<'_>) -> Result<Vec<Site>, SkipReason> {
        if let Some(reason) = skip_always(function) {
            return Err(reason);
        }
        let sites = place_one(self.binary, function)?;
        if wrapper::forwards(self.binary, function, self.inlined) {
            return Err(SkipReason::Wrapper);
        }
        Ok(sites)
    }

    /// The name of the function `index`, which [`InlinedFunction::hosts`] has.
    pub fn host_name(&self, index: usize) -> Option<Cow<'a, str>> {
        let function = self.binary.function(index).ok()?;
        Some(self.binary.instantiated_name(&function))
    }
}

/// A pattern that is a function's name means that function alone.
fn named_exactly<'name>(
    patterns: &[Pattern],
    names: impl Iterator<Item = Names<'name>> + Clone,
) -> Vec<Pattern> {
    let exact = |pattern: &Pattern| names.clone().any(|it| it.are_spelled_by(pattern));
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
    names: impl Iterator<Item = Names<'name>> + Clone,
    declared: impl Iterator<Item = (SourceLine<'name>, &'name str)> + Clone,
    main_package: Option<&str>,
) -> Result<(), PlanError> {
    let unmatched: Vec<_> = patterns
        .iter()
        .filter(|pattern| !names.clone().any(|it| it.match_pattern(pattern)))
        .map(|pattern| UnmatchedPattern {
            pattern: pattern.to_string(),
            reasons: Vec::new(),
            inlined: Vec::new(),
            inlined_count: 0,
            instead: habit::instead_of(
                pattern.as_str(),
                names.clone().map(Names::full),
                main_package,
            )
            .or_else(|| habit::at_line(pattern.as_str(), declared.clone())),
            names: nearest_names(pattern.as_str(), names.clone().map(Names::full))
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
