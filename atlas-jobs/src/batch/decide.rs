//! When a batch ends: a pure rule of counts.

use crate::store::Statistics;
use atlas_schema::JobStatus;
use serde::{Deserialize, Serialize};

/// What makes a batch complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "of", content = "jobs")]
#[non_exhaustive]
pub enum BatchRule {
    /// Every child completed.
    #[default]
    All,
    /// At least so many children completed, whatever became of the others. The batch ends as soon as they have.
    AtLeast(u64),
    /// Every child ended, however.
    Ended,
}

/// How many children stand in each status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counts {
    /// Wait for a worker.
    pub pending: u64,
    /// Run.
    pub processing: u64,
    /// Have a result.
    pub completed: u64,
    /// Failed for good.
    pub failed: u64,
    /// Were stopped.
    pub cancelled: u64,
    /// Ran out of time.
    pub timeout: u64,
}

impl Counts {
    /// The counts of a store's statistics.
    pub fn of(statistics: &Statistics) -> Self {
        Self {
            pending: statistics.in_status(JobStatus::Pending),
            processing: statistics.in_status(JobStatus::Processing),
            completed: statistics.in_status(JobStatus::Completed),
            failed: statistics.in_status(JobStatus::Failed),
            cancelled: statistics.in_status(JobStatus::Cancelled),
            timeout: statistics.in_status(JobStatus::Timeout),
        }
    }

    /// Those that have not ended.
    pub const fn unfinished(&self) -> u64 {
        self.pending.saturating_add(self.processing)
    }

    /// Those that ended without a result.
    pub const fn unsuccessful(&self) -> u64 {
        self.failed.saturating_add(self.cancelled).saturating_add(self.timeout)
    }

    /// Those that ended.
    pub const fn ended(&self) -> u64 {
        self.completed.saturating_add(self.unsuccessful())
    }

    /// The same once a batch of so many children was redriven: those that are not in the store were deleted, or never came.
    /// Nothing tells how they ended, so each counts as failed: the batch ends by those that are there.
    #[must_use]
    pub const fn without_the_missing(mut self, expected: u64) -> Self {
        self.failed = self.failed.saturating_add(expected.saturating_sub(self.total()));
        self
    }

    /// All of them.
    pub const fn total(&self) -> u64 {
        self.unfinished().saturating_add(self.ended())
    }
}

/// What is to be done with a batch that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// Nothing yet.
    Wait,
    /// It is complete.
    Conclude,
    /// Its rule can't be met any more, and nothing runs that could be waited for.
    Abandon,
    /// Its rule can't be met any more, or a child failed: the children that run or wait are stopped. What ends then is
    /// decided by the next look.
    CancelRest,
}

/// Decides from the number of children that a batch was made with, and the counts of those in the store.
///
/// Children that are not in the store yet count as waiting: an enqueue is under way, or was interrupted and can be
/// repeated. Once a batch was redriven they count as failed: see [`Counts::without_the_missing`]. With `fail_fast`, the batch stops as soon as its rule can't be met any more ([`BatchRule::Ended`]: at the
/// first child without a result).
pub fn decide(rule: BatchRule, expected: u64, fail_fast: bool, counts: &Counts) -> Decision {
    let unsuccessful = counts.unsuccessful();
    let missing = expected.saturating_sub(counts.total());
    let all_ended = counts.unfinished() == 0 && missing == 0;
    let (met, hopeless) = match rule {
        BatchRule::All => (all_ended && unsuccessful == 0, unsuccessful > 0),
        BatchRule::AtLeast(wanted) => {
            (counts.completed >= wanted, expected.max(counts.total()).saturating_sub(unsuccessful) < wanted)
        }
        BatchRule::Ended => (all_ended, unsuccessful > 0),
    };
    if met {
        return Decision::Conclude;
    }
    if hopeless && fail_fast && counts.unfinished() > 0 {
        return Decision::CancelRest;
    }
    // Nothing is left to wait for, or nothing that is worth enqueueing the rest.
    if all_ended || (hopeless && fail_fast) {
        return Decision::Abandon;
    }
    Decision::Wait
}
