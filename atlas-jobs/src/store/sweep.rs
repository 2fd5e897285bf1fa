//! Ending what nobody else ends, and deleting what is old.

use crate::clock::Moment;
use atlas_schema::{JobId, JobStatus, Timestamp, WorkerId};
use std::time::Duration;

/// One sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweepOptions {
    /// When. `steady` judges silence, `wall` judges deadlines.
    pub now: Moment,
    /// At most so many jobs, 1 to [`MAX_PAGE`](super::MAX_PAGE).
    pub limit: usize,
    /// Workers that the caller knows to be dead, such as a child process it has waited for: their leases end at once.
    /// A wrong word costs a second run, never a second outcome.
    pub dead: Vec<WorkerId>,
}

impl SweepOptions {
    /// A sweep of up to 1000 jobs.
    pub const fn new(now: Moment) -> Self {
        Self { now, limit: super::MAX_PAGE, dead: Vec::new() }
    }

    /// Of at most so many jobs.
    #[must_use]
    pub const fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// With workers that are known to be dead.
    #[must_use]
    pub fn with_dead(mut self, workers: Vec<WorkerId>) -> Self {
        self.dead = workers;
        self
    }
}

/// What a sweep ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// Leases of silent workers.
    pub expired: usize,
    /// Jobs past their deadline.
    pub timed_out: usize,
    /// Cancels that no handler answered in time.
    pub cancelled: usize,
    /// The limit was reached: sweep again.
    pub more: bool,
}

/// Which jobs are deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purge {
    /// Those that ended in this status before this time. Stores may keep some a while longer, such as the rest of a
    /// day.
    Ended {
        /// Which end.
        status: JobStatus,
        /// Ended before then.
        before: Timestamp,
    },
    /// These, in any status but `processing`. The epochs of a deleted job are forgotten with it: an id must not be used
    /// again while a worker of the old job may still be at work, nor while a callback of it may still be under way: outbox
    /// keys, and so the message ids by which receivers tell repeats, are made of id and version.
    Jobs(Vec<JobId>),
    /// Those of these whose records can't be read any more, by their keys alone and in whatever status they are: a worker that
    /// is still at one is told that it is gone. Jobs that can be read are left alone. What damage has made of the rest of
    /// a job may keep a trace, such as one in the statistics; the log tells of it.
    Unreadable(Vec<JobId>),
}

/// One purge.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PurgeOptions {
    /// Which jobs.
    pub what: Purge,
    /// At most so many, 1 to [`MAX_PAGE`](super::MAX_PAGE).
    pub limit: usize,
    /// Of jobs that ended before a time, none that ended less than so long ago by the clock of a store that has one of its
    /// own ([`Capabilities::own_clock`](super::Capabilities::own_clock)): the caller's, which gave the time, may be wrong.
    /// Other stores know no better. Default zero.
    pub least_age: Duration,
}

impl PurgeOptions {
    /// Up to 1000 jobs.
    pub const fn new(what: Purge) -> Self {
        Self { what, limit: super::MAX_PAGE, least_age: Duration::ZERO }
    }

    /// None that ended less than so long ago by the store's own clock.
    #[must_use]
    pub const fn with_least_age(mut self, age: Duration) -> Self {
        self.least_age = age;
        self
    }

    /// At most so many.
    #[must_use]
    pub const fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }
}

/// What a purge deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// So many jobs.
    pub jobs: usize,
    /// The limit was reached, and another purge gets further: purge again. False if this one deleted nothing and the next
    /// would find the same.
    pub more: bool,
}
