//! The state machine of one job: the reference that every store is proven equal to.
//!
//! ```text
//!            claim                complete
//! pending ----------> processing ----------> completed
//!   ^  |                |  |  |   fail          failed, cancelled, timeout
//!   |  | cancel, abandon,  |  |   cancel, time out   |
//!   |  | conclude, time out|  +--------------------->|
//!   |  +---------------------------------------------|
//!   +---- retry, release, lease expired ---+         |
//!   +---- redrive (not of completed) ----------------+
//! ```
//!
//! [`apply`] is pure: a record, a command and a time give the next record with one audit event and what must follow,
//! or a [`Reject`]. Storage is behind [`JobStore`](crate::JobStore); retry timing is in
//! [`RetryPolicy`](crate::RetryPolicy). The rules the rest leans on: a version has exactly one event, an epoch never
//! falls, a terminal record changes by a redrive only, and a worker's command names the epoch it was claimed in.

mod birth;
mod check;
mod outbox;
mod transition;

pub use birth::{enqueue, import};
pub use check::{Violation, check};
#[cfg(feature = "postgres")]
pub(crate) use outbox::topics;
pub use outbox::{OutboxEntry, OutboxTopic};
pub use transition::apply;
#[cfg(feature = "postgres")]
pub(crate) use transition::silence;

use atlas_schema::{AuditEvent, JobError, JobRecord, JobStatus, Progress, WorkerId};
use serde_json::Value;
use std::time::Duration;

/// The most characters of an error message.
pub const MAX_ERROR_CHARS: usize = 5000;
/// The most characters of a reason or a progress note.
pub const MAX_REASON_CHARS: usize = 1000;
/// The most attempts a job may have.
pub const MAX_ATTEMPTS: u32 = 1000;

/// What is to happen to a job.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// A worker takes it: a new epoch and an attempt.
    Claim {
        /// Which worker.
        worker: WorkerId,
        /// How long the worker may be silent.
        lease: Duration,
    },
    /// The holder of `epoch` has a result.
    Complete {
        /// The epoch of the claim.
        epoch: u64,
        /// What the job gave.
        result: Value,
    },
    /// The holder of `epoch` failed.
    Fail {
        /// The epoch of the claim.
        epoch: u64,
        /// Why.
        error: JobError,
        /// Whether another attempt may follow.
        retry: Retry,
    },
    /// The holder of `epoch` gives it back without an outcome: the attempt does not count.
    Release {
        /// The epoch of the claim.
        epoch: u64,
        /// Not before so long from now.
        delay: Duration,
    },
    /// The holder of `epoch` stopped because it was asked to.
    AcknowledgeCancel {
        /// The epoch of the claim.
        epoch: u64,
    },
    /// Someone wants it stopped. Pending jobs stop at once; running ones are asked, and ended at the latest
    /// `acknowledge_within` later.
    Cancel {
        /// Why: at most 1000 characters.
        reason: String,
        /// How long the handler has to answer.
        acknowledge_within: Duration,
    },
    /// Someone ends a waiting job that can't succeed.
    Abandon {
        /// Why.
        error: JobError,
    },
    /// Someone ends a waiting job whose result is known without running it: a batch whose children have ended.
    Conclude {
        /// What the job gave.
        result: Value,
    },
    /// The holder of `epoch` has been silent for its lease. Whoever says so has watched it: see
    /// [`SilenceWatch`](crate::SilenceWatch).
    ExpireLease {
        /// The epoch that ends.
        epoch: u64,
    },
    /// The handler did not answer a cancel in time.
    EndCancel,
    /// The deadline passed.
    TimeOut,
    /// A failed, cancelled or timed-out job goes round again, with its attempts afresh. The old outcome stays in the
    /// history and leaves the record.
    Redrive {
        /// Why: at most 1000 characters.
        reason: String,
        /// Not before so long from now.
        delay: Duration,
    },
}

/// Whether another attempt may follow a failed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// No retry can help.
    Never,
    /// After so long, if attempts are left.
    After(Duration),
}

/// The effect of a command: all of it is written, or none.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied<P = Value> {
    /// The record after.
    pub record: JobRecord<P>,
    /// What happened; its version is the record's.
    pub event: AuditEvent,
    /// What must follow.
    pub outbox: Vec<OutboxEntry>,
}

/// Why a command does not apply. The record stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reject {
    /// The caller's epoch is over: another claim, or an end, came first.
    #[error("the lease is lost: the job is {} in epoch {epoch}; drop this attempt's outcome", status.as_str())]
    Lost {
        /// The record's epoch.
        epoch: u64,
        /// The record's status.
        status: JobStatus,
    },
    /// The holder's own outcome is already there: an acknowledgement came twice.
    #[error("the outcome is recorded already; nothing is left to do")]
    Repeated,
    /// Its status allows no such thing.
    #[error("a {} job can't take this command; read its present state and decide again", status.as_str())]
    WrongStatus {
        /// The record's status.
        status: JobStatus,
    },
    /// Its time has not come.
    #[error("the job is not due yet; try again later")]
    NotDue,
    /// The job changed since the caller read it.
    #[error("the job is at version {current} by now; read it and decide again")]
    VersionConflict {
        /// The record's version.
        current: u64,
    },
    /// A text or number is outside its limits.
    #[error("{what} must be {min} to {max} {unit}")]
    OutOfRange {
        /// Which one.
        what: &'static str,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
        /// Of what.
        unit: &'static str,
    },
    /// A record from elsewhere breaks an invariant.
    #[error("the record breaks a rule: {0}")]
    Invalid(#[from] Violation),
}

/// Notes the progress that the holder of `epoch` reports. Not a transition: no version, no event.
///
/// # Errors
/// [`Reject::Lost`] if the epoch is over, [`Reject::OutOfRange`] for a note of over 1000 characters.
pub fn progress<P: Clone>(record: &JobRecord<P>, epoch: u64, progress: Progress) -> Result<JobRecord<P>, Reject> {
    holds(record, epoch)?;
    if let Some(note) = &progress.note {
        at_most(note, "a progress note", 0, MAX_REASON_CHARS)?;
    }
    Ok(JobRecord { progress: Some(progress), ..record.clone() })
}

/// Whether `epoch` is the running one.
pub(crate) fn holds<P>(record: &JobRecord<P>, epoch: u64) -> Result<(), Reject> {
    if record.status == JobStatus::Processing && record.epoch == epoch {
        Ok(())
    } else {
        Err(Reject::Lost { epoch: record.epoch, status: record.status })
    }
}

pub(crate) fn at_most(text: &str, what: &'static str, min: usize, max: usize) -> Result<(), Reject> {
    let chars = text.chars().take(max + 1).count();
    if (min..=max).contains(&chars) {
        return Ok(());
    }
    let bound = |n| u64::try_from(n).unwrap_or(u64::MAX);
    Err(Reject::OutOfRange { what, min: bound(min), max: bound(max), unit: "characters" })
}
