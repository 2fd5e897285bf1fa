//! Retention, dead letters, queues by name, and the runner that keeps a store in order, on both stores.

use crate::weak_spots::each;
use atlas_jobs::batch::BatchSpec;
use atlas_jobs::store::{Filter, Purge, Purged, QueueState, Scope, Statistics};
use atlas_jobs::webhook::{MemorySender, WebhookDeliverer, WebhookSecret};
use atlas_jobs::{
    HandlerError, JobManager, JobSpec, JobStore, JobStoreExt, Kind, Maintenance, ManagerError, ManualClock, MemoryJobs,
    MockJobStore, Random, RedriveOptions, RetentionPolicy, StoreError, Worker, handler_fn,
};
use atlas_schema::{Callback, ErrorCategory, IdempotencyKey, JobId, JobKind, JobStatus, QueueName, Stage, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const DAY: Duration = Duration::from_hours(24);

fn kind() -> JobKind {
    JobKind::new("k").unwrap()
}

fn clocked(store: &Arc<dyn JobStore>) -> (JobManager, ManualClock) {
    let clock = ManualClock::at(Timestamp::from_millis(1_700_000_000_000).unwrap());
    let jobs = JobManager::with_parts(Arc::clone(store), Arc::new(clock.clone()), Arc::new(Random::seeded(1)));
    (jobs, clock)
}

/// Ends `n` jobs in `status` by the clock's time.
async fn ended(jobs: &JobManager, clock: &ManualClock, status: JobStatus, n: usize) -> Vec<JobId> {
    use atlas_jobs::Clock;
    use atlas_jobs::store::JobCommand;
    let mut ids = Vec::new();
    let now = clock.now().wall;
    let spec = || match status {
        JobStatus::Timeout => {
            JobSpec::new(kind(), &1).unwrap().with_deadline(now.saturating_add(Duration::from_millis(1)))
        }
        _ => JobSpec::new(kind(), &1).unwrap(),
    };
    for page in vec![(); n].chunks(500) {
        for accepted in jobs.enqueue_many(page.iter().map(|()| spec()).collect()).await.unwrap() {
            ids.push(accepted.unwrap().id());
        }
    }
    for id in &ids {
        let command = match status {
            JobStatus::Completed => JobCommand::Conclude { result: 1.into() },
            JobStatus::Failed => JobCommand::Abandon {
                error: atlas_schema::JobError { category: ErrorCategory::NoData, message: "no".into() },
            },
            JobStatus::Cancelled => JobCommand::Cancel { reason: String::new(), acknowledge_within: Duration::ZERO },
            _ => continue,
        };
        jobs.command(*id, None, command).await.unwrap();
    }
    if status == JobStatus::Timeout {
        clock.advance(Duration::from_millis(1));
        jobs.sweep().await.unwrap();
    }
    ids
}

#[tokio::test]
async fn retention_deletes_page_after_page_what_is_too_old_for_its_end() {
    for store in each().await {
        let (jobs, clock) = clocked(&store);
        let ends = [JobStatus::Completed, JobStatus::Failed, JobStatus::Cancelled, JobStatus::Timeout];
        for status in ends {
            ended(&jobs, &clock, status, if status == JobStatus::Completed { 1200 } else { 2 }).await;
        }
        assert_eq!(jobs.retain(&RetentionPolicy::default()).await.unwrap().total(), 0);
        clock.advance(DAY * 7 + Duration::from_secs(1));
        let young = ended(&jobs, &clock, JobStatus::Completed, 1).await;
        let retained = jobs.retain(&RetentionPolicy::default()).await.unwrap();
        assert_eq!((retained.completed, retained.failed, retained.cancelled, retained.timeout), (1200, 0, 2, 0));
        clock.advance(DAY * 23);
        let policy =
            RetentionPolicy::default().with(JobStatus::Failed, None).with(JobStatus::Completed, Some(DAY * 60));
        let retained = jobs.retain(&policy).await.unwrap();
        assert_eq!((retained.completed, retained.failed, retained.timeout), (0, 0, 2));
        assert_eq!(jobs.statistics(Scope::default()).await.unwrap().total(), 3);
        assert!(jobs.get(young[0]).await.unwrap().is_some());
        assert_eq!(jobs.retain(&RetentionPolicy::keep_all()).await.unwrap().total(), 0);
    }
}

#[tokio::test]
async fn retention_tells_a_store_with_a_clock_how_old_a_job_must_be_by_that() {
    let mut store = MockJobStore::new();
    store.expect_statistics().returning(|_| Ok(Statistics::default()));
    store.expect_purge().times(2).returning(|options| {
        let Purge::Ended { status, .. } = options.what else { panic!("by age") };
        assert_eq!(options.least_age, if status == JobStatus::Completed { DAY * 3 } else { DAY * 30 });
        Ok(Purged::default())
    });
    let jobs = JobManager::new(Arc::new(store)).unwrap();
    let policy = RetentionPolicy::default().with(JobStatus::Completed, Some(DAY * 3)).with(JobStatus::Cancelled, None);
    jobs.retain(&policy.with(JobStatus::Timeout, None)).await.unwrap();
}

#[tokio::test]
async fn the_children_of_an_open_batch_are_kept_until_it_has_counted_them() {
    for store in each().await {
        let (jobs, clock) = clocked(&store);
        let before = ended(&jobs, &clock, JobStatus::Completed, 1).await;
        clock.advance(Duration::from_secs(1));
        let spec = JobSpec::new(kind(), &1).unwrap();
        let key = IdempotencyKey::new("b").unwrap();
        let batch = jobs.batch(BatchSpec::new(key, [spec.clone(), spec])).await.unwrap();
        let conclude = atlas_jobs::store::JobCommand::Conclude { result: 1.into() };
        jobs.command(batch.children[0], None, conclude).await.unwrap();
        clock.advance(DAY * 10);
        let retained = jobs.retain(&RetentionPolicy::default()).await.unwrap();
        assert_eq!((retained.completed, retained.held_back_by), (1, Some(batch.id)));
        assert!(jobs.get(before[0]).await.unwrap().is_none() && jobs.get(batch.children[0]).await.unwrap().is_some());
        jobs.cancel(batch.id, "", Duration::ZERO).await.unwrap();
        let retained = jobs.retain(&RetentionPolicy::default()).await.unwrap();
        assert_eq!((retained.completed, retained.held_back_by), (1, None));
    }
}

#[tokio::test]
async fn dead_letters_are_listed_and_redriven_by_filter_within_a_limit() {
    for store in each().await {
        let (jobs, clock) = clocked(&store);
        let failed = ended(&jobs, &clock, JobStatus::Failed, 1100).await;
        ended(&jobs, &clock, JobStatus::Completed, 3).await;
        let cancelled = ended(&jobs, &clock, JobStatus::Cancelled, 2).await;
        let page = jobs.dead_letters(Filter::default().with_kind(kind()), 100, None).await.unwrap();
        assert_eq!((page.items.len(), page.next.is_some()), (100, true));
        assert!(page.items.iter().all(|job| job.status == JobStatus::Failed));

        let options = RedriveOptions::new(Filter::default().with_statuses([JobStatus::Failed]), "mended");
        let some = jobs.redrive_many(options.clone().with_limit(600)).await.unwrap();
        assert_eq!((some.redriven, some.unchanged, some.more), (600, 0, true));
        let rest = jobs.redrive_many(options.with_spread(Duration::from_mins(1))).await.unwrap();
        assert_eq!((rest.redriven, rest.more), (500, false));
        let statistics = jobs.statistics(Scope::default()).await.unwrap();
        assert_eq!((statistics.in_status(JobStatus::Pending), statistics.in_status(JobStatus::Completed)), (1100, 3));
        let starts: std::collections::BTreeSet<_> = {
            let all = store.list_all(Filter::default().with_statuses([JobStatus::Pending])).await.unwrap();
            all.iter().map(|job| job.run_at).collect()
        };
        assert!(starts.len() > 300, "the spread ones start at {} different times", starts.len());
        let history = store.history_all(failed[0]).await.unwrap();
        assert_eq!(history.last().unwrap().reason.as_deref(), Some("mended"));
        assert_eq!(jobs.get(cancelled[0]).await.unwrap().unwrap().status, JobStatus::Cancelled);
        // Completed ones never match, whatever is asked for.
        let done = RedriveOptions::new(Filter::default().with_statuses([JobStatus::Completed]), "no");
        assert_eq!(jobs.redrive_many(done).await.unwrap().redriven, 0);
        let long = RedriveOptions::new(Filter::default(), "x".repeat(1001));
        assert!(matches!(jobs.redrive_many(long).await, Err(ManagerError::Rejected(_))));
    }
}

#[tokio::test]
async fn queues_are_paused_limited_and_resumed_by_name() {
    for store in each().await {
        let (jobs, _) = clocked(&store);
        let queue = QueueName::new("mail").unwrap();
        assert!(jobs.pause(queue.clone()).await.unwrap().paused);
        let limited = jobs.limit(queue.clone(), Some(3), Some(9)).await.unwrap();
        assert_eq!((limited.paused, limited.max_running, limited.max_per_second), (true, Some(3), Some(9)));
        assert!(!jobs.resume(queue.clone()).await.unwrap().paused);
        let lifted = jobs.limit(queue.clone(), None, None).await.unwrap();
        assert_eq!(lifted, QueueState::new(queue.clone()));
        assert_eq!(jobs.queues().await.unwrap(), [QueueState::new(queue)]);
    }
}

/// A clock that shows tokio's paused time.
fn paused() -> Arc<crate::webhook_deliver::Paused> {
    use atlas_jobs::Clock;
    let start = atlas_jobs::SystemClock::new().now();
    Arc::new(crate::webhook_deliver::Paused(tokio::time::Instant::now(), start))
}

#[tokio::test(start_paused = true)]
async fn one_runner_sweeps_ends_batches_deletes_and_delivers_until_it_is_stopped() {
    let store: Arc<dyn JobStore> = Arc::new(MemoryJobs::new(Stage::Dev));
    let clock = paused();
    let random = Arc::new(Random::seeded(5));
    let jobs = JobManager::with_parts(Arc::clone(&store), clock.clone(), Arc::clone(&random));
    let sender = MemorySender::new();
    let secret = WebhookSecret::from_bytes(vec![1; 24]).unwrap();
    let deliverer = WebhookDeliverer::builder(Arc::clone(&store), Arc::new(sender.clone()), vec![secret]);
    let deliverer = deliverer.clock(clock.clone()).random(Arc::clone(&random)).build().unwrap();
    let maintenance = Maintenance::with_parts(Arc::clone(&store), clock.clone(), random)
        .with_retention_every(
            RetentionPolicy::default().with(JobStatus::Completed, Some(Duration::from_mins(10))),
            Duration::from_mins(2),
        )
        .with_webhooks(deliverer);
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    let running = tokio::spawn(async move { maintenance.run(token).await });

    let callback = Callback { url: "https://example.org/".into() };
    let spec = BatchSpec::new(IdempotencyKey::new("b").unwrap(), [JobSpec::new(kind(), &1).unwrap()]);
    let batch = jobs.batch(spec.with_job(|job| job.with_callback(callback))).await.unwrap();
    let soon = {
        use atlas_jobs::Clock;
        clock.now().wall.saturating_add(Duration::from_secs(30))
    };
    let late =
        jobs.enqueue(JobSpec::new(JobKind::new("nobody").unwrap(), &1).unwrap().with_deadline(soon)).await.unwrap();
    let handler = Arc::new(handler_fn(|_, n: u32| async move { Ok::<_, HandlerError>(n) }));
    let worker = Worker::builder(Arc::clone(&store)).clock(clock).handler(kind(), handler).stop_when_drained(true);
    worker.build().unwrap().run(CancellationToken::new()).await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(jobs.get(batch.id).await.unwrap().unwrap().status, JobStatus::Completed);
    assert_eq!(jobs.get(late.id()).await.unwrap().unwrap().status, JobStatus::Timeout);
    assert_eq!(sender.sent().len(), 1);
    tokio::time::sleep(Duration::from_mins(15)).await;
    assert!(jobs.get(batch.id).await.unwrap().is_none());
    shutdown.cancel();
    let report = running.await.unwrap();
    assert_eq!((report.ended, report.batches.concluded, report.webhooks.delivered, report.failures), (1, 1, 1, 0));
    assert_eq!(report.retained.completed, 2);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_asked_again_with_backoff_and_counted() {
    let mut store = MockJobStore::new();
    store.expect_stage().return_const(Stage::Dev);
    store.expect_sweep().returning(|_| Err(StoreError::new(Kind::Unavailable, "mock", "sweep")));
    let maintenance = Maintenance::new(Arc::new(store)).unwrap();
    let maintenance = maintenance.with_batches(None).with_sweep(Some(Duration::from_millis(10)));
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    let running = tokio::spawn(async move { maintenance.run(token).await });
    tokio::time::sleep(Duration::from_mins(10)).await;
    shutdown.cancel();
    let failures = running.await.unwrap().failures;
    assert!((15..60).contains(&failures), "{failures} rounds in ten minutes");
}
