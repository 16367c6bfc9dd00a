//! The gate: which goroutines have an active root, and the sequence of their records.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use gofuncgraph_common::{
    CloseCause, CloseRecord, Control, Counter, GoroutineKey, GoroutineState, ProcessState,
    RecordHeader, RecordKind, ReturnRecord, UnobservedFrame, goroutine_flags, process_flags,
    record_flags,
};

use crate::already_open;
use crate::counters::count;
use crate::goroutine::read_word;
use crate::maps::{GOROUTINES, IMAGES_CHANGED, PROCESSES};
use crate::ring;

/// The gate of one goroutine. Only the goroutine's own thread uses it, so there is no race but
/// with user space, which deletes only gates that are over.
#[derive(Clone, Copy)]
pub struct Gate {
    pub key: GoroutineKey,
    state: *mut GoroutineState,
}

impl Gate {
    /// The gate of `key`, if the goroutine has one.
    #[inline(always)]
    pub fn find(key: GoroutineKey) -> Option<Self> {
        GOROUTINES
            .get_ptr_mut(&key)
            .map(|state| Self { key, state })
    }

    #[inline(always)]
    fn state(&mut self) -> &mut GoroutineState {
        // SAFETY: a hash element stays mapped while the program runs; see the type about races.
        unsafe { &mut *self.state }
    }

    /// Depth of the active root; 0 if there is none.
    #[inline(always)]
    pub fn root_depth_bytes(&mut self) -> u64 {
        self.state().root_depth_bytes
    }

    #[inline(always)]
    pub fn tree(&mut self) -> u16 {
        self.state().tree as u16
    }

    /// Number of the goroutine's next record.
    #[inline(always)]
    pub fn next_sequence(&mut self) -> u64 {
        self.state().next_sequence
    }

    /// A record could not be written that counts only then.
    #[inline(always)]
    pub fn skip_number(&mut self) {
        self.state().next_sequence += 1;
        self.note_lost();
    }

    /// The header of the goroutine's next record, which counts whether or not it can be written.
    #[inline(always)]
    pub fn next_header(&mut self, kind: RecordKind, size: usize) -> RecordHeader {
        let state = self.state();
        let sequence = state.next_sequence;
        state.next_sequence = sequence + 1;
        RecordHeader {
            kind: kind as u16,
            size: size as u16,
            tgid: self.key.tgid,
            sequence,
            goid: self.key.goid,
            // SAFETY: a helper without preconditions.
            time_ns: unsafe { bpf_ktime_get_ns() },
        }
    }

    /// No open frame is deeper.
    #[inline(always)]
    pub fn deepest_open_bytes(&mut self) -> u64 {
        self.state().deepest_open_bytes
    }

    /// The open frames are those of this depth and less.
    #[inline(always)]
    pub fn set_deepest_open_bytes(&mut self, depth_bytes: u64) {
        self.state().deepest_open_bytes = depth_bytes;
    }

    /// A frame without an observer at its return site is open. All that are watched already are
    /// shallower.
    #[inline(always)]
    pub fn watch_unobserved(&mut self, depth_bytes: u64, return_address: u64) {
        let frame = UnobservedFrame {
            depth_bytes,
            return_address,
        };
        let [first, second] = &mut self.state().unobserved;
        if first.depth_bytes == 0 {
            *first = frame;
        } else {
            *second = frame;
        }
    }

    /// Something happened at `depth_bytes`, in a call that is at least so deep. Forgets what it
    /// proves to be over of the watched frames, and tells of those that are over though it
    /// happened deeper: the word at their depth is another call's return address by now. Says
    /// whether the tree turned out to be over; then [`Gate::end_tree`] is to be called.
    #[inline(always)]
    pub fn settle_unobserved(
        &mut self,
        control: *mut Control,
        depth_bytes: u64,
        stack_high: u64,
    ) -> bool {
        if self.state().unobserved[0].depth_bytes == 0 {
            return false;
        }
        self.settle_frame::<0>(control, depth_bytes, stack_high)
            || self.settle_frame::<1>(control, depth_bytes, stack_high)
    }

    #[inline(always)]
    fn settle_frame<const INDEX: usize>(
        &mut self,
        control: *mut Control,
        depth_bytes: u64,
        stack_high: u64,
    ) -> bool {
        let frame = self.state().unobserved[INDEX];
        if frame.depth_bytes == 0 {
            return false;
        }
        if frame.depth_bytes >= depth_bytes {
            self.forget_unobserved_from(INDEX);
            return false;
        }
        let word = read_word(stack_high.wrapping_sub(frame.depth_bytes));
        if word.is_none_or(|word| word == frame.return_address) {
            return false;
        }
        let ends_tree = self.root_depth_bytes() >= frame.depth_bytes;
        let below = frame.depth_bytes - 8;
        // What could not be written is tried again at the next event.
        if self.write_close(control, below, CloseCause::ReturnedUnobserved, ends_tree) || ends_tree
        {
            self.forget_unobserved_from(INDEX);
        }
        ends_tree
    }

    /// What is deeper is over as well.
    #[inline(always)]
    fn forget_unobserved_from(&mut self, index: usize) {
        let [first, second] = &mut self.state().unobserved;
        if index == 0 {
            *first = UnobservedFrame::default();
        }
        *second = UnobservedFrame::default();
    }

