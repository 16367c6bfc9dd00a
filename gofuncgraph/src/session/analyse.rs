//! `report`, `diff` and `check`: recordings in, numbers and verdicts out.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::analysis_error::AnalysisError;
use super::notice::notice;
use super::output_file;
use super::replay::net_costs;
use crate::analysis::{
    self, Aggregator, AggregatorSettings, DEFAULT_SAMPLE_BYTES, DEFAULT_TREE_RECORDS, DIFF_LEVEL,
    Recorded, Rule, Verdict, parse_rules,
};
use crate::binary::readable_name;
use crate::cli::{CheckOptions, DiffFormat, DiffOptions, ReportOptions};
use crate::events::Symbols;
use crate::output::{
    CheckReport, DiffHeading, write_check_junit, write_check_markdown, write_check_text,
    write_diff_json_lines, write_diff_markdown, write_diff_text, write_report_tree, write_summary,
};
use crate::recording::{ReadEnd, RecordingError, RecordingHeader, RecordingReader};
use crate::trace::{Assembler, AssemblerSettings};

/// Lines come as they happened, so that more trees are open than in a summary; but none waits.
const TREE_RECORDS: usize = 2 * DEFAULT_TREE_RECORDS;

/// Prints the statistics of all recordings together.
///
/// # Errors
/// A recording that cannot be read, and standard output's.
pub(super) fn report(options: &ReportOptions) -> Result<(), AnalysisError> {
    one_standard_input(options.files.iter().map(AsRef::as_ref))?;
    let mut aggregator = Aggregator::new(AggregatorSettings {
        tree_records: TREE_RECORDS,
        ..AggregatorSettings::default()
    });
    for path in &options.files {
        // What was lost stands in the report.
        let recording = read(path, options.net, &mut aggregator)?;
        recording.warnings.iter().for_each(warn);
    }
    let (profile, _) = aggregator.into_parts();
    let mut out = Vec::new();
    if options.tree {
        write_report_tree(&profile, options.sort, &mut out);
    } else {
        write_summary(&profile, options.sort, &mut out);
    }
    print(&out)
}

/// Prints two recordings side by side.
///
/// # Errors
/// As [`report`].
pub(super) fn diff(options: &DiffOptions) -> Result<(), AnalysisError> {
    one_standard_input([options.base.as_ref(), options.new.as_ref()])?;
    let mut warnings = Vec::new();
    let (base, base_header) = recorded(&options.base, &[], 2, &mut warnings)?;
    let (new, new_header) = recorded(&options.new, &[], 2, &mut warnings)?;
    for recorded in [&base, &new] {
        let calls = recorded.profile.losses.calls_at_other_paths;
        if calls > 0 {
            warnings.push(format!(
                "{}: {calls} calls at further paths are not among the paths, which are too many or too long",
                recorded.name
            ));
        }
    }
    let diff = analysis::diff(&base.profile, &new.profile, DIFF_LEVEL);
    warnings.extend(differences(
        &base.name,
        &base_header,
        &new.name,
        &new_header,
    ));
    let heading = DiffHeading {
        warnings,
        base: base.name,
        new: new.name,
        top: options.top.map(|top| top as usize),
    };
    let mut out = Vec::new();
    match options.format {
        DiffFormat::Text => write_diff_text(&diff, &heading, &mut out),
        DiffFormat::Markdown => write_diff_markdown(&diff, &heading, &mut out),
        DiffFormat::Jsonl => {
            write_diff_json_lines(&diff, &mut out);
            heading.warnings.iter().for_each(warn);
        }
    }
    print(&out)
}

