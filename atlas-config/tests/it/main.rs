//! Integration tests: the public API only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is the test's message"
)]

mod bad_settings;
mod egress;
mod names;
mod settings;
mod weak_spots;

/// Cases of a randomised test: few in the gate, `ATLAS_CASES` in a soak.
fn cases(gate: u32) -> proptest::test_runner::Config {
    let cases = std::env::var("ATLAS_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(gate);
    proptest::test_runner::Config { cases, failure_persistence: None, ..proptest::test_runner::Config::default() }
}
