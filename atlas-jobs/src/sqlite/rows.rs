//! Single rows of the file, in the middle of the writer's transaction.

use super::error::{BACKEND, corrupt, failed};
use super::leased::Leased;
use super::record::{COLUMNS, FROM, Head, Reader, WIDTH, code, int, record};
use crate::error::StoreError;
use crate::kernel::{Beat, Due, Place, Rows, readable};
use crate::state::Applied;
use crate::store::{Capabilities, Count, JobRef, Pace, QueueState};
use atlas_schema::{JobId, JobKind, JobRecord, JobStatus, Progress, QueueName, Stage, TenantId, Timestamp, WorkerId};
use rusqlite::{Connection, Params, params};
use serde::Serialize;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;
use std::time::Duration;

/// So many groups are looked through one by one.
const RECENT: usize = 8;

type Group = (QueueName, JobKind, JobStatus, TenantId);

pub(super) struct SqliteRows<'c> {
    conn: &'c Connection,
    stage: Stage,
    operation: &'static str,
    /// Changes of the counts that are not written yet: jobs and milliseconds.
    recent: Vec<(Group, i64, i64)>,
    /// Those of further groups.
    counts: HashMap<Group, (i64, i64)>,
    leased: &'c mut Leased,
    /// Ready jobs that were found: whoever loads one of them will ask for its payload, which stands in the same row.
    found: HashSet<JobId>,
    payloads: HashMap<JobId, Value>,
}

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

impl<'c> SqliteRows<'c> {
    pub(super) fn new(conn: &'c Connection, stage: Stage, operation: &'static str, leased: &'c mut Leased) -> Self {
        let (counts, found, payloads) = (HashMap::new(), HashSet::new(), HashMap::new());
        Self { conn, stage, operation, recent: Vec::new(), counts, leased, found, payloads }
    }

    /// Writes what was only added up so far.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        let sql = "INSERT INTO atlas_jobs_count (queue, kind, status, tenant, jobs, processing_ms)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                   ON CONFLICT (queue, kind, status, tenant) DO UPDATE
                   SET jobs = jobs + excluded.jobs, processing_ms = processing_ms + excluded.processing_ms";
        let recent = std::mem::take(&mut self.recent).into_iter();
        let rest = std::mem::take(&mut self.counts).into_iter().map(|(group, (jobs, millis))| (group, jobs, millis));
        for ((queue, kind, status, tenant), jobs, millis) in recent.chain(rest) {
            if (jobs, millis) != (0, 0) {
                self.run(sql, params![queue.as_str(), kind.as_str(), code(status), tenant.as_str(), jobs, millis])?;
            }
        }
        Ok(())
    }

    fn fail(&self, error: rusqlite::Error) -> StoreError {
        failed(self.operation, error)
    }

    pub(super) fn run(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute(params)).map_err(|e| self.fail(e))
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Reader<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.all(sql, params, read)?.into_iter().next())
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Reader<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.conn.prepare_cached(sql).map_err(|e| self.fail(e))?;
        let mut rows = statement.query(params).map_err(|e| self.fail(e))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(|e| self.fail(e))? {
            all.push(read(&Reader::new(row, self.operation))?);
        }
        Ok(all)
    }

    pub(super) fn json(&self, value: &impl Serialize) -> Result<String, StoreError> {
        serde_json::to_string(value).map_err(|_| corrupt(self.operation, "a record has no JSON form"))
    }

    pub(super) fn maybe_json(&self, value: Option<&impl Serialize>) -> Result<Option<String>, StoreError> {
        value.map(|value| self.json(value)).transpose()
    }

    fn count<P>(&mut self, record: &JobRecord<P>, by: i64) {
        let millis = i64::try_from(Count::processing_of(record).as_millis()).unwrap_or(i64::MAX);
        let millis = by.saturating_mul(millis);
        let same = |(queue, kind, status, tenant): &Group| {
            (queue, kind, *status, tenant) == (&record.queue, &record.kind, record.status, &record.tenant)
        };
        // One call seldom meets more groups than these: a copy of the names for each job would cost more.
        if let Some((_, jobs, sum)) = self.recent.iter_mut().find(|(group, ..)| same(group)) {
            *jobs += by;
            *sum = sum.saturating_add(millis);
            return;
        }
        let group = (record.queue.clone(), record.kind.clone(), record.status, record.tenant.clone());
        if self.recent.len() < RECENT {
            self.recent.push((group, by, millis));
            return;
        }
        let count = self.counts.entry(group).or_default();
        count.0 += by;
        count.1 = count.1.saturating_add(millis);
    }
}

/// A bound for `LIMIT`.
fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
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
        for sql in [
            "DELETE FROM atlas_jobs_job WHERE id = ?1",
            "DELETE FROM atlas_jobs_state WHERE id = ?1",
            "DELETE FROM atlas_jobs_result WHERE id = ?1",
            "DELETE FROM atlas_jobs_event WHERE job = ?1",
        ] {
            self.run(sql, params![record.id.as_bytes()])?;
        }
        self.count(record, -1);
        Ok(())
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

    fn leases_of(&mut self, worker: &WorkerId, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let sql = "SELECT id FROM atlas_jobs_state WHERE worker = ?1 ORDER BY id LIMIT ?2";
        self.all(sql, params![worker.as_str(), most(limit)], |row| row.id(0))
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

    fn overdue(&mut self, now: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let sql = "SELECT id FROM atlas_jobs_state WHERE deadline <= ?1 AND deadline IS NOT NULL AND status < 2
                   ORDER BY deadline, id LIMIT ?2";
        self.all(sql, params![now.as_millis(), most(limit)], |row| row.id(0))
    }

    fn unanswered(&mut self, now: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let sql = "SELECT id FROM atlas_jobs_state WHERE cancel_by <= ?1 AND cancel_by IS NOT NULL AND status = 1
                   ORDER BY cancel_by, id LIMIT ?2";
        self.all(sql, params![now.as_millis(), most(limit)], |row| row.id(0))
    }

    fn ended(&mut self, status: JobStatus, before: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let sql = "SELECT id FROM atlas_jobs_state WHERE status = ?1 AND finished_at < ?2
                   AND finished_at IS NOT NULL ORDER BY finished_at, id LIMIT ?3";
        self.all(sql, params![code(status), before.as_millis(), most(limit)], |row| row.id(0))
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
