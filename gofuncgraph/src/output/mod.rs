//! Call trees become text.
//!
//! A [`Renderer`] writes the lines of a trace into bytes; [`RenderingSink`] lets an
//! [`Assembler`](crate::trace::Assembler) feed it. Names and source lines come from [`Symbols`].

mod binary_symbols;
mod colour;
mod escape;
mod note;
mod number;
mod processes;
mod renderer;
mod symbols;
mod text;
mod wall_clock;

pub use binary_symbols::BinarySymbols;
pub use number::{TimeDigits, TimeDigitsError};
pub use renderer::{Renderer, RenderingSink};
pub use symbols::{CallSite, CodePosition, Symbols};
pub use text::{TextLayout, TextRenderer, TextSettings};
pub use wall_clock::WallClock;
