use super::number::push_number;

/// Whether lines have to name their process: from the first line of a second one on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProcessNames {
    first_pid: Option<u32>,
    several: bool,
}

impl ProcessNames {
    /// Names the process on every line from now on.
    pub fn always(&mut self) {
        self.several = true;
    }

    /// Appends `[pid] ` if there is more than one process.
    pub fn push_prefix(&mut self, pid: u32, out: &mut Vec<u8>) {
        let first_pid = *self.first_pid.get_or_insert(pid);
        self.several |= pid != first_pid;
        if self.several {
            out.push(b'[');
            push_number(u64::from(pid), out);
            out.extend_from_slice(b"] ");
        }
    }
}
