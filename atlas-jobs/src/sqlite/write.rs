//! The writes of one transition, table by table.

use super::record::{code, int};
use super::transaction::SqliteRows;
use crate::error::StoreError;
use crate::state::OutboxEntry;
use atlas_schema::{AuditEvent, JobId, JobRecord, Timestamp};
use rusqlite::params;
use serde_json::Value;

impl SqliteRows<'_> {
    pub(super) fn enter_queue<P>(&self, record: &JobRecord<P>) -> Result<(), StoreError> {
        // It is there already after a damaged row was restored from a backup.
        self.run(
            "INSERT OR IGNORE INTO atlas_jobs_ready (queue, kind, rank, run_at, id) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                record.queue.as_str(),
                record.kind.as_str(),
                -i64::from(record.priority),
                record.run_at.as_millis(),
                record.id.as_bytes()
            ],
        )?;
        Ok(())
    }

    pub(super) fn leave_queue<P>(&self, record: &JobRecord<P>) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM atlas_jobs_ready WHERE queue = ?1 AND kind = ?2 AND rank = ?3 AND run_at = ?4 AND id = ?5",
            params![
                record.queue.as_str(),
                record.kind.as_str(),
                -i64::from(record.priority),
                record.run_at.as_millis(),
                record.id.as_bytes()
            ],
        )?;
        Ok(())
    }

    pub(super) fn insert_state<P>(&self, record: &JobRecord<P>) -> Result<(), StoreError> {
        self.state(
            "INSERT INTO atlas_jobs_state (id, status, version, epoch, attempt, run_at, updated_at, started_at,
               finished_at, worker, lease_end, deadline, cancel_at, cancel_by, cancel_reason, progress, error)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
            record,
        )
    }

    /// Most moves change nothing but status, times and lease: the rest, and its indexes, are left alone then.
    pub(super) fn update_state(&self, before: &JobRecord<()>, record: &JobRecord<()>) -> Result<(), StoreError> {
        let same = before.deadline == record.deadline
            && before.cancel_requested == record.cancel_requested
            && before.progress == record.progress
            && before.error == record.error;
        if !same {
            return self.state(
                "UPDATE atlas_jobs_state SET status = ?2, version = ?3, epoch = ?4, attempt = ?5, run_at = ?6,
                   updated_at = ?7, started_at = ?8, finished_at = ?9, worker = ?10, lease_end = ?11, deadline = ?12,
                   cancel_at = ?13, cancel_by = ?14, cancel_reason = ?15, progress = ?16, error = ?17
                 WHERE id = ?1",
                record,
            );
        }
        let lease = record.lease.as_ref();
        self.run(
            "UPDATE atlas_jobs_state SET status = ?2, version = ?3, epoch = ?4, attempt = ?5, run_at = ?6,
               updated_at = ?7, started_at = ?8, finished_at = ?9, worker = ?10, lease_end = ?11
             WHERE id = ?1",
            params![
                record.id.as_bytes(),
                code(record.status),
                int(record.version),
                int(record.epoch),
                record.attempt,
                record.run_at.as_millis(),
                record.updated_at.as_millis(),
                record.started_at.map(Timestamp::as_millis),
                record.finished_at.map(Timestamp::as_millis),
                lease.map(|lease| lease.worker.as_str()),
                lease.map(|lease| lease.expires_at.as_millis()),
            ],
        )?;
        Ok(())
    }

    fn state<P>(&self, sql: &str, record: &JobRecord<P>) -> Result<(), StoreError> {
        let cancel = record.cancel_requested.as_ref();
        let millis = |at: Option<Timestamp>| at.map(Timestamp::as_millis);
        self.run(
            sql,
            params![
                record.id.as_bytes(),
                code(record.status),
                int(record.version),
                int(record.epoch),
                record.attempt,
                record.run_at.as_millis(),
                record.updated_at.as_millis(),
                millis(record.started_at),
                millis(record.finished_at),
                record.lease.as_ref().map(|lease| lease.worker.as_str()),
                record.lease.as_ref().map(|lease| lease.expires_at.as_millis()),
                millis(record.deadline),
                cancel.map(|cancel| cancel.at.as_millis()),
                cancel.map(|cancel| cancel.acknowledge_by.as_millis()),
                cancel.map(|cancel| cancel.reason.as_str()),
                self.maybe_json(record.progress.as_ref())?,
                self.maybe_json(record.error.as_ref())?,
            ],
        )?;
        Ok(())
    }

    /// Everything that is kept of a job, but for its place in a queue.
    pub(super) fn delete_rows(&self, id: JobId) -> Result<(), StoreError> {
        for sql in [
            "DELETE FROM atlas_jobs_job WHERE id = ?1",
            "DELETE FROM atlas_jobs_state WHERE id = ?1",
            "DELETE FROM atlas_jobs_result WHERE id = ?1",
            "DELETE FROM atlas_jobs_event WHERE job = ?1",
        ] {
            self.run(sql, params![id.as_bytes()])?;
        }
        Ok(())
    }

    pub(super) fn write_result(&self, id: JobId, result: Option<&Value>) -> Result<(), StoreError> {
        if let Some(result) = result {
            let sql = "INSERT OR REPLACE INTO atlas_jobs_result (id, result) VALUES (?1, ?2)";
            self.run(sql, params![id.as_bytes(), self.json(result)?])?;
        }
        Ok(())
    }

    pub(super) fn write_event(&self, event: &AuditEvent) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO atlas_jobs_event (job, version, epoch, attempt, at, actor, kind, from_status, to_status,
               reason, error)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                event.job.as_bytes(),
                int(event.version),
                int(event.epoch),
                event.attempt,
                event.at.as_millis(),
                self.json(&event.actor)?,
                self.json(&event.kind)?,
                event.from.map(code),
                code(event.to),
                event.reason,
                self.maybe_json(event.error.as_ref())?,
            ],
        )?;
        Ok(())
    }

    pub(super) fn post(&self, entries: &[OutboxEntry]) -> Result<(), StoreError> {
        for entry in entries {
            // The same key can only stand for a purged job whose id was used again: that job is nobody's any more, and a
            // refusal would stop the worker that ends the new one.
            let sql = "INSERT OR REPLACE INTO atlas_jobs_outbox (key, topic, tries, visible_at, entry) VALUES (?1, ?2, 0, ?3, ?4)";
            let text = self.json(entry)?;
            self.run(sql, params![entry.key(), entry.topic.as_str(), entry.event.at.as_millis(), text])?;
        }
        Ok(())
    }
}
