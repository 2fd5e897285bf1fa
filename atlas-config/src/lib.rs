//! atlas-config
