//! Single rows of the file, in the middle of the writer's transaction.

use super::error::{BACKEND, corrupt};
use super::record::{COLUMNS, FROM, Head, Reader, WIDTH, code, int, record};
use super::transaction::SqliteRows;
use crate::error::StoreError;
use crate::kernel::{At, Beat, Due, Place, Rows, readable};
use crate::state::Applied;
use crate::store::{Capabilities, JobRef, Pace, QueueState};
use atlas_schema::{JobId, JobKind, JobRecord, JobStatus, Progress, QueueName, Stage, Timestamp, WorkerId};
use rusqlite::params;
use serde_json::Value;
use std::cmp::Reverse;
use std::sync::LazyLock;
use std::time::Duration;

// The lead of the job table in FROM makes these two primary key look-ups.
static LOAD: LazyLock<String> = LazyLock::new(|| format!("SELECT {COLUMNS} FROM {FROM} WHERE j.id = ?1"));
static LOAD_WITH_PAYLOAD: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {COLUMNS}, j.payload FROM {FROM} WHERE j.id = ?1"));
/// What this store can do. Sizes keep one row well below SQLite's own limit of a billion bytes.
pub(super) const fn capabilities() -> Capabilities {
    let mut can = Capabilities::minimal();
    can.durable = true;
    can.shared = true;
    can.atomic_items = usize::MAX;
    can.max_payload_bytes = 1024 * 1024;
    can.max_result_bytes = 64 * 1024 * 1024;
    can.queue_pause = true;
    can.queue_concurrency = true;
    can.queue_rate = true;
    can.strict_order = true;
    can
}
/// A bound for `LIMIT`.
fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Where an index by time is looked at from.
fn start(after: Option<&At>) -> (i64, &[u8]) {
    after.map_or((i64::MIN, &[]), |(at, id)| (*at, id.as_bytes()))
}

fn at(row: &Reader<'_>) -> Result<At, StoreError> {
    Ok((row.get(0)?, row.id(1)?))
}

