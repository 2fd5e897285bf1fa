//! Jobs are linearizable: whatever threads do to one job at once, the answers are those of some order of the calls, one
//! after the other, that keeps to real time, with `state::apply` as the law.
//!
//! Each round has one job in a queue of its own, and a few threads that claim, acknowledge, cancel, redrive, read and end
//! each other's leases. The search for an order is that of Wing and Gong (1993), with the memory of Lowe (2017); a job
//! has at most 18 calls, so it ends soon. `ATLAS_CASES` sets the number of rounds, `ATLAS_SEED` where they begin.

use crate::mutants::{Broken, Mutant};
use crate::sim::setting;
use atlas_jobs::conformance::trail::audit;
use atlas_jobs::state::{self, Command, Reject, Retry};
use atlas_jobs::store::{
    Ack, AckAction, AckOutcome, Claim, CommandOutcome, CommandRequest, Exchange, Filter, JobCommand, JobRef,
    SweepOptions,
};
use atlas_jobs::{JobSpec, JobStore, JobStoreExt, MemoryJobs, Moment, NewJob, Random};
use atlas_schema::{
    Actor, ErrorCategory, JobError, JobId, JobKind, JobRecord, JobStatus, QueueName, Stage, Timestamp, WorkerId,
};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

const THREADS: u64 = 3;
const CALLS: u64 = 6;
const LEASE: Duration = Duration::from_mins(1);

/// One call, as the machine understands it.
#[derive(Debug, Clone)]
enum Call {
    Claim(WorkerId),
    Ack(WorkerId, u64, AckAction),
    Command(JobCommand),
    /// The lease of this worker ends: somebody knows that it is dead.
    Bury(WorkerId),
    Read,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Claimed(Option<u64>),
    Acked(AckOutcome),
    Commanded(CommandOutcome),
    Buried(usize),
    Found(JobStatus, u64, u64),
}

/// A call with the ticks of a common counter before and after it.
#[derive(Debug, Clone)]
struct Done {
    began: u64,
    ended: u64,
    call: Call,
    said: Said,
}

fn now() -> Moment {
    Moment { wall: Timestamp::from_millis(1_700_000_000_000).unwrap(), steady: Duration::ZERO }
}

fn kind() -> JobKind {
    JobKind::new("k").unwrap()
}

/// What the machine answers to a call, and the job after it.
fn law(job: &JobRecord, call: &Call) -> (Said, Option<JobRecord>) {
    let step = |command: Command, actor: Actor| state::apply(job, command, now().wall, actor).map(|done| done.record);
    let by = |worker: &WorkerId| Actor::Worker { id: worker.clone() };
    match call {
        Call::Claim(worker) => match step(Command::Claim { worker: worker.clone(), lease: LEASE }, by(worker)) {
            Ok(after) => (Said::Claimed(Some(after.epoch)), Some(after)),
            Err(_) => (Said::Claimed(None), None),
        },
        Call::Ack(worker, epoch, action) => {
            let epoch = *epoch;
            let command = match action.clone() {
                AckAction::Complete { result } => Command::Complete { epoch, result },
                AckAction::Fail { error, retry } => Command::Fail { epoch, error, retry },
                AckAction::Release { delay } => Command::Release { epoch, delay },
                _ => Command::AcknowledgeCancel { epoch },
            };
            match step(command, by(worker)) {
                Ok(after) => {
                    let said = AckOutcome::Applied { status: after.status, version: after.version };
                    (Said::Acked(said), Some(after))
                }
                Err(Reject::Lost { epoch, status }) => (Said::Acked(AckOutcome::Lost { epoch, status }), None),
                Err(Reject::Repeated) => (Said::Acked(AckOutcome::Repeated), None),
                Err(reject) => (Said::Acked(AckOutcome::Refused(reject)), None),
            }
        }
        Call::Command(command) => match step(command.clone().into(), Actor::Caller {}) {
            Ok(after) => {
                let said = CommandOutcome::Applied { status: after.status, version: after.version };
                (Said::Commanded(said), Some(after))
            }
            Err(reject) => (Said::Commanded(CommandOutcome::Rejected(reject)), None),
        },
        Call::Bury(worker) => {
            let holds = job.lease.as_ref().is_some_and(|lease| lease.worker == *worker);
            match step(Command::ExpireLease { epoch: job.epoch }, Actor::Sweeper {}) {
                Ok(after) if holds => (Said::Buried(1), Some(after)),
                _ => (Said::Buried(0), None),
            }
        }
        Call::Read => (Said::Found(job.status, job.version, job.epoch), None),
    }
}

