//! Reading the tracer's text back: the line grammar that the README promises to scripts.
//!
//! The tests of the tracer compare its output literally; this reader takes only what the demo
//! and the checks measure with: names, nesting and durations.

use anyhow::{Context, Result, bail};

/// A call of a tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Full Go name of the function.
    pub name: String,
    /// Wall time in seconds; none if the end was not measured.
    pub seconds: Option<f64>,
    /// Index of the caller in [`Tree::calls`]; none for the root.
    pub caller: Option<usize>,
}

/// A tree of calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// The calls in the order in which they began; the root is the first.
    pub calls: Vec<Call>,
}

impl Tree {
    /// The call that the tree began with.
    pub fn root(&self) -> &Call {
        // A tree is made when its root is read, so there always is a first call.
        &self.calls[0]
    }

    /// The function in which most of the tree's time went by outside the calls that are shown,
    /// and that time in seconds.
    pub fn culprit(&self) -> (&str, f64) {
        let mut own_seconds: Vec<f64> = self
            .calls
            .iter()
            .map(|call| call.seconds.unwrap_or(0.0))
            .collect();
        for call in &self.calls {
            if let Some(own) = call.caller.and_then(|caller| own_seconds.get_mut(caller)) {
                *own -= call.seconds.unwrap_or(0.0);
            }
        }
        let mut totals: Vec<(&str, f64)> = Vec::new();
        for (call, seconds) in self.calls.iter().zip(own_seconds) {
            match totals.iter_mut().find(|(name, _)| *name == call.name) {
                Some((_, total)) => *total += seconds,
                None => totals.push((&call.name, seconds)),
            }
        }
        totals
            .into_iter()
            .max_by(|left, right| left.1.total_cmp(&right.1))
            .unwrap_or((&self.root().name, 0.0))
    }

    /// The calls of functions whose name contains `part`.
    pub fn calls_of<'a>(&'a self, part: &'a str) -> impl Iterator<Item = &'a Call> {
        self.calls
            .iter()
            .filter(move |call| call.name.contains(part))
    }
}

#[derive(Debug, PartialEq)]
enum Body<'a> {
    Entry(&'a str),
    End(&'a str),
    Note,
}

#[derive(Debug, PartialEq)]
struct Line<'a> {
    seconds: Option<f64>,
    depth: usize,
    body: Body<'a>,
}

/// The trees in what a tracer without `--stream` printed. Every call must end.
pub fn trees(text: &str) -> Result<Vec<Tree>> {
    let mut trees = Vec::new();
    let mut calls: Vec<Call> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() {
            continue;
        }
        let wrong = || format!("line {} of the trace: {line:?}", index + 1);
        let Line {
            seconds,
            depth,
            body,
        } = parse_line(line).with_context(wrong)?;
        match body {
            Body::Note => {}
            Body::Entry(name) => {
                if depth != open.len() {
                    bail!("{}: depth {depth} inside {} calls", wrong(), open.len());
                }
                let caller = open.last().copied();
                open.push(calls.len());
                calls.push(Call {
                    name: name.to_owned(),
                    seconds: None,
                    caller,
                });
            }
            Body::End(name) => {
                let call = open.pop().and_then(|call| calls.get_mut(call));
                let Some(call) = call.filter(|call| call.name == name) else {
                    bail!("{}: ends a call that is not open", wrong());
                };
                if depth != open.len() {
                    bail!("{}: depth {depth} inside {} calls", wrong(), open.len());
                }
                call.seconds = seconds;
                if open.is_empty() {
                    trees.push(Tree {
                        calls: std::mem::take(&mut calls),
                    });
                }
            }
        }
    }
    if !open.is_empty() {
        bail!("the trace ends inside {} calls", open.len());
    }
    Ok(trees)
}

fn parse_line(line: &str) -> Result<Line<'_>> {
    let mut rest = line;
    for prefix in ["[", "g["] {
        if let Some(after) = rest.strip_prefix(prefix) {
            rest = after.split_once("] ").context("a `[` without `] `")?.1;
        }
    }
    let (day, rest) = rest.split_once(' ').context("no day of the month")?;
    let (time, rest) = rest.split_once(' ').context("no time of day")?;
    let digits = time
        .split_once('.')
        .context("no fraction of the second")?
        .1
        .len();
    if day.len() != 2 || !(4..=9).contains(&digits) {
        bail!("no time in the form DD HH:MM:SS.f");
    }
    let width = digits + 4;
    let duration = rest.get(..width).context("no duration")?.trim_start();
    let rest = rest.get(width..).unwrap_or_default();
    let seconds = match duration {
        "" => None,
        digits => Some(digits.parse().context("the duration is not a number")?),
    };
    let body = rest.trim_start_matches(' ');
    let blanks = rest.len() - body.len();
    if blanks < 2 || blanks % 2 != 0 {
        bail!("{blanks} blanks before the text");
    }
    Ok(Line {
        seconds,
        depth: (blanks - 2) / 2,
        body: parse_body(body)?,
    })
}

