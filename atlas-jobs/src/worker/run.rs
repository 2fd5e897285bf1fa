//! The worker's loop: waits for what happens first, and sees to it.
//!
//! It decides nothing by itself: [`plan`](super::plan) says when to make a round trip, `attempt` what an end means. One
//! exchange and one sweep may be under way while slots start and end jobs.

use super::attempt::{End, Stop, outcome};
use super::kept::Kept;
use super::plan::{self, Pace};
use super::slots::{Joined, Slots};
use super::trip::{Answer, Outgoing, Trip, Waiting};
use super::{Worker, WorkerError, WorkerReport};
use crate::clock::later;
use crate::error::{Kind, StoreError};
use crate::retry::RetryPolicy;
use crate::store::{Ack, Scope, SweepOptions, Swept, Wakeups};
use crate::turn::give_way;
use atlas_schema::JobStatus;
use futures_util::future::select_all;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Between two failed round trips.
const STORE_BACKOFF: RetryPolicy = RetryPolicy::new(Duration::from_millis(50), Duration::from_secs(5));
/// Between a handler's cancel token and its being dropped, on shutdown; and how long a dropped one may take to end.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);

/// A shutdown under way: first the grace, then the tokens fire, then handlers are dropped, then those that did not end
/// are given up, and the store too.
#[derive(Clone, Copy)]
pub(super) struct Stopping {
    step: u32,
    next: Instant,
}

pub(super) struct Loop<'w> {
    pub(super) worker: &'w Worker,
    pub(super) start: Instant,
    pub(super) slots: Slots,
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) acks: VecDeque<Outgoing>,
    /// Outcomes of jobs whose rows can't be read: each heartbeat hands them in again.
    pub(super) kept: Kept,
    pub(super) pace: Pace,
    pub(super) trip: Option<Trip>,
    pub(super) reconcile: bool,
    pub(super) hungry: bool,
    pub(super) strict: bool,
    pub(super) next_heartbeat: Instant,
    pub(super) report: WorkerReport,
    pub(super) stopping: Option<Stopping>,
    sweep: Option<Sweep>,
    shutdown: CancellationToken,
    wakeups: Vec<Wakeups>,
    failures: u32,
    failing_since: Option<Instant>,
    backoff: Option<Instant>,
    next_poll: Instant,
    next_sweep: Instant,
}

/// A sweep under way.
type Sweep = Pin<Box<dyn Future<Output = Result<Swept, StoreError>> + Send>>;

/// What happened first.
enum Event {
    Ended(Joined),
    Answer(Answer),
    Swept(Result<Swept, StoreError>),
    Shutdown,
    Hint,
    Time,
}

pub(super) async fn run(worker: &Worker, shutdown: CancellationToken) -> Result<WorkerReport, WorkerError> {
    let now = Instant::now();
    let mut state = Loop {
        worker,
        start: now,
        slots: Slots::default(),
        waiting: VecDeque::new(),
        acks: VecDeque::new(),
        kept: Kept::default(),
        pace: Pace::default(),
        trip: None,
        // What an earlier run left behind would be kept alive by this one's beats.
        reconcile: worker.beat.load(Ordering::Relaxed) > 0,
        hungry: true,
        strict: worker.store.capabilities().strict_order,
        next_heartbeat: later(worker.heartbeat),
        report: WorkerReport::default(),
        stopping: None,
        sweep: None,
        shutdown,
        wakeups: worker.store.wakeups().into_iter().chain(worker.wakeups.iter().cloned()).collect(),
        failures: 0,
        failing_since: None,
        backoff: None,
        next_poll: later(worker.poll),
        next_sweep: now,
    };
    let span = tracing::info_span!("worker", id = %worker.id);
    let result = state.work().instrument(span).await;
    state.give_up_kept();
    let Loop { slots, report, .. } = state;
    slots.close().await;
    result.map(|()| report)
}

