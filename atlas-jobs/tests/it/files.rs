//! Files that are not as they should be: each ends in a typed error that says what to do.
#![cfg(feature = "sqlite")]

use atlas_jobs::sqlite::{SqliteJobs, SqliteOptions};
use atlas_jobs::store::{Filter, ListOptions, Scope};
use atlas_jobs::{JobManager, JobSpec, JobStore, JobStoreExt, Kind, ManagerError, StoreError};
use atlas_schema::{JobKind, JobStatus, Stage};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

async fn open(path: &Path) -> Result<SqliteJobs, StoreError> {
    SqliteJobs::open(path, Stage::Dev).await
}

async fn kind_of(path: &Path) -> Kind {
    open(path).await.unwrap_err().kind()
}

fn spec(text: &str) -> JobSpec {
    JobSpec::new(JobKind::new("k").unwrap(), &text).unwrap()
}

/// A file with one job in it, closed.
async fn with_a_job(folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("jobs.db");
    let store = open(&path).await.unwrap();
    JobManager::new(Arc::new(store.clone())).unwrap().enqueue(spec("x")).await.unwrap();
    store.close().await;
    path
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let folder = folder();
    let path = with_a_job(&folder).await;
    let store = open(&path).await.unwrap();
    let jobs = store.list_all(Filter::default()).await.unwrap();
    assert_eq!((jobs.len(), &jobs[0].payload), (1, &"x".into()));
    assert_eq!(store.history_all(jobs[0].id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_closed_file_is_whole_without_its_log() {
    let folder = folder();
    let path = with_a_job(&folder).await;
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["jobs.db"]);
    let copy = folder.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    assert_eq!(open(&copy).await.unwrap().statistics(Scope::default()).await.unwrap().total(), 1);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_unavailable_and_is_not_made() {
    let folder = folder();
    assert_eq!(kind_of(&folder.path().join("no/such/jobs.db")).await, Kind::Unavailable);
    assert!(!folder.path().join("no").exists());
}

#[tokio::test]
async fn a_folder_in_place_of_the_file_is_unavailable() {
    assert_eq!(kind_of(folder().path()).await, Kind::Unavailable);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_as_it_was() {
    let folder = folder();
    let path = folder.path().join("notes.txt");
    let text = "these are my notes, not a database\n".repeat(200);
    std::fs::write(&path, &text).unwrap();
    let error = open(&path).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(!error.to_string().contains("notes"), "no path, no content: {error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_damaged_file_is_corrupt() {
    let folder = folder();
    let path = with_a_job(&folder).await;
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[4096..middle] {
        *byte = 0xa5;
    }
    std::fs::write(&path, bytes).unwrap();
    let outcome = match open(&path).await {
        Ok(store) => store.list_all(Filter::default()).await.map(|_| ()),
        Err(error) => Err(error),
    };
    assert_eq!(outcome.unwrap_err().kind(), Kind::Corrupt);
}

#[tokio::test]
async fn a_file_of_a_newer_release_is_refused_and_left_as_it_was() {
    let folder = folder();
    let path = with_a_job(&folder).await;
    let conn = Connection::open(&path).unwrap();
    conn.execute("UPDATE atlas_jobs_meta SET value = '999' WHERE key = 'version'", []).unwrap();
    assert_eq!(kind_of(&path).await, Kind::NewerVersion);
    let version: String =
        conn.query_row("SELECT value FROM atlas_jobs_meta WHERE key = 'version'", [], |row| row.get(0)).unwrap();
    assert_eq!(version, "999");
}

#[tokio::test]
async fn a_file_of_another_stage_is_refused() {
    let folder = folder();
    let path = with_a_job(&folder).await;
    let refused = SqliteJobs::open(&path, Stage::Production).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::WrongStage);
}

#[tokio::test]
async fn tables_of_the_host_in_the_same_file_are_left_alone() {
    let folder = folder();
    let path = folder.path().join("host.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE mine (n INTEGER); INSERT INTO mine VALUES (5); PRAGMA user_version = 12;")
        .unwrap();
    open(&path).await.unwrap();
    let kept: i64 = conn.query_row("SELECT n FROM mine", [], |row| row.get(0)).unwrap();
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!((kept, version), (5, 12));
}

#[tokio::test]
async fn a_file_that_another_process_holds_is_busy_and_can_be_tried_again() {
    let folder = folder();
    let path = with_a_job(&folder).await;
    let options = SqliteOptions::new(&path, Stage::Dev).with_busy_timeout(Duration::from_millis(20));
    let jobs = JobManager::new(Arc::new(SqliteJobs::open_with(options).await.unwrap())).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ManagerError::Store(busy) = jobs.enqueue(spec("y")).await.unwrap_err() else { panic!("a store error") };
    assert!(busy.kind() == Kind::Busy && busy.is_retryable());
    assert_eq!(jobs.statistics(Scope::default()).await.unwrap().total(), 1, "readers go on");
    other.execute_batch("ROLLBACK").unwrap();
    jobs.enqueue(spec("y")).await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_opened_to_read_refuses_to_write() {
    let folder = folder();
    let path = with_a_job(&folder).await;
    let options = SqliteOptions::new(&path, Stage::Dev).with_read_only(true);
    let store: Arc<dyn JobStore> = Arc::new(SqliteJobs::open_with(options).await.unwrap());
    let jobs = JobManager::new(store.clone()).unwrap();
    let ManagerError::Store(refused) = jobs.enqueue(spec("y")).await.unwrap_err() else { panic!("a store error") };
    assert_eq!(refused.kind(), Kind::ReadOnly);
    assert_eq!(store.list_all(Filter::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_to_read_that_is_not_there_is_unavailable_and_is_not_made() {
    let folder = folder();
    let path = folder.path().join("none.db");
    let options = SqliteOptions::new(&path, Stage::Dev).with_read_only(true);
    assert_eq!(SqliteJobs::open_with(options).await.unwrap_err().kind(), Kind::Unavailable);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_halves_nothing() {
    let folder = folder();
    let path = folder.path().join("small.db");
    let options = SqliteOptions::new(&path, Stage::Dev).with_max_pages(Some(200));
    let store: Arc<dyn JobStore> = Arc::new(SqliteJobs::open_with(options).await.unwrap());
    let jobs = JobManager::new(store.clone()).unwrap();
    let mut accepted = Vec::new();
    let full = loop {
        match jobs.enqueue(spec(&"x".repeat(20_000))).await {
            Ok(job) => accepted.push(job.id()),
            Err(ManagerError::Store(error)) => break error,
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(full.kind(), Kind::Full);
    assert!(full.to_string().contains("free some space"), "{full}");
    let left = store.list_all(Filter::default()).await.unwrap();
    assert_eq!(left.len(), accepted.len(), "what was accepted is there, what was refused is not");
    for id in &accepted {
        assert_eq!(store.history_all(*id).await.unwrap().len(), 1);
    }
    drop((jobs, store));
    let roomier = open(&path).await.unwrap();
    assert_eq!(
        roomier.statistics(Scope::default()).await.unwrap().in_status(JobStatus::Pending),
        accepted.len() as u64
    );
    JobManager::new(Arc::new(roomier)).unwrap().enqueue(spec("fits")).await.unwrap();
}

#[tokio::test]
async fn a_new_file_that_the_disk_has_no_room_for_is_not_left_behind() {
    let folder = folder();
    // From too little for the first table to just enough for all.
    let mut opened = 0;
    for pages in 1..100 {
        let path = folder.path().join(format!("{pages}.db"));
        match SqliteJobs::open_with(SqliteOptions::new(&path, Stage::Dev).with_max_pages(Some(pages))).await {
            Ok(store) => {
                store.close().await;
                std::fs::remove_file(&path).unwrap();
                opened += 1;
            }
            Err(error) => assert_eq!(error.kind(), Kind::Full, "{pages} pages"),
        }
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{pages} pages: {left:?}");
    }
    assert!((1..99).contains(&opened), "some sizes suffice, some do not: {opened}");
}

#[tokio::test]
async fn names_that_sqlite_takes_for_no_file_are_refused() {
    for name in ["", ":memory:"] {
        assert_eq!(kind_of(Path::new(name)).await, Kind::InvalidInput);
    }
}

#[tokio::test]
async fn a_call_whose_future_is_dropped_is_whole_or_not_at_all() {
    let folder = folder();
    let store: Arc<dyn JobStore> = Arc::new(open(&folder.path().join("jobs.db")).await.unwrap());
    let jobs = JobManager::new(store.clone()).unwrap();
    for _ in 0..20 {
        let call = jobs.enqueue_many((0..10).map(|_| spec("d")).collect());
        // Polled once: the call is under way, and nobody waits for it any more.
        assert!(futures_util::FutureExt::now_or_never(call).is_none());
    }
    jobs.enqueue(spec("after")).await.unwrap();
    let all = store.list_all(Filter::default()).await.unwrap();
    assert_eq!(all.len() % 10, 1, "tens and the last one: {}", all.len());
    for job in all {
        assert_eq!(store.history_all(job.id).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_over_one_file_share_its_jobs() {
    let folder = folder();
    let path = folder.path().join("shared.db");
    let (one, two) = (open(&path).await.unwrap(), open(&path).await.unwrap());
    let managers = [JobManager::new(Arc::new(one.clone())).unwrap(), JobManager::new(Arc::new(two)).unwrap()];
    let tasks = managers.map(|jobs| {
        tokio::spawn(async move {
            for _ in 0..50 {
                jobs.enqueue(spec("z")).await.unwrap();
            }
        })
    });
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(one.statistics(Scope::default()).await.unwrap().total(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_file_may_be_opened_by_many_at_once() {
    for _ in 0..10 {
        let folder = folder();
        let path = folder.path().join("new.db");
        let opening: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                tokio::spawn(async move { open(&path).await })
            })
            .collect();
        for store in opening {
            store.await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn a_page_of_large_jobs_is_short_and_the_list_is_whole() {
    let folder = folder();
    let store = Arc::new(open(&folder.path().join("large.db")).await.unwrap());
    let jobs = JobManager::new(store.clone()).unwrap();
    let large = "x".repeat(1000 * 1000);
    for answer in jobs.enqueue_many((0..20).map(|_| spec(&large)).collect()).await.unwrap() {
        answer.unwrap();
    }
    let page = jobs.list(ListOptions::default().with_limit(1000)).await.unwrap();
    assert!((1..20).contains(&page.items.len()) && page.next.is_some(), "{} jobs", page.items.len());
    assert_eq!(store.list_all(Filter::default()).await.unwrap().len(), 20);
}

#[tokio::test]
async fn a_job_of_another_process_is_noticed_without_waiting_for_the_poll() {
    let folder = folder();
    let path = folder.path().join("jobs.db");
    // Two openings of one file share nothing but the file.
    let (ours, theirs) = (open(&path).await.unwrap(), open(&path).await.unwrap());
    let handler = atlas_jobs::handler_fn(|_, _: String| async { Ok::<_, atlas_jobs::HandlerError>(()) });
    let worker = atlas_jobs::Worker::builder(Arc::new(ours))
        .handler(JobKind::new("k").unwrap(), Arc::new(handler))
        .poll_interval(Duration::from_hours(1))
        .build()
        .unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let token = stop.clone();
    let worker = tokio::spawn(async move { worker.run(token).await.unwrap() });
    let jobs = JobManager::new(Arc::new(theirs)).unwrap();
    for text in ["a", "b"] {
        let id = jobs.enqueue(spec(text)).await.unwrap().id();
        let done = async {
            while jobs.get(id).await.unwrap().unwrap().status != JobStatus::Completed {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), done).await.expect("a poll is an hour off");
    }
    stop.cancel();
    assert_eq!(worker.await.unwrap().completed, 2);
}

#[tokio::test]
async fn a_lease_that_another_process_ended_is_seen_by_the_one_that_knew_it() {
    use atlas_jobs::store::{Ack, AckAction, AckOutcome, Claim, Exchange, SweepOptions};
    use atlas_jobs::{Clock, SystemClock};
    let folder = folder();
    let path = with_a_job(&folder).await;
    let (ours, theirs) = (open(&path).await.unwrap(), open(&path).await.unwrap());
    let now = SystemClock::new().now();
    let worker = atlas_schema::WorkerId::new("w-1").unwrap();
    let exchange = |beat| Exchange::new(worker.clone(), beat, Duration::from_mins(1), now);
    let claim =
        Claim { queues: vec![atlas_schema::QueueName::default()], kinds: vec![JobKind::new("k").unwrap()], limit: 1 };
    let job = ours.exchange(exchange(1).with_claim(claim)).await.unwrap().claimed.remove(0);
    theirs.sweep(SweepOptions::new(now).with_dead(vec![worker.clone()])).await.unwrap();
    let ack = Ack { job: job.id, epoch: job.epoch, action: AckAction::Complete { result: 1.into() } };
    let answer = ours.exchange(exchange(2).with_acks(vec![ack])).await.unwrap().acks.remove(0);
    assert_eq!(answer, AckOutcome::Lost { epoch: 1, status: JobStatus::Pending });
}
