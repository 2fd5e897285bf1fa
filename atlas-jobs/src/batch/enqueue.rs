//! Making a batch, so that making it twice makes it once.

use super::{BatchRule, Plan};
use crate::manager::{Accepted, JobManager, ManagerError, reserved};
use crate::spec::JobSpec;
use crate::store::{JobRef, JobStoreExt};
use atlas_schema::{Actor, IdempotencyKey, InvalidId, JobId, JobKind, JobRecord, QueueName};
use std::collections::VecDeque;

/// So many children are enqueued by one call of the store.
const PAGE: usize = 500;

/// The most batches that one call makes, those within others included.
const MOST_BATCHES: usize = 10_000;

/// A batch to be made.
///
/// # Example: three jobs and their whole
/// ```
/// use atlas_jobs::batch::{BatchKeeper, BatchSpec};
/// use atlas_jobs::{HandlerError, JobManager, JobSpec, MemoryJobs, Worker, handler_fn};
/// use atlas_schema::{IdempotencyKey, JobKind, JobStatus, Stage};
/// use std::sync::Arc;
/// use tokio_util::sync::CancellationToken;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryJobs::new(Stage::Dev));
/// let jobs = JobManager::new(store.clone())?;
/// let square = JobKind::new("square")?;
/// let children = (1..=3).map(|n| JobSpec::new(square.clone(), &n)).collect::<Result<Vec<_>, _>>()?;
/// let batch = jobs.batch(BatchSpec::new(IdempotencyKey::new("squares:1")?, children)).await?;
///
/// let handler = Arc::new(handler_fn(|_, n: u32| async move { Ok::<_, HandlerError>(n * n) }));
/// let worker = Worker::builder(store.clone()).handler(square, handler).stop_when_drained(true).build()?;
/// worker.run(CancellationToken::new()).await?;
/// BatchKeeper::new(store).tend().await?;
///
/// let progress = jobs.batch_progress(batch.id).await?.ok_or("it was just made")?;
/// assert_eq!((progress.status, progress.counts.completed), (JobStatus::Completed, 3));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BatchSpec {
    /// The batch itself: its tenant, callback, deadline, and a parent if it is part of another batch. Its kind and
    /// payload are set when it is made. Its queue is `batches` by default: no worker takes it, and it should not look
    /// like work that waits.
    pub job: JobSpec,
    /// When it is complete; default when every child is.
    pub rule: BatchRule,
    /// Stops the rest as soon as the rule can't be met. Default false: the rest runs on, and is counted.
    pub fail_fast: bool,
    /// Stops the rest once the rule is met. Default false. It matters for [`BatchRule::AtLeast`] only.
    pub cancel_rest: bool,
    /// The children, in order. A job that names the batch as its parent by itself, and comes once the batch has ended, runs
    /// like any other: nobody stops it, and the batch's end stands.
    pub children: Vec<Child>,
}

/// A part of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Child {
    /// A job.
    Job(Box<JobSpec>),
    /// A batch of its own. It counts as one child.
    Batch(Box<BatchSpec>),
}

impl From<JobSpec> for Child {
    fn from(spec: JobSpec) -> Self {
        Self::Job(Box::new(spec))
    }
}

impl From<BatchSpec> for Child {
    fn from(spec: BatchSpec) -> Self {
        Self::Batch(Box::new(spec))
    }
}

impl BatchSpec {
    /// A batch of these children, which all must complete.
    ///
    /// `key` is the batch's idempotency key: making the batch again with the same key and the same children enqueues
    /// what is missing and nothing twice.
    pub fn new<C: Into<Child>>(key: IdempotencyKey, children: impl IntoIterator<Item = C>) -> Self {
        let mut job = JobSpec::of_value(JobKind::batch(), serde_json::Value::Null).with_idempotency_key(key);
        if let Ok(queue) = QueueName::new("batches") {
            job.queue = queue;
        }
        let children = children.into_iter().map(Into::into).collect();
        Self { job, rule: BatchRule::All, fail_fast: false, cancel_rest: false, children }
    }

    /// With another rule.
    #[must_use]
    pub const fn with_rule(mut self, rule: BatchRule) -> Self {
        self.rule = rule;
        self
    }

