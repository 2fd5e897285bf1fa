//! The worker, on a paused clock: tokio's time moves only when everything waits.

use async_trait::async_trait;
use atlas_jobs::store::{Scope, SweepOptions};
use atlas_jobs::{
    AfterError, Clock, HandlerError, InvalidWorker, JobContext, JobHandler, JobManager, JobSpec, JobStore, MemoryJobs,
    Moment, Random, RetryPolicy, Worker, WorkerBuilder, WorkerReport, handler_fn,
};
use atlas_schema::{AuditKind, ErrorCategory, JobId, JobKind, JobRecord, JobStatus, Progress, Stage, Timestamp};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Both clocks follow tokio's, so that a paused test is exact.
#[derive(Debug)]
pub(crate) struct TokioClock(tokio::time::Instant);

impl Clock for TokioClock {
    fn now(&self) -> Moment {
        let start = Timestamp::from_millis(1_700_000_000_000).unwrap();
        Moment { wall: start, steady: Duration::ZERO }.plus(self.0.elapsed())
    }
}

pub(crate) struct Host {
    pub(crate) store: Arc<dyn JobStore>,
    pub(crate) clock: Arc<TokioClock>,
    pub(crate) jobs: JobManager,
}

pub(crate) fn kind() -> JobKind {
    JobKind::new("k").unwrap()
}

pub(crate) fn spec() -> JobSpec {
    JobSpec::new(kind(), &7).unwrap()
}

impl Host {
    pub(crate) fn new() -> Self {
        let store: Arc<dyn JobStore> = Arc::new(MemoryJobs::new(Stage::Dev));
        let clock = Arc::new(TokioClock(tokio::time::Instant::now()));
        let jobs = JobManager::with_parts(store.clone(), clock.clone(), Arc::new(Random::seeded(1)));
        Self { store, clock, jobs }
    }

    pub(crate) fn worker(&self, handler: impl JobHandler) -> WorkerBuilder {
        let retry = RetryPolicy::new(Duration::from_secs(1), Duration::from_secs(1));
        Worker::builder(self.store.clone())
            .handler(kind(), Arc::new(handler))
            .clock(self.clock.clone())
            .retry(retry)
            .lease(Duration::from_secs(3))
    }

    pub(crate) async fn drain(&self, handler: impl JobHandler) -> WorkerReport {
        let worker = self.worker(handler).stop_when_drained(true).build().unwrap();
        worker.run(CancellationToken::new()).await.unwrap()
    }

    pub(crate) async fn add(&self, spec: JobSpec) -> JobId {
        self.jobs.enqueue(spec).await.unwrap().id()
    }

    pub(crate) async fn job(&self, id: JobId) -> JobRecord {
        self.jobs.get(id).await.unwrap().unwrap()
    }
}

pub(crate) fn start(worker: Worker) -> (CancellationToken, JoinHandle<WorkerReport>) {
    let stop = CancellationToken::new();
    let token = stop.clone();
    (stop, tokio::spawn(async move { worker.run(token).await.unwrap() }))
}

#[derive(Debug)]
struct Fails(ErrorCategory);

