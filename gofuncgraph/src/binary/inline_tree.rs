//! Which calls the compiler replaced by the function's code: the inline trees that pclntab keeps,
//! also in stripped programs, so that stack traces name inlined functions
//! (Go: src/runtime/symtabinl.go).
//!
//! A function that has inlined calls in it has a tree of them, a node for each. A node's number is
//! what `PCDATA_InlTreeIndex` gives for the instructions that came of it; a parent's is lower than
//! its children's. How many nodes a tree has is told nowhere else.

use std::collections::{HashMap, HashSet};

use super::elf::Elf;
use super::moduledata::Module;
use super::version;
use super::{BinaryError, SourceLine, pc_value};

const PCDATA_INL_TREE_INDEX: u32 = 2;
const FUNCDATA_INL_TREE: u8 = 3;
/// Functions whose trees are looked at to see whether they are where they are taken to be.
const FUNCTIONS_TO_CHECK: usize = 32;

/// A hundred times what a program of 80 MB has; bounds the memory that damaged tables can take.
const COPIES_MAX: usize = 1 << 24;

/// How a node is laid out (`inlinedCall`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeLayout {
    /// Go 1.18 and 1.19: parent i16, funcID u8, a byte of padding, file, line, name, parent's pc.
    WithFiles,
    /// Since Go 1.20: funcID u8, 3 bytes of padding, name, parent's pc, line of `func`.
    WithStartLines,
}

/// One call that was inlined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    name_offset: u32,
    /// Where the call stands, from the start of the function.
    parent_pc: u32,
    /// Of the keyword `func`; 0 where the layout has none.
    start_line: u32,
    padding: u32,
    /// `funcID` of the inlined function.
    function_id: u8,
}

impl NodeLayout {
    fn size(self) -> usize {
        match self {
            Self::WithFiles => 20,
            Self::WithStartLines => 16,
        }
    }

    /// The node that `bytes` begins with.
    fn read(self, bytes: &[u8]) -> Option<Node> {
        let word = |position: usize| -> Option<u32> {
            let bytes = bytes.get(position..)?.first_chunk::<4>()?;
            Some(u32::from_le_bytes(*bytes))
        };
        Some(match self {
            Self::WithFiles => Node {
                name_offset: word(12)?,
                parent_pc: word(16)?,
                start_line: 0,
                padding: word(0)? >> 24,
                function_id: *bytes.get(2)?,
            },
            Self::WithStartLines => Node {
                name_offset: word(4)?,
                parent_pc: word(8)?,
                start_line: word(12)?,
                padding: word(0)? >> 8,
                function_id: *bytes.first()?,
            },
        })
    }
}

/// A function that was inlined somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlinedFunction<'data> {
    /// Full Go name, as pclntab has it.
    pub name: &'data str,
    /// It has code of its own, too: calls that were not inlined are seen.
    pub has_code: bool,
    /// How many calls were replaced by its code, as far as an instruction is left that came of
    /// it alone; at least 1. A copy may stand in a copy of another function, which counts again.
    pub copies: u32,
    /// The functions that have the copies in their code, in the order of addresses, and how many.
    pub hosts: Vec<(usize, u32)>,
    /// Where it is declared, if a copy's instructions tell.
    pub declaration: Option<SourceLine<'data>>,
}

/// Everything that was inlined in one program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InlinedCalls<'data> {
    functions: Vec<InlinedFunction<'data>>,
    unreadable: usize,
    /// Wrappers that have copies of other functions than wrappers, by index.
    wrappers_with_copies: Vec<usize>,
}

impl<'data> InlinedCalls<'data> {
    /// In the order of names.
    pub fn functions(&self) -> &[InlinedFunction<'data>] {
        &self.functions
    }

    /// The function with this name, if a call of it was inlined.
    pub fn find(&self, name: &str) -> Option<&InlinedFunction<'data>> {
        let index = self
            .functions
            .binary_search_by_key(&name, |function| function.name)
            .ok()?;
        self.functions.get(index)
    }

    /// Whether what the function `index` wraps was inlined into it. Only told of wrappers.
    pub fn has_copies_in_wrapper(&self, index: usize) -> bool {
        self.wrappers_with_copies.binary_search(&index).is_ok()
    }

    /// Number of functions whose trees are damaged, so that copies in them are not counted.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }
}

/// What is known of the copies of one function, which is named by an offset.
struct Found {
    name_offset: u32,
    start_line: u32,
    /// A function and the offset of an instruction of a copy in it.
    example: Option<(usize, u32)>,
}

