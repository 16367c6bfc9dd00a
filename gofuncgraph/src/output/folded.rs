use foldhash::HashMap;

use super::call_stacks::{CallBeginning, CallEnding, CallStacks, CallVisitor, OpenCall};
use super::escape::push_escaped_name;
use super::number::push_number;
use super::renderer::Renderer;
use super::symbols::Symbols;
use crate::events::{Goroutine, MonotonicTime};
use crate::plan::FunctionId;
use crate::trace::{Note, PartEnd, TraceLine};

/// Frames of a stack; deeper calls count for [`DEEPER`].
const MAX_FRAMES: usize = 512;

/// Different stacks; what is new beyond counts for [`OTHERS`].
const MAX_STACKS: usize = 1 << 20;

/// Bytes of all lines; likewise.
const MAX_LINE_BYTES: usize = 64 << 20;

/// Stands for the calls below a stack that is as deep as can be shown.
const DEEPER: &str = "(deeper)";

/// Stands for the calls below a stack for which there was no more room.
const OTHERS: &str = "(others)";

/// Stands for the calls that a filter hides but tells of.
const HIDDEN: &str = "(hidden)";

/// What is counted for each stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldedValue {
    /// Nanoseconds in the calls but not in shown calls inside of them.
    SelfTime,
    /// Nanoseconds in the calls.
    TotalTime,
    /// Number of calls.
    Calls,
}

/// Writes folded stacks, `a;b;c N`, when everything is known. A `;` in a name becomes `:`.
///
/// Calls of unknown duration add nothing to times.
pub struct FoldedRenderer<S> {
    stacks: CallStacks<Place>,
    fold: Fold<S>,
}

/// Where a call is counted.
#[derive(Clone, Copy, Debug)]
struct Place {
    node: u32,
    /// Calls around it are counted there too: its time is in theirs already.
    is_shared: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Frame {
    Function(FunctionId),
    Deeper,
    Others,
    Hidden,
}

#[derive(Debug)]
struct Node {
    parent: Option<u32>,
    frame: Frame,
    /// Frames from the root, itself included.
    frames: usize,
    /// Of its line, up to the number.
    line_bytes: usize,
    value: u64,
}

struct Fold<S> {
    symbols: S,
    value: FoldedValue,
    nodes: Vec<Node>,
    children: HashMap<(Option<u32>, Frame), u32>,
    line_bytes: usize,
}

impl<S: Symbols> FoldedRenderer<S> {
    /// One that has counted nothing yet.
    pub fn new(symbols: S, value: FoldedValue) -> Self {
        Self {
            stacks: CallStacks::default(),
            fold: Fold {
                symbols,
                value,
                nodes: Vec::new(),
                children: HashMap::default(),
                line_bytes: 0,
            },
        }
    }
}

impl<S: Symbols> Renderer for FoldedRenderer<S> {
    fn line(&mut self, line: &TraceLine, _: &mut Vec<u8>) {
        self.stacks.line(line, &mut self.fold);
    }

    fn part_end(&mut self, goroutine: Goroutine, end: PartEnd, _: &mut Vec<u8>) {
        self.stacks.part_end(goroutine, end, &mut self.fold);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.fold.push_lines(out);
    }
}

impl<S: Symbols> CallVisitor for Fold<S> {
    type Data = Place;

    fn begin(
        &mut self,
        _: Goroutine,
        beginning: CallBeginning,
        around: &[OpenCall<Place>],
    ) -> Place {
        let parent = around.last().map(|parent| parent.data);
        self.place(parent, Frame::Function(beginning.function))
    }

    fn end(
        &mut self,
        _: Goroutine,
        call: &OpenCall<Place>,
        ending: CallEnding,
        _: &[OpenCall<Place>],
    ) {
        let value = match self.value {
            FoldedValue::Calls => Some(1),
            FoldedValue::TotalTime if call.data.is_shared => None,
            FoldedValue::TotalTime => ending.duration.map(|duration| duration.as_nanos()),
            FoldedValue::SelfTime => ending
                .duration
                .zip(call.inner)
                .map(|(duration, inner)| duration.saturating_sub(inner).as_nanos()),
        };
        let node = self.nodes.get_mut(call.data.node as usize);
        if let Some((node, value)) = node.zip(value) {
            let value = u64::try_from(value).unwrap_or(u64::MAX);
            node.value = node.value.saturating_add(value);
        }
    }

