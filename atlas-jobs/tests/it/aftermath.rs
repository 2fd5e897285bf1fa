//! What comes after an end: children that are gone or late, shutdowns in the middle, kinds that nothing would ever end.

use crate::weak_spots::each;
use atlas_jobs::batch::{BatchError, BatchKeeper, BatchRule, BatchSpec, Counts, Decision, decide};
use atlas_jobs::faulty::{Fault, FaultPlan, FaultyStore, Operation};
use atlas_jobs::store::{JobCommand, Scope};
use atlas_jobs::{
    HandlerError, JobManager, JobSpec, JobStore, Kind, Maintenance, ManagerError, ManualClock, MemoryJobs, Random,
    RetentionPolicy, Worker, WorkerError, handler_fn,
};
use atlas_schema::{ErrorCategory, IdempotencyKey, JobError, JobId, JobKind, JobStatus, Stage, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const DAY: Duration = Duration::from_hours(24);

fn kind() -> JobKind {
    JobKind::new("part").unwrap()
}

fn part() -> JobSpec {
    JobSpec::new(kind(), &1).unwrap()
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

struct Bench {
    jobs: JobManager,
    clock: ManualClock,
    keeper: BatchKeeper,
}

impl Bench {
    fn new(store: &Arc<dyn JobStore>) -> Self {
        let clock = ManualClock::at(Timestamp::from_millis(1_700_000_000_000).unwrap());
        let shared = Arc::new(clock.clone());
        let jobs = JobManager::with_parts(Arc::clone(store), shared.clone(), Arc::new(Random::seeded(1)));
        Self { jobs, clock, keeper: BatchKeeper::with_clock(Arc::clone(store), shared) }
    }

    async fn complete(&self, job: JobId) {
        self.jobs.command(job, None, JobCommand::Conclude { result: 1.into() }).await.unwrap();
    }

    async fn fail(&self, job: JobId) {
        let error = JobError { category: ErrorCategory::NoData, message: "no".into() };
        self.jobs.command(job, None, JobCommand::Abandon { error }).await.unwrap();
    }

    async fn status(&self, job: JobId) -> JobStatus {
        self.jobs.get(job).await.unwrap().unwrap().status
    }
}

#[tokio::test]
async fn a_redriven_batch_whose_completed_children_were_deleted_can_not_wait_for_ever() {
    for store in each().await {
        let bench = Bench::new(&store);
        let Bench { jobs, clock, keeper } = &bench;
        let batch = jobs.batch(BatchSpec::new(key("b"), [part(), part()])).await.unwrap();
        bench.complete(batch.children[0]).await;
        bench.fail(batch.children[1]).await;
        assert_eq!(keeper.tend().await.unwrap().abandoned, 1);
        clock.advance(DAY * 8);
        assert_eq!(jobs.retain(&RetentionPolicy::default()).await.unwrap().completed, 1);

        jobs.redrive_batch(batch.id, "mended").await.unwrap();
        bench.complete(batch.children[1]).await;
        keeper.tend().await.unwrap();
        // For a minute what is missing may still come.
        assert_eq!(bench.status(batch.id).await, JobStatus::Pending);
        clock.advance(Duration::from_mins(1));
        assert_eq!(keeper.check_all().await.unwrap().abandoned, 1);
        let ended = jobs.get(batch.id).await.unwrap().unwrap();
        let message = ended.error.unwrap().message;
        assert!(message.starts_with("1 of 2 children completed") && message.contains("1 were deleted"), "{message}");
        clock.advance(DAY * 40);
        let retained = jobs.retain(&RetentionPolicy::default()).await.unwrap();
        assert_eq!((retained.completed, retained.failed, retained.held_back_by), (1, 1, None));
    }
}

#[tokio::test]
async fn a_batch_redriven_to_be_filled_again_waits_for_its_children_as_at_first() {
    for store in each().await {
        let bench = Bench::new(&store);
        let Bench { jobs, clock, keeper } = &bench;
        let spec = || BatchSpec::new(key("b"), [part(), part()]);
        let batch = jobs.batch(spec()).await.unwrap();
        jobs.cancel(batch.id, "a mistake", Duration::ZERO).await.unwrap();
        keeper.tend().await.unwrap();
        // As if the second had never come.
        let gone = atlas_jobs::store::Purge::Jobs(vec![batch.children[1]]);
        jobs.purge(atlas_jobs::store::PurgeOptions::new(gone)).await.unwrap();
        jobs.redrive_batch(batch.id, "it was right").await.unwrap();
        let children = jobs.batch(spec()).await.unwrap().children;
        assert_eq!(children.len(), 2);
        clock.advance(Duration::from_mins(2));
        assert_eq!(keeper.check_all().await.unwrap().abandoned, 0);
        for child in children {
            bench.complete(child).await;
        }
        assert_eq!(keeper.tend().await.unwrap().concluded, 1);
    }
}

#[test]
fn once_nothing_runs_a_batch_with_missing_children_that_were_given_up_is_decided_by_any_rule() {
    for rule in [BatchRule::All, BatchRule::AtLeast(1), BatchRule::AtLeast(3), BatchRule::Ended] {
        for (completed, failed) in [(0, 0), (1, 0), (2, 0), (0, 2), (1, 1)] {
            for fail_fast in [false, true] {
                let counts = Counts { completed, failed, ..Counts::default() };
                assert_eq!(counts.without_the_missing(3).total(), 3);
                let decision = decide(rule, 3, fail_fast, &counts.without_the_missing(3));
                assert!(matches!(decision, Decision::Conclude | Decision::Abandon), "{rule:?} {counts:?}");
                let met = matches!(rule, BatchRule::AtLeast(wanted) if completed >= wanted) || rule == BatchRule::Ended;
                assert_eq!(decision == Decision::Conclude, met, "{rule:?} {counts:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_child_that_comes_after_its_batch_has_ended_runs_and_changes_no_end() {
    for store in each().await {
        let bench = Bench::new(&store);
        let batch = bench.jobs.batch(BatchSpec::new(key("b"), [part()])).await.unwrap();
        bench.complete(batch.children[0]).await;
        assert_eq!(bench.keeper.tend().await.unwrap().concluded, 1);
        bench.keeper.tend().await.unwrap();
        let late = bench.jobs.enqueue(part().with_parent(batch.id)).await.unwrap().id();
        bench.keeper.tend().await.unwrap();
        assert_eq!(bench.status(late).await, JobStatus::Pending);
        bench.fail(late).await;
        let report = bench.keeper.tend().await.unwrap();
        assert_eq!((report.hints, report.concluded, report.abandoned, report.cancelled), (1, 0, 0, 0));
        assert_eq!(bench.status(batch.id).await, JobStatus::Completed);
    }
}

#[tokio::test]
async fn nobody_can_enqueue_a_batch_or_a_schedule_that_nothing_would_end() {
    for store in each().await {
        let jobs = JobManager::new(Arc::clone(&store)).unwrap();
        let of = |kind: JobKind| JobSpec::new(kind, &1).unwrap();
        for kind in [JobKind::batch(), JobKind::schedule(), JobKind::schedule_tick()] {
            let mut answers = jobs.enqueue_many(vec![part(), of(kind.clone()), part()]).await.unwrap();
            assert!(answers[0].is_ok() && answers[2].is_ok());
            let refused = answers.remove(1).unwrap_err();
            assert!(matches!(&refused, ManagerError::ReservedKind { kind: named } if *named == kind), "{refused}");
            let within = jobs.batch(BatchSpec::new(key("b"), [part(), of(kind)])).await.unwrap_err();
            let reserved = |source: &ManagerError| matches!(source, ManagerError::ReservedKind { .. });
            assert!(matches!(&within, BatchError::Child { index: 1, source } if reserved(source)), "{within}");
        }
        assert_eq!(jobs.statistics(Scope::default()).await.unwrap().total(), 6);
    }
}

fn faulty(plan: FaultPlan) -> Arc<FaultyStore> {
    Arc::new(FaultyStore::new(Arc::new(MemoryJobs::new(Stage::Dev)), plan, 1))
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_keeps_no_sweep_and_no_batch_keeper_from_a_shutdown() {
    for operation in [Operation::Sweep, Operation::Outbox, Operation::Statistics] {
        let store = faulty(FaultPlan::none().with_fault(operation, 1, Fault::Delay(HOUR)));
        let maintenance = Maintenance::new(store.clone()).unwrap();
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let began = tokio::time::Instant::now();
        let running = tokio::spawn(async move { maintenance.run(token).await });
        while store.calls(operation) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        shutdown.cancel();
        assert_eq!(running.await.unwrap().failures, 0);
        assert!(began.elapsed() < Duration::from_secs(5), "{operation:?} held it up for {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_counts_what_is_left_hears_a_shutdown_and_says_that_it_was_one() {
    for (delay, drained) in [(Some(HOUR), false), (None, true)] {
        let plan = delay.map(|delay| FaultPlan::none().with_fault(Operation::Statistics, 1, Fault::Delay(delay)));
        let store = faulty(plan.unwrap_or_default());
        let handler = Arc::new(handler_fn(|_, _: u32| async { Ok::<_, HandlerError>(1) }));
        let worker = Worker::builder(store.clone()).handler(kind(), handler).stop_when_drained(true).build().unwrap();
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let began = tokio::time::Instant::now();
        let running = tokio::spawn(async move { worker.run(token).await });
        while store.calls(Operation::Statistics) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        shutdown.cancel();
        let report = running.await.unwrap().unwrap();
        assert_eq!(report.drained, drained);
        assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_finds_the_whole_store_damaged_ends_the_worker() {
    let store = faulty(FaultPlan::none().with_fault(Operation::Sweep, 2, Fault::Before(Kind::Corrupt)));
    let handler = Arc::new(handler_fn(|_, _: u32| async { Ok::<_, HandlerError>(1) }));
    let worker = Worker::builder(store.clone()).handler(kind(), handler).build().unwrap();
    let ended = tokio::time::timeout(Duration::from_mins(10), worker.run(CancellationToken::new())).await;
    let WorkerError::Store(error) = ended.unwrap().unwrap_err() else { panic!("it was the store") };
    assert_eq!((error.kind(), store.calls(Operation::Sweep)), (Kind::Corrupt, 2));
}
