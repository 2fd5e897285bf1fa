//! What PostgreSQL itself needs for the same rows: statements that check the epoch, as ours do, and nothing else.

use super::server::Database;
use crate::drain::{fill, rate};
use anyhow::{Result, ensure};
use atlas_jobs::JobStore;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

/// Plans as ours are: along the indexes, made once.
const SETTINGS: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off;
    SET enable_mergejoin = off; SET jit = off; SET plan_cache_mode = force_generic_plan";

const COMPLETE: &str = "WITH ended AS (
      DELETE FROM atlas_jobs_lease WHERE id = ANY($1) AND epoch = ($2)[width_bucket(id, $1)] RETURNING id, version, epoch, started_at, worker, attempt
    ), done AS (
      INSERT INTO atlas_jobs_done (id, version, epoch, finished_at, status, attempt, claim_here, end_here, worker,
        started_at, result)
      SELECT id, version + 1, epoch, started_at, 2, attempt, true, true, worker, started_at, 'null' FROM ended
    ), listed AS (
      INSERT INTO atlas_jobs_ended (at, status, ids) VALUES (0, 2, $1)
    )
    INSERT INTO atlas_jobs_move (grp, source, target, jobs) VALUES (1, 1, 2, cardinality($1))";

const CLAIM: &str = "WITH taken AS (
      DELETE FROM atlas_jobs_ready WHERE ctid = ANY (ARRAY(SELECT ctid FROM atlas_jobs_ready WHERE lane = 1
        ORDER BY rank, run_at, id LIMIT $1 FOR UPDATE SKIP LOCKED))
      RETURNING id, version, epoch + 1 AS epoch, attempt, grp
    ), lease AS (
      INSERT INTO atlas_jobs_lease (id, version, epoch, started_at, worker, grp, attempt, follows, claim_here)
      SELECT id, version + 1, epoch, 0, 1, grp, attempt + 1, false, true FROM taken
    ), counted AS (
      INSERT INTO atlas_jobs_move (grp, source, target, jobs) SELECT grp, 0, 1, count(*) FROM taken GROUP BY grp
    )
    SELECT taken.id, taken.epoch, j.payload FROM taken JOIN atlas_jobs_job j ON j.id = taken.id";

/// Jobs per second, with so many per transaction and so many connections: each completes one batch and claims the next. Nothing
/// waits for an answer that it does not need: a transaction is sent whole.
pub(crate) async fn drain(database: &Database, jobs: usize, batch: usize, connections: usize) -> Result<f64> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        let client = database.connect().await?;
        client.batch_execute(SETTINGS).await?;
        let complete = client.prepare_typed(COMPLETE, &[Type::UUID_ARRAY, Type::INT8_ARRAY]).await?;
        let claim = client.prepare_typed(CLAIM, &[Type::INT8]).await?;
        clients.push((client, complete, claim));
    }
    let batch = i64::try_from(batch)?;
    let start = Instant::now();
    let mut running = JoinSet::new();
    for (client, complete, claim) in clients {
        running.spawn(async move {
            let (mut held, mut done): (Vec<(Uuid, i64)>, usize) = (Vec::new(), 0);
            loop {
                let rows = turn(&client, &complete, &claim, &held, batch).await?;
                done += held.len();
                held = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
                held.sort_unstable();
                if held.is_empty() {
                    return anyhow::Ok(done);
                }
            }
        });
    }
    let mut done = 0;
    while let Some(ended) = running.join_next().await {
        done += ended??;
    }
    ensure!(done == jobs, "the raw statements lost jobs");
    Ok(rate(jobs, start.elapsed()))
}

async fn turn(
    client: &Client,
    complete: &Statement,
    claim: &Statement,
    held: &[(Uuid, i64)],
    batch: i64,
) -> Result<Vec<Row>> {
    let (ids, epochs): (Vec<Uuid>, Vec<i64>) = held.iter().copied().unzip();
    let batch: [&(dyn ToSql + Sync); 1] = [&batch];
    // Polled in this order, and each hands its message over at its first poll.
    let (begun, completed, rows, committed) = tokio::join!(
        biased;
        client.batch_execute("BEGIN"),
        async { if held.is_empty() { Ok(0) } else { client.execute(complete, &[&ids, &epochs]).await } },
        client.query(claim, &batch),
        client.batch_execute("COMMIT"),
    );
    begun?;
    completed?;
    let rows = rows?;
    committed?;
    Ok(rows)
}

/// A database with our tables and jobs in them.
pub(crate) async fn filled(database: &Database, jobs: usize, bytes: usize) -> Result<()> {
    let store: Arc<dyn JobStore> = Arc::new(database.store(2).await?);
    fill(&store, jobs, bytes).await?;
    database.tidy().await
}
