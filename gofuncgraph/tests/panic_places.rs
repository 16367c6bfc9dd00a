//! Where panics come from, by return addresses of real programs put together by hand.

mod support;

use std::path::Path;

use gofuncgraph::binary::{Function, GoBinary, LoadBias, VirtualAddress};
use gofuncgraph::events::{CodeAddress, FrameDepth, PanicPlaces, PanickingCall};
use gofuncgraph_common::WalkedFrame;
use support::go_build::{Flavor, Variant, build};

const BIAS: LoadBias = LoadBias(0x5555_0000_0000);

struct Program {
    bytes: Vec<u8>,
}

impl Program {
    fn build(toolchain: &'static str) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/panics");
        let flavor = Flavor::Plain;
        let path = build(&source, Variant { toolchain, flavor });
        let bytes = std::fs::read(path).expect("it was just built");
        Self { bytes }
    }
}

fn function<'a>(binary: &GoBinary<'a>, name: &str) -> Function<'a> {
    let functions = binary.find_functions_named(name);
    *functions.first().unwrap_or_else(|| panic!("no {name}"))
}

/// Where the first direct call in `caller` returns to whose callee `is_wanted`.
fn return_address(
    binary: &GoBinary<'_>,
    caller: &str,
    is_wanted: impl Fn(&str) -> bool,
) -> VirtualAddress {
    let caller = function(binary, caller);
    let code = binary.code(caller.start..caller.end).expect("it has code");
    let calls = code.windows(5).enumerate().filter_map(|(offset, call)| {
        let [0xe8, distance @ ..] = call else {
            return None;
        };
        let after = caller.start.checked_add(offset as u64 + 5)?;
        let distance = i32::from_le_bytes(distance.try_into().ok()?);
        let callee = VirtualAddress(after.0.wrapping_add_signed(distance.into()));
        let callee = binary.find_function(callee)?;
        is_wanted(callee.name).then_some(after)
    });
    let mut calls = calls;
    let name = caller.name;
    calls
        .next()
        .unwrap_or_else(|| panic!("no such call in {name}"))
}

fn frame(address: VirtualAddress, depth_bytes: u64) -> WalkedFrame {
    WalkedFrame {
        return_address: address.0.wrapping_add(BIAS.0),
        depth_bytes,
    }
}

/// Frames as the walk finds them if it passes over none, the innermost first. Its return address
/// stands 1000 bytes deep.
fn frames(binary: &GoBinary<'_>, addresses: &[VirtualAddress]) -> Vec<WalkedFrame> {
    let mut frames: Vec<WalkedFrame> = Vec::new();
    let mut callee: Option<(VirtualAddress, u64)> = None;
    for address in addresses {
        let depth_bytes = callee.map_or(1000, |(callee, depth_bytes)| {
            let call = VirtualAddress(callee.0 - 1);
            depth_bytes - 8 - u64::from(binary.frame_bytes(call).expect("it is code"))
        });
        frames.push(frame(*address, depth_bytes));
        callee = Some((*address, depth_bytes));
    }
    frames
}

#[test]
fn what_the_runtime_panicked_for_has_called_it() {
    for toolchain in ["go1.17.13", "go1.20.14", "go1.27.3"] {
        let program = Program::build(toolchain);
        let binary = GoBinary::parse(&program.bytes).expect("Go built it");
        let places = PanicPlaces::new(&binary);
        let is_called = |callee: &'static str| move |name: &str| name == callee;
        let closing = return_address(&binary, "runtime.closechan", is_called("runtime.gopanic"));
        let closer = return_address(&binary, "main.closeTwice", is_called("runtime.closechan"));
        let caller = return_address(&binary, "main.p2", is_called("main.p3"));

        let walked = frames(&binary, &[closing, closer, caller]);
        let origin = places.origin(&walked, BIAS).expect("it is certain");
        assert_eq!(Some(origin.address), CodeAddress::new(closer));
        let call = PanickingCall {
            depth: FrameDepth {
                bytes: walked[2].depth_bytes,
            },
            return_address: Some(caller),
        };
        assert_eq!(origin.call, Some(call), "{toolchain}");
        // Depths of another origin give the same place.
        let far = walked.iter().map(|frame| WalkedFrame {
            depth_bytes: frame.depth_bytes.wrapping_sub(5000),
            ..*frame
        });
        let far: Vec<_> = far.collect();
        let other = places.origin(&far, BIAS).map(|origin| origin.address);
        assert_eq!(other, Some(origin.address));

        // A frame was passed over: it is not known who has called the runtime.
        let passed_over = [walked[0], walked[2], walked[2]];
        assert_eq!(places.origin(&passed_over, BIAS), None, "{toolchain}");
        // What has called `panic` itself is the first, but which call that is is not known.
        let passed_over = [walked[1], frame(caller, 1)];
        let origin = places.origin(&passed_over, BIAS).expect("it is certain");
        assert_eq!(Some(origin.address), CodeAddress::new(closer));
        assert_eq!(origin.call, None, "{toolchain}");
        // The walk ended, or never left the runtime.
        let nothing = WalkedFrame::default();
        assert_eq!(places.origin(&[walked[0], nothing], BIAS), None);
        let runtime = frames(&binary, &[closing; 6]);
        assert_eq!(places.origin(&runtime, BIAS), None);
        assert_eq!(places.origin(&[], BIAS), None);
        // No code at all.
        let nowhere = [frame(VirtualAddress(7), 300); 2];
        assert_eq!(places.origin(&nowhere, BIAS), None);
    }
}

#[test]
fn a_fault_is_where_the_signal_came() {
    let program = Program::build("go1.27.3");
    let binary = GoBinary::parse(&program.bytes).expect("Go built it");
    let places = PanicPlaces::new(&binary);
    // Where `runtime.panicmem` was inlined.
    let is_raise = |name: &str| name == "runtime.gopanic";
    let raised = return_address(&binary, "runtime.sigpanic", is_raise);
    let get = "main.(*node).get";
    let caller = return_address(&binary, "main.derefLeaf", |name| name == get);
    let in_function = |address: VirtualAddress| {
        let function = binary.find_function(VirtualAddress(address.0 - 1));
        function.map(|function| function.name)
    };
    // The first instruction of a function without a frame: the byte before it is another's, and
    // frame pointers pass over who has called it.
    for name in [get, "runtime.memmove"] {
        let fault = function(&binary, name).start;
        let mut walked = frames(&binary, &[raised, fault]);
        let depth_bytes = walked[1].depth_bytes;
        walked.push(frame(caller, depth_bytes - 100));
        let origin = places.origin(&walked, BIAS).expect("it is certain");
        assert_eq!(in_function(origin.address.address()), Some(name));
        let call = origin.call.expect("it is certain");
        let depth = |bytes| FrameDepth { bytes };
        assert!(call.is(depth(depth_bytes - 8), VirtualAddress(1)), "{name}");
        assert!(!call.is(depth(depth_bytes - 100), caller), "{name}");
        assert!(!call.is(depth(depth_bytes), caller), "{name}");
    }
}

#[test]
fn what_goes_on_in_the_runtime_has_not_recovered() {
    let program = Program::build("go1.27.3");
    let binary = GoBinary::parse(&program.bytes).expect("Go built it");
    let places = PanicPlaces::new(&binary);
    let within = |name| {
        function(&binary, name)
            .start
            .checked_add(20)
            .expect("small")
    };
    assert_eq!(places.resumed(within("runtime.Goexit")), None);
    let recovering = within("main.recovering");
    assert_eq!(places.resumed(recovering), CodeAddress::new(recovering));
}
