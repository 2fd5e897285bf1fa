//! The stores are the machine: the same random calls on each store, compared call by call with each other and with
//! `state::apply`.

use atlas_jobs::state::{self, Command, Reject, Retry};
use atlas_jobs::store::{
    Ack, AckAction, AckOutcome, Claim, CommandOutcome, CommandRequest, Enqueued, Exchange, Filter, Held, JobCommand,
    Purge, PurgeOptions, Scope, SweepOptions,
};
use atlas_jobs::{Clock, JobSpec, JobStore, JobStoreExt, MemoryJobs, Moment, NewJob, Random, SystemClock};
use atlas_schema::{
    Actor, AuditKind, ErrorCategory, IdempotencyKey, JobError, JobId, JobKind, JobRecord, JobStatus, QueueName, Stage,
    Timestamp, WorkerId,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const LEASE: Duration = Duration::from_millis(50);

#[derive(Debug, Clone)]
enum Op {
    Enqueue { key: Option<u8>, body: u8, priority: i16, attempts: u32, delay: u64, deadline: Option<u64> },
    Claim { worker: u8, limit: usize },
    Ack { worker: u8, pick: usize, stale: bool, action: u8 },
    Hold { worker: u8, reconcile: bool },
    Command { pick: usize, command: u8, old_version: bool },
    Pass { millis: u64 },
    Sweep { dead: Option<u8> },
    Purge { pick: usize },
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (prop::option::of(0_u8..4), 0_u8..2, -1_i16..2, 1_u32..4, 0_u64..30, prop::option::of(1_u64..200)).prop_map(
            |(key, body, priority, attempts, delay, deadline)| Op::Enqueue { key, body, priority, attempts, delay, deadline }
        ),
        5 => (0_u8..3, 1_usize..4).prop_map(|(worker, limit)| Op::Claim { worker, limit }),
        6 => (0_u8..3, any::<usize>(), any::<bool>(), 0_u8..5)
            .prop_map(|(worker, pick, stale, action)| Op::Ack { worker, pick, stale: stale && pick % 3 == 0, action }),
        2 => (0_u8..3, any::<bool>()).prop_map(|(worker, reconcile)| Op::Hold { worker, reconcile }),
        3 => (any::<usize>(), 0_u8..4, any::<bool>())
            .prop_map(|(pick, command, old)| Op::Command { pick, command, old_version: old && pick % 4 == 0 }),
        4 => (0_u64..80).prop_map(|millis| Op::Pass { millis }),
        3 => prop::option::of(0_u8..3).prop_map(|dead| Op::Sweep { dead }),
        1 => any::<usize>().prop_map(|pick| Op::Purge { pick }),
    ]
}

/// What is compared: `Debug` hides payloads, results and words.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// One store, driven by operations, beside a model that knows the machine only.
struct Driver {
    store: Box<dyn JobStore>,
    now: Moment,
    random: Random,
    beat: u64,
    model: BTreeMap<JobId, JobRecord>,
    order: Vec<JobId>,
}

impl Driver {
    fn new(store: Box<dyn JobStore>) -> Self {
        let wall = Timestamp::from_millis(1_700_000_000_000).unwrap();
        let now = Moment { wall, steady: Duration::ZERO };
        Self { store, now, random: Random::seeded(3), beat: 0, model: BTreeMap::new(), order: Vec::new() }
    }

    fn worker(n: u8) -> WorkerId {
        WorkerId::new(format!("w{n}")).unwrap()
    }

    fn exchange(&mut self, worker: u8) -> Exchange {
        self.beat += 1;
        Exchange::new(Self::worker(worker), self.beat, LEASE, self.now)
    }

    fn pick(&self, pick: usize) -> Option<JobId> {
        self.order.get(pick % self.order.len().max(1)).copied()
    }

    /// When the store did what it did last to a job: now, or what it says itself if it has a clock of its own.
    async fn time_of(&self, id: JobId) -> Timestamp {
        if !self.store.capabilities().own_clock {
            return self.now.wall;
        }
        self.store.get_one(id.into()).await.unwrap().map_or(self.now.wall, |job| job.updated_at)
    }

