//! Between rows and records.

use super::error::corrupt;
use super::groups::Names;
use crate::error::StoreError;
use crate::state::{OutboxEntry, OutboxTopic, topics};
use atlas_schema::{
    Actor, AuditEvent, Callback, CancelRequest, CorrelationId, ExternalId, IdempotencyKey, JobError, JobId, JobRecord,
    JobStatus, Lease, Progress, SchemaVersion, Stage, Timestamp, Usd, WorkerId,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::FromSqlOwned;

/// What [`record`] reads, in its order, where `j` is the job; [`STATE`] or its like follows.
pub(super) const JOB: &str = "j.grp, j.id, j.created_at, j.max_attempts, j.priority, j.schema_version, \
     j.correlation_id, j.external_id, j.idempotency_key, j.parent, j.more";
/// Where a job stands: `s` is its state, `w` the worker of its lease, which ends at [`Timestamp::MAX`] at the latest.
pub(super) const STATE: &str = "s.status, s.version, s.epoch, s.attempt, coalesce(s.run_at, j.created_at), s.deadline, \
     coalesce(s.updated_at, j.created_at), s.started_at, s.finished_at, CASE WHEN s.status = 1 THEN w.name END, \
     CASE WHEN w.beat >= 0 THEN least(w.seen_at + w.lease_ms, 253402300799999) ELSE s.lease_end END, \
     s.cancel, s.progress, s.error";
/// The same of a job that was claimed just now, as `t`, by `worker`: what is not the same for all of them, since each column of a
/// row costs the server some 70 ns. The payload follows.
pub(super) const CLAIMED: &str = "t.version::int8, t.epoch, t.attempt, t.run_at, t.deadline, \
     greatest(worker.seen_at, t.updated_at), t.error, j.payload";
/// How many columns [`JOB`] has.
const JOB_WIDTH: usize = 11;
/// How many [`JOB`] and [`STATE`] have.
pub(super) const WIDTH: usize = 25;
/// Where they come from. The limit keeps the planner from looking at all states first.
pub(super) const FROM: &str = "atlas_jobs_job j \
     CROSS JOIN LATERAL (SELECT * FROM atlas_jobs_state WHERE id = j.id LIMIT 1) s \
     LEFT JOIN atlas_jobs_worker w ON w.no = s.worker";

/// What few jobs have.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct More {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    callback: Option<Callback>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost_cap: Option<Usd>,
    /// Who made it, if not a caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<Actor>,
}

impl More {
    /// `None` if there is nothing out of the ordinary.
    pub(super) fn of<P>(record: &JobRecord<P>, actor: &Actor) -> Option<Self> {
        let actor = Some(actor).filter(|actor| **actor != Actor::Caller {}).cloned();
        let more = Self {
            attempt_timeout_ms: record.attempt_timeout_ms,
            callback: record.callback.clone(),
            cost_cap: record.cost_cap,
            actor,
        };
        let plain = more.attempt_timeout_ms.is_none()
            && more.callback.is_none()
            && more.cost_cap.is_none()
            && more.actor.is_none();
        Some(more).filter(|_| !plain)
    }
}

/// What follows from a job's end, as `complete.sql` posts it: an object from topic to its fields.
pub(super) fn follow<P>(record: &JobRecord<P>) -> Option<Value> {
    let topics: Map<String, Value> = topics(record).filter_map(|topic| fields(&topic)).collect();
    (!topics.is_empty()).then_some(Value::Object(topics))
}

/// A topic's name and its fields.
pub(super) fn fields(topic: &OutboxTopic) -> Option<(String, Value)> {
    match serde_json::to_value(topic) {
        Ok(Value::Object(object)) => object.into_iter().next(),
        _ => None,
    }
}

