//! Calls of targets that were open when tracing began. A target that returns outside of any tree was,
//! and so was the outermost one that is found on the stack at a goroutine's first event of another
//! function.

use aya_ebpf::bindings::pt_regs;
use aya_ebpf::helpers::{
    bpf_get_current_task, bpf_ktime_get_ns, bpf_probe_read_kernel, bpf_probe_read_user,
};
use gofuncgraph_common::{
    AlreadyOpenRecord, Control, Counter, GoroutineKey, LOOKED_AT_COUNT, OPEN_FRAMES, RecordHeader,
    RecordKind, TargetCall, WalkedFrame,
};

use crate::chain::{End, find_end};
use crate::goroutine::{is_running_goroutine, read, read_word};
use crate::maps::{self, ALREADY_OPEN_SEARCH, CONFIG, LOOKED_AT, TARGET_CALLS};
use crate::ring;
use crate::tree::Gate;

/// Process ids have 22 bits (Linux: include/linux/threads.h, PID_MAX_LIMIT).
const GOID_BITS: u32 = 42;

/// 2^64 divided by the golden ratio: what is multiplied by it spreads evenly.
const INDEX_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A hit of a probe at an entry or a RET: SP is at a return address, and RBP is the caller's.
pub struct Hit {
    pub key: GoroutineKey,
    pub g: u64,
    pub site: u32,
    /// The site's virtual address; 0: not known.
    pub address: u32,
    /// It is a RET.
    pub is_return: bool,
    /// It is a target's RET.
    pub is_targets_return: bool,
}

/// The outermost call of a target that is open.
#[derive(Clone, Copy)]
struct Root {
    /// Where its return address stands; 0: there is none.
    slot: u64,
    return_address: u64,
    /// A site of the target.
    site: u32,
}

/// Nothing is searched from now on: a target's call was not told of.
#[inline(always)]
pub fn give_up() {
    if let Some(search) = ALREADY_OPEN_SEARCH.get_ptr_mut(0) {
        // SAFETY: an array element is valid while the program runs.
        unsafe { (*search).is_wanted = 0 };
    }
}

/// A goroutine that has no gate had an event other than a target's entry. If it is in a call of a
/// target, the tree of that call starts. All calls of targets that began since tracing did have been
/// told of, so this one began before.
#[inline(always)]
pub fn find(control: *mut Control, regs: &pt_regs, hit: &Hit) -> Option<Gate> {
    let search = ALREADY_OPEN_SEARCH.get(0)?;
    if search.is_wanted == 0 || hit.address == 0 {
        return None;
    }
    if !hit.is_targets_return && is_looked_at(hit.key) || !is_process_older_than(search.since_ns) {
        return None;
    }
    let [low, high] = read::<[u64; 2]>(hit.g)?;
    if regs.rsp <= low || regs.rsp >= high {
        return None;
    }
    let load_bias = regs.rip.wrapping_sub(u64::from(hit.address));
    let root = if hit.is_targets_return {
        Root {
            slot: regs.rsp,
            return_address: read_word(regs.rsp)?,
            site: hit.site,
        }
    } else {
        find_root(regs, load_bias, high)?
    };
    if root.slot == 0 || !is_running_goroutine(hit.g) {
        return None;
    }
    let root_depth_bytes = high - root.slot;
    let mut gate = Gate::start_tree(hit.key, None, root_depth_bytes)?;
    let depth_bytes = high - regs.rsp;
    gate.set_deepest_open_bytes(if hit.is_return {
        depth_bytes
    } else {
        depth_bytes - 8
    });
    let is_promoted = maps::site(root.site).is_some_and(|state| state.tier != 0);
    if is_promoted
        && let End::Nothing(_) = find_end(
            root.slot,
            root_depth_bytes,
            root_depth_bytes,
            root.return_address,
            load_bias,
        )
    {
        gate.watch_unobserved(root_depth_bytes, root.return_address);
    }
    write(control, &mut gate, regs, hit, root.slot, high);
    Some(gate)
}

/// Whether the current process is older, and not one that has been told of as ended because its first
/// thread has.
#[inline(always)]
fn is_process_older_than(time_ns: u64) -> bool {
    let config = CONFIG.load();
    let (leader, start_time, exit_state) = (
        config.task_group_leader_offset_bytes,
        config.task_start_time_offset_bytes,
        config.task_exit_state_offset_bytes,
    );
    if leader == 0 {
        return false;
    }
    // SAFETY: a helper without preconditions.
    let task = unsafe { bpf_get_current_task() };
    let member = |task: u64, offset: u32| task.wrapping_add(u64::from(offset));
    // SAFETY: the helper checks the address.
    let Ok(task) = (unsafe { bpf_probe_read_kernel(member(task, leader) as *const u64) }) else {
        return false;
    };
    // SAFETY: as above.
    let started_ns = unsafe { bpf_probe_read_kernel(member(task, start_time) as *const u64) };
    // SAFETY: as above.
    let ended = unsafe { bpf_probe_read_kernel(member(task, exit_state) as *const u32) };
    started_ns.is_ok_and(|started_ns| started_ns < time_ns) && ended == Ok(0)
}

