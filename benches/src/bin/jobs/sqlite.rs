//! The SQLite store at full durability, against raw statements over its own tables and against apalis-sqlite.

use crate::drain::{drain, fill, rate};
use crate::{SLOTS, Scale};
use anyhow::{Context, Result};
use atlas_benches::peer::{Ready, program};
use atlas_benches::{Row, cpu, median};
use atlas_jobs::{JobStore, SqliteJobs};
use atlas_schema::{Actor, AuditKind, Stage, WorkerId};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Jobs of a raw transaction: those completed and those claimed.
const BATCH: usize = 100;
/// Bytes of a payload.
const PAYLOAD: usize = 50;
/// Commits of one row, to say what the disk gives.
const SYNCS: u32 = 100;

pub(crate) fn rows(runtime: &Runtime, scale: Scale) -> Result<Vec<Row>> {
    let peer = program("apalis_sqlite");
    let (mut ours, mut raws, mut peers, mut ratios, mut syncs) = (vec![], vec![], vec![], vec![], vec![]);
    let (mut our_cpus, mut raw_cpus) = (vec![], vec![]);
    for round in 0..=scale.rounds {
        let folder = tempfile::tempdir_in("target")?;
        let path = folder.path().join("ours.db");
        let store = runtime.block_on(async {
            let store: Arc<dyn JobStore> = Arc::new(SqliteJobs::open(&path, Stage::Dev).await?);
            fill(&store, scale.jobs, PAYLOAD).await?;
            anyhow::Ok(store)
        })?;
        // On a task of its own, as a host has it: the main thread of a runtime is slower to wake.
        let task = async move { drain(&store, scale.jobs, 1).await };
        let (took, our_cpu) = cpu::during(|| runtime.block_on(runtime.spawn(task))?)?;
        let our = rate(scale.jobs, took);
        let path = folder.path().join("raw.db");
        runtime.block_on(async {
            let store = SqliteJobs::open(&path, Stage::Dev).await?;
            let shared: Arc<dyn JobStore> = Arc::new(store.clone());
            fill(&shared, scale.jobs, PAYLOAD).await?;
            drop(shared);
            store.close().await;
            anyhow::Ok(())
        })?;
        let (took, raw_cpu) = cpu::during(|| raw(&path, scale.jobs))?;
        let raw = rate(scale.jobs, took);
        let sync = rate(SYNCS as usize, single_rows(&folder.path().join("sync.db"))?);
        let theirs = match &peer {
            None => None,
            Some(program) => {
                let jobs = (scale.jobs / 5).max(100);
                let path = folder.path().join("peer.db");
                let path = path.to_str().context("the folder's name is no text")?;
                let args = ["drain", path, &jobs.to_string(), &SLOTS.to_string(), &PAYLOAD.to_string()];
                Some(rate(jobs, Duration::from_secs_f64(Ready::start(program, &args)?.go()?.get("seconds")?)))
            }
        };
        // The first turn warms up the disk and the caches.
        if round > 0 {
            ours.push(our);
            raws.push(raw);
            syncs.push(sync);
            ratios.push(our / raw);
            our_cpus.push(cpu::per_job(our_cpu, scale.jobs));
            raw_cpus.push(cpu::per_job(raw_cpu, scale.jobs));
            peers.extend(theirs);
        }
    }
    let [our, raw, ratio, sync] = [ours, raws, ratios, syncs].map(middle);
    let [our_cpu, raw_cpu] = [our_cpus, raw_cpus].map(middle);
    let mut rows = vec![
        Row::new("sqlite/claim-complete", our, "jobs/s"),
        Row::new("sqlite/raw-100-batch", raw, "jobs/s"),
        Row::new("sqlite/single-row-commits", sync, "commits/s"),
        Row::new("sqlite/cpu", our_cpu, "us/job").peer(raw_cpu),
        Row::new("sqlite/to-raw", ratio, "ratio").at_least(0.7),
    ];
    rows.push(if peers.is_empty() {
        Row::absent("sqlite/to-apalis-sqlite (not built)", "ratio")
    } else {
        let theirs = middle(peers);
        Row::new("sqlite/to-apalis-sqlite", our / theirs, "ratio").at_least(5.0).peer(theirs)
    });
    Ok(rows)
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    median(values.iter().map(|value| value.to_bits()).collect()).map_or(f64::NAN, f64::from_bits)
}

fn open(path: &Path) -> Result<Connection> {
    let conn = Connection::open(path)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", "4000")?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

/// One durable row at a time.
fn single_rows(path: &Path) -> Result<Duration> {
    let conn = open(path)?;
    conn.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY)")?;
    let start = Instant::now();
    for n in 0..SYNCS {
        conn.execute("INSERT INTO t VALUES (?1)", [n])?;
    }
    Ok(start.elapsed())
}

/// What SQLite itself needs for the same rows: each transaction completes one batch and claims the next.
fn raw(path: &Path, jobs: usize) -> Result<Duration> {
    let mut conn = open(path)?;
    let script = Script::new()?;
    let start = Instant::now();
    let mut claimed: Vec<Claimed> = Vec::new();
    let mut done = 0;
    while done < jobs {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        script.beat(&tx)?;
        script.complete(&tx, &claimed)?;
        done += claimed.len();
        claimed = script.claim(&tx)?;
        tx.commit()?;
    }
    Ok(start.elapsed())
}