/// Applies rules to a recording, and prints and writes what became of them.
///
/// # Errors
/// [`AnalysisError::RulesFailed`] if one holds; what is wrong with a rule; and as [`report`].
pub(super) fn check(options: &CheckOptions) -> Result<(), AnalysisError> {
    let inputs = options.baseline.iter().chain([&options.new]);
    one_standard_input(inputs.map(AsRef::as_ref))?;
    if is_standard_output(&options.junit) && is_standard_output(&options.markdown) {
        return Err(AnalysisError::SeveralStandardOutputs);
    }
    let rules = rules(options)?;
    if options.baseline.is_empty()
        && let Some(rule) = rules.iter().find(|rule| rule.needs_baseline())
    {
        return Err(AnalysisError::NoBaseline {
            rule: rule.text.clone(),
        });
    }
    let recordings = 1 + options.baseline.len();
    let mut warnings = Vec::new();
    let (new, new_header) = recorded(&options.new, &rules, recordings, &mut warnings)?;
    let mut baselines = Vec::new();
    for path in &options.baseline {
        let (baseline, header) = recorded(path, &rules, recordings, &mut warnings)?;
        warnings.extend(differences(&baseline.name, &header, &new.name, &new_header));
        baselines.push(baseline);
    }
    let verdicts = analysis::check(&rules, &new, &baselines, options.level());
    let report = CheckReport {
        new: &new,
        verdicts: &verdicts,
        warnings: &warnings,
    };
    let reports = [
        (&options.junit, write_check_junit as WriteReport),
        (&options.markdown, write_check_markdown),
    ];
    // The verdict comes first: a report that cannot be written shall not hide it.
    let of_standard_output = reports.iter().find(|(path, _)| is_standard_output(path));
    let write_text = of_standard_output.map_or(write_check_text as WriteReport, |it| it.1);
    let mut out = Vec::new();
    write_text(&report, &mut out);
    print(&out)?;
    for (path, write_report) in reports {
        let Some(path) = path.as_ref().filter(|_| !is_standard_output(path)) else {
            continue;
        };
        out.clear();
        write_report(&report, &mut out);
        output_file::write(path, &out).map_err(|source| AnalysisError::Create {
            path: path.clone(),
            source,
        })?;
    }
    match verdicts
        .iter()
        .filter(|verdict| Verdict::failed(verdict))
        .count()
    {
        0 => Ok(()),
        failed => Err(AnalysisError::RulesFailed {
            failed,
            rules: verdicts.len(),
        }),
    }
}

