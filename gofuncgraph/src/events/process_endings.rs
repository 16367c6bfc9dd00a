//! Why processes end, as far as they said before.

use foldhash::HashMap;

use super::ProcessEnding;

/// What is remembered of a process: more threads than so many do not end it at once.
const MAX_OF_A_PROCESS: usize = 64;
/// Processes that are remembered.
const MAX_PROCESSES: usize = 1 << 13;

/// The exit code of a Go program that panicked or gave up (Go: src/runtime/panic.go).
const FATAL_EXIT_CODE: u8 = 2;
/// How it ends where GOTRACEBACK=crash.
const ABORT: u8 = 6;

/// What was about to end processes that are not over.
#[derive(Debug, Default)]
pub(super) struct ProcessEndings {
    announced: HashMap<u32, Vec<ProcessEnding>>,
}

/// What wait(2) calls the status of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExitStatus(pub(super) u32);

impl ExitStatus {
    /// The signal that killed it; 0 if it exited.
    fn signal(self) -> u8 {
        (self.0 & 0x7f) as u8
    }

    fn code(self) -> u8 {
        (self.0 >> 8 & 0xff) as u8
    }

    fn fits(self, ending: &ProcessEnding) -> bool {
        match *ending {
            ProcessEnding::Exit { code, .. } => self.signal() == 0 && self.code() == code as u8,
            ProcessEnding::Panic { .. } | ProcessEnding::FatalError => {
                (self.signal() == 0 && self.code() == FATAL_EXIT_CODE) || self.signal() == ABORT
            }
            ProcessEnding::Unknown | ProcessEnding::Signal { .. } => false,
        }
    }
}

impl ProcessEndings {
    /// `ending` is about to end the process.
    pub(super) fn announce(&mut self, pid: u32, ending: ProcessEnding) {
        if self.announced.len() >= MAX_PROCESSES && !self.announced.contains_key(&pid) {
            return;
        }
        let announced = self.announced.entry(pid).or_default();
        if announced.len() < MAX_OF_A_PROCESS {
            announced.push(ending);
        }
    }

    /// The process is over, or runs another image: what ended it. Without a `status`, only if
    /// nothing contradicts it.
    pub(super) fn take(&mut self, pid: u32, status: Option<ExitStatus>) -> ProcessEnding {
        let announced = self.announced.remove(&pid).unwrap_or_default();
        let may_have_more = announced.len() >= MAX_OF_A_PROCESS;
        let fitting = announced
            .into_iter()
            .filter(|ending| status.is_none_or(|status| status.fits(ending)));
        match fitting.reduce(in_common) {
            Some(_) if may_have_more => ProcessEnding::Unknown,
            Some(ending) => ending,
            None => match status.map(ExitStatus::signal) {
                Some(number) if number != 0 => ProcessEnding::Signal { number },
                _ => ProcessEnding::Unknown,
            },
        }
    }
}

/// What is certain if one of two ended a process, and it is not known which came first.
fn in_common(one: ProcessEnding, other: ProcessEnding) -> ProcessEnding {
    match (one, other) {
        _ if one == other => one,
        (ProcessEnding::Panic { .. }, ProcessEnding::Panic { .. }) => {
            ProcessEnding::Panic { origin: None }
        }
        (ProcessEnding::Exit { code, .. }, ProcessEnding::Exit { code: same, .. })
            if code == same =>
        {
            ProcessEnding::Exit { code, call: None }
        }
        _ => ProcessEnding::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::VirtualAddress;
    use crate::events::CodeAddress;

    const EXIT: ProcessEnding = ProcessEnding::Exit {
        code: 3,
        call: None,
    };
    const PANIC: ProcessEnding = ProcessEnding::Panic { origin: None };

    fn ending(announced: &[ProcessEnding], status: Option<u32>) -> ProcessEnding {
        let mut endings = ProcessEndings::default();
        for ending in announced {
            endings.announce(7, *ending);
        }
        endings.announce(8, ProcessEnding::FatalError);
        endings.take(7, status.map(ExitStatus))
    }

    #[test]
    fn what_fits_the_status_is_told() {
        assert_eq!(ending(&[EXIT], Some(3 << 8)), EXIT);
        assert_eq!(ending(&[PANIC], Some(2 << 8)), PANIC);
        assert_eq!(ending(&[PANIC], Some(6)), PANIC);
        assert_eq!(ending(&[EXIT, PANIC], Some(2 << 8)), PANIC);
        assert_eq!(ending(&[EXIT], None), EXIT);
    }

    #[test]
    fn what_does_not_fit_is_not_told() {
        assert_eq!(ending(&[EXIT], Some(2 << 8)), ProcessEnding::Unknown);
        assert_eq!(
            ending(&[EXIT], Some(9)),
            ProcessEnding::Signal { number: 9 }
        );
        assert_eq!(ending(&[], Some(0)), ProcessEnding::Unknown);
        assert_eq!(ending(&[], None), ProcessEnding::Unknown);
    }

    fn place(address: u64) -> Option<CodeAddress> {
        CodeAddress::new(VirtualAddress(address))
    }

    /// Goroutines can panic at the same time, and the runtime lets one of them end the process.
    #[test]
    fn of_several_what_they_have_in_common_is_told() {
        let panic = |address| ProcessEnding::Panic {
            origin: place(address),
        };
        let status = Some(2 << 8);
        assert_eq!(ending(&[panic(1), panic(1)], status), panic(1));
        assert_eq!(ending(&[panic(1), panic(2), panic(1)], status), PANIC);
        let exit = |code, address| ProcessEnding::Exit {
            code,
            call: place(address),
        };
        assert_eq!(ending(&[exit(3, 1), exit(3, 2)], Some(3 << 8)), EXIT);
        assert_eq!(
            ending(&[exit(3, 1), exit(4, 2)], None),
            ProcessEnding::Unknown
        );
        let many = [panic(1); MAX_OF_A_PROCESS];
        assert_eq!(ending(&many, status), ProcessEnding::Unknown);
    }

    #[test]
    fn of_several_kinds_none_is_told() {
        let other = ProcessEnding::FatalError;
        assert_eq!(
            ending(&[PANIC, other], Some(2 << 8)),
            ProcessEnding::Unknown
        );
        assert_eq!(ending(&[EXIT, PANIC], None), ProcessEnding::Unknown);
    }

    #[test]
    fn an_image_that_is_gone_announces_nothing_for_the_next() {
        let mut endings = ProcessEndings::default();
        endings.announce(7, EXIT);
        endings.take(7, None);
        assert_eq!(
            endings.take(7, Some(ExitStatus(3 << 8))),
            ProcessEnding::Unknown
        );
    }
}
