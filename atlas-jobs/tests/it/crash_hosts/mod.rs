//! Real processes that are killed or stopped for good measure: this test binary runs itself as the host.
//!
//! Parent and child share a store by its address, so that the same harness drives any store that several processes can
//! use. They wait for each other by pipes, by the kernel's word on a child and by what stands in the store, never by the
//! clock alone. Each test runs a fiftieth of its full count; `cargo xtask soak jobs` runs all of it.
#![cfg(all(feature = "sqlite", unix))]

mod kills;
#[cfg(feature = "postgres")]
mod postgres;
mod zombies;

use crate::mutants::{Broken, Mutant};
use atlas_jobs::conformance::trail::audit;
use atlas_jobs::sqlite::{Durability, SqliteJobs, SqliteOptions};
use atlas_jobs::store::Filter;
use atlas_jobs::{HandlerError, JobContext, JobStore, JobStoreExt, Worker, WorkerReport, handler_fn};
use atlas_schema::{AuditKind, JobKind, JobStatus, Stage};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const STORE: &str = "ATLAS_JOBS_CRASH_STORE";
const ROLE: &str = "ATLAS_JOBS_CRASH_ROLE";
const ORACLE: &str = "ATLAS_JOBS_CRASH_ORACLE";
const SEED: &str = "ATLAS_JOBS_CRASH_SEED";
const BROKEN: &str = "ATLAS_JOBS_CRASH_BROKEN";
const LEASE: Duration = Duration::from_millis(200);

/// So many rounds in the gate, and one per `share` cases of a soak.
fn rounds(gate: u64, share: u64) -> u64 {
    std::env::var("ATLAS_CASES").map_or(gate, |cases| (cases.parse::<u64>().unwrap() / share).max(1))
}

fn kind() -> JobKind {
    JobKind::new("slow").unwrap()
}

/// The store at an address: `sqlite:/tmp/jobs.db`, or `postgres:SCHEMA:` and how to connect.
async fn open(address: &str) -> Arc<dyn JobStore> {
    match address.split_once(':').unwrap() {
        ("sqlite", path) => {
            // A killed process leaves its writes with the system: there is no need to wait for the disk.
            let options = SqliteOptions::new(path, Stage::Dev).with_durability(Durability::Process);
            Arc::new(SqliteJobs::open_with(options.with_busy_timeout(Duration::from_secs(20))).await.unwrap())
        }
        #[cfg(feature = "postgres")]
        ("postgres", rest) => Arc::new(postgres::open(rest).await),
        (scheme, _) => panic!("no harness for {scheme}"),
    }
}

