//! Our own turn: fill a store with no-op jobs and let a worker drain it.

use crate::SLOTS;
use anyhow::{Result, ensure};
use atlas_jobs::{HandlerError, JobContext, JobManager, JobSpec, JobStore, Worker, handler_fn};
use atlas_schema::JobKind;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The kind of all jobs here.
pub(crate) fn kind() -> Result<JobKind> {
    Ok(JobKind::new("bench")?)
}

/// A payload of about so many bytes of JSON.
pub(crate) fn spec(bytes: usize) -> Result<JobSpec> {
    Ok(JobSpec::new(kind()?, &serde_json::json!({ "n": 1, "text": "x".repeat(bytes.saturating_sub(17)) }))?)
}

/// Adds jobs, a thousand at a time.
pub(crate) async fn fill(store: &Arc<dyn JobStore>, jobs: usize, bytes: usize) -> Result<()> {
    let manager = JobManager::new(store.clone())?;
    let spec = spec(bytes)?;
    let mut left = jobs;
    while left > 0 {
        let batch = left.min(1000);
        for added in manager.enqueue_many(vec![spec.clone(); batch]).await? {
            added?;
        }
        left -= batch;
    }
    Ok(())
}

/// Runs workers that share the slots until the store is drained: the time from their start until the last outcome is durable.
pub(crate) async fn drain(store: &Arc<dyn JobStore>, jobs: usize, workers: usize) -> Result<Duration> {
    let handler = Arc::new(handler_fn(|_: JobContext, _: serde_json::Value| async { Ok::<(), HandlerError>(()) }));
    let build = |_| {
        let worker = Worker::builder(store.clone()).handler(kind()?, handler.clone()).concurrency(SLOTS / workers);
        // One that finds nothing while another still works looks again soon, or the end would be measured late.
        let worker = worker.poll_interval(Duration::from_millis(10));
        anyhow::Ok(worker.stop_when_drained(true).build()?)
    };
    let built: Vec<Worker> = (0..workers).map(build).collect::<Result<_>>()?;
    let start = Instant::now();
    let mut running = JoinSet::new();
    for worker in built {
        running.spawn(async move { worker.run(CancellationToken::new()).await });
    }
    let mut completed = 0;
    while let Some(ended) = running.join_next().await {
        completed += ended??.completed;
    }
    let took = start.elapsed();
    ensure!(completed == u64::try_from(jobs)?, "the workers completed {completed} jobs of {jobs}");
    Ok(took)
}

/// Jobs per second.
#[allow(clippy::cast_precision_loss, reason = "counts of a bench are small")]
pub(crate) fn rate(jobs: usize, took: Duration) -> f64 {
    jobs as f64 / took.as_secs_f64()
}