impl Rows for SqliteRows<'_> {
    fn backend(&self) -> &'static str {
        BACKEND
    }

    fn stage(&self) -> Stage {
        self.stage
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    fn find(&mut self, reference: &JobRef) -> Result<Option<JobId>, StoreError> {
        super::read::find(self.conn, reference, self.operation)
    }

    fn load(&mut self, id: JobId) -> Result<Option<JobRecord<()>>, StoreError> {
        if let Some(known) = self.leased.get(id) {
            return Ok(Some(known.clone()));
        }
        if self.found.contains(&id) {
            let loaded = self.one(&LOAD_WITH_PAYLOAD, params![id.as_bytes()], |row| {
                Ok((record(row, self.stage)?, row.json(WIDTH)?))
            })?;
            let Some((record, payload)) = loaded else { return Ok(None) };
            self.payloads.insert(id, payload);
            return Ok(Some(record));
        }
        self.one(&LOAD, params![id.as_bytes()], |row| record(row, self.stage))
    }

    fn may_hold(&mut self, id: JobId, epoch: u64) -> Result<bool, StoreError> {
        // An epoch never falls. A status that is none says nothing.
        let sql = "SELECT count(*) FROM atlas_jobs_state WHERE id = ?1 AND (epoch > ?2 OR status IN (0, 2, 3, 4, 5))";
        Ok(self.one(sql, params![id.as_bytes(), int(epoch)], |row| row.get::<i64>(0))?.unwrap_or(0) == 0)
    }

    fn payload(&mut self, id: JobId) -> Result<Value, StoreError> {
        if let Some(payload) = self.payloads.remove(&id) {
            return Ok(payload);
        }
        let payload =
            self.one("SELECT payload FROM atlas_jobs_job WHERE id = ?1", params![id.as_bytes()], |row| row.json(0))?;
        payload.ok_or_else(|| corrupt(self.operation, "a job has no payload"))
    }

    fn insert(&mut self, applied: Applied) -> Result<(), StoreError> {
        let Applied { record, event, outbox } = applied;
        self.run(
            "INSERT INTO atlas_jobs_job (id, tenant, kind, queue, external_id, idempotency_key, parent, created_at,
               head, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                record.id.as_bytes(),
                record.tenant.as_str(),
                record.kind.as_str(),
                record.queue.as_str(),
                record.external_id.as_ref().map(AsRef::as_ref),
                record.idempotency_key.as_ref().map(AsRef::as_ref),
                record.parent.as_ref().map(JobId::as_bytes),
                record.created_at.as_millis(),
                self.json(&Head::of(&record))?,
                self.json(&record.payload)?,
            ],
        )?;
        self.insert_state(&record)?;
        self.write_result(record.id, record.result.as_ref())?;
        if record.status == JobStatus::Pending {
            self.enter_queue(&record)?;
        }
        self.count(&record, 1);
        self.write_event(&event)?;
        self.post(&outbox)
    }

    fn update(&mut self, before: &JobRecord<()>, applied: Applied<()>) -> Result<(), StoreError> {
        let Applied { record, event, outbox } = applied;
        if before.status == JobStatus::Pending {
            self.leave_queue(before)?;
        }
        self.update_state(before, &record)?;
        self.write_result(record.id, record.result.as_ref())?;
        if record.status == JobStatus::Pending {
            self.enter_queue(&record)?;
        }
        self.count(before, -1);
        self.count(&record, 1);
        self.write_event(&event)?;
        self.leased.wrote(record);
        self.post(&outbox)
    }

    fn set_progress(&mut self, id: JobId, progress: &Progress) -> Result<(), StoreError> {
        self.leased.forget(id);
        let text = self.json(progress)?;
        self.run("UPDATE atlas_jobs_state SET progress = ?2 WHERE id = ?1", params![id.as_bytes(), text])?;
        Ok(())
    }

    fn delete(&mut self, record: &JobRecord<()>) -> Result<(), StoreError> {
        self.leased.forget(record.id);
        if record.status == JobStatus::Pending {
            self.leave_queue(record)?;
        }
        self.delete_rows(record.id)?;
        self.count(record, -1);
        Ok(())
    }

    fn discard(&mut self, id: JobId) -> Result<(), StoreError> {
        self.leased.forget(id);
        self.flush()?;
        // It is counted in the status that it has, or had when it last changed.
        let counted = self.run(
            "UPDATE atlas_jobs_count AS c SET jobs = c.jobs - 1, processing_ms = c.processing_ms - job.ms
             FROM (SELECT j.queue, j.kind, j.tenant, coalesce(max(s.finished_at - s.started_at, 0), 0) AS ms,
                     CASE WHEN s.status BETWEEN 0 AND 5 THEN s.status
                       ELSE (SELECT to_status FROM atlas_jobs_event WHERE job = ?1 ORDER BY version DESC LIMIT 1)
                     END AS status
                   FROM atlas_jobs_job j CROSS JOIN atlas_jobs_state s ON s.id = j.id WHERE j.id = ?1) AS job
             WHERE c.queue = job.queue AND c.kind = job.kind AND c.tenant = job.tenant AND c.status = job.status
               AND c.jobs > 0",
            params![id.as_bytes()],
        )?;
        if counted == 0 {
            tracing::error!(%id, "nothing says where a damaged job was counted: it stays in the statistics");
        }
        // No column says for certain where it waits: all places are looked at.
        self.run("DELETE FROM atlas_jobs_ready WHERE id = ?1", params![id.as_bytes()])?;
        self.delete_rows(id)
    }

    fn beat(&mut self, worker: &WorkerId) -> Result<Option<Beat>, StoreError> {
        let sql = "SELECT beat, lease_ms, seen_at FROM atlas_jobs_worker WHERE worker = ?1";
        self.one(sql, params![worker.as_str()], |row| beat(row, 0))
    }

    fn set_beat(&mut self, worker: &WorkerId, beat: Beat) -> Result<(), StoreError> {
        // A longer lease than all of time would overflow in SQL, and every job of the worker would be unreadable.
        let most = Timestamp::MAX.as_millis();
        let lease = i64::try_from(beat.lease.as_millis()).map_or(most, |lease| lease.min(most));
        self.run(
            "INSERT OR REPLACE INTO atlas_jobs_worker (worker, beat, lease_ms, seen_at) VALUES (?1, ?2, ?3, ?4)",
            params![worker.as_str(), int(beat.count), lease, beat.seen_at.as_millis()],
        )?;
        Ok(())
    }

    fn forget_workers(&mut self, before: Timestamp) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM atlas_jobs_worker WHERE seen_at < ?1
               AND NOT EXISTS (SELECT 1 FROM atlas_jobs_state s WHERE s.worker = atlas_jobs_worker.worker)",
            params![before.as_millis()],
        )?;
        Ok(())
    }

    fn leaseholders(&mut self) -> Result<Vec<(WorkerId, Option<Beat>)>, StoreError> {
        let sql = "SELECT DISTINCT s.worker, w.beat, w.lease_ms, w.seen_at FROM atlas_jobs_state s
                   LEFT JOIN atlas_jobs_worker w ON w.worker = s.worker WHERE s.worker IS NOT NULL";
        self.all(sql, [], |row| {
            let seen = row.get::<Option<i64>>(1)?.is_some();
            Ok((row.text(0)?, seen.then(|| beat(row, 1)).transpose()?))
        })
    }

    fn leases_of(&mut self, worker: &WorkerId, after: Option<JobId>, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let sql = "SELECT id FROM atlas_jobs_state WHERE worker = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
        let after = after.as_ref().map_or(&[][..], |id| id.as_bytes());
        self.all(sql, params![worker.as_str(), after, most(limit)], |row| row.id(0))
    }

    fn ready(
        &mut self,
        queue: &QueueName,
        kind: &JobKind,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Place>, StoreError> {
        let next = "SELECT rank FROM atlas_jobs_ready WHERE queue = ?1 AND kind = ?2 AND rank > ?3
                    ORDER BY rank LIMIT 1";
        let due = "SELECT run_at, id FROM atlas_jobs_ready WHERE queue = ?1 AND kind = ?2 AND rank = ?3
                   AND run_at <= ?4 ORDER BY run_at, id LIMIT ?5";
        let (queue, kind) = (queue.as_str(), kind.as_str());
        let mut places: Vec<Place> = Vec::new();
        let mut rank = i64::MIN;
        // From rank to rank, so that jobs of a later time never stand in front of jobs that are due.
        while let Some(found) = self.one(next, params![queue, kind, rank], |row| row.get::<i64>(0))? {
            rank = found;
            let priority = i16::try_from(-rank).map_err(|_| corrupt(self.operation, "a priority is out of range"))?;
            let room = most(limit - places.len());
            places.extend(self.all(due, params![queue, kind, rank, now.as_millis(), room], |row| {
                Ok((Reverse(priority), row.time(0)?, row.id(1)?))
            })?);
            if places.len() >= limit {
                break;
            }
        }
        self.found.extend(places.iter().map(|(_, _, id)| *id));
        Ok(places)
    }

    fn put_off(&mut self, queue: &QueueName, kind: &JobKind, place: Place, until: Timestamp) -> Result<(), StoreError> {
        let (Reverse(priority), run_at, id) = place;
        let moved = self.run(
            "UPDATE atlas_jobs_ready SET run_at = ?6
             WHERE queue = ?1 AND kind = ?2 AND rank = ?3 AND run_at = ?4 AND id = ?5",
            params![
                queue.as_str(),
                kind.as_str(),
                -i64::from(priority),
                run_at.as_millis(),
                id.as_bytes(),
                until.as_millis()
            ],
        )?;
        // Once the job can be read it leaves its queue from where its state says that it stands.
        let sql = "UPDATE atlas_jobs_state SET run_at = ?2 WHERE id = ?1 AND status = 0";
        if moved > 0 {
            self.run(sql, params![id.as_bytes(), until.as_millis()])?;
        }
        Ok(())
    }

    fn correct(
        &mut self,
        queue: &QueueName,
        kind: &JobKind,
        place: Place,
        job: Option<&JobRecord<()>>,
    ) -> Result<(), StoreError> {
        let (Reverse(priority), run_at, id) = place;
        self.run(
            "DELETE FROM atlas_jobs_ready WHERE queue = ?1 AND kind = ?2 AND rank = ?3 AND run_at = ?4 AND id = ?5",
            params![queue.as_str(), kind.as_str(), -i64::from(priority), run_at.as_millis(), id.as_bytes()],
        )?;
        job.filter(|job| job.status == JobStatus::Pending).map_or(Ok(()), |job| self.enter_queue(job))
    }

    fn running(&mut self, queue: &QueueName) -> Result<u64, StoreError> {
        self.flush()?;
        let sql = "SELECT coalesce(sum(jobs), 0) FROM atlas_jobs_count WHERE queue = ?1 AND status = 1";
        Ok(self.one(sql, params![queue.as_str()], |row| row.number(0))?.unwrap_or(0))
    }

    fn queue(&mut self, queue: &QueueName) -> Result<Option<QueueState>, StoreError> {
        let sql = "SELECT queue, paused, max_running, max_per_second FROM atlas_jobs_queue WHERE queue = ?1";
        self.one(sql, params![queue.as_str()], queue_state)
    }

    fn set_queue(&mut self, state: &QueueState) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO atlas_jobs_queue (queue, paused, max_running, max_per_second) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (queue) DO UPDATE SET paused = excluded.paused, max_running = excluded.max_running,
               max_per_second = excluded.max_per_second",
            params![state.queue.as_str(), state.paused, state.max_running, state.max_per_second],
        )?;
        Ok(())
    }

    fn pace(&mut self, queue: &QueueName) -> Result<Option<Pace>, StoreError> {
        let sql = "SELECT pace_left, pace_at FROM atlas_jobs_queue WHERE queue = ?1 AND pace_at IS NOT NULL";
        self.one(sql, params![queue.as_str()], |row| Ok(Pace { left: row.number(0)?, at: row.time(1)? }))
    }

    fn set_pace(&mut self, queue: &QueueName, pace: Pace) -> Result<(), StoreError> {
        let sql = "UPDATE atlas_jobs_queue SET pace_left = ?2, pace_at = ?3 WHERE queue = ?1";
        self.run(sql, params![queue.as_str(), int(pace.left), pace.at.as_millis()])?;
        Ok(())
    }

    fn queues(&mut self) -> Result<Vec<QueueState>, StoreError> {
        let sql = "SELECT queue, paused, max_running, max_per_second FROM atlas_jobs_queue ORDER BY queue";
        self.all(sql, [], queue_state)
    }

    fn overdue(&mut self, now: Timestamp, after: Option<At>, limit: usize) -> Result<Vec<At>, StoreError> {
        let sql = "SELECT deadline, id FROM atlas_jobs_state
                   WHERE deadline <= ?1 AND (deadline, id) > (?2, ?3) AND deadline IS NOT NULL AND status < 2
                   ORDER BY deadline, id LIMIT ?4";
        let (from, behind) = start(after.as_ref());
        self.all(sql, params![now.as_millis(), from, behind, most(limit)], at)
    }

    fn unanswered(&mut self, now: Timestamp, after: Option<At>, limit: usize) -> Result<Vec<At>, StoreError> {
        let sql = "SELECT cancel_by, id FROM atlas_jobs_state
                   WHERE cancel_by <= ?1 AND (cancel_by, id) > (?2, ?3) AND cancel_by IS NOT NULL AND status = 1
                   ORDER BY cancel_by, id LIMIT ?4";
        let (from, behind) = start(after.as_ref());
        self.all(sql, params![now.as_millis(), from, behind, most(limit)], at)
    }

    fn ended(
        &mut self,
        status: JobStatus,
        before: Timestamp,
        after: Option<At>,
        limit: usize,
    ) -> Result<Vec<At>, StoreError> {
        let sql = "SELECT finished_at, id FROM atlas_jobs_state
                   WHERE status = ?1 AND finished_at < ?2 AND (finished_at, id) > (?3, ?4)
                   AND finished_at IS NOT NULL ORDER BY finished_at, id LIMIT ?5";
        let (from, behind) = start(after.as_ref());
        self.all(sql, params![code(status), before.as_millis(), from, behind, most(limit)], at)
    }

    fn outbox_due(&mut self, topic: &str, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        let sql = "SELECT key, entry, tries FROM atlas_jobs_outbox WHERE topic = ?1 AND visible_at <= ?2
                   ORDER BY visible_at, seq LIMIT ?3";
        let read = |row: &Reader<'_>| {
            let key: String = row.get(0)?;
            let entry = readable(row.json(1).map(Some), &key)?;
            Ok((key, entry, row.number(2)?))
        };
        self.all(sql, params![topic, now.as_millis(), most(limit)], read)
    }

    fn outbox_tries(&mut self, key: &str) -> Result<Option<u32>, StoreError> {
        self.one("SELECT tries FROM atlas_jobs_outbox WHERE key = ?1", params![key], |row| row.number(0))
    }

    fn outbox_hide(&mut self, key: &str, tries: u32, until: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE atlas_jobs_outbox SET tries = ?2, visible_at = ?3 WHERE key = ?1";
        self.run(sql, params![key, tries, until.as_millis()])?;
        Ok(())
    }

    fn outbox_delete(&mut self, key: &str) -> Result<(), StoreError> {
        self.run("DELETE FROM atlas_jobs_outbox WHERE key = ?1", params![key])?;
        Ok(())
    }
}

fn beat(row: &Reader<'_>, at: usize) -> Result<Beat, StoreError> {
    let lease = Duration::from_millis(row.number(at + 1)?);
    Ok(Beat { count: row.number(at)?, lease, seen_at: row.time(at + 2)? })
}

fn queue_state(row: &Reader<'_>) -> Result<QueueState, StoreError> {
    let limit = |at| row.get::<Option<u32>>(at);
    let mut state = QueueState::new(row.text(0)?);
    state.paused = row.get(1)?;
    state.max_running = limit(2)?;
    state.max_per_second = limit(3)?;
    Ok(state)
}