/// A SQLite file of a test's own.
fn file(folder: &tempfile::TempDir) -> String {
    format!("sqlite:{}", folder.path().join("jobs.db").display())
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A host in a process of its own, which ends with its owner at the latest.
struct Host {
    child: Child,
    words: mpsc::Receiver<String>,
    ear: Option<ChildStdin>,
}

impl Host {
    fn start(address: &str, role: &str, oracle: &Path, seed: u64) -> Self {
        Self::start_over(address, role, oracle, seed, None)
    }

    /// One whose store lacks a promise.
    fn start_over(address: &str, role: &str, oracle: &Path, seed: u64, broken: Option<Broken>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        if let Some(broken) = broken {
            command.env(BROKEN, format!("{broken:?}"));
        }
        let mut child = command
            .args(["crash_hosts::child_does_what_it_is_told", "--exact", "--nocapture"])
            .env(STORE, address)
            .env(ROLE, role)
            .env(ORACLE, oracle)
            .env(SEED, seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ear = child.stdin.take();
        let (said, words) = mpsc::channel();
        // A pipe that nobody empties would stop the host.
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| said.send(line)));
        Self { child, words, ear }
    }

    fn tell(&mut self, word: &str) {
        writeln!(self.ear.as_mut().unwrap(), "{word}").unwrap();
    }

    /// What follows `word` in the next line that has it: the test runner may have begun the line.
    fn hear(&self, word: &str) -> String {
        let heard = self.words.iter().find_map(|line| line.split_once(word).map(|(_, rest)| rest.to_owned()));
        heard.unwrap_or_else(|| panic!("the host ended before it said `{word}`"))
    }

    /// The same, of what it says from now on.
    fn hear_anew(&self, word: &str) -> String {
        self.words.try_iter().for_each(drop);
        self.hear(word)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Stops it, and returns once the kernel says that it stands still.
    fn stop(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
        let (_, status) = waitpid(Some(self.pid()), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped());
    }

    fn go_on(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    /// Lets it end by itself.
    fn dismiss(mut self) {
        drop(self.ear.take());
        assert!(self.child.wait().unwrap().success(), "it ends well");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Not a test of its own: the child process of the tests below. Without the variable there is nothing to do.
#[tokio::test]
async fn child_does_what_it_is_told() {
    let Ok(address) = std::env::var(STORE) else { return };
    let store = open(&address).await;
    let broken = std::env::var(BROKEN).ok().map(|name| {
        let all = [Broken::StaleEpochs, Broken::SharedClaims];
        all.into_iter().find(|broken| format!("{broken:?}") == name).unwrap()
    });
    let store = match broken {
        Some(broken) => Arc::new(Mutant::new(store, broken)),
        None => store,
    };
    match std::env::var(ROLE).unwrap().as_str() {
        "zombie" => zombies::zombie(store).await,
        "steady" => steady(store).await,
        _ => kills::doomed(store).await,
    }
}

/// A worker that works until its owner lets go of it.
async fn steady(store: Arc<dyn JobStore>) {
    let shutdown = CancellationToken::new();
    let dismissed = shutdown.clone();
    std::thread::spawn(move || {
        drop(std::io::stdin().read_line(&mut String::new()));
        dismissed.cancel();
    });
    println!("ended {:?}", work(store, false, shutdown).await);
}

async fn work(store: Arc<dyn JobStore>, drain: bool, shutdown: CancellationToken) -> WorkerReport {
    let oracle = std::env::var(ORACLE).ok();
    let handler = handler_fn(move |job: JobContext, n: u64| {
        let oracle = oracle.clone();
        async move {
            if let Some(oracle) = oracle {
                let mut file = std::fs::OpenOptions::new().append(true).create(true).open(oracle).unwrap();
                file.write_all(format!("{}\n", job.fencing_key()).as_bytes()).unwrap();
            }
            println!("began {n}");
            // The work itself: long enough to be killed in the middle of.
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok::<_, HandlerError>(n * 2)
        }
    });
    let worker = Worker::builder(store).handler(kind(), Arc::new(handler)).concurrency(3).lease(LEASE);
    let worker = worker.poll_interval(Duration::from_millis(20)).stop_when_drained(drain).build().unwrap();
    worker.run(shutdown).await.unwrap()
}

/// Every epoch that a host ran, and how often.
fn epochs(oracle: &Path) -> BTreeMap<String, u32> {
    let mut ran = BTreeMap::new();
    for line in std::fs::read_to_string(oracle).unwrap_or_default().lines() {
        *ran.entry(line.to_owned()).or_default() += 1;
    }
    ran
}

/// At rest: each job is there once and done once, in an epoch that one host ran. Gives how many were done by hosts whose
/// oracle this is.
async fn verify(store: &dyn JobStore, oracle: &Path, jobs: u64) -> u64 {
    assert_eq!(audit(store, Filter::default()).await.unwrap(), []);
    let ran = epochs(oracle);
    assert!(ran.values().all(|times| *times == 1), "an epoch is run by one host: {ran:?}");
    let all = store.list_all(Filter::default()).await.unwrap();
    assert_eq!(u64::try_from(all.len()).unwrap(), jobs, "no job is lost, none is doubled");
    let mut by_hosts = 0;
    for job in all {
        let n: u64 = serde_json::from_value(job.payload.clone()).unwrap();
        assert_eq!((job.status, job.result), (JobStatus::Completed, Some((n * 2).into())));
        let history = store.history_all(job.id).await.unwrap();
        let ends: Vec<_> = history.iter().filter(|event| event.kind == AuditKind::Completed).collect();
        assert_eq!(ends.len(), 1);
        by_hosts += u64::from(ran.contains_key(&format!("{}:{}", job.id, ends[0].epoch)));
    }
    by_hosts
}
