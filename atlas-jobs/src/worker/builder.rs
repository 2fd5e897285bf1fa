//! Filling in a worker.

use super::Worker;
use super::handler::JobHandler;
use crate::clock::{Clock, SystemClock};
use crate::random::{NoEntropy, Random};
use crate::retry::RetryPolicy;
use crate::store::{JobStore, MAX_PAGE, Wakeups};
use atlas_schema::{JobKind, QueueName, WorkerId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Why a worker can't be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWorker {
    /// No handler was given: the worker would take no job.
    #[error("a worker needs at least one handler")]
    NoHandler,
    /// Concurrency outside 1 to 1000.
    #[error("the concurrency must be 1 to 1000")]
    Concurrency,
    /// A lease that heartbeats can't keep.
    #[error("the lease must be at least 100 ms, and the heartbeat at most half of it")]
    Lease,
    /// A poll interval of zero would spin.
    #[error("the poll interval must be at least 1 ms")]
    Poll,
    /// The operating system has no random bits.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// The worker id could not be made.
    #[error(transparent)]
    Id(#[from] atlas_schema::InvalidId),
}

/// Fills in a [`Worker`].
#[derive(Debug)]
pub struct WorkerBuilder {
    id: Option<WorkerId>,
    store: Arc<dyn JobStore>,
    clock: Arc<dyn Clock>,
    random: Option<Arc<Random>>,
    queues: Vec<QueueName>,
    handlers: BTreeMap<JobKind, Arc<dyn JobHandler>>,
    concurrency: usize,
    lease: Duration,
    heartbeat: Option<Duration>,
    poll: Duration,
    grace: Duration,
    patience: Duration,
    retry: RetryPolicy,
    stop_when_drained: bool,
    wakeups: Vec<Wakeups>,
}

impl WorkerBuilder {
    pub(super) fn new(store: Arc<dyn JobStore>) -> Self {
        Self {
            id: None,
            store,
            clock: Arc::new(SystemClock::new()),
            random: None,
            queues: Vec::new(),
            handlers: BTreeMap::new(),
            concurrency: 4,
            lease: Duration::from_secs(15),
            heartbeat: None,
            poll: Duration::from_secs(1),
            grace: Duration::from_secs(10),
            patience: Duration::from_mins(5),
            retry: RetryPolicy::default(),
            stop_when_drained: false,
            wakeups: Vec::new(),
        }
    }

    /// Runs jobs of `kind` with `handler`. Jobs of other kinds are left for others.
    #[must_use]
    pub fn handler(mut self, kind: JobKind, handler: Arc<dyn JobHandler>) -> Self {
        self.handlers.insert(kind, handler);
        self
    }

    /// Takes jobs from `queue` too. Default, if none is named: the queue `default`.
    #[must_use]
    pub fn queue(mut self, queue: QueueName) -> Self {
        self.queues.push(queue);
        self
    }

    /// Runs at most so many jobs at a time, 1 to 1000. Default 4.
    #[must_use]
    pub const fn concurrency(mut self, jobs: usize) -> Self {
        self.concurrency = jobs;
        self
    }

    /// How long the worker may be silent before its jobs go to others; at least 100 ms. Default 15 s.
    ///
    /// Short leases recover sooner from a crash; they must outlast the longest stall of the process and its store.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How often it shows life and asks for cancels; at most half a lease. Default a third of the lease.
    #[must_use]
    pub const fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = Some(interval);
        self
    }

    /// How often it looks for work without a hint, up to a quarter sooner at random. Default 1 s.
    #[must_use]
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll = interval;
        self
    }

    /// How long running handlers may go on after a shutdown. Default 10 s.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long it retries a store that can't be reached before it gives up. Default 5 min.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// When failed attempts are tried again.
    #[must_use]
    pub const fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Stops once its queues hold no unfinished job of its kinds, those of other workers included. Default: works on.
    #[must_use]
    pub const fn stop_when_drained(mut self, stop: bool) -> Self {
        self.stop_when_drained = stop;
        self
    }

    /// Looks for work at these hints too, beside the store's own: a host's own [`Waker`](crate::store::Waker) may follow a
    /// message queue or a signal. A hint that is lost or doubled does no harm.
    #[must_use]
    pub fn wakeups(mut self, wakeups: Wakeups) -> Self {
        self.wakeups.push(wakeups);
        self
    }

    /// With another clock than the operating system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// With other random bits than the operating system's.
    #[must_use]
    pub fn random(mut self, random: Arc<Random>) -> Self {
        self.random = Some(random);
        self
    }

    /// With an id of the caller's own. It must never have been used before, not even by this process.
    #[must_use]
    pub fn id(mut self, id: WorkerId) -> Self {
        self.id = Some(id);
        self
    }

    /// The worker.
    ///
    /// # Errors
    /// [`InvalidWorker`] says which setting is impossible.
    pub fn build(self) -> Result<Worker, InvalidWorker> {
        let heartbeat = self.heartbeat.unwrap_or(self.lease / 3);
        if self.handlers.is_empty() {
            return Err(InvalidWorker::NoHandler);
        }
        if !(1..=MAX_PAGE).contains(&self.concurrency) {
            return Err(InvalidWorker::Concurrency);
        }
        if self.lease < Duration::from_millis(100) || heartbeat.is_zero() || heartbeat > self.lease / 2 {
            return Err(InvalidWorker::Lease);
        }
        if self.poll < Duration::from_millis(1) {
            return Err(InvalidWorker::Poll);
        }
        let random = match self.random {
            Some(random) => random,
            None => Arc::new(Random::from_os()?),
        };
        let id = match self.id {
            Some(id) => id,
            None => random.worker_id()?,
        };
        let queues = if self.queues.is_empty() { vec![QueueName::default()] } else { self.queues };
        Ok(Worker {
            id,
            store: self.store,
            clock: self.clock,
            random,
            queues,
            handlers: self.handlers,
            concurrency: self.concurrency,
            lease: self.lease,
            heartbeat,
            poll: self.poll,
            grace: self.grace,
            patience: self.patience,
            retry: self.retry,
            stop_when_drained: self.stop_when_drained,
            wakeups: self.wakeups,
            beat: AtomicU64::new(0),
        })
    }
}
