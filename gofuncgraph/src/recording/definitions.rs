//! Names and places that events refer to: how they are written, and what they are gathered in
//! when they are read.

use std::rc::Rc;

use foldhash::HashMap;

use super::error::BlockProblem;
use super::events::{Definitions, EntryReference};
use super::format::{
    MAX_CALLS, MAX_FUNCTIONS, MAX_IMAGES, MAX_RETURN_SITES, MAX_TEXT_BYTES, MAX_TEXT_LENGTH,
    MAX_TEXTS,
};
use super::varint::{self, Fields};
use crate::binary::{LoadBias, RuntimeAddress, VirtualAddress};
use crate::plan::{FunctionId, SiteId};

mod kinds {
    pub(super) const TEXT: u8 = 1;
    pub(super) const FUNCTION: u8 = 2;
    pub(super) const RETURN_SITE: u8 = 3;
    pub(super) const CALL: u8 = 4;
    pub(super) const IMAGE: u8 = 5;
    pub(super) const FORGET_CALLS: u8 = 6;
    pub(super) const FORGET_IMAGES: u8 = 7;
}

/// One definition, with texts by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Definition<'a> {
    /// The next text.
    Text(&'a str),
    /// The next function.
    Function {
        name: u32,
        start: VirtualAddress,
        is_target: bool,
    },
    /// Where a RET stands.
    ReturnSite { site: SiteId, position: Position },
    /// The next call.
    Call {
        callee: FunctionId,
        return_address: VirtualAddress,
        /// Caller and place, if known.
        site: Option<(u32, Position)>,
    },
    /// The next image.
    Image(LoadBias),
    /// Calls count from 0 again.
    ForgetCalls,
    /// Images count from 0 again.
    ForgetImages,
}

/// A place in a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) offset: u64,
    /// Text and number.
    pub(super) line: Option<(u32, u32)>,
}

impl Definition<'_> {
    pub(super) fn push(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Text(text) => {
                out.push(kinds::TEXT);
                varint::push_text(text, out);
            }
            Self::Function {
                name,
                start,
                is_target,
            } => {
                out.push(kinds::FUNCTION);
                varint::push(name.into(), out);
                varint::push(start.0, out);
                out.push(is_target.into());
            }
            Self::ReturnSite { site, position } => {
                out.push(kinds::RETURN_SITE);
                varint::push(site.0.into(), out);
                position.push(out);
            }
            Self::Call {
                callee,
                return_address,
                site,
            } => {
                out.push(kinds::CALL);
                varint::push(callee.0.into(), out);
                varint::push(return_address.0, out);
                out.push(site.is_some().into());
                if let Some((caller, position)) = site {
                    varint::push(caller.into(), out);
                    position.push(out);
                }
            }
            Self::Image(bias) => {
                out.push(kinds::IMAGE);
                varint::push(bias.0, out);
            }
            Self::ForgetCalls => out.push(kinds::FORGET_CALLS),
            Self::ForgetImages => out.push(kinds::FORGET_IMAGES),
        }
    }
}

impl Position {
    pub(super) fn push(&self, out: &mut Vec<u8>) {
        varint::push(self.offset, out);
        match self.line {
            Some((file, line)) => {
                varint::push(u64::from(file) + 1, out);
                varint::push(line.into(), out);
            }
            None => out.push(0),
        }
    }
}

impl<'a> Definition<'a> {
    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        Some(match fields.byte()? {
            kinds::TEXT => Self::Text(fields.text()?),
            kinds::FUNCTION => Self::Function {
                name: fields.number()?,
                start: VirtualAddress(fields.unsigned()?),
                is_target: fields.byte()? != 0,
            },
            kinds::RETURN_SITE => Self::ReturnSite {
                site: SiteId(fields.number()?),
                position: Position::read(fields)?,
            },
            kinds::CALL => Self::Call {
                callee: FunctionId(fields.number()?),
                return_address: VirtualAddress(fields.unsigned()?),
                site: if fields.byte()? == 0 {
                    None
                } else {
                    Some((fields.number()?, Position::read(fields)?))
                },
            },
            kinds::IMAGE => Self::Image(LoadBias(fields.unsigned()?)),
            kinds::FORGET_CALLS => Self::ForgetCalls,
            kinds::FORGET_IMAGES => Self::ForgetImages,
            _ => return None,
        })
    }
}

impl Position {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let offset = fields.unsigned()?;
        let line = match fields.number::<u32>()? {
            0 => None,
            file => Some((file - 1, fields.number()?)),
        };
        Some(Self { offset, line })
    }
}

/// A function that was attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedFunction {
    /// Full Go name.
    pub name: Rc<str>,
    /// First instruction.
    pub start: VirtualAddress,
    /// It can start a tree.
    pub is_target: bool,
}

/// A place in a function, with its text.
#[derive(Clone, Debug)]
pub(super) struct RecordedPosition {
    pub(super) offset: u64,
    pub(super) line: Option<(Rc<str>, u32)>,
}

