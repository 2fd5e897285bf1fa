//! What a host runs once per process beside its workers: sweeping, batches, retention, webhooks.

use crate::batch::{BatchKeeper, KeeperReport};
use crate::clock::{Clock, SystemClock};
use crate::error::StoreError;
use crate::manager::JobManager;
use crate::random::{NoEntropy, Random};
use crate::retention::{Retained, RetentionPolicy};
use crate::retry::RetryPolicy;
use crate::store::{JobStore, SweepOptions};
use crate::webhook::{DeliveryReport, WebhookDeliverer};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between two failed rounds of one duty.
const BACKOFF: RetryPolicy = RetryPolicy::new(Duration::from_millis(200), Duration::from_mins(1));

/// Keeps a store in order until it is told to stop: ends what nobody else ends, ends batches, deletes what is old,
/// delivers webhooks. Each duty has its own pace, and one that fails holds up no other.
///
/// Any number of processes may run one over the same store: what one does, another finds done.
///
/// # Example: beside a worker
/// ```
/// use atlas_jobs::{Maintenance, MemoryJobs, RetentionPolicy};
/// use std::sync::Arc;
/// use tokio_util::sync::CancellationToken;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryJobs::new(atlas_schema::Stage::Dev));
/// let maintenance = Maintenance::new(store)?.with_retention(RetentionPolicy::default());
/// let shutdown = CancellationToken::new();
/// let running = tokio::spawn({
///     let shutdown = shutdown.clone();
///     async move { maintenance.run(shutdown).await }
/// });
/// // ... the host runs ...
/// shutdown.cancel();
/// assert_eq!(running.await?.failures, 0);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Maintenance {
    store: Arc<dyn JobStore>,
    clock: Arc<dyn Clock>,
    random: Arc<Random>,
    sweep: Option<Duration>,
    batches: Option<Duration>,
    check: Duration,
    retention: Option<(RetentionPolicy, Duration)>,
    deliverer: Option<WebhookDeliverer>,
}

/// What was kept in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MaintenanceReport {
    /// Leases of silent workers that were ended.
    pub expired: u64,
    /// Jobs that were ended because their deadline passed, or a cancel was not answered.
    pub ended: u64,
    /// What became of batches.
    pub batches: KeeperReport,
    /// What was deleted. `held_back_by` is that of the last round.
    pub retained: Retained,
    /// What became of webhooks.
    pub webhooks: DeliveryReport,
    /// Rounds that failed; each was logged, and followed by another.
    pub failures: u64,
}

impl Maintenance {
    /// Sweeping every 10 seconds and looking after batches twice a second; no retention and no webhooks.
    ///
    /// # Errors
    /// [`NoEntropy`] if the operating system has no random bits.
    pub fn new(store: Arc<dyn JobStore>) -> Result<Self, NoEntropy> {
        let random = Arc::new(Random::from_os()?);
        Ok(Self::with_parts(store, Arc::new(SystemClock::new()), random))
    }

    /// The same, with clocks and random bits of the caller's.
    pub fn with_parts(store: Arc<dyn JobStore>, clock: Arc<dyn Clock>, random: Arc<Random>) -> Self {
        Self {
            store,
            clock,
            random,
            sweep: Some(Duration::from_secs(10)),
            batches: Some(Duration::from_millis(500)),
            check: Duration::from_mins(1),
            retention: None,
            deliverer: None,
        }
    }

    /// Sweeps so often; `None` leaves it to the workers. A dead worker's jobs are back within one lease plus two sweeps.
    #[must_use]
    pub const fn with_sweep(mut self, every: Option<Duration>) -> Self {
        self.sweep = every;
        self
    }

    /// Looks so often whether children of batches ended; `None` leaves batches to other processes.
    #[must_use]
    pub const fn with_batches(mut self, every: Option<Duration>) -> Self {
        self.batches = every;
        self
    }

    /// Looks so often at batches of which no child was heard. Default a minute.
    #[must_use]
    pub const fn with_batch_check(mut self, every: Duration) -> Self {
        self.check = every;
        self
    }

    /// Deletes what `policy` no longer keeps, at the start and each hour.
    #[must_use]
    pub const fn with_retention(self, policy: RetentionPolicy) -> Self {
        self.with_retention_every(policy, Duration::from_hours(1))
    }

    /// Deletes what `policy` no longer keeps, at the start and so often.
    #[must_use]
    pub const fn with_retention_every(mut self, policy: RetentionPolicy, every: Duration) -> Self {
        self.retention = Some((policy, every));
        self
    }

    /// Delivers webhooks.
    #[must_use]
    pub fn with_webhooks(mut self, deliverer: WebhookDeliverer) -> Self {
        self.deliverer = Some(deliverer);
        self
    }