impl Loop<'_> {
    async fn work(&mut self) -> Result<(), WorkerError> {
        loop {
            while let Some(ended) = self.slots.try_next() {
                self.ended(ended);
            }
            self.on_time()?;
            self.fill();
            let flush = if self.may_set_out() { self.set_out() } else { None };
            if self.may_set_out() {
                if self.stopping.is_some() && self.idle() {
                    return Ok(());
                }
                if self.drained().await? {
                    self.report.drained = true;
                    return Ok(());
                }
            }
            let wake = self.wake_at(flush);
            match self.event(wake).await {
                Event::Ended(ended) => {
                    self.ended(ended);
                    if self.slots.taken() > 0 {
                        // Handlers that are about to end do so first: a turn of this loop costs as much as what a short one does.
                        give_way().await;
                    }
                }
                Event::Answer(answer) => {
                    self.trip = None;
                    self.answered(answer).or_else(|error| self.failed(error))?;
                }
                Event::Swept(swept) => {
                    self.sweep = None;
                    self.swept(swept)?;
                }
                Event::Shutdown => {
                    self.begin_to_stop();
                    self.backoff = None;
                }
                Event::Hint => self.hungry = true,
                Event::Time => {}
            }
        }
    }

    async fn event(&mut self, wake: Instant) -> Event {
        let Self { slots, trip, sweep, shutdown, wakeups, stopping, .. } = self;
        tokio::select! {
            biased;
            ended = slots.next() => Event::Ended(ended),
            answer = pending_or(trip.as_mut().map(|trip| &mut trip.call)) => Event::Answer(answer),
            swept = pending_or(sweep.as_mut()) => Event::Swept(swept),
            () = shutdown.cancelled(), if stopping.is_none() => Event::Shutdown,
            () = hint(wakeups), if stopping.is_none() => Event::Hint,
            () = sleep_until(wake) => Event::Time,
        }
    }

    /// Whether no exchange is under way and none is put off.
    fn may_set_out(&self) -> bool {
        self.trip.is_none() && self.backoff.is_none()
    }

    /// Whether the exchange under way asks for jobs.
    fn claims(&self) -> bool {
        self.trip.as_ref().is_some_and(|trip| trip.claims)
    }

    /// The next moment at which something is due.
    fn wake_at(&self, flush: Option<Instant>) -> Instant {
        let calm = self.backoff.is_none();
        let stopping = self.stopping.map(|stopping| stopping.next);
        let oldest = self.waiting.front().map(|waiting| self.stale_at(waiting));
        let due = [
            flush,
            self.backoff,
            stopping,
            oldest,
            self.slots.next_overrun(),
            // These lead to calls of the store, of which each kind has one under way at a time.
            Some(self.next_heartbeat).filter(|_| calm && self.trip.is_none()),
            Some(self.next_poll).filter(|_| calm && self.stopping.is_none() && !self.claims()),
            Some(self.next_sweep).filter(|_| calm && self.sweep.is_none()),
        ];
        due.into_iter().flatten().min().unwrap_or_else(|| later(Duration::MAX))
    }

    /// What is due by the clock.
    fn on_time(&mut self) -> Result<(), WorkerError> {
        let now = Instant::now();
        if self.stopping.is_none() && self.shutdown.is_cancelled() {
            self.begin_to_stop();
        }
        if self.backoff.is_some_and(|at| at <= now) {
            self.backoff = None;
        }
        if let Some(stopping) = self.stopping.filter(|stopping| stopping.next <= now) {
            self.stop_harder(stopping)?;
        }
        for ((job, epoch), running) in self.slots.give_up_overrun(now) {
            let random = self.worker.random.u64();
            let action = outcome(End::TimedOut, running.stop, running.attempt, &self.worker.retry, random);
            self.hand_in(Ack { job, epoch, action }, true);
        }
        // A claim under way is the poll: its answer sets the next one. Otherwise a store that answers more slowly than the
        // polls come would be asked for ever, and nothing ever counted as drained.
        if self.next_poll <= now && !self.claims() {
            self.hungry = true;
            self.poll_later();
        }
        if self.next_sweep <= now && self.sweep.is_none() && self.backoff.is_none() {
            // Half a lease: whoever falls silent is seen at its last beat and again when its lease is over.
            self.next_sweep = later(self.worker.lease / 2);
            let (store, options) = (Arc::clone(&self.worker.store), SweepOptions::new(self.worker.clock.now()));
            self.sweep = Some(Box::pin(async move { store.sweep(options).await }));
        }
        Ok(())
    }

    /// Gives back what waited too long, and starts what waits while slots are free.
    fn fill(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let (now, clock) = (Instant::now(), self.worker.clock.now().wall);
        while let Some(waiting) = self.waiting.front() {
            let back = self.stopping.is_some() || self.stale_at(waiting) <= now;
            if !back && self.slots.taken() >= self.worker.concurrency {
                break;
            }
            let Some(Waiting { record, .. }) = self.waiting.pop_front() else { break };
            match self.worker.handlers.get(&record.kind) {
                // The store gave what was not asked for: back with it, and others may do better.
                None => self.give_back(&record, self.worker.poll),
                // What is past its deadline is for the sweeper.
                Some(_) if back || record.deadline.is_some_and(|deadline| deadline <= clock) => {
                    self.give_back(&record, Duration::ZERO);
                }
                Some(handler) => self.slots.start(record, Arc::clone(handler), clock, now),
            }
        }
    }

    fn stale_at(&self, waiting: &Waiting) -> Instant {
        let at =
            plan::stale_at(self.since_start(waiting.since), self.pace.window(self.worker.lease), self.worker.lease);
        self.start.checked_add(at).unwrap_or_else(|| later(Duration::MAX))
    }

    fn ended(&mut self, ended: Joined) {
        // Not there: its lease was lost, and nobody wants its outcome.
        let Some(((job, epoch), running, end)) = self.slots.ended(ended) else { return };
        let now = Instant::now();
        self.pace.ended(self.since_start(now), now.saturating_duration_since(running.began));
        if matches!(end, End::Panicked) && running.stop == Stop::No {
            self.report.panicked += 1;
        }
        let random = self.worker.random.u64();
        let action = outcome(end, running.stop, running.attempt, &self.worker.retry, random);
        self.hand_in(Ack { job, epoch, action }, true);
    }

    fn begin_to_stop(&mut self) {
        self.stopping = Some(Stopping { step: 0, next: later(self.worker.grace) });
        self.try_kept();
    }

    /// The next step of a shutdown: first the tokens fire, then the handlers are dropped and their jobs handed back.
    fn stop_harder(&mut self, stopping: Stopping) -> Result<(), WorkerError> {
        self.slots.stop(stopping.step > 0);
        self.stopping = Some(Stopping { step: stopping.step.saturating_add(1), next: later(LAST_WORDS) });
        self.backoff = None;
        if stopping.step > 1 {
            // They still run, so their leases are not given back: they end by silence once this worker is gone.
            self.slots.give_up_all();
            if stopping.step > 2 && self.trip.is_some() {
                let source = "no answer by the end of the shutdown";
                return Err(StoreError::new(Kind::Unavailable, "job", "exchange").with_source(source).into());
            }
        }
        Ok(())
    }

    /// Whether nothing runs, nothing waits and nothing is to be handed in.
    fn idle(&self) -> bool {
        self.trip.is_none() && self.slots.is_quiet() && self.waiting.is_empty() && self.acks.is_empty()
    }

    fn swept(&mut self, swept: Result<Swept, StoreError>) -> Result<(), WorkerError> {
        match swept {
            Ok(swept) => {
                self.report.recovered += u64::try_from(swept.expired).unwrap_or(0);
                self.hungry |= swept.expired > 0;
                if swept.more {
                    self.next_sweep = Instant::now();
                }
                Ok(())
            }
            // One damaged row is for people to mend. As long as exchanges pass there is work to do, and what can be read is
            // swept again. A damaged file is not one to write to.
            Err(error) if error.is_in_one_row() => {
                tracing::error!(%error, "a sweep met a stored row that can't be read; the worker goes on");
                Ok(())
            }
            Err(error) => self.failed(error),
        }
    }

    /// Whether there is nothing left to do, if that is to be the end.
    async fn drained(&mut self) -> Result<bool, WorkerError> {
        if !self.worker.stop_when_drained || self.hungry || !self.idle() || self.stopping.is_some() {
            return Ok(false);
        }
        for queue in &self.worker.queues {
            let counted = tokio::select! {
                biased;
                // A store that takes its time with the counts holds up no shutdown.
                () = self.shutdown.cancelled() => return Ok(false),
                counted = self.worker.store.statistics(Scope::default().with_queue(queue.clone())) => counted,
            };
            match counted {
                Ok(statistics) => {
                    let ours = |kind| self.worker.handlers.contains_key(kind);
                    let open = |status: JobStatus| !status.is_terminal();
                    if statistics.counts.iter().any(|count| ours(&count.kind) && open(count.status)) {
                        return Ok(false);
                    }
                }
                Err(error) => return self.failed(error).map(|()| false),
            }
        }
        Ok(true)
    }

    pub(super) fn recovered_from_failure(&mut self) {
        self.failures = 0;
        self.failing_since = None;
    }

    pub(super) fn poll_later(&mut self) {
        self.next_poll = later(plan::jittered(self.worker.poll, self.worker.random.u64()));
    }

    pub(super) fn since_start(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.start)
    }

    /// Backs off after a failure that may pass; gives up on others, and when patience or a shutdown ends.
    fn failed(&mut self, error: StoreError) -> Result<(), WorkerError> {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        let passing = error.is_retryable() || error.kind() == Kind::Conflict;
        // The last step of a shutdown but one has dropped the handlers: there was time to hand back their jobs.
        let over = self.stopping.is_some_and(|stopping| stopping.step > 2);
        if !passing || over || since.elapsed() >= self.worker.patience {
            return Err(error.into());
        }
        if self.stopping.is_some() && self.idle() {
            // Leases that a lost reply carried, if there are any, end by silence.
            self.reconcile = false;
            return Ok(());
        }
        self.failures = self.failures.saturating_add(1);
        let own = STORE_BACKOFF.delay(self.failures, self.worker.random.u64());
        let wait = error.retry_after().unwrap_or(own);
        tracing::warn!(%error, ?wait, "the job store failed; trying again");
        self.backoff = Some(later(wait));
        Ok(())
    }
}

async fn pending_or<F: Future + Unpin>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// The next hint of any source.
async fn hint(wakeups: &mut [Wakeups]) {
    match wakeups {
        [] => std::future::pending().await,
        [only] => only.next().await,
        several => {
            select_all(several.iter_mut().map(|wakeups| Box::pin(wakeups.next()))).await;
        }
    }
}
