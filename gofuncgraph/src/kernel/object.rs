//! The embedded eBPF object.

/// As `cargo xtask build-ebpf` made it; aligned for reading ELF structures in place.
pub(super) static EMBEDDED: &[u8] = aya::include_bytes_aligned!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/ebpf/gofuncgraph.bpf.o"
));
