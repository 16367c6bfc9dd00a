pub use crate::events::{CallSite, CodePosition, Symbols};
