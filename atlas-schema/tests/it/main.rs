//! The tests of atlas-schema, through its public API.

mod migrate;
mod schemas;
