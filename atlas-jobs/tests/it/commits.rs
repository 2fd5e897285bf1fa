//! Commits that fail, and files that go away while they are open.
#![cfg(feature = "sqlite")]

use atlas_jobs::sqlite::SqliteJobs;
use atlas_jobs::store::{Filter, Scope};
use atlas_jobs::{JobManager, JobSpec, JobStore, JobStoreExt, Kind, ManagerError};
use atlas_schema::{JobKind, Stage};
use rusqlite::Connection;
use std::sync::Arc;

fn spec(text: &str) -> JobSpec {
    JobSpec::new(JobKind::new("k").unwrap(), &text).unwrap()
}

/// A promise of the host's own on its own table, which each new job breaks, and which is judged at the commit.
const REFUSES: &str = "
    CREATE TABLE host_parent (id INTEGER PRIMARY KEY);
    CREATE TABLE host_child (id INTEGER REFERENCES host_parent (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER host_refuses AFTER INSERT ON atlas_jobs_job BEGIN INSERT INTO host_child VALUES (1); END;";

#[tokio::test]
async fn a_commit_that_fails_is_no_success_and_does_not_stand_in_the_way_of_the_next() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("jobs.db");
    let store: Arc<dyn JobStore> = Arc::new(SqliteJobs::open(&path, Stage::Dev).await.unwrap());
    let jobs = JobManager::new(store.clone()).unwrap();
    let host = Connection::open(&path).unwrap();
    host.execute_batch(REFUSES).unwrap();
    for _ in 0..3 {
        let ManagerError::Store(failed) = jobs.enqueue(spec("x")).await.unwrap_err() else { panic!("a store error") };
        assert_eq!((failed.kind(), failed.is_retryable()), (Kind::Internal, false));
    }
    assert!(store.list_all(Filter::default()).await.unwrap().is_empty(), "nothing was written");
    host.execute_batch("DROP TRIGGER host_refuses").unwrap();
    jobs.enqueue(spec("x")).await.unwrap();
    assert_eq!(jobs.statistics(Scope::default()).await.unwrap().total(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_deleted_while_it_is_open_is_used_until_it_is_closed_and_the_next_one_is_new() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("jobs.db");
    let store = SqliteJobs::open(&path, Stage::Dev).await.unwrap();
    let jobs = JobManager::new(Arc::new(store.clone())).unwrap();
    jobs.enqueue(spec("x")).await.unwrap();
    for name in ["jobs.db", "jobs.db-wal", "jobs.db-shm"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    jobs.enqueue(spec("y")).await.unwrap();
    assert_eq!(jobs.statistics(Scope::default()).await.unwrap().total(), 2);
    let next = SqliteJobs::open(&path, Stage::Dev).await.unwrap();
    assert_eq!(next.statistics(Scope::default()).await.unwrap().total(), 0);
    // The two share a name and nothing else.
    drop(jobs);
    store.close().await;
    JobManager::new(Arc::new(next)).unwrap().enqueue(spec("z")).await.unwrap();
}
