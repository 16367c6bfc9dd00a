use std::fmt;

/// An address as the ELF file has it (`p_vaddr`, `st_value`, pclntab), before any load bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualAddress(pub u64);

/// A byte position in the file: what a uprobe is attached to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileOffset(pub u64);

/// An address in a running process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuntimeAddress(pub u64);

/// Runtime address minus virtual address, modulo 2^64; 0 unless the executable is
/// position independent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoadBias(pub u64);

impl VirtualAddress {
    /// The address `bytes` further on, or `None` past the end of the address space.
    pub fn checked_add(self, bytes: u64) -> Option<Self> {
        self.0.checked_add(bytes).map(Self)
    }

    /// The distance from `start` in bytes, or `None` if `start` is greater.
    pub fn offset_from(self, start: Self) -> Option<u64> {
        self.0.checked_sub(start.0)
    }
}

impl RuntimeAddress {
    /// Where the file has what stands at this address in a process with `bias`.
    pub fn to_virtual(self, bias: LoadBias) -> VirtualAddress {
        VirtualAddress(self.0.wrapping_sub(bias.0))
    }

    /// The bias of a process in which `address` of the file stands here.
    pub fn load_bias(self, address: VirtualAddress) -> LoadBias {
        LoadBias(self.0.wrapping_sub(address.0))
    }
}

impl fmt::Display for VirtualAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for FileOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for RuntimeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
