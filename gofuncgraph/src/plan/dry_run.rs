use std::fmt;

use super::{
    FunctionId, InstructionCost, PlannedFunction, ProbePlan, Site, SiteKind, count_reasons,
};
use crate::binary::readable_name;

/// What `--dry-run` prints: one line per function, per watched place of the runtime, per skipped
/// function and per warning, then the totals. Each line begins with a word that says which it
/// is, and ` // ` ends the name. Offsets after `+` are decimal.
impl fmt::Display for ProbePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut watched = Vec::new();
        let mut sites_of_functions: Vec<Vec<&Site>> = vec![Vec::new(); self.functions.len()];
        for site in &self.sites {
            match site.kind {
                SiteKind::Entry(FunctionId(id)) | SiteKind::Return(FunctionId(id)) => {
                    if let Some(sites) = sites_of_functions.get_mut(id as usize) {
                        sites.push(site);
                    }
                }
                SiteKind::Recovery => watched.push(("runtime.recovery", site)),
                SiteKind::GoroutineExit => watched.push(("runtime.goexit1", site)),
                SiteKind::Reason(reason) => watched.push((reason.function_name(), site)),
            }
        }
        for (function, sites) in self.functions.iter().zip(sites_of_functions) {
            write_function(f, function, &sites)?;
        }
        for (name, site) in watched {
            writeln!(
                f,
                "watch {name} // {} at {}, file offset {}",
                site.cost, site.address, site.file_offset
            )?;
        }
        for skipped in &self.skipped {
            writeln!(
                f,
                "skip {} // {}",
                readable_name(&skipped.name),
                skipped.reason
            )?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning {warning}")?;
        }
        self.write_totals(f)
    }
}

fn write_function(
    f: &mut fmt::Formatter<'_>,
    function: &PlannedFunction,
    sites: &[&Site],
) -> fmt::Result {
    write!(f, "function {} //", readable_name(&function.name))?;
    let offset = |site: &Site| site.address.offset_from(function.start).unwrap_or_default();
    let mut exits = Vec::new();
    for site in sites {
        match site.kind {
            SiteKind::Return(_) => exits.push(offset(site)),
            _ => write!(
                f,
                " entry +{} {} at {}, file offset {}",
                offset(site),
                site.cost,
                site.address,
                site.file_offset
            )?,
        }
    }
    f.write_str(if exits.is_empty() {
        "; never returns"
    } else {
        "; exits"
    })?;
    for exit in exits {
        write!(f, " +{exit}")?;
    }
    f.write_str(if function.is_target {
        "; starts a tree\n"
    } else {
        "\n"
    })
}

impl ProbePlan {
    fn write_totals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |wanted: fn(&Site) -> bool| self.sites.iter().filter(|it| wanted(it)).count();
        writeln!(
            f,
            "total {} functions, {} probes: {} entries ({} emulated, {} single-stepped), \
             {} exits, {} watched",
            self.functions.len(),
            self.sites.len(),
            count(|it| matches!(it.kind, SiteKind::Entry(_))),
            count(|it| matches!(it.kind, SiteKind::Entry(_)) && it.cost.is_emulated()),
            count(|it| matches!(it.kind, SiteKind::Entry(_)) && !it.cost.is_emulated()),
            count(|it| matches!(it.kind, SiteKind::Return(_))),
            count(|it| !matches!(it.kind, SiteKind::Entry(_) | SiteKind::Return(_))),
        )?;
        writeln!(
            f,
            "total {} emulated, {} single-stepped",
            count(|it| it.cost.is_emulated()),
            count(|it| !it.cost.is_emulated()),
        )?;
        write!(f, "total {} skipped", self.skipped.len())?;
        let reasons = count_reasons(self.skipped.iter().map(|skipped| skipped.reason));
        for (index, (reason, count)) in reasons.iter().enumerate() {
            let separator = if index == 0 { ": " } else { ", " };
            write!(f, "{separator}{reason} {count}")?;
        }
        writeln!(f)
    }
}

impl fmt::Display for InstructionCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Emulated | Self::EmulatedStackCheck => "emulated",
            Self::SingleStepped | Self::SingleSteppedRet => "single-stepped",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::{FileOffset, VirtualAddress};
    use crate::plan::{PlanWarning, SkipReason, SkippedFunction};

    fn site(kind: SiteKind, address: u64, cost: InstructionCost) -> Site {
        Site {
            kind,
            address: VirtualAddress(address),
            file_offset: FileOffset(address - 0x40_0000),
            cost,
        }
    }

    fn function(name: &str, start: u64, is_target: bool) -> PlannedFunction {
        PlannedFunction {
            name: name.to_owned(),
            start: VirtualAddress(start),
            is_target,
        }
    }

    fn skipped(name: &str, reason: SkipReason) -> SkippedFunction {
        SkippedFunction {
            name: name.to_owned(),
            start: VirtualAddress(0x40_5000),
            reason,
        }
    }

    #[test]
    fn every_part_of_a_plan_is_printed() {
        use InstructionCost::{Emulated, SingleStepped};
        let plan = ProbePlan {
            functions: vec![
                function("runtime.recovery", 0x40_1000, false),
                function("main.(*T).M", 0x40_2000, true),
                function("main.loop", 0x40_3000, false),
            ],
            sites: vec![
                site(SiteKind::Entry(FunctionId(0)), 0x40_1006, Emulated),
                site(SiteKind::Recovery, 0x40_1050, Emulated),
                site(SiteKind::Entry(FunctionId(1)), 0x40_2000, SingleStepped),
                site(SiteKind::Return(FunctionId(1)), 0x40_2010, SingleStepped),
                site(SiteKind::Return(FunctionId(1)), 0x40_2020, SingleStepped),
                site(SiteKind::Entry(FunctionId(2)), 0x40_3000, Emulated),
                site(SiteKind::GoroutineExit, 0x40_4006, Emulated),
            ],
            skipped: vec![
                skipped("main.asm", SkipReason::Assembly),
                skipped("main.(*E).M", SkipReason::TailJump),
                skipped("main.asm2", SkipReason::Assembly),
            ],
            warnings: vec![PlanWarning::ExcludesNothing("x*".to_owned())],
        };
        let expected = "\
function runtime.recovery // entry +6 emulated at 0x401006, file offset 0x1006; never returns
function main.(*T).M // entry +0 single-stepped at 0x402000, file offset 0x2000; exits +16 +32; starts a tree
function main.loop // entry +0 emulated at 0x403000, file offset 0x3000; never returns
watch runtime.recovery // emulated at 0x401050, file offset 0x1050
watch runtime.goexit1 // emulated at 0x404006, file offset 0x4006
skip main.asm // assembly
skip main.(*E).M // leaves by a tail jump
skip main.asm2 // assembly
warning --exclude 'x*' takes nothing away
total 3 functions, 7 probes: 3 entries (2 emulated, 1 single-stepped), 2 exits, 2 watched
total 4 emulated, 3 single-stepped
total 3 skipped: assembly 2, leaves by a tail jump 1
";
        assert_eq!(plan.to_string(), expected);
    }

    #[test]
    fn a_plan_of_nothing_has_totals() {
        let text = ProbePlan::default().to_string();
        assert!(text.ends_with("total 0 skipped\n"), "{text}");
    }
}
