//! The rows that transitions write, as one JSON object for `write.sql`: whatever they are, they take one round trip.

use super::error::BACKEND;
use super::groups::Group;
use super::record::{code, fields, int};
use crate::error::{Kind, StoreError};
use crate::state::{Applied, OutboxEntry, topics};
use crate::store::Count;
use atlas_schema::{Actor, AuditEvent, AuditKind, JobId, JobRecord, JobStatus, Timestamp, WorkerId};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The table that says where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Ready,
    Deferred,
    Lease,
    Done,
}

impl Place {
    pub(super) const ALL: [Self; 4] = [Self::Ready, Self::Deferred, Self::Lease, Self::Done];

    const fn leave(self) -> &'static str {
        match self {
            Self::Ready => "leaveReady",
            Self::Deferred => "leaveDeferred",
            Self::Lease => "leaveLease",
            Self::Done => "leaveDone",
        }
    }
}

/// A job as it was read, with what its row tells of its history.
pub(super) struct Before {
    pub(super) record: JobRecord<()>,
    pub(super) group: Group,
    pub(super) place: Place,
    pub(super) claim_here: bool,
    pub(super) end_here: bool,
    /// Of the claim, if its row is here.
    pub(super) worker: Option<WorkerId>,
}

/// Rows to be written together.
pub(super) struct Write {
    operation: &'static str,
    now: Timestamp,
    tables: Map<String, Value>,
    moves: BTreeMap<(i32, Option<i16>, Option<i16>), Moved>,
}

/// How many jobs went one way, and for how long they had run before and after.
#[derive(Default)]
struct Moved {
    jobs: i64,
    source_ms: i64,
    target_ms: i64,
}

pub(super) fn json_text(value: &impl Serialize, operation: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::new(Kind::Internal, BACKEND, operation).with_source(error))
}

