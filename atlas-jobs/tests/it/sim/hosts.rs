//! Who does something: workers that freeze and die, callers, an operator, a deliverer.

use super::clock::SimClock;
use super::world::{LEASE, LIFE, Seen, World};
use async_trait::async_trait;
use atlas_jobs::batch::{BatchKeeper, BatchSpec};
use atlas_jobs::store::{Filter, JobCommand, ListOptions, QueueChange, Scope};
use atlas_jobs::webhook::{
    SendError, SendErrorKind, WebhookDeliverer, WebhookReply, WebhookRequest, WebhookSecret, WebhookSender,
};
use atlas_jobs::{
    AfterError, Clock, HandlerError, JobContext, JobManager, JobSpec, JobStore, Kind, ManagerError, Random,
    RetryPolicy, Worker, handler_fn,
};
use atlas_schema::{
    Callback, ErrorCategory, IdempotencyKey, JobError, JobId, JobKind, Progress, QueueName, Timestamp, WorkerId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// What a job's handler is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) number: u64,
    millis: u64,
    temper: u8,
}

/// The number of a batch's first child: those before come one by one.
const BATCHED: u64 = 100;

/// What a job gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) number: u64,
    pub(super) epoch: u64,
}

pub(super) fn kind() -> JobKind {
    JobKind::new("k").unwrap()
}

pub(super) fn queues() -> [QueueName; 2] {
    [QueueName::new("a").unwrap(), QueueName::new("b").unwrap()]
}

async fn run(job: &JobContext, task: Task, at_rest: bool) -> Result<Outcome, HandlerError> {
    let record = job.record();
    let failed = |category| Err(HandlerError::new(category, "as told"));
    job.progress(Progress { done: 1, total: Some(2), note: None });
    let work = sleep(Duration::from_millis(task.millis));
    match task.temper {
        // Stops when it is asked to.
        0..=3 => {
            tokio::select! {
                biased;
                () = job.cancelled().cancelled() => return Err(HandlerError::cancelled()),
                () = work => {}
            }
        }
        // Does not listen.
        _ => work.await,
    }
    match task.temper {
        1 | 5 if record.attempt < record.max_attempts => failed(ErrorCategory::Network),
        2 | 6 if record.epoch < 3 => failed(ErrorCategory::InvalidInput),
        3 if record.epoch < 4 => {
            let snooze = AfterError::Snooze(Duration::from_millis(task.millis));
            Err(HandlerError::new(ErrorCategory::Internal, "later").with_after(snooze))
        }
        // Hangs until its host ends.
        7 if record.epoch < 2 && !at_rest => std::future::pending().await,
        _ => Ok(Outcome { number: task.number, epoch: record.epoch }),
    }
}

impl World {
    fn worker(&self, clock: &SimClock, drain: bool) -> Worker {
        let random = Arc::new(Random::seeded(self.random.u64()));
        let id = WorkerId::new(format!("w{:016x}", self.random.u64())).unwrap();
        let (seen, own) = (Arc::clone(&self.seen), id.clone());
        let handler = handler_fn(move |job: JobContext, task: Task| {
            let key = (job.id(), job.record().epoch);
            seen.lock().unwrap().began.entry(key).or_default().push(own.clone());
            async move { run(&job, task, drain).await }
        });
        let mut worker = Worker::builder(Arc::new(self.store.clone())).id(id).handler(kind(), Arc::new(handler));
        for queue in queues() {
            worker = worker.queue(queue);
        }
        let worker = worker.clock(Arc::new(clock.clone())).random(random).lease(LEASE).concurrency(2);
        let worker = worker.heartbeat(LEASE * 2 / 5).poll_interval(LEASE / 2).grace(LEASE / 2).patience(LIFE * 100);
        worker.retry(RetryPolicy::new(LEASE / 5, LEASE)).stop_when_drained(drain).build().unwrap()
    }

