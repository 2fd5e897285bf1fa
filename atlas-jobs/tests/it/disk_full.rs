//! A disk that is full for real: a small file system in memory, where the system lets the test mount one.
#![cfg(all(feature = "sqlite", target_os = "linux"))]

use atlas_jobs::conformance::trail::audit;
use atlas_jobs::sqlite::SqliteJobs;
use atlas_jobs::store::{Filter, Scope};
use atlas_jobs::{JobManager, JobSpec, JobStore, Kind, ManagerError};
use atlas_schema::{JobKind, Stage};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

const BYTES: usize = 1024 * 1024;

/// Ends with its owner.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None`, with a line that says so, where mounting is not allowed.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={BYTES}"), "none"]).arg(folder.path());
        if mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        println!("skipped: a small disk can't be mounted here, which takes root");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes room until so many bytes are left.
    fn fill(&self, left: usize) -> PathBuf {
        let filler = self.path().join("filler");
        std::fs::write(&filler, vec![1; BYTES - left]).unwrap();
        filler
    }

    fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.path()).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a store's threads may close the file a moment later, and a mount that stays would keep its folder for ever.
        drop(Command::new("umount").arg("--lazy").arg(self.path()).status());
    }
}

fn spec(bytes: usize) -> JobSpec {
    JobSpec::new(JobKind::new("k").unwrap(), &"x".repeat(bytes)).unwrap()
}

#[tokio::test]
async fn a_new_file_on_a_full_disk_is_refused_and_leaves_nothing_behind() {
    let Some(disk) = Disk::mount() else { return };
    let path = disk.path().join("jobs.db");
    let mut opened = 0;
    for left in (0..BYTES).step_by(16 * 1024) {
        let filler = disk.fill(left);
        match SqliteJobs::open(&path, Stage::Dev).await {
            Err(error) => {
                assert_eq!(error.kind(), Kind::Full, "{left} bytes left: {error:?}");
                assert_eq!(disk.names(), ["filler"], "{left} bytes left");
            }
            Ok(store) => {
                store.close().await;
                std::fs::remove_file(&path).unwrap();
                opened += 1;
            }
        }
        std::fs::remove_file(filler).unwrap();
    }
    assert!((1..60).contains(&opened), "{opened}");
}

#[tokio::test]
async fn a_disk_that_fills_up_loses_nothing_and_serves_again_once_there_is_room() {
    let Some(disk) = Disk::mount() else { return };
    let path = disk.path().join("jobs.db");
    let store: Arc<dyn JobStore> = Arc::new(SqliteJobs::open(&path, Stage::Dev).await.unwrap());
    let jobs = JobManager::new(store.clone()).unwrap();
    let room = disk.path().join("room");
    std::fs::write(&room, vec![1; 200 * 1024]).unwrap();
    let mut accepted = 0;
    let full = loop {
        match jobs.enqueue(spec(10_000)).await {
            Ok(_) => accepted += 1,
            Err(ManagerError::Store(error)) => break error,
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(full.kind(), Kind::Full);
    assert!(accepted > 5);
    for _ in 0..20 {
        drop(jobs.enqueue(spec(50_000)).await.unwrap_err());
    }
    let total = async || store.statistics(Scope::default()).await.unwrap().total();
    assert_eq!(total().await, accepted, "what was accepted is there, what was refused is not");
    assert_eq!(audit(&*store, Filter::default()).await.unwrap(), []);
    std::fs::remove_file(room).unwrap();
    jobs.enqueue(spec(10_000)).await.unwrap();
    assert_eq!(total().await, accepted + 1);
    drop((jobs, store));
    let again = SqliteJobs::open(&path, Stage::Dev).await.unwrap();
    assert_eq!(again.statistics(Scope::default()).await.unwrap().total(), accepted + 1);
}
