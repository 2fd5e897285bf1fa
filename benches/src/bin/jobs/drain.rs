//! Our own turn: fill a store with no-op jobs and let a worker drain it.

use crate::SLOTS;
use anyhow::{Result, ensure};
use atlas_jobs::{HandlerError, JobContext, JobManager, JobSpec, JobStore, Worker, handler_fn};
use atlas_schema::JobKind;
use std::sync::Arc;
use std::time::{Duration, Instant};
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

/// Runs a worker until the store is drained: the time from its start until its last outcome is durable.
pub(crate) async fn drain(store: &Arc<dyn JobStore>, jobs: usize) -> Result<Duration> {
    let handler = handler_fn(|_: JobContext, _: serde_json::Value| async { Ok::<(), HandlerError>(()) });
    let worker = Worker::builder(store.clone())
        .handler(kind()?, Arc::new(handler))
        .concurrency(SLOTS)
        .stop_when_drained(true)
        .build()?;
    let start = Instant::now();
    let report = worker.run(CancellationToken::new()).await?;
    let took = start.elapsed();
    ensure!(report.completed == u64::try_from(jobs)?, "the worker did something else: {report:?}");
    Ok(took)
}

/// Jobs per second.
#[allow(clippy::cast_precision_loss, reason = "counts of a bench are small")]
pub(crate) fn rate(jobs: usize, took: Duration) -> f64 {
    jobs as f64 / took.as_secs_f64()
}