    /// What the machine makes of a command; the model moves with it.
    async fn step(&mut self, id: JobId, command: Command, actor: Actor) -> Option<Result<JobRecord, Reject>> {
        let at = self.time_of(id).await;
        self.step_at(id, command, actor, at)
    }

    fn step_at(
        &mut self,
        id: JobId,
        command: Command,
        actor: Actor,
        at: Timestamp,
    ) -> Option<Result<JobRecord, Reject>> {
        let before = self.model.get(&id)?;
        let result = state::apply(before, command, at, actor).map(|applied| applied.record);
        if let Ok(after) = &result {
            self.model.insert(id, after.clone());
        }
        Some(result)
    }

    /// Runs one operation and returns what the store said, as text to be compared between stores.
    async fn run(&mut self, op: &Op) -> String {
        if self.store.capabilities().own_clock {
            self.now = SystemClock::new().now();
        }
        match op.clone() {
            Op::Enqueue { key, body, priority, attempts, delay, deadline } => {
                let after = |millis| self.now.plus(Duration::from_millis(millis)).wall;
                let mut spec = JobSpec::new(JobKind::new("k").unwrap(), &body).unwrap();
                spec = spec.with_priority(priority).with_max_attempts(attempts).with_run_at(after(delay));
                spec.deadline = deadline.map(after);
                spec.idempotency_key = key.map(|key| IdempotencyKey::new(format!("key{key}")).unwrap());
                let id = self.random.job_id(self.now.wall);
                let job = NewJob::new(spec, Stage::Dev, id, self.random.correlation_id());
                let answers = self.store.enqueue(vec![job.clone()], self.now).await.unwrap();
                let first = job.apply(self.time_of(id).await);
                if matches!(answers[0], Enqueued::Created { .. }) {
                    self.model.insert(id, first.unwrap().record);
                    self.order.push(id);
                }
                format!("{answers:?}")
            }
            Op::Claim { worker, limit } => {
                let claim =
                    Claim { queues: vec![QueueName::default()], kinds: vec![JobKind::new("k").unwrap()], limit };
                let exchange = self.exchange(worker).with_claim(claim);
                let claimed = self.store.exchange(exchange).await.unwrap().claimed;
                for job in &claimed {
                    let command = Command::Claim { worker: Self::worker(worker), lease: LEASE };
                    let after =
                        self.step(job.id, command, Actor::Worker { id: Self::worker(worker) }).await.unwrap().unwrap();
                    assert_eq!(*job, after, "a claim is the machine's claim");
                }
                json(&claimed)
            }
            Op::Ack { worker, pick, stale, action } => {
                let Some(id) = self.pick(pick) else { return String::new() };
                let epoch = self.model[&id].epoch.saturating_sub(u64::from(stale));
                let error = JobError { category: ErrorCategory::Network, message: "no answer".into() };
                let wait = Duration::from_millis(u64::try_from(pick % 40).unwrap());
                let (action, command) = match action {
                    0 => (AckAction::Complete { result: 1.into() }, Command::Complete { epoch, result: 1.into() }),
                    1 => (
                        AckAction::Fail { error: error.clone(), retry: Retry::After(wait) },
                        Command::Fail { epoch, error, retry: Retry::After(wait) },
                    ),
                    2 => (
                        AckAction::Fail { error: error.clone(), retry: Retry::Never },
                        Command::Fail { epoch, error, retry: Retry::Never },
                    ),
                    3 => (AckAction::Release { delay: wait }, Command::Release { epoch, delay: wait }),
                    _ => (AckAction::Cancelled, Command::AcknowledgeCancel { epoch }),
                };
                let exchange = self.exchange(worker).with_acks(vec![Ack { job: id, epoch, action }]);
                let outcome = self.store.exchange(exchange).await.unwrap().acks.remove(0);
                let expected = match self.step(id, command, Actor::Worker { id: Self::worker(worker) }).await.unwrap() {
                    Ok(after) => AckOutcome::Applied { status: after.status, version: after.version },
                    Err(Reject::Lost { epoch, status }) => AckOutcome::Lost { epoch, status },
                    Err(Reject::Repeated) => AckOutcome::Repeated,
                    Err(reject) => AckOutcome::Refused(reject),
                };
                assert_eq!(outcome, expected);
                format!("{outcome:?}")
            }
            Op::Hold { worker, reconcile } => {
                let own =
                    |job: &&JobRecord| job.lease.as_ref().is_some_and(|lease| lease.worker == Self::worker(worker));
                let mine: Vec<JobRecord> = self.model.values().filter(own).cloned().collect();
                // With `reconcile` the worker forgets its last claim.
                let known = if reconcile { mine.len().saturating_sub(1) } else { mine.len() };
                let held =
                    mine[..known].iter().map(|job| Held { job: job.id, epoch: job.epoch, progress: None }).collect();
                let exchange = self.exchange(worker).with_held(held).with_reconcile(reconcile);
                let exchanged = self.store.exchange(exchange).await.unwrap();
                for job in &mine[known..] {
                    let command = Command::Release { epoch: job.epoch, delay: Duration::ZERO };
                    self.step(job.id, command, Actor::Worker { id: Self::worker(worker) }).await.unwrap().unwrap();
                }
                assert_eq!(exchanged.reconciled, mine.len() - known);
                format!("{:?}", exchanged.held)
            }
            Op::Command { pick, command, old_version } => {
                let Some(job) = self.pick(pick) else { return String::new() };
                let error = JobError { category: ErrorCategory::InvalidInput, message: "hopeless".into() };
                let command = match command {
                    0 => JobCommand::Cancel { reason: "no need".into(), acknowledge_within: LEASE },
                    1 => JobCommand::Redrive { reason: "again".into(), delay: Duration::ZERO },
                    2 => JobCommand::Abandon { error },
                    _ => JobCommand::Conclude { result: 2.into() },
                };
                let current = self.model[&job].version;
                let if_version = Some(current - u64::from(old_version)).filter(|_| pick % 2 == 0 || old_version);
                let request = CommandRequest { job, if_version, command: command.clone() };
                let outcomes = self.store.command(vec![request], Actor::Caller {}, self.now).await.unwrap();
                let expected = if old_version {
                    CommandOutcome::Rejected(Reject::VersionConflict { current })
                } else {
                    match self.step(job, command.into(), Actor::Caller {}).await.unwrap() {
                        Ok(after) => CommandOutcome::Applied { status: after.status, version: after.version },
                        Err(reject) => CommandOutcome::Rejected(reject),
                    }
                };
                assert_eq!(outcomes, [expected]);
                format!("{outcomes:?}")
            }
            Op::Pass { millis } => {
                if self.store.capabilities().own_clock {
                    // Its own time can only be waited for.
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                }
                self.now = self.now.plus(Duration::from_millis(millis));
                String::new()
            }
            Op::Sweep { dead } => {
                let options = SweepOptions::new(self.now).with_dead(dead.into_iter().map(Self::worker).collect());
                format!("{:?}", self.store.sweep(options).await.unwrap())
            }
            Op::Purge { pick } => {
                let Some(id) = self.pick(pick) else { return String::new() };
                let purged = self.store.purge(PurgeOptions::new(Purge::Jobs(vec![id]))).await.unwrap();
                if purged.jobs == 1 {
                    self.model.remove(&id);
                    self.order.retain(|other| *other != id);
                }
                format!("{purged:?}")
            }
        }
    }

