use std::collections::HashSet;
use std::num::NonZero;
use std::thread;

use super::error::{PlanError, PlanWarning, UnmatchedPattern};
use super::habit;
use super::inlining::Inlining;
use super::instruction::cost_of_ret;
use super::names::{FullNames, Names};
use super::nearest::nearest_names;
use super::placement::{EntrySite, Placement, place};
use super::selection::{Choice, Chooser, Selection, may_attach};
use super::watch::watch_sites;
use super::{
    FunctionId, Pattern, PlannedFunction, ProbePlan, Site, SiteKind, SkipReason, SkippedFunction,
    count_reasons,
};
use crate::binary::{Function, GoBinary, VirtualAddress, readable_name};

/// Decides which functions of `binary` are attached, and where.
///
/// # Errors
/// A pattern that gives no function, a main module without one where there are no patterns, and
/// damaged tables.
pub fn plan(
    binary: &GoBinary<'_>,
    selection: &Selection,
    placement: Placement,
) -> Result<ProbePlan, PlanError> {
    let functions = (0..binary.function_count())
        .map(|index| binary.function(index))
        .collect::<Result<Vec<_>, _>>()?;
    let full_names = FullNames::of(binary, &functions);
    let selection = selection
        .clone()
        .with_names_of(functions.iter().map(|it| full_names.names_of(it)));
    let chooser = Chooser::new(&selection, binary.main_module());

    let mut plan = ProbePlan::default();
    let mut candidates = Vec::new();
    for function in &functions {
        let names = full_names.names_of(function);
        match chooser.choose(function, names) {
            Choice::NotWanted => {}
            Choice::Skip(reason) => plan.skipped.push(skipped(function.start, names, reason)),
            Choice::Attach { is_target } => candidates.push(Candidate {
                function,
                names,
                code: binary
                    .code(function.start..function.end)
                    .unwrap_or_default(),
                is_target,
            }),
        }
    }
    let (all_placed, inlining) = thread::scope(|scope| {
        let inlining = scope.spawn(|| Inlining::read(binary));
        let placed = place_all(&candidates, placement);
        (placed, inlining.join())
    });
    let inlining = inlining.unwrap_or_else(|_| Inlining::read(binary));
    let named = spelled_out(&selection, &candidates);
    for mut placed in all_placed {
        let function = placed.candidate.function;
        if placed.entry.is_ok() && inlining.forwards(function) && !named.contains(&function.start) {
            placed.entry = Err(SkipReason::Wrapper);
        }
        plan.add(binary, placed);
    }
    plan.skipped.sort_by_key(|skipped| skipped.start);
    check_patterns(
        &plan,
        &selection,
        &functions,
        &full_names,
        &inlining,
        binary,
    )?;

    let (watched, warnings) = watch_sites(binary, &functions);
    plan.warnings.extend(warnings);
    plan.warnings.extend(idle_excludes(&selection, &functions));
    plan.warnings
        .extend(inlining.warnings(&selection, &chooser, &plan.functions));
    for site in watched {
        plan.sites
            .extend(binary.file_offset(site.address).map(|file_offset| Site {
                kind: site.kind,
                address: site.address,
                file_offset,
                cost: site.cost,
            }));
    }
    plan.sites.sort_by_key(|site| site.address);
    Ok(plan)
}

fn skipped(start: VirtualAddress, names: Names<'_>, reason: SkipReason) -> SkippedFunction {
    SkippedFunction {
        name: names.full().to_owned(),
        start,
        reason,
    }
}

/// Wrappers that patterns name, as long as no other function has that name.
fn spelled_out(selection: &Selection, candidates: &[Candidate<'_>]) -> HashSet<VirtualAddress> {
    let spelled = |it: &&Candidate<'_>| selection.spells_out(it.names);
    let (wrappers, others): (Vec<_>, Vec<_>) = candidates
        .iter()
        .filter(spelled)
        .partition(|it| it.function.is_wrapper);
    let is_taken = |wrapper: &&Candidate<'_>| {
        let name = readable_name(wrapper.names.full());
        others
            .iter()
            .any(|it| readable_name(it.names.full()) == name)
    };
    let free = wrappers.into_iter().filter(|it| !is_taken(it));
    free.map(|it| it.function.start).collect()
}

