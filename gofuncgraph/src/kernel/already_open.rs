//! The search for calls that were open when tracing began.

use std::time::Duration;

use aya::maps::{Array, HashMap, MapData};
use gofuncgraph_common::{AlreadyOpenSearch, TargetCall as CallValue, map_names};

use rustix::time::{ClockId, clock_gettime};

use super::KernelError;
use super::tracer::{Tracer, access_error};
use crate::plan::TargetCall;

/// Calls of targets that there is room for.
pub const MAX_TARGET_CALLS: u32 = 1 << 15;

/// What the search needs of the kernel side.
pub(super) struct AlreadyOpen {
    pub(super) search: Array<MapData, AlreadyOpenSearch>,
    pub(super) target_calls: HashMap<MapData, u32, CallValue>,
}

impl Tracer {
    /// Where a goroutine is in one of these calls by now, the tree of its outermost target is told of
    /// once something happens on it. To be called before [`Tracer::enable`] and after attaching, so
    /// that a call of a target whose beginning is not told of began before. Calls beyond
    /// [`MAX_TARGET_CALLS`], and those in the upper part of a file of more than 4 GiB, are not
    /// found.
    ///
    /// # Errors
    /// If a map cannot be written.
    pub fn search_already_open(&mut self, calls: &[TargetCall]) -> Result<(), KernelError> {
        for call in calls.iter().take(MAX_TARGET_CALLS as usize) {
            let Ok(return_address) = u32::try_from(call.return_address.0) else {
                continue;
            };
            let value = CallValue {
                site: call.entry.0,
                frame_bytes: call.frame_bytes,
            };
            self.already_open
                .target_calls
                .insert(return_address, value, 0)
                .map_err(|error| access_error(map_names::TARGET_CALLS, &error))?;
        }
        let now = clock_gettime(ClockId::Monotonic);
        let now = Duration::new(now.tv_sec.cast_unsigned(), now.tv_nsec as u32);
        self.set_search(AlreadyOpenSearch {
            is_wanted: 1,
            padding: 0,
            since_ns: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
        })
    }

    /// Calls of targets may have begun without being told of: none is searched from now on.
    ///
    /// # Errors
    /// If the map cannot be written.
    pub(super) fn give_up_search(&mut self) -> Result<(), KernelError> {
        self.set_search(AlreadyOpenSearch::default())
    }

    fn set_search(&mut self, search: AlreadyOpenSearch) -> Result<(), KernelError> {
        self.already_open
            .search
            .set(0, search, 0)
            .map_err(|error| access_error(map_names::ALREADY_OPEN_SEARCH, &error))
    }
}