    /// One host over its lives: each ends by a crash or a shutdown, and may freeze in between.
    pub(super) async fn host(&self, number: u64, end: Instant) {
        let clock = self.clock.of_another_host();
        while Instant::now() < end {
            sleep(self.millis(400)).await;
            clock.jump(self.off_by());
            let worker = self.worker(&clock, false);
            let shutdown = CancellationToken::new();
            let life = Instant::now() + Duration::from_millis(300) + self.millis(3000);
            // Mostly within a lease, at times beyond: then whatever is written afterwards must be refused.
            let (freeze, thaw) = (self.millis(1500), self.millis(2500));
            let freeze = Instant::now() + freeze;
            let (crash, mut frozen) = (self.pick(2) == 0, self.pick(2) == 0);
            let mut work = pin!(worker.run(shutdown.clone()));
            loop {
                tokio::select! {
                    biased;
                    () = sleep_until(freeze), if frozen => {
                        self.note(format_args!("host {number} freezes for {thaw:?}"));
                        frozen = false;
                        // Its loop stands still; handlers that run already get to their ends meanwhile.
                        sleep(thaw).await;
                        clock.jump(self.off_by());
                    }
                    () = sleep_until(life.min(end)), if !shutdown.is_cancelled() => {
                        self.note(format_args!("host {number} ends, crash: {crash}"));
                        if crash {
                            break;
                        }
                        shutdown.cancel();
                    }
                    done = &mut work => {
                        self.note(format_args!("host {number} said {done:?}"));
                        break;
                    }
                }
            }
        }
    }

    fn manager(&self, clock: &SimClock) -> JobManager {
        let random = Arc::new(Random::seeded(self.random.u64()));
        JobManager::with_parts(Arc::new(self.store.clone()), Arc::new(clock.clone()), random)
    }

    fn spec(&self, number: u64, now: Timestamp, parent: Option<JobId>) -> JobSpec {
        let temper = u8::try_from(self.pick(12)).unwrap();
        let task = Task { number, millis: self.random.u64() % 900, temper };
        let spec = JobSpec::new(kind(), &task).unwrap().with_queue(queues()[self.pick(2)].clone());
        let spec = spec.with_idempotency_key(IdempotencyKey::new(format!("job{number}")).unwrap());
        let attempts = u32::try_from(1 + self.pick(4)).unwrap();
        let mut spec = spec.with_max_attempts(attempts).with_priority(i16::try_from(self.pick(3)).unwrap());
        spec.parent = parent;
        match self.pick(6) {
            0 => spec.with_callback(Callback { url: "https://example.org/".into() }),
            1 => spec.with_run_at(now.saturating_add(self.millis(1500))),
            2 => spec.with_deadline(now.saturating_add(Duration::from_millis(500) + self.millis(4000))),
            3 => spec.with_attempt_timeout(Duration::from_millis(50) + self.millis(1000)),
            _ => spec,
        }
    }

    /// Callers that enqueue, and enqueue again until they are told that it is done.
    pub(super) async fn callers(&self, end: Instant) {
        let clock = self.clock.of_another_host();
        let jobs = self.manager(&clock);
        let mut parent = None;
        let mut number = 0;
        while Instant::now() < end && number < 8 {
            sleep(self.millis(700)).await;
            clock.jump(self.off_by() % 100_000);
            let many = u64::try_from(1 + self.pick(3)).unwrap();
            let now = self.clock.now().wall;
            let specs: Vec<_> = (number..number + many).map(|number| self.spec(number, now, parent)).collect();
            let accepted = persist(async || jobs.enqueue_many(specs.clone()).await).await.unwrap();
            for (n, accepted) in (number..).zip(accepted) {
                let id = match accepted {
                    Ok(accepted) => accepted.id(),
                    // Its deadline passed while the network was down; it is in nobody's books.
                    Err(ManagerError::Rejected(_)) => continue,
                    Err(error) => panic!("job {n}: {error}"),
                };
                let before = self.seen.lock().unwrap().accepted.insert(n, id);
                assert!(before.is_none(), "job {n} is accepted once");
                parent = parent.or(Some(id));
            }
            number += many;
        }
    }