    /// Stopping the rest as soon as the rule can't be met.
    #[must_use]
    pub const fn with_fail_fast(mut self, fail_fast: bool) -> Self {
        self.fail_fast = fail_fast;
        self
    }

    /// Stopping the rest once the rule is met.
    #[must_use]
    pub const fn with_cancel_rest(mut self, cancel_rest: bool) -> Self {
        self.cancel_rest = cancel_rest;
        self
    }

    /// With changes to the batch's own job: its tenant, callback, deadline.
    #[must_use]
    pub fn with_job(mut self, change: impl FnOnce(JobSpec) -> JobSpec) -> Self {
        self.job = change(self.job);
        self
    }

    fn plan(&self) -> Plan {
        let children = u64::try_from(self.children.len()).unwrap_or(u64::MAX);
        Plan { children, rule: self.rule, fail_fast: self.fail_fast, cancel_rest: self.cancel_rest }
    }
}

/// A batch that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// Its key.
    pub id: JobId,
    /// The keys of its own children, in the order of the spec. A batch that has ended takes no more: those it does not
    /// have are left out.
    pub children: Vec<JobId>,
    /// Whether it is new.
    pub created: bool,
}

/// Why a batch could not be made, or not all of it. What was enqueued stays: repeating the call with the same key goes
/// on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The batch itself was not taken.
    #[error("the batch was not taken")]
    Batch(#[source] ManagerError),
    /// A child was not taken.
    #[error("child {index} of the batch was not taken")]
    Child {
        /// Its place, from 0.
        index: usize,
        /// Why.
        #[source]
        source: ManagerError,
    },
    /// A child is there already, and belongs to something else.
    #[error("child {index} is job {existing}, which is no part of this batch: give it a key of its own, or none")]
    Foreign {
        /// Its place, from 0.
        index: usize,
        /// The job that is there.
        existing: JobId,
    },
    /// A child names another parent.
    #[error("child {index} names a parent of its own: leave it out, the batch sets it")]
    Parent {
        /// Its place, from 0.
        index: usize,
    },
    /// More can't be waited for than there is.
    #[error("a batch needs children, and a rule of at least 1 and at most as many as it has")]
    Rule,
    /// There are more than ten thousand batches within this one.
    #[error("a batch may hold at most {MOST_BATCHES} batches: split it")]
    TooMany,
    /// A key is too long to be used for the children.
    #[error(transparent)]
    Key(#[from] InvalidId),
    /// The plan has no JSON form.
    #[error("the plan of the batch has no JSON form")]
    Json(#[from] serde_json::Error),
    /// The store failed.
    #[error("the job store failed")]
    Store(#[from] crate::error::StoreError),
}

/// A batch whose parent, if it has one, is in the store.
struct Task {
    spec: BatchSpec,
    place: Option<JobId>,
}

pub(crate) async fn make(jobs: &JobManager, spec: BatchSpec) -> Result<Batch, BatchError> {
    check(&spec)?;
    let mut queue = VecDeque::from([Task { spec, place: None }]);
    let mut first = None;
    while let Some(task) = queue.pop_front() {
        let made = one(jobs, task, &mut queue).await?;
        first.get_or_insert(made);
    }
    first.ok_or(BatchError::Rule)
}

/// Refuses what can't end, before anything is written.
fn check(spec: &BatchSpec) -> Result<(), BatchError> {
    let mut open = vec![spec];
    let mut batches = 0;
    while let Some(spec) = open.pop() {
        batches += 1;
        let children = spec.plan().children;
        let met = match spec.rule {
            BatchRule::AtLeast(wanted) => (1..=children).contains(&wanted),
            BatchRule::All | BatchRule::Ended => true,
        };
        if children == 0 || !met {
            return Err(BatchError::Rule);
        }
        if batches > MOST_BATCHES {
            return Err(BatchError::TooMany);
        }
        for (index, child) in spec.children.iter().enumerate() {
            let job = match child {
                Child::Job(job) => {
                    reserved(&job.kind).map_err(|source| BatchError::Child { index, source })?;
                    job
                }
                Child::Batch(inner) => {
                    open.push(inner);
                    &inner.job
                }
            };
            if job.parent.is_some() {
                return Err(BatchError::Parent { index });
            }
        }
    }
    Ok(())
}

/// Enqueues one batch and its children; batches among the children come as jobs here and are filled later.
async fn one(jobs: &JobManager, task: Task, queue: &mut VecDeque<Task>) -> Result<Batch, BatchError> {
    let Task { spec, place } = task;
    let accepted = match place {
        Some(id) => Accepted::Existing(id),
        None => jobs.enqueue_own(parent(&spec)?).await.map_err(BatchError::Batch)?,
    };
    let created = matches!(accepted, Accepted::Created(_));
    let record = read(jobs, accepted.id()).await?;
    let batch = record.id;
    let mut made = Batch { id: batch, children: Vec::new(), created };
    let mut children = spec.children.into_iter().enumerate();
    let mut ended = record.status.is_terminal();
    loop {
        let page: Vec<_> = children.by_ref().take(PAGE).collect();
        if page.is_empty() {
            return Ok(made);
        }
        let mut specs = Vec::with_capacity(page.len());
        let mut given = Vec::with_capacity(page.len());
        let mut inner = Vec::new();
        for (index, child) in page {
            let mut job = match child {
                Child::Job(job) => *job,
                Child::Batch(spec) => {
                    let job = parent(&spec)?;
                    inner.push((given.len(), spec));
                    job
                }
            };
            given.push((index, job.idempotency_key.is_some() || job.id.is_some() || job.external_id.is_some()));
            job.parent = Some(batch);
            if job.idempotency_key.is_none() {
                job.idempotency_key = Some(IdempotencyKey::new(format!("batch:{batch}:{index}"))?);
            }
            job.correlation_id = job.correlation_id.or_else(|| Some(record.correlation_id.clone()));
            specs.push(job);
        }
        if ended {
            made.children.extend(find(jobs, batch, &specs).await?);
            continue;
        }
        let ids = accept(jobs, batch, specs, &given).await?;
        for (at, spec) in inner {
            queue.push_back(Task { spec: *spec, place: ids.get(at).copied() });
        }
        made.children.extend(ids);
        // A batch that was cancelled, or decided, in the meantime takes no more. What came too late is stopped.
        ended = read(jobs, batch).await?.status.is_terminal();
        if ended {
            super::keeper::stop_late_children(jobs.store(), batch, jobs.now()).await?;
        }
    }
}

/// The children that an ended batch has.
async fn find(jobs: &JobManager, batch: JobId, specs: &[JobSpec]) -> Result<Vec<JobId>, BatchError> {
    let key = |spec: &JobSpec| Some(JobRef::Idempotency(spec.tenant.clone(), spec.idempotency_key.clone()?));
    let found = jobs.store().get(specs.iter().filter_map(key).collect()).await?;
    Ok(found.into_iter().flatten().filter(|job| job.parent == Some(batch)).map(|job| job.id).collect())
}

async fn accept(
    jobs: &JobManager,
    batch: JobId,
    specs: Vec<JobSpec>,
    given: &[(usize, bool)],
) -> Result<Vec<JobId>, BatchError> {
    let answers = jobs.enqueue_as(specs, &Actor::Batch {}).await.map_err(BatchError::Batch)?;
    let mut ids = Vec::with_capacity(answers.len());
    for (answer, (index, own_key)) in answers.into_iter().zip(given) {
        let accepted = answer.map_err(|source| BatchError::Child { index: *index, source })?;
        if let (Accepted::Existing(existing), true) = (accepted, *own_key)
            && read(jobs, existing).await?.parent != Some(batch)
        {
            return Err(BatchError::Foreign { index: *index, existing });
        }
        ids.push(accepted.id());
    }
    Ok(ids)
}

fn parent(spec: &BatchSpec) -> Result<JobSpec, BatchError> {
    let mut job = spec.job.clone();
    job.kind = JobKind::batch();
    job.payload = serde_json::to_value(spec.plan())?;
    Ok(job)
}

async fn read(jobs: &JobManager, id: JobId) -> Result<JobRecord, BatchError> {
    jobs.store().get_one(JobRef::Id(id)).await?.ok_or(BatchError::Batch(ManagerError::NotFound))
}
