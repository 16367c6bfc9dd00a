use std::fmt::Write;

use crate::kernel::KernelCounters;
use crate::recording::LossCounters;
use crate::trace::Statistics;

/// Everything that was counted in a run.
pub(super) struct Counted<'a> {
    pub(super) trace: &'a Statistics,
    pub(super) kernel: &'a KernelCounters,
    /// Records of kinds that this version does not know.
    pub(super) unknown_records: u64,
    /// Records that made no sense.
    pub(super) malformed_records: u64,
    /// Of the calls, those that filters left out.
    pub(super) calls_left_out: u64,
}

impl<'a> Counted<'a> {
    pub(super) fn new(
        trace: &'a Statistics,
        losses: &'a LossCounters,
        calls_left_out: u64,
    ) -> Self {
        Self {
            trace,
            calls_left_out,
            kernel: &losses.kernel,
            unknown_records: losses.unknown_records,
            malformed_records: losses.malformed_records,
        }
    }
}

/// The line that ends standard error, with what was counted beyond the first four numbers only
/// where there is any, and on lines of their own what can be done about it.
pub(super) fn text(counted: &Counted<'_>) -> String {
    let Counted { trace, kernel, .. } = counted;
    let mut text = format!(
        "summary: trees {}, calls {}, lost entries {}, lost exits {}",
        trace.trees, trace.calls, kernel.entries_lost, kernel.returns_lost
    );
    // A refused tree's returns look like those of a call that began before tracing.
    let returns_without_tree = if kernel.trees_refused == 0 {
        "began before tracing"
    } else {
        "began before tracing or refused"
    };
    let others = [
        ("calls left out by filters", counted.calls_left_out),
        (returns_without_tree, kernel.returns_without_tree),
        ("already open", trace.calls_already_open),
        ("unwound", trace.ends.unwound),
        ("approximate", trace.ends.approximate),
        ("exit lost", trace.ends.exit_lost),
        (
            "still open",
            trace
                .ends
                .still_open
                .saturating_sub(trace.calls_open_at_cuts),
        ),
        ("open at a cut", trace.calls_open_at_cuts),
        ("process exited", trace.ends.process_exited),
        ("entry lost", trace.calls_without_entry),
        ("lost closes", kernel.closes_lost),
        ("lost observations", kernel.observations_lost),
        ("lost process ends", kernel.process_records_lost),
        ("trees refused", kernel.trees_refused),
        ("trees cut", trace.trees_cut),
        ("calls dropped at a cut", trace.calls_dropped),
        ("trees too short", trace.trees_too_short),
        ("trees of unknown duration", trace.trees_of_unknown_duration),
        ("trees open at the count", trace.trees_after_count),
        ("events after process exit", trace.events_after_exit),
        ("out of order", trace.events_out_of_order),
        ("on too many goroutines", trace.events_without_room),
        ("calls too deep", trace.calls_without_room),
        ("off goroutine stacks", kernel.off_goroutine_stack),
        ("unreadable", kernel.unreadable),
        ("failed goroutine checks", kernel.goroutine_check_failed),
        ("unknown records", counted.unknown_records),
        ("malformed records", counted.malformed_records),
    ];
    for (name, count) in others {
        if count != 0 {
            // Writing to a String does not fail.
            let _ = write!(text, ", {name} {count}");
        }
    }
    if kernel.records_lost() != 0 {
        text.push_str(
            "\nnote: the ring buffer was full at times; choose fewer functions, or raise --buffer",
        );
    }
    if kernel.trees_refused != 0 {
        text.push_str(
            "\nnote: too many goroutines had an open tree at once; choose a target that is open on fewer",
        );
    }
    if kernel.off_goroutine_stack != 0 && trace.trees == 0 {
        text.push_str(
            "\nnote: functions were called, but on the scheduler's own stack, where no goroutine can be told: choose others",
        );
    }
    if kernel.goroutine_check_failed != 0 {
        text.push_str(
            "\nnote: the runtime's structures are not as this version expects them, and trees are missing; please report the Go version",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(trace: &Statistics, kernel: &KernelCounters) -> String {
        text(&Counted {
            trace,
            kernel,
            unknown_records: 0,
            malformed_records: 0,
            calls_left_out: 0,
        })
    }

    #[test]
    fn four_numbers_are_always_there() {
        assert_eq!(
            summary(&Statistics::default(), &KernelCounters::default()),
            "summary: trees 0, calls 0, lost entries 0, lost exits 0"
        );
    }

    #[test]
    fn other_numbers_are_named_when_there_are_any() {
        let trace = Statistics {
            trees: 2,
            calls: 7,
            trees_cut: 1,
            ..Statistics::default()
        };
        let kernel = KernelCounters {
            entries_lost: 3,
            returns_without_tree: 5,
            ..KernelCounters::default()
        };
        assert_eq!(
            summary(&trace, &kernel),
            "summary: trees 2, calls 7, lost entries 3, lost exits 0, began before tracing 5, trees cut 1\n\
             note: the ring buffer was full at times; choose fewer functions, or raise --buffer"
        );
    }
}
