//! A strict reader of the text that the tracer prints. It knows the grammar and nothing of the
//! tracer's code; whatever breaks the grammar fails the test.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// How trees stand next to one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Whole trees, an empty line between them.
    Trees,
    /// Lines of all goroutines as they happened.
    Stream,
}

/// Everything that was printed.
#[derive(Debug, Default)]
pub struct Trace {
    /// In the order of their first lines.
    pub calls: Vec<Call>,
    /// In the order of their first lines. With [`Layout::Stream`] each root is a tree.
    pub trees: Vec<Tree>,
    /// Remarks between lines, without the slashes.
    pub notes: Vec<String>,
}

/// What was printed between two empty lines, or of one root.
#[derive(Debug, PartialEq, Eq)]
pub struct Tree {
    /// The process on its first line, if named there.
    pub pid: Option<u32>,
    /// The goroutine, if named.
    pub goid: Option<u64>,
    /// Indices of calls that have no caller in the tree; several only if a root's entry was lost.
    pub roots: Vec<usize>,
}

/// One call.
#[derive(Debug, PartialEq, Eq)]
pub struct Call {
    /// Full Go name.
    pub name: String,
    /// Indices of the calls directly inside it, in order.
    pub children: Vec<usize>,
    /// The process, where the entry's line names it.
    pub pid: Option<u32>,
    /// The call's position, or `None` if the entry was lost.
    pub call_site: Option<Position>,
    /// `// already open`
    pub is_already_open: bool,
    /// How it ended.
    pub end: End,
    /// What is said of that behind `//`; empty if it returned.
    pub remark: String,
    /// How long it took, where that was measured.
    pub duration: Option<Duration>,
}

/// `name+offset file:line`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The function.
    pub function: String,
    /// Bytes from its beginning.
    pub offset: u64,
    /// Source file.
    pub file: String,
    /// Its line, from 1.
    pub line: u32,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// At this RET, or `None` if it is not known at which.
    Returned(Option<Position>),
    /// `// unwound` and whatever tells of a panic that was recovered, or of `runtime.Goexit`.
    Unwound,
    /// `// exit lost`
    ExitLost,
    /// `// still open`
    StillOpen,
    /// `// process exited` and whatever tells why a process ended.
    ProcessExited,
    /// `// approximate`
    Approximate,
}

/// How many calls of a function there were, and how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries that were seen.
    pub entries: u64,
    /// Calls that were open when tracing began.
    pub already_open: u64,
    /// Calls that are known by their end only.
    pub entries_lost: u64,
    /// [`End::Returned`].
    pub returned: u64,
    /// [`End::Unwound`].
    pub unwound: u64,
    /// Any other end.
    pub ended_otherwise: u64,
}

/// One line, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    pid: Option<u32>,
    goid: Option<u64>,
    /// Since midnight.
    time: Duration,
    day: u32,
    duration: Option<Duration>,
    level: usize,
    body: Body<'a>,
}

