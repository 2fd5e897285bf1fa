//! How long ended jobs are kept.

use atlas_schema::{JobId, JobStatus, Timestamp};
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

/// How long jobs are kept after their end, per status. `None` keeps them for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionPolicy {
    /// Completed ones; default 7 days.
    pub completed: Option<Duration>,
    /// Failed ones, the dead letters; default 30 days.
    pub failed: Option<Duration>,
    /// Cancelled ones; default 7 days.
    pub cancelled: Option<Duration>,
    /// Timed-out ones; default 30 days.
    pub timeout: Option<Duration>,
}

impl Default for RetentionPolicy {
    fn default() -> Self {
        Self { completed: Some(DAY * 7), failed: Some(DAY * 30), cancelled: Some(DAY * 7), timeout: Some(DAY * 30) }
    }
}

impl RetentionPolicy {
    /// Keeps everything.
    pub const fn keep_all() -> Self {
        Self { completed: None, failed: None, cancelled: None, timeout: None }
    }

    /// With another age for one end. Statuses that are no end are kept whatever is said.
    #[must_use]
    pub const fn with(mut self, status: JobStatus, keep: Option<Duration>) -> Self {
        match status {
            JobStatus::Completed => self.completed = keep,
            JobStatus::Failed => self.failed = keep,
            JobStatus::Cancelled => self.cancelled = keep,
            JobStatus::Timeout => self.timeout = keep,
            JobStatus::Pending | JobStatus::Processing => {}
        }
        self
    }

    /// What may go at `now`: for each end that is not kept for ever, the time before which a job must have ended.
    ///
    /// `oldest_open_batch` is when the oldest batch was made that has not ended: what ended since may be one of its
    /// children, which it still has to count, and stays.
    pub(crate) fn cuts(&self, now: Timestamp, oldest_open_batch: Option<Timestamp>) -> impl Iterator<Item = Cut> {
        let ages = [
            (JobStatus::Completed, self.completed),
            (JobStatus::Failed, self.failed),
            (JobStatus::Cancelled, self.cancelled),
            (JobStatus::Timeout, self.timeout),
        ];
        ages.into_iter().filter_map(move |(status, keep)| {
            let keep = keep?;
            let cut = now.saturating_sub(keep);
            Some(Cut { status, before: oldest_open_batch.map_or(cut, |made| cut.min(made)), keep })
        })
    }
}

/// What may go: jobs that ended so before then.
pub(crate) struct Cut {
    pub(crate) status: JobStatus,
    pub(crate) before: Timestamp,
    /// The age that this is by the caller's clock, or less.
    pub(crate) keep: Duration,
}

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retained {
    /// Completed jobs.
    pub completed: u64,
    /// Failed jobs.
    pub failed: u64,
    /// Cancelled jobs.
    pub cancelled: u64,
    /// Timed-out jobs.
    pub timeout: u64,
    /// The open batch that kept jobs which are old enough to go, if one did: nothing that ended after it was made is
    /// deleted. Cancel it if nobody will complete it.
    pub held_back_by: Option<JobId>,
    /// An open batch that can't be read kept jobs that are old enough to go: of an end whose age is below the batch's, nothing
    /// is deleted. Mend it, or [`discard`](crate::JobManager::discard) it; the log names what can't be read.
    pub held_back_by_unreadable: bool,
}

impl Retained {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.completed + self.failed + self.cancelled + self.timeout
    }

    pub(crate) const fn add(&mut self, round: Self) {
        self.completed += round.completed;
        self.failed += round.failed;
        self.cancelled += round.cancelled;
        self.timeout += round.timeout;
        self.held_back_by = round.held_back_by;
        self.held_back_by_unreadable = round.held_back_by_unreadable;
    }

    pub(crate) fn count(&mut self, status: JobStatus, jobs: usize) {
        let jobs = u64::try_from(jobs).unwrap_or(0);
        match status {
            JobStatus::Completed => self.completed += jobs,
            JobStatus::Failed => self.failed += jobs,
            JobStatus::Cancelled => self.cancelled += jobs,
            JobStatus::Timeout => self.timeout += jobs,
            JobStatus::Pending | JobStatus::Processing => {}
        }
    }
}