/// Where calls come from.
pub(super) type CallSites = HashMap<VirtualAddress, (Rc<str>, RecordedPosition)>;

/// Everything that is defined so far.
#[derive(Debug, Default)]
pub(super) struct Tables {
    texts: Vec<Rc<str>>,
    text_bytes: usize,
    pub(super) functions: Vec<RecordedFunction>,
    pub(super) return_sites: HashMap<SiteId, RecordedPosition>,
    calls: Vec<(FunctionId, VirtualAddress)>,
    /// Of calls, and of those that were forgotten last: trees that wait may still name them.
    pub(super) call_sites: CallSites,
    pub(super) forgotten_call_sites: CallSites,
    images: Vec<LoadBias>,
}

impl Tables {
    /// Reads `count` definitions, which are all of `payload`.
    pub(super) fn read(&mut self, payload: &[u8], count: u32) -> Result<(), BlockProblem> {
        const MALFORMED: BlockProblem = BlockProblem::Malformed("definition");
        let mut fields = Fields::new(payload);
        for _ in 0..count {
            let definition = Definition::read(&mut fields).ok_or(MALFORMED)?;
            self.check_room(&definition)?;
            self.take(definition).ok_or(MALFORMED)?;
        }
        Ok(())
    }

    fn check_room(&self, definition: &Definition<'_>) -> Result<(), BlockProblem> {
        let (what, number, limit) = match definition {
            Definition::Text(text) => {
                if text.len() > MAX_TEXT_LENGTH {
                    return Err(BlockProblem::TooManyDefinitions("bytes in a text"));
                }
                let bytes = self.text_bytes.saturating_add(text.len());
                if bytes > MAX_TEXT_BYTES {
                    return Err(BlockProblem::TooManyDefinitions("bytes of text"));
                }
                ("texts", self.texts.len(), MAX_TEXTS)
            }
            Definition::Function { .. } => ("functions", self.functions.len(), MAX_FUNCTIONS),
            Definition::ReturnSite { .. } => {
                ("RET sites", self.return_sites.len(), MAX_RETURN_SITES)
            }
            Definition::Call { .. } => ("calls", self.calls.len(), MAX_CALLS),
            Definition::Image(_) => ("images", self.images.len(), MAX_IMAGES),
            Definition::ForgetCalls | Definition::ForgetImages => return Ok(()),
        };
        if number >= limit {
            return Err(BlockProblem::TooManyDefinitions(what));
        }
        Ok(())
    }

    /// `None`: it refers to what is not defined.
    fn take(&mut self, definition: Definition<'_>) -> Option<()> {
        match definition {
            Definition::Text(text) => {
                self.text_bytes += text.len();
                self.texts.push(text.into());
            }
            Definition::Function {
                name,
                start,
                is_target,
            } => self.functions.push(RecordedFunction {
                name: self.text(name)?,
                start,
                is_target,
            }),
            Definition::ReturnSite { site, position } => {
                let position = self.position(position)?;
                self.return_sites.insert(site, position);
            }
            Definition::Call {
                callee,
                return_address,
                site,
            } => {
                self.functions.get(usize::try_from(callee.0).ok()?)?;
                self.calls.push((callee, return_address));
                if let Some((caller, position)) = site {
                    let site = (self.text(caller)?, self.position(position)?);
                    self.call_sites.insert(return_address, site);
                }
            }
            Definition::Image(bias) => self.images.push(bias),
            Definition::ForgetCalls => {
                self.calls.clear();
                self.forgotten_call_sites = std::mem::take(&mut self.call_sites);
            }
            Definition::ForgetImages => self.images.clear(),
        }
        Some(())
    }

    /// The function that contains the code before `address`; `None`: a text is not defined.
    pub(super) fn name_place(
        &mut self,
        address: VirtualAddress,
        name: u32,
        position: Position,
    ) -> Option<()> {
        if self.call_sites.len() < MAX_CALLS {
            let site = (self.text(name)?, self.position(position)?);
            self.call_sites.insert(address, site);
        }
        Some(())
    }

    fn text(&self, index: u32) -> Option<Rc<str>> {
        self.texts.get(usize::try_from(index).ok()?).cloned()
    }

    fn position(&self, position: Position) -> Option<RecordedPosition> {
        let line = match position.line {
            Some((file, line)) => Some((self.text(file)?, line)),
            None => None,
        };
        Some(RecordedPosition {
            offset: position.offset,
            line,
        })
    }
}

impl Definitions for Tables {
    fn entry(&self, reference: EntryReference) -> Option<(FunctionId, RuntimeAddress, LoadBias)> {
        let call = usize::try_from(reference.call).ok()?;
        let (function, return_address) = *self.calls.get(call)?;
        let load_bias = *self.images.get(usize::try_from(reference.image).ok()?)?;
        let return_address = RuntimeAddress(return_address.0.wrapping_add(load_bias.0));
        Some((function, return_address, load_bias))
    }

    fn has_function(&self, function: FunctionId) -> bool {
        usize::try_from(function.0).is_ok_and(|index| index < self.functions.len())
    }
}
