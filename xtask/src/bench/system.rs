//! What the kernel tells of a process.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A process that takes less than a fiftieth of this time is at rest.
const REST: Duration = Duration::from_millis(100);

/// User and system time of all threads so far, those that have ended too.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let context = || format!("cannot read the CPU time of process {pid}");
    let number = libc::pid_t::try_from(pid).with_context(context)?;
    let mut clock = 0;
    // SAFETY: the pointer is to a local of the type that the call writes.
    let failed = unsafe { libc::clock_getcpuclockid(number, &mut clock) };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed)).with_context(context);
    }
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a local of the type that the call writes.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        return Err(io::Error::last_os_error()).with_context(context);
    }
    let seconds = u64::try_from(time.tv_sec).with_context(context)?;
    let nanoseconds = u64::try_from(time.tv_nsec).with_context(context)?;
    Ok(Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds))
}

/// CPU time of a process that has work left, when it has done it: as soon as it takes next to no
/// more, or after `at_most`.
pub fn cpu_time_at_rest(pid: u32, at_most: Duration) -> Result<Duration> {
    let deadline = Instant::now() + at_most;
    let mut before = cpu_time(pid)?;
    loop {
        std::thread::sleep(REST);
        let now = cpu_time(pid)?;
        if now.saturating_sub(before) < REST / 50 || Instant::now() >= deadline {
            return Ok(now);
        }
        before = now;
    }
}

/// Physical memory that the process has now, in bytes.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kibibytes = field(&text, "VmRSS:").with_context(|| format!("{path} has no VmRSS"))?;
    Ok(kibibytes * 1024)
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_number_of_its_line() {
        let status = "Name:\tx\nVmHWM:\t  200 kB\nVmRSS:\t  123 kB\n";
        assert_eq!(field(status, "VmRSS:"), Some(123));
        assert_eq!(field(status, "VmSwap:"), None);
    }

    #[test]
    fn this_process_has_memory_and_takes_time() {
        let own = std::process::id();
        assert!(resident_bytes(own).unwrap() > 100_000);
        let begun = cpu_time(own).unwrap();
        while cpu_time(own).unwrap() == begun {
            std::hint::spin_loop();
        }
        assert!(cpu_time(u32::MAX).is_err());
    }
}
