//! Every call that a worker, a manager and a deliverer make of their store, failed before, after and twice: one story,
//! told again for each call and each fault, always with the same end.

use crate::sim::clock::SimClock;
use atlas_jobs::conformance::trail::audit;
use atlas_jobs::faulty::{Fault, FaultPlan, FaultyStore, Operation};
use atlas_jobs::store::{
    Delivery, Filter, HistoryOptions, ListOptions, OutboxExchange, Purge, PurgeOptions, QueueChange, Scope, Settlement,
};
use atlas_jobs::{
    Clock, HandlerError, JobContext, JobManager, JobSpec, JobStore, JobStoreExt, Kind, ManagerError, MemoryJobs,
    Random, RetryPolicy, StoreError, Worker, WorkerReport, handler_fn,
};
use atlas_schema::{AuditKind, Callback, ErrorCategory, IdempotencyKey, JobId, JobKind, JobStatus, QueueName, Stage};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const LEASE: Duration = Duration::from_secs(1);
/// What each of the six jobs is for.
const ROLES: [&str; 6] =
    ["plain", "fails once", "hangs", "fails until mended", "outlives its worker", "has a callback"];

/// What a caller over a network does: the same call again while its failure may pass.
async fn persist<T, E: Into<ManagerError>>(mut call: impl AsyncFnMut() -> Result<T, E>) -> Result<T, ManagerError> {
    loop {
        match call().await.map_err(Into::into) {
            Err(ManagerError::Store(error)) if error.is_retryable() || error.kind() == Kind::Conflict => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            done => return done,
        }
    }
}

