//! Which row of a profile a function, a path or a root has.

use std::collections::HashMap;

use super::durations::{EXACT_DURATIONS, EXACT_PATH_DURATIONS};
use super::profile::{CallStatistics, FunctionProfile, PathProfile, Profile, RootProfile};
use crate::plan::FunctionId;

/// Call paths that are told apart.
pub const MAX_PATHS: usize = 8192;

/// Calls of a path that is told apart from others.
pub const MAX_PATH_LEVELS: usize = 200;

/// Trees of which is kept what each has of a function.
const TREE_SAMPLES: usize = 512;

/// The same for a path.
const PATH_TREE_SAMPLES: usize = 128;

/// Gives the full names of the functions of the trace that is being read.
pub type NameOf<'a> = dyn FnMut(FunctionId) -> Option<String> + 'a;

/// Finds the rows of one profile, and adds those that it does not have yet.
#[derive(Debug, Default)]
pub(super) struct ProfileRows {
    functions_by_name: HashMap<String, usize>,
    /// Of the recording that is being read.
    functions_by_id: HashMap<FunctionId, usize>,
    paths_by_step: HashMap<(Option<usize>, usize), usize>,
    roots_by_function: HashMap<usize, usize>,
}

impl ProfileRows {
    /// Functions have other numbers from now on.
    pub fn end_recording(&mut self) {
        self.functions_by_id.clear();
    }

    pub fn function(
        &mut self,
        profile: &mut Profile,
        id: FunctionId,
        name_of: &mut NameOf<'_>,
    ) -> usize {
        if let Some(&function) = self.functions_by_id.get(&id) {
            return function;
        }
        let name = name_of(id).unwrap_or_else(|| "?".to_owned());
        let function = match self.functions_by_name.get(&name) {
            Some(&function) => function,
            None => {
                let function = profile.functions.len();
                profile.functions.push(FunctionProfile {
                    name: name.clone(),
                    calls: CallStatistics::new(EXACT_DURATIONS, TREE_SAMPLES),
                });
                self.functions_by_name.insert(name, function);
                function
            }
        };
        self.functions_by_id.insert(id, function);
        function
    }

    /// The path that goes on from `parent` into `function`; `None` if it is not told apart from
    /// others.
    pub fn path(
        &mut self,
        profile: &mut Profile,
        parent: Option<usize>,
        function: usize,
    ) -> Option<usize> {
        if let Some(&path) = self.paths_by_step.get(&(parent, function)) {
            return Some(path);
        }
        let level = match parent {
            None => 0,
            Some(parent) => profile.paths.get(parent)?.level + 1,
        };
        if profile.paths.len() >= MAX_PATHS || level >= MAX_PATH_LEVELS {
            return None;
        }
        let path = profile.paths.len();
        profile.paths.push(PathProfile {
            parent,
            function,
            level,
            calls: CallStatistics::new(EXACT_PATH_DURATIONS, PATH_TREE_SAMPLES),
        });
        self.paths_by_step.insert((parent, function), path);
        Some(path)
    }

    /// Adds a tree whose root is `function`; its duration is known if it is finished.
    pub fn count_tree(&mut self, profile: &mut Profile, function: usize, finished_ns: Option<u64>) {
        let roots = &mut profile.roots;
        let position = *self.roots_by_function.entry(function).or_insert_with(|| {
            roots.push(RootProfile {
                function,
                ..RootProfile::default()
            });
            roots.len() - 1
        });
        let Some(root) = roots.get_mut(position) else {
            return;
        };
        root.trees += 1;
        if let Some(duration_ns) = finished_ns {
            root.finished += 1;
            root.total_ns = root.total_ns.saturating_add(duration_ns);
        }
    }
}
