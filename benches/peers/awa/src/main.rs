//! awa as a peer of the jobs bench: `peer-awa MODE URL JOBS SLOTS PAYLOAD`.
//!
//! `drain` runs a backlog as its author does for his figures: 1024 workers whatever SLOTS says, since what it claims
//! and completes at once grows with them, and all else as set in advance. Attempts without a deadline write a tenth of
//! the log, but were no faster. The client is up before the time starts, its queue paused. `enqueue` inserts jobs one
//! by one from 16 callers, `latency` measures from before an insert to the start of the handler of an idle client.

use awa::{Client, InsertOpts, InsertParams, JobArgs, JobResult, QueueConfig, QueueStorage, QueueStorageConfig};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgPool, PgPoolOptions};
use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

type Failure = Box<dyn Error + Send + Sync>;

const QUEUE: &str = "bench";
/// Jobs under way while it drains.
const WORKERS: u32 = 1024;
/// Between two looks of an idle client. It hears of new jobs, but not of the end of a pause.
const LOOK: Duration = Duration::from_millis(10);

#[derive(Serialize, Deserialize, JobArgs)]
struct Bench {
    text: String,
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

fn options() -> InsertOpts {
    InsertOpts { queue: QUEUE.into(), ..InsertOpts::default() }
}

fn client(pool: &PgPool, workers: u32, started: mpsc::UnboundedSender<Instant>) -> Result<Client, Failure> {
    let queue = QueueConfig { max_workers: workers, poll_interval: LOOK, ..QueueConfig::default() };
    let client = Client::builder(pool.clone()).queue(QUEUE, queue).register::<Bench, _, _>(move |_, _| {
        let _ = started.send(Instant::now());
        async { Ok(JobResult::Completed) }
    });
    Ok(client.build()?)
}

/// Completed jobs: those of batches, those with a row of their own, and those of which it keeps a number only, since it
/// deletes the rows of completed jobs after a second or two.
async fn completed(pool: &PgPool) -> Result<i64, Failure> {
    let sql = "SELECT (SELECT coalesce(sum(completed_count), 0) FROM awa.receipt_completion_batches)::int8
        + (SELECT count(*) FROM awa.done_entries WHERE state = 'completed')
        + (SELECT coalesce(sum(pruned_completed_count), 0) FROM awa.queue_terminal_rollups)::int8";
    Ok(sqlx::query_scalar(sql).fetch_one(pool).await?)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [mode, url, jobs, slots, payload] = args.as_slice() else {
        return Err("usage: peer-awa MODE URL JOBS SLOTS PAYLOAD".into());
    };
    let (jobs, slots, payload): (usize, u32, usize) = (jobs.parse()?, slots.parse()?, payload.parse()?);
    let pool = PgPoolOptions::new().max_connections(20).connect(url).await?;
    awa::migrations::run(&pool).await?;
    // Otherwise jobs that are there before the first client would stay in the tables of its former storage.
    let store = QueueStorage::new(QueueStorageConfig::default())?;
    store.install(&pool).await?;
    let text = "x".repeat(payload.saturating_sub(11));
    let (sender, mut started) = mpsc::unbounded_channel();
    match mode.as_str() {
        "drain" => {
            let client = client(&pool, WORKERS, sender)?;
            awa::admin::pause_queue(&pool, QUEUE, None).await?;
            client.start().await?;
            let args = serde_json::json!({ "text": text });
            let job = InsertParams { kind: Bench::kind().into(), args, opts: options() };
            for batch in 0..jobs.div_ceil(1000) {
                store.enqueue_params_copy(&pool, &vec![job.clone(); 1000.min(jobs - batch * 1000)]).await?;
            }
            ready()?;
            let start = Instant::now();
            awa::admin::resume_queue(&pool, QUEUE).await?;
            for _ in 0..jobs {
                started.recv().await;
            }
            while completed(&pool).await? < i64::try_from(jobs)? {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            figures(&[("seconds", start.elapsed().as_secs_f64(), "s")]);
            client.shutdown(Duration::from_secs(10)).await;
        }
        "enqueue" => {
            ready()?;
            let start = Instant::now();
            let callers: Vec<_> = (0..16)
                .map(|_| {
                    let (pool, text) = (pool.clone(), text.clone());
                    tokio::spawn(async move {
                        for _ in 0..jobs / 16 {
                            awa::insert_with(&pool, &Bench { text: text.clone() }, options()).await?;
                        }
                        Ok::<(), Failure>(())
                    })
                })
                .collect();
            for caller in callers {
                caller.await??;
            }
            figures(&[("seconds", start.elapsed().as_secs_f64(), "s")]);
        }
        "latency" => {
            let client = client(&pool, slots, sender)?;
            client.start().await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            ready()?;
            let mut times = Vec::new();
            for _ in 0..jobs {
                let start = Instant::now();
                awa::insert_with(&pool, &Bench { text: text.clone() }, options()).await?;
                let at = started.recv().await.ok_or("no worker")?;
                times.push(at.saturating_duration_since(start).as_secs_f64() * 1e3);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let rows: Vec<_> = times.iter().map(|time| ("start", *time, "ms")).collect();
            figures(&rows);
            client.shutdown(Duration::from_secs(10)).await;
        }
        other => return Err(format!("no mode `{other}`").into()),
    }
    Ok(())
}
