//! The tests of atlas-schema, through its public API.

mod schemas;
