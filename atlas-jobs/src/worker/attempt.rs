//! One attempt: a handler's run, and what its end means.

use super::context::JobContext;
use super::handler::{AfterError, HandlerError, JobHandler};
use crate::retry::RetryPolicy;
use crate::state::Retry;
use crate::store::AckAction;
use atlas_schema::{ErrorCategory, JobError, JobRecord, Timestamp};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How an attempt ended.
pub(super) enum End {
    Returned(Result<Value, HandlerError>),
    TimedOut,
    Panicked,
}

/// Runs the handler for at most `limit`.
pub(super) async fn attempt(handler: Arc<dyn JobHandler>, job: JobContext, limit: Option<Duration>) -> End {
    let run = handler.run(job);
    match limit {
        None => End::Returned(run.await),
        Some(limit) => tokio::time::timeout(limit, run).await.map_or(End::TimedOut, End::Returned),
    }
}

/// How long this attempt may take: its own limit or what is left until the deadline, whichever is shorter.
pub(super) fn limit(record: &JobRecord, now: Timestamp) -> Option<Duration> {
    let own = record.attempt_timeout_ms.map(Duration::from_millis);
    let left = record.deadline.map(|deadline| deadline.since(now));
    own.into_iter().chain(left).min()
}

/// Why a handler was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    No,
    Cancel,
    Shutdown,
}

/// What is handed in. A result counts even if it comes after a stop was asked for.
pub(super) fn outcome(end: End, stop: Stop, attempt: u32, policy: &RetryPolicy, random: u64) -> AckAction {
    let backoff = || Retry::After(policy.delay(attempt, random));
    let fail = |category, message: &str, retry| {
        let message = message.to_string();
        AckAction::Fail { error: JobError { category, message }, retry }
    };
    let error = match end {
        End::Returned(Ok(result)) => return AckAction::Complete { result },
        End::Returned(Err(error)) => Some(error),
        End::TimedOut | End::Panicked if stop != Stop::No => None,
        End::TimedOut => return fail(ErrorCategory::Timeout, "the attempt took longer than it may", backoff()),
        // The panic's own message may hold page text: it goes to the host's panic hook, not into the record.
        End::Panicked => return fail(ErrorCategory::Internal, "the handler panicked", backoff()),
    };
    match (stop, error.map(HandlerError::into_parts)) {
        (Stop::Cancel, _) => AckAction::Cancelled,
        (Stop::Shutdown, _) | (Stop::No, None) => AckAction::Release { delay: Duration::ZERO },
        (Stop::No, Some((error, after))) => match after {
            AfterError::Retry => AckAction::Fail { error, retry: backoff() },
            AfterError::RetryAfter(wait) => AckAction::Fail { error, retry: Retry::After(wait) },
            AfterError::Fail => AckAction::Fail { error, retry: Retry::Never },
            AfterError::Snooze(delay) => AckAction::Release { delay },
        },
    }
}
