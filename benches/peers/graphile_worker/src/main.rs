//! graphile_worker as a peer of the jobs bench: `peer-graphile_worker MODE URL JOBS SLOTS PAYLOAD`.
//!
//! `drain` runs a backlog with its batching on: a local queue of 500 and completions flushed after 1 ms. Its default, one
//! job per signal and slot, drains a backlog at the number of slots per poll, and is not what is compared with.
//! `enqueue` adds jobs one by one from 16 callers, `latency` measures from before `add_job` to the start of the handler
//! of an idle worker.

use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, RawJobSpec, TaskHandler, WorkerContext, WorkerOptions,
    WorkerUtils,
};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgPool, PgPoolOptions};
use std::error::Error;
use std::io::Write;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

type Failure = Box<dyn Error + Send + Sync>;

static STARTED: OnceLock<mpsc::UnboundedSender<Instant>> = OnceLock::new();

#[derive(Serialize, Deserialize)]
struct Bench {
    text: String,
}

impl TaskHandler for Bench {
    const IDENTIFIER: &'static str = "bench";

    async fn run(self, _: WorkerContext) -> impl IntoTaskHandlerResult {
        if let Some(started) = STARTED.get() {
            let _ = started.send(Instant::now());
        }
        Ok::<(), String>(())
    }
}

fn figures(figures: &[(&str, f64, &str)]) {
    let rows: Vec<_> = figures
        .iter()
        .map(|(name, value, unit)| serde_json::json!({ "name": name, "value": value, "unit": unit }))
        .collect();
    println!("{}", serde_json::json!(rows));
}

/// Waits for the bench's word.
fn ready() -> Result<(), Failure> {
    println!("ready");
    std::io::stdout().flush()?;
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn options(pool: &PgPool, slots: usize) -> WorkerOptions {
    WorkerOptions::default().pg_pool(pool.clone()).concurrency(slots).define_job::<Bench>()
}

async fn left(pool: &PgPool) -> Result<i64, Failure> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM graphile_worker._private_jobs").fetch_one(pool).await?)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [mode, url, jobs, slots, payload] = args.as_slice() else {
        return Err("usage: peer-graphile_worker MODE URL JOBS SLOTS PAYLOAD".into());
    };
    let (jobs, slots, payload): (usize, usize, usize) = (jobs.parse()?, slots.parse()?, payload.parse()?);
    let pool = PgPoolOptions::new().max_connections(20).connect(url).await?;
    let utils = WorkerUtils::new(pool.clone(), "graphile_worker");
    utils.migrate().await?;
    let text = "x".repeat(payload.saturating_sub(11));
    match mode.as_str() {
        "drain" => {
            let job = || RawJobSpec {
                identifier: "bench".into(),
                payload: serde_json::json!({ "text": text }),
                spec: JobSpec::default(),
            };
            for batch in 0..jobs.div_ceil(1000) {
                let jobs: Vec<RawJobSpec> = (0..1000.min(jobs - batch * 1000)).map(|_| job()).collect();
                utils.add_raw_jobs(&jobs).await?;
            }
            let worker = options(&pool, slots)
                .local_queue(LocalQueueConfig::default().with_size(500))
                .complete_job_batch_delay(Duration::from_millis(1))
                .init()
                .await?;
            let worker = std::sync::Arc::new(worker);
            let (sender, mut started) = mpsc::unbounded_channel();
            let _ = STARTED.set(sender);
            ready()?;
            let start = Instant::now();
            let running = tokio::spawn({
                let worker = worker.clone();
                async move { worker.run().await.map_err(|error| error.to_string()) }
            });
            for _ in 0..jobs {
                started.recv().await;
            }
            while left(&pool).await? > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            figures(&[("seconds", start.elapsed().as_secs_f64(), "s")]);
            worker.request_shutdown();
            running.await??;
        }
        "enqueue" => {
            ready()?;
            let start = Instant::now();
            let callers: Vec<_> = (0..16)
                .map(|_| {
                    let (utils, text) = (utils.clone(), text.clone());
                    tokio::spawn(async move {
                        for _ in 0..jobs / 16 {
                            utils
                                .add_job(Bench { text: text.clone() }, JobSpec::default())
                                .await
                                .map_err(|error| error.to_string())?;
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
            let worker = std::sync::Arc::new(options(&pool, slots).init().await?);
            let (sender, mut started) = mpsc::unbounded_channel();
            let _ = STARTED.set(sender);
            let running = tokio::spawn({
                let worker = worker.clone();
                async move { worker.run().await.map_err(|error| error.to_string()) }
            });
            tokio::time::sleep(Duration::from_secs(1)).await;
            ready()?;
            let mut times = Vec::new();
            for _ in 0..jobs {
                let start = Instant::now();
                utils.add_job(Bench { text: text.clone() }, JobSpec::default()).await?;
                let at = started.recv().await.ok_or("no worker")?;
                times.push(at.saturating_duration_since(start).as_secs_f64() * 1e3);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let rows: Vec<_> = times.iter().map(|time| ("start", *time, "ms")).collect();
            figures(&rows);
            worker.request_shutdown();
            running.await??;
        }
        other => return Err(format!("no mode `{other}`").into()),
    }
    Ok(())
}