impl Write {
    /// Nothing yet, at the database's time.
    pub(super) fn new(operation: &'static str, now: Timestamp) -> Self {
        Self { operation, now, tables: Map::new(), moves: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    pub(super) fn into_text(mut self) -> Result<String, StoreError> {
        for ((grp, source, target), moved) in std::mem::take(&mut self.moves) {
            let row = json!({
                "grp": grp, "source": source, "target": target, "jobs": moved.jobs,
                "source_ms": moved.source_ms, "target_ms": moved.target_ms,
            });
            self.put("move", row);
        }
        json_text(&self.tables, self.operation)
    }

    fn put(&mut self, table: &str, row: Value) {
        let rows = self.tables.entry(table).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(rows) = rows {
            rows.push(row);
        }
    }

    fn json(&self, value: &impl Serialize) -> Result<String, StoreError> {
        json_text(value, self.operation)
    }

    fn maybe_json(&self, value: Option<&impl Serialize>) -> Result<Option<String>, StoreError> {
        value.map(|value| self.json(value)).transpose()
    }

    /// One transition. The row of the job leaves its table, unless it stays where it is.
    pub(super) fn update(&mut self, before: &Before, applied: Applied<()>) -> Result<(), StoreError> {
        self.tell(before)?;
        let Applied { record, event, outbox } = applied;
        if before.place == Place::Lease && record.status == JobStatus::Processing {
            let cancel = record.cancel_requested.as_ref();
            let row = json!({
                "id": record.id, "version": record.version, "updated_at": record.updated_at,
                "cancel_by": cancel.map(|cancel| cancel.acknowledge_by), "cancel": self.maybe_json(cancel)?,
            });
            self.put("asked", row);
        } else {
            self.leave(before);
            self.enter(&record, before.group, None)?;
        }
        self.event(&event)?;
        self.outbox(outbox)?;
        self.moved(before.group, Some(&before.record), Some(&record));
        Ok(())
    }

    /// A job that is there from now on. `lease` is the number of the worker it came with.
    pub(super) fn insert(
        &mut self,
        record: &JobRecord<()>,
        event: &AuditEvent,
        group: Group,
        lease: Option<i32>,
    ) -> Result<(), StoreError> {
        self.enter(record, group, lease)?;
        self.event(event)?;
        self.moved(group, None, Some(record));
        Ok(())
    }

    /// A job that is no longer there.
    pub(super) fn delete(&mut self, before: &Before) {
        self.leave(before);
        self.moved(before.group, Some(&before.record), None);
    }

    fn leave(&mut self, before: &Before) {
        self.put(before.place.leave(), json!(before.record.id));
    }

    fn moved(&mut self, group: Group, before: Option<&JobRecord<()>>, after: Option<&JobRecord<()>>) {
        let status = |record: Option<&JobRecord<()>>| record.map(|record| code(record.status));
        let ms = |record: Option<&JobRecord<()>>| {
            record.map_or(0, |record| u64::try_from(Count::processing_of(record).as_millis()).unwrap_or(u64::MAX))
        };
        if status(before) == status(after) {
            return;
        }
        // One row for all that go the same way: whoever counts adds them up.
        let moved = self.moves.entry((group.no, status(before), status(after))).or_default();
        moved.jobs += 1;
        moved.source_ms = moved.source_ms.saturating_add(int(ms(before)));
        moved.target_ms = moved.target_ms.saturating_add(int(ms(after)));
    }

    fn enter(&mut self, record: &JobRecord<()>, group: Group, worker: Option<i32>) -> Result<(), StoreError> {
        let mut row = json!({
            "id": record.id, "run_at": record.run_at, "version": record.version, "epoch": record.epoch,
            "grp": group.no, "attempt": record.attempt, "deadline": record.deadline,
            "updated_at": record.updated_at, "started_at": record.started_at,
            "progress": self.maybe_json(record.progress.as_ref())?, "error": self.maybe_json(record.error.as_ref())?,
        });
        let cancel = record.cancel_requested.as_ref();
        let more = match record.status {
            JobStatus::Pending => json!({
                "lane": group.lane, "rank": -i32::from(record.priority),
                "follows": topics(record).next().is_some(),
            }),
            JobStatus::Processing => json!({
                "worker": worker, "claim_here": false, "lease_end": record.lease.as_ref().map(|lease| lease.expires_at),
                "cancel_by": cancel.map(|cancel| cancel.acknowledge_by), "cancel": self.maybe_json(cancel)?,
                "follows": topics(record).next().is_some(),
            }),
            _ => json!({
                "status": code(record.status), "finished_at": record.finished_at, "claim_here": false,
                "end_here": false, "cancel": self.maybe_json(cancel)?, "result": self.maybe_json(record.result.as_ref())?,
            }),
        };
        if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
            row.extend(more);
        }
        let table = match record.status {
            JobStatus::Pending if record.run_at <= self.now => "ready",
            JobStatus::Pending => "deferred",
            JobStatus::Processing => "lease",
            _ => "done",
        };
        self.put(table, row);
        Ok(())
    }

    /// What the job's row told of its history gets rows of its own, before the row goes or says something else.
    fn tell(&mut self, before: &Before) -> Result<(), StoreError> {
        let Before { record, claim_here, end_here, worker, .. } = before;
        let Some(worker) = worker.as_ref().filter(|_| *claim_here || *end_here) else { return Ok(()) };
        let told = |version, at: Option<Timestamp>, kind, from, to| AuditEvent {
            job: record.id,
            version,
            epoch: record.epoch,
            attempt: record.attempt,
            at: at.unwrap_or(record.updated_at),
            actor: Actor::Worker { id: worker.clone() },
            kind,
            from: Some(from),
            to,
            reason: None,
            error: None,
            correlation_id: record.correlation_id.clone(),
        };
        if *claim_here {
            let version = record.version - u64::from(record.status.is_terminal());
            let (from, to) = (JobStatus::Pending, JobStatus::Processing);
            self.event(&told(version, record.started_at, AuditKind::Claimed, from, to))?;
        }
        if *end_here {
            let (from, to) = (JobStatus::Processing, JobStatus::Completed);
            self.event(&told(record.version, record.finished_at, AuditKind::Completed, from, to))?;
        }
        Ok(())
    }

    fn event(&mut self, event: &AuditEvent) -> Result<(), StoreError> {
        let row = self.event_row(event)?;
        self.put("event", Value::Object(row));
        Ok(())
    }

    fn event_row(&self, event: &AuditEvent) -> Result<Map<String, Value>, StoreError> {
        let row = json!({
            "job": event.job, "version": event.version, "epoch": event.epoch, "attempt": event.attempt, "at": event.at,
            "source": event.from.map(code), "target": code(event.to), "kind": self.json(&event.kind)?,
            "actor": self.json(&event.actor)?, "reason": self.maybe_json(event.reason.as_ref())?,
            "error": self.maybe_json(event.error.as_ref())?,
        });
        if let Value::Object(row) = row { Ok(row) } else { Ok(Map::new()) }
    }

    fn outbox(&mut self, entries: Vec<OutboxEntry>) -> Result<(), StoreError> {
        for entry in entries {
            let mut row = self.event_row(&entry.event)?;
            let fields = fields(&entry.topic).map(|(_, fields)| fields);
            row.insert("topic".into(), json!(entry.topic.as_str()));
            row.insert("fields".into(), json!(self.maybe_json(fields.as_ref())?));
            row.insert("visible_at".into(), json!(entry.event.at));
            row.insert("correlation_id".into(), json!(entry.event.correlation_id));
            self.put("outbox", Value::Object(row));
        }
        Ok(())
    }
}

/// The ids as the driver takes them.
pub(super) fn uuids<'a>(ids: impl IntoIterator<Item = &'a JobId>) -> Vec<uuid::Uuid> {
    ids.into_iter().map(JobId::as_uuid).collect()
}
