//! Rows that can't be read any more: each is passed over, and everything else goes on, on each store that lasts.

// Without a server or a feature, nothing uses some of the helpers.
#![allow(dead_code, unused_imports)]

#[cfg(feature = "postgres")]
mod database;
#[cfg(feature = "sqlite")]
mod file;
#[cfg(feature = "dynamodb")]
mod table;
#[cfg(feature = "sqlite")]
mod upkeep;

use atlas_jobs::store::{
    Ack, AckAction, AckOutcome, Claim, CommandOutcome, CommandRequest, Exchange, Exchanged, Filter, Held, HeldOutcome,
    JobCommand, ListOptions, OutboxExchange, Purge, PurgeOptions, QueueChange, Scope, SweepOptions, UNREADABLE,
};
use atlas_jobs::{
    Accepted, Clock, JobManager, JobSpec, JobStore, JobStoreExt, Kind, ManagerError, Moment, SystemClock,
};
use atlas_schema::{
    Actor, Callback, ExternalId, IdempotencyKey, JobId, JobKind, JobRecord, JobStatus, QueueName, Stage, WorkerId,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A busy machine gets so long to see something happen.
const PATIENCE: Duration = Duration::from_secs(30);

fn now() -> Moment {
    SystemClock::new().now()
}

pub(crate) fn spec() -> JobSpec {
    JobSpec::new(JobKind::new("k").unwrap(), &1).unwrap()
}

/// What of a job is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Record,
    Payload,
}

/// Reaches into a store past its API.
pub(crate) trait Hand {
    async fn damage(&self, job: JobId);
    async fn mend(&self, job: JobId);
    /// Damages the outbox entry of the second version of a job.
    async fn garble(&self, job: JobId);
    /// Makes due what was put off, where the store's own clock says what is.
    async fn hurry(&self) {}
    /// Damages every job but one.
    async fn damage_all_but(&self, job: JobId);
    async fn mend_all_but(&self, job: JobId);
    /// Lets the deadlines of all unfinished jobs pass.
    async fn make_late(&self);
}

pub(crate) struct Bench {
    pub(crate) store: Arc<dyn JobStore>,
    pub(crate) jobs: JobManager,
    beat: u64,
    /// How far the worker's clock is ahead.
    ahead: Duration,
}

impl Bench {
    pub(crate) fn new(store: Arc<dyn JobStore>) -> Self {
        let jobs = JobManager::new(Arc::clone(&store)).unwrap();
        Self { store, jobs, beat: 0, ahead: Duration::ZERO }
    }

    pub(crate) async fn add(&self, spec: JobSpec) -> JobId {
        self.jobs.enqueue(spec).await.unwrap().id()
    }

    pub(crate) fn beat(&mut self) -> Exchange {
        self.beat += 1;
        Exchange::new(WorkerId::new("w").unwrap(), self.beat, Duration::from_mins(1), now().plus(self.ahead))
    }

    pub(crate) async fn exchange(&mut self, acks: Vec<Ack>, limit: usize) -> Exchanged {
        let claim = Claim { queues: vec![QueueName::default()], kinds: vec![spec().kind], limit };
        let exchange = self.beat().with_acks(acks).with_claim(claim);
        self.store.exchange(exchange).await.unwrap()
    }

    /// Claims one job, which has to be there.
    async fn claim(&mut self) -> JobRecord {
        let mut claimed = self.exchange(Vec::new(), 1).await.claimed;
        assert_eq!(claimed.len(), 1, "there is a job that can be read");
        claimed.remove(0)
    }

    async fn complete(&mut self, job: &JobRecord) {
        let outcomes = self.exchange(vec![ack(job, done())], 0).await.acks;
        assert!(matches!(outcomes[0], AckOutcome::Applied { status: JobStatus::Completed, .. }), "{outcomes:?}");
    }

    async fn in_status(&self, status: JobStatus) -> u64 {
        let scope = Scope::default().with_queue(QueueName::default());
        self.store.statistics(scope).await.unwrap().in_status(status)
    }

    /// The trail has every version once, up to the present one.
    async fn has_a_whole_trail(&self, job: JobId) {
        let versions: Vec<u64> = self.store.history_all(job).await.unwrap().iter().map(|event| event.version).collect();
        let now = self.store.get_one(job.into()).await.unwrap().unwrap().version;
        assert_eq!(versions, (1..=now).collect::<Vec<_>>());
    }
}

pub(crate) fn ack(job: &JobRecord, action: AckAction) -> Ack {
    Ack { job: job.id, epoch: job.epoch, action }
}

fn done() -> AckAction {
    AckAction::Complete { result: 1.into() }
}

