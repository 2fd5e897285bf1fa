//! The invariants of a record, whoever wrote it.

use super::MAX_ATTEMPTS;
use atlas_schema::{JobRecord, JobStatus};

/// A rule that a record breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A lease without `processing`, or the other way round.
    #[error("a job has a lease exactly while it is processing")]
    Lease,
    /// A finish time without an end, or the other way round.
    #[error("a job has a finish time exactly while it is terminal")]
    FinishedAt,
    /// A result without `completed`, or the other way round.
    #[error("a job has a result exactly while it is completed")]
    Result,
    /// A failed or timed-out job without an error, or a completed one with.
    #[error("a failed or timed-out job has an error, a completed job has none")]
    Error,
    /// A cancel request on a job that neither runs nor was cancelled.
    #[error("a cancel request stands on a processing or cancelled job only")]
    Cancel,
    /// Attempts outside `0..=max_attempts`, or more than claims, or none left to a job that waits for one.
    #[error("attempts are at most the maximum (1 to 1000) and at most the epoch, and a pending job has one left")]
    Attempts,
    /// An epoch that has no room to grow.
    #[error("epochs stay below 2^52, so that every later one is a number that JSON readers agree on")]
    Epoch,
    /// A version below one.
    #[error("versions start at 1")]
    Version,
    /// Times out of order.
    #[error("updated and finished times are not before the creation time")]
    Times,
    /// A running job without the start of its attempt.
    #[error("a processing job has a start time")]
    StartedAt,
}

/// Checks the invariants.
///
/// # Errors
/// The first [`Violation`] found.
pub fn check<P>(record: &JobRecord<P>) -> Result<(), Violation> {
    let status = record.status;
    // Jobs cancelled elsewhere may have come without their request.
    let cancel = matches!(status, JobStatus::Processing | JobStatus::Cancelled) || record.cancel_requested.is_none();
    let error = match status {
        JobStatus::Failed | JobStatus::Timeout => record.error.is_some(),
        JobStatus::Completed => record.error.is_none(),
        _ => true,
    };
    let attempts = (1..=MAX_ATTEMPTS).contains(&record.max_attempts)
        && record.attempt <= record.max_attempts
        // Nothing could claim it, and it would stand in front of its queue for ever.
        && (status != JobStatus::Pending || record.attempt < record.max_attempts)
        && u64::from(record.attempt) <= record.epoch;
    let times = record.updated_at >= record.created_at && record.finished_at.is_none_or(|at| at >= record.created_at);
    let rules = [
        (record.lease.is_some() == (status == JobStatus::Processing), Violation::Lease),
        (record.finished_at.is_some() == status.is_terminal(), Violation::FinishedAt),
        (record.result.is_some() == (status == JobStatus::Completed), Violation::Result),
        (error, Violation::Error),
        (cancel, Violation::Cancel),
        (attempts, Violation::Attempts),
        (record.epoch < 1 << 52, Violation::Epoch),
        (record.version >= 1, Violation::Version),
        (times, Violation::Times),
        (status != JobStatus::Processing || record.started_at.is_some(), Violation::StartedAt),
    ];
    rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, violation)| Err(violation))
}
