//! Counts that are complete and cheap.

use atlas_schema::{JobId, JobKind, JobRecord, JobStatus, QueueName, TenantId, Timestamp};
use std::time::Duration;

/// Which jobs are counted. Empty means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scope {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// In this queue.
    pub queue: Option<QueueName>,
    /// Of this kind.
    pub kind: Option<JobKind>,
    /// Children of this batch: costs as much as the batch has children.
    pub parent: Option<JobId>,
}

impl Scope {
    /// Of one tenant.
    #[must_use]
    pub fn with_tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// In one queue.
    #[must_use]
    pub fn with_queue(mut self, queue: QueueName) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Of one kind.
    #[must_use]
    pub fn with_kind(mut self, kind: JobKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Children of one batch.
    #[must_use]
    pub const fn with_parent(mut self, parent: JobId) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Whether a count belongs to it, its parent aside.
    pub fn covers(&self, tenant: &TenantId, queue: &QueueName, kind: &JobKind) -> bool {
        self.tenant.as_ref().is_none_or(|wanted| wanted == tenant)
            && self.queue.as_ref().is_none_or(|wanted| wanted == queue)
            && self.kind.as_ref().is_none_or(|wanted| wanted == kind)
    }
}

/// How many jobs of one queue and kind stand in one status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The queue.
    pub queue: QueueName,
    /// The kind.
    pub kind: JobKind,
    /// The status.
    pub status: JobStatus,
    /// How many.
    pub jobs: u64,
    /// For ended jobs: the sum of the times from the start of the last attempt to the end.
    pub processing: Duration,
}

impl Count {
    /// For stores: what a record adds to [`processing`](Self::processing). Zero until it has ended, or if it never ran.
    pub fn processing_of<P>(record: &JobRecord<P>) -> Duration {
        match (record.finished_at, record.started_at) {
            (Some(end), Some(start)) => end.since(start),
            _ => Duration::ZERO,
        }
    }
}

/// The counts of a scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// By queue, kind and status, in that order, without zeros.
    pub counts: Vec<Count>,
    /// The earliest run-at time of a pending job in the scope's queue and of its kind, whatever its tenant: how far
    /// the queue lags. `None` for the children of a batch.
    pub oldest_pending: Option<Timestamp>,
}

impl Statistics {
    /// For stores: sorts and merges counts, drops zeros.
    pub fn new(mut counts: Vec<Count>, oldest_pending: Option<Timestamp>) -> Self {
        counts.sort_by(|a, b| (&a.queue, &a.kind, a.status).cmp(&(&b.queue, &b.kind, b.status)));
        counts.dedup_by(|next, first| {
            let same = (&next.queue, &next.kind, next.status) == (&first.queue, &first.kind, first.status);
            if same {
                first.jobs += next.jobs;
                first.processing += next.processing;
            }
            same
        });
        counts.retain(|count| count.jobs > 0);
        Self { counts, oldest_pending }
    }

    /// All jobs.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|count| count.jobs).sum()
    }

    /// Jobs in one status.
    pub fn in_status(&self, status: JobStatus) -> u64 {
        self.counts.iter().filter(|count| count.status == status).map(|count| count.jobs).sum()
    }

    /// Jobs that have not ended.
    pub fn unfinished(&self) -> u64 {
        self.counts.iter().filter(|count| !count.status.is_terminal()).map(|count| count.jobs).sum()
    }

    /// The share of completed jobs among those completed or failed, from 0 to 1; `None` if there are none.
    pub fn success_rate(&self) -> Option<f64> {
        let done = self.in_status(JobStatus::Completed);
        let all = done + self.in_status(JobStatus::Failed);
        #[expect(clippy::cast_precision_loss, reason = "a share for people")]
        (all > 0).then(|| done as f64 / all as f64)
    }

    /// The mean processing time of completed and failed jobs; `None` if there are none.
    pub fn mean_processing(&self) -> Option<Duration> {
        let ended = |count: &&Count| matches!(count.status, JobStatus::Completed | JobStatus::Failed);
        let jobs: u64 = self.counts.iter().filter(ended).map(|count| count.jobs).sum();
        let sum: Duration = self.counts.iter().filter(ended).map(|count| count.processing).sum();
        let millis = u64::try_from(sum.as_millis()).ok()?.checked_div(jobs)?;
        Some(Duration::from_millis(millis))
    }
}