/// Reads columns and says which operation failed if one holds nonsense.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    row: &'a Row,
    operation: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(row: &'a Row, operation: &'static str) -> Self {
        Self { row, operation }
    }

    pub(super) fn get<T: FromSqlOwned>(&self, at: usize) -> Result<T, StoreError> {
        self.row.try_get(at).map_err(|_| self.bad())
    }

    pub(super) fn str(&self, at: usize) -> Result<Option<&'a str>, StoreError> {
        self.row.try_get(at).map_err(|_| self.bad())
    }

    pub(super) fn number<T: TryFrom<i64>>(&self, at: usize) -> Result<T, StoreError> {
        T::try_from(self.get::<i64>(at)?).map_err(|_| self.bad())
    }

    pub(super) fn small<T: TryFrom<i16>>(&self, at: usize) -> Result<T, StoreError> {
        T::try_from(self.get::<i16>(at)?).map_err(|_| self.bad())
    }

    pub(super) fn time(&self, at: usize) -> Result<Timestamp, StoreError> {
        Timestamp::from_millis(self.get(at)?).map_err(|_| self.bad())
    }

    pub(super) fn maybe_time(&self, at: usize) -> Result<Option<Timestamp>, StoreError> {
        self.get::<Option<i64>>(at)?.map(Timestamp::from_millis).transpose().map_err(|_| self.bad())
    }

    pub(super) fn id(&self, at: usize) -> Result<JobId, StoreError> {
        Ok(JobId::from_uuid(self.get(at)?))
    }

    pub(super) fn status(&self, at: usize) -> Result<JobStatus, StoreError> {
        JobStatus::ALL.get(self.small::<usize>(at)?).copied().ok_or_else(|| self.bad())
    }

    pub(super) fn maybe_status(&self, at: usize) -> Result<Option<JobStatus>, StoreError> {
        if self.get::<Option<i16>>(at)?.is_none() { Ok(None) } else { self.status(at).map(Some) }
    }

    pub(super) fn text<T: FromStr>(&self, at: usize) -> Result<T, StoreError> {
        self.maybe_text(at)?.ok_or_else(|| self.bad())
    }

    pub(super) fn maybe_text<T: FromStr>(&self, at: usize) -> Result<Option<T>, StoreError> {
        self.str(at)?.map(T::from_str).transpose().map_err(|_| self.bad())
    }

    pub(super) fn json<T: DeserializeOwned>(&self, at: usize) -> Result<T, StoreError> {
        self.maybe_json(at)?.ok_or_else(|| self.bad())
    }

    pub(super) fn maybe_json<T: DeserializeOwned>(&self, at: usize) -> Result<Option<T>, StoreError> {
        self.str(at)?.map(serde_json::from_str).transpose().map_err(|_| self.bad())
    }

    /// The payload, whose null is a value too.
    pub(super) fn value(&self, at: usize) -> Result<Value, StoreError> {
        self.result(at)?.ok_or_else(|| self.bad())
    }

    /// A result, if there is one; it may be null.
    pub(super) fn result(&self, at: usize) -> Result<Option<Value>, StoreError> {
        self.str(at)?.map(serde_json::from_str).transpose().map_err(|_| self.bad())
    }

    pub(super) fn bad(&self) -> StoreError {
        corrupt(self.operation, "a stored record is not one that this release writes").in_one_row()
    }
}

