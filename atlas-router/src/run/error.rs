//! Why a request was not answered.

use super::attempt::{CallAttempt, End, spent};
use crate::call::GiveUp;
use crate::ledger::LedgerError;
use crate::select::Decision;
use atlas_schema::{ErrorCategory, Usd};
use std::fmt;
use std::time::Duration;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What sort of failure: what a caller branches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// No model may or can be used: see the source, a [`SelectError`](crate::select::SelectError).
    NoModel,
    /// Nothing was called, or nothing more was asked, and a budget had no room for a model that might have been: see the source, a
    /// [`LedgerError`](crate::ledger::LedgerError).
    Budget,
    /// The ledger failed, so nothing was sent: see the source, a [`LedgerError`](crate::ledger::LedgerError).
    Ledger,
    /// What was tried failed, and it is enough.
    Stopped(GiveUp),
    /// The time of the whole request was over.
    Deadline,
    /// Someone asked for it to stop.
    Cancelled,
    /// The model answered, and its replies could not be used: see the source, a `structured::Rejected`.
    Unusable,
    /// The reply broke off after some of it was passed on, so that it could not be asked for again.
    BrokenOff,
    /// The model refused to answer, or its provider withheld the reply.
    Refused,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoModel => f.write_str("no model can be used"),
            Self::Budget => f.write_str("no budget has room for it"),
            Self::Ledger => f.write_str("the ledger failed and nothing is sent without it"),
            Self::Stopped(why) => fmt::Display::fmt(why, f),
            Self::Deadline => f.write_str("its time was over: raise the time limit or try later"),
            Self::Cancelled => f.write_str("it was cancelled"),
            Self::Unusable => f.write_str("the replies could not be used: simplify the schema or take a larger model"),
            Self::BrokenOff => f.write_str("the reply broke off after some of it was passed on: ask again"),
            Self::Refused => f.write_str("the model refused, or its provider withheld the reply: change the prompt"),
        }
    }
}

/// A request that was not answered, with all that was tried and what that cost.
#[derive(Debug, thiserror::Error)]
#[error("the request was not answered after {} call(s): {kind}{}", .attempts.iter().filter(|one| one.hold.is_some()).count(), last(.attempts))]
pub struct RunError {
    kind: Kind,
    decision: Option<Box<Decision>>,
    attempts: Vec<CallAttempt>,
    #[source]
    source: Option<BoxError>,
}

/// The last failure, in words.
fn last(attempts: &[CallAttempt]) -> String {
    let failed = attempts.iter().rev().find_map(|attempt| match &attempt.end {
        End::Failed { fault, verdict, .. } => Some(format!("; last, {}: {fault} ({})", attempt.model, verdict.reason)),
        _ => None,
    });
    failed.unwrap_or_default()
}

impl RunError {
    pub(super) const fn new(kind: Kind, attempts: Vec<CallAttempt>) -> Self {
        Self { kind, decision: None, attempts, source: None }
    }

    pub(super) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(super) fn caused_by(self, ledger: Option<LedgerError>) -> Self {
        match ledger {
            Some(error) => self.with_source(error),
            None => self,
        }
    }

    pub(super) fn with_decision(mut self, decision: Decision) -> Self {
        self.decision = Some(Box::new(decision));
        self
    }

    /// With what was tried before all else.
    #[cfg(feature = "structured")]
    pub(super) fn after(mut self, mut earlier: Vec<CallAttempt>) -> Self {
        earlier.append(&mut self.attempts);
        self.attempts = earlier;
        self
    }

    /// What sort of failure.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// How the models were chosen, if it came to that.
    pub fn decision(&self) -> Option<&Decision> {
        self.decision.as_deref()
    }

    /// All that was tried, in order.
    pub fn attempts(&self) -> &[CallAttempt] {
        &self.attempts
    }

    /// What all attempts cost, each at its bound where its cost is not known.
    pub fn spent(&self) -> Usd {
        spent(&self.attempts)
    }

    /// The last failure of a call.
    fn failure(&self) -> Option<(&crate::call::Verdict, Option<Duration>)> {
        self.attempts.iter().rev().find_map(|attempt| match &attempt.end {
            End::Failed { verdict, retry_after, .. } => Some((verdict, *retry_after)),
            _ => None,
        })
    }

    /// How long the provider of the last failure asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.failure().and_then(|(_, wait)| wait)
    }

    /// What the failure means for whoever decides what happens next.
    pub fn category(&self) -> ErrorCategory {
        match self.kind {
            Kind::NoModel => match self.source.as_ref().and_then(|source| source.downcast_ref()) {
                Some(error) => crate::select::SelectError::category(error),
                None => ErrorCategory::InvalidInput,
            },
            Kind::Ledger => match self.source.as_ref().and_then(|source| source.downcast_ref()) {
                Some(error) => LedgerError::category(error),
                None => ErrorCategory::Storage,
            },
            Kind::Budget | Kind::Stopped(GiveUp::Spend) => ErrorCategory::Budget,
            Kind::Deadline => ErrorCategory::Timeout,
            Kind::Cancelled => ErrorCategory::Cancelled,
            Kind::Unusable => ErrorCategory::SchemaMismatch,
            Kind::Refused => ErrorCategory::Forbidden,
            Kind::BrokenOff => self.failure().map_or(ErrorCategory::Network, |(verdict, _)| verdict.reason.category()),
            Kind::Stopped(why) => match self.failure() {
                Some((verdict, _)) => verdict.reason.category(),
                None if why == GiveUp::Deadline => ErrorCategory::Timeout,
                // Whatever rests now may answer later.
                None => ErrorCategory::RateLimit,
            },
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.category().is_retryable()
    }
}
