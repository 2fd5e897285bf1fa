//! The worker's loop.

use super::attempt::{End, Stop, attempt, limit, outcome};
use super::context::{JobContext, ProgressSlot};
use super::{Worker, WorkerError, WorkerReport};
use crate::error::{Kind, StoreError};
use crate::retry::RetryPolicy;
use crate::state::{Reject, Retry};
use crate::store::{
    Ack, AckAction, AckOutcome, Claim, Exchange, Exchanged, Held, HeldOutcome, Scope, SweepOptions, Wakeups,
};
use atlas_schema::{ErrorCategory, JobError, JobId, JobRecord, JobStatus};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Between two failed round trips.
const STORE_BACKOFF: RetryPolicy = RetryPolicy::new(Duration::from_millis(50), Duration::from_secs(5));
/// Between a handler's cancel token and its being dropped, on shutdown.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What stands for never where the clock can't count so far: 30 years.
const NEVER: Duration = Duration::from_hours(30 * 365 * 24);

struct Running {
    job: JobId,
    epoch: u64,
    attempt: u32,
    stop: Stop,
    cancel: CancellationToken,
    progress: ProgressSlot,
    abort: AbortHandle,
}

/// A shutdown under way: first the grace, then the tokens fire, then handlers are dropped, then the store is given up.
#[derive(Clone, Copy)]
struct Stopping {
    step: u32,
    next: Instant,
}

struct Loop<'w> {
    worker: &'w Worker,
    tasks: JoinSet<End>,
    running: HashMap<Id, Running>,
    acks: Vec<Ack>,
    shutdown: CancellationToken,
    stopping: Option<Stopping>,
    reconcile: bool,
    hungry: bool,
    failures: u32,
    failing_since: Option<Instant>,
    next_heartbeat: Instant,
    next_poll: Instant,
    next_sweep: Instant,
    report: WorkerReport,
}

pub(super) async fn run(worker: &Worker, shutdown: CancellationToken) -> Result<WorkerReport, WorkerError> {
    let now = Instant::now();
    let mut state = Loop {
        worker,
        tasks: JoinSet::new(),
        running: HashMap::new(),
        acks: Vec::new(),
        shutdown,
        stopping: None,
        // What an earlier run left behind would be kept alive by this one's beats.
        reconcile: worker.beat.load(Ordering::Relaxed) > 0,
        hungry: true,
        failures: 0,
        failing_since: None,
        next_heartbeat: later(worker.heartbeat),
        next_poll: later(worker.poll),
        next_sweep: now,
        report: WorkerReport::default(),
    };
    let span = tracing::info_span!("worker", id = %worker.id);
    let result = state.work().instrument(span).await;
    // Dropped handlers hold nothing of ours: their leases end by silence.
    state.tasks.shutdown().await;
    result.map(|()| state.report)
}

