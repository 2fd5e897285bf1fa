//! Somebody's old snapshot: the rows of all jobs that were taken since stay where they are, and cost what they cost.
//!
//! Two databases take turns, one with a snapshot that is held all the time. `ATLAS_BENCH_HELD` is the number of jobs that
//! go through each meanwhile, as fast as they can.

use super::server::{Database, Host};
use crate::drain::{drain, fill};
use crate::{Scale, number};
use anyhow::Result;
use atlas_benches::Row;
use atlas_jobs::JobStore;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Turns of each: a worker that begins sweeps at once, and one that has drained its queue asks for the statistics. Both walk past
/// what the snapshot keeps, and are rare where workers run for long.
const TURNS: usize = 12;

pub(crate) fn rows(runtime: &Runtime, host: &Host, scale: Scale) -> Result<Vec<Row>> {
    let jobs = number("ATLAS_BENCH_HELD", scale.jobs * TURNS)?.max(TURNS);
    let (free, held) = runtime.block_on(async { anyhow::Ok((host.database().await?, host.database().await?)) })?;
    let task = race(free, held, jobs / TURNS);
    let (without, with, lasted) = runtime.block_on(runtime.spawn(task))??;
    let ratio = without.as_secs_f64() / with.as_secs_f64();
    Ok(vec![
        Row::new("postgres/held-snapshot-rate", ratio, "ratio").at_least(0.95),
        Row::new("postgres/held-snapshot-lasted", lasted.as_secs_f64(), "s"),
    ])
}

/// The time without and with a snapshot, and how long that was held.
async fn race(free: Database, held: Database, jobs: usize) -> Result<(Duration, Duration, Duration)> {
    let (mut without, mut with) = (Duration::ZERO, Duration::ZERO);
    let free_store: Arc<dyn JobStore> = Arc::new(free.store(4).await?);
    let held_store: Arc<dyn JobStore> = Arc::new(held.store(4).await?);
    let snapshot = held.connect().await?;
    snapshot.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM atlas_jobs_meta").await?;
    let start = Instant::now();
    for turn in 0..=TURNS {
        fill(&free_store, jobs, 50).await?;
        fill(&held_store, jobs, 50).await?;
        // Who goes first changes, and the first turn of all warms up.
        let (a, b) = if turn % 2 == 0 {
            let a = drain(&free_store, jobs, 1).await?;
            (a, drain(&held_store, jobs, 1).await?)
        } else {
            let b = drain(&held_store, jobs, 1).await?;
            (drain(&free_store, jobs, 1).await?, b)
        };
        if turn > 0 {
            without += a;
            with += b;
        }
    }
    let lasted = start.elapsed();
    snapshot.batch_execute("COMMIT").await?;
    Ok((without, with, lasted))
}
