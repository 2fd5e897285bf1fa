//! Which language model, at what cost: a dated catalogue, explained selection, proven bounds of cost.
//!
//! | You want | Use |
//! |---|---|
//! | to know models, prices, ends of life | [`catalogue::Catalogue`] |
//! | an answer, within budgets | [`run::Router`] with a [`client::LlmClient`] |
//! | an answer as it comes | [`run::Router::stream`] |
//! | a reply that fits a JSON Schema | `run::Router::ask` with a `structured::Shape` |
//! | calls recorded and replayed | [`client::Cassette`] |
//! | the model for a task, and why | [`select::select`] |
//! | the same decision again | [`select::replay`] |
//! | tokens of a prompt | [`tokens::prompt`] with a [`tokens::TokenCounter`] |
//! | a budget that holds | [`ledger::BudgetLedger`]: [`ledger::MemoryLedger`], `ledger::SqliteLedger`, `ledger::PostgresLedger`, `ledger::DynamoLedger`, or your own |
//! | the most that a call can cost | [`cost::upper_bound`] |
//! | what it did cost | [`cost::settle`] |
//! | what a failure means, and what to try next | [`call::classify`], [`call::Plan`] |
//!
//! # Features
//!
//! | Feature | Gives |
//! |---|---|
//! | `tokenizer` | `tokens::BpeCounter`: exact counts for `OpenAI`'s encodings, with their tables |
//! | `sqlite` | `ledger::SqliteLedger`: budgets in one file, for several processes of one machine |
//! | `postgres` | `ledger::PostgresLedger`: budgets in a PostgreSQL database, for any number of processes and machines |
//! | `dynamodb` | `ledger::DynamoLedger`: budgets in a table of Amazon DynamoDB |
//! | `http-llm` | `client::http`: clients for `OpenAI`-compatible servers and Anthropic |
//! | `structured` | `structured` and `run::Router::ask`: replies read leniently, held to a JSON Schema strictly |
//! | `settings` | `run::RouterBuilder::with_settings`: a router set up as `atlas_config::Settings` say |
//! | `metrics` | `run::metric`: metrics of requests and calls, through the `metrics` facade |
//! | `mock` | `client::ScriptedLlm`, which answers by a script, and `client::MockLlmClient` for a host's tests |
//! | `conformance` | `budget_ledger_conformance!`: the checks that prove a ledger |
//!
//! None is on by default. The base has no HTTP client, no database driver, no tokenizer tables. Only [`run`] reads clocks, draws
//! random bits and waits; everything else is told.

pub mod call;
pub mod catalogue;
pub mod client;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod cost;
pub mod ledger;
pub mod run;
pub mod select;
#[cfg(feature = "structured")]
pub mod structured;
pub mod tokens;

mod random;
mod text;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
