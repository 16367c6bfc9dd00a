//! What the guest printed.

use std::fmt;

/// One run of a test program.
#[derive(Debug, Default, PartialEq, Eq)]
struct TestRun {
    /// Who executed RETs.
    how: String,
    name: String,
    passed: usize,
    failed: Vec<String>,
    /// It came to its last line.
    has_ended: bool,
}

/// What is known of one kernel.
#[derive(Debug, Default)]
pub struct Findings {
    kernel: String,
    /// What the tracer said, if it cannot trace there.
    refused: Option<String>,
    runs: Vec<TestRun>,
    /// Nanoseconds of a call, by who executed its RET; `none`: it was not traced.
    measured: Vec<(String, f64)>,
    has_ended: bool,
}

impl Findings {
    /// Reads the whole log of a guest.
    pub fn read(log: &str) -> Self {
        let mut findings = Self::default();
        for line in log.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["@kernel", release] => release.clone_into(&mut findings.kernel),
                ["@run", how, name] => findings.runs.push(TestRun {
                    how: how.to_owned(),
                    name: without_hash(name).to_owned(),
                    ..TestRun::default()
                }),
                ["@measured", how, nanoseconds] => {
                    let nanoseconds = nanoseconds.parse().ok();
                    findings
                        .measured
                        .extend(nanoseconds.map(|it| (how.to_owned(), it)));
                }
                ["@refused", ..] => findings.refused = Some(words[1..].join(" ")),
                ["@end"] => findings.has_ended = true,
                ["test", "result:", ..] => {
                    if let Some(run) = findings.runs.last_mut() {
                        run.has_ended = true;
                    }
                }
                ["test", name, "...", result] => {
                    if let Some(run) = findings.runs.last_mut() {
                        match result {
                            "ok" => run.passed += 1,
                            _ => run.failed.push(name.to_owned()),
                        }
                    }
                }
                _ => {}
            }
        }
        findings
    }

    /// Whether every test ran to its end and passed.
    pub fn all_passed(&self) -> bool {
        self.has_ended
            && !self.runs.is_empty()
            && self
                .runs
                .iter()
                .all(|run| run.has_ended && run.failed.is_empty())
    }

    /// Median of what calls took.
    fn median(&self, of: &str) -> Option<f64> {
        let mut values: Vec<f64> = (self.measured.iter())
            .filter(|(how, _)| how == of)
            .map(|(_, nanoseconds)| *nanoseconds)
            .collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }
}

/// Cargo appends one to the names of executables.
fn without_hash(name: &str) -> &str {
    name.rsplit_once('-').map_or(name, |(name, _)| name)
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kernel = match &*self.kernel {
            "" => "a kernel that did not come to its first process",
            kernel => kernel,
        };
        writeln!(f, "Linux {kernel}")?;
        if let Some(refused) = &self.refused {
            writeln!(f, "  {refused}")?;
        }
        for run in &self.runs {
            write!(
                f,
                "  {:<16} --ret {:<8} {:>3} passed",
                run.name, run.how, run.passed
            )?;
            if !run.failed.is_empty() {
                write!(f, ", failed: {}", run.failed.join(", "))?;
            }
            f.write_str(if run.has_ended {
                "\n"
            } else {
                ", and it did not end\n"
            })?;
        }
        if !self.has_ended {
            writeln!(f, "  the guest did not come to its end")?;
        }
        let untraced = self.median("none").unwrap_or_default();
        for how in ["step", "emulate"] {
            if let Some(nanoseconds) = self.median(how) {
                let added = (nanoseconds - untraced).max(0.0);
                writeln!(f, "  a traced call takes {added:.0} ns more, --ret {how}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "noise\n@kernel 7.2.1-cloud\r\n@run emulate live_ret-0123\n\
        test one ... ok\ntest two ... ok\ntest result: ok. 2 passed; 0 failed\n\
        @run step live_oracle-4567\ntest one ... ok\ntest three ... FAILED\n\
        test result: FAILED. 1 passed; 1 failed\n\
        @measured none 50\n@measured step 900.5\n@measured step 1050\n@measured step 5000\n";

    #[test]
    fn a_table_says_what_failed() {
        let findings = Findings::read(&format!("{LOG}@end\n"));
        assert!(!findings.all_passed());
        assert_eq!(
            findings.to_string(),
            "Linux 7.2.1-cloud\n\
             \x20 live_ret         --ret emulate    2 passed\n\
             \x20 live_oracle      --ret step       1 passed, failed: three\n\
             \x20 a traced call takes 1000 ns more, --ret step\n"
        );
    }

    #[test]
    fn what_did_not_end_has_not_passed() {
        let good = LOG.replace("FAILED", "ok");
        assert!(Findings::read(&format!("{good}@end\n")).all_passed());
        assert!(!Findings::read(&good).all_passed());
        let cut = good.replace("test result: ok. 1 passed", "");
        assert!(!Findings::read(&format!("{cut}@end\n")).all_passed());
        assert!(!Findings::read("").all_passed());
        let refused = Findings::read("@kernel 6.1\n@refused gofuncgraph: too old\n@end\n");
        assert!(!refused.all_passed());
        assert_eq!(refused.to_string(), "Linux 6.1\n  gofuncgraph: too old\n");
    }
}
