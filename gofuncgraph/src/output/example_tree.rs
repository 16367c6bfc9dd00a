//! The tree that a rule failed for, as text.

use super::measure::{duration, number_of};
use super::table::plain;
use crate::analysis::{Profile, Rule, SlowCall, SlowTree};

/// Lines that are chosen for their length or because the rule speaks of them; their callers come
/// on top.
const CHOSEN_LINES: usize = 20;

/// Callees without callees, one after the other, of one function; or a single call.
struct Line {
    call: SlowCall,
    calls: u64,
    /// The rule speaks of its function.
    is_meant: bool,
}

/// The lines of `tree`: its longest calls, and those of functions that `rule` names, with their
/// callers.
pub(super) fn lines(profile: &Profile, rule: &Rule, tree: &SlowTree) -> Vec<String> {
    let merged = merge(profile, rule, &tree.calls);
    let mut by_importance: Vec<usize> = (0..merged.len()).collect();
    by_importance.sort_by_key(|&index| {
        let line = merged.get(index);
        std::cmp::Reverse(line.map(|line| (line.is_meant, line.call.duration)))
    });
    let mut is_shown = vec![false; merged.len()];
    for &index in by_importance.iter().take(CHOSEN_LINES) {
        show_with_callers(&merged, index, &mut is_shown);
    }

    let mut left_out = tree.calls_left_out;
    let mut lines = Vec::new();
    for (line, is_shown) in merged.iter().zip(&is_shown) {
        if !is_shown {
            left_out += line.calls;
            continue;
        }
        let time = line.call.duration.map_or_else(|| "-".to_owned(), duration);
        let mut text = format!(
            "{time:>8}  {}{}",
            "  ".repeat(line.call.level),
            plain(profile.function_name(line.call.function))
        );
        if line.calls > 1 {
            text.push_str(&format!(", {} times", line.calls));
        }
        if line.is_meant {
            text.push_str("  <--");
        }
        lines.push(text);
    }
    if left_out > 0 {
        lines.push(format!(
            "          ({} not shown)",
            number_of(left_out, "call")
        ));
    }
    lines
}

fn merge(profile: &Profile, rule: &Rule, calls: &[SlowCall]) -> Vec<Line> {
    let mut merged: Vec<Line> = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let has_callees = calls
            .get(index + 1)
            .is_some_and(|next| next.level > call.level);
        let is_meant = rule
            .functions
            .as_ref()
            .is_some_and(|chosen| chosen.matches(profile.function_name(call.function)));
        // Which of several calls was slow is what a rule about durations is about.
        let is_one_of_many = !(is_meant && rule.metric.is_of_durations());
        if let Some(last) = merged.last_mut()
            && !has_callees
            && is_one_of_many
            && last.call.level == call.level
            && last.call.function == call.function
        {
            last.calls += 1;
            last.call.duration = match (last.call.duration, call.duration) {
                (Some(before), Some(more)) => before.checked_add(more),
                _ => None,
            };
            continue;
        }
        merged.push(Line {
            call: *call,
            calls: 1,
            is_meant,
        });
    }
    merged
}

fn show_with_callers(merged: &[Line], index: usize, is_shown: &mut [bool]) {
    let mut level = usize::MAX;
    for (line, is_shown) in merged.iter().zip(is_shown.iter_mut()).take(index + 1).rev() {
        if line.call.level < level {
            level = line.call.level;
            *is_shown = true;
            if level == 0 {
                return;
            }
        }
    }
}
