//! Real processes that are killed or stopped for good measure: this test binary runs itself as the host.
//!
//! Parent and child share a store by its address, so that the same harness drives any store that several processes can
//! use. They wait for each other by pipes and by the kernel's word on a child, never by the clock.
#![cfg(all(feature = "sqlite", unix))]

use atlas_jobs::conformance::trail::audit;
use atlas_jobs::faulty::{Fault, FaultPlan, FaultyStore, Operation};
use atlas_jobs::sqlite::{Durability, SqliteJobs, SqliteOptions};
use atlas_jobs::store::{Ack, AckAction, AckOutcome, Claim, Exchange, Filter, SweepOptions};
use atlas_jobs::{
    Clock, HandlerError, JobContext, JobManager, JobSpec, JobStore, JobStoreExt, Moment, Random, SystemClock, Worker,
    handler_fn,
};
use atlas_schema::{AuditKind, JobKind, JobRecord, JobStatus, QueueName, Stage, WorkerId};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const STORE: &str = "ATLAS_JOBS_CRASH_STORE";
const ROLE: &str = "ATLAS_JOBS_CRASH_ROLE";
const ORACLE: &str = "ATLAS_JOBS_CRASH_ORACLE";
const SEED: &str = "ATLAS_JOBS_CRASH_SEED";
const LEASE: Duration = Duration::from_millis(200);

/// So many rounds in the gate, and one per `share` cases of a soak.
fn rounds(gate: u64, share: u64) -> u64 {
    std::env::var("ATLAS_CASES").map_or(gate, |cases| (cases.parse::<u64>().unwrap() / share).max(1))
}

fn kind() -> JobKind {
    JobKind::new("slow").unwrap()
}

/// The store at an address such as `sqlite:/tmp/jobs.db`.
async fn open(address: &str) -> Arc<dyn JobStore> {
    let (scheme, rest) = address.split_once(':').unwrap();
    assert_eq!(scheme, "sqlite", "no harness for this store");
    // A killed process leaves its writes with the system: there is no need to wait for the disk.
    let options = SqliteOptions::new(rest, Stage::Dev).with_durability(Durability::Process);
    Arc::new(SqliteJobs::open_with(options.with_busy_timeout(Duration::from_secs(20))).await.unwrap())
}

/// A host in a process of its own.
struct Host {
    child: Child,
    words: Lines<BufReader<ChildStdout>>,
    ear: ChildStdin,
}

impl Host {
    fn start(address: &str, role: &str, oracle: &Path, seed: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
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
        let words = BufReader::new(child.stdout.take().unwrap()).lines();
        let ear = child.stdin.take().unwrap();
        Self { child, words, ear }
    }

