//! The tables, and how an older file becomes a present one.
//!
//! All names begin with `atlas_jobs_`, and the version stands in a row of our own: one file may serve other tables, of
//! this family or of the host, and `user_version` belongs to nobody.

use super::error::{BACKEND, corrupt, failed};
use crate::error::{Kind, StoreError};
use atlas_schema::Stage;
use rusqlite::{Connection, OptionalExtension};
use std::str::FromStr;

/// What brings a file from version `n` to `n + 1`, from 0.
const STEPS: [&str; 2] = [V1, V2];

/// The job itself never changes and may be large; what changes is narrow and elsewhere, so that a transition rewrites
/// little. The queue is an index of its own: ready jobs only, in the order in which they are claimed.
const V1: &str = "
CREATE TABLE atlas_jobs_meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE atlas_jobs_job (
  id BLOB NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  kind TEXT NOT NULL,
  queue TEXT NOT NULL,
  external_id TEXT,
  idempotency_key TEXT,
  parent BLOB,
  created_at INTEGER NOT NULL,
  head TEXT NOT NULL,
  payload TEXT NOT NULL
) STRICT;
CREATE INDEX atlas_jobs_job_time ON atlas_jobs_job (created_at, id);
CREATE INDEX atlas_jobs_job_tenant ON atlas_jobs_job (tenant, created_at, id);
CREATE INDEX atlas_jobs_job_parent ON atlas_jobs_job (parent, created_at, id) WHERE parent IS NOT NULL;
CREATE UNIQUE INDEX atlas_jobs_job_external ON atlas_jobs_job (tenant, external_id) WHERE external_id IS NOT NULL;
CREATE UNIQUE INDEX atlas_jobs_job_key ON atlas_jobs_job (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE atlas_jobs_state (
  id BLOB NOT NULL PRIMARY KEY,
  status INTEGER NOT NULL,
  version INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  run_at INTEGER NOT NULL,
  deadline INTEGER,
  updated_at INTEGER NOT NULL,
  started_at INTEGER,
  finished_at INTEGER,
  worker TEXT,
  lease_end INTEGER,
  cancel_at INTEGER,
  cancel_by INTEGER,
  cancel_reason TEXT,
  progress TEXT,
  error TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX atlas_jobs_state_worker ON atlas_jobs_state (worker) WHERE worker IS NOT NULL;
CREATE INDEX atlas_jobs_state_deadline ON atlas_jobs_state (deadline) WHERE deadline IS NOT NULL AND status < 2;
CREATE INDEX atlas_jobs_state_cancel ON atlas_jobs_state (cancel_by) WHERE cancel_by IS NOT NULL AND status = 1;
CREATE INDEX atlas_jobs_state_ended ON atlas_jobs_state (status, finished_at) WHERE finished_at IS NOT NULL;
CREATE TABLE atlas_jobs_ready (
  queue TEXT NOT NULL,
  kind TEXT NOT NULL,
  rank INTEGER NOT NULL,
  run_at INTEGER NOT NULL,
  id BLOB NOT NULL,
  PRIMARY KEY (queue, kind, rank, run_at, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE atlas_jobs_result (id BLOB NOT NULL PRIMARY KEY, result TEXT NOT NULL) STRICT;
CREATE TABLE atlas_jobs_event (
  job BLOB NOT NULL,
  version INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  kind TEXT NOT NULL,
  from_status INTEGER,
  to_status INTEGER NOT NULL,
  reason TEXT,
  error TEXT,
  PRIMARY KEY (job, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE atlas_jobs_outbox (
  seq INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  topic TEXT NOT NULL,
  tries INTEGER NOT NULL,
  visible_at INTEGER NOT NULL,
  entry TEXT NOT NULL
) STRICT;
CREATE INDEX atlas_jobs_outbox_due ON atlas_jobs_outbox (topic, visible_at, seq);
CREATE TABLE atlas_jobs_count (
  queue TEXT NOT NULL,
  kind TEXT NOT NULL,
  status INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  jobs INTEGER NOT NULL,
  processing_ms INTEGER NOT NULL,
  PRIMARY KEY (queue, kind, status, tenant)
) STRICT, WITHOUT ROWID;
CREATE TABLE atlas_jobs_worker (
  worker TEXT NOT NULL PRIMARY KEY,
  beat INTEGER NOT NULL,
  lease_ms INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE atlas_jobs_queue (
  queue TEXT NOT NULL PRIMARY KEY,
  paused INTEGER NOT NULL,
  max_running INTEGER,
  max_per_second INTEGER
) STRICT, WITHOUT ROWID;
";

/// How far a queue's rate limit is used up.
const V2: &str = "
ALTER TABLE atlas_jobs_queue ADD COLUMN pace_left INTEGER;
ALTER TABLE atlas_jobs_queue ADD COLUMN pace_at INTEGER;
";

/// Creates or upgrades the tables, and binds the file to its stage.
pub(super) fn prepare(conn: &Connection, stage: Stage) -> Result<(), StoreError> {
    conn.execute_batch("BEGIN IMMEDIATE").map_err(|error| failed("open", error))?;
    let prepared = upgrade(conn, stage);
    let end = if prepared.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = conn.execute_batch(end).map_err(|error| failed("open", error));
    prepared.and(ended)
}

fn upgrade(conn: &Connection, stage: Stage) -> Result<(), StoreError> {
    let found = version(conn)?;
    let run = |step: &str| conn.execute_batch(step).map_err(|error| failed("open", error));
    let set = "INSERT INTO atlas_jobs_meta (key, value) VALUES (?1, ?2)
               ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    let put = |key: &str, value: &str| conn.execute(set, (key, value)).map_err(|error| failed("open", error));
    if found < STEPS.len() {
        STEPS.iter().skip(found).try_for_each(|step| run(step))?;
        put("version", &STEPS.len().to_string())?;
    }
    if found == 0 {
        put("stage", stage.as_str())?;
    }
    check(conn, stage)
}

/// Refuses a file of a newer release or of another stage.
pub(super) fn check(conn: &Connection, stage: Stage) -> Result<(), StoreError> {
    let found = version(conn)?;
    if found > STEPS.len() {
        return Err(StoreError::new(Kind::NewerVersion, BACKEND, "open"));
    }
    if found < STEPS.len() {
        return Err(corrupt("open", "the tables of the job store are missing or older than this release writes"));
    }
    match meta(conn, "stage")?.as_deref().map(Stage::from_str) {
        Some(Ok(found)) if found == stage => Ok(()),
        Some(Ok(_)) => Err(StoreError::new(Kind::WrongStage, BACKEND, "open")),
        _ => Err(corrupt("open", "the job store does not say which stage it belongs to")),
    }
}

/// How many steps the file has seen; 0 if it has no table of ours.
fn version(conn: &Connection) -> Result<usize, StoreError> {
    let tables = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'atlas_jobs_meta'";
    let ours: i64 = conn.query_row(tables, [], |row| row.get(0)).map_err(|error| failed("open", error))?;
    if ours == 0 {
        return Ok(0);
    }
    let text = meta(conn, "version")?;
    text.and_then(|text| text.parse().ok())
        .filter(|version| *version > 0)
        .ok_or_else(|| corrupt("open", "the job store does not say which version it is"))
}

fn meta(conn: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    conn.query_row("SELECT value FROM atlas_jobs_meta WHERE key = ?1", [key], |row| row.get(0))
        .optional()
        .map_err(|error| failed("open", error))
}
