use crate::events::FrameDepth;

/// A place in a tree at which events were lost, so that entries may be missing.
#[derive(Clone, Copy, Debug)]
struct LossMark {
    /// When, in the tree's own count of events.
    order: u64,
    /// Where in the buffer a missing entry belongs.
    position: usize,
    /// Calls that were shown as open there.
    open_calls: usize,
    /// The shallowest depth at which anything happened since. A call at this depth or deeper
    /// cannot have been open all the time.
    shallowest_since: FrameDepth,
}

/// The places at which an entry can be missing, for a return whose entry was not seen.
///
/// Only the earliest of the places with equal `shallowest_since` is kept: it explains a return
/// with the fewest lost events. So depths grow strictly from front to back, and every event
/// costs amortised constant time.
#[derive(Debug, Default)]
pub(super) struct LossMarks {
    marks: Vec<LossMark>,
}

impl LossMarks {
    /// Events were lost just now.
    pub fn lost(&mut self, order: u64, position: usize, open_calls: usize) {
        self.marks.push(LossMark {
            order,
            position,
            open_calls,
            shallowest_since: FrameDepth { bytes: u64::MAX },
        });
    }

    /// Something happened at `depth`: no call at this depth or deeper that began before is open.
    pub fn happened(&mut self, depth: FrameDepth) {
        let mut earliest = None;
        while let Some(mark) = self.marks.pop_if(|mark| mark.shallowest_since >= depth) {
            earliest = Some(mark);
        }
        if let Some(mark) = earliest {
            self.marks.push(LossMark {
                shallowest_since: depth,
                ..mark
            });
        }
    }

    /// A call that began after `order` turned out to have been open until now: no entry
    /// shallower than it can be missing from its inside.
    pub fn was_open_since(&mut self, order: u64) {
        while self.marks.pop_if(|mark| mark.order > order).is_some() {}
    }

    /// The earliest place at which the entry of a call at `depth` can be missing that was open
    /// until now, and how many of the calls that were shown as open there were over before:
    /// all but `open_calls`. From now on that place counts as having no more open calls.
    pub fn take_entry_of(
        &mut self,
        depth: FrameDepth,
        open_calls: usize,
    ) -> Option<(usize, usize)> {
        let place = self
            .marks
            .partition_point(|mark| mark.shallowest_since <= depth);
        let mark = self.marks.get_mut(place)?;
        let over_before = mark.open_calls.checked_sub(open_calls)?;
        mark.open_calls = open_calls;
        Some((mark.position, over_before))
    }

    /// Forgets every place.
    pub fn clear(&mut self) {
        self.marks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(bytes: u64) -> FrameDepth {
        FrameDepth { bytes }
    }

    #[test]
    fn earliest_place_without_a_shallower_event_since_is_found() {
        let mut marks = LossMarks::default();
        marks.lost(1, 10, 1);
        marks.happened(depth(300));
        marks.lost(2, 20, 1);
        marks.happened(depth(400));
        assert_eq!(marks.take_entry_of(depth(200), 1), Some((10, 0)));
        assert_eq!(marks.take_entry_of(depth(300), 1), Some((20, 0)));
        assert_eq!(marks.take_entry_of(depth(400), 1), None);
    }

    #[test]
    fn places_with_equal_reach_are_kept_as_one() {
        let mut marks = LossMarks::default();
        for order in 0..1000 {
            marks.lost(order, order as usize, 1);
            marks.happened(depth(300));
        }
        assert_eq!(marks.marks.len(), 1);
        assert_eq!(marks.take_entry_of(depth(299), 1), Some((0, 0)));
    }

    #[test]
    fn calls_at_a_place_are_over_once() {
        let mut marks = LossMarks::default();
        marks.lost(1, 10, 3);
        assert_eq!(marks.take_entry_of(depth(300), 2), Some((10, 1)));
        marks.happened(depth(300));
        assert_eq!(marks.take_entry_of(depth(200), 1), Some((10, 1)));
    }

    #[test]
    fn inside_of_a_call_that_was_open_has_no_missing_shallower_entry() {
        let mut marks = LossMarks::default();
        marks.lost(5, 10, 2);
        marks.was_open_since(3);
        assert_eq!(marks.take_entry_of(depth(0), 0), None);
    }
}
