//! What the program says it did, and whether a trace says the same.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Calls of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls that began.
    pub entered: u64,
    /// Calls that returned; the others were unwound.
    pub returned: u64,
}

/// What a trace may say of calls that it cannot know better.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowed {
    /// Ends are told of late, as `approximate`.
    pub late_ends: bool,
    /// Calls that were unwound are told of as `exit_lost`: what unwinds those of a plugin is in the
    /// program that loads it.
    pub lost_unwinding: bool,
    /// The tracer has to say that beforehand.
    pub has_to_be_said: bool,
}

/// What happened in one round of the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// By function, without its package.
    pub calls: BTreeMap<String, Calls>,
    /// How many calls of the function were open at once.
    deepest: Option<(String, u64)>,
    /// Function, and nanoseconds measured inside and around its call.
    slept: Option<(String, u64, u64)>,
}

impl Truth {
    /// From the lines that the program printed.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut truth = Self::default();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |text: &str| -> Result<u64> {
                text.parse()
                    .with_context(|| format!("the program says {line:?}"))
            };
            match words[..] {
                ["entered", name, count] => {
                    truth.calls.entry(name.to_owned()).or_default().entered += number(count)?;
                }
                ["returned", name, count] => {
                    truth.calls.entry(name.to_owned()).or_default().returned += number(count)?;
                }
                ["deepest", name, count] => truth.deepest = Some((name.to_owned(), number(count)?)),
                ["slept", name, inside, around] => {
                    truth.slept = Some((name.to_owned(), number(inside)?, number(around)?));
                }
                _ => bail!("the program says {line:?}"),
            }
        }
        if truth.total() < 500 || truth.deepest.is_none() || truth.slept.is_none() {
            bail!("the program called too little to prove anything: {truth:?}");
        }
        Ok(truth)
    }

    /// Calls of all functions.
    pub fn total(&self) -> u64 {
        self.calls.values().map(|calls| calls.entered).sum()
    }

    /// What a trace, written as JSON Lines, says otherwise; empty if it is right.
    ///
    pub fn differences(&self, json_lines: &str, allowed: Allowed) -> Result<Vec<String>> {
        let mut traced = BTreeMap::<&str, Traced>::new();
        let mut differences = Vec::new();
        let lines: Vec<Line> = json_lines
            .lines()
            .map(|line| {
                serde_json::from_str(line).with_context(|| format!("the tracer wrote {line:?}"))
            })
            .collect::<Result<_>>()?;
        for line in &lines {
            let name = line.function.as_deref().map(without_package);
            match (line.kind.as_str(), name) {
                ("call" | "open", Some(name)) => traced.entry(name).or_default().add(line),
                _ => differences.push(format!("a line of type {}", line.kind)),
            }
        }
        for (name, calls) in &self.calls {
            let traced = traced.get(name.as_str()).cloned().unwrap_or_default();
            differences.extend(traced.differences(name, *calls, allowed));
        }
        if let Some((name, expected)) = &self.deepest {
            let traced = traced.get(name.as_str()).cloned().unwrap_or_default();
            let levels = traced.depths.map_or(0, |(least, most)| most - least + 1);
            if levels != *expected {
                differences.push(format!("{name}: {levels} levels instead of {expected}"));
            }
        }
        if let Some((name, inside, around)) = &self.slept {
            let traced = traced.get(name.as_str()).cloned().unwrap_or_default();
            let is_right = |duration: &u64| {
                *inside <= *duration && (allowed.late_ends || *duration <= *around)
            };
            if !(traced.durations_ns.len() == 1 && traced.durations_ns.iter().all(is_right)) {
                differences.push(format!(
                    "{name} took {inside} to {around} ns and is shown with {:?}",
                    traced.durations_ns
                ));
            }
        }
        Ok(differences)
    }
}

