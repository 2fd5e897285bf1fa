//! From before the enqueue to the start of the handler, of a worker that has nothing else to do.
//!
//! Of one store for both, as in one process: so the peers' programs do it. Rows with `apart` are of a worker that has a store of
//! its own, as it would in another process, and hears of the job through the server.

use super::quantile;
use super::server::{Database, Host};
use crate::drain::{kind, spec};
use crate::{SLOTS, Scale};
use anyhow::{Context, Result};
use atlas_benches::Row;
use atlas_benches::peer::{Ready, program};
use atlas_jobs::{HandlerError, JobContext, JobManager, JobStore, Worker, handler_fn};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;

/// Jobs of one turn.
const JOBS: usize = 100;
/// The first ones, of each program, do not count: they prepare the statements of each connection, and fill the first page of each
/// table, at which the server creates a file.
const FIRST: usize = 100;
/// Between two of them, so that the worker is idle again.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn rows(runtime: &Runtime, host: &Host, scale: Scale) -> Result<Vec<Row>> {
    let rivals = ["graphile_worker", "awa", "apalis_pg"];
    let programs: Vec<_> = rivals.into_iter().map(|name| (name, program(name))).collect();
    let (mut apart, mut together) = (Vec::new(), Vec::new());
    let mut theirs: Vec<Vec<f64>> = vec![Vec::new(); programs.len()];
    for _ in 0..scale.rounds {
        let turn = |one_process| {
            let database = runtime.block_on(host.database())?;
            runtime.block_on(runtime.spawn(ours(database, one_process)))?
        };
        apart.extend(turn(false)?);
        for ((_, program), times) in programs.iter().zip(&mut theirs) {
            let Some(program) = program else { continue };
            let database = runtime.block_on(host.database())?;
            let args = ["latency", &database.url, &(FIRST + JOBS).to_string(), &SLOTS.to_string(), "50"];
            times.extend(Ready::start(program, &args)?.go()?.all("start").skip(FIRST));
        }
        together.extend(turn(true)?);
    }
    let mut rows = Vec::new();
    let at = |times: &mut Vec<f64>| [50, 99].map(|percent| quantile(times, percent));
    let mut best = [f64::INFINITY; 2];
    for ((name, program), times) in programs.iter().zip(&mut theirs) {
        if program.is_none() {
            rows.push(Row::absent(format!("postgres/start-{name} (not built)"), "ms"));
            continue;
        }
        let figures = at(times);
        for ((best, figure), percent) in best.iter_mut().zip(figures).zip(["p50", "p99"]) {
            *best = best.min(figure);
            rows.push(Row::new(format!("postgres/start-{percent}-{name}"), figure, "ms"));
        }
    }
    for (name, times, floors) in [("", &mut together, [Some(0.9), Some(0.7)]), ("-apart", &mut apart, [None, None])] {
        for (at, (figure, floor)) in at(times).into_iter().zip(floors).enumerate() {
            let percent = ["p50", "p99"][at];
            rows.push(Row::new(format!("postgres/start-{percent}{name}"), figure, "ms"));
            let ratio = Row::new(format!("postgres/start-{percent}{name}-to-best-peer"), figure / best[at], "ratio");
            // Without any peer the best of them is infinite, and says nothing.
            if best[at].is_finite() {
                let ratio = ratio.peer(best[at]);
                rows.push(match floor {
                    Some(floor) => ratio.at_most(floor),
                    None => ratio,
                });
            } else {
                rows.push(Row::absent(ratio.name, "ratio"));
            }
        }
    }
    Ok(rows)
}

/// Milliseconds.
async fn ours(database: Database, one_process: bool) -> Result<Vec<f64>> {
    let there = database.store(4).await?;
    let here = if one_process { there.clone() } else { database.store(4).await? };
    there.listen(database.config.clone(), NoTls).await?;
    let (sender, mut started) = mpsc::unbounded_channel();
    let handler = handler_fn(move |_: JobContext, _: serde_json::Value| {
        // Nobody listens once the bench is over.
        let _ = sender.send(Instant::now());
        async { Ok::<(), HandlerError>(()) }
    });
    let store: Arc<dyn JobStore> = Arc::new(there);
    let worker = Worker::builder(store).handler(kind()?, Arc::new(handler)).concurrency(SLOTS).build()?;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { worker.run(shutdown).await }
    });
    let (manager, spec) = (JobManager::new(Arc::new(here))?, spec(50)?);
    let mut times = Vec::with_capacity(JOBS);
    for job in 0..FIRST + JOBS {
        tokio::time::sleep(PAUSE).await;
        let start = Instant::now();
        manager.enqueue(spec.clone()).await?;
        let at = started.recv().await.context("the worker ended")?;
        if job >= FIRST {
            times.push(at.saturating_duration_since(start).as_secs_f64() * 1e3);
        }
    }
    shutdown.cancel();
    running.await??;
    Ok(times)
}