    /// Sweeps, and claims that meet a passed deadline, decide by themselves which jobs end: the model follows the
    /// trail, and must come to the very record that the store has.
    async fn follow(&mut self) {
        for id in self.order.clone() {
            let stored = self.store.get_one(id.into()).await.unwrap().expect("no job is lost");
            for event in self.store.history_all(id).await.unwrap() {
                let known = &self.model[&id];
                if event.version <= known.version {
                    continue;
                }
                let command = match event.kind {
                    AuditKind::TimedOut => Command::TimeOut,
                    AuditKind::LeaseExpired => Command::ExpireLease { epoch: known.epoch },
                    AuditKind::Cancelled if known.lease.as_ref().is_some() => {
                        let due = known.cancel_requested.as_ref().is_some_and(|c| c.acknowledge_by <= event.at);
                        if due { Command::EndCancel } else { Command::ExpireLease { epoch: known.epoch } }
                    }
                    kind => panic!("{kind:?} is no decision of a sweep"),
                };
                self.step_at(id, command, Actor::Sweeper {}, event.at)
                    .unwrap()
                    .expect("the machine allows what a sweep does");
            }
            let mut expected = self.model[&id].clone();
            // Heartbeats move the end of a lease without a transition.
            if let (Some(lease), Some(found)) = (&mut expected.lease, &stored.lease) {
                lease.expires_at = found.expires_at;
            }
            assert_eq!(stored, expected, "the record is what the machine says");
            state::check(&stored).unwrap();
        }
    }