type WriteReport = fn(&CheckReport<'_>, &mut Vec<u8>);

/// The rules of the command line, then those of files.
fn rules(options: &CheckOptions) -> Result<Vec<Rule>, AnalysisError> {
    let mut rules = Vec::new();
    for text in &options.fail_if {
        rules.push(text.parse().map_err(AnalysisError::Rule)?);
    }
    for path in &options.rules {
        let text = std::fs::read_to_string(path).map_err(|source| AnalysisError::Open {
            path: path.clone(),
            source,
        })?;
        rules.extend(
            parse_rules(&text).map_err(|(line, source)| AnalysisError::RuleInFile {
                path: path.clone(),
                line,
                source,
            })?,
        );
    }
    if rules.is_empty() {
        return Err(AnalysisError::NoRules);
    }
    Ok(rules)
}

fn one_standard_input<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<(), AnalysisError> {
    match paths
        .into_iter()
        .filter(|path| is_standard_input(path))
        .count()
    {
        0 | 1 => Ok(()),
        _ => Err(AnalysisError::SeveralStandardInputs),
    }
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn is_standard_output(path: &Option<PathBuf>) -> bool {
    path.as_ref().is_some_and(|path| path.as_os_str() == "-")
}

/// Reads one of `recordings` that share the memory for samples. What is missing in it is added
/// to the `warnings`.
fn recorded(
    path: &Path,
    rules: &[Rule],
    recordings: usize,
    warnings: &mut Vec<String>,
) -> Result<(Recorded, RecordingHeader), AnalysisError> {
    let mut aggregator = Aggregator::new(AggregatorSettings {
        watches: rules.iter().map(Rule::watch).collect(),
        sample_bytes: DEFAULT_SAMPLE_BYTES / recordings.max(1),
        tree_records: TREE_RECORDS,
    });
    let recording = read(path, false, &mut aggregator)?;
    let (profile, watched) = aggregator.into_parts();
    warnings.extend(recording.warnings);
    let lost = profile.losses.events;
    if lost > 0 {
        warnings.push(format!(
            "{} has gaps: {} lost, so there were more calls than it shows; record fewer functions, or with a larger --buffer",
            path.display(),
            if lost == 1 { "1 event was".to_owned() } else { format!("{lost} events were") }
        ));
    }
    let recorded = Recorded {
        name: path.display().to_string(),
        profile,
        watched,
    };
    Ok((recorded, recording.header))
}

/// A recording that was read.
struct ReadRecording {
    header: RecordingHeader,
    /// What is missing in it and not counted by the aggregator, a sentence each.
    warnings: Vec<String>,
}

/// Reads a recording to its end. With `net`, durations are without what probes cost.
fn read(
    path: &Path,
    net: bool,
    aggregator: &mut Aggregator,
) -> Result<ReadRecording, AnalysisError> {
    let read_error = |source: RecordingError| AnalysisError::Read {
        path: path.to_owned(),
        source,
    };
    let source: Box<dyn Read> = if is_standard_input(path) {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(|source| AnalysisError::Open {
            path: path.to_owned(),
            source,
        })?)
    };
    let mut reader = RecordingReader::new(BufReader::new(source)).map_err(read_error)?;
    let mut symbols = reader.symbols();
    let mut name_of = |function| {
        let name = symbols.function_name(function)?;
        Some(readable_name(name).into_owned())
    };
    let mut assembler =
        Assembler::new(AssemblerSettings::stream()).with_promotion(reader.header().plan.promotes);
    if net {
        let costs = net_costs(reader.header()).ok_or_else(|| AnalysisError::NetWithoutCosts {
            path: path.to_owned(),
        })?;
        assembler = assembler.with_net(Some(Arc::new(costs)));
        aggregator.set_net();
    }
    let lost_before = aggregator.profile().losses.events;
    {
        let mut sink = aggregator.sink(&mut name_of);
        while reader
            .read_events(&mut |event| assembler.handle(&event, &mut sink))
            .map_err(read_error)?
            != 0
        {}
        assembler.finish(reader.time(), &mut sink);
    }
    let name = path.display();
    let mut warnings = Vec::new();
    if matches!(reader.end(), Some(ReadEnd::Cut { .. }) | None) {
        warnings.push(format!(
            "{name} was cut; it is read up to its last whole block"
        ));
    }
    // Losses that no goroutine tells of are known by the counters alone.
    let located = aggregator.profile().losses.events - lost_before;
    let losses = reader.losses();
    if losses.kernel.trees_refused > 0 {
        warnings.push(format!(
            "{name} has not all trees: {} refused, because too many goroutines were inside of targets at once",
            match losses.kernel.trees_refused {
                1 => "1 was".to_owned(),
                refused => format!("{refused} were"),
            }
        ));
    }
    let counted = losses
        .kernel
        .records_lost()
        .saturating_add(losses.malformed_records)
        .saturating_add(assembler.statistics().events_without_room)
        .saturating_add(assembler.statistics().calls_without_room);
    aggregator.add_lost_events(counted.saturating_sub(located));
    aggregator.end_recording();
    let header = reader.header().clone();
    Ok(ReadRecording { header, warnings })
}

fn warn(warning: &String) {
    notice(format_args!("warning: {warning}"));
}

/// What makes two recordings hard to compare, a sentence each.
fn differences(
    base: &str,
    base_header: &RecordingHeader,
    new: &str,
    new_header: &RecordingHeader,
) -> Vec<String> {
    let machine = |header: &RecordingHeader| {
        let host = &header.host;
        let cpus = format!("{} CPUs", host.cpus);
        let parts = [&host.cpu_model, &cpus, &host.architecture];
        let known: Vec<&str> = parts
            .into_iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        known.join(", ")
    };
    let choice = |header: &RecordingHeader| {
        let plan = &header.plan;
        format!(
            "targets [{}], wildcards [{}], excludes [{}]{}",
            plan.targets.join(" "),
            plan.wildcards.join(" "),
            plan.excludes.join(" "),
            if plan.exclude_vendor {
                ""
            } else {
                ", vendored packages"
            }
        )
    };
    let program = |header: &RecordingHeader| {
        let module = header.target.main_module.clone();
        module.unwrap_or_else(|| "one without a module".to_owned())
    };
    let go_version = |header: &RecordingHeader| header.target.go_version.clone();
    let kernel = |header: &RecordingHeader| header.host.kernel.clone();
    type Property<'a> = &'a dyn Fn(&RecordingHeader) -> String;
    let properties: [(&str, Property<'_>); 5] = [
        ("another program", &program),
        ("another Go version", &go_version),
        ("another kind of machine", &machine),
        ("another kernel", &kernel),
        ("another choice of functions", &choice),
    ];
    properties
        .iter()
        .map(|(what, property)| (what, property(base_header), property(new_header)))
        .filter(|(_, of_base, of_new)| of_base != of_new)
        .map(|(what, of_base, of_new)| {
            format!("{base} comes from {what} than {new}: {of_base} against {of_new}")
        })
        .collect()
}

fn print(text: &[u8]) -> Result<(), AnalysisError> {
    super::print(text).map_err(|source| AnalysisError::Output { source })
}
