//! Whether probes stand in a process's code, and its data taken away from under it.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::PATIENCE;
use super::program::Program;

/// Bytes of code that differ from what `executable` holds: the probes that the kernel has put
/// into the process.
pub fn changed_code_bytes(program: &Program, executable: &Path) -> usize {
    let pid = program.pid();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("the process runs");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("the process may be inspected");
    let file = File::open(executable).expect("the executable is there");
    let mut changed = 0;
    let mut compared = 0;
    for line in maps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[range, permissions, offset, _, _, path] = words.as_slice() else {
            continue;
        };
        if !permissions.contains('x') || Path::new(path) != executable {
            continue;
        }
        let (start, end) = range.split_once('-').expect("a range of addresses");
        let (start, end) = (hexadecimal(start), hexadecimal(end));
        // The last page holds more than the file's part of it.
        let length = usize::try_from(end - start).expect("a mapping fits into memory");
        let mut in_file = vec![0; length];
        let in_file_length = read_up_to(&file, &mut in_file, hexadecimal(offset));
        let mut in_memory = vec![0; in_file_length];
        memory
            .read_exact_at(&mut in_memory, start)
            .expect("mapped memory can be read");
        compared += in_file_length;
        changed += in_memory
            .iter()
            .zip(&in_file)
            .filter(|(memory, file)| memory != file)
            .count();
    }
    assert!(
        compared > 0,
        "{} is not mapped:\n{maps}",
        executable.display()
    );
    changed
}

/// Waits until no probe is left in `program`; `meanwhile` happens between looks.
pub fn wait_until_unchanged(
    program: &mut Program,
    executable: &Path,
    meanwhile: impl FnMut(&mut Program),
) {
    wait_for_probes(0, program, executable, meanwhile);
}

/// Waits until `program` has so many probes; `meanwhile` happens between looks.
pub fn wait_for_probes(
    probes: usize,
    program: &mut Program,
    executable: &Path,
    mut meanwhile: impl FnMut(&mut Program),
) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = changed_code_bytes(program, executable);
        if found == probes {
            return;
        }
        assert!(Instant::now() < deadline, "{found} probes, not {probes}");
        meanwhile(program);
    }
}

fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> usize {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) => panic!("the executable cannot be read: {error}"),
        }
    }
    filled
}

fn hexadecimal(digits: &str) -> u64 {
    u64::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("{digits:?} is not hexadecimal"))
}

/// Makes huge pages of a process's data and small ones again, over and over, as a kernel does
/// that has time: meanwhile pages are not mapped for a moment, and the process faults and gets
/// them back.
pub struct Repaging {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Repaging {
    pub fn start(program: &Program) -> Self {
        let pid = Pid::from_raw(program.pid().cast_signed()).expect("it is no 0");
        let process = pidfd_open(pid, PidfdFlags::empty()).expect("the process runs");
        let maps = format!("/proc/{}/maps", program.pid());
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut huge_pages = 0;
                while !stop.load(Ordering::Relaxed) {
                    let maps = std::fs::read_to_string(&maps).unwrap_or_default();
                    let parts = maps.lines().flat_map(huge_page_parts);
                    huge_pages += parts.filter(|part| repage(&process, *part)).count() as u64;
                }
                huge_pages
            }
        });
        Self { stop, thread }
    }

    /// Gives how many huge pages were made.
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it does not panic")
    }
}

const HUGE_PAGE_BYTES: u64 = 1 << 21;

/// Where huge pages can be in what a line of a process's maps tells of: anonymous memory, which
/// holds stacks and what the runtime knows of goroutines.
fn huge_page_parts(line: &str) -> impl Iterator<Item = u64> + use<> {
    let (range, rest) = line.split_once(' ').expect("permissions follow");
    let (start, end) = range.split_once('-').expect("a range of addresses");
    let start = hexadecimal(start).next_multiple_of(HUGE_PAGE_BYTES);
    let is_data = rest.starts_with("rw") && !rest.contains('/') && !rest.contains('[');
    let end = if is_data { hexadecimal(end) } else { 0 };
    (start..end)
        .step_by(HUGE_PAGE_BYTES as usize)
        .filter(move |part| part + HUGE_PAGE_BYTES <= end)
}

/// Makes a huge page at `address` and splits it again. Says whether it could be made.
fn repage(process: &OwnedFd, address: u64) -> bool {
    let advise = |address: u64, length_bytes: u64, advice: libc::c_int| {
        let part = libc::iovec {
            iov_base: address as *mut libc::c_void,
            iov_len: length_bytes as usize,
        };
        // SAFETY: it reads `part` and touches no memory of this process. That it may fail, for
        // instance because the range is gone, does no harm.
        let advised = unsafe {
            libc::syscall(
                libc::SYS_process_madvise,
                process.as_raw_fd(),
                &raw const part,
                1,
                advice,
                0,
            )
        };
        advised > 0
    };
    let is_huge = advise(address, HUGE_PAGE_BYTES, libc::MADV_COLLAPSE);
    advise(address + 4096, 4096, libc::MADV_COLD);
    is_huge
}
