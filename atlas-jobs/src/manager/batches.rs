//! Batches, as callers and operators see them.

use super::{Changed, JobManager, ManagerError, RedriveOptions, Redriven};
use crate::batch::{Batch, BatchError, BatchProgress, BatchSpec, Counts};
use crate::error::StoreError;
use crate::store::{Filter, JobCommand, Scope};
use atlas_schema::JobId;
use std::time::Duration;

/// A redriven batch is not given up for so long, so that its children can be redriven after it.
const REDRIVE_GRACE: Duration = Duration::from_mins(1);

impl JobManager {
    /// Adds a batch and its children, those of batches within it included.
    ///
    /// It is idempotent by the batch's key: after a crash or an error in the middle, the same call adds what is missing
    /// and gives the same keys. Cancel it like any job: a [`BatchKeeper`](crate::batch::BatchKeeper) stops its children.
    /// A batch whose enqueueing is never completed waits for the rest: give it a deadline if nobody will repeat the
    /// call.
    ///
    /// # Errors
    /// [`BatchError`] says which child was not taken; what was enqueued before it stays.
    pub async fn batch(&self, spec: BatchSpec) -> Result<Batch, BatchError> {
        crate::batch::make(self, spec).await
    }

    /// How far a batch is; `None` if there is no such batch. Costs as much as the batch has children.
    ///
    /// # Errors
    /// The store's.
    pub async fn batch_progress(&self, id: JobId) -> Result<Option<BatchProgress>, StoreError> {
        let Some(record) = self.get(id).await? else { return Ok(None) };
        let counts = Counts::of(&self.statistics(Scope::default().with_parent(id)).await?);
        Ok(BatchProgress::new(&record, counts))
    }

    /// Sends a batch round again, with those of its children that have no result.
    ///
    /// Batches among the children are not entered: redrive them by themselves first. Children that are gone by then, deleted
    /// by retention or never enqueued, count as failed once a minute has passed: completed ones are kept for a shorter time
    /// than failed batches by default, so that an old batch may end as failed again, and says so. Within that minute
    /// [`batch`](Self::batch) may be called again: it enqueues what is not there.
    ///
    /// # Errors
    /// [`ManagerError::Rejected`] if the batch has not ended as failed, cancelled or timed out.
    pub async fn redrive_batch(
        &self,
        id: JobId,
        reason: impl Into<String>,
    ) -> Result<(Changed, Redriven), ManagerError> {
        let reason = reason.into();
        let command = JobCommand::Redrive { reason: reason.clone(), delay: REDRIVE_GRACE };
        let changed = self.command(id, None, command).await?;
        let options = RedriveOptions::new(Filter::default().with_parent(id), reason);
        Ok((changed, self.redrive_many(options).await?))
    }
}
