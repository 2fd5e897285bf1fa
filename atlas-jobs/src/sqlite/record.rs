//! Between columns and records.

use super::error::{corrupt, failed};
use crate::error::StoreError;
use atlas_schema::{
    AuditEvent, Callback, CancelRequest, CorrelationId, ExternalId, IdempotencyKey, JobId, JobKind, JobRecord,
    JobStatus, Lease, QueueName, SchemaVersion, Stage, TenantId, Timestamp, Usd, WorkerId,
};
use rusqlite::Row;
use rusqlite::types::FromSql;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The columns that [`record`] reads, in its order: `j` is the job, `s` its state, `w` the worker of its lease, which ends
/// at [`Timestamp::MAX`] at the latest.
pub(super) const COLUMNS: &str = "j.id, j.tenant, j.kind, j.queue, j.external_id, j.idempotency_key, j.parent, \
     j.created_at, j.head, s.status, s.version, s.epoch, s.attempt, s.run_at, s.deadline, s.updated_at, s.started_at, \
     s.finished_at, s.worker, coalesce(min(w.seen_at + w.lease_ms, 253402300799999), s.lease_end), s.cancel_at, s.cancel_by, \
     s.cancel_reason, s.progress, s.error";
/// How many there are.
pub(super) const WIDTH: usize = 25;
/// Where they come from. The job leads: its indexes carry the order of lists.
pub(super) const FROM: &str = "atlas_jobs_job j CROSS JOIN atlas_jobs_state s ON s.id = j.id \
     LEFT JOIN atlas_jobs_worker w ON w.worker = s.worker";

/// What never changes and nobody searches for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Head {
    schema_version: SchemaVersion,
    max_attempts: u32,
    priority: i16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    callback: Option<Callback>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost_cap: Option<Usd>,
    correlation_id: CorrelationId,
}

impl Head {
    pub(super) fn of<P>(record: &JobRecord<P>) -> Self {
        Self {
            schema_version: record.schema_version,
            max_attempts: record.max_attempts,
            priority: record.priority,
            attempt_timeout_ms: record.attempt_timeout_ms,
            callback: record.callback.clone(),
            cost_cap: record.cost_cap,
            correlation_id: record.correlation_id.clone(),
        }
    }
}

/// Reads columns and says which operation failed if one holds nonsense.
pub(super) struct Reader<'a> {
    row: &'a Row<'a>,
    operation: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(row: &'a Row<'a>, operation: &'static str) -> Self {
        Self { row, operation }
    }

    pub(super) fn get<T: FromSql>(&self, at: usize) -> Result<T, StoreError> {
        self.row.get(at).map_err(|error| failed(self.operation, error).in_one_row())
    }

    pub(super) fn number<T: TryFrom<i64>>(&self, at: usize) -> Result<T, StoreError> {
        T::try_from(self.get::<i64>(at)?).map_err(|_| self.bad())
    }

    pub(super) fn time(&self, at: usize) -> Result<Timestamp, StoreError> {
        Timestamp::from_millis(self.get(at)?).map_err(|_| self.bad())
    }

    pub(super) fn maybe_time(&self, at: usize) -> Result<Option<Timestamp>, StoreError> {
        self.get::<Option<i64>>(at)?.map(Timestamp::from_millis).transpose().map_err(|_| self.bad())
    }

    pub(super) fn id(&self, at: usize) -> Result<JobId, StoreError> {
        self.get::<[u8; 16]>(at).map(JobId::from_bytes)
    }

    pub(super) fn status(&self, at: usize) -> Result<JobStatus, StoreError> {
        let code = usize::try_from(self.get::<i64>(at)?).map_err(|_| self.bad())?;
        JobStatus::ALL.get(code).copied().ok_or_else(|| self.bad())
    }

    pub(super) fn text<T: FromStr>(&self, at: usize) -> Result<T, StoreError> {
        let text = self.row.get_ref(at).map_err(|error| failed(self.operation, error))?;
        T::from_str(text.as_str().map_err(|_| self.bad())?).map_err(|_| self.bad())
    }

    pub(super) fn maybe_text<T: FromStr>(&self, at: usize) -> Result<Option<T>, StoreError> {
        self.get::<Option<String>>(at)?.map(|text| T::from_str(&text)).transpose().map_err(|_| self.bad())
    }

    pub(super) fn json<T: DeserializeOwned>(&self, at: usize) -> Result<T, StoreError> {
        let text = self.row.get_ref(at).map_err(|error| failed(self.operation, error))?;
        serde_json::from_str(text.as_str().map_err(|_| self.bad())?).map_err(|_| self.bad())
    }

    /// The bytes of a text; zero for none.
    pub(super) fn size(&self, at: usize) -> Result<usize, StoreError> {
        let text = self.row.get_ref(at).map_err(|error| failed(self.operation, error))?;
        Ok(text.as_str_or_null().map_err(|_| self.bad())?.map_or(0, str::len))
    }

    pub(super) fn maybe_json<T: DeserializeOwned>(&self, at: usize) -> Result<Option<T>, StoreError> {
        self.get::<Option<String>>(at)?.map(|text| serde_json::from_str(&text)).transpose().map_err(|_| self.bad())
    }

    fn bad(&self) -> StoreError {
        corrupt(self.operation, "a stored record is not one that this release writes").in_one_row()
    }
}

