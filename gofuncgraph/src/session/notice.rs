use std::fmt;
use std::io::Write;

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
