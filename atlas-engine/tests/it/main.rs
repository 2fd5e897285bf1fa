//! Integration tests of atlas-engine, through its public API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod page_text;
mod value_date;
mod value_duration;
mod value_money;
mod value_number;
mod value_properties;
mod value_words;
