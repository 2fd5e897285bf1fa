//! The manager: what callers and operators do with jobs.

mod batches;
mod letters;
mod queues;
mod retention;
#[cfg(feature = "schedules")]
mod schedules;

pub use letters::{RedriveOptions, Redriven};

use crate::clock::{Clock, SystemClock};
use crate::error::StoreError;
use crate::random::{NoEntropy, Random};
use crate::spec::{JobSpec, NewJob};
use crate::state::Reject;
use crate::store::{
    CommandOutcome, CommandRequest, Enqueued, HistoryOptions, JobCommand, JobRef, JobStore, JobStoreExt, ListOptions,
    Page, Purge, PurgeOptions, Purged, QueueChange, QueueState, Scope, Statistics, SweepOptions, Swept,
};
use atlas_schema::{Actor, AuditEvent, JobId, JobKind, JobRecord, JobStatus};
use std::sync::Arc;
use std::time::Duration;

/// Why a manager's call had no effect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// The store failed.
    #[error("the job store failed")]
    Store(#[from] StoreError),
    /// A key is taken by another job.
    #[error("the key belongs to job {existing}, whose {differs} is another: use a new key for new work")]
    Conflict {
        /// The job that is there.
        existing: JobId,
        /// What differs.
        differs: &'static str,
    },
    /// The job's state, or a limit, allows no such thing.
    #[error("the request does not apply")]
    Rejected(#[from] Reject),
    /// Jobs of this kind are made in a way of their own.
    #[error("jobs of kind `{kind}` are made by `JobManager::batch` and `JobManager::schedule`: name another kind")]
    ReservedKind {
        /// `batch`, `schedule` or `schedule.tick`.
        kind: JobKind,
    },
    /// There is no such job.
    #[error("no such job: check the id and the stage")]
    NotFound,
}

/// A job after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changed {
    /// The status after.
    pub status: JobStatus,
    /// The version after.
    pub version: u64,
}

/// Enqueues, reads and steers jobs in a store. Clones share it.
///
/// # Example: enqueue and read back
/// ```
/// use atlas_jobs::{JobManager, JobSpec, MemoryJobs};
/// use atlas_schema::{JobKind, JobStatus, Stage};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let jobs = JobManager::new(std::sync::Arc::new(MemoryJobs::new(Stage::Dev)))?;
/// let id = jobs.enqueue(JobSpec::new(JobKind::new("greet")?, &"Ann")?).await?.id();
/// let job = jobs.get(id).await?.ok_or("it was just enqueued")?;
/// assert_eq!(job.status, JobStatus::Pending);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct JobManager {
    store: Arc<dyn JobStore>,
    clock: Arc<dyn Clock>,
    random: Arc<Random>,
    actor: Actor,
}

/// A job that is in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is new.
    Created(JobId),
    /// The same job was there already.
    Existing(JobId),
}

impl Accepted {
    /// The job's key.
    pub const fn id(self) -> JobId {
        match self {
            Self::Created(id) | Self::Existing(id) => id,
        }
    }
}

/// Refuses the kinds that are not jobs to be run: without a plan or a time table they would wait for ever.
pub(crate) fn reserved(kind: &JobKind) -> Result<(), ManagerError> {
    if [JobKind::batch(), JobKind::schedule(), JobKind::schedule_tick()].contains(kind) {
        return Err(ManagerError::ReservedKind { kind: kind.clone() });
    }
    Ok(())
}

impl JobManager {
    /// Over `store`, with the clocks and the random bits of the operating system.
    ///
    /// # Errors
    /// [`NoEntropy`] if the operating system has no random bits.
    pub fn new(store: Arc<dyn JobStore>) -> Result<Self, NoEntropy> {
        let random = Arc::new(Random::from_os()?);
        Ok(Self::with_parts(store, Arc::new(SystemClock::new()), random))
    }

    /// Over `store`, with clocks and random bits of the caller's: for tests and simulations.
    pub fn with_parts(store: Arc<dyn JobStore>, clock: Arc<dyn Clock>, random: Arc<Random>) -> Self {
        Self { store, clock, random, actor: Actor::Caller {} }
    }

    /// The store.
    pub const fn store(&self) -> &Arc<dyn JobStore> {
        &self.store
    }

    /// The present moment by the manager's clock.
    pub(crate) fn now(&self) -> crate::clock::Moment {
        self.clock.now()
    }

    /// The job that [`enqueue`](Self::enqueue) would hand to the store, for ways in that a store has of its own: one into a
    /// transaction of the host's, for instance. Nothing is written, and each call gives another job unless the spec
    /// names its id.
    #[must_use]
    pub fn prepare(&self, spec: JobSpec) -> NewJob {
        let id = self.random.job_id(self.clock.now().wall);
        NewJob::new(spec, self.store.stage(), id, self.random.correlation_id()).with_actor(self.actor.clone())
    }

    /// Adds one job.
    ///
    /// # Errors
    /// [`ManagerError::Conflict`] if a key is taken by other work, [`ManagerError::Rejected`] for a spec outside its
    /// limits, [`ManagerError::ReservedKind`] for a batch or a schedule; nothing was written then.
    pub async fn enqueue(&self, spec: JobSpec) -> Result<Accepted, ManagerError> {
        self.enqueue_many(vec![spec]).await?.pop().unwrap_or(Err(ManagerError::NotFound))
    }

