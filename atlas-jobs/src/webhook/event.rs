//! What a webhook says.

use crate::kernel::json_len;
use atlas_schema::{
    AuditEvent, CorrelationId, ErrorCategory, ExternalId, JobId, JobKind, JobRecord, JobStatus, TenantId, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The body of a webhook, in the form the specification recommends, plus the version of this form.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WebhookEvent {
    /// What happened, such as `job.completed`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The version of the form of `data`, from 1. It grows when a field changes its meaning or goes, not when one is
    /// added.
    pub version: u32,
    /// When it happened, by RFC 3339 in UTC.
    pub timestamp: String,
    /// The facts; for events of jobs a [`JobEvent`].
    pub data: Value,
}

impl WebhookEvent {
    /// An event of the host's own, version 1.
    pub fn new(event_type: impl Into<String>, at: Timestamp, data: Value) -> Self {
        Self { event_type: event_type.into(), version: 1, timestamp: at.to_string(), data }
    }
}

/// The data of an event of type `job.completed`, `job.failed`, `job.cancelled` or `job.timed_out`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct JobEvent {
    /// The job.
    pub job_id: JobId,
    /// The id by which the outside knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<ExternalId>,
    /// What sort of work; absent if the job was deleted before the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<JobKind>,
    /// Whose it is; absent if the job was deleted before the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// How it ended.
    pub status: JobStatus,
    /// The version of the job that this event tells of: higher is later.
    pub job_version: u64,
    /// The attempts it took.
    pub attempts: u32,
    /// The request that caused it.
    pub correlation_id: CorrelationId,
    /// Why it failed; never the message, which is for the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobEventError>,
    /// What it gave, if the deliverer was told to send it and it is not too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// True if there is a result to ask for that is not in this event.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub result_omitted: bool,
}

/// Why a job failed, as far as it goes outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct JobEventError {
    /// What sort of failure.
    pub category: ErrorCategory,
}

/// The event of a job's end. `record` is the job as it stands by now: it may be at a later version, or gone.
pub(super) fn of_job(ended: &AuditEvent, record: Option<&JobRecord>, most_result_bytes: Option<usize>) -> WebhookEvent {
    let event_type = match ended.to {
        JobStatus::Completed => "job.completed",
        JobStatus::Failed => "job.failed",
        JobStatus::Cancelled => "job.cancelled",
        JobStatus::Timeout => "job.timed_out",
        // Only ends post callbacks; a later release may post more.
        JobStatus::Pending | JobStatus::Processing => "job.changed",
    };
    let result = record.filter(|record| record.version == ended.version).and_then(|record| record.result.as_ref());
    let sent = result.filter(|result| most_result_bytes.is_some_and(|most| json_len(result) <= most));
    let data = JobEvent {
        job_id: ended.job,
        external_id: record.and_then(|record| record.external_id.clone()),
        kind: record.map(|record| record.kind.clone()),
        tenant: record.map(|record| record.tenant.clone()),
        status: ended.to,
        job_version: ended.version,
        attempts: ended.attempt,
        correlation_id: ended.correlation_id.clone(),
        error: ended.error.as_ref().map(|error| JobEventError { category: error.category }),
        result: sent.cloned(),
        result_omitted: result.is_some() && sent.is_none(),
    };
    // Names, numbers and a value that came from JSON: there is nothing that has no JSON form.
    WebhookEvent::new(event_type, ended.at, serde_json::to_value(data).unwrap_or(Value::Null))
}