/// The place of a status in [`JobStatus::ALL`], which is how it is stored.
pub(super) const fn code(status: JobStatus) -> i64 {
    match status {
        JobStatus::Pending => 0,
        JobStatus::Processing => 1,
        JobStatus::Completed => 2,
        JobStatus::Failed => 3,
        JobStatus::Cancelled => 4,
        JobStatus::Timeout => 5,
    }
}

/// Numbers of records stay below 2^53; anything else can only be a mistake, and stops at the end of the range.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A record without payload and result, from [`COLUMNS`].
pub(super) fn record(row: &Reader<'_>, stage: Stage) -> Result<JobRecord<()>, StoreError> {
    let head: Head = row.json(8)?;
    let lease = match (row.maybe_text::<WorkerId>(18)?, row.maybe_time(19)?) {
        (Some(worker), Some(expires_at)) => Some(Lease { worker, expires_at }),
        _ => None,
    };
    let cancel_requested = match (row.maybe_time(20)?, row.maybe_time(21)?, row.get(22)?) {
        (Some(at), Some(acknowledge_by), Some(reason)) => Some(CancelRequest { at, reason, acknowledge_by }),
        _ => None,
    };
    let parent: Option<[u8; 16]> = row.get(6)?;
    Ok(JobRecord {
        schema_version: head.schema_version,
        id: row.id(0)?,
        external_id: row.maybe_text::<ExternalId>(4)?,
        kind: row.text::<JobKind>(2)?,
        queue: row.text::<QueueName>(3)?,
        tenant: row.text::<TenantId>(1)?,
        stage,
        status: row.status(9)?,
        version: row.number(10)?,
        epoch: row.number(11)?,
        attempt: row.number(12)?,
        max_attempts: head.max_attempts,
        priority: head.priority,
        run_at: row.time(13)?,
        deadline: row.maybe_time(14)?,
        attempt_timeout_ms: head.attempt_timeout_ms,
        lease,
        callback: head.callback,
        parent: parent.map(JobId::from_bytes),
        idempotency_key: row.maybe_text::<IdempotencyKey>(5)?,
        cancel_requested,
        cost_cap: head.cost_cap,
        correlation_id: head.correlation_id,
        created_at: row.time(7)?,
        updated_at: row.time(15)?,
        started_at: row.maybe_time(16)?,
        finished_at: row.maybe_time(17)?,
        progress: row.maybe_json(23)?,
        payload: (),
        result: None,
        error: row.maybe_json(24)?,
    })
}

/// An event, from `version, epoch, attempt, at, actor, kind, from_status, to_status, reason, error`.
pub(super) fn event(row: &Reader<'_>, job: JobId, correlation: &CorrelationId) -> Result<AuditEvent, StoreError> {
    let from = row.get::<Option<i64>>(6)?.is_some().then(|| row.status(6)).transpose()?;
    Ok(AuditEvent {
        job,
        version: row.number(0)?,
        epoch: row.number(1)?,
        attempt: row.number(2)?,
        at: row.time(3)?,
        actor: row.json(4)?,
        kind: row.json(5)?,
        from,
        to: row.status(7)?,
        reason: row.get(8)?,
        error: row.maybe_json(9)?,
        correlation_id: correlation.clone(),
    })
}
