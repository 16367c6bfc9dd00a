//! What users of other tools try here, and what to type instead.
//!
//! Options of the same meaning are aliases (`args`, `output_options`); those in [`OPTIONS`] are
//! refused with advice. Sources: the manuals of uftrace, perf, strace, ltrace, bpftrace, retsnoop
//! and trace-cmd, and what `dlv trace --help` and go-ftrace print.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Options of one meaning in other tools.
struct Foreign {
    /// As they are written, with dashes.
    names: &'static [&'static str],
    /// What to do here: the end of a sentence.
    advice: &'static str,
}

/// No name stands here twice, and none is an option of a trace.
const OPTIONS: &[Foreign] = &[
    // What is traced.
    Foreign {
        names: &[
            "-F",
            "--filter",
            "--entry",
            "--func",
            "--function",
            "--functions",
            "--drilldown",
        ],
        advice: "the functions where trees start are words behind the program, as in \
                 gofuncgraph ./server 'main.handle*'",
    },
    Foreign {
        names: &["-e", "--event", "--expr", "--trace"],
        advice: "functions are words behind the program, as in gofuncgraph ./server 'main.handle*'; \
                 -u 'net/http*' shows more below them",
    },
    Foreign {
        names: &[
            "-P",
            "--patch",
            "--probe",
            "--add",
            "--uprobe",
            "--include",
            "--allow",
        ],
        advice: "-u GLOB also shows these functions; nothing has to be patched or added before",
    },
    Foreign {
        names: &[
            "-N",
            "--notrace",
            "--no-trace",
            "--deny",
            "-U",
            "--unpatch",
            "--ignore",
            "--skip",
        ],
        advice: "--exclude GLOB places no probes on functions, --hide GLOB does not show them",
    },
    Foreign {
        names: &["-C", "--caller-filter", "--caller"],
        advice: "name the caller as target, as in gofuncgraph ./server main.caller, and give \
                 -u GLOB for what it calls",
    },
    Foreign {
        names: &["-Z", "--size-filter"],
        advice: "gofuncgraph list --sort size names the largest functions; choose with -u GLOB",
    },
    Foreign {
        names: &["--regex", "--regexp", "--match", "--glob"],
        advice: "patterns are globs over whole names: 'main.*', '*handle*', and -u 'net/http*'",
    },
    Foreign {
        names: &["-l", "--list", "--list-functions", "--funcs"],
        advice: "gofuncgraph list ./server '*handle*' lists functions, --dry-run the probes",
    },
    Foreign {
        names: &["-S", "--script", "-W", "--watch", "--trigger", "-T"],
        advice: "there are no scripts or triggers; each call's time is always shown, and -f jsonl is for \
                 programs of your own",
    },
    Foreign {
        names: &[
            "--nest-libcall",
            "--no-libcall",
            "--libcall",
            "-k",
            "--kernel",
            "--kernel-only",
            "-K",
            "--syscalls",
            "--no-syscalls",
        ],
        advice: "only Go functions are traced, neither the kernel nor C libraries; -u 'syscall.*' shows Go's \
                 own functions around system calls",
    },
    // Which process.
    Foreign {
        names: &["--tid", "--tgid", "--process", "--attach"],
        advice: "a process is given as -p PID, and one goroutine as --goid ID",
    },
    Foreign {
        names: &[
            "--thread",
            "--threads",
            "--per-thread",
            "--goroutine",
            "--goroutines",
            "-G",
        ],
        advice: "goroutines are told apart always; --goid ID shows one",
    },
    Foreign {
        names: &["-c", "--command", "--cmd", "--exec", "--run"],
        advice: "a command to start stands behind --, as in \
                 gofuncgraph main.handle -- ./server -port 80; a table of counts is -f summary",
    },
    Foreign {
        names: &[
            "-ff",
            "--follow",
            "--follow-forks-all",
            "--children",
            "--no-children",
            "--inherit",
            "--no-inherit",
            "-I",
        ],
        advice: "every process that runs the program's file is traced unless -p PID chooses one",
    },
    Foreign {
        names: &[
            "--all-cpus",
            "--cpu",
            "--cgroup",
            "--uid",
            "--user",
            "--comm",
            "--exe",
            "--binary",
            "--program",
        ],
        advice: "the program's file is the first word, as in gofuncgraph ./server main.handle, or a \
                 process is chosen by -p PID",
    },
    // Arguments and results.
    Foreign {
        names: &[
            "-a",
            "--auto-args",
            "--args",
            "-A",
            "--argument",
            "--arguments",
            "--fargs",
            "--fargs-auto",
            "-R",
            "--retval",
            "--return",
            "--returns",
            "--frets",
            "--frets-auto",
            "--no-args",
            "--string-limit",
            "-s",
            "--strsize",
        ],
        advice: "arguments and results cannot be shown yet; times, callers and source lines always are",
    },
    // What is shown.
    Foreign {
        names: &[
            "-g",
            "--call-graph",
            "--callgraph",
            "--graph",
            "--tree",
            "--calltree",
            "--follow-calls",
            "--stack",
            "--stacktrace",
            "--backtrace",
        ],
        advice: "a call tree is what is always printed: -u GLOB shows more functions in it, --max-depth N \
                 less of it",
    },
    Foreign {
        names: &[
            "-t",
            "-tt",
            "-ttt",
            "-r",
            "--timestamp",
            "--timestamps",
            "--time",
            "--relative-timestamps",
            "--absolute-timestamps",
            "--nano",
            "--nanosecs",
            "--ns",
            "--elapsed",
        ],
        advice: "every line has its time and duration already, --time-digits 9 with nanoseconds; \
                 --calls-slower-than DURATION hides short calls",
    },
    Foreign {
        names: &[
            "-L",
            "--longer",
            "--min-duration",
            "--min-latency",
            "--threshold",
            "--tracing-thresh",
            "--latency",
            "--slow",
        ],
        advice: "--slower-than 5ms shows only trees that took so long, and --calls-slower-than 5ms hides \
                 shorter calls",
    },
    Foreign {
        names: &[
            "--flat",
            "--stat",
            "--stats",
            "--summary",
            "--summary-only",
            "--count-only",
            "--hist",
            "--histogram",
            "--percentiles",
            "--cluster",
            "--cluster-interval",
            "-w",
        ],
        advice: "-f summary prints a table with counts, times, percentiles and histograms",
    },
    Foreign {
        names: &[
            "--time-range",
            "--range",
            "--since",
            "--until",
            "--start",
            "--stop",
        ],
        advice: "--from MOMENT and --to MOMENT show a part, as in --from 1.5s",
    },
    // When to stop.
    Foreign {
        names: &[
            "--max-events",
            "--max-count",
            "--limit",
            "--num",
            "--events",
            "--samples",
            "-m",
        ],
        advice: "--count N ends after N trees, --duration 10s after a time",
    },
    Foreign {
        names: &[
            "--timeout",
            "--seconds",
            "--secs",
            "--interval",
            "-i",
            "--sleep",
        ],
        advice: "--duration 10s ends tracing after that time",
    },
    // Output.
    Foreign {
        names: &["--json", "-J", "--jsonl", "--ndjson"],
        advice: "-f jsonl writes a JSON object for each call, on a line of its own",
    },
    Foreign {
        names: &[
            "--chrome",
            "--perfetto",
            "--trace-event",
            "--chrome-trace",
            "--ctf",
            "--timeline",
        ],
        advice: "-f chrome:trace.json writes a file for ui.perfetto.dev",
    },
    Foreign {
        names: &[
            "--flame-graph",
            "--flamegraph",
            "--folded",
            "--collapse",
            "--collapsed",
            "--pprof",
            "--graphviz",
            "--mermaid",
        ],
        advice: "-f folded writes what flamegraph.pl, inferno and speedscope read",
    },
    Foreign {
        names: &[
            "--no-color",
            "--no-colour",
            "--nocolor",
            "--plain",
            "--colour",
        ],
        advice: "--color never does that, and so does the environment's NO_COLOR",
    },
    Foreign {
        names: &["--no-pager", "--pager", "--stdio", "--tui", "--no-tty"],
        advice: "trees go to standard output as plain text, or with -f graph for eyes; pipe them where you like",
    },
    Foreign {
        names: &["-q", "--quiet", "--silent"],
        advice: "standard output has trees only; 2>/dev/null hides the rest, -o FILE keeps both apart",
    },
    Foreign {
        names: &[
            "-D",
            "--data",
            "--record",
            "--save",
            "--log",
            "--log-file",
            "--out",
        ],
        advice: "-o FILE is where output goes; gofuncgraph record keeps a trace for later, and \
                 --max-depth N shows so many levels",
    },
    Foreign {
        names: &[
            "-b",
            "--buffer-size",
            "--buf-size",
            "--ring-buffer",
            "--ringbuf-size",
            "--mmap-pages",
            "-B",
        ],
        advice: "--buffer 64M is the size of the ring buffer",
    },
    Foreign {
        names: &[
            "--memory-limit",
            "--adaptive-sample",
            "--sample",
            "--sampling",
        ],
        advice: "calls in trees are never sampled, and memory is bounded always: what does not fit is counted and said; \
                 --max-calls N bounds a tree",
    },
    // Whether to do it at all.
    Foreign {
        names: &["-y", "--yes", "--force", "--no-confirm", "--unsafe"],
        advice: "nothing ever waits for an answer; leave it out",
    },
    Foreign {
        names: &[
            "-z",
            "--demangle",
            "--no-demangle",
            "--symbols",
            "--debug-info",
            "--dwarf",
        ],
        advice: "names and lines come from Go's own table, which every Go program has; leave it out",
    },
    Foreign {
        names: &[
            "-?",
            "--usage",
            "--help-all",
            "--helpall",
            "--man",
            "--manual",
        ],
        advice: "--help tells all options, and gofuncgraph man prints the manual page",
    },
];