    /// Works until `shutdown` fires. Then sweeps and looks at batches are left where they are, even within a call of the
    /// store: what such a call did is not in the report. Retention ends its page, and webhooks under way their timeout.
    pub async fn run(&self, shutdown: CancellationToken) -> MaintenanceReport {
        let webhooks = async {
            match &self.deliverer {
                Some(deliverer) => deliverer.run(shutdown.clone()).await,
                None => DeliveryReport::default(),
            }
        };
        let (swept, tended, checked, retained, webhooks) = tokio::join!(
            self.sweeping(&shutdown),
            self.tending(&shutdown),
            self.checking(&shutdown),
            self.retaining(&shutdown),
            webhooks
        );
        let ((expired, ended), mut batches) = (swept.0, tended.0);
        batches.add(checked.0);
        let failures = swept.1 + tended.1 + checked.1 + retained.1;
        MaintenanceReport { expired, ended, batches, retained: retained.0, webhooks, failures }
    }

    async fn sweeping(&self, shutdown: &CancellationToken) -> ((u64, u64), u64) {
        let mut rounds = Rounds::new("sweep", self.sweep, &self.random, shutdown);
        let mut total = (0, 0);
        while rounds.go_on() {
            let round = rounds.until_shutdown(self.sweep_all(&mut total)).await;
            rounds.pause(round).await;
        }
        (total, rounds.failures)
    }

    async fn sweep_all(&self, total: &mut (u64, u64)) -> Result<(), StoreError> {
        let count = |jobs: usize| u64::try_from(jobs).unwrap_or(0);
        loop {
            let swept = self.store.sweep(SweepOptions::new(self.clock.now())).await?;
            total.0 += count(swept.expired);
            total.1 += count(swept.timed_out + swept.cancelled);
            if !swept.more {
                return Ok(());
            }
            // A store in memory never waits: others, and the shutdown, get their turn here.
            crate::turn::give_way().await;
        }
    }

    async fn tending(&self, shutdown: &CancellationToken) -> (KeeperReport, u64) {
        let mut rounds = Rounds::new("batches", self.batches, &self.random, shutdown);
        let keeper = BatchKeeper::with_clock(Arc::clone(&self.store), Arc::clone(&self.clock));
        let mut total = KeeperReport::default();
        while rounds.go_on() {
            let round = rounds.until_shutdown(keeper.tend_into(&mut total)).await;
            rounds.pause(round).await;
        }
        (total, rounds.failures)
    }

    async fn checking(&self, shutdown: &CancellationToken) -> (KeeperReport, u64) {
        let every = self.batches.map(|_| self.check);
        let mut rounds = Rounds::new("batch check", every, &self.random, shutdown);
        let keeper = BatchKeeper::with_clock(Arc::clone(&self.store), Arc::clone(&self.clock));
        let mut total = KeeperReport::default();
        while rounds.go_on() {
            let round = rounds.until_shutdown(keeper.check_into(&mut total)).await;
            rounds.pause(round).await;
        }
        (total, rounds.failures)
    }

    async fn retaining(&self, shutdown: &CancellationToken) -> (Retained, u64) {
        let mut total = Retained::default();
        let Some((policy, every)) = self.retention else { return (total, 0) };
        let mut rounds = Rounds::new("retention", Some(every), &self.random, shutdown);
        let jobs = JobManager::with_parts(Arc::clone(&self.store), Arc::clone(&self.clock), Arc::clone(&self.random));
        while rounds.go_on() {
            let round = jobs.retain_until(&policy, shutdown).await.map(|report| total.add(report));
            rounds.pause(round).await;
        }
        (total, rounds.failures)
    }
}

/// The pace of one duty.
struct Rounds<'m> {
    duty: &'static str,
    every: Option<Duration>,
    random: &'m Random,
    shutdown: &'m CancellationToken,
    failures: u64,
    in_a_row: u32,
}

impl<'m> Rounds<'m> {
    fn new(duty: &'static str, every: Option<Duration>, random: &'m Random, shutdown: &'m CancellationToken) -> Self {
        // Zero would spin.
        let every = every.map(|every| every.max(Duration::from_millis(1)));
        Self { duty, every, random, shutdown, failures: 0, in_a_row: 0 }
    }

    fn go_on(&self) -> bool {
        self.every.is_some() && !self.shutdown.is_cancelled()
    }

    /// A round, or what of it was done by the shutdown. Calls of a store are cancel safe, and a round that was left in the
    /// middle is taken up by whoever runs next.
    async fn until_shutdown(&self, round: impl Future<Output = Result<(), StoreError>>) -> Result<(), StoreError> {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Ok(()),
            round = round => round,
        }
    }

    async fn pause(&mut self, round: Result<(), StoreError>) {
        let Some(every) = self.every else { return };
        let wait = match round {
            Ok(()) => {
                self.in_a_row = 0;
                // Between half of it and all of it, so that the processes of a host do not all ask at one time.
                RetryPolicy::new(every, every).delay(1, self.random.u64())
            }
            Err(error) => {
                self.failures += 1;
                self.in_a_row = self.in_a_row.saturating_add(1);
                let own = BACKOFF.delay(self.in_a_row, self.random.u64()).max(every);
                let wait = error.retry_after().unwrap_or(own);
                tracing::warn!(%error, duty = self.duty, ?wait, "the job store failed; trying again");
                wait
            }
        };
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
