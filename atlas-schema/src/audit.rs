//! The audit trail: one event for each change of a job, written with the change or not at all.

use crate::correlation::CorrelationId;
use crate::id::{JobId, WorkerId};
use crate::job::{JobError, JobStatus};
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One change of one job. `(job, version)` is its key: a job's versions have no gaps.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditEvent {
    /// Which job.
    pub job: JobId,
    /// The version the change made.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64))]
    pub version: u64,
    /// The epoch it was made in.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub epoch: u64,
    /// The attempt it was made in.
    #[schemars(range(max = 4_294_967_295_u64))]
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub kind: AuditKind,
    /// The status before; absent when the job was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<JobStatus>,
    /// The status after.
    pub to: JobStatus,
    /// Why, in words, for cancels and redrives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub reason: Option<String>,
    /// The failure, for failed attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// Which request.
    pub correlation_id: CorrelationId,
}

/// Who changed a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Actor {
    /// Whoever called the manager.
    Caller {},
    /// A worker process.
    Worker {
        /// Which one.
        id: WorkerId,
    },
    /// The sweeper, which ends what nobody else does.
    Sweeper {},
    /// The migration of legacy records.
    Migration {},
    /// The keeper of batches, which ends a batch when its children have ended.
    Batch {},
    /// A schedule whose time came.
    Schedule {},
}

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditKind {
    /// It was made.
    Enqueued,
    /// A worker took it: a new epoch.
    Claimed,
    /// A worker gave it back without an outcome; the attempt does not count.
    Released,
    /// It gave a result.
    Completed,
    /// An attempt failed and another will follow.
    Retried,
    /// Its last attempt failed.
    Failed,
    /// Its worker fell silent: it went back to its queue, or ended if no attempt was left.
    LeaseExpired,
    /// Someone asked for it to stop while it ran.
    CancelRequested,
    /// It was stopped.
    Cancelled,
    /// It ran out of its total time.
    TimedOut,
    /// It was sent round again after an end.
    Redriven,
    /// It came from a legacy record.
    Migrated,
}
