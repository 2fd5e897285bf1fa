//! Integration tests of atlas-engine, through its public API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod direct_byline;
mod direct_hostile;
mod direct_html;
mod direct_jsonld;
mod direct_lists;
mod direct_partial;
mod direct_shown;
mod engine_limits;
mod engine_properties;
mod engine_results;
mod evidence_properties;
mod fetch_file;
#[cfg(feature = "http-fetcher")]
mod fetch_http;
#[cfg(feature = "http-fetcher")]
mod fetch_http_guard;
mod fetch_memory;
#[cfg(feature = "mock")]
mod fetch_mock;
#[cfg(feature = "http-fetcher")]
mod fetch_server;
mod labelled;
mod page_charset;
mod page_hidden;
mod page_hostile;
mod page_properties;
mod page_text;
mod page_tree;
mod schema_refusals;
#[cfg(feature = "mock")]
mod strategy_mock;
mod support;
mod tables;
mod value_date;
mod value_duration;
mod value_money;
mod value_number;
mod value_properties;
mod value_words;
