//! The bridge between the canonical job document and the stored job: there and back.
//!
//! A stored job is an envelope around a request; what only the document has (two switches, log lines, the result of a job
//! that did not complete) goes into an [`Extra`] beside it. Ids are made, not drawn: the same document gives the same
//! [`JobId`] everywhere, so that a second run of a migration meets its own records.

use crate::category::ErrorCategory;
use crate::correlation::CorrelationId;
use crate::extraction::{ExtractionJob, ExtractionParams, ExtractionRequest, LogEntry, ModelOverride};
use crate::id::{ExternalId, JobId, JobKind, QueueName, TenantId, WorkerId};
use crate::job::{JobError, JobRecord, JobStatus, Lease};
use crate::result::ExtractionResult;
use crate::stage::Stage;
use crate::version::SchemaVersion;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a document's job is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placement {
    /// The stage of the store.
    pub stage: Stage,
    /// Whose job it is: by default `default`.
    pub tenant: TenantId,
    /// Its queue: by default `default`.
    pub queue: QueueName,
    /// At most so many attempts, from 1: by default 5.
    pub max_attempts: u32,
}

impl Placement {
    /// The defaults, in a stage.
    pub fn new(stage: Stage) -> Self {
        Self { stage, tenant: TenantId::default(), queue: QueueName::default(), max_attempts: 5 }
    }
}

/// A canonical document as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The job.
    pub record: JobRecord<ExtractionRequest>,
    /// What the envelope has no field for; `None` if that is nothing.
    pub extra: Option<Extra>,
}

/// What the document of a job says and its envelope has no field for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Extra {
    /// Whether the unified extractor may run: default true.
    #[serde(default = "yes")]
    pub unified_extractor_enabled: bool,
    /// Whether GPT-5 models may be used: default false.
    #[serde(default)]
    pub gpt5_enabled: bool,
    /// The log lines, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogEntry>,
    /// What a job gave that did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ExtractionResult>,
}

const fn yes() -> bool {
    true
}

impl Default for Extra {
    fn default() -> Self {
        Self { unified_extractor_enabled: true, gpt5_enabled: false, logs: Vec::new(), result: None }
    }
}

/// A document or a stored job that has no counterpart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// The stored result is not an extraction's.
    #[error("the stored result is not an extraction result: was the job of kind `extract`?")]
    Result,
}

impl JobId {
    /// The key of a job known by an external id: the time it was made and ten bytes of the id's SHA-256.
    pub fn of_external(id: &ExternalId, created: crate::Timestamp) -> Self {
        let random = crate::id::digest(id).first_chunk().copied().unwrap_or_default();
        Self::from_parts(created, random)
    }
}

/// Turns a canonical document into the stored job of kind `extract`.
///
/// It is version 1, as if just written. A job that was processing has a lease that is over, held by `migration`: the next
/// worker claims it. A document without a correlation id gets the one derived from its id. A timeout without a recorded
/// error says so.
///
/// # Errors
/// [`BridgeError::Result`] if the result cannot be written as JSON.
pub fn store(job: ExtractionJob, placement: &Placement) -> Result<Stored, BridgeError> {
    let ExtractionJob { id, kind, status, url, params, result, error, created_at, updated_at, logs, .. } = job;
    let tried = !matches!(status, JobStatus::Pending | JobStatus::Cancelled);
    let (result, unfinished) = match status {
        JobStatus::Completed => (result, None),
        _ => (None, result),
    };
    let result = result.map(serde_json::to_value).transpose().map_err(|_| BridgeError::Result)?;
    let extra = Extra {
        unified_extractor_enabled: params.unified_extractor_enabled,
        gpt5_enabled: params.gpt5_enabled,
        logs,
        result: unfinished,
    };
    let record = JobRecord {
        schema_version: SchemaVersion::CURRENT,
        id: JobId::of_external(&id, created_at),
        kind: JobKind::extract(),
        queue: placement.queue.clone(),
        tenant: placement.tenant.clone(),
        stage: placement.stage,
        status,
        version: 1,
        epoch: tried.into(),
        attempt: tried.into(),
        max_attempts: placement.max_attempts.clamp(1, 1000),
        priority: 0,
        run_at: created_at,
        deadline: None,
        attempt_timeout_ms: None,
        lease: (status == JobStatus::Processing)
            .then(|| Lease { worker: WorkerId::migration(), expires_at: updated_at }),
        callback: None,
        parent: None,
        idempotency_key: None,
        cancel_requested: None,
        cost_cap: None,
        correlation_id: job.correlation_id.unwrap_or_else(|| CorrelationId::derived(&id)),
        created_at,
        updated_at,
        started_at: tried.then_some(created_at),
        finished_at: status.is_terminal().then_some(updated_at),
        progress: None,
        payload: ExtractionRequest {
            url,
            kind,
            schema: None,
            instructions: Some(params.extraction_instructions),
            base_url: None,
            strategy: None,
            max_pages: params.max_pages,
            max_depth: params.max_depth,
            timeout_ms: params.timeout,
            cost_cap: None,
            model: params.model_override.map(|model| model.as_str().to_owned()),
        },
        result,
        error: failure(status, error),
        external_id: Some(id),
    };
    Ok(Stored { record, extra: (extra != Extra::default()).then_some(extra) })
}

/// Documents tell no categories; only the status says something.
fn failure(status: JobStatus, error: Option<String>) -> Option<JobError> {
    let category = match status {
        JobStatus::Timeout => ErrorCategory::Timeout,
        JobStatus::Cancelled => ErrorCategory::Cancelled,
        _ => ErrorCategory::Internal,
    };
    let silent_timeout = || (status == JobStatus::Timeout).then(|| "the job ran out of time".to_owned());
    error.or_else(silent_timeout).map(|message| JobError { category, message })
}

/// The document of a stored job of kind `extract`, whether it came from [`store`] or was made here.
///
/// A job made here is known by its key. What the document has no field for (schema, strategy, cost cap, lease, attempts) is
/// not shown; where a request has a schema and no instructions, `extract by schema` stands for them.
///
/// # Errors
/// [`BridgeError::Result`] if a completed job's result is not an extraction's.
pub fn view(record: JobRecord<ExtractionRequest>, extra: Option<Extra>) -> Result<ExtractionJob, BridgeError> {
    let extra = extra.unwrap_or_default();
    let request = record.payload;
    let stored = record.result.filter(|result| !result.is_null());
    let result: Option<ExtractionResult> =
        stored.map(serde_json::from_value::<ExtractionResult>).transpose().map_err(|_| BridgeError::Result)?;
    if record.status == JobStatus::Completed && result.is_none() {
        return Err(BridgeError::Result);
    }
    let model = request.model.map(Value::String);
    Ok(ExtractionJob {
        id: record.external_id.unwrap_or_else(|| ExternalId::of_job(record.id)),
        kind: request.kind,
        status: record.status,
        url: request.url,
        params: ExtractionParams {
            extraction_instructions: request.instructions.unwrap_or_else(|| "extract by schema".to_owned()),
            max_pages: request.max_pages,
            max_depth: request.max_depth,
            timeout: request.timeout_ms,
            unified_extractor_enabled: extra.unified_extractor_enabled,
            gpt5_enabled: extra.gpt5_enabled,
            model_override: model.and_then(|model| serde_json::from_value::<ModelOverride>(model).ok()),
        },
        result: result.or(extra.result),
        error: record.error.map(|error| error.message),
        created_at: record.created_at,
        updated_at: record.updated_at,
        logs: extra.logs,
        correlation_id: Some(record.correlation_id),
        schema_version: SchemaVersion::CURRENT,
    })
}
