//! Every call that the deliverer of webhooks, the keeper of batches and schedules make of their store, failed before, after
//! and twice: each has a story that is told again for each call and each fault, always with the same end.

use crate::sim::clock::SimClock;
use async_trait::async_trait;
use atlas_jobs::batch::{BatchError, BatchKeeper, BatchRule, BatchSpec};
use atlas_jobs::conformance::trail::audit;
use atlas_jobs::faulty::{Fault, FaultPlan, FaultyStore, Operation};
use atlas_jobs::store::{Filter, OutboxExchange};
use atlas_jobs::webhook::{
    SendError, SendErrorKind, WebhookDeliverer, WebhookReply, WebhookRequest, WebhookSecret, WebhookSender,
};
use atlas_jobs::{
    Clock, HandlerError, JobManager, JobSpec, JobStore, JobStoreExt, Kind, ManagerError, MemoryJobs, Random,
    RetryPolicy, StoreError, Worker, handler_fn,
};
use atlas_schema::{
    AuditKind, Callback, ErrorCategory, IdempotencyKey, JobKind, JobRecord, JobStatus, Stage, TenantId,
};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const LEASE: Duration = Duration::from_secs(10);

/// What may pass by itself.
fn passes(error: &StoreError) -> bool {
    error.is_retryable() || error.kind() == Kind::Conflict
}

trait Passes {
    fn passes(&self) -> bool;
}

impl Passes for ManagerError {
    fn passes(&self) -> bool {
        matches!(self, Self::Store(error) if passes(error))
    }
}

impl Passes for BatchError {
    fn passes(&self) -> bool {
        match self {
            Self::Batch(error) | Self::Child { source: error, .. } => error.passes(),
            Self::Store(error) => passes(error),
            _ => false,
        }
    }
}

#[cfg(feature = "schedules")]
impl Passes for atlas_jobs::schedule::ScheduleError {
    fn passes(&self) -> bool {
        matches!(self, Self::Manager(error) if error.passes())
    }
}

/// The same call again while its failure may pass.
async fn persist<T, E: Passes>(mut call: impl AsyncFnMut() -> Result<T, E>) -> Result<T, E> {
    loop {
        match call().await {
            Err(error) if error.passes() => sleep(Duration::from_millis(100)).await,
            done => return done,
        }
    }
}

/// A store with faults, and who uses it. The store beneath is what the story's end is read from.
struct World {
    store: FaultyStore,
    clock: SimClock,
}

impl World {
    fn new(plan: FaultPlan) -> Self {
        let store = FaultyStore::new(Arc::new(MemoryJobs::new(Stage::Dev)), plan, 1);
        Self { store, clock: SimClock::start() }
    }

    fn over(&self, store: Arc<dyn JobStore>, seed: u64) -> JobManager {
        JobManager::with_parts(store, Arc::new(self.clock.clone()), Arc::new(Random::seeded(seed)))
    }

    /// Whoever is not what the story is about has no faults.
    fn calm(&self) -> JobManager {
        self.over(Arc::clone(self.store.inner()), 2)
    }

    fn worker(&self, store: Arc<dyn JobStore>) -> atlas_jobs::WorkerBuilder {
        let handler = handler_fn(|_, end: String| async move {
            match end.as_str() {
                "hangs" => std::future::pending().await,
                "fails" => Err(HandlerError::new(ErrorCategory::NoData, "as told")),
                _ => Ok(end),
            }
        });
        let worker = Worker::builder(store).handler(kind(), Arc::new(handler)).concurrency(8).lease(LEASE);
        let worker = worker.clock(Arc::new(self.clock.clone())).random(Arc::new(Random::seeded(3)));
        worker.poll_interval(Duration::from_secs(5))
    }

    async fn jobs(&self, kind: JobKind) -> Vec<JobRecord> {
        self.store.inner().list_all(Filter::default().with_kind(kind)).await.unwrap()
    }

    /// No trail contradicts its record, and each job ended at most once.
    async fn check(&self, what: &str) {
        let store = self.store.inner();
        assert_eq!(audit(&**store, Filter::default()).await.unwrap(), [], "{what}");
        for job in store.list_all(Filter::default()).await.unwrap() {
            let history = store.history_all(job.id).await.unwrap();
            let ends = history.iter().filter(|event| event.to.is_terminal()).count();
            assert!(ends <= 1, "{what}: {history:#?}");
        }
    }
}

fn kind() -> JobKind {
    JobKind::new("k").unwrap()
}

fn spec(end: &str) -> JobSpec {
    JobSpec::new(kind(), &end).unwrap().with_max_attempts(1)
}

