//! Integration tests of atlas-engine, through its public API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod page_text;
