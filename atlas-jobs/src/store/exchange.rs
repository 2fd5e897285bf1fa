//! A worker's one round trip.

use crate::clock::Moment;
use crate::state::{Reject, Retry};
use atlas_schema::{CancelRequest, JobError, JobId, JobKind, JobRecord, JobStatus, Progress, QueueName, WorkerId};
use serde_json::Value;
use std::time::Duration;

/// What a worker hands in and wants.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Exchange {
    /// The worker process.
    pub worker: WorkerId,
    /// Higher than in the worker's last exchange, so that a delayed repeat is told from the present one.
    pub beat: u64,
    /// From now on the worker's leases last until it was silent for so long.
    pub lease: Duration,
    /// When.
    pub now: Moment,
    /// Outcomes.
    pub acks: Vec<Ack>,
    /// What the worker still works on.
    pub held: Vec<Held>,
    /// The last reply was lost: jobs that are leased to this worker in an epoch that is neither in `acks` nor in `held`
    /// never reached it, and go back to their queues with the attempt not counted.
    pub reconcile: bool,
    /// Wanted jobs.
    pub claim: Option<Claim>,
}

impl Exchange {
    /// A heartbeat, to be filled.
    pub const fn new(worker: WorkerId, beat: u64, lease: Duration, now: Moment) -> Self {
        Self { worker, beat, lease, now, acks: Vec::new(), held: Vec::new(), reconcile: false, claim: None }
    }

    /// With outcomes.
    #[must_use]
    pub fn with_acks(mut self, acks: Vec<Ack>) -> Self {
        self.acks = acks;
        self
    }

    /// With what the worker still works on.
    #[must_use]
    pub fn with_held(mut self, held: Vec<Held>) -> Self {
        self.held = held;
        self
    }

    /// Taking new jobs.
    #[must_use]
    pub fn with_claim(mut self, claim: Claim) -> Self {
        self.claim = Some(claim);
        self
    }

    /// Whether it may put jobs back into their queues, which others may wait for.
    pub(crate) fn gives_back(&self) -> bool {
        self.reconcile
            || self.acks.iter().any(|ack| matches!(ack.action, AckAction::Release { delay } if delay.is_zero()))
    }

    /// After a lost reply.
    #[must_use]
    pub const fn with_reconcile(mut self, reconcile: bool) -> Self {
        self.reconcile = reconcile;
        self
    }
}

/// The outcome of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Ack {
    /// Which job.
    pub job: JobId,
    /// The epoch of the claim.
    pub epoch: u64,
    /// What became of it.
    pub action: AckAction,
}

/// What became of an attempt.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum AckAction {
    /// It has a result.
    Complete {
        /// What the job gave.
        result: Value,
    },
    /// It failed.
    Fail {
        /// Why.
        error: JobError,
        /// Whether another attempt may follow. A wait, not a time: the worker's clock may be wrong.
        retry: Retry,
    },
    /// It was given back without an outcome; the attempt does not count.
    Release {
        /// Not before so long from now.
        delay: Duration,
    },
    /// It stopped because it was asked to.
    Cancelled,
}

/// A job that a worker still works on.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// Which job.
    pub job: JobId,
    /// The epoch of the claim.
    pub epoch: u64,
    /// News of its progress.
    pub progress: Option<Progress>,
}

/// Which jobs a worker wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// From these queues: the highest priority first, then the earliest run-at time, then the lowest id.
    pub queues: Vec<QueueName>,
    /// Of these kinds.
    pub kinds: Vec<JobKind>,
    /// At most so many; at most [`MAX_PAGE`](super::MAX_PAGE).
    pub limit: usize,
}

/// What a worker gets.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Exchanged {
    /// One per acknowledgement, in order.
    pub acks: Vec<AckOutcome>,
    /// One per held job, in order.
    pub held: Vec<HeldOutcome>,
    /// New jobs, in the order in which they should start. Their `epoch` fences them.
    pub claimed: Vec<JobRecord>,
    /// How many jobs went back to their queues because an earlier reply was lost.
    pub reconciled: usize,
}

/// What became of an acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AckOutcome {
    /// It is recorded.
    Applied {
        /// The status after: a failed attempt may be `pending` again.
        status: JobStatus,
        /// The version after.
        version: u64,
    },
    /// It was recorded before.
    Repeated,
    /// The epoch is over. Drop the outcome and count it; a retry can't help.
    Lost {
        /// The job's epoch.
        epoch: u64,
        /// The job's status.
        status: JobStatus,
    },
    /// There is no such job.
    NotFound,
    /// The job's row can't be read, so that nothing was recorded, and the lease is as it was. Keep the outcome and hand it in
    /// again now and then: it counts once the row is mended, if the epoch is not over by then.
    Unreadable,
    /// The outcome itself is outside a limit, and the lease still holds: hand in a failure instead.
    Refused(Reject),
}

/// What a worker should do with a job it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeldOutcome {
    /// Go on. So it is with a job whose row can't be read, too.
    Continue,
    /// Stop and acknowledge.
    CancelRequested(CancelRequest),
    /// The epoch is over: stop, and hand in nothing.
    Lost {
        /// The job's epoch.
        epoch: u64,
        /// The job's status; `None` if the job is gone.
        status: Option<JobStatus>,
    },
}