/// First words that are commands of other tools, and what to do instead.
const COMMANDS: &[(&[&str], &str)] = &[
    (
        &[
            "live", "trace", "attach", "start", "run", "exec", "debug", "watch",
        ],
        "tracing needs no command: gofuncgraph ./server '*handle', or gofuncgraph -p PID '*handle'",
    ),
    (
        &["graph", "dump", "script", "tui", "view", "show", "print"],
        "a recording is shown with gofuncgraph replay gofuncgraph.rec, for eyes with -f graph, for other \
         programs with -f jsonl, chrome or folded",
    ),
    (
        &[
            "top",
            "stat",
            "stats",
            "summary",
            "profile",
            "hist",
            "histogram",
        ],
        "statistics while tracing: gofuncgraph -f summary ./server '*handle'; of a recording: \
         gofuncgraph report gofuncgraph.rec",
    ),
    (
        &[
            "probe",
            "add",
            "patch",
            "funcs",
            "functions",
            "symbols",
            "ls",
            "info",
        ],
        "functions are listed with gofuncgraph list ./server '*handle*'; probes need not be added before",
    ),
    (
        &["annotate", "compare", "annotations"],
        "two recordings are compared with gofuncgraph diff base.rec new.rec",
    ),
    (&["version"], "gofuncgraph --version prints it"),
    (
        &["completion", "complete"],
        "gofuncgraph completions bash prints them",
    ),
];

