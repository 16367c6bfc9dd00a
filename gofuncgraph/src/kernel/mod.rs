//! Loading, linking, maps and the ring; the only user of aya.
//!
//! [`Preparation::start`] begins what needs no settings, [`Tracer::load`] loads the programs, [`Tracer::attach`] puts probes on the sites of a plan as
//! a group of links, [`Tracer::enable`] lets the programs send records, [`Tracer::drain`] hands
//! them over. Dropping a [`Tracer`] takes every probe away; so does the end of this process.

mod already_open;
mod bisection;
mod btf;
mod calibration;
mod calibration_code;
mod capability;
mod code_mapping;
mod cost;
mod counters;
mod error;
mod link;
mod link_target;
mod object;
mod process_filter;
mod program;
mod promotion;
mod refusal;
mod ret_emulation;
mod scope;
mod system_call;
mod task_struct;
mod tracer;

pub use already_open::MAX_TARGET_CALLS;
pub use capability::{StillNeeded, give_up_capabilities};
pub use cost::{HitCosts, HitCounts, PerKind, PromotedHits};
pub use counters::KernelCounters;
pub use error::KernelError;
pub use link::AttachReport;
pub use scope::{ProcessScope, ScopedProcess};
pub use tracer::{GoroutineLoss, LoadSettings, Preparation, Tracer};
