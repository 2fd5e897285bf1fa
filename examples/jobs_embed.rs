//! Jobs inside an application, kept in one SQLite file: enqueue once, run, survive a stop, look at what happened.

use atlas_jobs::store::JobRef;
use atlas_jobs::{
    Accepted, HandlerError, JobContext, JobManager, JobSpec, JobStoreExt, Maintenance, RetentionPolicy, SqliteJobs,
    Worker, handler_fn,
};
use atlas_schema::{ErrorCategory, IdempotencyKey, JobKind, JobStatus, Stage, TenantId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What a job of kind `invoice` is asked to do.
#[derive(Debug, Serialize, Deserialize)]
struct Invoice {
    order: u32,
    cents: u64,
}

/// What the application shares with its handlers: here, a mail server that fails the first time.
#[derive(Debug, Default)]
struct Mail {
    tries: AtomicU32,
}

impl Mail {
    fn send(&self, order: u32) -> Result<String, HandlerError> {
        if self.tries.fetch_add(1, Ordering::SeqCst) == 0 {
            return Err(HandlerError::new(ErrorCategory::Network, "the mail server did not answer"));
        }
        Ok(format!("invoice {order} is on its way"))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("jobs.db");
    let kind = JobKind::new("invoice")?;

    // A request handler enqueues: the same key enqueues once, however often the customer clicks.
    {
        let jobs = JobManager::new(Arc::new(SqliteJobs::open(&file, Stage::Dev).await?))?;
        let spec = |order| {
            let spec = JobSpec::new(kind.clone(), &Invoice { order, cents: 1999 })?;
            Ok::<_, Box<dyn std::error::Error>>(
                spec.with_idempotency_key(IdempotencyKey::new(format!("order:{order}"))?),
            )
        };
        let first = jobs.enqueue(spec(7)?).await?;
        assert_eq!(jobs.enqueue(spec(7)?).await?, Accepted::Existing(first.id()));
        jobs.enqueue(spec(8)?).await?;
    }
    // The process ends here, and starts again: the file has it all.

    let store = Arc::new(SqliteJobs::open(&file, Stage::Dev).await?);
    let jobs = JobManager::new(store.clone())?;
    let mail = Arc::new(Mail::default());
    let handler = {
        let mail = Arc::clone(&mail);
        handler_fn(move |_: JobContext, invoice: Invoice| {
            let mail = Arc::clone(&mail);
            async move {
                if invoice.cents == 0 {
                    return Err(HandlerError::new(ErrorCategory::InvalidInput, "an invoice of nothing"));
                }
                mail.send(invoice.order)
            }
        })
    };
    let shutdown = CancellationToken::new();
    let maintenance = Maintenance::new(store.clone())?.with_retention(RetentionPolicy::default());
    let upkeep = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { maintenance.run(shutdown).await }
    });
    let worker = Worker::builder(store.clone())
        .handler(kind.clone(), Arc::new(handler))
        .retry(atlas_jobs::RetryPolicy::new(Duration::from_millis(10), Duration::from_millis(50)))
        .poll_interval(Duration::from_millis(10))
        .stop_when_drained(true)
        .build()?;
    let report = worker.run(shutdown.child_token()).await?;
    shutdown.cancel();
    let kept = upkeep.await?;
    assert_eq!((report.completed, report.retried, report.failed), (2, 1, 0));
    assert_eq!((kept.failures, kept.retained.total()), (0, 0));

    let reference = JobRef::Idempotency(TenantId::default(), IdempotencyKey::new("order:7")?);
    let job = jobs.get(reference).await?.ok_or("it was enqueued")?;
    assert_eq!(job.status, JobStatus::Completed);
    println!("{} -> {}", job.id, job.result.clone().unwrap_or_default());
    for event in store.history_all(job.id).await? {
        println!("  {} {:?} {}", event.version, event.kind, event.error.map(|error| error.message).unwrap_or_default());
    }
    Ok(())
}
