//! Where the end of a promoted function's call is seen: where it returns to, or, if its caller
//! returns from there at once, where the caller does.

use gofuncgraph_common::{MAX_CHAIN, NO_SITE};

use crate::goroutine::read_word;
use crate::maps;

/// What tells of a call's end.
#[derive(Clone, Copy)]
pub enum End {
    /// The observer where it returns to.
    Observer,
    /// The observer where a caller returns to, a runtime address.
    CallersObserver(u64),
    /// The RET of the caller that has this depth.
    CallersReturn(u64),
    /// Nothing: there is no observer where it, or a caller, returns to. 0 if that is too far.
    Nothing(u64),
}

/// Looks for what tells of the end of the call whose return address stands at `stack_pointer`,
/// at `depth_bytes`. RETs of callers count from `root_depth_bytes` on.
#[inline(always)]
pub fn find_end(
    stack_pointer: u64,
    depth_bytes: u64,
    root_depth_bytes: u64,
    return_address: u64,
    load_bias: u64,
) -> End {
    let mut address = return_address;
    let mut above_bytes = 0_u64;
    for step in 0..MAX_CHAIN {
        let Some(place) = maps::return_place(address.wrapping_sub(load_bias)) else {
            return End::Nothing(address);
        };
        if place.caller_slot_bytes == 0 {
            return if step == 0 {
                End::Observer
            } else {
                End::CallersObserver(address)
            };
        }
        above_bytes += u64::from(place.caller_slot_bytes);
        // Beyond the stack: it is not what the code says it is.
        if above_bytes >= depth_bytes {
            return End::Nothing(0);
        }
        let caller_depth_bytes = depth_bytes - above_bytes;
        if caller_depth_bytes >= root_depth_bytes && has_probes_on_returns(place.caller_site) {
            return End::CallersReturn(caller_depth_bytes);
        }
        let Some(word) = read_word(stack_pointer.wrapping_add(above_bytes)) else {
            return End::Nothing(0);
        };
        address = word;
    }
    End::Nothing(0)
}

#[inline(always)]
fn has_probes_on_returns(site: u32) -> bool {
    site != NO_SITE && maps::site(site).is_some_and(|state| state.tier == 0)
}
