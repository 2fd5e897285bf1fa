//! The worker's round trip: what goes into an exchange, and what its answer means here.

use super::plan;
use super::run::Loop;
use crate::clock::later;
use crate::error::StoreError;
use crate::state::{Reject, Retry};
use crate::store::{Ack, AckAction, AckOutcome, Claim, Exchange, Exchanged, Held, HeldOutcome, MAX_PAGE};
use atlas_schema::{ErrorCategory, JobError, JobRecord, JobStatus};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// An outcome on its way.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) ack: Ack,
    /// Its handler has run: otherwise an unused lease goes back.
    ran: bool,
    since: Instant,
    /// Its job's row can't be read, and nobody will be left to hand it in again.
    last_try: bool,
}

impl Outgoing {
    pub(super) fn new(ack: Ack, ran: bool) -> Self {
        Self { ack, ran, since: Instant::now(), last_try: false }
    }
}

/// A leased job that waits for a slot.
pub(super) struct Waiting {
    /// Large: it moves once.
    pub(super) record: Arc<JobRecord>,
    pub(super) since: Instant,
}

/// What an exchange under way has said.
pub(super) struct Sent {
    acks: Vec<Outgoing>,
    held: Vec<Held>,
    claim: usize,
    at: Instant,
}

pub(super) type Answer = (Sent, Result<Exchanged, StoreError>);
/// An exchange under way. Slots start and end jobs beside it.
pub(super) struct Trip {
    /// It asks for jobs.
    pub(super) claims: bool,
    pub(super) call: Pin<Box<dyn Future<Output = Answer> + Send>>,
}