    fn note(&mut self, _: Goroutine, _: MonotonicTime, note: &Note, around: &[OpenCall<Place>]) {
        let Note::Hidden { calls, total, .. } = note else {
            return;
        };
        let parent = around.last().map(|parent| parent.data);
        let place = self.place(parent, Frame::Hidden);
        let value = match self.value {
            FoldedValue::Calls => *calls,
            FoldedValue::TotalTime if place.is_shared => 0,
            FoldedValue::SelfTime | FoldedValue::TotalTime => {
                u64::try_from(total.as_nanos()).unwrap_or(u64::MAX)
            }
        };
        if let Some(node) = self.nodes.get_mut(place.node as usize) {
            node.value = node.value.saturating_add(value);
        }
    }
}

impl<S: Symbols> Fold<S> {
    fn place(&mut self, parent: Option<Place>, frame: Frame) -> Place {
        let parent_node = parent.map(|parent| parent.node);
        if let Some(&node) = self.children.get(&(parent_node, frame)) {
            return Place {
                node,
                is_shared: false,
            };
        }
        let at = parent_node.and_then(|node| self.nodes.get(node as usize));
        if let (Some(parent), Some(at)) = (parent, at)
            && matches!(at.frame, Frame::Deeper | Frame::Others)
        {
            return Place {
                is_shared: true,
                ..parent
            };
        }
        let (frames, bytes_before) = at.map_or((0, 0), |at| (at.frames, at.line_bytes + 1));
        let name_bytes = self.name_bytes(frame);
        let frame = if frames + 1 >= MAX_FRAMES {
            Frame::Deeper
        } else if self.nodes.len() >= MAX_STACKS
            || self.line_bytes + bytes_before + name_bytes > MAX_LINE_BYTES
        {
            Frame::Others
        } else {
            frame
        };
        if let Some(&node) = self.children.get(&(parent_node, frame)) {
            return Place {
                node,
                is_shared: false,
            };
        }
        let line_bytes = bytes_before + self.name_bytes(frame);
        self.line_bytes = self.line_bytes.saturating_add(line_bytes);
        // There are at most twice MAX_STACKS.
        let node = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.push(Node {
            parent: parent_node,
            frame,
            frames: frames + 1,
            line_bytes,
            value: 0,
        });
        self.children.insert((parent_node, frame), node);
        Place {
            node,
            is_shared: false,
        }
    }

    fn name_bytes(&mut self, frame: Frame) -> usize {
        match frame {
            Frame::Function(function) => self.symbols.function_name(function).map_or(1, str::len),
            Frame::Deeper => DEEPER.len(),
            Frame::Others => OTHERS.len(),
            Frame::Hidden => HIDDEN.len(),
        }
    }

    fn push_lines(&mut self, out: &mut Vec<u8>) {
        let mut lines: Vec<Vec<u8>> = Vec::new();
        for node in &self.nodes {
            if node.value == 0 {
                continue;
            }
            let mut frames = vec![node.frame];
            let mut parent = node.parent;
            while let Some(node) = parent.and_then(|parent| self.nodes.get(parent as usize)) {
                frames.push(node.frame);
                parent = node.parent;
            }
            let mut line = Vec::with_capacity(node.line_bytes + 24);
            for (index, frame) in frames.iter().rev().enumerate() {
                if index > 0 {
                    line.push(b';');
                }
                let start = line.len();
                match frame {
                    Frame::Function(function) => {
                        let name = self.symbols.function_name(*function);
                        push_escaped_name(name.unwrap_or("?"), &mut line);
                    }
                    Frame::Deeper => line.extend_from_slice(DEEPER.as_bytes()),
                    Frame::Others => line.extend_from_slice(OTHERS.as_bytes()),
                    Frame::Hidden => line.extend_from_slice(HIDDEN.as_bytes()),
                }
                for byte in line.iter_mut().skip(start) {
                    if *byte == b';' {
                        *byte = b':';
                    }
                }
            }
            line.push(b' ');
            push_number(node.value, &mut line);
            line.push(b'\n');
            lines.push(line);
        }
        // The order does not depend on which goroutine came first.
        lines.sort_unstable();
        for line in lines {
            out.extend_from_slice(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::VirtualAddress;
    use crate::output::{CallSite, CodePosition};
    use crate::plan::SiteId;
    use crate::trace::{Beginning, CallEnd, LineBody};
    use std::time::Duration;

    struct OneName;

    impl Symbols for OneName {
        fn function_name(&mut self, _: FunctionId) -> Option<&str> {
            Some("main.a;b")
        }
        fn return_site(&mut self, _: SiteId) -> Option<CodePosition<'_>> {
            None
        }
        fn call_site(&mut self, _: VirtualAddress) -> Option<CallSite<'_>> {
            None
        }
    }

    #[test]
    fn endless_recursion_ends_in_one_frame_and_time_in_it_counts_once() {
        let mut renderer = FoldedRenderer::new(OneName, FoldedValue::TotalTime);
        let mut out = Vec::new();
        let goroutine = Goroutine { pid: 1, goid: 1 };
        let function = FunctionId(0);
        let depth = 2 * MAX_FRAMES as u64;
        let mut line = |time_ns, level, body| {
            renderer.line(
                &TraceLine {
                    goroutine,
                    time: MonotonicTime { time_ns },
                    level,
                    body,
                },
                &mut out,
            );
        };
        for level in 0..depth {
            let body = LineBody::Entry {
                function,
                beginning: Beginning::Seen {
                    call: VirtualAddress(7),
                },
            };
            line(level, level as u32, body);
        }
        for level in (0..depth).rev() {
            let time = 2 * depth - level;
            line(
                time,
                level as u32,
                LineBody::End {
                    function,
                    how: CallEnd::Returned { site: None },
                    duration: Some(Duration::from_nanos(time - level)),
                },
            );
        }
        renderer.finish(&mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        assert_eq!(text.lines().count(), MAX_FRAMES);
        let deepest = text.lines().find(|line| line.contains(DEEPER));
        let deepest = deepest.expect("it is deep enough");
        let below = depth - (MAX_FRAMES as u64 - 1);
        assert!(deepest.ends_with(&format!(";main.a:b;{DEEPER} {}", 2 * below)));
        assert!(
            text.lines()
                .any(|line| line == format!("main.a:b {}", 2 * depth))
        );
    }
}
