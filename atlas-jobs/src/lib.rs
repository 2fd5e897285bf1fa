//! A durable job manager: one pure state machine, pluggable stores, fenced leases, an audit trail per job.
//!
//! | You want to | Use |
//! |---|---|
//! | add, read and steer jobs | [`JobManager`] |
//! | run jobs | [`Worker`] with a [`JobHandler`] per kind, or [`handler_fn`] |
//! | make a whole of many jobs | [`JobManager::batch`] and [`batch`] |
//! | run jobs at certain times | `JobManager::schedule` and `schedule` (feature `schedules`) |
//! | tell others that a job ended | [`webhook`] |
//! | keep it all in order | [`Maintenance`], once per process |
//! | keep jobs in a file | `SqliteJobs` (feature `sqlite`) |
//! | keep jobs in a PostgreSQL database | `PostgresJobs` (feature `postgres`) |
//! | keep jobs in a table of DynamoDB | `DynamoJobs` (feature `dynamodb`) |
//! | keep jobs while a test runs | [`MemoryJobs`] |
//! | keep jobs elsewhere | your own [`JobStore`], proven by the `conformance` feature |
//! | wake the workers of other processes by a queue of SQS | `sqs::SqsHints` (feature `sqs`) |
//! | see what your program does when the store fails | `faulty::FaultyStore` (feature `conformance`) |
//! | know what a command does to a job | [`state::apply`] |
//!
//! # Features
//!
//! | Feature | Gives |
//! |---|---|
//! | `sqlite` | `SqliteJobs`: one file, write-ahead log, one group-committing writer |
//! | `postgres` | `PostgresJobs`: many processes, one database, over the host's own pool |
//! | `conformance` | `job_store_conformance!`: the checks that prove a store; `faulty`: a store that fails by plan |
//! | `mock` | `MockJobStore`, `MockJobHandler` and `MockWebhookSender` for a host's tests |
//! | `schedules` | jobs at the times of a cron expression in a time zone |
//! | `webhook-http` | `HttpWebhookSender`, with every address judged where it is dialled |
//! | `dynamodb` | `DynamoJobs`: one table, over a client of `aws-sdk-dynamodb` that the host passes in |
//! | `sqs` | `sqs::SqsHints`: hints of new jobs between processes, over a client of `aws-sdk-sqs` that the host passes in |
//!
//! None is on by default, and the base has no database driver and no HTTP client.
//!
//! # What is promised
//!
//! A job that [`enqueue`](JobStore::enqueue) accepted runs at least once, and exactly one outcome is recorded per
//! epoch. Handlers may run more than once after a crash; a late one can't record anything. The contract is on
//! [`JobStore`].

mod clock;
mod cursor;
mod error;
mod hidden;
mod kernel;
mod lease;
mod maintenance;
mod manager;
mod memory;
mod random;
mod retention;
mod retry;
mod spec;
mod turn;
mod worker;

pub mod batch;
#[cfg(feature = "schedules")]
pub mod schedule;
pub mod state;
pub mod store;
pub mod webhook;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
#[cfg(feature = "conformance")]
pub mod faulty;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "sqs")]
pub mod sqs;

pub use clock::{Clock, ManualClock, Moment, SystemClock};
pub use cursor::{Cursor, ForeignCursor, InvalidCursor};
#[cfg(feature = "dynamodb")]
pub use dynamodb::DynamoJobs;
pub use error::{Kind, StoreError};
pub use lease::SilenceWatch;
pub use maintenance::{Maintenance, MaintenanceReport};
pub use manager::{Accepted, Changed, JobManager, ManagerError, RedriveOptions, Redriven};
pub use memory::MemoryJobs;
#[cfg(feature = "postgres")]
pub use postgres::PostgresJobs;
pub use random::{NoEntropy, Random};
pub use retention::{Retained, RetentionPolicy};
pub use retry::RetryPolicy;
pub use spec::{JobSpec, NewJob};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteJobs;
#[cfg(feature = "mock")]
pub use store::MockJobStore;
pub use store::{Capabilities, JobStore, JobStoreExt};
#[cfg(feature = "mock")]
pub use worker::MockJobHandler;
pub use worker::{
    AfterError, HandlerError, HandlerFn, InvalidWorker, JobContext, JobHandler, Worker, WorkerBuilder, WorkerError,
    WorkerReport, handler_fn,
};

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
