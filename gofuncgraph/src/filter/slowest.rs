use std::collections::HashMap;
use std::num::NonZero;
use std::time::Duration;

use super::hidden::HiddenCalls;
use crate::events::{Goroutine, MonotonicTime};
use crate::trace::{LineBody, Note, PartEnd, TraceLine, TraceSink};

/// Lines of all trees that are kept, and of all of which more is to come.
const MAX_LINES: usize = 1 << 19;

/// A line of a tree that is kept.
#[derive(Debug)]
struct KeptLine {
    time: MonotonicTime,
    level: u32,
    body: LineBody,
}

// Up to twice MAX_LINES of them are kept.
const _: () = assert!(size_of::<KeptLine>() <= 64);

#[derive(Debug)]
struct Tree {
    goroutine: Goroutine,
    begin: MonotonicTime,
    end: MonotonicTime,
    lines: Vec<KeptLine>,
    /// Positions in `lines` before which parts end.
    cuts: Vec<usize>,
    /// Calls around the line that comes next for which there was no room.
    skipped_levels: usize,
    skipped_begin: MonotonicTime,
    skipped_inside: HiddenCalls,
    skipped: HiddenCalls,
}

impl Tree {
    fn duration(&self) -> Duration {
        self.end - self.begin
    }

    fn push(&mut self, line: KeptLine, lines: &mut usize) {
        if let Some((time, note)) = self.skipped.take(None) {
            *lines += 1;
            self.lines.push(KeptLine {
                time,
                // Before the end of the call that they were in.
                level: line.level + u32::from(matches!(line.body, LineBody::End { .. })),
                body: LineBody::Note(note),
            });
        }
        *lines += 1;
        self.lines.push(line);
    }
}

/// Keeps the slowest trees until all are known.
#[derive(Debug)]
pub(super) struct SlowestTrees {
    count: NonZero<usize>,
    /// In no order.
    kept: Vec<Tree>,
    /// Trees of which more is to come.
    unfinished: HashMap<Goroutine, Tree>,
    /// In the trees that are kept.
    kept_lines: usize,
    /// In the others.
    unfinished_lines: usize,
    max_lines: usize,
    trees_without_room: u64,
}

impl SlowestTrees {
    pub fn new(count: NonZero<usize>) -> Self {
        Self {
            count,
            kept: Vec::new(),
            unfinished: HashMap::new(),
            kept_lines: 0,
            unfinished_lines: 0,
            max_lines: MAX_LINES,
            trees_without_room: 0,
        }
    }

    /// Trees that would be among the slowest, but for lack of room.
    pub fn trees_without_room(&self) -> u64 {
        self.trees_without_room
    }

    /// Learns how long a tree is from a line of it, whether or not that is shown.
    pub fn happened(&mut self, line: &TraceLine) {
        let tree = self
            .unfinished
            .entry(line.goroutine)
            .or_insert_with(|| Tree {
                goroutine: line.goroutine,
                begin: line.time,
                end: line.time,
                lines: Vec::new(),
                cuts: Vec::new(),
                skipped_levels: 0,
                skipped_begin: line.time,
                skipped_inside: HiddenCalls::default(),
                skipped: HiddenCalls::default(),
            });
        tree.end = tree.end.max(line.time);
        // The beginning of a tree may have been dropped.
        if let LineBody::Note(Note::EndedAfterCut {
            duration: Some(duration),
            ..
        }) = line.body
        {
            let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            let time_ns = line.time.time_ns.saturating_sub(duration_ns);
            tree.begin = tree.begin.min(MonotonicTime { time_ns });
        }
    }

    /// No more of the tree will come.
    pub fn tree_over(&mut self, goroutine: Goroutine) {
        let Some(tree) = self.unfinished.remove(&goroutine) else {
            return;
        };
        self.unfinished_lines = self.unfinished_lines.saturating_sub(tree.lines.len());
        if tree.lines.is_empty() {
            return;
        }
        self.kept_lines += tree.lines.len();
        self.kept.push(tree);
        if self.kept.len() > self.count.get() {
            self.drop_fastest();
        }
        while self.kept_lines > self.max_lines && self.kept.len() > 1 {
            self.drop_fastest();
            self.trees_without_room += 1;
        }
    }

    /// Hands over the trees, the slowest first.
    pub fn hand_over(&mut self, next: &mut dyn TraceSink) {
        let mut trees = std::mem::take(&mut self.kept);
        trees.sort_by_key(|tree| (std::cmp::Reverse(tree.duration()), tree.begin));
        for tree in trees {
            let goroutine = tree.goroutine;
            let mut cuts = tree.cuts.iter().peekable();
            for (index, kept) in tree.lines.into_iter().enumerate() {
                while cuts.next_if_eq(&&index).is_some() {
                    next.part_end(goroutine, PartEnd::Cut);
                }
                next.line(&TraceLine {
                    goroutine,
                    time: kept.time,
                    level: kept.level,
                    body: kept.body,
                });
            }
            next.part_end(goroutine, PartEnd::Tree);
        }
        self.kept_lines = 0;
    }

    /// Of equally fast ones the later is dropped.
    fn drop_fastest(&mut self) {
        let fastest = self
            .kept
            .iter()
            .enumerate()
            .min_by_key(|(_, tree)| (tree.duration(), std::cmp::Reverse(tree.begin)));
        if let Some((index, _)) = fastest {
            let dropped = self.kept.swap_remove(index);
            self.kept_lines = self.kept_lines.saturating_sub(dropped.lines.len());
        }
    }

    fn keep(&mut self, tree: &mut Tree, line: &TraceLine) {
        match line.body {
            LineBody::Entry { .. } if tree.skipped_levels > 0 => {
                tree.skipped_levels += 1;
                return;
            }
            // Room for both of its lines, and for a remark.
            LineBody::Entry { .. } if self.unfinished_lines + 3 > self.max_lines => {
                tree.skipped_levels = 1;
                tree.skipped_begin = line.time;
                return;
            }
            LineBody::End { .. } if tree.skipped_levels > 0 => {
                tree.skipped_levels -= 1;
                if tree.skipped_levels > 0 {
                    let inside = HiddenCalls::default();
                    tree.skipped_inside.add(&inside, Duration::ZERO, line.time);
                } else {
                    let inside = std::mem::take(&mut tree.skipped_inside);
                    let duration = line.time - tree.skipped_begin;
                    tree.skipped.add(&inside, duration, line.time);
                }
                return;
            }
            LineBody::Note(_) if tree.skipped_levels > 0 => return,
            LineBody::Entry { .. } | LineBody::End { .. } | LineBody::Note(_) => {}
        }
        let line = KeptLine {
            time: line.time,
            level: line.level,
            body: line.body.clone(),
        };
        tree.push(line, &mut self.unfinished_lines);
    }
}

impl TraceSink for SlowestTrees {
    fn line(&mut self, line: &TraceLine) {
        // What is told of a goroutine between its trees belongs to none.
        if let Some(mut tree) = self.unfinished.remove(&line.goroutine) {
            self.keep(&mut tree, line);
            self.unfinished.insert(line.goroutine, tree);
        }
    }

    fn part_end(&mut self, goroutine: Goroutine, end: PartEnd) {
        if let Some(tree) = self.unfinished.get_mut(&goroutine)
            && end == PartEnd::Cut
        {
            tree.cuts.push(tree.lines.len());
        }
    }
}
