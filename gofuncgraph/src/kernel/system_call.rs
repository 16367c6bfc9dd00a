//! The bpf(2) calls that aya 0.14 does not have: loading a program for uprobe_multi, and its links.

use std::ffi::{CStr, c_long};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use aya_obj::generated::{
    BPF_ALU64, BPF_DW, BPF_EXIT, BPF_F_SLEEPABLE, BPF_JMP, BPF_K, BPF_LDX, BPF_MEM, BPF_MOV,
    BPF_STX, bpf_attach_type, bpf_attr, bpf_cmd, bpf_insn, bpf_prog_type,
};

/// Returned for an instruction that cannot be probed; not a errno of user space
/// (Linux: include/linux/errno.h, ENOTSUPP).
pub(super) const ENOTSUPP: i32 = 524;

fn bpf(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: `attributes` is a whole bpf_attr; the callers fill in pointers to memory that
    // lives until the call returns.
    let result: c_long = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as c_long,
            std::ptr::from_mut(attributes),
            size_of::<bpf_attr>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let descriptor =
        i32::try_from(result).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    // SAFETY: both commands used here return a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn zeroed_attributes() -> bpf_attr {
    // SAFETY: bpf_attr is a union of integers, for which zeros are valid, and the kernel wants
    // unused bytes to be zero.
    unsafe { std::mem::zeroed() }
}

/// Loads a uprobe program that writes to a register, which not every kernel allows, and forgets
/// it.
pub(super) fn try_to_load_register_writer() -> io::Result<()> {
    let instruction = |code: u32, destination, source, offset| bpf_insn {
        code: code as u8,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(destination, source),
        off: offset,
        imm: 0,
    };
    // Offset of `ip` in pt_regs (Linux: arch/x86/include/asm/ptrace.h).
    let ip = 128;
    let copy_ip_onto_itself = [
        instruction(BPF_LDX | BPF_MEM | BPF_DW, 2, 1, ip),
        instruction(BPF_STX | BPF_MEM | BPF_DW, 1, 2, ip),
        instruction(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0),
        instruction(BPF_JMP | BPF_EXIT, 0, 0, 0),
    ];
    load_uprobe_multi_program("writes_ip", &copy_ip_onto_itself, c"GPL", &mut []).map(drop)
}

/// Loads a uprobe program that can be linked with [`link_uprobe_multi`]. A non-empty `log` takes
/// the verifier's words.
pub(super) fn load_uprobe_multi_program(
    name: &str,
    instructions: &[bpf_insn],
    license: &CStr,
    log: &mut [u8],
) -> io::Result<OwnedFd> {
    let mut attributes = zeroed_attributes();
    // SAFETY: the union is all zeros, so each of its structs may be written through.
    let load = unsafe { &mut attributes.__bindgen_anon_3 };
    load.prog_type = bpf_prog_type::BPF_PROG_TYPE_KPROBE as u32;
    load.expected_attach_type = bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32;
    load.prog_flags = BPF_F_SLEEPABLE;
    load.insns = instructions.as_ptr() as u64;
    load.insn_cnt = u32::try_from(instructions.len())
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    load.license = license.as_ptr() as u64;
    // The last byte stays the terminating NUL.
    for (target, byte) in load.prog_name.iter_mut().take(15).zip(name.bytes()) {
        *target = byte.cast_signed();
    }
    if !log.is_empty() {
        load.log_level = 1;
        load.log_buf = log.as_mut_ptr() as u64;
        load.log_size =
            u32::try_from(log.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    }
    bpf(bpf_cmd::BPF_PROG_LOAD, &mut attributes)
}

/// Probes of one link: positions in the file and, of the same length, their cookies.
pub(super) struct UprobeMulti<'a> {
    pub(super) path: &'a CStr,
    pub(super) offsets: &'a [u64],
    pub(super) cookies: &'a [u64],
    /// The process that they are for, in the caller's pid namespace; `None`: every one.
    pub(super) pid: Option<u32>,
}

/// Attaches `program` to every process that maps the file, now or later, or to one of them.
/// Closing the descriptor detaches it. ESRCH: there is no such process.
pub(super) fn link_uprobe_multi(
    program: BorrowedFd<'_>,
    probes: &UprobeMulti<'_>,
) -> io::Result<OwnedFd> {
    if probes.offsets.len() != probes.cookies.len() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let mut attributes = zeroed_attributes();
    // SAFETY: the union is all zeros, so each of its structs may be written through.
    let create = unsafe { &mut attributes.link_create };
    create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    create.attach_type = bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32;
    // SAFETY: as above, for the nested union.
    let multi = unsafe { &mut create.__bindgen_anon_3.uprobe_multi };
    multi.path = probes.path.as_ptr() as u64;
    multi.offsets = probes.offsets.as_ptr() as u64;
    multi.cookies = probes.cookies.as_ptr() as u64;
    multi.cnt = u32::try_from(probes.offsets.len())
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    multi.pid = probes.pid.unwrap_or(0);
    bpf(bpf_cmd::BPF_LINK_CREATE, &mut attributes)
}