/// A function that is attached if its code allows.
struct Candidate<'a> {
    function: &'a Function<'a>,
    names: Names<'a>,
    /// Empty where the file does not have it.
    code: &'a [u8],
    is_target: bool,
}

/// A candidate and its sites.
struct Placed<'a> {
    candidate: &'a Candidate<'a>,
    entry: Result<EntrySite, SkipReason>,
    /// Offsets from the function's start.
    exits: Vec<u32>,
}

/// A thread for less code than this would cost more than it saves.
const BYTES_PER_THREAD: usize = 512 * 1024;
const MAX_THREADS: usize = 8;

/// In the order of the candidates.
fn place_all<'a>(candidates: &'a [Candidate<'a>], placement: Placement) -> Vec<Placed<'a>> {
    let place_chunk = move |chunk: &'a [Candidate<'a>]| -> Vec<Placed<'a>> {
        let mut exits = Vec::new();
        chunk
            .iter()
            .map(|candidate| {
                exits.clear();
                let start = candidate.function.start.0;
                let entry = place(candidate.code, start, placement, &mut exits);
                Placed {
                    candidate,
                    entry,
                    exits: exits.clone(),
                }
            })
            .collect()
    };
    let bytes: usize = candidates.iter().map(|it| it.code.len()).sum();
    let threads = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(bytes / BYTES_PER_THREAD)
        .min(MAX_THREADS);
    if threads <= 1 {
        return place_chunk(candidates);
    }
    let chunks = split_evenly(candidates, bytes.div_ceil(threads));
    thread::scope(|scope| {
        let workers: Vec<_> = chunks
            .into_iter()
            .map(|chunk| (chunk, scope.spawn(move || place_chunk(chunk))))
            .collect();
        workers
            .into_iter()
            .flat_map(|(chunk, worker)| worker.join().unwrap_or_else(|_| place_chunk(chunk)))
            .collect()
    })
}

/// Runs of candidates with about `bytes_per_chunk` of code each.
fn split_evenly<'a>(
    mut candidates: &'a [Candidate<'a>],
    bytes_per_chunk: usize,
) -> Vec<&'a [Candidate<'a>]> {
    let mut chunks = Vec::new();
    while !candidates.is_empty() {
        let mut bytes = 0;
        let count = candidates
            .iter()
            .position(|candidate| {
                bytes += candidate.code.len();
                bytes >= bytes_per_chunk
            })
            .map_or(candidates.len(), |last| last + 1);
        let (chunk, rest) = candidates.split_at(count);
        chunks.push(chunk);
        candidates = rest;
    }
    chunks
}

impl ProbePlan {
    /// Functions come in the order of addresses.
    fn add(&mut self, binary: &GoBinary<'_>, placed: Placed<'_>) {
        let Candidate {
            function, names, ..
        } = *placed.candidate;
        match sites_of(binary, &placed, self.functions.len()) {
            Ok(sites) => {
                self.sites.extend(sites);
                self.functions.push(PlannedFunction {
                    name: names.full().to_owned(),
                    start: function.start,
                    is_target: placed.candidate.is_target,
                });
            }
            Err(reason) => self.skipped.push(skipped(function.start, names, reason)),
        }
    }
}

/// The sites of a function by itself: its entry, then its exits.
pub(super) fn place_one(
    binary: &GoBinary<'_>,
    function: &Function<'_>,
) -> Result<Vec<Site>, SkipReason> {
    let candidate = Candidate {
        function,
        names: Names::plain(function.name),
        code: binary
            .code(function.start..function.end)
            .unwrap_or_default(),
        is_target: true,
    };
    let mut exits = Vec::new();
    let entry = place(
        candidate.code,
        function.start.0,
        Placement::Standard,
        &mut exits,
    );
    let placed = Placed {
        candidate: &candidate,
        entry,
        exits,
    };
    sites_of(binary, &placed, 0)
}

