//! A worker over a store whose replies get lost: what it was told, it does; what it was not, it makes good.

use async_trait::async_trait;
use atlas_jobs::store::{
    CommandOutcome, CommandRequest, Enqueued, Exchange, Exchanged, HistoryOptions, JobRef, ListOptions, OutboxExchange,
    OutboxItem, Page, PurgeOptions, Purged, QueueChange, QueueState, Scope, Statistics, SweepOptions, Swept,
};
use atlas_jobs::{
    Capabilities, HandlerError, JobManager, JobSpec, JobStore, JobStoreExt, Kind, MemoryJobs, Moment, NewJob, Random,
    StoreError, Worker, WorkerError, handler_fn,
};
use atlas_schema::{Actor, AuditEvent, AuditKind, JobKind, JobRecord, JobStatus, Stage};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Applies an exchange and loses its reply, or does not apply it, by the bits of a seed.
#[derive(Debug)]
struct Flaky {
    inner: MemoryJobs,
    random: Random,
    kind: Kind,
}

type Answer<T> = Result<T, StoreError>;

#[async_trait]
impl JobStore for Flaky {
    fn stage(&self) -> Stage {
        self.inner.stage()
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    async fn enqueue(&self, jobs: Vec<NewJob>, now: Moment) -> Answer<Vec<Enqueued>> {
        self.inner.enqueue(jobs, now).await
    }
    async fn exchange(&self, exchange: Exchange) -> Answer<Exchanged> {
        let failed = || Err(StoreError::new(self.kind, "flaky", "exchange"));
        match self.random.u64() % 4 {
            0 => failed(),
            1 => self.inner.exchange(exchange).await.and_then(|_| failed()),
            _ => self.inner.exchange(exchange).await,
        }
    }
    async fn command(&self, requests: Vec<CommandRequest>, actor: Actor, now: Moment) -> Answer<Vec<CommandOutcome>> {
        self.inner.command(requests, actor, now).await
    }
    async fn get(&self, references: Vec<JobRef>) -> Answer<Vec<Option<JobRecord>>> {
        self.inner.get(references).await
    }
    async fn list(&self, options: ListOptions) -> Answer<Page<JobRecord>> {
        self.inner.list(options).await
    }
    async fn history(&self, options: HistoryOptions) -> Answer<Page<AuditEvent>> {
        self.inner.history(options).await
    }
    async fn outbox(&self, exchange: OutboxExchange) -> Answer<Vec<OutboxItem>> {
        self.inner.outbox(exchange).await
    }
    async fn sweep(&self, options: SweepOptions) -> Answer<Swept> {
        self.inner.sweep(options).await
    }
    async fn statistics(&self, scope: Scope) -> Answer<Statistics> {
        self.inner.statistics(scope).await
    }
    async fn purge(&self, options: PurgeOptions) -> Answer<Purged> {
        self.inner.purge(options).await
    }
    async fn queues(&self, changes: Vec<QueueChange>, now: Moment) -> Answer<Vec<QueueState>> {
        self.inner.queues(changes, now).await
    }
}

async fn over(seed: u64, kind: Kind) -> (MemoryJobs, Result<atlas_jobs::WorkerReport, WorkerError>) {
    let inner = MemoryJobs::new(Stage::Dev);
    let name = JobKind::new("k").unwrap();
    let jobs = JobManager::new(Arc::new(inner.clone())).unwrap();
    let specs = (0..30).map(|n| JobSpec::new(name.clone(), &n).unwrap().with_max_attempts(1)).collect();
    jobs.enqueue_many(specs).await.unwrap();
    let store = Arc::new(Flaky { inner: inner.clone(), random: Random::seeded(seed), kind });
    let handler = handler_fn(|_, n: u32| async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok::<_, HandlerError>(n + 1)
    });
    let worker = Worker::builder(store).handler(name, Arc::new(handler)).concurrency(4);
    let worker = worker.poll_interval(Duration::from_millis(10)).stop_when_drained(true).build().unwrap();
    let report = worker.run(CancellationToken::new()).await;
    (inner, report)
}

#[tokio::test(start_paused = true)]
async fn lost_replies_cost_no_job_no_attempt_and_no_second_outcome() {
    for seed in 0..200 {
        let (store, report) = over(seed, Kind::Unavailable).await;
        let report = report.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!((report.completed, report.failed), (30, 0), "seed {seed}");
        for job in store.list_all(atlas_jobs::store::Filter::default()).await.unwrap() {
            assert_eq!((job.status, job.attempt), (JobStatus::Completed, 1), "seed {seed}");
            let history = store.history_all(job.id).await.unwrap();
            let ends = history.iter().filter(|event| event.kind == AuditKind::Completed).count();
            assert_eq!(ends, 1, "seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_waiting_does_not_mend_stops_the_worker_and_says_why() {
    let (_, report) = over(1, Kind::Full).await;
    let WorkerError::Store(error) = report.unwrap_err() else { panic!("a store error") };
    assert_eq!(error.kind(), Kind::Full);
}
