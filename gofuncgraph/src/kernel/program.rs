//! Loads the uprobe programs in the form that uprobe_multi links want.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::thread;

use aya::Ebpf;
use aya::maps::{Map, MapData};
use aya_obj::Object;
use gofuncgraph_common::program_names;

use super::KernelError;
use super::refusal::{lockdown_note, refused};
use super::ret_emulation::RetEmulation;
use super::system_call::{UprobeMulti, link_uprobe_multi, load_uprobe_multi_program};

/// The programs that probes run.
pub(super) struct UprobePrograms {
    pub(super) entry: OwnedFd,
    pub(super) function_return: OwnedFd,
    pub(super) observer: OwnedFd,
    /// What RETs get instead, if programs execute them.
    pub(super) emulating: Option<EmulatingPrograms>,
}

/// The programs for RETs that execute them.
pub(super) struct EmulatingPrograms {
    pub(super) function_return: OwnedFd,
    pub(super) observer: OwnedFd,
}

/// Loads the uprobe programs of `object`, wired to the maps of `ebpf`, which was loaded from the
/// same bytes. (aya 0.14 knows the maps but not this way of loading a program.)
pub(super) fn load(
    object: &[u8],
    ebpf: &Ebpf,
    emulation: Option<&RetEmulation>,
) -> Result<UprobePrograms, KernelError> {
    let unusable = |reason: String| KernelError::Object { reason };
    let mut object = Object::parse(object).map_err(|error| unusable(error.to_string()))?;
    let descriptors: HashMap<&str, RawFd> = ebpf
        .maps()
        .filter_map(|(name, map)| Some((name, map_data(map)?.fd().as_fd().as_raw_fd())))
        .collect();
    let maps = std::mem::take(&mut object.maps);
    let text_sections: HashSet<usize> = object
        .functions
        .keys()
        .map(|(section_index, _)| *section_index)
        .collect();
    object
        .relocate_maps(
            maps.iter().filter_map(|(name, map)| {
                Some((name.as_str(), *descriptors.get(name.as_str())?, map))
            }),
            &text_sections,
        )
        .and_then(|()| object.relocate_calls(&text_sections))
        .map_err(|error| unusable(super::error::with_causes(&error)))?;
    object.sanitize_functions(aya::features());
    let object = &object;
    // The kernel verifies several programs at the same time, and this one takes longest.
    thread::scope(|scope| {
        let load_entry = || load_program(object, program_names::ENTRY);
        let entry = thread::Builder::new().spawn_scoped(scope, load_entry);
        let emulating = match emulation {
            Some(emulation) => match load_emulating(object) {
                Err(_) if !emulation.is_demanded => None,
                loaded => Some(loaded?),
            },
            None => None,
        };
        let function_return = load_program(object, program_names::RETURN)?;
        let observer = load_program(object, program_names::OBSERVER)?;
        let entry = entry.ok().and_then(|thread| thread.join().ok());
        Ok(UprobePrograms {
            entry: entry.unwrap_or_else(load_entry)?,
            function_return,
            observer,
            emulating,
        })
    })
}

fn load_emulating(object: &Object) -> Result<EmulatingPrograms, KernelError> {
    Ok(EmulatingPrograms {
        function_return: load_program(object, program_names::RETURN_EMULATED)?,
        observer: load_program(object, program_names::OBSERVER_EMULATED)?,
    })
}

fn map_data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data) | Map::HashMap(data) | Map::PerCpuArray(data) | Map::RingBuf(data) => {
            Some(data)
        }
        _ => None,
    }
}

fn load_program(object: &Object, name: &'static str) -> Result<OwnedFd, KernelError> {
    let program = object
        .programs
        .get(name)
        .ok_or_else(|| KernelError::Object {
            reason: format!("it has no program {name}"),
        })?;
    let function = object
        .functions
        .get(&program.function_key())
        .ok_or_else(|| KernelError::Object {
            reason: format!("the program {name} has no code"),
        })?;
    let load = |log: &mut [u8]| {
        load_uprobe_multi_program(name, &function.instructions, &program.license, log)
    };
    // The verifier is faster without a log, which only a failure needs.
    let source = match load(&mut []) {
        Ok(program) => return Ok(program),
        Err(source) => source,
    };
    if source.raw_os_error() == Some(libc::EPERM) {
        return Err(refused("loading a program", source));
    }
    for log_bytes in [64 << 10, 1 << 20, (16 << 20) - 1] {
        let mut log = vec![0; log_bytes];
        match load(&mut log) {
            Ok(program) => return Ok(program),
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {}
            Err(error) => return Err(failure(name, error, last_lines(&log))),
        }
    }
    Err(failure(name, source, String::new()))
}

fn failure(program: &'static str, source: io::Error, mut log: String) -> KernelError {
    log.extend(lockdown_note());
    KernelError::ProgramLoad {
        program,
        source,
        log,
    }
}

/// The end of a verifier log, where the reason stands.
fn last_lines(log: &[u8]) -> String {
    let text = CStr::from_bytes_until_nul(log)
        .map(|text| text.to_string_lossy().into_owned())
        .unwrap_or_default();
    let first = text.lines().count().saturating_sub(20);
    text.lines()
        .skip(first)
        .map(|line| format!("\n  {line}"))
        .collect()
}

/// Whether the kernel has uprobe_multi links: then a directory is refused for being one (EBADF),
/// before anything else about the link matters.
pub(super) fn check_uprobe_multi(programs: &UprobePrograms) -> Result<(), KernelError> {
    let probes = UprobeMulti {
        path: c"/",
        offsets: &[0],
        cookies: &[0],
        pid: None,
    };
    match link_uprobe_multi(programs.entry.as_fd(), &probes) {
        Err(error) if error.raw_os_error() == Some(libc::EBADF) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            Err(refused("making a uprobe_multi link", error))
        }
        _ => Err(KernelError::NoUprobeMulti {
            release: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use aya_obj::generated::{BPF_CALL, BPF_JMP, bpf_func_id};

    use super::*;
    use crate::kernel::object::EMBEDDED;

    /// See gofuncgraph-ebpf/src/stack.rs: only a preemptible kernel shows what happens without.
    #[test]
    fn uprobe_programs_keep_their_stack_on_the_task() {
        let object = Object::parse(EMBEDDED).expect("it is checked in");
        for name in [
            program_names::ENTRY,
            program_names::RETURN,
            program_names::RETURN_EMULATED,
            program_names::OBSERVER,
            program_names::OBSERVER_EMULATED,
        ] {
            let program = &object.programs[name];
            let function = &object.functions[&program.function_key()];
            let has_tail_call = function.instructions.iter().any(|instruction| {
                u32::from(instruction.code) == BPF_JMP | BPF_CALL
                    && instruction.src_reg() == 0
                    && instruction.imm == bpf_func_id::BPF_FUNC_tail_call as i32
            });
            assert!(has_tail_call, "{name}");
        }
    }
}
