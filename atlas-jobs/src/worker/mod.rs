//! The worker: takes jobs, runs handlers, hands in outcomes.
//!
//! One loop owns everything: slots, jobs that wait for one, outcomes that wait for the next round trip. It never decides
//! what an outcome means for a job (the state machine does), nor whether its own leases still hold (the store does).
//! Sweeping is part of the loop, so that one worker alone recovers what a dead one left.
//!
//! Round trips are few because outcomes ride with the next claim, and because fast jobs are fetched ahead of the slots:
//! as many as end within 20 ms (or three round trips of a slow store, up to 100 ms) at the present rate, 1000 at most, none
//! where handlers take longer than that. A job that waits is leased but has not started: its time has not begun, its
//! deadline and its cancel still count, and it goes back, attempt not counted, on shutdown or after five times as long.

mod attempt;
mod builder;
mod context;
mod handler;
mod kept;
mod plan;
mod run;
mod slots;
mod trip;

pub use builder::{InvalidWorker, WorkerBuilder};
pub use context::JobContext;
#[cfg(feature = "mock")]
pub use handler::MockJobHandler;
pub use handler::{AfterError, HandlerError, HandlerFn, JobHandler, handler_fn};

use crate::clock::Clock;
use crate::error::StoreError;
use crate::random::Random;
use crate::retry::RetryPolicy;
use crate::store::{JobStore, Wakeups};
use atlas_schema::{JobKind, QueueName, WorkerId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Runs the jobs of some queues with the handlers of some kinds.
///
/// # Example: one job from start to end
/// ```
/// use atlas_jobs::{HandlerError, JobContext, JobManager, JobSpec, MemoryJobs, Worker, handler_fn};
/// use atlas_schema::{JobKind, Stage};
/// use std::sync::Arc;
/// use tokio_util::sync::CancellationToken;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryJobs::new(Stage::Dev));
/// let jobs = JobManager::new(store.clone())?;
/// let greet = JobKind::new("greet")?;
/// let id = jobs.enqueue(JobSpec::new(greet.clone(), &"Ann")?).await?.id();
///
/// let handler = handler_fn(|_job: JobContext, name: String| async move {
///     Ok::<_, HandlerError>(format!("hello {name}"))
/// });
/// let worker = Worker::builder(store).handler(greet, Arc::new(handler)).stop_when_drained(true).build()?;
/// let report = worker.run(CancellationToken::new()).await?;
///
/// assert_eq!(report.completed, 1);
/// assert_eq!(jobs.get(id).await?.and_then(|job| job.result), Some("hello Ann".into()));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Worker {
    id: WorkerId,
    store: Arc<dyn JobStore>,
    clock: Arc<dyn Clock>,
    random: Arc<Random>,
    queues: Vec<QueueName>,
    handlers: BTreeMap<JobKind, Arc<dyn JobHandler>>,
    concurrency: usize,
    lease: Duration,
    heartbeat: Duration,
    poll: Duration,
    grace: Duration,
    patience: Duration,
    retry: RetryPolicy,
    stop_when_drained: bool,
    wakeups: Vec<Wakeups>,
    /// The last exchange, over all runs.
    beat: AtomicU64,
}

/// What a worker did, counted by attempts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerReport {
    /// Gave a result.
    pub completed: u64,
    /// Failed for good.
    pub failed: u64,
    /// Failed, and will be tried again.
    pub retried: u64,
    /// Stopped on request.
    pub cancelled: u64,
    /// Were handed back without an outcome.
    pub released: u64,
    /// Leases that were handed back before their handler started; no attempts.
    pub unstarted: u64,
    /// Came too late: the epoch was over, the outcome was dropped.
    pub lost: u64,
    /// Panicked; also counted as failed or retried.
    pub panicked: u64,
    /// Leases of other workers that this one's sweeps ended.
    pub recovered: u64,
    /// It stopped because nothing was left to do, as built; false if a shutdown came first.
    pub drained: bool,
}

/// Why a worker stopped on its own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The store failed in a way that waiting does not mend, or for longer than the worker's patience. Leases end by
    /// themselves; no outcome is lost that the store acknowledged.
    #[error("the worker stopped because its job store failed")]
    Store(#[from] StoreError),
}

impl Worker {
    /// A worker of `store`, to be filled.
    pub fn builder(store: Arc<dyn JobStore>) -> WorkerBuilder {
        WorkerBuilder::new(store)
    }

    /// The id under which its leases stand. Random per worker.
    pub const fn id(&self) -> &WorkerId {
        &self.id
    }

    /// Works until `shutdown` fires, or until its queues are drained if so built.
    ///
    /// On shutdown it claims no more, hands back what has not started, lets running handlers finish for the grace time, then fires their cancel tokens
    /// and a second later drops them and hands their jobs back, attempts not counted. A store that fails all that time
    /// is given up one second later. It may run again afterwards, but not twice at a time: one run would give back what
    /// the other holds.
    ///
    /// # Errors
    /// [`WorkerError::Store`].
    pub async fn run(&self, shutdown: CancellationToken) -> Result<WorkerReport, WorkerError> {
        run::run(self, shutdown).await
    }
}
