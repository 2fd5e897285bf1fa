//! What can be wrong with a catalogue.

use std::fmt;

/// A catalogue that can't be used, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the catalogue has {} fault(s):{}", .faults.len(), crate::text::lines(.faults))]
pub struct CatalogueError {
    /// The faults, in the order of the file.
    pub faults: Vec<CatalogueFault>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CatalogueFault {
    /// Where: `model gpt-6-luna, price.input`.
    pub place: String,
    /// What it must be.
    pub rule: &'static str,
}

impl fmt::Display for CatalogueFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.rule)
    }
}