/// `f` of `example.com/a/b.f`.
fn without_package(function: &str) -> &str {
    let last = function.rsplit('/').next().unwrap_or_default();
    last.split_once('.').map_or(last, |(_, name)| name)
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    function: Option<String>,
    ended: Option<String>,
    depth: Option<u64>,
    duration_ns: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Traced {
    calls: u64,
    ended: BTreeMap<String, u64>,
    depths: Option<(u64, u64)>,
    durations_ns: Vec<u64>,
}

impl Traced {
    fn add(&mut self, line: &Line) {
        self.calls += 1;
        let ended = line.ended.clone().unwrap_or_default();
        *self.ended.entry(ended).or_default() += 1;
        if let Some(depth) = line.depth {
            let (least, most) = self.depths.unwrap_or((depth, depth));
            self.depths = Some((least.min(depth), most.max(depth)));
        }
        self.durations_ns.extend(line.duration_ns);
    }

    fn differences(&self, name: &str, truth: Calls, allowed: Allowed) -> Option<String> {
        let ended = |how: &str| self.ended.get(how).copied().unwrap_or_default();
        let late = if allowed.late_ends {
            ended("approximate")
        } else {
            0
        };
        let unwound = truth.entered.saturating_sub(truth.returned);
        let lost = if allowed.lost_unwinding {
            ended("exit_lost")
        } else {
            0
        };
        let is_right = self.calls == truth.entered
            && ended("returned") <= truth.returned
            && ended("unwound") + lost <= unwound
            && ended("returned") + ended("unwound") + lost + late == self.calls;
        (!is_right).then(|| {
            format!(
                "{name}: {} calls, {:?} instead of {} calls, {} returned, {unwound} unwound",
                self.calls, self.ended, truth.entered, truth.returned
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str =
        "entered f 600\nreturned f 599\nentered g 1\nreturned g 1\ndeepest f 2\nslept g 20 30";

    fn truth() -> Truth {
        Truth::parse(SAID.lines()).unwrap()
    }

    fn trace(change: impl Fn(&mut Vec<String>)) -> Vec<String> {
        let call = |name: &str, ended: &str, depth: u64| {
            format!(
                r#"{{"type":"call","function":"a/b.{name}","ended":"{ended}","depth":{depth},"duration_ns":25}}"#
            )
        };
        let mut lines = vec![call("g", "returned", 0), call("f", "unwound", 1)];
        lines.extend((0..599).map(|number| call("f", "returned", number % 2)));
        change(&mut lines);
        truth()
            .differences(&lines.join("\n"), Allowed::default())
            .unwrap()
    }

    #[test]
    fn a_right_trace_differs_in_nothing() {
        assert_eq!(trace(|_| ()), [""; 0]);
    }

    #[test]
    fn every_difference_is_found() {
        assert_eq!(trace(|lines| drop(lines.pop())).len(), 1);
        let unwound = |lines: &mut Vec<String>| lines[1] = lines[1].replace("unwound", "returned");
        assert_eq!(trace(unwound).len(), 1);
        let late = |lines: &mut Vec<String>| lines[2] = lines[2].replace("returned", "exit_lost");
        assert_eq!(trace(late).len(), 1);
        let deep =
            |lines: &mut Vec<String>| lines[2] = lines[2].replace("\"depth\":0", "\"depth\":2");
        assert_eq!(trace(deep), ["f: 3 levels instead of 2"]);
        let long = |lines: &mut Vec<String>| lines[0] = lines[0].replace("25", "31");
        assert_eq!(trace(long).len(), 1);
        let lost = |lines: &mut Vec<String>| lines.push(r#"{"type":"lost"}"#.to_owned());
        assert_eq!(trace(lost), ["a line of type lost"]);
    }

    #[test]
    fn what_is_allowed_is_no_difference() {
        let lines = [
            r#"{"type":"call","function":"f","ended":"exit_lost"}"#,
            r#"{"type":"call","function":"f","ended":"approximate"}"#,
        ];
        let truth = Truth {
            calls: [(
                "f".to_owned(),
                Calls {
                    entered: 2,
                    returned: 1,
                },
            )]
            .into(),
            ..Truth::default()
        };
        let text = lines.join("\n");
        for (late_ends, lost_unwinding, expected) in
            [(true, true, 0), (true, false, 1), (false, true, 1)]
        {
            let allowed = Allowed {
                late_ends,
                lost_unwinding,
                ..Allowed::default()
            };
            assert_eq!(truth.differences(&text, allowed).unwrap().len(), expected);
        }
    }

    #[test]
    fn a_program_that_does_nothing_proves_nothing() {
        assert!(Truth::parse(["entered f 1", "returned f 1"]).is_err());
        assert!(Truth::parse(["something else"]).is_err());
    }
}
