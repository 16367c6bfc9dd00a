//! The `gofuncgraph` command.

fn main() {}