/// Tells a story once for each call of these operations, with each fault in that call.
fn strike_every_call(operations: &[Operation], at_least: u64, story: &impl AsyncFn(&World, &str)) {
    let faults = [
        Fault::Before(Kind::Unavailable),
        Fault::Before(Kind::Conflict),
        Fault::After(Kind::Unavailable),
        Fault::Twice,
        Fault::Repeated,
        Fault::Late(3),
        Fault::Stale,
    ];
    let tell = |plan: FaultPlan, what: &str| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let world = World::new(plan);
            story(&world, what).await;
            world.check(what).await;
            world.store
        })
    };
    let calm = tell(FaultPlan::none(), "no fault");
    let mut struck = 0;
    for operation in operations {
        let calls = calm.calls(*operation);
        assert!(calls > 0, "the story makes a call of {operation:?}");
        for call in 1..=calls {
            for fault in faults {
                let what = format!("{fault:?} in call {call} of {operation:?}");
                let store = tell(FaultPlan::none().with_fault(*operation, call, fault), &what);
                // A fault may spare a later call of the same sort.
                struck += u64::from(!store.struck().is_empty());
            }
        }
    }
    assert!(struck >= at_least, "{struck}");
}

/// Takes what it is sent, or not, by the name of the receiver.
#[derive(Debug, Default)]
struct Receivers(Mutex<BTreeMap<String, u32>>);

#[async_trait]
impl WebhookSender for Receivers {
    async fn send(&self, request: WebhookRequest) -> Result<WebhookReply, SendError> {
        let times = {
            let mut times = self.0.lock().unwrap();
            let times = times.entry(request.url.clone()).or_default();
            *times += 1;
            *times
        };
        match request.url.as_str() {
            "https://gone.example/" => Err(SendError::new(SendErrorKind::Gone)),
            "https://shaky.example/" if times < 3 => Err(SendError::new(SendErrorKind::Status(500))),
            _ => Ok(WebhookReply::new(200)),
        }
    }
}

#[test]
fn every_callback_is_told_or_kept_as_one_letter_whatever_call_of_the_deliverer_fails() {
    let operations = [Operation::Outbox, Operation::Get, Operation::Enqueue];
    strike_every_call(&operations, 100, &async |world: &World, what: &str| {
        let calm = world.calm();
        for name in ["good", "gone", "shaky"] {
            let callback = Callback { url: format!("https://{name}.example/") };
            calm.enqueue(spec("ok").with_callback(callback)).await.unwrap();
        }
        let worker = world.worker(Arc::clone(world.store.inner())).stop_when_drained(true).build().unwrap();
        worker.run(CancellationToken::new()).await.unwrap();

        let receivers = Arc::new(Receivers::default());
        let secret = WebhookSecret::from_bytes(vec![7; 32]).unwrap();
        let deliverer = WebhookDeliverer::builder(Arc::new(world.store.clone()), receivers.clone(), vec![secret]);
        let deliverer = deliverer.timeout(Duration::from_secs(1)).poll_interval(Duration::from_secs(10));
        let deliverer = deliverer.retry(RetryPolicy::new(Duration::from_secs(2), Duration::from_secs(8)));
        let deliverer = deliverer.clock(Arc::new(world.clock.clone())).random(Arc::new(Random::seeded(4)));
        let deliverer = deliverer.build().unwrap();
        let shutdown = CancellationToken::new();
        // Longer than what was handed out with a lost answer stays away, twice.
        let stop = async {
            sleep(Duration::from_mins(2)).await;
            shutdown.cancel();
        };
        tokio::join!(deliverer.run(shutdown.clone()), stop);

        let sent = receivers.0.lock().unwrap().clone();
        let times = |name: &str| sent.get(&format!("https://{name}.example/")).copied().unwrap_or(0);
        assert!(times("good") >= 1 && times("gone") >= 1 && times("shaky") >= 3, "{what}: {sent:?}");
        let letters = world.jobs(JobKind::webhook()).await;
        assert_eq!(letters.len(), 1, "{what}: one letter, however often it was given up");
        assert_eq!(letters[0].status, JobStatus::Failed, "{what}");
        sleep(Duration::from_mins(1)).await;
        let exchange = OutboxExchange::new(vec!["callback"], 10, Duration::ZERO, world.clock.now());
        assert_eq!(world.store.inner().outbox(exchange).await.unwrap(), [], "{what}: all is settled");
    });
}

