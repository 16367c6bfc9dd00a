//! What the fuzz targets of gofuncgraph share.

pub mod bases;
pub mod binary;
pub mod blocks;
pub mod memory;
pub mod mutate;
pub mod pipeline;
pub mod rules;
