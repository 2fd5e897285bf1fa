//! How far a batch is.

use super::{Counts, Plan};
use atlas_schema::{JobId, JobRecord, JobStatus};
use serde::Deserialize;

/// A batch and the counts of its children, read one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchProgress {
    /// The batch.
    pub id: JobId,
    /// Where the batch itself stands: `pending` until it is decided.
    pub status: JobStatus,
    /// How many children it was made with.
    pub expected: u64,
    /// Those that are in the store.
    pub counts: Counts,
}

impl BatchProgress {
    pub(crate) fn new(batch: &JobRecord, counts: Counts) -> Option<Self> {
        let plan = Plan::deserialize(&batch.payload).ok()?;
        Some(Self { id: batch.id, status: batch.status, expected: plan.children, counts })
    }

    /// Children that have not been enqueued: more than zero while [`JobManager::batch`](crate::JobManager::batch) is at
    /// work, or after it was interrupted, or once children were deleted.
    pub const fn missing(&self) -> u64 {
        self.expected.saturating_sub(self.counts.total())
    }

    /// Whether the batch is decided.
    pub const fn is_over(&self) -> bool {
        self.status.is_terminal()
    }
}
