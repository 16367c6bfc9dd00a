//! Taking debug sections out of an eBPF object, and proving that the rest still loads.

use anyhow::{Context, Result, bail};
use object::build::elf::{Builder, SectionData};

/// The object without `.debug_*` sections, their relocations and the symbols that belong to
/// them. BTF and its relocations stay.
pub fn strip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut builder =
        Builder::read(bytes).context("bpf-linker's output is not an ELF file that can be read")?;
    let is_debug = |name: &[u8]| name.starts_with(b".debug_") || name.starts_with(b".rel.debug_");
    for section in &mut builder.sections {
        section.delete = is_debug(&section.name);
    }
    for symbol in &mut builder.symbols {
        // The file symbol names the linker's module and nothing refers to it.
        symbol.delete = symbol.st_type() == object::elf::STT_FILE;
    }
    builder.delete_orphans();
    // LLVM keeps the names of sections and of symbols in one table, the writer wants two.
    if !builder
        .sections
        .iter()
        .any(|section| matches!(section.data, SectionData::SectionString))
    {
        let names = builder.sections.add();
        names.name = b".shstrtab"[..].into();
        names.sh_type = object::elf::SHT_STRTAB;
        names.sh_addralign = 1;
        names.data = SectionData::SectionString;
    }
    let mut stripped = Vec::new();
    builder
        .write(&mut stripped)
        .context("the object without its debug sections cannot be written")?;
    Ok(stripped)
}

/// Checks that aya's parser finds programs, BTF and the license in the object.
pub fn verify(bytes: &[u8]) -> Result<()> {
    let object =
        aya_obj::Object::parse(bytes).context("aya-obj cannot parse the stripped object")?;
    if object.btf.is_none() || object.btf_ext.is_none() {
        bail!("the stripped object has no BTF: is `--btf` still passed to bpf-linker?");
    }
    if object.programs.is_empty() {
        bail!(
            "the stripped object has no programs: does {} define any?",
            super::fingerprint::EBPF_CRATE
        );
    }
    if object.license.to_bytes() != b"Dual MIT/GPL" {
        bail!(
            "the object's license is {:?}, but only \"Dual MIT/GPL\" may call the helpers it needs",
            object.license
        );
    }
    Ok(())
}