    /// An operator who cancels, redrives, abandons, looks, sweeps, pauses, and never waits for an answer twice.
    pub(super) async fn operator(&self, end: Instant) {
        let clock = self.clock.of_another_host();
        let jobs = self.manager(&clock);
        while Instant::now() < end {
            sleep(Duration::from_millis(100) + self.millis(500)).await;
            clock.jump(self.off_by());
            let known: BTreeMap<u64, JobId> = self.seen.lock().unwrap().accepted.clone();
            let some = known.values().nth(self.pick(known.len().max(1)));
            let all = queues();
            let queue = || all[self.pick(2)].clone();
            match (self.pick(9), some) {
                (0 | 1, Some(id)) => drop(jobs.cancel(*id, "enough", self.millis(1000)).await),
                (2 | 3, Some(id)) => drop(jobs.redrive(*id, "again").await),
                (4, Some(id)) => {
                    let error = JobError { category: ErrorCategory::InvalidInput, message: "hopeless".into() };
                    let seen = jobs.get(*id).await.ok().flatten().map(|job| job.version);
                    drop(jobs.command(*id, seen, JobCommand::Abandon { error }).await);
                }
                (5, _) => drop(jobs.sweep().await),
                (6, _) => drop(jobs.control(QueueChange::new(queue()).with_paused(self.pick(2) == 0)).await),
                (7, _) => drop(jobs.control(QueueChange::new(queue()).with_max_running(Some(1))).await),
                _ => {
                    drop(jobs.list(ListOptions::new(Filter::default())).await);
                    drop(jobs.statistics(Scope::default()).await);
                }
            }
        }
    }

    /// Deliverers of webhooks, one after the other: each ends by a crash or a shutdown.
    pub(super) async fn deliverer(&self, end: Instant) {
        while Instant::now() < end {
            sleep(self.millis(400)).await;
            let deliverer = self.webhooks(Mood::Shaky(Random::seeded(self.random.u64())));
            let shutdown = CancellationToken::new();
            let life = Instant::now() + self.millis(1500);
            let crash = self.pick(2) == 0;
            let mut run = pin!(deliverer.run(shutdown.clone()));
            tokio::select! {
                biased;
                _ = &mut run => {}
                () = sleep_until(life.min(end)) => {
                    if !crash {
                        shutdown.cancel();
                        let report = run.await;
                        self.note(format_args!("a deliverer said {report:?}"));
                    }
                }
            }
        }
    }

    fn webhooks(&self, mood: Mood) -> WebhookDeliverer {
        let receiver = Receiver { seen: Arc::clone(&self.seen), mood };
        let secret = WebhookSecret::from_bytes(vec![7; 32]).unwrap();
        let deliverer = WebhookDeliverer::builder(Arc::new(self.store.clone()), Arc::new(receiver), vec![secret]);
        let deliverer =
            deliverer.clock(Arc::new(self.clock.clone())).random(Arc::new(Random::seeded(self.random.u64())));
        let deliverer = deliverer.timeout(LEASE / 2).poll_interval(LEASE / 4).concurrency(2).per_receiver(2);
        deliverer.retry(RetryPolicy::new(LEASE / 5, LEASE)).tries(1000).build().unwrap()
    }

    /// A keeper of batches, whose rounds fail as they come.
    pub(super) async fn keeper(&self, end: Instant) {
        let clock = self.clock.of_another_host();
        let keeper = BatchKeeper::with_clock(Arc::new(self.store.clone()), Arc::new(clock.clone()));
        while Instant::now() < end {
            sleep(self.millis(600)).await;
            clock.jump(self.off_by());
            drop(keeper.tend().await);
            if self.pick(3) == 0 {
                drop(keeper.check_all().await);
            }
        }
    }