/// The same for commands, whose first delivery may have been the one that counted.
async fn ask<T>(call: impl AsyncFnMut() -> Result<T, ManagerError>) {
    match persist(call).await {
        Ok(_) | Err(ManagerError::Rejected(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

fn kind() -> JobKind {
    JobKind::new("k").unwrap()
}

struct Story {
    store: FaultyStore,
    clock: SimClock,
    jobs: JobManager,
    mended: Arc<AtomicBool>,
    delivered: BTreeSet<String>,
}

impl Story {
    fn new(plan: FaultPlan) -> Self {
        let store = FaultyStore::new(Arc::new(MemoryJobs::new(Stage::Dev)), plan, 1);
        let clock = SimClock::start();
        let random = Arc::new(Random::seeded(1));
        let jobs = JobManager::with_parts(Arc::new(store.clone()), Arc::new(clock.clone()), random);
        Self { store, clock, jobs, mended: Arc::default(), delivered: BTreeSet::new() }
    }

    fn worker(&self, seed: u64, last: bool) -> Worker {
        let mended = Arc::clone(&self.mended);
        let handler = handler_fn(move |job: JobContext, role: usize| {
            let mended = mended.load(Ordering::Relaxed);
            async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let failed = |category| Err(HandlerError::new(category, "as told"));
                match ROLES[role] {
                    "fails once" if job.record().attempt == 1 => failed(ErrorCategory::Network),
                    "fails until mended" if !mended => failed(ErrorCategory::InvalidInput),
                    "hangs" => {
                        job.cancelled().cancelled().await;
                        Err(HandlerError::cancelled())
                    }
                    "outlives its worker" if !last => std::future::pending().await,
                    _ => Ok(role * 10),
                }
            }
        });
        let worker = Worker::builder(Arc::new(self.store.clone())).handler(kind(), Arc::new(handler));
        let worker = worker.clock(Arc::new(self.clock.clone())).random(Arc::new(Random::seeded(seed)));
        let worker = worker.lease(LEASE).poll_interval(Duration::from_millis(300)).concurrency(6);
        let worker = worker.retry(RetryPolicy::new(Duration::from_millis(200), LEASE));
        worker.stop_when_drained(last).build().unwrap()
    }

    async fn enqueue(&self) -> Vec<JobId> {
        let spec = |(n, role): (usize, &&str)| {
            let spec = JobSpec::new(kind(), &n)
                .unwrap()
                .with_idempotency_key(IdempotencyKey::new(role.replace(' ', "-")).unwrap());
            match *role {
                "has a callback" => spec.with_callback(Callback { url: "https://example.org/".into() }),
                _ => spec,
            }
        };
        let specs: Vec<JobSpec> = ROLES.iter().enumerate().map(spec).collect();
        let accepted = persist(async || self.jobs.enqueue_many(specs.clone()).await).await.unwrap();
        accepted.into_iter().map(|accepted| accepted.unwrap().id()).collect()
    }

    async fn deliver(&mut self) {
        let exchange = || OutboxExchange::new(vec!["callback"], 10, LEASE, self.clock.now());
        let items = persist(async || self.store.outbox(exchange()).await).await.unwrap();
        let settle = |key: String, tries| Settlement { key, tries, delivery: Delivery::Done };
        let settlements: Vec<_> = items.iter().map(|item| settle(item.entry.key(), item.tries)).collect();
        self.delivered.extend(items.iter().map(|item| item.entry.key()));
        let exchange = || OutboxExchange::new(Vec::new(), 0, LEASE, self.clock.now());
        let settle = async || self.store.outbox(exchange().with_settlements(settlements.clone())).await;
        persist(settle).await.unwrap();
    }

    /// Everything a manager can be asked, with answers that may be old.
    async fn look(&self, id: JobId) -> Result<(), StoreError> {
        self.jobs.get(id).await?;
        self.jobs.list(ListOptions::default()).await?;
        self.jobs.history(HistoryOptions::new(id)).await?;
        self.jobs.statistics(Scope::default()).await?;
        Ok(())
    }

    async fn run(&mut self) -> WorkerReport {
        let queue = QueueName::default();
        let pause = |paused| QueueChange::new(queue.clone()).with_paused(paused);
        persist(async || self.jobs.control(pause(true)).await).await.unwrap();
        let ids = self.enqueue().await;
        persist(async || self.jobs.control(pause(false)).await).await.unwrap();

        // The first worker takes everything, and its process dies.
        let first = self.worker(1, false);
        let running = tokio::spawn(async move { first.run(CancellationToken::new()).await });
        tokio::time::sleep(LEASE).await;
        persist(async || self.look(ids[0]).await).await.unwrap();
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled(), "no failure here may stop a worker");

        let last = self.worker(2, true);
        let running = tokio::spawn(async move { last.run(CancellationToken::new()).await });
        tokio::time::sleep(LEASE * 3).await;
        // A pause that is delivered again after its end pauses again: the word that comes last counts. Saying it once
        // more is how an operator makes sure.
        persist(async || self.jobs.control(pause(false)).await).await.unwrap();
        ask(async || self.jobs.cancel(ids[2], "enough", LEASE).await).await;
        tokio::time::sleep(LEASE * 2).await;
        self.mended.store(true, Ordering::Relaxed);
        ask(async || self.jobs.redrive(ids[3], "mended").await).await;
        persist(async || self.jobs.sweep().await).await.unwrap();
        let report = running.await.unwrap().expect("no failure here may stop a worker");
        if self.store.inner().statistics(Scope::default()).await.unwrap().unfinished() > 0 {
            // It stopped between the failure and the redrive: another one does the rest.
            self.worker(3, true).run(CancellationToken::new()).await.unwrap();
        }
        // An entry that was handed out with a lost answer comes again.
        self.deliver().await;
        tokio::time::sleep(LEASE * 2).await;
        self.deliver().await;
        report
    }

    /// The end of the story, read from the store beneath.
    async fn check(&self, what: &str) {
        let store = self.store.inner();
        let found = audit(&**store, Filter::default()).await.unwrap();
        assert!(found.is_empty(), "{what}: {found:?}");
        let jobs = store.list_all(Filter::default()).await.unwrap();
        assert_eq!(jobs.len(), ROLES.len(), "{what}: none is lost and none doubled");
        let mut ended = BTreeSet::new();
        for job in jobs {
            let role: usize = serde_json::from_value(job.payload.clone()).unwrap();
            let history = store.history_all(job.id).await.unwrap();
            let completed = history.iter().filter(|event| event.kind == AuditKind::Completed).count();
            if ROLES[role] == "hangs" {
                assert_eq!((job.status, completed), (JobStatus::Cancelled, 0), "{what}: {}", ROLES[role]);
            } else {
                assert_eq!((job.status, completed), (JobStatus::Completed, 1), "{what}: {}", ROLES[role]);
                assert_eq!(job.result, Some((role * 10).into()), "{what}");
            }
            let ends = history.iter().filter(|event| event.to.is_terminal() && job.callback.is_some());
            ended.extend(ends.map(|event| format!("{}:{}:callback", event.job, event.version)));
        }
        assert_eq!(self.delivered, ended, "{what}: each end is told");
        let before = self.clock.now().wall;
        for status in [JobStatus::Completed, JobStatus::Cancelled] {
            let purge = PurgeOptions::new(Purge::Ended { status, before });
            persist(async || self.jobs.purge(purge.clone()).await).await.unwrap();
        }
        assert_eq!(store.statistics(Scope::default()).await.unwrap().total(), 0, "{what}");
    }
}

fn in_paused_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(work)
}

async fn tell(plan: FaultPlan, what: &str) -> Story {
    let mut story = Story::new(plan);
    let run = tokio::time::timeout(Duration::from_mins(10), story.run()).await;
    run.unwrap_or_else(|_| panic!("{what}: it comes to no end"));
    story.check(what).await;
    story
}

/// Tells the story once for each call that it makes, with `fault` in that call. Gives the number of calls.
fn strike_every_call(fault: Fault) -> u64 {
    let calm = in_paused_time(tell(FaultPlan::none(), "no fault"));
    let mut told = 0;
    for operation in Operation::ALL {
        for call in 1..=calm.store.calls(operation) {
            let what = format!("{fault:?} in call {call} of {operation:?}");
            let plan = FaultPlan::none().with_fault(operation, call, fault);
            let story = in_paused_time(tell(plan, &what));
            assert_eq!(story.store.struck().len(), 1, "{what} strikes");
            told += 1;
        }
    }
    told
}

#[test]
fn the_story_makes_every_sort_of_call() {
    let story = in_paused_time(tell(FaultPlan::none(), "no fault"));
    for operation in Operation::ALL {
        assert!(story.store.calls(operation) > 0, "{operation:?}");
    }
    assert!(story.store.calls(Operation::Exchange) > 10 && story.store.calls(Operation::Sweep) > 5);
}

#[test]
fn every_call_failed_before_it_arrives_changes_nothing_in_the_end() {
    assert!(strike_every_call(Fault::Before(Kind::Unavailable)) > 30);
}

#[test]
fn bad_input_64_a_write_that_commits_before_its_connection_drops_has_no_double_effect() {
    assert!(strike_every_call(Fault::After(Kind::Unavailable)) > 30);
}

#[test]
fn every_call_delivered_twice_has_one_effect() {
    strike_every_call(Fault::Twice);
    strike_every_call(Fault::Repeated);
}

#[test]
fn bad_input_65_conflicts_throttling_stale_reads_and_reordered_messages_keep_the_invariants() {
    strike_every_call(Fault::Before(Kind::Conflict));
    strike_every_call(Fault::Before(Kind::Busy));
    strike_every_call(Fault::Stale);
    strike_every_call(Fault::Late(1));
    strike_every_call(Fault::Late(5));
}

/// Longer than the lease: whoever waits so long is fenced off, and its jobs are done by others.
#[test]
fn a_call_or_an_answer_that_takes_longer_than_the_lease_doubles_nothing() {
    strike_every_call(Fault::Delay(LEASE * 3));
    strike_every_call(Fault::Lag(LEASE * 3));
}
