//! Claims from a long queue in a database with many finished jobs, against those from one with nearly nothing.
//!
//! `ATLAS_BENCH_READY` jobs wait (100000) and `ATLAS_BENCH_DONE` are over (1000000).

use super::quantile;
use super::server::{Database, Host};
use crate::drain::{fill, kind};
use crate::{SLOTS, number};
use anyhow::Result;
use atlas_benches::Row;
use atlas_jobs::store::{Ack, AckAction, Claim, Exchange};
use atlas_jobs::{Clock, JobStore, PostgresJobs, SystemClock};
use atlas_schema::{JobRecord, QueueName, WorkerId};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Claims from each.
const CLAIMS: usize = 400;

pub(crate) fn rows(runtime: &Runtime, host: &Host) -> Result<Vec<Row>> {
    let ready = number("ATLAS_BENCH_READY", 100_000)?;
    let done = number("ATLAS_BENCH_DONE", 1_000_000)?;
    let (empty, long) = runtime.block_on(async { anyhow::Ok((host.database().await?, host.database().await?)) })?;
    let (mut empty, mut long) = runtime.block_on(runtime.spawn(race(empty, long, ready, done)))??;
    let [mut rows, other] = [50, 99].map(|percent| {
        let (short, long) = (quantile(&mut empty, percent), quantile(&mut long, percent));
        let row = Row::new(format!("postgres/claim-p{percent}-long-to-empty"), long / short, "ratio");
        let row = if percent == 99 { row.at_most(1.5) } else { row };
        vec![Row::new(format!("postgres/claim-p{percent}-long"), long, "ms").peer(short), row]
    });
    rows.extend(other);
    Ok(rows)
}

/// Milliseconds of each exchange: so many jobs completed, as many claimed.
async fn race(empty: Database, long: Database, ready: usize, done: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut sides = Vec::new();
    for (database, ready, done) in [(&empty, 0, 0), (&long, ready, done)] {
        let store = database.store(2).await?;
        let shared: Arc<dyn JobStore> = Arc::new(store.clone());
        fill(&shared, SLOTS, 50).await?;
        grow(database, ready, done).await?;
        database.tidy().await?;
        sides.push(Side { store, shared, held: Vec::new(), times: Vec::with_capacity(CLAIMS) });
    }
    let clock = SystemClock::new();
    for turn in 0..CLAIMS + 10 {
        for side in &mut sides {
            // What is claimed next, so that it is the same on both sides.
            fill(&side.shared, SLOTS, 50).await?;
            let ack = |job: &JobRecord| Ack {
                job: job.id,
                epoch: job.epoch,
                action: AckAction::Complete { result: serde_json::Value::Null },
            };
            let claim = Claim { queues: vec![QueueName::default()], kinds: vec![kind()?], limit: SLOTS };
            let beat = u64::try_from(turn)? + 1;
            let exchange = Exchange::new(WorkerId::new("w")?, beat, Duration::from_mins(1), clock.now())
                .with_acks(side.held.iter().map(ack).collect())
                .with_claim(claim);
            let start = Instant::now();
            side.held = side.store.exchange(exchange).await?.claimed;
            let took = start.elapsed();
            // The first ones prepare the statements of each connection.
            if turn >= 10 {
                side.times.push(took.as_secs_f64() * 1e3);
            }
        }
    }
    let mut times = sides.into_iter().map(|side| side.times);
    Ok((times.next().unwrap_or_default(), times.next().unwrap_or_default()))
}

struct Side {
    store: PostgresJobs,
    shared: Arc<dyn JobStore>,
    held: Vec<JobRecord>,
    times: Vec<f64>,
}

/// Adds jobs as if they had come, and ended, in the past. Ids rise with time, as those of version 7 do.
async fn grow(database: &Database, ready: usize, done: usize) -> Result<()> {
    let client = database.connect().await?;
    let (ready, done) = (i64::try_from(ready)?, i64::try_from(done)?);
    let sql = format!(
        "CREATE TEMPORARY TABLE grown AS
           SELECT ('0190' || lpad(to_hex(n), 8, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid AS id,
             1720000000000 + n AS at, n > {done} AS ready
           FROM generate_series(1, {done} + {ready}) n;
         INSERT INTO atlas_jobs_job (id, created_at, grp, max_attempts, priority, schema_version, correlation_id,
             tenant, payload)
           SELECT grown.id, at, 1, 5, 0, schema_version, correlation_id, tenant, payload
           FROM grown, (SELECT * FROM atlas_jobs_job LIMIT 1) made;
         INSERT INTO atlas_jobs_done (id, version, epoch, finished_at, status, attempt, claim_here, end_here, worker,
             started_at, result)
           SELECT id, 3, 1, at, 2, 1, true, true, 1, at, 'null' FROM grown WHERE NOT ready;
         INSERT INTO atlas_jobs_ended (at, status, ids)
           SELECT max(at), 2, array_agg(id) FROM grown WHERE NOT ready GROUP BY at / 500;
         INSERT INTO atlas_jobs_ready (id, run_at, version, epoch, lane, grp, rank, attempt, follows)
           SELECT id, at, 1, 0, 1, 1, 0, 0, false FROM grown WHERE ready;
         INSERT INTO atlas_jobs_move (grp, target, jobs) VALUES (1, 0, {ready}), (1, 2, {done});
         DROP TABLE grown"
    );
    client.batch_execute(&sql).await?;
    Ok(())
}