impl Loop<'_> {
    async fn work(&mut self) -> Result<(), WorkerError> {
        let mut wakeups = self.worker.store.wakeups();
        let shutdown = self.shutdown.clone();
        loop {
            match self.stopping {
                None if shutdown.is_cancelled() => {
                    self.stopping = Some(Stopping { step: 0, next: later(self.worker.grace) });
                }
                // Here and not only below: a store that keeps failing never gets so far.
                Some(stopping) if Instant::now() >= stopping.next => self.stop_harder(stopping),
                _ => {}
            }
            while let Some(ended) = self.tasks.try_join_next_with_id() {
                self.ended(ended);
            }
            if self.round_trip().await? {
                continue;
            }
            if self.stopping.is_some() && self.idle() {
                return Ok(());
            }
            if self.drained().await? {
                return Ok(());
            }
            let slots = self.running.len() < self.worker.concurrency && self.stopping.is_none();
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    self.ended(ended);
                }
                () = shutdown.cancelled(), if self.stopping.is_none() => {}
                () = until(self.stopping.map(|stopping| stopping.next)) => {}
                () = hint(&mut wakeups), if slots => self.hungry = true,
                () = sleep_until(self.next_poll), if slots => {
                    self.hungry = true;
                    self.next_poll = later(self.worker.poll);
                }
                () = sleep_until(self.next_heartbeat) => {}
                () = sleep_until(self.next_sweep) => self.sweep().await?,
            }
        }
    }

    /// Hands in and takes, if there is anything to hand in, to take or to say. True if there is more at once.
    async fn round_trip(&mut self) -> Result<bool, WorkerError> {
        let free = self.worker.concurrency.saturating_sub(self.running.len());
        let wanted = if self.stopping.is_some() || !self.hungry { 0 } else { free };
        let due = Instant::now() >= self.next_heartbeat;
        if due {
            self.next_heartbeat = later(self.worker.heartbeat);
        }
        // Without leases there is nothing to keep alive.
        let heartbeat = due && !self.running.is_empty();
        // A failed round trip is made up for at once: by the next heartbeat the lease may be over.
        if wanted == 0 && !heartbeat && self.acks.is_empty() && !self.reconcile {
            return Ok(false);
        }
        let now = self.worker.clock.now();
        let beat = self.worker.beat.fetch_add(1, Ordering::Relaxed) + 1;
        let mut exchange = Exchange::new(self.worker.id.clone(), beat, self.worker.lease, now)
            .with_acks(self.acks.clone())
            .with_reconcile(self.reconcile);
        // Reconciling needs to know everything that is held; else it is said once per heartbeat.
        if heartbeat || self.reconcile {
            exchange.held = self.running.values().map(held).collect();
        }
        if wanted > 0 {
            let kinds = self.worker.handlers.keys().cloned().collect();
            exchange.claim = Some(Claim { queues: self.worker.queues.clone(), kinds, limit: wanted });
        }
        let asked = exchange.held.clone();
        match self.worker.store.exchange(exchange).await {
            Ok(exchanged) => {
                self.failures = 0;
                self.failing_since = None;
                self.reconcile = false;
                if wanted > 0 {
                    self.hungry = exchanged.claimed.len() == wanted;
                    self.next_poll = later(self.worker.poll);
                }
                self.settle(exchanged, &asked);
                Ok(!self.acks.is_empty())
            }
            Err(error) => {
                // Whether the call had an effect is unknown: outcomes are handed in again, unknown leases given back.
                self.reconcile = true;
                for Held { job, epoch, progress } in asked {
                    let running = self.running.values().find(|running| running.job == job && running.epoch == epoch);
                    if let Some((running, progress)) = running.zip(progress) {
                        running.progress.put_back(progress);
                    }
                }
                self.wait_out(error).await?;
                Ok(true)
            }
        }
    }

    fn settle(&mut self, exchanged: Exchanged, asked: &[Held]) {
        let acks = std::mem::take(&mut self.acks);
        for (ack, outcome) in acks.into_iter().zip(exchanged.acks) {
            self.count(&ack, outcome);
        }
        for (Held { job, epoch, .. }, outcome) in asked.iter().zip(exchanged.held) {
            let running = self.running.values_mut().find(|running| running.job == *job && running.epoch == *epoch);
            match (running, outcome) {
                (Some(running), HeldOutcome::CancelRequested(_)) => {
                    running.stop = Stop::Cancel;
                    running.cancel.cancel();
                }
                (Some(running), HeldOutcome::Lost { .. }) => {
                    running.cancel.cancel();
                    running.abort.abort();
                    let id = running.abort.id();
                    self.running.remove(&id);
                    self.report.lost += 1;
                }
                (_, HeldOutcome::Continue) | (None, _) => {}
            }
        }
        for record in exchanged.claimed {
            self.start(record);
        }
    }

    fn start(&mut self, record: JobRecord) {
        let (job, epoch) = (record.id, record.epoch);
        let Some(handler) = self.worker.handlers.get(&record.kind) else {
            // The store gave what was not asked for: back with it, and others may do better.
            self.acks.push(Ack { job, epoch, action: AckAction::Release { delay: self.worker.poll } });
            return;
        };
        let limit = limit(&record, self.worker.clock.now().wall);
        let attempt_number = record.attempt;
        let span =
            tracing::info_span!("job", id = %job, kind = %record.kind, epoch, correlation_id = %record.correlation_id);
        let cancel = CancellationToken::new();
        let context = JobContext::new(record, cancel.clone());
        let progress = context.progress_slot();
        let abort = self.tasks.spawn(attempt(Arc::clone(handler), context, limit).instrument(span));
        let running = Running { job, epoch, attempt: attempt_number, stop: Stop::No, cancel, progress, abort };
        self.running.insert(running.abort.id(), running);
    }

    fn ended(&mut self, ended: Result<(Id, End), JoinError>) {
        let (id, end) = match ended {
            Ok((id, end)) => (id, end),
            Err(error) => (error.id(), End::Panicked),
        };
        // Not there: its lease was lost, and nobody wants its outcome.
        let Some(running) = self.running.remove(&id) else { return };
        // Its siblings are woken by their own tokens; this one tells whatever the handler left behind.
        running.cancel.cancel();
        if matches!(end, End::Panicked) && running.stop == Stop::No {
            self.report.panicked += 1;
        }
        let random = self.worker.random.u64();
        let action = outcome(end, running.stop, running.attempt, &self.worker.retry, random);
        self.acks.push(Ack { job: running.job, epoch: running.epoch, action });
    }

    fn count(&mut self, ack: &Ack, outcome: AckOutcome) {
        let report = &mut self.report;
        match outcome {
            AckOutcome::Applied { status, .. } => match (&ack.action, status) {
                (AckAction::Release { .. }, JobStatus::Pending) => report.released += 1,
                (_, JobStatus::Pending) => report.retried += 1,
                (_, JobStatus::Completed) => report.completed += 1,
                (_, JobStatus::Cancelled) => report.cancelled += 1,
                _ => report.failed += 1,
            },
            AckOutcome::Repeated => report.completed += 1,
            AckOutcome::Lost { .. } | AckOutcome::NotFound => report.lost += 1,
            AckOutcome::Refused(reject) => {
                let failed = matches!(ack.action, AckAction::Fail { .. });
                tracing::warn!(job = %ack.job, %reject, "the store refused an outcome");
                if failed {
                    report.lost += 1;
                } else {
                    self.acks.push(refused(ack, &reject));
                }
            }
        }
    }

    /// The next step of a shutdown: first the tokens fire, then the handlers are dropped and their jobs handed back.
    fn stop_harder(&mut self, stopping: Stopping) {
        for running in self.running.values_mut() {
            running.cancel.cancel();
            if running.stop == Stop::No {
                running.stop = Stop::Shutdown;
            }
            if stopping.step > 0 {
                running.abort.abort();
            }
        }
        self.stopping = Some(Stopping { step: stopping.step.saturating_add(1), next: later(LAST_WORDS) });
    }

    /// Whether nothing runs and nothing is to be handed in.
    fn idle(&self) -> bool {
        self.running.is_empty() && self.acks.is_empty()
    }

    async fn sweep(&mut self) -> Result<(), WorkerError> {
        // Half a lease: whoever falls silent is seen at its last beat and again when its lease is over.
        self.next_sweep = later(self.worker.lease / 2);
        match self.worker.store.sweep(SweepOptions::new(self.worker.clock.now())).await {
            Ok(swept) => {
                self.report.recovered += u64::try_from(swept.expired).unwrap_or(0);
                if swept.expired > 0 {
                    self.hungry = true;
                }
                if swept.more {
                    self.next_sweep = Instant::now();
                }
                Ok(())
            }
            Err(error) => self.wait_out(error).await,
        }
    }

    /// Whether there is nothing left to do, if that is to be the end.
    async fn drained(&mut self) -> Result<bool, WorkerError> {
        if !self.worker.stop_when_drained || self.hungry || !self.idle() {
            return Ok(false);
        }
        for queue in &self.worker.queues {
            match self.worker.store.statistics(Scope::default().with_queue(queue.clone())).await {
                Ok(statistics) => {
                    let ours = |kind| self.worker.handlers.contains_key(kind);
                    let open = |status: JobStatus| !status.is_terminal();
                    if statistics.counts.iter().any(|count| ours(&count.kind) && open(count.status)) {
                        return Ok(false);
                    }
                }
                Err(error) => {
                    self.wait_out(error).await?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Waits after a failure that may pass; gives up on others, and when patience or a shutdown ends.
    async fn wait_out(&mut self, error: StoreError) -> Result<(), WorkerError> {
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
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.shutdown.cancelled(), if self.stopping.is_none() => {}
            () = until(self.stopping.map(|stopping| stopping.next)) => {}
        }
        Ok(())
    }
}

/// So long from now.
fn later(by: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(by).unwrap_or_else(|| now + NEVER)
}

fn held(running: &Running) -> Held {
    Held { job: running.job, epoch: running.epoch, progress: running.progress.take() }
}

/// A failure in place of an outcome that the store does not take.
fn refused(ack: &Ack, reject: &Reject) -> Ack {
    let error =
        JobError { category: ErrorCategory::InvalidInput, message: format!("the outcome was refused: {reject}") };
    Ack { job: ack.job, epoch: ack.epoch, action: AckAction::Fail { error, retry: Retry::Never } }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn hint(wakeups: &mut Option<Wakeups>) {
    match wakeups {
        Some(wakeups) => wakeups.next().await,
        None => std::future::pending().await,
    }
}
