//! Someone who calls a store that may fail, and plays its workers.

use atlas_jobs::store::{
    Ack, AckAction, AckOutcome, Claim, CommandOutcome, CommandRequest, Enqueued, Exchange, Exchanged, Held, JobCommand,
};
use atlas_jobs::{DynamoJobs, JobStore, Kind, Moment, NewJob, StoreError};
use atlas_schema::{Actor, ErrorCategory, JobError, JobId, JobKind, JobRecord, Progress, QueueName, WorkerId};
use std::collections::BTreeSet;
use std::time::Duration;

pub(super) const LEASE: Duration = Duration::from_secs(5);
pub(in crate::dynamo) const PATIENCE: usize = 60;

/// Someone who calls a store that may fail, and calls again.
pub(super) struct Caller {
    pub(super) store: DynamoJobs,
    pub(super) now: Moment,
    beat: u64,
    /// Whether any call had to be made again.
    pub(super) again: bool,
    /// What the workers it plays work on.
    holds: Vec<(String, JobId, u64)>,
}

/// An error that the contract allows where the network is bad: try again.
pub(super) fn excuse(error: &StoreError) {
    assert!(error.is_retryable() || error.kind() == Kind::Conflict, "{error:?}");
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text} {inner} {inner:?}");
        source = inner.source();
    }
    assert!(!text.contains("canary"), "an error repeats what may name values: {text}");
}

macro_rules! insist {
    ($caller:expr, $call:expr) => {{
        let mut answer = None;
        for _ in 0..$crate::dynamo::caller::PATIENCE {
            match $call.await {
                Ok(value) => {
                    answer = Some(value);
                    break;
                }
                Err(error) => {
                    excuse(&error);
                    $caller.again = true;
                }
            }
        }
        answer.expect("the store answers in the end")
    }};
}

impl Caller {
    pub(super) fn new(store: DynamoJobs) -> Self {
        Self { store, now: noon(), beat: 0, again: false, holds: Vec::new() }
    }

    pub(super) async fn enqueue(&mut self, jobs: Vec<NewJob>) -> Vec<JobId> {
        let answers = insist!(self, self.store.enqueue(jobs.clone(), self.now));
        let id = |answer| match answer {
            Enqueued::Created { id } => id,
            Enqueued::Existing { id } if self.again => id,
            other => panic!("{other:?}"),
        };
        answers.into_iter().map(id).collect()
    }

    /// Trades as a worker does: a lost reply is made up for by saying what it holds.
    pub(super) async fn trade(
        &mut self,
        worker: &str,
        acks: Vec<Ack>,
        progress: Option<Progress>,
        limit: usize,
    ) -> Exchanged {
        let acked: BTreeSet<JobId> = acks.iter().map(|ack| ack.job).collect();
        self.holds.retain(|(holder, job, _)| holder != worker || !acked.contains(job));
        let own = self.holds.iter().filter(|(holder, ..)| holder == worker);
        let held: Vec<Held> =
            own.map(|(_, job, epoch)| Held { job: *job, epoch: *epoch, progress: progress.clone() }).collect();
        let mut reconcile = false;
        for _ in 0..PATIENCE {
            self.beat += 1;
            let mut exchange = Exchange::new(WorkerId::new(worker).unwrap(), self.beat, LEASE, self.now);
            exchange = exchange.with_acks(acks.clone()).with_held(held.clone()).with_reconcile(reconcile);
            if limit > 0 {
                exchange = exchange.with_claim(Claim { queues: vec![queue()], kinds: vec![kind()], limit });
            }
            match self.store.exchange(exchange).await {
                Ok(exchanged) => {
                    self.holds.extend(exchanged.claimed.iter().map(|job| (worker.to_owned(), job.id, job.epoch)));
                    return exchanged;
                }
                Err(error) => excuse(&error),
            }
            (reconcile, self.again) = (true, true);
        }
        panic!("the store answers in the end");
    }

    /// Hands in, and claims until it has so many: an index that lags shows some of them later.
    pub(super) async fn claim(&mut self, worker: &str, acks: Vec<Ack>, wanted: usize) -> Vec<JobRecord> {
        let mut claimed = self.trade(worker, acks, None, wanted).await.claimed;
        for _ in 0..PATIENCE {
            if claimed.len() == wanted {
                break;
            }
            claimed.extend(self.trade(worker, Vec::new(), None, wanted - claimed.len()).await.claimed);
        }
        claimed.sort_by_key(|job| std::cmp::Reverse(job.priority));
        claimed
    }

    pub(super) async fn ack(&mut self, worker: &str, job: &JobRecord, action: AckAction) {
        let ack = Ack { job: job.id, epoch: job.epoch, action };
        let outcome = self.trade(worker, vec![ack], None, 0).await.acks.remove(0);
        let told_before = self.again && matches!(outcome, AckOutcome::Repeated | AckOutcome::Lost { .. });
        assert!(told_before || matches!(outcome, AckOutcome::Applied { .. }), "{outcome:?}");
    }

    pub(super) async fn command(&mut self, job: JobId, command: JobCommand) {
        let request = CommandRequest { job, if_version: None, command };
        let outcome = insist!(self, self.store.command(vec![request.clone()], Actor::Caller {}, self.now)).remove(0);
        assert!(self.again || matches!(outcome, CommandOutcome::Applied { .. }), "{outcome:?}");
    }
}

pub(super) fn noon() -> Moment {
    let wall = atlas_schema::Timestamp::from_millis(1_700_000_000_000).unwrap();
    Moment { wall, steady: Duration::ZERO }
}

pub(super) fn kind() -> JobKind {
    JobKind::new("k").unwrap()
}

pub(super) fn queue() -> QueueName {
    QueueName::default()
}

pub(super) fn failed() -> JobError {
    JobError { category: ErrorCategory::Network, message: "no answer".into() }
}

pub(super) use insist;
