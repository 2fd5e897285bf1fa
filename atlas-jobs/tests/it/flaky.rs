//! A worker over a store whose replies get lost: what it was told, it does; what it was not, it makes good.

use atlas_jobs::faulty::{Fault, FaultPlan, FaultRates, FaultyStore, Operation};
use atlas_jobs::store::JobRef;
use atlas_jobs::{
    HandlerError, JobContext, JobManager, JobSpec, JobStoreExt, Kind, MemoryJobs, Worker, WorkerError, handler_fn,
};
use atlas_schema::{AuditKind, JobId, JobKind, JobStatus, Progress, Stage};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Of four exchanges one does not arrive and one loses its answer.
fn lossy() -> FaultPlan {
    let mut rates = FaultRates::default();
    (rates.before, rates.after) = (250, 250);
    FaultPlan::none().with_rates(&[Operation::Exchange], rates)
}

fn down() -> FaultPlan {
    let mut rates = FaultRates::default();
    rates.before = 1000;
    FaultPlan::none().with_rates(&[Operation::Exchange], rates)
}

async fn over(seed: u64, plan: FaultPlan) -> (MemoryJobs, Result<atlas_jobs::WorkerReport, WorkerError>) {
    let inner = MemoryJobs::new(Stage::Dev);
    let name = JobKind::new("k").unwrap();
    let jobs = JobManager::new(Arc::new(inner.clone())).unwrap();
    let specs = (0..30).map(|n| JobSpec::new(name.clone(), &n).unwrap().with_max_attempts(1)).collect();
    jobs.enqueue_many(specs).await.unwrap();
    let store = FaultyStore::new(Arc::new(inner.clone()), plan, seed);
    let handler = handler_fn(|_, n: u32| async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok::<_, HandlerError>(n + 1)
    });
    let worker = Worker::builder(Arc::new(store)).handler(name, Arc::new(handler)).concurrency(4);
    let worker = worker.poll_interval(Duration::from_millis(10)).stop_when_drained(true).build().unwrap();
    let report = worker.run(CancellationToken::new()).await;
    (inner, report)
}

#[tokio::test(start_paused = true)]
async fn lost_replies_cost_no_job_no_attempt_and_no_second_outcome() {
    for seed in 0..200 {
        let (store, report) = over(seed, lossy()).await;
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
    let (_, report) = over(1, FaultPlan::none().with_fault(Operation::Exchange, 2, Fault::Before(Kind::Full))).await;
    let WorkerError::Store(error) = report.unwrap_err() else { panic!("a store error") };
    assert_eq!(error.kind(), Kind::Full);
}

#[tokio::test(start_paused = true)]
async fn a_drained_worker_ends_though_the_store_answers_more_slowly_than_the_polls_come() {
    let slow = FaultPlan::none();
    let slow = (1..1000)
        .fold(slow, |plan, call| plan.with_fault(Operation::Exchange, call, Fault::Lag(Duration::from_millis(25))));
    let began = tokio::time::Instant::now();
    let ended = tokio::time::timeout(Duration::from_mins(1), over(1, slow)).await;
    let (_, report) = ended.expect("it stops once all jobs are done");
    assert_eq!(report.unwrap().completed, 30);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// A reliable store with one job whose handler reports progress and then hangs, and a worker for it.
async fn hanging() -> (FaultyStore, JobId, Worker) {
    let inner = MemoryJobs::new(Stage::Dev);
    let name = JobKind::new("k").unwrap();
    let jobs = JobManager::new(Arc::new(inner.clone())).unwrap();
    let id = jobs.enqueue(JobSpec::new(name.clone(), &1).unwrap()).await.unwrap().id();
    let store = FaultyStore::new(Arc::new(inner), FaultPlan::none(), 0);
    let handler = handler_fn(|job: JobContext, _: u32| async move {
        job.progress(Progress { done: 1, total: None, note: None });
        std::future::pending::<()>().await;
        Ok::<_, HandlerError>(())
    });
    let worker = Worker::builder(Arc::new(store.clone())).handler(name, Arc::new(handler)).concurrency(1);
    let worker = worker.lease(Duration::from_secs(30)).grace(Duration::from_secs(2)).build().unwrap();
    (store, id, worker)
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_failed_is_made_up_for_at_once_and_its_progress_is_not_lost() {
    let (store, id, worker) = hanging().await;
    let running = tokio::spawn(async move { worker.run(CancellationToken::new()).await });
    tokio::time::sleep(Duration::from_secs(9)).await;
    store.set_plan(down());
    tokio::time::sleep(Duration::from_millis(1200)).await;
    store.set_plan(FaultPlan::none());
    // The heartbeat was due at 10 s, the next one is at 20 s.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let job = store.inner().get_one(JobRef::Id(id)).await.unwrap().unwrap();
    assert_eq!(job.progress.map(|progress| progress.done), Some(1));
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_gives_up_a_store_that_is_down_soon_after_its_grace() {
    let (store, _, worker) = hanging().await;
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { worker.run(stop).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    store.set_plan(down());
    let began = tokio::time::Instant::now();
    shutdown.cancel();
    let WorkerError::Store(error) = running.await.unwrap().unwrap_err() else { panic!("a store error") };
    // Which of the two a call meets is drawn anew, and how many calls there are depends on the worker's own jitter.
    assert!(matches!(error.kind(), Kind::Unavailable | Kind::Busy), "{error}");
    // Two seconds of grace, one for last words, one to hand the job back.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