/// Reads all trees. Takes time in proportion to the code at most, whatever the tables say.
///
/// # Errors
///
/// [`BinaryError::NoInlineTrees`] if they are not where Go of any known release puts them.
pub(super) fn read<'data>(
    elf: &Elf<'data>,
    module: &Module<'data>,
    table_word: u64,
    layout: NodeLayout,
    wrapper_id: u8,
) -> Result<InlinedCalls<'data>, BinaryError> {
    let trees = with_trees(module);
    if trees.is_empty() {
        return Ok(InlinedCalls::default());
    }
    let data = find_function_data(elf, module, &trees, table_word, layout).ok_or_else(|| {
        BinaryError::NoInlineTrees {
            problem: "no pointer of the module data leads to inline trees that make sense"
                .to_owned(),
        }
    })?;
    let mut slots: HashMap<u32, u32> = HashMap::new();
    let mut found: Vec<Found> = Vec::new();
    // Slot and function of every node.
    let mut copies: Vec<(u32, u32)> = Vec::new();
    let mut unreadable = 0;
    let mut wrappers_with_copies = Vec::new();
    let mut first_pcs: Vec<Option<u32>> = Vec::new();
    for (index, tree_offset) in trees {
        if !first_pcs_of_nodes(module, index, &mut first_pcs) {
            unreadable += 1;
            continue;
        }
        let tree = usize::try_from(tree_offset)
            .ok()
            .and_then(|start| data.get(start..))
            .and_then(|rest| rest.get(..first_pcs.len().checked_mul(layout.size())?));
        let has_room = copies.len().saturating_add(first_pcs.len()) <= COPIES_MAX;
        let (Some(tree), Ok(host), true) = (tree, u32::try_from(index), has_room) else {
            unreadable += 1;
            continue;
        };
        let mut has_copies = false;
        for (node, first_pc) in tree.chunks_exact(layout.size()).zip(&first_pcs) {
            let Some(node) = layout.read(node) else {
                continue;
            };
            has_copies |= node.function_id != wrapper_id;
            let slot = *slots.entry(node.name_offset).or_insert_with(|| {
                found.push(Found {
                    name_offset: node.name_offset,
                    start_line: node.start_line,
                    example: None,
                });
                u32::try_from(found.len() - 1).unwrap_or(u32::MAX)
            });
            if let Some(found) = found.get_mut(slot as usize)
                && found.example.is_none()
            {
                found.example = first_pc.map(|pc| (index, pc));
            }
            copies.push((slot, host));
        }
        let record = module.pclntab.record(index);
        if has_copies && record.is_ok_and(|record| record.function_id == wrapper_id) {
            wrappers_with_copies.push(index);
        }
    }
    copies.sort_unstable();
    Ok(InlinedCalls {
        functions: named(module, &found, &copies),
        unreadable,
        wrappers_with_copies,
    })
}

/// The functions that have a tree, and where, from `gofunc`.
fn with_trees(module: &Module<'_>) -> Vec<(usize, u32)> {
    (0..module.pclntab.count())
        .filter_map(|index| {
            let tree = module.pclntab.function_data(index, FUNCDATA_INL_TREE)?;
            Some((index, tree))
        })
        .collect()
}

/// For each node of the function's tree the first instruction that belongs to it and to none of
/// its children. Answers whether the table makes sense.
fn first_pcs_of_nodes(module: &Module<'_>, index: usize, first_pcs: &mut Vec<Option<u32>>) -> bool {
    first_pcs.clear();
    let Some(table) = module.pclntab.pc_data(index, PCDATA_INL_TREE_INDEX) else {
        return true;
    };
    let Some(size) = module
        .range(index)
        .and_then(|range| range.end.offset_from(range.start))
    else {
        return false;
    };
    // What a damaged table says of instructions behind the function's end is not read.
    for step in pc_value::steps(table).take_while(|step| u64::from(step.offsets.start) < size) {
        let Ok(node) = usize::try_from(step.value) else {
            continue;
        };
        // An inlined call leaves at least a byte of code.
        if node as u64 >= size {
            return false;
        }
        if node >= first_pcs.len() {
            first_pcs.resize(node + 1, None);
        }
        if let Some(first_pc) = first_pcs.get_mut(node) {
            first_pc.get_or_insert(step.offsets.start);
        }
    }
    true
}

/// What offsets of funcdata count from: `table_word` of the module data or, if what is there makes
/// no sense, a word that another release has it in.
fn find_function_data<'data>(
    elf: &Elf<'data>,
    module: &Module<'data>,
    trees: &[(usize, u32)],
    table_word: u64,
    layout: NodeLayout,
) -> Option<&'data [u8]> {
    let step = trees.len().div_ceil(FUNCTIONS_TO_CHECK).max(1);
    std::iter::once(table_word)
        .chain(version::function_data_bases())
        .filter_map(|word| elf.pointer(module.address.checked_add(word.checked_mul(8)?)?))
        .filter_map(|base| elf.bytes_from(base))
        .find(|data| {
            trees.iter().step_by(step).all(|(index, offset)| {
                let node = usize::try_from(*offset)
                    .ok()
                    .and_then(|start| layout.read(data.get(start..)?));
                node.is_some_and(|node| makes_sense(module, *index, node))
            })
        })
}