#[derive(Debug, PartialEq, Eq)]
enum Body<'a> {
    Entry(&'a str, Option<Position>, bool),
    End(String, End, &'a str),
    Note(&'a str),
}

/// Calls of one goroutine that have not ended yet, and when they began.
#[derive(Default)]
struct OpenCalls(Vec<(usize, u32, Duration)>);

/// Levels by which a line is indented inside `open`: the deepest are not indented further.
fn indented_levels(open: &OpenCalls) -> usize {
    open.0.len().min(128)
}

impl Trace {
    /// Reads all of `text`, whose seconds have `digits` decimals. Lines that name no process are
    /// those of `first_pid`.
    pub fn parse(text: &str, layout: Layout, digits: usize, first_pid: Option<u32>) -> Self {
        let mut trace = Self::default();
        let mut open: HashMap<(Option<u32>, Option<u64>), OpenCalls> = HashMap::new();
        let mut pids_named = false;
        let mut block = Tree::empty();
        assert!(
            text.is_empty() || text.ends_with('\n'),
            "the last line is not whole"
        );
        let mut previous_empty = true;
        for text in text.lines() {
            if text.is_empty() {
                assert_eq!(layout, Layout::Trees, "an empty line in a stream");
                assert!(!previous_empty, "an empty line that separates nothing");
                trace.end_block(&mut open, &mut block);
                previous_empty = true;
                continue;
            }
            let complain = |what: &str| -> ! { panic!("{what}: {text:?}") };
            let line = Line::parse(text, digits).unwrap_or_else(|what| complain(what));
            if line.goid.is_some() != (layout == Layout::Stream) {
                complain("the goroutine is named in streams only");
            }
            if pids_named && line.pid.is_none() {
                complain("once named, processes are named on every line");
            }
            pids_named |= line.pid.is_some();
            if previous_empty {
                (block.pid, block.goid) = (line.pid, line.goid);
            }
            previous_empty = false;

            let key = (line.pid.or(first_pid), line.goid);
            let calls = open.entry(key).or_default();
            if let Err(what) = trace.take(line, calls, &mut block, layout) {
                complain(&what);
            }
            if calls.0.is_empty() && layout == Layout::Stream {
                open.remove(&key);
            }
        }
        assert!(
            !previous_empty || text.is_empty(),
            "an empty line at the end"
        );
        trace.end_block(&mut open, &mut block);
        trace
    }

    fn take(
        &mut self,
        line: Line<'_>,
        open: &mut OpenCalls,
        block: &mut Tree,
        layout: Layout,
    ) -> Result<(), String> {
        let depth = line.level;
        match line.body {
            Body::Entry(name, call_site, is_already_open) => {
                if depth != indented_levels(open) {
                    return Err(format!("level {depth} inside {} calls", open.0.len()));
                }
                if line.duration.is_some() {
                    return Err("an entry has no duration".to_owned());
                }
                let index = self.calls.len();
                let parent = open.0.last().map(|&(parent, _, _)| parent);
                open.0.push((index, line.day, line.time));
                self.calls.push(Call {
                    name: name.to_owned(),
                    children: Vec::new(),
                    pid: line.pid,
                    call_site,
                    is_already_open,
                    end: End::StillOpen,
                    remark: String::new(),
                    duration: None,
                });
                match (parent, layout) {
                    (Some(parent), _) => self.calls[parent].children.push(index),
                    (None, Layout::Trees) => block.roots.push(index),
                    (None, Layout::Stream) => self.trees.push(Tree {
                        pid: line.pid,
                        goid: line.goid,
                        roots: vec![index],
                    }),
                }
            }
            Body::End(name, end, remark) => {
                let (index, day, began) = open.0.pop().ok_or("nothing is open here")?;
                let call = &mut self.calls[index];
                if call.name != name {
                    return Err(format!("{} is the call that is open", call.name));
                }
                if depth != indented_levels(open) {
                    return Err(format!("the call is on level {}", open.0.len()));
                }
                let inexact = matches!(end, End::Approximate) || call.call_site.is_none();
                if line.duration.is_some() && call.is_already_open {
                    return Err("nobody knows how long it took".to_owned());
                }
                if let Some(duration) = line.duration
                    && !inexact
                    && day == line.day
                    && (began + duration).abs_diff(line.time) > Duration::from_micros(150)
                {
                    return Err(format!("it began at {began:?} and took {duration:?}"));
                }
                (call.end, call.duration) = (end, line.duration);
                call.remark = remark.to_owned();
            }
            Body::Note(note) => self.notes.push(note.to_owned()),
        }
        Ok(())
    }

    fn end_block(
        &mut self,
        open: &mut HashMap<(Option<u32>, Option<u64>), OpenCalls>,
        block: &mut Tree,
    ) {
        for (key, calls) in open.drain() {
            let names = calls.0.iter().map(|&(call, _, _)| &self.calls[call].name);
            let names: Vec<&String> = names.collect();
            assert!(names.is_empty(), "no end of {names:?} of {key:?}");
        }
        let block = std::mem::replace(block, Tree::empty());
        if !block.roots.is_empty() {
            self.trees.push(block);
        }
    }

    /// Counts per function name.
    pub fn counts(&self) -> BTreeMap<&str, Counts> {
        let mut counts: BTreeMap<&str, Counts> = BTreeMap::new();
        for call in &self.calls {
            let counts = counts.entry(call.name.as_str()).or_default();
            match call.call_site {
                Some(_) if call.is_already_open => counts.already_open += 1,
                Some(_) => counts.entries += 1,
                None => counts.entries_lost += 1,
            }
            match call.end {
                End::Returned(_) => counts.returned += 1,
                End::Unwound => counts.unwound += 1,
                _ => counts.ended_otherwise += 1,
            }
        }
        counts
    }

    /// Counts over all functions.
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        for counts in self.counts().values() {
            total.entries += counts.entries;
            total.already_open += counts.already_open;
            total.entries_lost += counts.entries_lost;
            total.returned += counts.returned;
            total.unwound += counts.unwound;
            total.ended_otherwise += counts.ended_otherwise;
        }
        total
    }

    /// The names of all functions.
    pub fn names(&self) -> BTreeSet<&str> {
        self.calls.iter().map(|call| call.name.as_str()).collect()
    }

    /// Calls of the function, in order.
    pub fn calls_of(&self, name: &str) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |call| call.name == name)
    }

    /// The call with this index and all inside it as names nested in parentheses, for instance
    /// `main.a(main.b main.c(main.d))`.
    pub fn shape(&self, call: usize) -> String {
        let Call { name, children, .. } = &self.calls[call];
        let inside: Vec<String> = children.iter().map(|&child| self.shape(child)).collect();
        match inside.is_empty() {
            true => name.clone(),
            false => format!("{name}({})", inside.join(" ")),
        }
    }

    /// [`Trace::shape`] of every root, in order.
    pub fn shapes(&self) -> Vec<String> {
        let roots = self.trees.iter().flat_map(|tree| &tree.roots);
        roots.map(|&root| self.shape(root)).collect()
    }

    /// How the calls of all trees ended, in the order of their entries.
    pub fn ends(&self) -> Vec<(&str, &End)> {
        let calls = self.calls.iter();
        calls.map(|call| (call.name.as_str(), &call.end)).collect()
    }
}