    /// A caller that makes a batch, until it is told that all of it is there.
    pub(super) async fn batcher(&self) {
        sleep(self.millis(1500)).await;
        let jobs = self.manager(&self.clock.of_another_host());
        let numbers = BATCHED..BATCHED + 1 + u64::try_from(self.pick(3)).unwrap();
        let child = |number| {
            let mut spec = self.spec(number, self.clock.now().wall, None);
            // A child that is refused because its time is over would leave the batch short.
            spec.deadline = None;
            spec
        };
        let children: Vec<JobSpec> = numbers.clone().map(child).collect();
        let spec = BatchSpec::new(IdempotencyKey::new("batch").unwrap(), children);
        let batch = loop {
            match jobs.batch(spec.clone()).await {
                Ok(batch) => break batch,
                Err(error) => self.note(format_args!("the batch is not all there: {error}")),
            }
            sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(batch.children.len(), spec.children.len());
        self.seen.lock().unwrap().accepted.extend(numbers.zip(batch.children));
    }

    /// One worker and one deliverer without faults, until nothing is left to do.
    pub(super) async fn finish(&self) {
        // A host whose clock was a day ahead put off its retries by a day: late is not lost.
        self.clock.jump(2 * 24 * 3600 * 1000);
        // What the network delivers late comes within five later calls: a pause among it must not come after this.
        for _ in 0..6 {
            self.store.statistics(Scope::default()).await.unwrap();
        }
        for queue in queues() {
            let change = QueueChange::new(queue).with_paused(false).with_max_running(None);
            self.store.queues(vec![change], self.clock.now()).await.unwrap();
        }
        let worker = self.worker(&self.clock, true);
        let rest = tokio::time::timeout(Duration::from_mins(2), worker.run(CancellationToken::new())).await;
        rest.expect("the rest comes to an end").unwrap();
        let keeper = BatchKeeper::with_clock(Arc::new(self.store.clone()), Arc::new(self.clock.clone()));
        // A hint may have been settled by what an old answer said.
        keeper.tend().await.unwrap();
        keeper.check_all().await.unwrap();
        keeper.tend().await.unwrap();
        // What was handed out and not settled comes again.
        let shutdown = CancellationToken::new();
        let deliverer = self.webhooks(Mood::Calm);
        let stop = async {
            sleep(LEASE * 5).await;
            shutdown.cancel();
        };
        tokio::join!(deliverer.run(shutdown.clone()), stop);
    }
}

/// Whether a receiver takes what it is sent.
#[derive(Debug)]
enum Mood {
    Calm,
    Shaky(Random),
}

/// Notes each message that it takes.
#[derive(Debug)]
struct Receiver {
    seen: Arc<Mutex<Seen>>,
    mood: Mood,
}

#[async_trait]
impl WebhookSender for Receiver {
    async fn send(&self, request: WebhookRequest) -> Result<WebhookReply, SendError> {
        if let Mood::Shaky(random) = &self.mood {
            // At times for longer than the deliverer waits.
            sleep(Duration::from_millis(random.u64() % 700)).await;
            match random.u64() % 8 {
                0 => return Err(SendError::new(SendErrorKind::Network)),
                1 => return Err(SendError::new(SendErrorKind::Status(500))),
                _ => {}
            }
        }
        self.seen.lock().unwrap().delivered.insert(request.headers.id.clone());
        Ok(WebhookReply::new(200))
    }
}

/// The same call again while its failure may pass.
async fn persist<T>(mut call: impl AsyncFnMut() -> Result<T, ManagerError>) -> Result<T, ManagerError> {
    loop {
        match call().await {
            Err(ManagerError::Store(error)) if error.is_retryable() || error.kind() == Kind::Conflict => {
                sleep(Duration::from_millis(50)).await;
            }
            done => return done,
        }
    }
}
