//! Which calls were open when tracing began, told by the return addresses on the stack.

use std::collections::HashSet;

use gofuncgraph_common::{AlreadyOpenRecord, WalkedFrame};

use super::panic_places::callers_depth;
use super::translate::KnownSite;
use super::{
    EndProbe, Event, FrameDepth, Goroutine, GoroutineEvent, MonotonicTime, SequencePosition,
};
use crate::binary::{GoBinary, LoadBias, RuntimeAddress, VirtualAddress};
use crate::plan::{FunctionId, ProbePlan};

/// Names the functions of one executable whose calls are open.
pub(super) struct OpenCalls<'a> {
    binary: &'a GoBinary<'a>,
    /// First instructions, by [`FunctionId`].
    starts: Vec<VirtualAddress>,
    /// Functions whose RETs may have had no probes at some time.
    promoted: HashSet<FunctionId>,
}

impl<'a> OpenCalls<'a> {
    /// Of processes that run `binary`, to which the sites of `plan` are attached.
    pub(super) fn new(binary: &'a GoBinary<'a>, plan: &ProbePlan) -> Self {
        Self {
            binary,
            starts: plan.functions.iter().map(|it| it.start).collect(),
            promoted: HashSet::new(),
        }
    }

    /// Of calls of `function` that are found from now on, the RET may have no probe.
    pub(super) fn note_promoted(&mut self, function: FunctionId) {
        self.promoted.insert(function);
    }

    /// The calls that `record` tells of, the outermost first, at whose `site` it was written. `None`
    /// if the outermost is none of the plan's: the record makes no sense.
    ///
    /// Frame pointers pass over the caller of a function that keeps none. So each frame has to be
    /// as large as pclntab says that its function's is at this instruction, or it is not told of.
    pub(super) fn events(&self, record: &AlreadyOpenRecord, site: KnownSite) -> Option<Vec<Event>> {
        let bias = RuntimeAddress(record.instruction_pointer).load_bias(site.address);
        let is_root = |frame: &WalkedFrame| frame.depth_bytes == record.root_depth_bytes;
        let root = record.frames.iter().position(is_root)?;
        let frames = record.frames.get(..=root)?;
        let callers = frames.windows(2).map(|frames| match frames {
            [callee, frame] => self.caller(*callee, *frame, bias),
            _ => None,
        });
        let innermost = site.function.filter(|_| site.is_return);
        let functions = std::iter::once(innermost).chain(callers);
        let calls: Vec<(FunctionId, WalkedFrame)> = functions
            .zip(frames)
            .filter_map(|(function, frame)| Some((function?, *frame)))
            .collect();
        calls.last().filter(|(_, outermost)| is_root(outermost))?;
        let calls = calls.into_iter().rev().enumerate();
        let event =
            |(index, (function, frame)): (usize, (FunctionId, WalkedFrame))| Event::Goroutine {
                goroutine: Goroutine {
                    pid: record.header.tgid,
                    goid: record.header.goid,
                },
                position: SequencePosition {
                    sequence: record.header.sequence,
                    tree: record.tree,
                },
                time: MonotonicTime {
                    time_ns: record.header.time_ns,
                },
                kind: GoroutineEvent::Entry {
                    function,
                    depth: FrameDepth {
                        bytes: frame.depth_bytes,
                    },
                    return_address: RuntimeAddress(frame.return_address),
                    load_bias: bias,
                    starts_tree: index == 0,
                    end_probe: if self.promoted.contains(&function) {
                        EndProbe::None
                    } else {
                        EndProbe::Return
                    },
                    is_already_open: true,
                },
            };
        Some(calls.map(event).collect())
    }

    /// The function of the plan that `callee` returns to, if its own frame is `frame`.
    fn caller(
        &self,
        callee: WalkedFrame,
        frame: WalkedFrame,
        bias: LoadBias,
    ) -> Option<FunctionId> {
        let return_address = RuntimeAddress(callee.return_address).to_virtual(bias);
        let call = VirtualAddress(return_address.0.checked_sub(1)?);
        if callers_depth(callee, self.binary.frame_bytes(call)?) != frame.depth_bytes {
            return None;
        }
        let start = self.binary.find_function(call)?.start;
        let index = self.starts.binary_search(&start).ok()?;
        Some(FunctionId(u32::try_from(index).ok()?))
    }
}