/// Whether some order of the calls explains the answers.
fn is_linearizable(first: &JobRecord, calls: &[Done]) -> bool {
    let mut tried = HashSet::new();
    search(first, calls, 0, &mut tried)
}

fn search(job: &JobRecord, calls: &[Done], made: u32, tried: &mut HashSet<(u32, String)>) -> bool {
    if made.count_ones() == u32::try_from(calls.len()).unwrap() {
        return true;
    }
    // What the rest depends on; everything else in the record follows from it.
    let lease = job.lease.as_ref().map(|lease| lease.worker.as_str());
    let cancel = job.cancel_requested.is_some();
    let key = format!("{:?} {} {} {} {lease:?} {cancel}", job.status, job.version, job.epoch, job.attempt);
    if !tried.insert((made, key)) {
        return false;
    }
    let open = |n: usize| made & (1 << n) == 0;
    // A call may come next if no other open call had ended before it began.
    let first_end = calls.iter().enumerate().filter(|(n, _)| open(*n)).map(|(_, done)| done.ended).min().unwrap();
    calls.iter().enumerate().filter(|(n, done)| open(*n) && done.began < first_end).any(|(n, done)| {
        let (said, after) = law(job, &done.call);
        said == done.said && search(after.as_ref().unwrap_or(job), calls, made | 1 << n, tried)
    })
}

/// One thread's part of a round: it acknowledges only what it claimed itself, in old epochs too.
struct Player<'a> {
    store: &'a dyn JobStore,
    ticks: &'a AtomicU64,
    random: Random,
    worker: WorkerId,
    workers: &'a [WorkerId],
    job: JobId,
    queue: QueueName,
    beat: u64,
    epochs: Vec<u64>,
}

