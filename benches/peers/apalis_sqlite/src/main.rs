//! apalis-sqlite as a peer of the jobs bench: `peer-apalis_sqlite drain FILE JOBS SLOTS PAYLOAD`.
//!
//! It runs at `synchronous=FULL`, as ours does: its own `setup` turns that off on the connection it is given, so it gets
//! one of its own. Batches of 500, the best of those tried.

use apalis::prelude::*;
use apalis_sqlite::{Config, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteStorage};
use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

type Failure = Box<dyn Error + Send + Sync>;

async fn pool(file: &str, connections: u32) -> Result<SqlitePool, Failure> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .busy_timeout(Duration::from_secs(30))
        .pragma("journal_mode", "WAL")
        .pragma("synchronous", "FULL");
    Ok(SqlitePoolOptions::new().max_connections(connections).connect_with(options).await?)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [mode, file, jobs, slots, payload] = args.as_slice() else {
        return Err("usage: peer-apalis_sqlite drain FILE JOBS SLOTS PAYLOAD".into());
    };
    if mode != "drain" {
        return Err(format!("no mode `{mode}`").into());
    }
    let (jobs, slots, payload): (usize, usize, usize) = (jobs.parse()?, slots.parse()?, payload.parse()?);
    let setting_up = pool(file, 1).await?;
    SqliteStorage::setup(&setting_up).await?;
    setting_up.close().await;
    let pool = pool(file, 8).await?;
    let config = Config::default().queue("bench").batch_size(500);
    let mut backend: SqliteStorage<String> = SqliteStorage::new(&pool).with_config(config);
    let text = "x".repeat(payload.saturating_sub(2));
    for batch in 0..jobs.div_ceil(500) {
        backend.push_bulk(vec![text.clone(); 500.min(jobs - batch * 500)]).await?;
    }
    let left = Arc::new(AtomicUsize::new(jobs));
    println!("ready");
    std::io::stdout().flush()?;
    std::io::stdin().read_line(&mut String::new())?;

    let start = Instant::now();
    let task = {
        let left = left.clone();
        move |_: String, worker: WorkerContext| {
            let left = left.clone();
            async move {
                if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                    worker.stop()?;
                }
                Ok::<(), BoxDynError>(())
            }
        }
    };
    let worker =
        WorkerBuilder::new("bench").backend(backend).concurrency(slots).parallelize(tokio::spawn).build(task);
    worker.run().await?;
    let seconds = start.elapsed().as_secs_f64();
    println!("[{{\"name\":\"seconds\",\"value\":{seconds},\"unit\":\"s\"}}]");
    Ok(())
}