/// Rank, run-at, id, version, epoch, attempt, head, payload.
type Found = (i64, i64, [u8; 16], i64, i64, i64, String, String);

struct Claimed {
    id: [u8; 16],
    epoch: i64,
}

/// The statements, with what they write as constants.
struct Script {
    worker: String,
    actor: String,
    claimed: String,
    completed: String,
    now: i64,
}

impl Script {
    fn new() -> Result<Self> {
        let worker = WorkerId::new("w-0123456789abcdef0123456789abcdef")?;
        let actor = serde_json::to_string(&Actor::Worker { id: worker.clone() })?;
        let kind = |kind: AuditKind| serde_json::to_string(&kind);
        Ok(Self {
            worker: worker.as_str().to_owned(),
            actor,
            claimed: kind(AuditKind::Claimed)?,
            completed: kind(AuditKind::Completed)?,
            now: i64::MAX / 2,
        })
    }

    fn beat(&self, tx: &Transaction<'_>) -> Result<()> {
        let sql = "SELECT beat FROM atlas_jobs_worker WHERE worker = ?1";
        let beat: Option<i64> = tx.prepare_cached(sql)?.query_row([&self.worker], |row| row.get(0)).optional()?;
        tx.prepare_cached(
            "INSERT OR REPLACE INTO atlas_jobs_worker (worker, beat, lease_ms, seen_at) VALUES (?1, ?2, 15000, ?3)",
        )?
        .execute(params![self.worker, beat.unwrap_or(0) + 1, self.now])?;
        Ok(())
    }

    fn claim(&self, tx: &Transaction<'_>) -> Result<Vec<Claimed>> {
        let mut select = tx.prepare_cached(
            "SELECT r.rank, r.run_at, r.id, s.version, s.epoch, s.attempt, j.head, j.payload
             FROM atlas_jobs_ready r JOIN atlas_jobs_job j ON j.id = r.id JOIN atlas_jobs_state s ON s.id = r.id
             WHERE r.queue = 'default' AND r.kind = 'bench' ORDER BY r.rank, r.run_at, r.id LIMIT ?1",
        )?;
        let found: Vec<Found> = select
            .query_map([i64::try_from(BATCH)?], |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                    row.get(6)?,
                    row.get(7)?,
                ))
            })?
            .collect::<Result<_, _>>()?;
        let mut delete = tx.prepare_cached(
            "DELETE FROM atlas_jobs_ready
             WHERE queue = 'default' AND kind = 'bench' AND rank = ?1 AND run_at = ?2 AND id = ?3",
        )?;
        let mut update = tx.prepare_cached(
            "UPDATE atlas_jobs_state SET status = 1, version = version + 1, epoch = epoch + 1, attempt = attempt + 1,
               updated_at = ?2, started_at = ?2, worker = ?3, lease_end = ?2 WHERE id = ?1",
        )?;
        let mut claimed = Vec::with_capacity(found.len());
        for (rank, run_at, id, version, epoch, attempt, _head, _payload) in found {
            delete.execute(params![rank, run_at, id])?;
            update.execute(params![id, self.now, self.worker])?;
            self.event(tx, id, version + 1, epoch + 1, attempt + 1, &self.claimed, 0, 1)?;
            claimed.push(Claimed { id, epoch: epoch + 1 });
        }
        let count = i64::try_from(claimed.len())?;
        add_to_count(tx, 0, -count)?;
        add_to_count(tx, 1, count)?;
        Ok(claimed)
    }

    fn complete(&self, tx: &Transaction<'_>, claimed: &[Claimed]) -> Result<()> {
        let mut update = tx.prepare_cached(
            "UPDATE atlas_jobs_state SET status = 2, version = version + 1, updated_at = ?3, finished_at = ?3,
               worker = NULL, lease_end = NULL WHERE id = ?1 AND epoch = ?2 AND status = 1
             RETURNING version, attempt",
        )?;
        let mut result = tx.prepare_cached("INSERT INTO atlas_jobs_result (id, result) VALUES (?1, 'null')")?;
        for Claimed { id, epoch } in claimed {
            let (version, attempt) =
                update.query_row(params![id, epoch, self.now], |row| Ok((row.get(0)?, row.get(1)?)))?;
            result.execute(params![id])?;
            self.event(tx, *id, version, *epoch, attempt, &self.completed, 1, 2)?;
        }
        let count = i64::try_from(claimed.len())?;
        add_to_count(tx, 1, -count)?;
        add_to_count(tx, 2, count)
    }

    #[allow(clippy::too_many_arguments, reason = "the columns of one row")]
    fn event(
        &self,
        tx: &Transaction<'_>,
        id: [u8; 16],
        version: i64,
        epoch: i64,
        attempt: i64,
        kind: &str,
        from: i64,
        to: i64,
    ) -> Result<()> {
        tx.prepare_cached(
            "INSERT INTO atlas_jobs_event (job, version, epoch, attempt, at, actor, kind, from_status, to_status)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![id, version, epoch, attempt, self.now, self.actor, kind, from, to])?;
        Ok(())
    }
}

fn add_to_count(tx: &Transaction<'_>, status: i64, by: i64) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO atlas_jobs_count (queue, kind, status, tenant, jobs, processing_ms)
             VALUES ('default', 'bench', ?1, 'default', ?2, 0)
             ON CONFLICT (queue, kind, status, tenant) DO UPDATE SET jobs = jobs + excluded.jobs",
    )?
    .execute(params![status, by])?;
    Ok(())
}
