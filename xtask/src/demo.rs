//! `cargo xtask demo`: the README's story, told by the machine it runs on.

use std::ffi::OsStr;

use anyhow::{Context, Result};

use crate::example::{Example, ExampleServer};
use crate::http::Requests;
use crate::tracer::Tracing;
use crate::tree_text::{self, Tree};
use crate::{process, workspace};

/// One trace of the story.
struct Chapter {
    /// What the reader wants to know.
    question: &'static str,
    /// The page that is asked for, again and again.
    page: &'static str,
    /// Arguments before the binary.
    options: &'static [&'static str],
    /// The target.
    target: &'static str,
    /// Part of the names of the functions whose share is told beside the culprit's; may be empty.
    suspect: &'static str,
}

const STORY: [Chapter; 4] = [
    Chapter {
        question: "/bar is slow at times. How long does its handler take?",
        page: "/bar",
        options: &[],
        target: "*handleBar",
        suspect: "",
    },
    Chapter {
        question: "Is it net/http that takes the time?",
        page: "/bar",
        options: &["--uprobe-wildcards", "net/http*"],
        target: "*handleBar",
        suspect: "net/http",
    },
    Chapter {
        question: "The handler also writes a debug message. Is it the log?",
        page: "/bar",
        options: &[
            "--uprobe-wildcards",
            "net/http*",
            "--uprobe-wildcards",
            "*/internal/log*",
        ],
        target: "*handleBar",
        suspect: "net/http",
    },
    Chapter {
        question: "/send answers in a millisecond, but not always. What does it wait for?",
        page: "/send",
        options: &[
            "--uprobe-wildcards",
            "*/internal/netlink*",
            "--slower-than",
            "200ms",
        ],
        target: "*handleSend",
        suspect: "",
    },
];

/// Every trace ends by then, whatever happens.
const LIMITS: [&str; 4] = ["--count", "1", "--duration", "60s"];

/// Runs `cargo xtask demo`.
pub fn run() -> Result<()> {
    process::prepare_sudo()?;
    let tracer = workspace::build_tracer()?;
    let example = Example::build()?;
    let server = ExampleServer::start(&example)?;
    println!("example-go listens on http://{}", server.address());
    let mut sentences = Vec::new();
    for chapter in &STORY {
        println!("\n# {}", chapter.question);
        let arguments: Vec<&OsStr> = LIMITS
            .iter()
            .chain(chapter.options)
            .map(OsStr::new)
            .chain([example.binary().as_os_str(), OsStr::new(chapter.target)])
            .collect();
        println!("$ {}", process::as_root(&tracer).args(&arguments).line());
        let mut tracing = Tracing::start(&tracer, &arguments)?;
        let requests = Requests::start(server.address(), chapter.page);
        let printed = tracing.finish()?;
        requests.stop()?;
        print!("{}", printed.stdout);
        for line in printed.stderr.lines() {
            println!("  {line}");
        }
        let tree = tree_text::trees(&printed.stdout)?.into_iter().next();
        let tree = tree
            .with_context(|| format!("no request to {} was traced in 60 seconds", chapter.page))?;
        sentences.push(sentence(chapter, &tree)?);
    }
    println!("\n# What the traces say");
    for sentence in sentences {
        println!("- {sentence}");
    }
    Ok(())
}

/// Names the culprit of a tree and its measured share of the request.
fn sentence(chapter: &Chapter, tree: &Tree) -> Result<String> {
    let root = tree.root();
    let whole = root
        .seconds
        .filter(|seconds| *seconds > 0.0)
        .with_context(|| format!("the end of {} was not measured", root.name))?;
    let percent = |seconds: f64| 100.0 * seconds / whole;
    let milliseconds = |seconds: f64| format!("{:.1} ms", 1000.0 * seconds);
    let (culprit, own) = tree.culprit();
    let mut sentence = format!("{} took {}", root.name, milliseconds(whole));
    if tree.calls.len() == 1 {
        sentence += ", 100.0 % of it in itself and in functions that were not traced";
    } else if culprit == root.name {
        sentence += &format!(
            ": {} of it, {:.1} %, went by in itself and in functions that were not traced",
            milliseconds(own),
            percent(own)
        );
    } else {
        sentence += &format!(
            ", and the culprit is {culprit}: {} of it, {:.1} %",
            milliseconds(own),
            percent(own)
        );
    }
    if !chapter.suspect.is_empty() {
        let innocent: f64 = outermost_seconds(tree, chapter.suspect);
        sentence += &format!("; {} took {:.1} %", chapter.suspect, percent(innocent));
    }
    Ok(sentence + ".")
}

/// Time in functions whose name begins with `prefix`, calls inside such calls not counted again.
fn outermost_seconds(tree: &Tree, prefix: &str) -> f64 {
    tree.calls
        .iter()
        .filter(|call| {
            let caller = call.caller.and_then(|caller| tree.calls.get(caller));
            call.name.starts_with(prefix)
                && !caller.is_some_and(|caller| caller.name.starts_with(prefix))
        })
        .filter_map(|call| call.seconds)
        // The sum of nothing would be minus zero, and be printed so.
        .fold(0.0, |sum, seconds| sum + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree_text::Call;

    fn tree(calls: &[(&str, f64, Option<usize>)]) -> Tree {
        let calls = calls.iter().map(|(name, seconds, caller)| Call {
            name: (*name).to_owned(),
            seconds: Some(*seconds),
            caller: *caller,
        });
        Tree {
            calls: calls.collect(),
        }
    }

    #[test]
    fn a_handler_alone_is_its_own_culprit() {
        let tree = tree(&[("main.handleBar", 0.5, None)]);
        assert_eq!(
            sentence(&STORY[0], &tree).unwrap(),
            "main.handleBar took 500.0 ms, 100.0 % of it in itself and in functions that were not \
             traced."
        );
    }

    #[test]
    fn the_share_is_that_of_the_request() {
        let tree = tree(&[
            ("main.handleBar", 0.5, None),
            ("example/internal/log.Debug", 0.45, Some(0)),
            ("net/http.(*response).Write", 0.01, Some(0)),
            ("net/http.(*response).write", 0.009, Some(2)),
        ]);
        assert_eq!(
            sentence(&STORY[2], &tree).unwrap(),
            "main.handleBar took 500.0 ms, and the culprit is example/internal/log.Debug: \
             450.0 ms of it, 90.0 %; net/http took 2.0 %."
        );
    }

    #[test]
    fn functions_that_were_not_called_took_nothing() {
        let tree = tree(&[("main.handleBar", 0.5, None)]);
        let sentence = sentence(&STORY[1], &tree).unwrap();
        assert!(sentence.ends_with("; net/http took 0.0 %."), "{sentence}");
    }

    #[test]
    fn a_request_without_a_measured_end_has_no_share() {
        let mut tree = tree(&[("main.handleBar", 0.5, None)]);
        tree.calls[0].seconds = None;
        assert!(sentence(&STORY[0], &tree).is_err());
    }
}
