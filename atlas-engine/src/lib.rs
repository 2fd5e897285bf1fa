//! Atlas's engine: web pages in, typed and validated records out, every value backed by a quote found on the page.
//!
//! | You have | You want | Call |
//! |---|---|---|
//! | an address and a Rust type | values of the type | [`Engine::extract_as`] |
//! | a request with a JSON Schema | the canonical result | [`Engine::extract`] |
//! | a parsed page | the same without fetching | [`Engine::extract_page`], [`Engine::extract_page_as`] |
//! | a way of your own to find data | it tried with the others | [`Strategy`](strategy::Strategy), [`EngineBuilder::strategy`] |
//!
//! The pipeline: [`fetch`] a document, make a [`page`] of it, let each selected [`strategy`] draft records, check
//! [`evidence`] and [`shape`], give one result that names every attempt. Reading is synchronous and pure; only fetching
//! and strategies that call out wait.
//!
//! | Feature | Gives |
//! |---|---|
//! | `http-fetcher` | pages over HTTP with egress policy, size, time and redirect caps |
//! | `jobs` | the engine as a job handler of `atlas-jobs` |
//! | `mock` | `MockFetcher` and `MockStrategy` for a host's tests |

mod engine;
mod error;
pub mod evidence;
pub mod facts;
pub mod fetch;
#[cfg(feature = "jobs")]
pub mod handler;
pub mod page;
mod plain;
pub mod shape;
pub mod strategy;
pub mod transform;
pub mod types;
pub mod value;

pub use engine::{Engine, EngineBuilder, Typed};
pub use error::EngineError;

/// The examples of the README, compiled and run with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
