//! Call trees, and what analysis made of them, become text or another format.
//!
//! A [`Renderer`] writes the lines of a trace into bytes; [`RenderingSink`] lets an
//! [`Assembler`](crate::trace::Assembler) feed it. Names and source lines come from [`Symbols`].
//!
//! - `text`, `graph`, `functrace`, `jsonl`, `chrome`, `folded`, `summary`: one format each.
//! - `report_tree`, `diff`, `check`: what is made of recordings.
//! - `list`: the functions of a program.
//! - `call_stacks`: the open calls of every goroutine, for formats that tell of whole calls.
//! - the others: what several of them have in common.

mod binary_symbols;
mod call_stacks;
mod check;
mod chrome;
mod colour;
mod diff;
mod end_text;
mod escape;
mod example_tree;
mod folded;
mod functrace;
mod graph;
mod json;
mod jsonl;
mod list;
mod measure;
mod note;
mod number;
mod processes;
mod renderer;
mod report_tree;
mod shared_symbols;
mod summary;
mod symbols;
mod table;
mod text;
mod wall_clock;

pub use binary_symbols::BinarySymbols;
pub use check::{CheckReport, write_check_junit, write_check_markdown, write_check_text};
pub use chrome::ChromeRenderer;
pub use diff::{DiffHeading, write_diff_json_lines, write_diff_markdown, write_diff_text};
pub use folded::{FoldedRenderer, FoldedValue};
pub use functrace::FunctraceRenderer;
pub use graph::{GraphRenderer, GraphSettings};
pub use jsonl::JsonlRenderer;
pub use list::{LIST_HEADING, ListTotals, write_listed_json, write_listed_text};
pub use note::push_net_remark;
pub use number::{TimeDigits, TimeDigitsError};
pub use renderer::{Renderer, RenderingSink};
pub use report_tree::write_report_tree;
pub use shared_symbols::SharedSymbols;
pub use summary::{LiveScreen, REFRESH_INTERVAL, SummaryRenderer, SummarySettings, write_summary};
pub use symbols::{CallSite, CodePosition, Symbols};
pub use text::{TextLayout, TextRenderer, TextSettings};
pub use wall_clock::WallClock;
