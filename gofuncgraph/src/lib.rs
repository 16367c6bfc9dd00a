//! gofuncgraph prints the call trees of running Go programs.
//!
//! Data flows one way, and a module knows only what stands before it in this list:
//!
//! 1. [`cli`]: raw arguments, then resolved settings.
//! 2. [`binary`]: what a Go executable says about itself; takes `&[u8]`, does no IO.
//! 3. [`plan`]: patterns, sites and the probe plan; pure, ordered, printable.
//! 4. [`promotion`]: which functions' returns are seen where they return to; pure.
//! 5. [`kernel`]: loading, linking, maps and the ring; the only user of aya.
//! 6. [`events`]: records of the ring become domain events.
//! 7. [`recording`]: events become files, and files events.
//! 8. [`trace`]: events become call trees.
//! 9. [`filter`]: which lines of them are shown.
//! 10. [`analysis`]: call trees become statistics, comparisons and verdicts.
//! 11. [`output`]: call trees, and what analysis made of them, become text or another format.
//! 12. [`session`]: wires them together for one run.

pub mod analysis;
pub mod binary;
pub mod cli;
pub mod events;
pub mod filter;
pub mod kernel;
pub mod output;
pub mod plan;
pub mod promotion;
pub mod recording;
pub mod session;
pub mod trace;