    /// What follows `word` in the next line that has it: the test runner may have begun the line.
    fn hear(&mut self, word: &str) -> String {
        let mut said = self.words.by_ref().map_while(Result::ok);
        let heard = said.find_map(|line| line.split_once(word).map(|(_, rest)| rest.to_owned()));
        heard.unwrap_or_else(|| panic!("the host ended before it said `{word}`"))
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

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Not a test of its own: the child process of the tests below. Without the variable there is nothing to do.
#[tokio::test]
async fn child_does_what_it_is_told() {
    let Ok(address) = std::env::var(STORE) else { return };
    let store = open(&address).await;
    match std::env::var(ROLE).unwrap().as_str() {
        "zombie" => zombie(store).await,
        _ => doomed(store).await,
    }
}

async fn claim(store: &dyn JobStore, worker: &WorkerId, beat: u64) -> Option<JobRecord> {
    let claim = Claim { queues: vec![QueueName::default()], kinds: vec![kind()], limit: 1 };
    let exchange = Exchange::new(worker.clone(), beat, LEASE, SystemClock::new().now());
    store.exchange(exchange.with_claim(claim)).await.unwrap().claimed.pop()
}

async fn complete(store: &dyn JobStore, worker: &WorkerId, beat: u64, job: &JobRecord, by: &str) -> AckOutcome {
    let ack = Ack { job: job.id, epoch: job.epoch, action: AckAction::Complete { result: by.into() } };
    let exchange = Exchange::new(worker.clone(), beat, LEASE, SystemClock::new().now());
    store.exchange(exchange.with_acks(vec![ack])).await.unwrap().acks.remove(0)
}

/// Claims a job, is stopped while it holds it, and hands in its outcome when it wakes, however late that is.
async fn zombie(store: Arc<dyn JobStore>) {
    let worker = WorkerId::new("zombie").unwrap();
    let mut beat = 0;
    loop {
        let mut word = String::new();
        if std::io::stdin().read_line(&mut word).unwrap() == 0 {
            return;
        }
        beat += 2;
        let job = claim(&*store, &worker, beat).await.expect("a job waits");
        println!("holds {}", job.epoch);
        std::io::stdin().read_line(&mut word).unwrap();
        println!("wrote {:?}", complete(&*store, &worker, beat + 1, &job, "the zombie").await);
    }
}

#[tokio::test]
async fn bad_input_66_a_worker_stopped_past_its_lease_writes_nothing_when_it_goes_on() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let address = format!("sqlite:{}", folder.path().join("jobs.db").display());
    let store = open(&address).await;
    let jobs = JobManager::new(store.clone()).unwrap();
    let mut host = Host::start(&address, "zombie", folder.path(), 0);
    let heir = WorkerId::new("heir").unwrap();
    // The steady clock of the sweeper is moved by hand: past the lease without waiting for it.
    let mut steady = Duration::ZERO;
    for round in 1..=rounds(200, 10) {
        let id = jobs.enqueue(JobSpec::new(kind(), &round).unwrap()).await.unwrap().id();
        writeln!(host.ear, "claim").unwrap();
        assert_eq!(host.hear("holds "), "1");
        host.stop();
        // What it reads when it wakes.
        writeln!(host.ear, "write").unwrap();
        let mut expired = 0;
        for _ in 0..2 {
            let now = Moment { wall: SystemClock::new().now().wall, steady };
            expired += store.sweep(SweepOptions::new(now)).await.unwrap().expired;
            steady += LEASE;
        }
        assert_eq!(expired, 1, "round {round}: one lease after its last beat the job is back");
        let job = claim(&*store, &heir, round * 2).await.unwrap();
        assert_eq!((job.id, job.epoch), (id, 2));
        // Half of the zombies wake before the heir is done, half of them after.
        let early = round % 2 == 0;
        if early {
            host.go_on();
            let wrote = host.hear("wrote ");
            assert!(wrote.starts_with("Lost"), "round {round}: {wrote}");
        }
        let outcome = complete(&*store, &heir, round * 2 + 1, &job, "the heir").await;
        assert!(matches!(outcome, AckOutcome::Applied { .. }), "round {round}: {outcome:?}");
        if !early {
            host.go_on();
            let wrote = host.hear("wrote ");
            assert!(wrote.starts_with("Lost"), "round {round}: {wrote}");
        }
        assert_eq!(store.get_one(id.into()).await.unwrap().unwrap().result, Some("the heir".into()));
    }
    host.kill();
    assert_eq!(audit(&*store, Filter::default()).await.unwrap(), []);
}

/// A worker whose handler tells an oracle of each epoch that it runs, and that hangs at a moment of its seed.
async fn doomed(store: Arc<dyn JobStore>) {
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let random = Random::seeded(seed);
    let operation =
        [Operation::Exchange, Operation::Exchange, Operation::Sweep][usize::from(random.bytes::<1>()[0]) % 3];
    let forever = Duration::from_hours(1);
    // Just before the call reaches the store, or just after it has committed.
    let fault = if random.u64().is_multiple_of(2) { Fault::Delay(forever) } else { Fault::Lag(forever) };
    let hangs = FaultPlan::none().with_fault(operation, 1 + random.u64() % 4, fault);
    // Every other one runs until it is killed in the midst of work.
    let plan = if seed.is_multiple_of(2) { hangs } else { FaultPlan::none() };
    let store = FaultyStore::new(store, plan, 0);
    let worker = work(Arc::new(store.clone()), false);
    let watch = async {
        while store.struck().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        println!("hangs {:?}", store.struck());
        std::future::pending::<()>().await;
    };
    tokio::join!(worker, watch);
}

async fn work(store: Arc<dyn JobStore>, drain: bool) -> atlas_jobs::WorkerReport {
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
    worker.run(CancellationToken::new()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_killed_at_named_and_at_random_moments_lose_nothing_and_double_nothing() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let address = format!("sqlite:{}", folder.path().join("jobs.db").display());
    let oracle = folder.path().join("oracle");
    let store = open(&address).await;
    let jobs = JobManager::new(store.clone()).unwrap();
    let first = crate::sim::setting("ATLAS_SEED", 0);
    let kills = rounds(20, 100);
    for seed in first..first + kills {
        let spec = |n| JobSpec::new(kind(), &(seed * 8 + n)).unwrap().with_max_attempts(1000);
        jobs.enqueue_many((0..8).map(spec).collect()).await.unwrap();
        let mut host = Host::start(&address, "doomed", &oracle, seed);
        // Every other one dies as it hangs at its named moment, the others in the midst of work.
        if seed.is_multiple_of(2) {
            host.hear("hangs ");
        } else {
            host.hear("began ");
        }
        host.kill();
    }
    let report = work(store.clone(), true).await;
    assert!(kills == 1 || report.recovered > 0, "some were killed in the midst of a job");

    assert_eq!(audit(&*store, Filter::default()).await.unwrap(), []);
    let mut ran: BTreeMap<String, u32> = BTreeMap::new();
    for line in std::fs::read_to_string(&oracle).unwrap_or_default().lines() {
        *ran.entry(line.to_owned()).or_default() += 1;
    }
    assert!(ran.values().all(|times| *times == 1), "an epoch is run by one host: {ran:?}");
    let all = store.list_all(Filter::default()).await.unwrap();
    assert_eq!(u64::try_from(all.len()).unwrap(), kills * 8, "no job is lost, none is doubled");
    let mut by_hosts = 0;
    for job in all {
        let n: u64 = serde_json::from_value(job.payload.clone()).unwrap();
        assert_eq!((job.status, job.result), (JobStatus::Completed, Some((n * 2).into())));
        let history = store.history_all(job.id).await.unwrap();
        let ends: Vec<_> = history.iter().filter(|event| event.kind == AuditKind::Completed).collect();
        assert_eq!(ends.len(), 1);
        by_hosts += u64::from(ran.contains_key(&format!("{}:{}", job.id, ends[0].epoch)));
    }
    println!("{kills} kills, {} epochs run by hosts, {by_hosts} jobs completed by them", ran.len());
}
