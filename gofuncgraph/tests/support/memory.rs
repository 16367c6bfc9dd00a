//! Whether probes stand in a process's code.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

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