/// What to type instead of `word`, a command of other tools; there is no such file.
pub(super) fn advice_on_command(word: &str) -> Option<&'static str> {
    let mut commands = COMMANDS.iter();
    let (_, advice) = commands.find(|(names, _)| names.contains(&word))?;
    Some(advice)
}

fn advice_on_option(name: &str) -> Option<&'static str> {
    let mut options = OPTIONS.iter();
    let option = options.find(|option| option.names.contains(&name))?;
    Some(option.advice)
}

/// Puts advice into an error about an option that there is not; others stay as they are. `words`
/// is the command line.
pub(super) fn explain(mut error: clap::Error, words: &[OsString]) -> clap::Error {
    // What clap takes for two options, or for an option with a value: `-tt`, `-ff`.
    let is_doubled = |word: &&str| word.len() > 2 && !word.starts_with("--");
    let mut written = own_words(words).filter_map(|word| word.to_str());
    let doubled = written
        .find(|word| is_doubled(word) && advice_on_option(word).is_some())
        .map(str::to_owned);
    let name = match (error.kind(), error.get(ContextKind::InvalidArg), doubled) {
        (ErrorKind::UnknownArgument | ErrorKind::ValueValidation, _, Some(doubled)) => doubled,
        (ErrorKind::UnknownArgument, Some(ContextValue::String(name)), _) => name.clone(),
        _ => return error,
    };
    match advice_on_option(&name) {
        Some(advice) => clap::Error::raw(
            ErrorKind::UnknownArgument,
            format!("there is no {name}: {advice}\n"),
        ),
        None => {
            // It does not say which options there are, and takes half of a screen.
            error.remove(ContextKind::Usage);
            error
        }
    }
}

/// The words up to `--`: what follows belongs to a program.
pub(super) fn own_words(words: &[OsString]) -> impl Iterator<Item = &OsString> {
    words.iter().take_while(|word| *word != "--")
}

#[cfg(test)]
#[path = "foreign_options_tests.rs"]
mod tests;
