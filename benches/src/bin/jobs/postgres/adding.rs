//! Enqueueing: one job at a time from many callers, and many at once.

use super::middle;
use super::server::{Database, Host};
use crate::Scale;
use crate::drain::{fill, rate, spec};
use anyhow::Result;
use atlas_benches::Row;
use atlas_benches::peer::{Ready, program};
use atlas_jobs::{JobManager, JobStore};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;
use uuid::Uuid;

const CALLERS: usize = 16;
/// Jobs of one bulk call.
const BULK: usize = 1000;

pub(crate) fn rows(runtime: &Runtime, host: &Host, scale: Scale) -> Result<Vec<Row>> {
    let (single, bulk) = ((scale.jobs / 2).max(CALLERS) / CALLERS * CALLERS, (scale.jobs * 4).max(BULK) / BULK * BULK);
    let peer = program("graphile_worker");
    let (mut ours, mut inserts, mut peers, mut bulks, mut copies) = (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..=scale.rounds {
        let our = turn(runtime, host, |database| one_by_one(database, single))?;
        let insert = turn(runtime, host, |database| raw_inserts(database, single))?;
        let theirs = match &peer {
            None => None,
            Some(program) => {
                let database = runtime.block_on(host.database())?;
                // Its commits queue for one lock, that of its notifications: a fifth of the jobs takes as long.
                let few = (single / 5).max(CALLERS) / CALLERS * CALLERS;
                let args = ["enqueue", &database.url, &few.to_string(), &CALLERS.to_string(), "50"];
                Some(rate(few, Duration::from_secs_f64(Ready::start(program, &args)?.go()?.get("seconds")?)))
            }
        };
        let many = turn(runtime, host, |database| at_once(database, bulk))?;
        let copy = turn(runtime, host, |database| raw_copy(database, bulk))?;
        // The first turn warms up the disk and the caches.
        if round > 0 {
            ours.push(our);
            inserts.push(insert);
            peers.extend(theirs);
            bulks.push(many);
            copies.push(copy);
        }
    }
    let ratio = |ours: &[f64], theirs: &[f64]| middle(ours.iter().zip(theirs).map(|(a, b)| a / b).collect());
    let mut rows = vec![
        Row::new("postgres/enqueue-single", middle(ours.clone()), "jobs/s"),
        Row::new("postgres/enqueue-to-raw-insert", ratio(&ours, &inserts), "ratio").at_least(1.5).peer(middle(inserts)),
        Row::new("postgres/enqueue-bulk", middle(bulks.clone()), "jobs/s"),
        Row::new("postgres/bulk-to-raw-copy", ratio(&bulks, &copies), "ratio").at_least(0.8).peer(middle(copies)),
    ];
    if !peers.is_empty() {
        rows.push(Row::new("postgres/enqueue-to-graphile_worker", ratio(&ours, &peers), "ratio").peer(middle(peers)));
    }
    Ok(rows)
}

/// A rate in an empty database, on a task of its own, as a host has it.
fn turn<F: Future<Output = Result<f64>> + Send + 'static>(
    runtime: &Runtime,
    host: &Host,
    work: impl FnOnce(Database) -> F,
) -> Result<f64> {
    let database = runtime.block_on(host.database())?;
    runtime.block_on(runtime.spawn(work(database)))?
}

/// Each caller waits until its job is durable before it adds the next.
async fn one_by_one(database: Database, jobs: usize) -> Result<f64> {
    let store: Arc<dyn JobStore> = Arc::new(database.store(CALLERS).await?);
    fill(&store, CALLERS, 50).await?;
    let manager = Arc::new(JobManager::new(store)?);
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (manager, spec) = (manager.clone(), spec(50)?);
        callers.spawn(async move {
            for _ in 0..jobs / CALLERS {
                manager.enqueue(spec.clone()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(rate(jobs, start.elapsed()))
}

/// One row per job into the widest of our tables, and no more; a connection per caller.
async fn raw_inserts(database: Database, jobs: usize) -> Result<f64> {
    drop(database.store(1).await?);
    let mut clients = Vec::new();
    for _ in 0..CALLERS {
        let client = database.connect().await?;
        let insert = client.prepare(INSERT).await?;
        clients.push((client, insert));
    }
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for (client, insert) in clients {
        callers.spawn(async move {
            for _ in 0..jobs / CALLERS {
                client.execute(&insert, &[&PAYLOAD]).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(rate(jobs, start.elapsed()))
}

const PAYLOAD: &str = r#"{"n":1,"text":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#;
const INSERT: &str = "INSERT INTO atlas_jobs_job (id, created_at, grp, max_attempts, priority, schema_version,
      correlation_id, tenant, payload)
    VALUES (gen_random_uuid(), 1, 1, 5, 0, '1.0', 'c-0123456789abcdef0123456789abcdef', 'default', $1)";

async fn at_once(database: Database, jobs: usize) -> Result<f64> {
    let store: Arc<dyn JobStore> = Arc::new(database.store(2).await?);
    fill(&store, CALLERS, 50).await?;
    let start = Instant::now();
    fill(&store, jobs, 50).await?;
    Ok(rate(jobs, start.elapsed()))
}

/// The rows of both tables that a new job has, by COPY: as many per commit as a bulk call has.
async fn raw_copy(database: Database, jobs: usize) -> Result<f64> {
    drop(database.store(1).await?);
    let mut client = database.connect().await?;
    // The ids are in order, as ours are.
    let ids: Vec<Uuid> = (1..=u128::try_from(jobs)?).map(Uuid::from_u128).collect();
    let job = "COPY atlas_jobs_job (id, created_at, grp, max_attempts, priority, schema_version, correlation_id, tenant, payload)
        FROM STDIN BINARY";
    let ready =
        "COPY atlas_jobs_ready (id, run_at, version, epoch, lane, grp, rank, attempt, follows) FROM STDIN BINARY";
    let text = Type::TEXT;
    let job_types =
        [Type::UUID, Type::INT8, Type::INT4, Type::INT2, Type::INT2, text.clone(), text.clone(), text.clone(), text];
    let ready_types =
        [Type::UUID, Type::INT8, Type::INT4, Type::INT8, Type::INT4, Type::INT4, Type::INT4, Type::INT2, Type::BOOL];
    let start = Instant::now();
    for ids in ids.chunks(BULK) {
        let transaction = client.transaction().await?;
        let mut writer = pin!(BinaryCopyInWriter::new(transaction.copy_in(job).await?, &job_types));
        for id in ids {
            let correlation = "c-0123456789abcdef0123456789abcdef";
            let row = writer.as_mut();
            row.write(&[id, &1_i64, &1_i32, &5_i16, &0_i16, &"1.0", &correlation, &"default", &PAYLOAD]).await?;
        }
        writer.finish().await?;
        let mut writer = pin!(BinaryCopyInWriter::new(transaction.copy_in(ready).await?, &ready_types));
        for id in ids {
            let row = writer.as_mut();
            row.write(&[id, &1_i64, &1_i32, &0_i64, &1_i32, &1_i32, &0_i32, &0_i16, &false]).await?;
        }
        writer.finish().await?;
        transaction.commit().await?;
    }
    Ok(rate(jobs, start.elapsed()))
}
