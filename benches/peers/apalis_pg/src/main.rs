//! apalis-postgres as a peer of the jobs bench: `peer-apalis_pg MODE URL JOBS SLOTS PAYLOAD`.
//!
//! `drain` runs a backlog with fetches and acknowledgements of 1000 jobs, the best of 100, 500, 1000 and 2000, and
//! without a task of the runtime per job, which was slower. All else is as set in advance: jobs are locked and results
//! kept. `enqueue` pushes jobs one by one from 16 callers, `latency` measures from before a push to the start of the
//! handler of an idle worker. Notifications wake it, but one that comes while it looks for jobs is lost, and the job
//! then waits for a heartbeat, up to 30 s: so it also looks by itself.

use apalis::prelude::*;
use apalis_postgres::{Config, PgPool, PostgresStorage};
use sqlx::postgres::PgPoolOptions;
use std::error::Error;
use std::future::ready;
use std::io::Write;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

type Failure = Box<dyn Error + Send + Sync>;

/// Jobs of one fetch and of one push.
const BATCH: usize = 1000;
/// Between two looks of an idle worker that hears of nothing.
const LOOK: Duration = Duration::from_millis(20);

fn figures(figures: &[(&str, f64, &str)]) {
    let rows: Vec<_> = figures
        .iter()
        .map(|(name, value, unit)| serde_json::json!({ "name": name, "value": value, "unit": unit }))
        .collect();
    println!("{}", serde_json::json!(rows));
}

/// Waits for the bench's word.
fn wait() -> Result<(), Failure> {
    println!("ready");
    std::io::stdout().flush()?;
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

async fn left(pool: &PgPool) -> Result<i64, Failure> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM apalis.jobs WHERE status <> 'Done'").fetch_one(pool).await?)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [mode, url, jobs, slots, payload] = args.as_slice() else {
        return Err("usage: peer-apalis_pg MODE URL JOBS SLOTS PAYLOAD".into());
    };
    let (jobs, slots, payload): (usize, usize, usize) = (jobs.parse()?, slots.parse()?, payload.parse()?);
    let pool = PgPoolOptions::new().max_connections(20).connect(url).await?;
    PostgresStorage::setup(&pool).await?;
    let config = Config::default().queue("bench").batch_size(BATCH);
    let mut backend: PostgresStorage<String> = PostgresStorage::new(&pool).with_config(config);
    let text = "x".repeat(payload.saturating_sub(2));
    let (sender, mut started) = mpsc::unbounded_channel();
    let task = move |_: String| {
        let _ = sender.send(Instant::now());
        ready(())
    };
    let context = WorkerContext::new("bench");
    let builder = WorkerBuilder::new(&context);
    match mode.as_str() {
        "drain" => {
            for batch in 0..jobs.div_ceil(BATCH) {
                backend.push_bulk(vec![text.clone(); BATCH.min(jobs - batch * BATCH)]).await?;
            }
            let worker = builder.backend(backend).concurrency(slots).build(task);
            wait()?;
            let start = Instant::now();
            let running = tokio::spawn(async move { worker.run().await.map_err(|error| error.to_string()) });
            for _ in 0..jobs {
                started.recv().await.ok_or("no worker")?;
            }
            // It acknowledges what is left before it ends.
            context.stop()?;
            running.await??;
            figures(&[("seconds", start.elapsed().as_secs_f64(), "s")]);
            if left(&pool).await? > 0 {
                return Err("it left jobs".into());
            }
        }
        "enqueue" => {
            wait()?;
            let start = Instant::now();
            let callers: Vec<_> = (0..16)
                .map(|_| {
                    let (mut backend, text) = (backend.clone(), text.clone());
                    tokio::spawn(async move {
                        for _ in 0..jobs / 16 {
                            backend.push(text.clone()).await.map_err(|error| error.to_string())?;
                        }
                        Ok::<(), String>(())
                    })
                })
                .collect();
            for caller in callers {
                caller.await??;
            }
            figures(&[("seconds", start.elapsed().as_secs_f64(), "s")]);
        }
        "latency" => {
            let listening = backend.clone().with_pubsub().poll_with_interval(LOOK);
            let worker = builder.backend(listening).concurrency(slots).build(task);
            let running = tokio::spawn(async move { worker.run().await.map_err(|error| error.to_string()) });
            tokio::time::sleep(Duration::from_secs(1)).await;
            wait()?;
            let mut times = Vec::new();
            for _ in 0..jobs {
                let start = Instant::now();
                backend.push(text.clone()).await?;
                let at = started.recv().await.ok_or("no worker")?;
                times.push(at.saturating_duration_since(start).as_secs_f64() * 1e3);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let rows: Vec<_> = times.iter().map(|time| ("start", *time, "ms")).collect();
            figures(&rows);
            context.stop()?;
            running.await??;
        }
        other => return Err(format!("no mode `{other}`").into()),
    }
    Ok(())
}
