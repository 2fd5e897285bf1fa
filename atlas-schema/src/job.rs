//! The stored job: an envelope that every kind of job shares, around a payload of the kind's own.

use crate::category::ErrorCategory;
use crate::correlation::CorrelationId;
use crate::id::{ExternalId, IdempotencyKey, JobId, JobKind, QueueName, TenantId, WorkerId};
use crate::money::Usd;
use crate::stage::Stage;
use crate::time::Timestamp;
use crate::version::SchemaVersion;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a job stands. The six statuses of the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// Waits for a worker, now or at its run-at time.
    Pending,
    /// A worker holds its lease.
    Processing,
    /// Done, with a result.
    Completed,
    /// Its last attempt failed. A dead letter: it can be redriven.
    Failed,
    /// Stopped on request.
    Cancelled,
    /// Ran out of its total time.
    Timeout,
}

impl JobStatus {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Processing, Self::Completed, Self::Failed, Self::Cancelled, Self::Timeout];

    /// Whether it is an end: only a redrive, as a new epoch, leaves it.
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Pending | Self::Processing)
    }

    /// As it stands in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
        }
    }
}

/// A job as every store keeps it.
///
/// `version` grows by one with every transition, and the transition's [`AuditEvent`](crate::AuditEvent) carries it;
/// extending a lease and reporting progress are no transitions. `epoch` grows by one with every claim and never
/// resets: it fences late workers. `attempt` counts claims since the job was enqueued or redriven, without those
/// handed back unstarted.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobRecord<P = Value> {
    /// The format of this record.
    pub schema_version: SchemaVersion,
    /// The key.
    pub id: JobId,
    /// An id from elsewhere, such as a legacy id. Looked up, never a hot key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<ExternalId>,
    /// What sort of work.
    pub kind: JobKind,
    /// The queue it waits in.
    pub queue: QueueName,
    /// Whose it is.
    pub tenant: TenantId,
    /// The stage it belongs to. A store of another stage refuses it.
    pub stage: Stage,
    /// Where it stands.
    pub status: JobStatus,
    /// Transitions so far, from 1.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64))]
    pub version: u64,
    /// Claims ever, from 0.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub epoch: u64,
    /// Claims since enqueued or redriven, from 0.
    #[schemars(range(max = 4_294_967_295_u64))]
    pub attempt: u32,
    /// At most so many attempts, from 1.
    #[schemars(range(min = 1, max = 1000))]
    pub max_attempts: u32,
    /// Higher runs first; 0 is usual.
    pub priority: i16,
    /// Not before this time.
    pub run_at: Timestamp,
    /// Not after this time, however many attempts are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Milliseconds for one attempt; absent means no limit but the deadline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64))]
    pub attempt_timeout_ms: Option<u64>,
    /// Who works on it until when. Present exactly while `processing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// Whom to tell when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<Callback>,
    /// The batch it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<JobId>,
    /// The caller's key for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
    /// Someone asked for it to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_requested: Option<CancelRequest>,
    /// At most so much money over all attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_cap: Option<Usd>,
    /// Ties it to the request that caused it.
    pub correlation_id: CorrelationId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its last transition was.
    pub updated_at: Timestamp,
    /// When its present attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended. Present exactly while terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// How far its handler says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What to do, typed by the kind.
    pub payload: P,
    /// What it gave. Present exactly while `completed`; null is a result too.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
}

/// Keeps a null that is there: a handler with nothing to say returns one.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Who works on a job until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lease {
    /// The worker process.
    pub worker: WorkerId,
    /// When the lease ends if its worker stays silent. For people: stores judge expiry by silence, not by this.
    pub expires_at: Timestamp,
}

/// Whom to tell when a job ends.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Callback {
    /// An absolute `http` or `https` address; the egress policy decides whether it is dialled.
    #[schemars(length(min = 8, max = 2048), regex(pattern = "^https?://[!-~]+$"))]
    pub url: String,
}

impl Callback {
    /// Whether the address is one that a record may hold: 8 to 2048 printable ASCII characters that begin with `http://` or
    /// `https://`. Whether it may be dialled is for the egress policy to say.
    pub fn is_valid(&self) -> bool {
        let web = self.url.starts_with("http://") || self.url.starts_with("https://");
        web && (8..=2048).contains(&self.url.len()) && self.url.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

impl<P> JobRecord<P> {
    /// The same record around another payload.
    pub fn map_payload<Q>(self, payload: impl FnOnce(P) -> Q) -> JobRecord<Q> {
        JobRecord {
            schema_version: self.schema_version,
            id: self.id,
            external_id: self.external_id,
            kind: self.kind,
            queue: self.queue,
            tenant: self.tenant,
            stage: self.stage,
            status: self.status,
            version: self.version,
            epoch: self.epoch,
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            priority: self.priority,
            run_at: self.run_at,
            deadline: self.deadline,
            attempt_timeout_ms: self.attempt_timeout_ms,
            lease: self.lease,
            callback: self.callback,
            parent: self.parent,
            idempotency_key: self.idempotency_key,
            cancel_requested: self.cancel_requested,
            cost_cap: self.cost_cap,
            correlation_id: self.correlation_id,
            created_at: self.created_at,
            updated_at: self.updated_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            progress: self.progress,
            payload: payload(self.payload),
            result: self.result,
            error: self.error,
        }
    }
}

/// Someone asked for a job to stop.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelRequest {
    /// When.
    pub at: Timestamp,
    /// Why, in words.
    #[schemars(length(max = 1000))]
    pub reason: String,
    /// From then on the sweeper ends the job even if its handler has not answered.
    pub acknowledge_by: Timestamp,
}

/// Why an attempt failed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobError {
    /// What sort of failure.
    pub category: ErrorCategory,
    /// What happened, for a person: at most 5 000 characters, no page text, no secret.
    #[schemars(length(max = 5000))]
    pub message: String,
}

/// How far a handler says it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Progress {
    /// Units done.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub done: u64,
    /// Units in all, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub total: Option<u64>,
    /// What is being done, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub note: Option<String>,
}