impl Loop<'_> {
    pub(super) fn hand_in(&mut self, ack: Ack, ran: bool) {
        self.acks.push_back(Outgoing::new(ack, ran));
    }

    /// Gives back a lease whose job has not started; its attempt does not count.
    pub(super) fn give_back(&mut self, record: &JobRecord, delay: Duration) {
        let (job, epoch) = (record.id, record.epoch);
        self.hand_in(Ack { job, epoch, action: AckAction::Release { delay } }, false);
    }

    /// Makes a round trip, if now is the time for one; otherwise says when.
    pub(super) fn set_out(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let due = now >= self.next_heartbeat;
        let working = !self.slots.is_quiet() || !self.waiting.is_empty() || !self.kept.is_empty();
        if due && !working {
            // Without leases there is nothing to keep alive.
            self.next_heartbeat = later(self.worker.heartbeat);
        }
        let heartbeat = due && working;
        let view = plan::View {
            now: self.since_start(now),
            free: self.worker.concurrency.saturating_sub(self.slots.taken()),
            waiting: self.waiting.len(),
            ahead: self.pace.ahead(self.since_start(now), self.worker.lease),
            acks: self.acks.len(),
            acks_since: self.acks.front().map_or(Duration::ZERO, |first| self.since_start(first.since)),
            working,
            hungry: self.hungry,
            stopping: self.stopping.is_some(),
            // A failed round trip is made up for at once: by the next heartbeat the lease may be over.
            must: heartbeat || self.reconcile,
        };
        match plan::next(&view) {
            plan::Next::Wait { until } => until.and_then(|until| self.start.checked_add(until)),
            plan::Next::Exchange { claim } => {
                self.trip = Some(self.exchange(claim, heartbeat));
                None
            }
        }
    }

    fn exchange(&mut self, claim: usize, heartbeat: bool) -> Trip {
        if heartbeat || self.reconcile {
            self.acks.extend(self.kept.take());
        }
        let batch = self.acks.len().min(MAX_PAGE);
        let acks: Vec<Outgoing> = self.acks.drain(..batch).collect();
        // Reconciling needs to know everything that is held; else it is said once per heartbeat.
        let mut held = Vec::new();
        if heartbeat || self.reconcile {
            self.next_heartbeat = later(self.worker.heartbeat);
            held.extend(self.slots.held());
            let silent = |job, epoch| Held { job, epoch, progress: None };
            held.extend(self.waiting.iter().map(|waiting| silent(waiting.record.id, waiting.record.epoch)));
            held.extend(self.acks.iter().map(|outgoing| silent(outgoing.ack.job, outgoing.ack.epoch)));
        }
        let beat = self.worker.beat.fetch_add(1, Ordering::Relaxed) + 1;
        let mut exchange = Exchange::new(self.worker.id.clone(), beat, self.worker.lease, self.worker.clock.now())
            .with_acks(acks.iter().map(|outgoing| outgoing.ack.clone()).collect())
            .with_held(held.clone())
            .with_reconcile(self.reconcile);
        if claim > 0 {
            let kinds = self.worker.handlers.keys().cloned().collect();
            exchange.claim = Some(Claim { queues: self.worker.queues.clone(), kinds, limit: claim });
            // A hint that comes while this is under way counts for the next one.
            self.hungry = false;
        }
        let store = Arc::clone(&self.worker.store);
        let sent = Sent { acks, held, claim, at: Instant::now() };
        Trip { claims: claim > 0, call: Box::pin(async move { (sent, store.exchange(exchange).await) }) }
    }

    /// What the store answered.
    pub(super) fn answered(&mut self, (sent, answer): Answer) -> Result<(), StoreError> {
        match answer {
            Ok(exchanged) => {
                self.pace.tripped(sent.at.elapsed());
                self.recovered_from_failure();
                self.reconcile = false;
                if sent.claim > 0 {
                    // A store without a strict order may have more than it found at once.
                    let full = exchanged.claimed.len() >= sent.claim;
                    let more = full || !self.strict && !exchanged.claimed.is_empty();
                    self.hungry |= more;
                    self.poll_later();
                }
                self.settle(exchanged, sent);
                Ok(())
            }
            Err(error) => {
                // Whether the call had an effect is unknown: outcomes are handed in again, unknown leases given back.
                self.reconcile = true;
                self.hungry |= sent.claim > 0;
                for outgoing in sent.acks.into_iter().rev() {
                    self.acks.push_front(outgoing);
                }
                for Held { job, epoch, progress } in sent.held {
                    if let Some(progress) = progress {
                        self.slots.put_back((job, epoch), progress);
                    }
                }
                Err(error)
            }
        }
    }

    fn settle(&mut self, exchanged: Exchanged, sent: Sent) {
        for (outgoing, outcome) in sent.acks.into_iter().zip(exchanged.acks) {
            self.count(outgoing, outcome);
        }
        for (Held { job, epoch, .. }, outcome) in sent.held.into_iter().zip(exchanged.held) {
            match outcome {
                HeldOutcome::Continue => {}
                HeldOutcome::CancelRequested(_) if self.forget_waiting(job, epoch) => {
                    self.hand_in(Ack { job, epoch, action: AckAction::Cancelled }, false);
                }
                HeldOutcome::CancelRequested(_) => self.slots.cancel((job, epoch)),
                HeldOutcome::Lost { .. } => {
                    if self.slots.drop_one((job, epoch)) || self.forget_waiting(job, epoch) {
                        self.report.lost += 1;
                    }
                }
            }
        }
        let since = Instant::now();
        self.waiting.extend(exchanged.claimed.into_iter().map(|record| Waiting { record: Arc::new(record), since }));
    }

    fn forget_waiting(&mut self, job: atlas_schema::JobId, epoch: u64) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| (waiting.record.id, waiting.record.epoch) != (job, epoch));
        self.waiting.len() < before
    }

    fn count(&mut self, mut outgoing: Outgoing, outcome: AckOutcome) {
        if outcome == AckOutcome::Unreadable && self.stopping.is_none() {
            tracing::warn!(job = %outgoing.ack.job, "a job's row can't be read: its outcome is kept until it is mended");
            match self.kept.keep(outgoing) {
                None => return,
                Some(back) => outgoing = back,
            }
        } else if outcome == AckOutcome::Unreadable && !outgoing.last_try {
            // There is time for one more.
            self.acks.push_back(Outgoing { last_try: true, ..outgoing });
            return;
        }
        let Outgoing { ack, ran, .. } = outgoing;
        let report = &mut self.report;
        match outcome {
            AckOutcome::Unreadable => {
                tracing::error!(job = %ack.job, "a job's row can't be read: its outcome is dropped");
                report.lost += u64::from(ran);
            }
            AckOutcome::Applied { status, .. } => match (&ack.action, status) {
                (AckAction::Release { .. }, JobStatus::Pending) if ran => report.released += 1,
                (AckAction::Release { .. }, JobStatus::Pending) => report.unstarted += 1,
                (_, JobStatus::Pending) => report.retried += 1,
                (_, JobStatus::Completed) => report.completed += 1,
                (_, JobStatus::Cancelled) => report.cancelled += 1,
                _ => report.failed += 1,
            },
            AckOutcome::Repeated => report.completed += 1,
            // Nothing is lost with a lease that was given back already.
            AckOutcome::Lost { .. } | AckOutcome::NotFound if !ran => {}
            AckOutcome::Lost { .. } | AckOutcome::NotFound => report.lost += 1,
            AckOutcome::Refused(reject) => {
                tracing::warn!(job = %ack.job, %reject, "the store refused an outcome");
                if matches!(ack.action, AckAction::Fail { .. }) {
                    report.lost += 1;
                } else {
                    self.hand_in(refused(&ack, &reject), ran);
                }
            }
        }
    }

    /// A shutdown begins: what was kept is handed in for the last time.
    pub(super) fn try_kept(&mut self) {
        let last = |outgoing| Outgoing { last_try: true, ..outgoing };
        self.acks.extend(self.kept.take().into_iter().map(last));
    }

    /// At the end of a run: nobody is left to hand them in.
    pub(super) fn give_up_kept(&mut self) {
        for Outgoing { ack, ran, .. } in self.kept.take() {
            tracing::error!(job = %ack.job, "a job's row still can't be read: its outcome is dropped");
            self.report.lost += u64::from(ran);
        }
    }
}

/// A failure in place of an outcome that the store does not take.
fn refused(ack: &Ack, reject: &Reject) -> Ack {
    let error =
        JobError { category: ErrorCategory::InvalidInput, message: format!("the outcome was refused: {reject}") };
    Ack { job: ack.job, epoch: ack.epoch, action: AckAction::Fail { error, retry: Retry::Never } }
}