    /// Remembers that a record of this goroutine could not be written.
    #[inline(always)]
    pub fn note_lost(&mut self) {
        self.state().flags |= goroutine_flags::LOST_RECORDS;
    }

    /// Makes `depth_bytes` the active root of the goroutine, which had no root or a dead one.
    #[inline(always)]
    pub fn start_tree(key: GoroutineKey, existing: Option<Self>, depth_bytes: u64) -> Option<Self> {
        let Some(process) = process_state(key.tgid) else {
            count(Counter::TreesRefused);
            already_open::give_up();
            return None;
        };
        if process.flags & process_flags::ENDED != 0 {
            return None;
        }
        let generation = process.generation;
        if let Some(mut gate) = existing {
            let state = gate.state();
            if state.generation == generation {
                state.tree = state.tree.wrapping_add(1);
            } else {
                *state = GoroutineState::default();
                state.generation = generation;
            }
            state.root_depth_bytes = depth_bytes;
            state.unobserved = Default::default();
            return Some(gate);
        }
        let fresh = GoroutineState {
            root_depth_bytes: depth_bytes,
            generation,
            ..GoroutineState::default()
        };
        if GOROUTINES.insert(&key, &fresh, 0).is_err() {
            count(Counter::TreesRefused);
            already_open::give_up();
            return None;
        }
        Self::find(key)
    }

    /// Whether the active root belongs to an earlier program image of the process.
    #[inline(always)]
    pub fn is_stale(&self) -> bool {
        if IMAGES_CHANGED.get(0).is_none_or(|changed| *changed == 0) {
            return false;
        }
        match process_state(self.key.tgid) {
            Some(process) => {
                // SAFETY: a hash element stays mapped while the program runs.
                let generation = unsafe { (*self.state).generation };
                generation != process.generation
            }
            None => false,
        }
    }

    /// The root is over. The gate stands on only if user space could otherwise not tell how many
    /// records were lost.
    #[inline(always)]
    pub fn end_tree(&mut self) {
        let state = self.state();
        state.root_depth_bytes = 0;
        if state.flags & goroutine_flags::LOST_RECORDS == 0 {
            let _ = GOROUTINES.remove(&self.key);
        }
    }

    /// The goroutine is over. If its last record could not be written, user space reads the gate
    /// and removes it.
    #[inline(always)]
    pub fn end_goroutine(&mut self, all_written: bool) {
        if all_written {
            let _ = GOROUTINES.remove(&self.key);
            return;
        }
        let state = self.state();
        state.root_depth_bytes = 0;
        state.flags |= goroutine_flags::ENDED;
    }

    /// Writes that every frame deeper than `depth_bytes` is over.
    #[inline(always)]
    pub fn write_close(
        &mut self,
        control: *mut Control,
        depth_bytes: u64,
        cause: CloseCause,
        ends_tree: bool,
    ) -> bool {
        let record = CloseRecord {
            header: self.next_header(RecordKind::Close, size_of::<CloseRecord>()),
            depth_bytes,
            cause: cause as u32,
            tree: self.tree(),
            flags: if ends_tree {
                record_flags::ENDS_TREE
            } else {
                0
            },
        };
        let written = ring::write(control, record, Counter::ClosesLost);
        if written {
            self.close_down_to(depth_bytes);
        } else {
            self.note_lost();
        }
        written
    }

    /// Writes that an observer proved every frame deeper than `depth_bytes` to be over. If there
    /// is no room, the next observer says so again.
    #[inline(always)]
    pub fn write_observed(
        &mut self,
        control: *mut Control,
        depth_bytes: u64,
        observer: u32,
        ends_tree: bool,
    ) {
        let record = ReturnRecord {
            header: self.next_header(RecordKind::Observed, size_of::<ReturnRecord>()),
            depth_bytes,
            site: observer,
            tree: self.tree(),
            flags: if ends_tree {
                record_flags::ENDS_TREE
            } else {
                0
            },
        };
        if ring::write(control, record, Counter::ObservationsLost) {
            self.close_down_to(depth_bytes);
        } else {
            self.note_lost();
        }
    }

    #[inline(always)]
    fn close_down_to(&mut self, depth_bytes: u64) {
        let state = self.state();
        if state.deepest_open_bytes > depth_bytes {
            state.deepest_open_bytes = depth_bytes;
        }
        let [first, second] = &mut state.unobserved;
        if first.depth_bytes > depth_bytes {
            *first = UnobservedFrame::default();
            *second = UnobservedFrame::default();
        } else if second.depth_bytes > depth_bytes {
            *second = UnobservedFrame::default();
        }
    }
}

/// What is known of the process; `None` if there is no room to remember it.
#[inline(always)]
fn process_state(tgid: u32) -> Option<ProcessState> {
    if let Some(process) = PROCESSES.get_ptr(tgid) {
        // SAFETY: a hash element stays mapped while the program runs.
        return Some(unsafe { *process });
    }
    let first = ProcessState {
        // Not the number of gates that an earlier process with this id has left.
        // SAFETY: a helper without preconditions.
        generation: (unsafe { bpf_ktime_get_ns() } >> 16) as u32,
        flags: 0,
    };
    PROCESSES.insert(tgid, &first, 0).ok().map(|()| first)
}