    /// Adds jobs in one round trip. One answer per spec, in order: a refused one does not stop the others. Batches and
    /// schedules have ways of their own, and are refused here.
    ///
    /// # Errors
    /// The store's.
    pub async fn enqueue_many(&self, specs: Vec<JobSpec>) -> Result<Vec<Result<Accepted, ManagerError>>, ManagerError> {
        let refusals: Vec<Option<ManagerError>> = specs.iter().map(|spec| reserved(&spec.kind).err()).collect();
        let allowed = specs.into_iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
        let mut answers = self.enqueue_as(allowed.map(|(spec, _)| spec).collect(), &self.actor).await?.into_iter();
        let answer = |refusal: Option<ManagerError>| match refusal {
            Some(refusal) => Some(Err(refusal)),
            None => answers.next(),
        };
        Ok(refusals.into_iter().filter_map(answer).collect())
    }

    /// One job of the crate's own making, for a caller.
    pub(crate) async fn enqueue_own(&self, spec: JobSpec) -> Result<Accepted, ManagerError> {
        self.enqueue_as(vec![spec], &self.actor).await?.pop().unwrap_or(Err(ManagerError::NotFound))
    }

    /// The same for jobs that someone else than a caller makes: a batch, a schedule.
    pub(crate) async fn enqueue_as(
        &self,
        specs: Vec<JobSpec>,
        actor: &Actor,
    ) -> Result<Vec<Result<Accepted, ManagerError>>, ManagerError> {
        let jobs = specs.into_iter().map(|spec| self.prepare(spec).with_actor(actor.clone())).collect();
        let answers = self.store.enqueue(jobs, self.clock.now()).await?;
        let accept = |answer| match answer {
            Enqueued::Created { id } => Ok(Accepted::Created(id)),
            Enqueued::Existing { id } => Ok(Accepted::Existing(id)),
            Enqueued::Conflict { id, differs } => Err(ManagerError::Conflict { existing: id, differs }),
            Enqueued::Refused(reject) => Err(ManagerError::Rejected(reject)),
        };
        Ok(answers.into_iter().map(accept).collect())
    }

    /// One job, by its id or another of its names; `None` if it is not there.
    ///
    /// # Errors
    /// The store's.
    pub async fn get(&self, reference: impl Into<JobRef>) -> Result<Option<JobRecord>, StoreError> {
        self.store.get_one(reference.into()).await
    }

    /// Stops a job: at once if it waits, and within `acknowledge_within` if it runs.
    ///
    /// # Errors
    /// [`ManagerError::Rejected`] if it has ended, or is being cancelled already.
    pub async fn cancel(
        &self,
        job: JobId,
        reason: impl Into<String>,
        acknowledge_within: Duration,
    ) -> Result<Changed, ManagerError> {
        self.command(job, None, JobCommand::Cancel { reason: reason.into(), acknowledge_within }).await
    }

    /// Sends a failed, cancelled or timed-out job round again.
    ///
    /// # Errors
    /// [`ManagerError::Rejected`] if it has not ended so.
    pub async fn redrive(&self, job: JobId, reason: impl Into<String>) -> Result<Changed, ManagerError> {
        self.command(job, None, JobCommand::Redrive { reason: reason.into(), delay: Duration::ZERO }).await
    }

    /// Any command, if the job is still at `if_version`.
    ///
    /// # Errors
    /// [`ManagerError::Rejected`] with [`Reject::VersionConflict`] if the job changed since it was read.
    pub async fn command(
        &self,
        job: JobId,
        if_version: Option<u64>,
        command: JobCommand,
    ) -> Result<Changed, ManagerError> {
        let request = CommandRequest { job, if_version, command };
        match self.store.command(vec![request], self.actor.clone(), self.clock.now()).await?.pop() {
            Some(CommandOutcome::Applied { status, version }) => Ok(Changed { status, version }),
            Some(CommandOutcome::Rejected(reject)) => Err(ManagerError::Rejected(reject)),
            Some(CommandOutcome::NotFound) | None => Err(ManagerError::NotFound),
        }
    }

    /// One page of jobs.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, options: ListOptions) -> Result<Page<JobRecord>, StoreError> {
        self.store.list(options).await
    }

    /// One page of a job's audit trail.
    ///
    /// # Errors
    /// The store's.
    pub async fn history(&self, options: HistoryOptions) -> Result<Page<AuditEvent>, StoreError> {
        self.store.history(options).await
    }

    /// Counts of the jobs in a scope.
    ///
    /// # Errors
    /// The store's.
    pub async fn statistics(&self, scope: Scope) -> Result<Statistics, StoreError> {
        self.store.statistics(scope).await
    }

    /// Ends what nobody else ends. Workers do it too: call it where none runs.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep(&self) -> Result<Swept, StoreError> {
        self.store.sweep(SweepOptions::new(self.clock.now())).await
    }

    /// Deletes ended jobs.
    ///
    /// # Errors
    /// The store's.
    pub async fn purge(&self, options: PurgeOptions) -> Result<Purged, StoreError> {
        self.store.purge(options).await
    }

    /// Deletes a job whose record can't be read any more and whom nobody will mend, with what is kept of it: see
    /// [`Purge::Unreadable`](crate::store::Purge::Unreadable). False if it can be read, or is not there. A batch that it
    /// is a part of counts it as one that never came.
    ///
    /// # Errors
    /// The store's.
    pub async fn discard(&self, job: JobId) -> Result<bool, StoreError> {
        let purged = self.store.purge(PurgeOptions::new(Purge::Unreadable(vec![job]))).await?;
        Ok(purged.jobs > 0)
    }

    /// Pauses, resumes or limits a queue.
    ///
    /// # Errors
    /// The store's; of kind `Unsupported` if it has no such ability.
    pub async fn control(&self, change: QueueChange) -> Result<Vec<QueueState>, StoreError> {
        self.store.queues(vec![change], self.clock.now()).await
    }
}
