//! Real processes that are killed: this test binary runs itself as the worker.
#![cfg(feature = "sqlite")]

use atlas_jobs::sqlite::SqliteJobs;
use atlas_jobs::store::{Filter, Scope};
use atlas_jobs::{HandlerError, JobContext, JobManager, JobSpec, JobStore, JobStoreExt, Worker, handler_fn};
use atlas_schema::{AuditKind, IdempotencyKey, JobKind, JobStatus, Stage};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const FILE: &str = "ATLAS_JOBS_CRASH_TEST_FILE";
const JOBS: u32 = 30;
const LEASE: Duration = Duration::from_millis(500);

fn kind() -> JobKind {
    JobKind::new("slow").unwrap()
}

async fn work(store: Arc<dyn JobStore>) -> atlas_jobs::WorkerReport {
    let handler = handler_fn(|_: JobContext, n: u32| async move {
        println!("began {n}");
        // The work itself: long enough to be killed in the middle of.
        tokio::time::sleep(Duration::from_millis(30)).await;
        Ok::<_, HandlerError>(n * 2)
    });
    let worker = Worker::builder(store).handler(kind(), Arc::new(handler)).concurrency(3).lease(LEASE);
    let worker = worker.poll_interval(Duration::from_millis(50)).stop_when_drained(true).build().unwrap();
    worker.run(CancellationToken::new()).await.unwrap()
}

/// Not a test of its own: the child process of the test below. Without the variable there is nothing to do.
#[tokio::test]
async fn child_works_on_the_file_it_is_given() {
    if let Some(path) = std::env::var_os(FILE) {
        work(Arc::new(SqliteJobs::open(std::path::Path::new(&path), Stage::Dev).await.unwrap())).await;
    }
}

fn spawn(path: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["crash::child_works_on_the_file_it_is_given", "--exact", "--nocapture"])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_lose_nothing_and_the_next_one_resumes() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("jobs.db");
    let store: Arc<dyn JobStore> = Arc::new(SqliteJobs::open(&path, Stage::Dev).await.unwrap());
    let jobs = JobManager::new(store.clone()).unwrap();
    let spec = |n: u32| {
        let key = IdempotencyKey::new(format!("job-{n}")).unwrap();
        JobSpec::new(kind(), &n).unwrap().with_idempotency_key(key).with_max_attempts(10)
    };
    jobs.enqueue_many((0..JOBS).map(spec).collect()).await.unwrap();
    for _ in 0..3 {
        let mut child = spawn(&path);
        // Killed while jobs are under way: after it has said that it began some.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let began = lines.map_while(Result::ok).filter(|line| line.contains("began")).take(4).count();
        assert_eq!(began, 4, "the child found work");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let killed = jobs.statistics(Scope::default()).await.unwrap();
    assert!(killed.in_status(JobStatus::Processing) > 0, "someone was killed in the middle of a job");
    // What a program does that starts again: enqueues the same work, and runs.
    jobs.enqueue_many((0..JOBS).map(spec).collect()).await.unwrap();
    let began = Instant::now();
    let report = work(store.clone()).await;
    assert!(report.recovered > 0);
    assert!(began.elapsed() < Duration::from_mins(1), "resumed in {:?}", began.elapsed());
    let all = store.list_all(Filter::default()).await.unwrap();
    assert_eq!(all.len(), usize::try_from(JOBS).unwrap(), "no job is lost, none is doubled");
    for job in all {
        let n: u32 = serde_json::from_value(job.payload.clone()).unwrap();
        assert_eq!((job.status, job.result), (JobStatus::Completed, Some((n * 2).into())));
        let history = store.history_all(job.id).await.unwrap();
        let ends = history.iter().filter(|event| event.kind == AuditKind::Completed).count();
        let versions: Vec<u64> = history.iter().map(|event| event.version).collect();
        assert_eq!((ends, versions), (1, (1..=job.version).collect::<Vec<_>>()));
    }
}