#[async_trait]
impl JobHandler for Fails {
    async fn run(&self, _: JobContext) -> Result<Value, HandlerError> {
        Err(HandlerError::new(self.0, "it went wrong"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_and_its_result_is_kept() {
    let host = Host::new();
    let id = host.add(spec()).await;
    let report = host.drain(handler_fn(|_, n: u32| async move { Ok::<_, HandlerError>(n * 6) })).await;
    assert_eq!(report.completed, 1);
    assert_eq!(host.job(id).await.result, Some(42.into()));
}

#[tokio::test(start_paused = true)]
async fn no_more_jobs_run_at_a_time_than_the_concurrency() {
    let host = Host::new();
    for _ in 0..20 {
        host.add(spec()).await;
    }
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (inner, top) = (running.clone(), most.clone());
    let handler = handler_fn(move |_, _: u32| {
        let (running, most) = (inner.clone(), top.clone());
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, HandlerError>(())
        }
    });
    let worker = host.worker(handler).concurrency(3).stop_when_drained(true).build().unwrap();
    assert_eq!(worker.run(CancellationToken::new()).await.unwrap().completed, 20);
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_retryable_failure_is_tried_up_to_the_maximum_and_then_a_dead_letter() {
    let host = Host::new();
    let id = host.add(spec().with_max_attempts(3)).await;
    let report = host.drain(Fails(ErrorCategory::Network)).await;
    assert_eq!((report.retried, report.failed), (2, 1));
    let job = host.job(id).await;
    assert_eq!((job.status, job.attempt), (JobStatus::Failed, 3));
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_no_retry_can_mend_is_not_retried() {
    let host = Host::new();
    let id = host.add(spec()).await;
    assert_eq!(host.drain(Fails(ErrorCategory::InvalidInput)).await.failed, 1);
    assert_eq!(host.job(id).await.attempt, 1);
}

#[tokio::test(start_paused = true)]
async fn a_payload_of_another_type_fails_without_repeating_it() {
    let host = Host::new();
    let secret = JobSpec::new(kind(), &"hunter2").unwrap();
    let id = host.add(secret).await;
    host.drain(handler_fn(|_, n: u32| async move { Ok::<_, HandlerError>(n) })).await;
    let error = host.job(id).await.error.unwrap();
    assert_eq!(error.category, ErrorCategory::InvalidInput);
    assert!(!error.message.contains("hunter2"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_job_and_no_other() {
    let host = Host::new();
    let bad = host.add(spec().with_max_attempts(1)).await;
    let good = host.add(JobSpec::new(kind(), &8).unwrap()).await;
    let handler = handler_fn(|_, n: u32| async move {
        assert!(n != 7, "page text that must not be kept");
        Ok::<_, HandlerError>(n)
    });
    let report = host.drain(handler).await;
    assert_eq!((report.panicked, report.failed, report.completed), (1, 1, 1));
    assert!(!host.job(bad).await.error.unwrap().message.contains("page text"));
    assert_eq!(host.job(good).await.status, JobStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_ended() {
    let host = Host::new();
    let id = host.add(spec().with_max_attempts(1).with_attempt_timeout(Duration::from_millis(50))).await;
    let handler = handler_fn(|_, _: u32| async move {
        tokio::time::sleep(Duration::from_hours(1)).await;
        Ok::<_, HandlerError>(())
    });
    host.drain(handler).await;
    assert_eq!(host.job(id).await.error.unwrap().category, ErrorCategory::Timeout);
}

#[tokio::test(start_paused = true)]
async fn a_long_job_keeps_its_lease_by_heartbeats() {
    let host = Host::new();
    let id = host.add(spec()).await;
    let handler = handler_fn(|_, _: u32| async move {
        tokio::time::sleep(Duration::from_mins(1)).await;
        Ok::<_, HandlerError>(())
    });
    assert_eq!(host.drain(handler).await.completed, 1);
    assert_eq!(host.job(id).await.epoch, 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_reaches_the_running_handler_and_is_acknowledged() {
    let host = Host::new();
    let id = host.add(spec()).await;
    let begun = Arc::new(Notify::new());
    let started = begun.clone();
    let handler = handler_fn(move |job: JobContext, _: u32| {
        let started = started.clone();
        async move {
            started.notify_one();
            job.cancelled().cancelled().await;
            Err::<(), _>(HandlerError::cancelled())
        }
    });
    let (stop, worker) = start(host.worker(handler).build().unwrap());
    begun.notified().await;
    host.jobs.cancel(id, "no need", Duration::from_mins(1)).await.unwrap();
    while host.job(id).await.status == JobStatus::Processing {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.cancel();
    assert_eq!(worker.await.unwrap().cancelled, 1);
    assert_eq!(host.job(id).await.status, JobStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_ignores_its_cancel_is_dropped_once_its_time_is_over() {
    let host = Host::new();
    let id = host.add(spec()).await;
    let handler = handler_fn(|_, _: u32| async move {
        std::future::pending::<()>().await;
        Ok::<_, HandlerError>(())
    });
    let (stop, worker) = start(host.worker(handler).build().unwrap());
    tokio::time::sleep(Duration::from_secs(1)).await;
    host.jobs.cancel(id, "no need", Duration::from_secs(5)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(host.job(id).await.status, JobStatus::Cancelled);
    stop.cancel();
    assert_eq!(worker.await.unwrap().lost, 1, "the worker was told, and freed the slot");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_handlers_finish_within_the_grace() {
    let host = Host::new();
    let id = host.add(spec()).await;
    let handler = handler_fn(|_, _: u32| async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok::<_, HandlerError>(())
    });
    let (stop, worker) = start(host.worker(handler).build().unwrap());
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.cancel();
    assert_eq!(worker.await.unwrap().completed, 1);
    assert_eq!(host.job(id).await.status, JobStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_hands_back_what_does_not_finish_and_claims_nothing_new() {
    let host = Host::new();
    let id = host.add(spec().with_max_attempts(1)).await;
    let handler = handler_fn(|_, _: u32| async move {
        std::future::pending::<()>().await;
        Ok::<_, HandlerError>(())
    });
    let (stop, worker) = start(host.worker(handler).grace(Duration::from_secs(2)).build().unwrap());
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.cancel();
    let late = host.add(spec()).await;
    assert_eq!(worker.await.unwrap().released, 1);
    let job = host.job(id).await;
    assert_eq!((job.status, job.attempt), (JobStatus::Pending, 0), "the attempt does not count");
    assert_eq!(host.job(late).await.version, 1);
}

#[tokio::test(start_paused = true)]
async fn a_snoozed_job_comes_back_and_its_attempt_does_not_count() {
    let host = Host::new();
    let id = host.add(spec().with_max_attempts(1)).await;
    let handler = handler_fn(|job: JobContext, _: u32| async move {
        if job.record().epoch < 3 { Err(HandlerError::snooze(Duration::from_mins(5))) } else { Ok(()) }
    });
    let report = host.drain(handler).await;
    assert_eq!((report.released, report.completed), (2, 1));
    assert_eq!(host.job(id).await.attempt, 1);
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_a_handler_names_is_kept() {
    let host = Host::new();
    let id = host.add(spec().with_max_attempts(2)).await;
    let handler = handler_fn(|job: JobContext, _: u32| async move {
        let error = HandlerError::new(ErrorCategory::RateLimit, "slow down");
        if job.record().attempt == 1 {
            Err(error.with_after(AfterError::RetryAfter(Duration::from_mins(2))))
        } else {
            Ok(())
        }
    });
    host.drain(handler).await;
    let events = host.jobs.history(atlas_jobs::store::HistoryOptions::new(id)).await.unwrap().items;
    let at =
        |kind: AuditKind| events.iter().filter(|event| event.kind == kind).map(|event| event.at).next_back().unwrap();
    assert!(at(AuditKind::Claimed).since(at(AuditKind::Retried)) >= Duration::from_mins(2));
}

#[tokio::test(start_paused = true)]
async fn progress_is_stored_with_the_heartbeat() {
    let host = Host::new();
    let id = host.add(spec()).await;
    let handler = handler_fn(|job: JobContext, _: u32| async move {
        job.progress(Progress { done: 1, total: Some(2), note: None });
        tokio::time::sleep(Duration::from_secs(30)).await;
        Ok::<_, HandlerError>(())
    });
    let (stop, worker) = start(host.worker(handler).build().unwrap());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(host.job(id).await.progress.map(|progress| progress.done), Some(1));
    stop.cancel();
    worker.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dead_workers_jobs_are_back_within_one_lease_and_one_sweep() {
    let host = Host::new();
    let id = host.add(spec()).await;
    let hangs = handler_fn(|_, _: u32| async move {
        std::future::pending::<()>().await;
        Ok::<_, HandlerError>(())
    });
    let (_stop, dead) = start(host.worker(hangs).build().unwrap());
    tokio::time::sleep(Duration::from_millis(100)).await;
    dead.abort();
    let began = tokio::time::Instant::now();
    let report = host.drain(handler_fn(|_, n: u32| async move { Ok::<_, HandlerError>(n) })).await;
    assert_eq!((report.recovered, report.completed), (1, 1));
    // A lease of 3 s, a sweep every half lease, and the poll that finds the queue drained.
    assert!(began.elapsed() <= Duration::from_millis(3000 + 1500 + 1000), "{:?}", began.elapsed());
    assert_eq!(host.job(id).await.epoch, 2);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_was_declared_dead_can_not_record_its_outcome() {
    let host = Host::new();
    let id = host.add(spec()).await;
    let handler = handler_fn(|_, _: u32| async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok::<_, HandlerError>("late")
    });
    let worker = host.worker(handler).build().unwrap();
    let name = worker.id().clone();
    let (stop, worker) = start(worker);
    tokio::time::sleep(Duration::from_millis(100)).await;
    host.jobs
        .control(atlas_jobs::store::QueueChange::new(atlas_schema::QueueName::default()).with_paused(true))
        .await
        .unwrap();
    host.store.sweep(SweepOptions::new(host.clock.now()).with_dead(vec![name])).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.cancel();
    let report = worker.await.unwrap();
    assert_eq!((report.lost, report.completed), (1, 0));
    assert_eq!(host.job(id).await.result, None);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_drains_without_waiting_for_the_poll() {
    let host = Host::new();
    for _ in 0..200 {
        host.add(spec()).await;
    }
    let began = tokio::time::Instant::now();
    host.drain(handler_fn(|_, n: u32| async move { Ok::<_, HandlerError>(n) })).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(host.jobs.statistics(Scope::default()).await.unwrap().in_status(JobStatus::Completed), 200);
}

#[tokio::test(start_paused = true)]
async fn a_new_job_wakes_an_idle_worker_of_the_same_process() {
    let host = Host::new();
    let handler = handler_fn(|_, n: u32| async move { Ok::<_, HandlerError>(n) });
    let (stop, worker) = start(host.worker(handler).poll_interval(Duration::from_hours(1)).build().unwrap());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let id = host.add(spec()).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(host.job(id).await.status, JobStatus::Completed);
    stop.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn impossible_settings_are_refused() {
    let host = Host::new();
    let worker = || host.worker(Fails(ErrorCategory::Network));
    let none = Worker::builder(host.store.clone()).build();
    assert_eq!(none.unwrap_err(), InvalidWorker::NoHandler);
    assert_eq!(worker().concurrency(0).build().unwrap_err(), InvalidWorker::Concurrency);
    assert_eq!(worker().lease(Duration::ZERO).build().unwrap_err(), InvalidWorker::Lease);
    assert_eq!(worker().heartbeat(Duration::from_secs(2)).build().unwrap_err(), InvalidWorker::Lease);
    assert_eq!(worker().poll_interval(Duration::ZERO).build().unwrap_err(), InvalidWorker::Poll);
}

#[tokio::test(start_paused = true)]
async fn a_worker_can_run_again_and_frees_what_its_last_run_left() {
    let host = Host::new();
    let id = host.add(spec()).await;
    let first = Arc::new(AtomicUsize::new(0));
    let runs = first.clone();
    let handler = handler_fn(move |_, n: u32| {
        let run = runs.fetch_add(1, Ordering::SeqCst);
        async move {
            if run == 0 {
                std::future::pending::<()>().await;
            }
            Ok::<_, HandlerError>(n)
        }
    });
    let worker = host.worker(handler).stop_when_drained(true).build().unwrap();
    // The host drops the first run after many beats: the lease stays with this worker's id.
    assert!(tokio::time::timeout(Duration::from_secs(30), worker.run(CancellationToken::new())).await.is_err());
    assert_eq!(host.job(id).await.status, JobStatus::Processing);
    let began = tokio::time::Instant::now();
    let report = worker.run(CancellationToken::new()).await.unwrap();
    assert_eq!((report.completed, report.lost), (1, 0));
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "neither a lease nor a backoff is waited for: {:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn settings_that_mean_for_ever_are_no_overflow() {
    let host = Host::new();
    host.add(spec()).await;
    let handler = handler_fn(|_, n: u32| async move { Ok::<_, HandlerError>(n) });
    let worker = host.worker(handler).lease(Duration::MAX).poll_interval(Duration::MAX).grace(Duration::MAX);
    let (stop, running) = start(worker.patience(Duration::MAX).build().unwrap());
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.cancel();
    assert_eq!(running.await.unwrap().completed, 1);
}