impl Player<'_> {
    fn pick(&self, of: usize) -> usize {
        usize::try_from(self.random.u64() % u64::try_from(of).unwrap()).unwrap()
    }

    fn choose(&self) -> Call {
        let error = JobError { category: ErrorCategory::Network, message: "no answer".into() };
        let action = match self.pick(6) {
            0 | 1 => AckAction::Complete { result: 1.into() },
            2 => AckAction::Fail { error, retry: Retry::After(Duration::ZERO) },
            3 => AckAction::Fail { error, retry: Retry::Never },
            4 => AckAction::Release { delay: Duration::ZERO },
            _ => AckAction::Cancelled,
        };
        match (self.pick(12), self.epochs.len()) {
            (0..=3, known @ 1..) => {
                Call::Ack(self.worker.clone(), self.epochs[known - 1 - self.pick(known.min(2))], action)
            }
            (4 | 5, _) => Call::Bury(self.workers[self.pick(self.workers.len())].clone()),
            (6, _) => Call::Command(JobCommand::Cancel { reason: "enough".into(), acknowledge_within: LEASE }),
            (7 | 8, _) => Call::Command(JobCommand::Redrive { reason: "again".into(), delay: Duration::ZERO }),
            (9, _) => Call::Read,
            _ => Call::Claim(self.worker.clone()),
        }
    }

    async fn make(&mut self, call: &Call) -> Said {
        self.beat += 1;
        let exchange = Exchange::new(self.worker.clone(), self.beat, LEASE, now());
        match call.clone() {
            Call::Claim(_) => {
                let claim = Claim { queues: vec![self.queue.clone()], kinds: vec![kind()], limit: 1 };
                let claimed = self.store.exchange(exchange.with_claim(claim)).await.unwrap().claimed;
                let epoch = claimed.first().map(|job| job.epoch);
                self.epochs.extend(epoch);
                Said::Claimed(epoch)
            }
            Call::Ack(_, epoch, action) => {
                let ack = Ack { job: self.job, epoch, action };
                Said::Acked(self.store.exchange(exchange.with_acks(vec![ack])).await.unwrap().acks.remove(0))
            }
            Call::Command(command) => {
                let request = CommandRequest { job: self.job, if_version: None, command };
                let said = self.store.command(vec![request], Actor::Caller {}, now()).await.unwrap();
                Said::Commanded(said.into_iter().next().unwrap())
            }
            Call::Bury(worker) => {
                let options = SweepOptions::new(now()).with_dead(vec![worker]);
                Said::Buried(self.store.sweep(options).await.unwrap().expired)
            }
            Call::Read => {
                let job = self.store.get_one(JobRef::Id(self.job)).await.unwrap().unwrap();
                Said::Found(job.status, job.version, job.epoch)
            }
        }
    }

    async fn play(mut self) -> Vec<Done> {
        let mut done = Vec::new();
        for _ in 0..CALLS {
            let call = self.choose();
            let began = self.ticks.fetch_add(1, Ordering::SeqCst);
            let said = self.make(&call).await;
            let ended = self.ticks.fetch_add(1, Ordering::SeqCst);
            done.push(Done { began, ended, call, said });
        }
        done
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// One job, some threads, and whether their answers have an order.
fn round(store: &dyn JobStore, seed: u64) -> Result<(), String> {
    let random = Random::seeded(seed);
    let queue = QueueName::new(format!("q{seed}")).unwrap();
    let spec = JobSpec::new(kind(), &seed).unwrap().with_queue(queue.clone()).with_max_attempts(2);
    let new = NewJob::new(spec, store.stage(), random.job_id(now().wall), random.correlation_id());
    let first = new.clone().apply(now().wall).unwrap().record;
    block_on(store.enqueue(vec![new], now())).unwrap();
    let workers: Vec<_> = (0..THREADS).map(|n| WorkerId::new(format!("w{seed}-{n}")).unwrap()).collect();
    let (ticks, start) = (AtomicU64::new(0), Barrier::new(workers.len()));
    let calls: Vec<Done> = std::thread::scope(|scope| {
        let play = |worker: &WorkerId| {
            let (random, worker) = (Random::seeded(random.u64()), worker.clone());
            let (ticks, workers, start, queue) = (&ticks, &workers, &start, queue.clone());
            let player =
                Player { store, ticks, random, worker, workers, job: first.id, queue, beat: 0, epochs: Vec::new() };
            scope.spawn(move || {
                start.wait();
                block_on(player.play())
            })
        };
        let threads: Vec<_> = workers.iter().map(play).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    if is_linearizable(&first, &calls) { Ok(()) } else { Err(format!("seed {seed}: no order explains {calls:#?}")) }
}

/// Rounds until one has no order; then the trail of all jobs.
fn rounds(store: &dyn JobStore, rounds: u64) -> Result<(), String> {
    let first = setting("ATLAS_SEED", 0);
    for seed in first..first + rounds {
        round(store, seed)?;
    }
    let found = block_on(audit(store, Filter::default())).unwrap();
    if found.is_empty() { Ok(()) } else { Err(format!("{found:?}")) }
}

#[test]
fn jobs_in_memory_are_linearizable() {
    rounds(&MemoryJobs::new(Stage::Dev), setting("ATLAS_CASES", 1000)).unwrap();
}

#[cfg(feature = "sqlite")]
#[test]
fn jobs_in_a_file_are_linearizable() {
    let store = block_on(crate::stores::sqlite());
    rounds(&*store, setting("ATLAS_CASES", 100)).unwrap();
}

#[test]
fn the_search_catches_a_store_that_does_not_check_epochs() {
    let mutant = Mutant::new(Arc::new(MemoryJobs::new(Stage::Dev)), Broken::StaleEpochs);
    assert!(rounds(&mutant, 2000).unwrap_err().contains("no order"));
}

#[test]
fn the_search_catches_a_store_that_hands_a_job_to_two_workers() {
    let mutant = Mutant::new(Arc::new(MemoryJobs::new(Stage::Dev)), Broken::SharedClaims);
    assert!(rounds(&mutant, 2000).unwrap_err().contains("no order"));
}
