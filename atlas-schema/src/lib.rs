//! The records of Atlas and their rules: jobs, extraction requests and results, evidence, money, ids.
//!
//! Everything here is data: no I/O, no clock, no randomness, no async. Times and random bits are passed in.
//! The Rust types are the one definition; the JSON Schemas in `schemas/` are generated from them and checked
//! against them, and [`read`] is the only way bytes become records.
//!
//! | You have | You want | Call |
//! |---|---|---|
//! | bytes of a current record | the record, or every fault at once | [`read::from_slice`] |
//! | a parsed `serde_json::Value` | a verdict | [`read::validate`] |
//! | a record in memory | to know that it can be stored | [`read::check`] |
//! | a record | its canonical bytes | [`read::to_canonical_vec`] |
//! | bytes of any age | a job, or a quarantined original with a reason | [`migrate::migrate`] |
//! | a job document | the stored job, or back | [`bridge::store`], [`bridge::view`] |
//! | a type | its JSON Schema (draft 2020-12) | [`schema::json_schema`] |
//!
//! ```
//! use atlas_schema::{ExtractionRequest, read};
//! use serde_json::json;
//!
//! let request = ExtractionRequest::new("https://example.org/soup", json!({"type": "object"}));
//! let bytes = read::to_canonical_vec(&request)?;
//! assert_eq!(read::from_slice::<ExtractionRequest>(&bytes)?, request);
//!
//! let faults = read::check(&ExtractionRequest::new("https://user:secret@example.org/", json!(true))).unwrap_err();
//! assert_eq!(faults.iter().next().unwrap().kind.as_str(), "url_is_usable");
//! # Ok::<(), read::Faults>(())
//! ```

mod alert;
mod audit;
mod category;
mod correlation;
mod evidence;
mod extraction;
mod hidden;
mod id;
mod job;
mod macros;
mod money;
mod pointer;
mod result;
mod stage;
mod time;
mod version;

pub mod bridge;
pub mod migrate;
pub mod read;
pub mod schema;

pub use alert::{Alert, AlertKind, Severity};
pub use audit::{Actor, AuditEvent, AuditKind};
pub use category::ErrorCategory;
pub use correlation::{CorrelationId, TraceParent};
pub use evidence::{Evidence, Source, Span, Verified};
pub use extraction::{
    ExtractionJob, ExtractionParams, ExtractionRequest, ExtractionType, LogEntry, LogLevel, ModelOverride,
};
pub use hidden::Hidden;
pub use id::{ExternalId, IdempotencyKey, InvalidId, JobId, JobKind, QueueName, StrategyName, TenantId, WorkerId};
pub use job::{Callback, CancelRequest, JobError, JobRecord, JobStatus, Lease, Progress};
pub use money::{InvalidUsd, Usd};
pub use pointer::{InvalidPointer, JsonPointer};
pub use result::{Attempt, AttemptOutcome, Cost, ExtractionResult, Outcome, PageInfo, Timings, Usage, Warning};
pub use stage::{InvalidStage, Stage};
pub use time::{InvalidTimestamp, Timestamp};
pub use version::SchemaVersion;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
