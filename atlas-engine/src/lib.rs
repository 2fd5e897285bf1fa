//! atlas-engine

pub mod fetch;
pub mod page;