/// Whether `node` can be the first of the function's tree.
fn makes_sense(module: &Module<'_>, index: usize, node: Node) -> bool {
    let size = module
        .range(index)
        .and_then(|range| range.end.offset_from(range.start))
        .unwrap_or_default();
    let has_name = module
        .pclntab
        .name_at(node.name_offset)
        .is_some_and(|name| !name.is_empty());
    let begins_a_name = node
        .name_offset
        .checked_sub(1)
        .is_some_and(|before| module.pclntab.name_at(before) == Some(""));
    has_name && begins_a_name && u64::from(node.parent_pc) < size && node.padding == 0
}

/// One entry for each name, from sorted pairs of slots and functions.
fn named<'data>(
    module: &Module<'data>,
    found: &[Found],
    copies: &[(u32, u32)],
) -> Vec<InlinedFunction<'data>> {
    let with_code: HashSet<&str> = (0..module.pclntab.count())
        .filter_map(|index| {
            let record = module.pclntab.record(index).ok()?;
            module.pclntab.name(&record).ok()
        })
        .collect();
    let mut functions: Vec<InlinedFunction<'data>> = copies
        .chunk_by(|one, next| one.0 == next.0)
        .filter_map(|copies| {
            let found = found.get(copies.first()?.0 as usize)?;
            let name = module.pclntab.name_at(found.name_offset)?;
            let hosts: Vec<(usize, u32)> = copies
                .chunk_by(|one, next| one.1 == next.1)
                .filter_map(|in_one| Some((in_one.first()?.1 as usize, count(in_one.len()))))
                .collect();
            Some(InlinedFunction {
                name,
                has_code: with_code.contains(name),
                copies: count(copies.len()),
                hosts,
                declaration: declaration_of(module, found),
            })
        })
        .collect();
    functions.sort_by_key(|function| function.name);
    // The linker writes each name once; a file may say otherwise.
    functions.dedup_by(|other, kept| {
        let is_same = other.name == kept.name;
        if is_same {
            kept.copies = kept.copies.saturating_add(other.copies);
            kept.hosts.append(&mut other.hosts);
            kept.hosts.sort_unstable();
        }
        is_same
    });
    functions
}

fn declaration_of<'data>(module: &Module<'data>, found: &Found) -> Option<SourceLine<'data>> {
    let (index, pc_offset) = found.example?;
    let record = module.pclntab.record(index).ok()?;
    let (file, _) = module.pclntab.source_line(&record, pc_offset)?;
    let line = Some(found.start_line).filter(|line| *line > 0)?;
    Some(SourceLine { file, line })
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Where the function `index` is declared: the file of its first instruction that did not come of
/// an inlined call.
pub(super) fn declaration<'data>(
    module: &Module<'data>,
    index: usize,
) -> Option<SourceLine<'data>> {
    let own = match module.pclntab.pc_data(index, PCDATA_INL_TREE_INDEX) {
        None => 0,
        Some(table) => {
            let range = module.range(index)?;
            let size = range.end.offset_from(range.start)?;
            pc_value::steps(table)
                .take_while(|step| u64::from(step.offsets.start) < size)
                .find(|step| step.value < 0)?
                .offsets
                .start
        }
    };
    let record = module.pclntab.record(index).ok()?;
    let (file, line) = module.pclntab.source_line(&record, own)?;
    let line = module.pclntab.start_line(index).unwrap_or(line);
    Some(SourceLine { file, line })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node of each layout, as `objdump` shows them, and one that is cut off.
    #[test]
    fn nodes() {
        let old = [
            0xff, 0xff, 22, 0, 9, 0, 0, 0, 8, 0, 0, 0, 0x34, 0x12, 0, 0, 0x56, 0, 0, 0,
        ];
        let node = Node {
            name_offset: 0x1234,
            parent_pc: 0x56,
            start_line: 0,
            padding: 0,
            function_id: 22,
        };
        assert_eq!(NodeLayout::WithFiles.read(&old), Some(node));
        assert_eq!(NodeLayout::WithFiles.read(&old[..19]), None);
        let new = [22, 0, 0, 0, 0x34, 0x12, 0, 0, 0x56, 0, 0, 0, 7, 0, 0, 0];
        let node = Node {
            start_line: 7,
            ..node
        };
        assert_eq!(NodeLayout::WithStartLines.read(&new), Some(node));
        assert_eq!(NodeLayout::WithStartLines.read(&new[..15]), None);
        let node = NodeLayout::WithStartLines.read(&old).unwrap();
        assert_ne!(
            node.padding, 0,
            "the layouts cannot be taken for one another"
        );
    }
}
