//! Functions that the compiler makes to call another one: for method values, promoted methods, the
//! other calling convention, dictionaries of generic methods, `go` and `defer` with arguments.
//!
//! In the source there is one call, so one is shown: the wrapped function's, as in Go's own stack
//! traces. Where the wrapped function was inlined into the wrapper there is only the wrapper.

use iced_x86::{Decoder, DecoderOptions, FlowControl};

use super::placement::BITNESS;
use crate::binary::{Function, GoBinary, InlinedCalls, VirtualAddress};

/// Whether `function` is a wrapper that calls what it wraps.
pub(super) fn forwards(
    binary: &GoBinary<'_>,
    function: &Function<'_>,
    inlined: &InlinedCalls<'_>,
) -> bool {
    function.is_wrapper && !inlined.has_copies_in_wrapper(function.index) && calls(binary, function)
}

/// Whether it calls anything but what the runtime has for the compiler, for instance to report a
/// receiver that is nil.
fn calls(binary: &GoBinary<'_>, function: &Function<'_>) -> bool {
    const RUNTIME: &str = "runtime.";
    let code = binary.code(function.start..function.end);
    let start = function.start.0;
    let decoder = Decoder::with_ip(
        BITNESS,
        code.unwrap_or_default(),
        start,
        DecoderOptions::NONE,
    );
    decoder.into_iter().any(|it| match it.flow_control() {
        FlowControl::IndirectCall => true,
        FlowControl::Call => {
            let called = binary.find_function(VirtualAddress(it.near_branch_target()));
            function.name.starts_with(RUNTIME)
                || called.is_none_or(|called| !called.name.starts_with(RUNTIME))
        }
        _ => false,
    })
}
