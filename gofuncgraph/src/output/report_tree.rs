//! The trees of a profile, merged into one.

use super::measure::{number_of, share, time};
use super::summary::{headline, sort_value, write_notes};
use super::table::{Align, Table, plain};
use crate::analysis::{Accuracy, PathProfile, Profile};
use crate::cli::SortKey;

/// Appends one tree in which all calls with the same path are one line. Averages and shares are
/// those of the finished trees with the path's root.
pub fn write_report_tree(profile: &Profile, sort: SortKey, out: &mut Vec<u8>) {
    out.extend_from_slice(headline(profile).as_bytes());
    out.push(b'\n');
    if profile.paths.is_empty() {
        return;
    }
    out.push(b'\n');
    let mut table = Table::new(&[
        ("calls", Align::Right),
        ("per tree", Align::Right),
        ("total", Align::Right),
        ("%root", Align::Right),
        ("self", Align::Right),
        ("p50", Align::Right),
        ("p99", Align::Right),
        ("function", Align::Left),
    ]);
    for (index, path) in in_order(profile, sort) {
        let calls = &path.calls;
        let root = profile.root_of_path(index);
        let quantiles = calls.durations.quantiles();
        let quantile =
            |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| time(value as f64));
        let inside = calls.in_finished_trees;
        let of_root = |part: u64, all: u64| (all > 0).then(|| part as f64 / all as f64);
        let optional = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.push(vec![
            calls.all.calls.to_string(),
            optional(of_root(inside.calls, root.finished).map(|calls| format!("{calls:.2}"))),
            time(calls.all.total_ns as f64),
            optional(of_root(inside.total_ns, root.total_ns).map(share)),
            time(calls.all.self_ns as f64),
            quantile(quantiles.map(|it| it.p50_ns)),
            quantile(quantiles.map(|it| it.p99_ns)),
            format!(
                "{}{}",
                "  ".repeat(path.level),
                plain(profile.function_name(path.function))
            ),
        ]);
    }
    table.write(out);
    let paths = profile.paths.iter();
    let accuracies: Vec<Accuracy> = paths.map(|it| it.calls.durations.accuracy()).collect();
    write_notes(profile, (&accuracies, "path"), out);
    if profile.losses.calls_at_other_paths > 0 {
        let line = format!(
            "note: {} at further paths, which are not told apart\n",
            number_of(profile.losses.calls_at_other_paths, "call")
        );
        out.extend_from_slice(line.as_bytes());
    }
}

/// Each path, with its index, before those of its callees, siblings in the order that `sort` names.
fn in_order(profile: &Profile, sort: SortKey) -> Vec<(usize, &PathProfile)> {
    let name = |path: usize| {
        let path = profile.paths.get(path);
        path.map_or("", |path| profile.function_name(path.function))
    };
    let mut roots: Vec<usize> = Vec::new();
    let mut callees: Vec<Vec<usize>> = vec![Vec::new(); profile.paths.len()];
    for (index, path) in profile.paths.iter().enumerate() {
        let siblings = path.parent.and_then(|parent| callees.get_mut(parent));
        siblings.unwrap_or(&mut roots).push(index);
    }
    // The last one is taken first.
    let last_first = |siblings: &mut Vec<usize>| {
        siblings.sort_by_cached_key(|&path| {
            let calls = profile.paths.get(path).map(|path| &path.calls);
            let value = calls.map_or(0, |calls| sort_value(calls, sort));
            (value, std::cmp::Reverse(name(path).to_owned()))
        });
    };
    last_first(&mut roots);
    let mut ordered = Vec::with_capacity(profile.paths.len());
    let mut waiting = roots;
    while let Some(index) = waiting.pop() {
        ordered.extend(profile.paths.get(index).map(|path| (index, path)));
        if let Some(siblings) = callees.get_mut(index) {
            last_first(siblings);
            waiting.append(siblings);
        }
    }
    ordered
}