    /// Everything that can be read.
    async fn everything(&self) -> String {
        let jobs = self.store.list_all(Filter::default()).await.unwrap();
        let mut text = json(&jobs);
        for job in &jobs {
            let history = self.store.history_all(job.id).await.unwrap();
            let versions: Vec<u64> = history.iter().map(|event| event.version).collect();
            assert_eq!(versions, (1..=job.version).collect::<Vec<_>>(), "the trail has no gap");
            let epochs: Vec<u64> =
                history.iter().filter(|event| event.kind == AuditKind::Claimed).map(|event| event.epoch).collect();
            assert_eq!(epochs, (1..=job.epoch).collect::<Vec<_>>(), "each claim is a new epoch");
            text += &json(&history);
        }
        let statistics = self.store.statistics(Scope::default()).await.unwrap();
        for status in JobStatus::ALL {
            let counted = jobs.iter().filter(|job| job.status == status).count();
            assert_eq!(statistics.in_status(status), u64::try_from(counted).unwrap(), "statistics are complete");
        }
        text + &format!("{statistics:?}")
    }
}

async fn drive(store: Box<dyn JobStore>, ops: &[Op]) -> Vec<String> {
    let mut driver = Driver::new(store);
    let mut said = Vec::new();
    for op in ops {
        said.push(driver.run(op).await);
        driver.follow().await;
    }
    said.push(driver.everything().await);
    said
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_memory_store_is_the_machine(ops in prop::collection::vec(any_op(), 1..60)) {
        block_on(drive(Box::new(MemoryJobs::new(Stage::Dev)), &ops));
    }
}

#[cfg(feature = "sqlite")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_sqlite_store_is_the_machine_and_says_what_the_memory_store_says(
        ops in prop::collection::vec(any_op(), 1..60)
    ) {
        use atlas_jobs::sqlite::{Durability, SqliteJobs, SqliteOptions};
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new(folder.path().join("jobs.db"), Stage::Dev).with_durability(Durability::Process);
        let (file, memory) = block_on(async {
            let store = SqliteJobs::open_with(options).await.unwrap();
            (drive(Box::new(store), &ops).await, drive(Box::new(MemoryJobs::new(Stage::Dev)), &ops).await)
        });
        for (step, (file, memory)) in file.iter().zip(&memory).enumerate() {
            prop_assert_eq!(file, memory, "step {}", step);
        }
    }
}

#[cfg(feature = "postgres")]
testkit::with_postgres! {
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn the_postgres_store_is_the_machine(ops in prop::collection::vec(any_op(), 1..60)) {
            block_on(async { drive(Box::new(crate::postgres::fresh().await), &ops).await });
        }
    }
}

#[cfg(feature = "dynamodb")]
testkit::with_dynamodb! {
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn the_dynamodb_store_is_the_machine_and_says_what_the_memory_store_says(
            ops in prop::collection::vec(any_op(), 1..60)
        ) {
            let (table, memory) = block_on(async {
                let store = crate::dynamo::store(|options| options).await;
                (drive(Box::new(store), &ops).await, drive(Box::new(MemoryJobs::new(Stage::Dev)), &ops).await)
            });
            for (step, (table, memory)) in table.iter().zip(&memory).enumerate() {
                prop_assert_eq!(table, memory, "step {}", step);
            }
        }
    }
}
