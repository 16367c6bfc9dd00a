//! The search for calls that were open when tracing began.

use aya::maps::{Array, HashMap, MapData};
use gofuncgraph_common::{AlreadyOpenSearch, TargetCall as CallValue, map_names};

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
    /// From the first event of a goroutine on that is in one of these calls, its outermost target's
    /// tree is told of. To be called before [`Tracer::enable`] and after attaching, so that a call
    /// of a target whose beginning is not told of began before. Calls beyond
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
        let search = AlreadyOpenSearch { is_wanted: 1 };
        self.already_open
            .search
            .set(0, search, 0)
            .map_err(|error| access_error(map_names::ALREADY_OPEN_SEARCH, &error))
    }
}
