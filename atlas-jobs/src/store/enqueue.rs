//! Adding and naming jobs.

use crate::state::Reject;
use atlas_schema::{ExternalId, IdempotencyKey, JobId, TenantId};

/// What became of one job handed to [`enqueue`](super::JobStore::enqueue).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Enqueued {
    /// It is in the store now.
    Created {
        /// Its key.
        id: JobId,
    },
    /// The same job was there already.
    Existing {
        /// The key of the job that is there.
        id: JobId,
    },
    /// Another job holds one of its keys. Nothing was written.
    Conflict {
        /// The key of the job that is there.
        id: JobId,
        /// The first field that differs: `tenant`, `kind`, `queue` or `payload`; [`UNREADABLE`] if that job can't be read.
        differs: &'static str,
    },
    /// It is outside a limit. Nothing was written.
    Refused(Reject),
}

/// In place of the field that differs: the job that holds the key can't be read, so that nothing can be compared.
pub const UNREADABLE: &str = "unreadable record";

/// One way to name a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JobRef {
    /// By its key.
    Id(JobId),
    /// By an id from elsewhere.
    External(TenantId, ExternalId),
    /// By the caller's key.
    Idempotency(TenantId, IdempotencyKey),
}

impl From<JobId> for JobRef {
    fn from(id: JobId) -> Self {
        Self::Id(id)
    }
}