fn sites_of(
    binary: &GoBinary<'_>,
    placed: &Placed<'_>,
    function_index: usize,
) -> Result<Vec<Site>, SkipReason> {
    let start = placed.candidate.function.start;
    let id = FunctionId(u32::try_from(function_index).map_err(|_| SkipReason::Undecodable)?);
    let site = |kind, offset, cost| -> Option<Site> {
        let address: VirtualAddress = start.checked_add(u64::from(offset))?;
        Some(Site {
            kind,
            address,
            file_offset: binary.file_offset(address)?,
            cost,
        })
    };
    let entry = placed.entry?;
    let exits = placed.exits.iter().map(|&exit| {
        let code = placed.candidate.code.get(exit as usize..);
        let cost = cost_of_ret(code.unwrap_or_default());
        site(SiteKind::Return(id), exit, cost)
    });
    std::iter::once(site(SiteKind::Entry(id), entry.offset, entry.cost))
        .chain(exits)
        .collect::<Option<Vec<_>>>()
        .ok_or(SkipReason::Undecodable)
}

/// Every pattern has to give a function to attach.
fn check_patterns<'a>(
    plan: &ProbePlan,
    selection: &Selection,
    functions: &'a [Function<'a>],
    full_names: &'a FullNames,
    inlining: &Inlining<'a>,
    binary: &'a GoBinary<'a>,
) -> Result<(), PlanError> {
    let mut attached = plan.functions.iter().peekable();
    let attached: Vec<Names<'_>> = functions
        .iter()
        .filter(|function| attached.next_if(|it| it.start == function.start).is_some())
        .map(|function| full_names.names_of(function))
        .collect();
    let unmatched: Vec<_> = selection
        .targets
        .iter()
        .chain(&selection.wildcards)
        .filter(|pattern| {
            !attached
                .iter()
                .any(|it| it.match_pattern(pattern) && may_attach(pattern, it.linker))
        })
        .map(|pattern| explain(pattern, plan, functions, full_names, inlining, binary))
        .collect();
    if !unmatched.is_empty() {
        return Err(PlanError::Unmatched(unmatched));
    }
    if plan.functions.is_empty() {
        return Err(PlanError::NothingInMainModule {
            reasons: count_reasons(plan.skipped.iter().map(|skipped| skipped.reason)),
        });
    }
    Ok(())
}

/// Says of a pattern that gives nothing what it matches, else what it may have meant.
fn explain<'a>(
    pattern: &Pattern,
    plan: &ProbePlan,
    functions: &'a [Function<'a>],
    full_names: &'a FullNames,
    inlining: &Inlining<'a>,
    binary: &'a GoBinary<'a>,
) -> UnmatchedPattern {
    /// Skipped functions to name.
    const EXAMPLES: usize = 3;

    let matches: Vec<_> = functions
        .iter()
        .filter(|function| full_names.names_of(function).match_pattern(pattern))
        .collect();
    let reasons = count_reasons(matches.iter().map(|function| {
        plan.skipped
            .binary_search_by_key(&function.start, |skipped| skipped.start)
            .ok()
            .and_then(|index| plan.skipped.get(index))
            .map_or(SkipReason::RuntimeInternal, |skipped| skipped.reason)
    }));
    let mut instead = None;
    let names: Vec<_> = if matches.is_empty() {
        let inlined = inlining.names();
        let names = functions.iter().map(|it| full_names.names_of(it).full());
        let names = names.chain(inlined);
        instead = habit::instead_of(pattern.as_str(), names.clone(), binary.main_package())
            .or_else(|| {
                let declared = functions
                    .iter()
                    .filter_map(|it| Some((binary.declaration(it.index)?, it.name)));
                habit::at_line(pattern.as_str(), declared.chain(inlining.declarations()))
            });
        nearest_names(pattern.as_str(), names)
    } else {
        let mut names: Vec<_> = matches
            .iter()
            .map(|it| full_names.names_of(it).full())
            .collect();
        names.dedup();
        names.truncate(EXAMPLES);
        names
    };
    let (inlined, inlined_count) = inlining.without_code(pattern);
    UnmatchedPattern {
        pattern: pattern.to_string(),
        reasons,
        inlined,
        inlined_count,
        instead,
        names: names
            .into_iter()
            .map(|name| readable_name(name).into_owned())
            .collect(),
    }
}

/// Which exclude patterns match no function at all.
fn idle_excludes<'a>(
    selection: &'a Selection,
    functions: &'a [Function<'_>],
) -> impl Iterator<Item = PlanWarning> + 'a {
    selection
        .excludes
        .iter()
        .filter(|pattern| !functions.iter().any(|it| pattern.matches(it.name)))
        .map(|pattern| PlanWarning::ExcludesNothing(pattern.to_string()))
}
