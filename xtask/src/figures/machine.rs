//! Naming the machine that was measured.

use std::fs;

use anyhow::{Context, Result};

use crate::process::Run;

/// Processor, number of CPUs, kernel and date in one phrase.
pub fn describe() -> Result<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")
        .context("cannot read /proc/sys/kernel/osrelease")?;
    let cpus = std::thread::available_parallelism().context("cannot count the CPUs")?;
    let date = Run::new("date").args(["-u", "+%Y-%m-%d"]).read()?;
    let (model, guest) = processor(&cpuinfo);
    let kind = if guest { "virtual machine" } else { "machine" };
    Ok(format!(
        "a {kind} with {cpus} CPUs ({model}), Linux {}, {date}",
        kernel.trim_end()
    ))
}

/// The processor's model name, and whether a hypervisor lies between.
fn processor(cpuinfo: &str) -> (&str, bool) {
    let value = |key: &str| {
        cpuinfo.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then(|| value.trim())
        })
    };
    let guest =
        value("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    (value("model name").unwrap_or("unknown processor"), guest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hypervisor_is_a_flag_of_the_processor() {
        let text =
            "processor\t: 0\nmodel name\t: Fast CPU @ 2.00GHz\nflags\t\t: fpu hypervisor avx\n";
        assert_eq!(processor(text), ("Fast CPU @ 2.00GHz", true));
        assert_eq!(processor("flags\t: fpu\n"), ("unknown processor", false));
    }
}
