//! One goroutine's tree while its lines come.

use std::collections::HashMap;

use super::profile::TreeShare;
use super::slow_tree::SlowTree;
use super::watch::{FunctionWatches, Watches};
use crate::trace::Beginning;

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
    /// Lost if its part of the tree was dropped.
    pub beginning: Beginning,
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
#[derive(Clone, Debug)]
pub(super) struct OpenTree {
    pub calls: Vec<OpenCall>,
    /// Empty once there was no room for it, as is `paths`.
    pub functions: Vec<TreeFunction>,
    function_slots: HashMap<usize, usize>,
    pub paths: Vec<TreePath>,
    path_slots: HashMap<usize, usize>,
    /// There was room for all of `functions` and `paths`.
    has_records: bool,
    /// Open calls of each function, once there was not.
    open_calls: HashMap<usize, u32>,
    pub groups: Vec<OpenGroup>,
    pub root: Option<Root>,
    /// Between a cut and the end of its part, ends are no real ones.
    pub is_being_cut: bool,
    pub kept: Option<Box<SlowTree>>,
}

impl Default for OpenTree {
    fn default() -> Self {
        Self {
            calls: Vec::new(),
            functions: Vec::new(),
            function_slots: HashMap::new(),
            paths: Vec::new(),
            path_slots: HashMap::new(),
            has_records: true,
            open_calls: HashMap::new(),
            groups: Vec::new(),
            root: None,
            is_being_cut: false,
            kept: None,
        }
    }
}

impl OpenTree {
    /// Counts a call of `function`, for which it may take a place off `room`. Gives its place
    /// among `functions`, where there is nothing if there is no room.
    pub fn function_begins(&mut self, function: usize, room: &mut usize) -> usize {
        let slot = self.function_slots.get(&function).copied();
        let slot = slot.or_else(|| {
            self.take_room(room).then(|| {
                let slot = self.functions.len();
                self.function_slots.insert(function, slot);
                self.functions.push(TreeFunction {
                    function,
                    share: TreeShare::default(),
                    open: 0,
                    longest_ns: None,
                });
                slot
            })
        });
        match slot.and_then(|slot| self.functions.get_mut(slot)) {
            Some(record) => {
                record.share.calls += 1;
                record.open += 1;
            }
            None => *self.open_calls.entry(function).or_default() += 1,
        }
        slot.unwrap_or_default()
    }

    /// The same of a call at `path`.
    pub fn path_begins(&mut self, path: usize, room: &mut usize) -> usize {
        let slot = self.path_slots.get(&path).copied();
        let slot = slot.or_else(|| {
            self.take_room(room).then(|| {
                let slot = self.paths.len();
                self.path_slots.insert(path, slot);
                self.paths.push(TreePath {
                    path,
                    share: TreeShare::default(),
                });
                slot
            })
        });
        if let Some(record) = slot.and_then(|slot| self.paths.get_mut(slot)) {
            record.share.calls += 1;
        }
        slot.unwrap_or_default()
    }

    /// A call of `function`, whose place among `functions` is `slot`, ends. Its share of the
    /// tree is `share`, less the total time if it is inside another call of the function.
    pub fn function_ends(
        &mut self,
        function: usize,
        slot: usize,
        share: &mut TreeShare,
        duration_ns: Option<u64>,
    ) {
        let Some(record) = self.functions.get_mut(slot) else {
            if let Some(open) = self.open_calls.get_mut(&function) {
                *open -= 1;
                if *open > 0 {
                    share.total_ns = 0;
                } else {
                    self.open_calls.remove(&function);
                }
            }
            return;
        };
        record.open = record.open.saturating_sub(1);
        record.longest_ns = record.longest_ns.max(duration_ns);
        if record.open > 0 {
            share.total_ns = 0;
        }
        record.share.add(*share);
    }

    /// Whether what it has of every function and path is known.
    pub fn has_records(&self) -> bool {
        self.has_records
    }

    /// Gives back what it took off `room`, once it is not needed any more.
    pub fn give_back(&self, room: &mut usize) {
        *room += self.functions.len() + self.paths.len();
    }

    /// Takes a place off `room`, or gives up all records.
    fn take_room(&mut self, room: &mut usize) -> bool {
        if !self.has_records {
            return false;
        }
        if let Some(left) = room.checked_sub(1) {
            *room = left;
            return true;
        }
        self.give_back(room);
        self.has_records = false;
        self.function_slots = HashMap::new();
        self.path_slots = HashMap::new();
        self.paths = Vec::new();
        self.open_calls = std::mem::take(&mut self.functions)
            .into_iter()
            .filter(|record| record.open > 0)
            .map(|record| (record.function, record.open))
            .collect();
        false
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
