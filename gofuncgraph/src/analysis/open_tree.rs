//! One goroutine's tree while its lines come.

use std::collections::HashMap;

use super::profile::TreeShare;
use super::slow_tree::SlowTree;
use super::watch::{FunctionWatches, Watches};

/// An open call.
#[derive(Clone, Debug)]
pub(super) struct OpenCall {
    /// Index among the profile's functions.
    pub function: usize,
    /// Index among the tree's functions.
    pub function_slot: usize,
    /// Indices among the profile's paths and the tree's; `None` if its path is not told apart.
    pub path: Option<(usize, usize)>,
    /// Time of what it called, as far as it is known.
    pub callees_ns: u64,
    /// Its entry was seen, and counted.
    pub has_entry: bool,
    /// It is part of the kept tree.
    pub is_kept: bool,
}

/// What a tree has of one function.
#[derive(Clone, Debug)]
pub(super) struct TreeFunction {
    /// Index among the profile's functions.
    pub function: usize,
    pub share: TreeShare,
    /// Its open calls.
    pub open: u32,
    /// Its longest call.
    pub longest_ns: Option<u64>,
}

/// What a tree has of one path.
#[derive(Clone, Debug)]
pub(super) struct TreePath {
    /// Index among the profile's paths.
    pub path: usize,
    pub share: TreeShare,
}

/// A call (or tree) inside of which a watch counts.
#[derive(Clone, Debug)]
pub(super) struct OpenGroup {
    /// Number of the watch.
    pub watch: u32,
    /// Number of calls around the call; `None` for the tree.
    pub level: Option<usize>,
    pub share: TreeShare,
    /// Open calls of functions that are counted.
    pub open: u32,
}

/// What is known of a tree's roots. There are several if the real one's entry was lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root {
    /// Of the last one; index among the profile's functions.
    pub function: usize,
    pub count: u32,
    /// Of the last one.
    pub duration_ns: Option<u64>,
}

/// One goroutine's tree while its lines come.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenTree {
    pub calls: Vec<OpenCall>,
    pub functions: Vec<TreeFunction>,
    function_slots: HashMap<usize, usize>,
    pub paths: Vec<TreePath>,
    path_slots: HashMap<usize, usize>,
    pub groups: Vec<OpenGroup>,
    pub root: Option<Root>,
    /// Between a cut and the end of its part, ends are no real ones.
    pub is_being_cut: bool,
    pub kept: Option<Box<SlowTree>>,
}

impl OpenTree {
    /// The tree's record of a function.
    pub fn function_slot(&mut self, function: usize) -> usize {
        *self.function_slots.entry(function).or_insert_with(|| {
            self.functions.push(TreeFunction {
                function,
                share: TreeShare::default(),
                open: 0,
                longest_ns: None,
            });
            self.functions.len() - 1
        })
    }

    /// The tree's record of a path.
    pub fn path_slot(&mut self, path: usize) -> usize {
        *self.path_slots.entry(path).or_insert_with(|| {
            self.paths.push(TreePath {
                path,
                share: TreeShare::default(),
            });
            self.paths.len() - 1
        })
    }

    /// The duration of the root, if there is one root and its duration is known.
    pub fn finished_root_ns(&self) -> Option<u64> {
        let root = self.root.filter(|root| root.count == 1)?;
        root.duration_ns
    }
}

/// A call begins: groups begin with it, and count it.
pub(super) fn watch_entry(
    tree: &mut OpenTree,
    level: usize,
    of_function: Option<&FunctionWatches>,
    watches: &Watches,
) {
    if tree.root.is_some_and(|root| root.count == 1) && level == 0 {
        for (number, watch) in (0_u32..).zip(&watches.watches) {
            if watch.per.is_none() {
                tree.groups.push(OpenGroup {
                    watch: number,
                    level: None,
                    share: TreeShare::default(),
                    open: 0,
                });
            }
        }
    }
    let Some(of_function) = of_function else {
        return;
    };
    for &watch in &of_function.begins {
        if !tree.groups.iter().any(|group| group.watch == watch) {
            tree.groups.push(OpenGroup {
                watch,
                level: Some(level),
                share: TreeShare::default(),
                open: 0,
            });
        }
    }
    for &watch in &of_function.counted_by {
        for group in tree.groups.iter_mut().filter(|group| group.watch == watch) {
            group.share.calls += 1;
            group.open += 1;
        }
    }
}

/// The call at `level` ends, and the groups that began with it, which are given.
pub(super) fn watch_end(
    tree: &mut OpenTree,
    level: usize,
    share: TreeShare,
    of_function: Option<&FunctionWatches>,
) -> Vec<OpenGroup> {
    let Some(of_function) = of_function else {
        return Vec::new();
    };
    for &watch in &of_function.counted_by {
        for group in tree.groups.iter_mut().filter(|group| group.watch == watch) {
            group.open = group.open.saturating_sub(1);
            group.share.add(TreeShare {
                total_ns: if group.open == 0 { share.total_ns } else { 0 },
                ..share
            });
        }
    }
    tree.groups
        .extract_if(.., |group| group.level == Some(level))
        .collect()
}