async fn others_go_on(store: Arc<dyn JobStore>, hand: &impl Hand) {
    let mut bench = Bench::new(Arc::clone(&store));
    let bad = bench.add(spec().with_priority(9)).await;
    let good = bench.add(spec()).await;
    hand.damage(bad).await;
    let claimed = bench.claim().await;
    assert_eq!(claimed.id, good, "a job behind it is claimed");
    let asked = store.get_one(bad.into()).await.unwrap_err();
    assert_eq!((asked.kind(), asked.is_in_one_row()), (Kind::Corrupt, true), "who asks is told");

    let other = JobKind::new("other").unwrap();
    let listed = bench.add(JobSpec::new(other.clone(), &1).unwrap()).await;
    let found = store.list_all(Filter::default().with_kind(other)).await.unwrap();
    assert_eq!(found.iter().map(|job| job.id).collect::<Vec<_>>(), [listed], "a list of others is whole");
    assert_eq!(store.list_all(Filter::default()).await.unwrap_err().kind(), Kind::Corrupt);
    let mut options = ListOptions::default().with_limit(1).with_readable_only();
    let mut readable = BTreeSet::new();
    loop {
        let page = store.list(options.clone()).await.unwrap();
        readable.extend(page.items.iter().map(|job| job.id));
        let Some(next) = page.next else { break };
        options.cursor = Some(next);
    }
    assert_eq!(readable, BTreeSet::from([good, listed]), "a list that leaves it out has all others");

    let held = vec![spec().with_id(bad), spec().with_priority(-1)];
    let answers = bench.jobs.enqueue_many(held).await.unwrap();
    let taken = |answer: &_| matches!(answer, Err(ManagerError::Conflict { existing, differs: UNREADABLE }) if *existing == bad);
    assert!(taken(&answers[0]), "{answers:?}");
    assert!(answers[1].is_ok(), "{answers:?}");

    let struck = bench.add(spec().with_priority(1)).await;
    let running = bench.claim().await;
    assert_eq!(running.id, struck);
    hand.damage(struck).await;
    let acks = vec![ack(&running, AckAction::Release { delay: Duration::ZERO }), ack(&claimed, done())];
    let outcomes = bench.exchange(acks, 0).await.acks;
    assert_eq!(outcomes[0], AckOutcome::Unreadable);
    assert!(matches!(outcomes[1], AckOutcome::Applied { status: JobStatus::Completed, .. }), "{outcomes:?}");
    let beat = bench.beat().with_held(vec![Held { job: struck, epoch: running.epoch, progress: None }]);
    assert_eq!(store.exchange(beat).await.unwrap().held, [HeldOutcome::Continue], "its lease is as it was");
    hand.mend(struck).await;
    bench.complete(&running).await;

    let soon = now().wall.saturating_add(Duration::from_secs(3));
    let late_bad = bench.add(spec().with_deadline(soon)).await;
    let late = bench.add(spec().with_deadline(soon.saturating_add(Duration::from_millis(1)))).await;
    hand.damage(late_bad).await;
    let began = tokio::time::Instant::now();
    while store.get_one(late.into()).await.unwrap().unwrap().status != JobStatus::Timeout {
        assert!(began.elapsed() < PATIENCE, "it is swept");
        store.sweep(SweepOptions::new(now())).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let callback = || spec().with_callback(Callback { url: "https://example.org/".into() });
    let (garbled, told) = (bench.add(callback()).await, bench.add(callback()).await);
    let conclude = |job| CommandRequest { job, if_version: None, command: JobCommand::Conclude { result: 1.into() } };
    let requests = [bad, garbled, told].map(conclude).to_vec();
    let outcomes = store.command(requests, Actor::Caller {}, now()).await.unwrap();
    assert_eq!(outcomes[0], CommandOutcome::NotFound);
    assert!(outcomes[1..].iter().all(|outcome| matches!(outcome, CommandOutcome::Applied { .. })), "{outcomes:?}");
    hand.garble(garbled).await;
    let mut taken = Vec::new();
    for _ in 0..3 {
        let exchange = OutboxExchange::new(vec!["callback"], 1, Duration::from_mins(1), now());
        taken.extend(store.outbox(exchange).await.unwrap().into_iter().map(|item| item.entry.event.job));
    }
    assert_eq!(taken, [told], "the entry behind it is handed out");

    let parent = bench.add(spec()).await;
    let children = [bench.add(spec().with_parent(parent)).await, bench.add(spec().with_parent(parent)).await];
    hand.damage(children[0]).await;
    let counted = store.statistics(Scope::default().with_parent(parent)).await.unwrap();
    assert_eq!(counted.in_status(JobStatus::Pending), 2, "a child counts, whether it can be read or not");
}

/// With more jobs in front that can't be read than the queue may run.
async fn a_limited_queue_goes_on(store: Arc<dyn JobStore>, hand: &impl Hand) {
    let mut bench = Bench::new(Arc::clone(&store));
    store.queues(vec![QueueChange::new(QueueName::default()).with_max_running(Some(1))], now()).await.unwrap();
    let bad = [bench.add(spec().with_priority(9)).await, bench.add(spec().with_priority(9)).await];
    for id in bad {
        hand.damage(id).await;
    }
    for round in 0..2 {
        let good = bench.add(spec()).await;
        let claimed = bench.claim().await;
        assert_eq!(claimed.id, good, "round {round}");
        assert_eq!(bench.in_status(JobStatus::Processing).await, 1, "round {round}: nothing else is held");
        bench.complete(&claimed).await;
    }
    assert_eq!(bench.in_status(JobStatus::Pending).await, 2, "they wait");
    for id in bad {
        hand.mend(id).await;
    }
    hand.hurry().await;
    bench.ahead = Duration::from_mins(2);
    let mut mended = BTreeSet::new();
    for _ in bad {
        let claimed = bench.claim().await;
        assert_eq!(claimed.attempt, 1, "an attempt that never was does not count");
        bench.complete(&claimed).await;
        bench.has_a_whole_trail(claimed.id).await;
        mended.insert(claimed.id);
    }
    assert_eq!(mended, BTreeSet::from(bad), "once mended they run");
    assert_eq!(bench.in_status(JobStatus::Processing).await, 0);
}

/// With more rows in front that can't be read than a page holds.
async fn nothing_is_hidden_behind_a_page(store: Arc<dyn JobStore>, hand: &impl Hand) {
    let mut bench = Bench::new(Arc::clone(&store));
    let deadline = now().wall.saturating_add(Duration::from_hours(1));
    let mut ids = Vec::new();
    for _ in 0..3 {
        let specs = vec![spec().with_deadline(deadline); 334];
        ids.extend(bench.jobs.enqueue_many(specs).await.unwrap().into_iter().map(|answer| answer.unwrap().id()));
    }
    // Where times are equal, ids decide.
    let last = ids.into_iter().max().unwrap();
    let status = async || store.get_one(last.into()).await.unwrap().map(|job| job.status);
    for limit in [1000, 2] {
        assert_eq!(bench.exchange(Vec::new(), limit).await.claimed.len(), limit);
    }
    hand.damage_all_but(last).await;
    store.sweep(SweepOptions::new(now()).with_dead(vec![WorkerId::new("w").unwrap()])).await.unwrap();
    assert_eq!(status().await, Some(JobStatus::Pending), "its lease is over");

    hand.make_late().await;
    store.sweep(SweepOptions::new(now())).await.unwrap();
    assert_eq!(status().await, Some(JobStatus::Timeout));

    hand.mend_all_but(last).await;
    while store.sweep(SweepOptions::new(now())).await.unwrap().more {}
    assert_eq!(bench.in_status(JobStatus::Timeout).await, 1002);
    hand.damage_all_but(last).await;
    let before = now().wall.saturating_add(Duration::from_hours(1));
    let options = PurgeOptions::new(Purge::Ended { status: JobStatus::Timeout, before }).with_limit(100);
    assert_eq!(store.purge(options).await.unwrap().jobs, 1);
    assert_eq!(status().await, None);
}

async fn what_can_not_be_read_can_be_deleted(store: Arc<dyn JobStore>, hand: &impl Hand) {
    let mut bench = Bench::new(Arc::clone(&store));
    let named = || spec().with_idempotency_key(IdempotencyKey::new("once").unwrap());
    let waiting = bench.add(named().with_external_id(ExternalId::new("theirs").unwrap())).await;
    let running = bench.add(spec().with_priority(1)).await;
    let claimed = bench.claim().await;
    assert_eq!(claimed.id, running);
    let good = bench.add(spec()).await;
    for id in [waiting, running] {
        hand.damage(id).await;
    }
    let all = vec![waiting, running, good];
    assert_eq!(store.purge(PurgeOptions::new(Purge::Jobs(vec![waiting]))).await.unwrap().jobs, 0, "it can't be read");
    assert_eq!(store.purge(PurgeOptions::new(Purge::Unreadable(all))).await.unwrap().jobs, 2);
    assert!(!bench.jobs.discard(waiting).await.unwrap(), "it is gone");
    let left = store.list_all(Filter::default()).await.unwrap();
    assert_eq!(left.iter().map(|job| job.id).collect::<Vec<_>>(), [good]);
    assert!(store.history_all(waiting).await.unwrap().is_empty());
    assert_eq!(bench.in_status(JobStatus::Pending).await, 1);
    assert_eq!(bench.in_status(JobStatus::Processing).await, 0);
    let outcomes = bench.exchange(vec![ack(&claimed, done())], 0).await.acks;
    assert_eq!(outcomes, [AckOutcome::NotFound]);
    let again = bench.jobs.enqueue(named().with_id(waiting)).await.unwrap();
    assert_eq!(again, Accepted::Created(waiting), "its names are free");
    let claimed = bench.exchange(Vec::new(), 9).await.claimed;
    assert_eq!(claimed.len(), 2, "and so is its place");
    for job in &claimed {
        bench.complete(job).await;
        bench.has_a_whole_trail(job.id).await;
    }
}