/// The place of a status in [`JobStatus::ALL`], which is how it is stored.
pub(super) const fn code(status: JobStatus) -> i16 {
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

/// The group of a row that begins with [`JOB`].
pub(super) fn group_of(row: &Row, operation: &'static str) -> Result<i32, StoreError> {
    Reader::new(row, operation).get(0)
}

/// Where a job stands.
struct Standing {
    status: JobStatus,
    version: u64,
    epoch: u64,
    attempt: u32,
    run_at: Timestamp,
    deadline: Option<Timestamp>,
    updated_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    lease: Option<Lease>,
    cancel: Option<CancelRequest>,
    progress: Option<Progress>,
    error: Option<JobError>,
}

/// A record without payload and result, from [`JOB`] and [`STATE`].
pub(super) fn record(
    row: Reader<'_>,
    stage: Stage,
    groups: &HashMap<i32, Arc<Names>>,
) -> Result<JobRecord<()>, StoreError> {
    let lease = match (row.maybe_text::<WorkerId>(20)?, row.maybe_time(21)?) {
        (Some(worker), Some(expires_at)) => Some(Lease { worker, expires_at }),
        _ => None,
    };
    let standing = Standing {
        status: row.status(11)?,
        version: row.number(12)?,
        epoch: row.number(13)?,
        attempt: row.small(14)?,
        run_at: row.time(15)?,
        deadline: row.maybe_time(16)?,
        updated_at: row.time(17)?,
        started_at: row.maybe_time(18)?,
        finished_at: row.maybe_time(19)?,
        lease,
        cancel: row.maybe_json(22)?,
        progress: row.maybe_json(23)?,
        error: row.maybe_json(24)?,
    };
    job(row, stage, groups, standing)
}

/// A whole record: after [`JOB`] and [`STATE`] come the payload and the result.
pub(super) fn full(row: Reader<'_>, stage: Stage, groups: &HashMap<i32, Arc<Names>>) -> Result<JobRecord, StoreError> {
    let payload = row.value(WIDTH)?;
    let mut record = record(row, stage, groups)?.map_payload(|()| payload);
    record.result = row.result(WIDTH + 1)?;
    Ok(record)
}

/// A whole record of a job that `worker` has just claimed for so many milliseconds, from [`JOB`] and [`CLAIMED`].
pub(super) fn claimed(
    row: Reader<'_>,
    stage: Stage,
    groups: &HashMap<i32, Arc<Names>>,
    (worker, lease_ms): (&WorkerId, i64),
) -> Result<JobRecord, StoreError> {
    const AT: usize = JOB_WIDTH;
    let now = row.time(AT + 5)?;
    let lease = u64::try_from(lease_ms).map_err(|_| row.bad())?;
    let expires_at = now.saturating_add(Duration::from_millis(lease));
    let standing = Standing {
        status: JobStatus::Processing,
        version: row.number(AT)?,
        epoch: row.number(AT + 1)?,
        attempt: row.small(AT + 2)?,
        run_at: row.time(AT + 3)?,
        deadline: row.maybe_time(AT + 4)?,
        updated_at: now,
        started_at: Some(now),
        finished_at: None,
        lease: Some(Lease { worker: worker.clone(), expires_at }),
        cancel: None,
        progress: None,
        error: row.maybe_json(AT + 6)?,
    };
    let payload = row.value(AT + 7)?;
    Ok(job(row, stage, groups, standing)?.map_payload(|()| payload))
}

/// The record of a job that stands somewhere, from [`JOB`].
fn job(
    row: Reader<'_>,
    stage: Stage,
    groups: &HashMap<i32, Arc<Names>>,
    standing: Standing,
) -> Result<JobRecord<()>, StoreError> {
    let names = groups.get(&row.get(0)?).ok_or_else(|| row.bad())?;
    let (queue, kind, tenant) = (**names).clone();
    let more: More = row.maybe_json(10)?.unwrap_or_default();
    let schema = row.str(5)?.ok_or_else(|| row.bad())?;
    if !SchemaVersion::is_known(schema) {
        return Err(row.bad());
    }
    let parent = match row.row.try_get(9) {
        Ok(parent) => Option::map(parent, JobId::from_uuid),
        Err(_) => return Err(row.bad()),
    };
    Ok(JobRecord {
        schema_version: SchemaVersion::CURRENT,
        id: row.id(1)?,
        external_id: row.maybe_text::<ExternalId>(7)?,
        kind,
        queue,
        tenant,
        stage,
        status: standing.status,
        version: standing.version,
        epoch: standing.epoch,
        attempt: standing.attempt,
        max_attempts: row.small(3)?,
        priority: row.get(4)?,
        run_at: standing.run_at,
        deadline: standing.deadline,
        attempt_timeout_ms: more.attempt_timeout_ms,
        lease: standing.lease,
        callback: more.callback,
        parent,
        idempotency_key: row.maybe_text::<IdempotencyKey>(8)?,
        cancel_requested: standing.cancel,
        cost_cap: more.cost_cap,
        correlation_id: row.text::<CorrelationId>(6)?,
        created_at: row.time(2)?,
        updated_at: standing.updated_at,
        started_at: standing.started_at,
        finished_at: standing.finished_at,
        progress: standing.progress,
        payload: (),
        result: None,
        error: standing.error,
    })
}

/// An event, from `version, epoch, attempt, at, actor, kind, source, target, reason, error, correlation`, from column
/// `from` on.
pub(super) fn event(row: Reader<'_>, from: usize, job: JobId) -> Result<AuditEvent, StoreError> {
    Ok(AuditEvent {
        job,
        version: row.number(from)?,
        epoch: row.number(from + 1)?,
        attempt: row.small(from + 2)?,
        at: row.time(from + 3)?,
        actor: row.json(from + 4)?,
        kind: row.json(from + 5)?,
        from: row.maybe_status(from + 6)?,
        to: row.status(from + 7)?,
        reason: row.maybe_json(from + 8)?,
        error: row.maybe_json(from + 9)?,
        correlation_id: row.text(from + 10)?,
    })
}

/// An outbox entry, from its topic and fields, followed by its event.
pub(super) fn outbox_entry(row: Reader<'_>, from: usize, job: JobId) -> Result<OutboxEntry, StoreError> {
    let mut topic = Map::new();
    topic.insert(row.text(from)?, row.json(from + 1)?);
    let topic = serde_json::from_value(Value::Object(topic)).map_err(|_| row.bad())?;
    Ok(OutboxEntry { topic, event: event(row, from + 2, job)? })
}
