//! atlas-engine

pub mod fetch;
pub mod page;
pub mod value;