/// Says whether the goroutine's stack was searched before, and remembers that it was. Others can take
/// its place; then it is searched once more.
#[inline(always)]
fn is_looked_at(key: GoroutineKey) -> bool {
    let name = name_of(key);
    // Processes of one program have the same goroutine ids: the upper bits of the product depend on
    // all of the name.
    let index = name.wrapping_mul(INDEX_FACTOR) >> (u64::BITS - LOOKED_AT_COUNT.ilog2());
    let Some(place) = LOOKED_AT.get_ptr_mut(index as u32) else {
        return true;
    };
    // SAFETY: an array element is valid while the program runs, and any value is a name: where two
    // programs race for a place, one of the goroutines is searched once more.
    unsafe {
        if *place == name {
            return true;
        }
        *place = name;
    }
    false
}

#[inline(always)]
fn name_of(key: GoroutineKey) -> u64 {
    key.goid ^ u64::from(key.tgid) << GOID_BITS
}

/// Follows frame pointers to the goroutine's first function: where the way does not lead there,
/// nothing is certain.
#[inline(always)]
fn find_root(regs: &pt_regs, load_bias: u64, high: u64) -> Option<Root> {
    let mut return_address = read_word(regs.rsp)?;
    let mut slot = regs.rsp;
    let mut frame_pointer = regs.rbp;
    let mut root = Root {
        slot: 0,
        return_address: 0,
        site: 0,
    };
    for _ in 1..OPEN_FRAMES {
        if frame_pointer == 0 {
            return Some(root);
        }
        if !is_above(slot, frame_pointer, high) {
            return None;
        }
        let [next, above] = read_mapped(frame_pointer)?;
        let next_slot = frame_pointer + 8;
        if let Some(call) = target_call(return_address, load_bias)
            && u64::from(call.frame_bytes) == next_slot - slot
        {
            root = Root {
                slot: next_slot,
                return_address: above,
                site: call.site,
            };
        }
        slot = next_slot;
        return_address = above;
        frame_pointer = next;
    }
    None
}

/// Reads two words of the stack. A page that is not mapped at the moment is not fetched: whatever can
/// happen in each pass of a loop multiplies what the verifier has to look at.
#[inline(always)]
fn read_mapped(address: u64) -> Option<[u64; 2]> {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user(address as *const [u64; 2]) }.ok()
}

/// Whether a caller's frame pointer can be there: on the stack, above the callee's return address.
#[inline(always)]
fn is_above(slot: u64, frame_pointer: u64, high: u64) -> bool {
    frame_pointer > slot && frame_pointer % 8 == 0 && frame_pointer < high - 8
}

/// The call of a target's that returns to `return_address`.
#[inline(always)]
fn target_call(return_address: u64, load_bias: u64) -> Option<TargetCall> {
    let address = u32::try_from(return_address.wrapping_sub(load_bias)).ok()?;
    let call = TARGET_CALLS.get_ptr(address)?;
    // SAFETY: a hash element stays mapped while the program runs.
    Some(unsafe { *call })
}

/// Tells of the calls that are open, the innermost first. Only the stack has room for them all: it
/// is read again.
#[inline(always)]
fn write(
    control: *mut Control,
    gate: &mut Gate,
    regs: &pt_regs,
    hit: &Hit,
    root_slot: u64,
    high: u64,
) {
    let header = RecordHeader {
        kind: RecordKind::AlreadyOpen as u16,
        size: size_of::<AlreadyOpenRecord>() as u16,
        tgid: hit.key.tgid,
        sequence: gate.next_sequence(),
        goid: hit.key.goid,
        // SAFETY: a helper without preconditions.
        time_ns: unsafe { bpf_ktime_get_ns() },
    };
    let tree = gate.tree();
    let written = ring::write_in_place(control, Counter::EntriesLost, |record| {
        let record: *mut AlreadyOpenRecord = record;
        // SAFETY: there is room for a record.
        unsafe {
            (*record).header = header;
            (*record).instruction_pointer = regs.rip;
            (*record).site = hit.site;
            (*record).tree = tree;
            (*record).padding = 0;
            (*record).root_depth_bytes = high - root_slot;
        }
        let mut slot = regs.rsp;
        let mut return_address = read_word(slot).unwrap_or(0);
        let mut frame_pointer = regs.rbp;
        for index in 0..OPEN_FRAMES {
            let frame = WalkedFrame {
                return_address,
                depth_bytes: high - slot,
            };
            // SAFETY: as above.
            unsafe { (*record).frames[index] = frame };
            if slot >= root_slot {
                break;
            }
            slot = frame_pointer.wrapping_add(8);
            let Some([next, above]) = read_mapped(frame_pointer) else {
                break;
            };
            return_address = above;
            frame_pointer = next;
        }
    });
    if !written {
        gate.skip_number();
    }
}
