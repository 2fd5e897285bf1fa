//! The tests of atlas-schema, through its public API.

// Helpers outside of `#[test]` functions: a failed expectation there is the message too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agreement;
mod bridge;
mod correlation;
mod generate;
mod ids;
mod migrate;
mod money;
mod reading;
mod rules;
mod samples;
mod schemas;
