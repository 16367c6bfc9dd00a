use std::fmt;
use std::io::Write;

/// Prints a line on standard error. Who closed that misses it: no reason to stop tracing, let
/// alone to panic, as `eprintln!` does.
pub fn notice(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
