//! Questions that have to be known before a trace is read.

use std::rc::Rc;

use super::durations::{Reservoir, SamplePool};
use super::profile::TreeShare;
use super::slow_tree::SlowTree;
use crate::plan::Pattern;

/// Calls (or trees) of which a watch keeps what happened in each.
const WATCH_SAMPLES: usize = 4096;

/// Chooses functions by a glob over their full names. A pattern whose only wildcards are the
/// stars of pointer receivers, as in `main.(*T).M`, is that method's name and means nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionPattern {
    pattern: Pattern,
}

impl FunctionPattern {
    /// The pattern that `text` spells; every text is one.
    pub fn new(text: &str) -> Self {
        let pattern = Pattern::new(text);
        let pattern = if is_method_name(text) {
            pattern.into_name()
        } else {
            pattern
        };
        Self { pattern }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.pattern.as_str()
    }

    /// Whether it chooses the function of that name.
    pub fn matches(&self, name: &str) -> bool {
        self.pattern.as_str() == name || self.pattern.matches(name)
    }
}

fn is_method_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut wildcards = text
        .bytes()
        .enumerate()
        .filter(|(_, byte)| matches!(byte, b'*' | b'?'));
    wildcards.all(|(position, byte)| {
        let before = position.checked_sub(1).and_then(|before| bytes.get(before));
        let after = bytes.get(position + 1);
        byte == b'*'
            && before == Some(&b'(')
            && after.is_some_and(|&byte| byte == b'_' || byte.is_ascii_alphabetic() || byte >= 0x80)
    })
}

/// Which tree a watch keeps as its example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Example {
    /// The one with the longest call of a chosen function.
    SlowestCall,
    /// The one with the most calls of chosen functions.
    MostCalls,
    /// The one in which chosen functions take the most time by themselves.
    MostSelf,
    /// The longest.
    SlowestTree,
}

/// What to look out for while a trace is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The functions that are counted; `None`: all.
    pub counted: Option<FunctionPattern>,
    /// Inside of which calls they are counted; `None`: in each tree.
    pub per: Option<FunctionPattern>,
    /// The tree to keep.
    pub example: Example,
}

/// What a [`Watch`] found.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Calls (or trees) that were counted in: those with a measured duration.
    pub groups: u64,
    /// What happened inside of all of them together.
    pub sum: TreeShare,
    /// Time of all of them together, in nanoseconds.
    pub groups_ns: u64,
    /// What happened inside also of the calls (or trees) whose duration is not known.
    pub all: TreeShare,
    /// The most calls inside of one.
    pub most_calls: u64,
    /// What happened in each, or in a uniform sample of them.
    pub(super) sample: Reservoir<TreeShare>,
    /// The tree to show as an example, if one has a chosen function.
    pub example: Option<Rc<SlowTree>>,
    /// What it was chosen by.
    pub(super) example_score: u64,
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            groups: 0,
            sum: TreeShare::default(),
            groups_ns: 0,
            all: TreeShare::default(),
            most_calls: 0,
            sample: Reservoir::new(WATCH_SAMPLES),
            example: None,
            example_score: 0,
        }
    }
}

impl Watched {
    /// What happened in each call (or tree), or in a uniform sample of them.
    pub fn sample(&self) -> &[TreeShare] {
        self.sample.values()
    }

    pub(super) fn group_ended(
        &mut self,
        share: TreeShare,
        duration_ns: Option<u64>,
        pool: &mut SamplePool,
    ) {
        self.all.add(share);
        self.most_calls = self.most_calls.max(share.calls);
        if let Some(duration_ns) = duration_ns {
            self.groups += 1;
            self.groups_ns = self.groups_ns.saturating_add(duration_ns);
            self.sum.add(share);
            self.sample.push(share, pool);
        }
    }
}

/// The watches and what they have found.
#[derive(Clone, Debug, Default)]
pub(super) struct Watches {
    pub watches: Vec<Watch>,
    pub found: Vec<Watched>,
}

/// What watches have to do with one function.
#[derive(Clone, Debug, Default)]
pub(super) struct FunctionWatches {
    /// Watches that count it.
    pub counted_by: Vec<u32>,
    /// Watches whose groups it begins.
    pub begins: Vec<u32>,
}

impl Watches {
    pub fn new(watches: Vec<Watch>) -> Self {
        Self {
            found: vec![Watched::default(); watches.len()],
            watches,
        }
    }

    pub fn of_function(&self, name: &str) -> FunctionWatches {
        let mut of_function = FunctionWatches::default();
        for (number, watch) in (0_u32..).zip(&self.watches) {
            if watch.counts(name) {
                of_function.counted_by.push(number);
            }
            if watch.per.as_ref().is_some_and(|per| per.matches(name)) {
                of_function.begins.push(number);
            }
        }
        of_function
    }
}

impl Watch {
    fn counts(&self, name: &str) -> bool {
        self.counted
            .as_ref()
            .is_none_or(|counted| counted.matches(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_name_means_itself() {
        let name = FunctionPattern::new("main.(*T).M");
        assert!(name.matches("main.(*T).M"));
        assert!(!name.matches("main.(*OtherT).M"));
        assert!(FunctionPattern::new("main.(*T).*").matches("main.(*T).M"));
        assert!(FunctionPattern::new("main.(*).M").matches("main.(*T).M"));
        assert!(FunctionPattern::new("net/http.*").matches("net/http.(*conn).serve"));
    }
}