fn parse_body(body: &str) -> Result<Body<'_>> {
    if body.starts_with("// ") {
        return Ok(Body::Note);
    }
    let Some(end) = body.strip_prefix("} ") else {
        let (name, _) = body
            .split_once("() { ")
            .context("neither entry, end nor note")?;
        return Ok(Body::Entry(name));
    };
    if let Some((name, _)) = end.split_once(" // ") {
        return Ok(Body::End(name));
    }
    // `name+offset file:line`, where the name may hold `+` and blanks of its own.
    let located = end.match_indices('+').find(|(at, _)| {
        let after = end.get(at + 1..).unwrap_or_default();
        let offset = after.split(' ').next().unwrap_or_default();
        !offset.is_empty()
            && offset.bytes().all(|byte| byte.is_ascii_digit())
            && after.contains(' ')
    });
    Ok(Body::End(
        located.and_then(|(at, _)| end.get(..at)).unwrap_or(end),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line as the tracer prints it with `digits` decimals.
    fn line(digits: usize, seconds: Option<f64>, depth: usize, body: &str) -> String {
        let fraction = "123456789".get(..digits).unwrap();
        let width = digits + 4;
        let duration = match seconds {
            Some(seconds) => format!("{seconds:0width$.digits$}"),
            None => " ".repeat(width),
        };
        let indent = "  ".repeat(depth);
        format!("09 14:02:11.{fraction} {duration} {indent} {body}\n")
    }

    fn trace(digits: usize) -> String {
        [
            line(
                digits,
                None,
                0,
                "main.root() { net/http.(*conn).serve+41 /go/server.go:2136",
            ),
            line(
                digits,
                None,
                1,
                "main.Map[go.shape.int]() { main.root+12 /src/main.go:9",
            ),
            line(
                digits,
                Some(0.3),
                1,
                "} main.Map[go.shape.int]+80 /src/main.go:20",
            ),
            line(digits, None, 1, "// lost 12 events"),
            line(digits, None, 1, "main.Map[go.shape.int]() { // entry lost"),
            line(digits, Some(0.1), 1, "} main.Map[go.shape.int] // unwound"),
            line(
                digits,
                Some(0.5),
                0,
                "} main.root+90 /src/a folder/main.go:12",
            ),
            "\n".to_owned(),
            format!(
                "[7] g[12] {}",
                line(digits, None, 0, "a.b() { c.d+1 /c.go:1")
            ),
            format!("[7] g[12] {}", line(digits, None, 0, "} a.b")),
        ]
        .concat()
    }

    #[test]
    fn names_nesting_and_durations_are_read_with_any_number_of_digits() {
        for digits in 4..=9 {
            let trees = trees(&trace(digits)).unwrap();
            assert_eq!(trees.len(), 2, "{digits} digits");
            let first = &trees[0];
            let read: Vec<_> = first
                .calls
                .iter()
                .map(|call| (call.name.as_str(), call.seconds, call.caller))
                .collect();
            assert_eq!(
                read,
                [
                    ("main.root", Some(0.5), None),
                    ("main.Map[go.shape.int]", Some(0.3), Some(0)),
                    ("main.Map[go.shape.int]", Some(0.1), Some(0)),
                ]
            );
            assert_eq!(trees[1].root().name, "a.b");
            assert_eq!(trees[1].root().seconds, None);
        }
    }

    #[test]
    fn the_culprit_is_the_function_with_most_time_of_its_own() {
        let trees = trees(&trace(6)).unwrap();
        let (name, seconds) = trees[0].culprit();
        assert_eq!(name, "main.Map[go.shape.int]");
        assert!((seconds - 0.4).abs() < 1e-9, "{seconds}");
    }

    #[test]
    fn what_is_not_a_whole_tree_is_refused() {
        let entry = line(6, None, 0, "a.b() { c.d+1 /c.go:1");
        let end = line(6, Some(0.1), 0, "} a.b");
        let other = line(6, Some(0.1), 0, "} a.c");
        let deep = line(6, None, 2, "a.b() { c.d+1 /c.go:1");
        assert_eq!(trees(&format!("{entry}{end}")).unwrap().len(), 1);
        for text in [
            &entry,
            &end,
            &deep,
            &format!("{entry}{other}"),
            "summary: trees 1\n",
        ] {
            assert!(trees(text).is_err(), "{text}");
        }
    }
}
