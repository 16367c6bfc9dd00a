use std::fmt;
use std::io::Write;

use crate::cli::OutputSettings;
use crate::plan::Pattern;

/// Prints a line on standard error. Who closed that misses it: no reason to stop tracing, let
/// alone to panic, as `eprintln!` does.
pub fn notice(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Says what `--top` could not keep.
pub(super) fn warn_of_trees_without_room(trees: u64) {
    if trees != 0 {
        notice(format_args!(
            "warning: {trees} of the slowest trees were too large to be kept until the end; \
             use --slower-than instead of --top, or show fewer calls"
        ));
    }
}

/// Says which patterns of `--only` and `--hide` match none of the traced functions, whose names
/// are given: they are mistyped, or meant for another program.
pub(super) fn warn_of_unmatched<'a>(
    settings: &OutputSettings,
    names: impl Iterator<Item = &'a str>,
) {
    let options = [("--only", &settings.only), ("--hide", &settings.hide)];
    let mut unmatched: Vec<(&str, &String, Pattern)> = options
        .into_iter()
        .flat_map(|(option, globs)| globs.iter().map(move |glob| (option, glob)))
        .map(|(option, glob)| (option, glob, Pattern::new(glob)))
        .collect();
    for name in names {
        if unmatched.is_empty() {
            break;
        }
        unmatched.retain(|(_, _, pattern)| !pattern.matches(name));
    }
    for (option, glob, _) in unmatched {
        notice(format_args!(
            "warning: {option} '{glob}' matches no function that is traced; a pattern matches the \
             whole name, for instance '*{glob}'"
        ));
    }
}
