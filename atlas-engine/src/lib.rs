//! atlas-engine