impl Tree {
    fn empty() -> Self {
        Self {
            pid: None,
            goid: None,
            roots: Vec::new(),
        }
    }
}

impl<'a> Line<'a> {
    fn parse(text: &'a str, digits: usize) -> Result<Self, &'static str> {
        let (pid, text) = bracketed(text, "[")?;
        let (goid, text) = bracketed(text, "g[")?;

        let time_width = "DD HH:MM:SS.".len() + digits;
        let (time, text) = text
            .split_at_checked(time_width)
            .ok_or("too short for a time")?;
        let (day, time) = parse_time(time).ok_or("not a time")?;
        let text = text.strip_prefix(' ').ok_or("no blank after the time")?;

        let column_width = digits + 4;
        let column_end = text.find(|c: char| c != ' ' && c != '.' && !c.is_ascii_digit());
        let column_end = text[..column_end.unwrap_or(text.len())].trim_end().len();
        let (column, text) = match column_end {
            0 => text
                .split_at_checked(column_width)
                .ok_or("too short for a duration")?,
            end => text.split_at(end),
        };
        let duration = match column.trim_start_matches(' ') {
            "" => None,
            seconds if seconds.len() != column.len() || column.len() < column_width => {
                return Err("a duration is not padded with zeros");
            }
            seconds => Some(parse_seconds(seconds, digits).ok_or("not a duration")?),
        };

        let body = text.trim_start_matches(' ');
        let blanks = text.len() - body.len();
        let indent = blanks.checked_sub(2).ok_or("no blanks around the indent")?;
        if !indent.is_multiple_of(2) {
            return Err("an indent is two blanks per level");
        }
        Ok(Self {
            pid: pid
                .map(|pid| u32::try_from(pid).map_err(|_| "not a process id"))
                .transpose()?,
            goid,
            time,
            day,
            duration,
            level: indent / 2,
            body: Body::parse(body)?,
        })
    }
}

impl<'a> Body<'a> {
    fn parse(text: &'a str) -> Result<Self, &'static str> {
        if let Some(note) = text.strip_prefix("// ") {
            return Ok(Self::Note(note));
        }
        if let Some(end) = text.strip_prefix("} ") {
            let (name, end, remark) = match end.split_once(" // ") {
                Some((name, how)) => (name.to_owned(), parse_how(how)?, how),
                None => match Position::parse(end) {
                    Some(ret) => (ret.function.clone(), End::Returned(Some(ret)), ""),
                    None => (end.to_owned(), End::Returned(None), ""),
                },
            };
            if name.is_empty() {
                return Err("an end without a name");
            }
            return Ok(Self::End(name, end, remark));
        }
        let (name, call) = text
            .split_once("() { ")
            .ok_or("neither entry, end nor note")?;
        if name.is_empty() {
            return Err("an entry without a name");
        }
        if call == "// entry lost" {
            return Ok(Self::Entry(name, None, false));
        }
        let (call, is_already_open) = match call.strip_suffix(" // already open") {
            Some(call) => (call, true),
            None => (call, false),
        };
        let call_site = Position::parse(call).ok_or("an entry without caller+offset file:line")?;
        Ok(Self::Entry(name, Some(call_site), is_already_open))
    }
}

impl Position {
    /// Reads `name+offset file:line`; names and files may hold blanks.
    fn parse(text: &str) -> Option<Self> {
        let (text, line) = text.rsplit_once(':')?;
        text.match_indices('+').find_map(|(plus, _)| {
            let (offset, file) = text[plus + 1..].split_once(' ')?;
            (!file.is_empty() && plus > 0).then_some(())?;
            Some(Self {
                function: text[..plus].to_owned(),
                offset: number(offset)?,
                file: file.to_owned(),
                line: u32::try_from(number(line)?).ok()?,
            })
        })
    }
}

fn parse_how(how: &str) -> Result<End, &'static str> {
    let is_unwound = how == "goroutine ended by runtime.Goexit"
        || (["panicked, unwound, recovered", "unwound by panic"].iter())
            .any(|words| how.starts_with(words));
    let is_process = ["process ended: ", "process ended by "].iter();
    Ok(match how {
        _ if is_unwound => End::Unwound,
        _ if { is_process }.any(|words| how.starts_with(words)) => End::ProcessExited,
        "unwound" => End::Unwound,
        "exit lost" => End::ExitLost,
        "still open" => End::StillOpen,
        "process exited" => End::ProcessExited,
        "approximate" => End::Approximate,
        _ => return Err("not a way to end"),
    })
}

/// Takes `open` digits `] ` off the front, if it is there.
fn bracketed<'a>(text: &'a str, open: &str) -> Result<(Option<u64>, &'a str), &'static str> {
    let Some(rest) = text.strip_prefix(open) else {
        return Ok((None, text));
    };
    let (digits, rest) = rest.split_once("] ").ok_or("an open bracket")?;
    Ok((Some(number(digits).ok_or("no number in brackets")?), rest))
}

/// Day of the month and time of day of `DD HH:MM:SS.f…`.
fn parse_time(text: &str) -> Option<(u32, Duration)> {
    let (day, time) = text.split_once(' ')?;
    let (hours, rest) = time.split_once(':')?;
    let (minutes, seconds) = rest.split_once(':')?;
    let (whole, fraction) = seconds.split_once('.')?;
    let two_digits = |text: &str, limit: u64| {
        let is_two = text.len() == 2;
        number(text).filter(|&value| is_two && value < limit)
    };
    let day = two_digits(day, 32).filter(|&day| day > 0)?;
    let minutes = 60 * two_digits(hours, 24)? + two_digits(minutes, 60)?;
    let whole = two_digits(whole, 61)?;
    let fraction = parse_fraction(fraction)?;
    Some((
        u32::try_from(day).ok()?,
        Duration::from_secs(60 * minutes + whole) + fraction,
    ))
}

fn parse_seconds(text: &str, digits: usize) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.')?;
    (fraction.len() == digits).then_some(())?;
    Some(Duration::from_secs(number(whole)?) + parse_fraction(fraction)?)
}

fn parse_fraction(digits: &str) -> Option<Duration> {
    let unit = 10u64.pow(u32::try_from(9usize.checked_sub(digits.len())?).ok()?);
    Some(Duration::from_nanos(number(digits)? * unit))
}

/// A number without sign.
fn number(digits: &str) -> Option<u64> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
}