#[test]
fn every_batch_ends_once_by_its_rule_whatever_call_of_the_keeper_or_its_maker_fails() {
    let operations = [
        Operation::Enqueue,
        Operation::Outbox,
        Operation::Get,
        Operation::Statistics,
        Operation::List,
        Operation::Command,
    ];
    strike_every_call(&operations, 150, &async |world: &World, what: &str| {
        let jobs = world.over(Arc::new(world.store.clone()), 5);
        let key = |name: &str| IdempotencyKey::new(name).unwrap();
        let batch = |name: &str, ends: &[&str]| BatchSpec::new(key(name), ends.iter().map(|end| spec(end)));
        let specs = [
            batch("all", &["ok", "ok"]),
            batch("hopeless", &["ok", "fails", "hangs"]).with_fail_fast(true),
            batch("enough", &["ok", "hangs"]).with_rule(BatchRule::AtLeast(1)).with_cancel_rest(true),
            BatchSpec::new(key("outer"), [batch("inner", &["ok"])]),
        ];
        for spec in &specs {
            persist(async || jobs.batch(spec.clone()).await).await.unwrap();
        }
        // The children's worker has no faults, and ends with the story.
        let shutdown = CancellationToken::new();
        let worker = world.worker(Arc::clone(world.store.inner())).build().unwrap();
        let keeper = BatchKeeper::with_clock(Arc::new(world.store.clone()), Arc::new(world.clock.clone()));
        let tend = async {
            for round in 0..12 {
                // A failure is followed by another round.
                drop(keeper.tend().await);
                if round % 4 == 3 {
                    drop(keeper.check_all().await);
                }
                sleep(Duration::from_secs(10)).await;
            }
            shutdown.cancel();
        };
        tokio::join!(async { worker.run(shutdown.clone()).await.unwrap() }, tend);

        let ended = |name: &str| calm_status(world, name.to_owned());
        for (name, status) in [
            ("all", JobStatus::Completed),
            ("hopeless", JobStatus::Failed),
            ("enough", JobStatus::Completed),
            ("outer", JobStatus::Completed),
        ] {
            assert_eq!(ended(name).await, status, "{what}: {name}");
        }
        let children = world.jobs(kind()).await;
        assert_eq!(children.len(), 8, "{what}: none is lost and none doubled");
        for child in &children {
            let end: String = serde_json::from_value(child.payload.clone()).unwrap();
            let expected = match end.as_str() {
                "hangs" => JobStatus::Cancelled,
                "fails" => JobStatus::Failed,
                _ => JobStatus::Completed,
            };
            assert_eq!(child.status, expected, "{what}: a child that {end}");
        }
        assert_eq!(world.jobs(JobKind::batch()).await.len(), 5, "{what}");
    });
}

async fn calm_status(world: &World, name: String) -> JobStatus {
    let reference = atlas_jobs::store::JobRef::Idempotency(TenantId::default(), IdempotencyKey::new(name).unwrap());
    world.store.inner().get_one(reference).await.unwrap().unwrap().status
}

#[cfg(feature = "schedules")]
#[test]
fn every_time_of_a_schedule_is_run_once_whatever_call_fails() {
    use atlas_jobs::schedule::{Cron, ScheduleHandler, ScheduleSpec, tick_of};
    let operations = [
        Operation::Enqueue,
        Operation::Get,
        Operation::Exchange,
        Operation::Sweep,
        Operation::Command,
        Operation::Purge,
    ];
    strike_every_call(&operations, 150, &async |world: &World, what: &str| {
        let store: Arc<dyn JobStore> = Arc::new(world.store.clone());
        let jobs = world.over(Arc::clone(&store), 6);
        let minutely = || ScheduleSpec::new("minutely", Cron::new("* * * * *", "UTC").unwrap(), spec("ok")).unwrap();
        persist(async || jobs.schedule(minutely()).await).await.unwrap();
        let shutdown = CancellationToken::new();
        let handler = Arc::new(ScheduleHandler::new(jobs.clone()));
        let worker = world.worker(store).handler(JobKind::schedule_tick(), handler);
        let worker = worker.poll_interval(Duration::from_secs(20)).lease(Duration::from_secs(30)).build().unwrap();
        let mut work = pin!(worker.run(shutdown.clone()));
        let story = async {
            sleep(Duration::from_secs(150)).await;
            // A change in the middle, and the end.
            let changed = || {
                let mut other = minutely();
                other.job.priority = 1;
                other
            };
            persist(async || jobs.reschedule(changed()).await).await.unwrap();
            sleep(Duration::from_mins(2)).await;
            persist(async || jobs.unschedule(TenantId::default(), "minutely", "enough").await).await.unwrap();
            sleep(Duration::from_secs(90)).await;
            shutdown.cancel();
        };
        let (ended, ()) = tokio::join!(&mut work, story);
        ended.unwrap();

        let mut ticks: Vec<_> = world.jobs(kind()).await.iter().map(|job| tick_of(job).unwrap().as_millis()).collect();
        ticks.sort_unstable();
        let first = (1_700_000_000_000_i64 / 60_000 + 1) * 60_000;
        let expected: Vec<i64> = (0..4).map(|n| first + n * 60_000).collect();
        assert_eq!(ticks, expected, "{what}: each time once, none after the end");
        for job in world.jobs(kind()).await {
            let completed = world.store.inner().history_all(job.id).await.unwrap();
            let completed = completed.iter().filter(|event| event.kind == AuditKind::Completed).count();
            assert_eq!((job.status, completed), (JobStatus::Completed, 1), "{what}");
        }
        for tick in world.jobs(JobKind::schedule_tick()).await {
            assert!(tick.status.is_terminal(), "{what}: a tick is left: {tick:?}");
        }
    });
}
