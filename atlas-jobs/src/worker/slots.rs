//! The slots: attempts that run, each as a task of its own.
//!
//! A slot is free once its task has ended, not once its outcome is known: a handler that does not yield keeps its slot
//! after the worker has given it up.

use super::attempt::{End, Stop, attempt, limit};
use super::context::{JobContext, ProgressSlot};
use super::handler::JobHandler;
use super::run::LAST_WORDS;
use crate::clock::later;
use crate::store::Held;
use atlas_schema::{CorrelationId, JobId, JobRecord, Progress, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// One attempt: the job and the epoch of its claim.
pub(super) type Key = (JobId, u64);
/// A task's end as the runtime tells it.
pub(super) type Joined = Result<(Id, End), JoinError>;

pub(super) struct Running {
    pub(super) attempt: u32,
    pub(super) stop: Stop,
    pub(super) began: Instant,
    ends: Option<Instant>,
    correlation: CorrelationId,
    cancel: CancellationToken,
    progress: ProgressSlot,
    abort: AbortHandle,
}

#[derive(Default)]
pub(super) struct Slots {
    tasks: JoinSet<End>,
    keys: HashMap<Id, Key>,
    running: BTreeMap<Key, Running>,
    /// When a task should have ended at the latest, of those whose time is limited.
    ends: BTreeSet<(Instant, Key)>,
}

impl Slots {
    /// How many are in use, those of given-up handlers too.
    pub(super) fn taken(&self) -> usize {
        self.tasks.len()
    }

    /// Whether no attempt waits for its outcome.
    pub(super) fn is_quiet(&self) -> bool {
        self.running.is_empty()
    }

    /// Starts an attempt: `now`, which is `clock` by the worker's wall clock.
    pub(super) fn start(
        &mut self,
        record: Arc<JobRecord>,
        handler: Arc<dyn JobHandler>,
        clock: Timestamp,
        now: Instant,
    ) {
        let key = (record.id, record.epoch);
        let limit = limit(&record, clock);
        let span = tracing::info_span!(
            "job", id = %record.id, kind = %record.kind, epoch = record.epoch, correlation_id = %record.correlation_id
        );
        let (attempt_number, correlation) = (record.attempt, record.correlation_id.clone());
        let cancel = CancellationToken::new();
        let context = JobContext::shared(record, cancel.clone());
        let progress = context.progress_slot();
        let abort = self.tasks.spawn(attempt(handler, context, limit).instrument(span));
        self.keys.insert(abort.id(), key);
        let ends = limit.map(|limit| later(limit.saturating_add(LAST_WORDS)));
        self.ends.extend(ends.map(|at| (at, key)));
        let running =
            Running { attempt: attempt_number, stop: Stop::No, began: now, ends, correlation, cancel, progress, abort };
        self.running.insert(key, running);
    }

    /// The next task to end; never if none runs. Cancel safe.
    pub(super) async fn next(&mut self) -> Joined {
        match self.tasks.join_next_with_id().await {
            Some(joined) => joined,
            None => std::future::pending().await,
        }
    }

    /// A task that has ended.
    pub(super) fn try_next(&mut self) -> Option<Joined> {
        self.tasks.try_join_next_with_id()
    }

    /// Whose end it was; `None` if nobody waits for its outcome any more.
    pub(super) fn ended(&mut self, joined: Joined) -> Option<(Key, Running, End)> {
        let (id, end) = match joined {
            Ok((id, end)) => (id, end),
            // A handler may panic while it is dropped, too.
            Err(error) => (error.id(), End::Panicked),
        };
        let key = self.keys.remove(&id)?;
        // An earlier epoch's task may end after a later one's has begun: the key tells them apart.
        let running = self.forget(key)?;
        // Its siblings are woken by their own tokens; this one tells whatever the handler left behind.
        running.cancel.cancel();
        Some((key, running, end))
    }

    /// Says what runs, and takes the news of progress along.
    pub(super) fn held(&self) -> impl Iterator<Item = Held> {
        self.running.iter().map(|(&(job, epoch), running)| Held { job, epoch, progress: running.progress.take() })
    }

    /// After a report that may not have arrived.
    pub(super) fn put_back(&self, key: Key, progress: Progress) {
        if let Some(running) = self.running.get(&key) {
            running.progress.put_back(progress);
        }
    }

    /// Fires the token of an attempt whose cancel was asked for.
    pub(super) fn cancel(&mut self, key: Key) {
        if let Some(running) = self.running.get_mut(&key) {
            running.stop = Stop::Cancel;
            running.cancel.cancel();
        }
    }

    /// Drops an attempt whose outcome nobody wants. False if it is not there.
    pub(super) fn drop_one(&mut self, key: Key) -> bool {
        self.forget(key).map(|running| running.give_up()).is_some()
    }

    /// Fires all tokens for a shutdown, and drops the handlers if `hard`.
    pub(super) fn stop(&mut self, hard: bool) {
        for running in self.running.values_mut() {
            running.cancel.cancel();
            if running.stop == Stop::No {
                running.stop = Stop::Shutdown;
            }
            if hard {
                running.abort.abort();
            }
        }
    }

    /// When the next handler will have overrun its time.
    pub(super) fn next_overrun(&self) -> Option<Instant> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// Gives up the handlers that did not stop when their time was over, as they never yield.
    pub(super) fn give_up_overrun(&mut self, now: Instant) -> Vec<(Key, Running)> {
        let over: Vec<Key> = self.ends.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| *key).collect();
        self.give_up(over)
    }

    /// Gives up all that still run.
    pub(super) fn give_up_all(&mut self) {
        self.give_up(self.running.keys().copied().collect());
    }

    fn give_up(&mut self, keys: Vec<Key>) -> Vec<(Key, Running)> {
        let given_up: Vec<_> = keys.into_iter().filter_map(|key| Some((key, self.forget(key)?))).collect();
        for ((job, _), running) in &given_up {
            running.give_up();
            tracing::error!(
                %job, correlation_id = %running.correlation,
                "the handler ignores its end and never yields: its slot stays taken until it returns"
            );
        }
        given_up
    }

    fn forget(&mut self, key: Key) -> Option<Running> {
        let running = self.running.remove(&key)?;
        if let Some(at) = running.ends {
            self.ends.remove(&(at, key));
        }
        Some(running)
    }

    /// Drops all, and waits a moment for those that yield.
    pub(super) async fn close(mut self) {
        // Their leases end by silence. One that never yields goes on by itself: nothing can stop it.
        let _ = tokio::time::timeout(LAST_WORDS, self.tasks.shutdown()).await;
    }
}

impl Running {
    fn give_up(&self) {
        self.cancel.cancel();
        self.abort.abort();
    }
}
