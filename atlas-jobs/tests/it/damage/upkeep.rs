//! Damage and those who work on: a file that is damaged as a whole stops them, a row of it stops no worker, no batch but its
//! own, and no retention.

use super::file::FileHand;
use super::{Bench, Hand, Part, spec};
use atlas_jobs::batch::{BatchKeeper, BatchSpec};
use atlas_jobs::store::{Claim, Exchange, Held, HeldOutcome, JobCommand, SweepOptions};
use atlas_jobs::{
    Clock, HandlerError, JobManager, JobSpec, JobStore, Kind, ManualClock, Random, RetentionPolicy, SqliteJobs,
    SystemClock, Worker, WorkerError, WorkerReport, handler_fn,
};
use atlas_schema::{
    ErrorCategory, IdempotencyKey, JobError, JobId, JobKind, JobStatus, QueueName, Stage, Timestamp, WorkerId,
};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const DAY: Duration = Duration::from_hours(24);
/// A busy machine gets so long to see something happen.
const PATIENCE: Duration = Duration::from_secs(30);

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("jobs.db");
    (folder, path)
}

async fn open(path: &Path) -> SqliteJobs {
    SqliteJobs::open(path, Stage::Dev).await.unwrap()
}

/// Overwrites the page where the index of jobs by id begins: whoever looks for a job by its id meets it, and nobody else.
fn damage_page(path: &Path) {
    let conn = Connection::open(path).unwrap();
    let number = |sql| usize::try_from(conn.query_row::<i64, _, _>(sql, [], |row| row.get(0)).unwrap()).unwrap();
    let page = number("SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_atlas_jobs_job_1'");
    let size = number("PRAGMA page_size");
    drop(conn);
    let mut bytes = std::fs::read(path).unwrap();
    bytes[(page - 1) * size..page * size].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_no_damaged_row_and_stops_whoever_meets_it() {
    let (_folder, path) = folder();
    let store = open(&path).await;
    let bench = Bench::new(Arc::new(store.clone()));
    bench.add(spec().with_deadline(SystemClock::new().now().wall.saturating_add(Duration::from_secs(1)))).await;
    drop(bench);
    store.close().await;
    damage_page(&path);
    let store = Arc::new(open(&path).await);

    let later = SystemClock::new().now().plus(Duration::from_mins(1));
    let swept = store.sweep(SweepOptions::new(later)).await.unwrap_err();
    assert_eq!((swept.kind(), swept.is_in_one_row()), (Kind::Corrupt, false));
    let claim = Claim { queues: vec![QueueName::default()], kinds: vec![spec().kind], limit: 1 };
    let exchange = Exchange::new(WorkerId::new("w").unwrap(), 1, Duration::from_mins(1), later).with_claim(claim);
    let exchanged = store.exchange(exchange).await.unwrap_err();
    assert_eq!((exchanged.kind(), exchanged.is_in_one_row()), (Kind::Corrupt, false));

    // It wants other jobs: only its sweeps meet the damage.
    let handler = Arc::new(handler_fn(|_, _: u32| async { Ok::<_, HandlerError>(1) }));
    let worker = Worker::builder(store).handler(JobKind::new("other").unwrap(), handler);
    let worker = worker.lease(Duration::from_secs(2)).build().unwrap();
    let ended = tokio::time::timeout(PATIENCE * 2, worker.run(CancellationToken::new())).await;
    let WorkerError::Store(error) = ended.unwrap().unwrap_err() else { panic!("it was the store") };
    assert_eq!(error.kind(), Kind::Corrupt);
}

/// A worker with a job whose row is damaged while its handler runs.
struct Struck {
    _folder: tempfile::TempDir,
    hand: FileHand,
    jobs: JobManager,
    job: JobId,
    go_on: Arc<Notify>,
    shutdown: CancellationToken,
    running: tokio::task::JoinHandle<Result<WorkerReport, WorkerError>>,
}

impl Struck {
    async fn new(heartbeat: Duration) -> Self {
        let (folder, path) = folder();
        let store = Arc::new(open(&path).await);
        let hand = FileHand::new(&path, Part::Record);
        let jobs = JobManager::new(store.clone()).unwrap();
        let job = jobs.enqueue(spec()).await.unwrap().id();
        let (began, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let signals = (Arc::clone(&began), Arc::clone(&go_on));
        let handler = handler_fn(move |_, _: u32| {
            let (began, go_on) = signals.clone();
            async move {
                began.notify_one();
                go_on.notified().await;
                Ok::<_, HandlerError>("precious")
            }
        });
        let worker = Worker::builder(store.clone()).handler(spec().kind, Arc::new(handler));
        let worker = worker.lease(heartbeat * 4).heartbeat(heartbeat).build().unwrap();
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let running = tokio::spawn(async move { worker.run(token).await });
        tokio::time::timeout(PATIENCE, began.notified()).await.unwrap();
        hand.damage(job).await;
        Self { _folder: folder, hand, jobs, job, go_on, shutdown, running }
    }

    fn beat(&self) -> i64 {
        self.hand.conn.query_row("SELECT max(beat) FROM atlas_jobs_worker", [], |row| row.get(0)).unwrap()
    }

    async fn beats(&self, until: i64) {
        let since = tokio::time::Instant::now();
        while self.beat() < until {
            assert!(since.elapsed() < PATIENCE, "the worker goes on beating");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn stop(self) -> WorkerReport {
        self.shutdown.cancel();
        self.running.await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_result_of_a_job_whose_row_can_not_be_read_is_kept_until_it_is_mended() {
    let struck = Struck::new(Duration::from_millis(50)).await;
    struck.go_on.notify_one();
    // The outcome was handed in, and more than once, before anyone mends the row.
    struck.beats(struck.beat() + 6).await;
    struck.hand.mend(struck.job).await;
    let since = tokio::time::Instant::now();
    let done = loop {
        let found = struck.jobs.get(struck.job).await.unwrap().unwrap();
        if found.status.is_terminal() {
            break found;
        }
        assert!(since.elapsed() < PATIENCE, "the result is handed in again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!((done.status, done.result, done.attempt), (JobStatus::Completed, Some("precious".into()), 1));
    let report = struck.stop().await;
    assert_eq!((report.completed, report.lost), (1, 0));
}

#[tokio::test]
async fn a_kept_result_is_not_dropped_by_a_shutdown_without_a_last_try() {
    // The next heartbeat never comes.
    let struck = Struck::new(Duration::from_mins(10)).await;
    let before = struck.beat();
    struck.go_on.notify_one();
    struck.beats(before + 1).await;
    struck.hand.mend(struck.job).await;
    let (jobs, job) = (struck.jobs.clone(), struck.job);
    let report = struck.stop().await;
    assert_eq!((report.completed, report.lost), (1, 0));
    assert_eq!(jobs.get(job).await.unwrap().unwrap().result, Some("precious".into()));
}

#[tokio::test]
async fn a_worker_whose_job_others_have_taken_is_told_so_though_its_row_can_not_be_read() {
    let (_folder, path) = folder();
    let store: Arc<dyn JobStore> = Arc::new(open(&path).await);
    let hand = FileHand::new(&path, Part::Record);
    let mut bench = Bench::new(Arc::clone(&store));
    let job = bench.add(spec()).await;
    let claimed = bench.exchange(Vec::new(), 1).await.claimed;
    let held = vec![Held { job, epoch: claimed[0].epoch, progress: None }];
    hand.damage(job).await;
    let outcomes = async |bench: &mut Bench| store.exchange(bench.beat().with_held(held.clone())).await.unwrap().held;
    assert_eq!(outcomes(&mut bench).await, [HeldOutcome::Continue]);
    hand.mend(job).await;
    let dead = SweepOptions::new(SystemClock::new().now()).with_dead(vec![WorkerId::new("w").unwrap()]);
    assert_eq!(store.sweep(dead).await.unwrap().expired, 1);
    hand.damage(job).await;
    assert!(matches!(outcomes(&mut bench).await[..], [HeldOutcome::Lost { .. }]), "it waits for another");
}

struct Batches {
    _folder: tempfile::TempDir,
    hand: FileHand,
    clock: ManualClock,
    jobs: JobManager,
    keeper: BatchKeeper,
}

impl Batches {
    async fn new() -> Self {
        let (folder, path) = folder();
        let store: Arc<dyn JobStore> = Arc::new(open(&path).await);
        let hand = FileHand::new(&path, Part::Record);
        let clock = ManualClock::at(Timestamp::from_millis(1_700_000_000_000).unwrap());
        let shared = Arc::new(clock.clone());
        let jobs = JobManager::with_parts(Arc::clone(&store), shared.clone(), Arc::new(Random::seeded(1)));
        Self { _folder: folder, hand, clock, jobs, keeper: BatchKeeper::with_clock(store, shared) }
    }

    async fn make(&self, key: &str, children: usize, fail_fast: bool) -> (JobId, Vec<JobId>) {
        let parts = vec![JobSpec::new(JobKind::new("part").unwrap(), &1).unwrap(); children];
        let spec = BatchSpec::new(IdempotencyKey::new(key).unwrap(), parts).with_fail_fast(fail_fast);
        let batch = self.jobs.batch(spec).await.unwrap();
        (batch.id, batch.children)
    }

    async fn complete(&self, job: JobId) {
        self.jobs.command(job, None, JobCommand::Conclude { result: 1.into() }).await.unwrap();
    }

    async fn status(&self, job: JobId) -> JobStatus {
        self.jobs.get(job).await.unwrap().unwrap().status
    }
}

#[tokio::test]
async fn a_hint_of_a_batch_that_can_not_be_read_is_followed_once_it_is_mended() {
    let bench = Batches::new().await;
    let (bad, children) = bench.make("bad", 1, false).await;
    let (good, others) = bench.make("good", 1, false).await;
    bench.hand.damage(bad).await;
    bench.complete(children[0]).await;
    bench.complete(others[0]).await;
    assert_eq!(bench.keeper.tend().await.unwrap().concluded, 1);
    assert_eq!(bench.status(good).await, JobStatus::Completed);
    bench.hand.mend(bad).await;
    assert_eq!(bench.status(bad).await, JobStatus::Pending);
    bench.clock.advance(Duration::from_mins(10));
    assert_eq!(bench.keeper.tend().await.unwrap().concluded, 1, "the hint is still there");
    assert_eq!(bench.status(bad).await, JobStatus::Completed);
}

#[tokio::test]
async fn a_batch_that_can_not_be_read_keeps_the_safety_pass_from_no_other_and_retention_from_nothing_older() {
    let bench = Batches::new().await;
    let old = bench.jobs.enqueue(spec()).await.unwrap().id();
    bench.complete(old).await;
    bench.clock.advance(Duration::from_secs(2));
    let (bad, parts) = bench.make("bad", 1, false).await;
    let (good, children) = bench.make("good", 1, false).await;
    bench.hand.damage(bad).await;
    bench.complete(parts[0]).await;
    bench.complete(children[0]).await;
    assert_eq!(bench.keeper.check_all().await.unwrap().concluded, 1);
    assert_eq!(bench.status(good).await, JobStatus::Completed);
    let policy = RetentionPolicy::default();
    bench.clock.advance(Duration::from_secs(7 * 24 * 3600 - 1));
    let retained = bench.jobs.retain(&policy).await.unwrap();
    assert_eq!(
        (retained.completed, retained.held_back_by_unreadable),
        (1, false),
        "it ended before the batch was made"
    );
    bench.clock.advance(DAY * 40);
    let retained = bench.jobs.retain(&policy).await.unwrap();
    assert_eq!((retained.total(), retained.held_back_by_unreadable), (0, true), "its children are still to be counted");
    bench.hand.mend(bad).await;
    assert_eq!(bench.keeper.check_all().await.unwrap().concluded, 1);
    let retained = bench.jobs.retain(&policy).await.unwrap();
    assert_eq!((retained.completed, retained.held_back_by_unreadable), (3, false));
}

#[tokio::test]
async fn retention_waits_for_no_batch_that_was_discarded() {
    let bench = Batches::new().await;
    let (bad, parts) = bench.make("bad", 1, false).await;
    bench.hand.damage(bad).await;
    bench.complete(parts[0]).await;
    bench.clock.advance(DAY * 40);
    assert!(bench.jobs.retain(&RetentionPolicy::default()).await.unwrap().held_back_by_unreadable);
    assert!(bench.jobs.discard(bad).await.unwrap());
    let retained = bench.jobs.retain(&RetentionPolicy::default()).await.unwrap();
    assert_eq!((retained.completed, retained.held_back_by_unreadable), (1, false));
}

#[tokio::test]
async fn a_child_that_can_not_be_read_keeps_no_other_from_being_stopped() {
    let bench = Batches::new().await;
    let (_, children) = bench.make("batch", 3, true).await;
    bench.hand.damage(children[1]).await;
    let error = JobError { category: ErrorCategory::NoData, message: "no".into() };
    bench.jobs.command(children[0], None, JobCommand::Abandon { error }).await.unwrap();
    assert_eq!(bench.keeper.tend().await.unwrap().cancelled, 1);
    assert_eq!(bench.status(children[2]).await, JobStatus::Cancelled);
    bench.hand.mend(children[1]).await;
    bench.clock.advance(Duration::from_mins(10));
    assert_eq!(bench.keeper.tend().await.unwrap().cancelled, 1, "the hint is still there");
    assert_eq!(bench.status(children[1]).await, JobStatus::Cancelled);
}
