//! What a handler knows of its job.

use super::handler::{HandlerError, cut};
use crate::state::MAX_REASON_CHARS;
use atlas_schema::{CorrelationId, ErrorCategory, JobId, JobRecord, Progress};
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// One attempt of one job. Clones are the same attempt.
#[derive(Debug, Clone)]
pub struct JobContext {
    record: Arc<JobRecord>,
    cancel: CancellationToken,
    progress: ProgressSlot,
}

/// The latest progress that has not been handed in.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProgressSlot(Arc<Mutex<Option<Progress>>>);

impl ProgressSlot {
    pub(crate) fn take(&self) -> Option<Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// After a report that may not have arrived; news that came since counts more.
    pub(crate) fn put_back(&self, progress: Progress) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(progress);
    }

    fn set(&self, progress: Progress) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }
}

impl JobContext {
    /// For tests of handlers: an attempt at `record`, whose cancel token is `cancel`.
    pub fn new(record: JobRecord, cancel: CancellationToken) -> Self {
        Self::shared(Arc::new(record), cancel)
    }

    pub(crate) fn shared(record: Arc<JobRecord>, cancel: CancellationToken) -> Self {
        Self { record, cancel, progress: ProgressSlot::default() }
    }

    pub(crate) fn progress_slot(&self) -> ProgressSlot {
        self.progress.clone()
    }

    /// The record as it was claimed.
    pub fn record(&self) -> &JobRecord {
        &self.record
    }

    /// The job's key.
    pub fn id(&self) -> JobId {
        self.record.id
    }

    /// The request that caused the job: pass it on.
    pub fn correlation_id(&self) -> &CorrelationId {
        &self.record.correlation_id
    }

    /// Job and epoch, such as `<uuid>:3`: an idempotency key for effects outside the store, or a fencing token for a
    /// resource that refuses lower epochs.
    pub fn fencing_key(&self) -> String {
        format!("{}:{}", self.record.id, self.record.epoch)
    }

    /// The payload as the handler's own type.
    ///
    /// # Errors
    /// A failure of category `invalid_input` that repeats no value of the payload.
    pub fn params<P: DeserializeOwned>(&self) -> Result<P, HandlerError> {
        P::deserialize(&self.record.payload).map_err(|_| {
            let message = format!("the payload is no {} of this handler: enqueue it anew", self.record.kind);
            HandlerError::new(ErrorCategory::InvalidInput, message)
        })
    }

    /// Fires when the job should stop: a cancel, a lost lease, a shutdown.
    pub const fn cancelled(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Reports progress. It is stored with the worker's next heartbeat; only the latest counts. A note of more than
    /// 1000 characters is cut, and says so at its end.
    pub fn progress(&self, mut progress: Progress) {
        progress.note = progress.note.map(|note| cut(note, MAX_REASON_CHARS));
        self.progress.set(progress);
    }
}
