use log::{LevelFilter, Log, Metadata, Record};

use super::notice::notice;

/// Prints the log of the kernel programs, and of the libraries, to standard error.
struct StandardError;

impl Log for StandardError {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let level = record.level().as_str().to_lowercase();
        notice(format_args!("{level}: {}", record.args()));
    }

    fn flush(&self) {}
}

/// For `--debug`.
pub(super) fn install() {
    // A logger that is there already does as well.
    if log::set_logger(&StandardError).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}
