//! The promises of atlas-jobs, through its public API.

// Helpers of tests may unwrap as tests may: a failed expectation is the message.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod aftermath;
mod batch;
mod commits;
mod crash;
mod crash_hosts;
mod damage;
mod disk_full;
#[cfg(feature = "dynamodb")]
mod dynamo;
mod faulty;
mod files;
mod flaky;
mod flaky_calls;
mod flaky_duties;
mod hidden;
mod linear;
mod manager;
mod model;
mod mutants;
mod pieces;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_eager;
#[cfg(feature = "postgres")]
mod postgres_held;
#[cfg(feature = "postgres")]
mod postgres_races;
mod prefetch;
mod recovery;
#[cfg(feature = "schedules")]
mod schedule;
#[cfg(feature = "schedules")]
mod schedule_ends;
mod sim;
#[cfg(feature = "sqs")]
mod sqs;
mod state;
mod stores;
#[cfg(feature = "mock")]
mod upkeep;
mod weak_spots;
mod webhook_deliver;
#[cfg(feature = "webhook-http")]
mod webhook_http;
mod webhook_letters;
mod webhook_sign;
mod worker;
