//! What was tried, how it ended and what it cost.

use crate::call::{Fault, Verdict};
use crate::catalogue::{ModelId, Provider};
use crate::client::Reply;
use crate::cost::TokenUsage;
use crate::ledger::HoldId;
use crate::select::Decision;
use atlas_schema::{Attempt, AttemptOutcome, Cost, ErrorCategory, StrategyName, Usd};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One attempt: a call, or a model that was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CallAttempt {
    /// The model.
    pub model: ModelId,
    /// Whose account.
    pub provider: Provider,
    /// The hold that was taken for it, if one was.
    pub hold: Option<HoldId>,
    /// The most it could cost: what was held.
    pub bound: Usd,
    /// What it was expected to cost, if the request says how much reply it expects.
    pub estimated: Option<Usd>,
    /// How long was waited before it: backoff, and its turn among other calls.
    pub waited: Duration,
    /// How long the call took, without the time that whoever read its stream took between the parts.
    pub took: Duration,
    /// How it ended.
    pub end: End,
    /// What the provider billed, if it said.
    pub usage: Option<TokenUsage>,
    /// What it cost.
    pub charge: Charge,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum End {
    /// With a reply.
    Answered,
    /// With a failure.
    Failed {
        /// What happened.
        fault: Fault,
        /// What that means.
        verdict: Verdict,
        /// How long the provider asked to wait.
        retry_after: Option<Duration>,
    },
    /// It was cancelled after the request left.
    Cancelled,
    /// The model was passed over.
    PassedOver(PassedOver),
}

/// Why a model was passed over for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PassedOver {
    /// It failed too often of late.
    #[error("it failed too often of late and rests")]
    Resting,
    /// A budget has no room for its bound.
    #[error("a budget has no room for what it could cost")]
    Budget,
    /// The call has more tokens than the account's rate allows in a minute.
    #[error("the call has more tokens than its rate allows in a minute")]
    OverRate,
}

/// What an attempt cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charge {
    /// Nothing.
    Nothing,
    /// That much, and the ledger knows.
    Settled(Usd),
    /// Up to that much, or the provider bills more than a call can use: the hold stays counted at its bound, and is listed by
    /// [`unreconciled`](crate::ledger::BudgetLedger::unreconciled) once it has expired.
    Open(Usd),
}

impl Charge {
    /// The most that it is.
    pub const fn most(self) -> Usd {
        match self {
            Self::Nothing => Usd::ZERO,
            Self::Settled(cost) | Self::Open(cost) => cost,
        }
    }
}

impl CallAttempt {
    /// Whether it cost more than was held for it: what the provider billed was within what a call can use, and dearer than its row
    /// of the catalogue and the count of its prompt said.
    pub fn is_over_bound(&self) -> bool {
        matches!(self.charge, Charge::Settled(cost) if cost > self.bound)
    }

    /// The attempt as a record carries it.
    pub fn to_record(&self, strategy: StrategyName) -> Attempt {
        let (outcome, category, reason) = match &self.end {
            End::Answered => {
                let dear = self.is_over_bound().then(|| format!("it cost more than its bound of ${}", self.bound));
                (AttemptOutcome::Used, None, dear)
            }
            End::Failed { fault, verdict, .. } => {
                let reason = format!("{fault}: {}", verdict.reason);
                (AttemptOutcome::Failed, Some(verdict.reason.category()), Some(reason))
            }
            End::Cancelled => (AttemptOutcome::Failed, Some(ErrorCategory::Cancelled), None),
            End::PassedOver(why) => (AttemptOutcome::Skipped, None, Some(why.to_string())),
        };
        let settled = if let Charge::Settled(cost) = self.charge { Some(cost) } else { None };
        let duration = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        Attempt {
            strategy,
            outcome,
            category,
            reason,
            model: Some(self.model.to_string()),
            usage: self.usage.map(TokenUsage::to_record),
            cost: Some(Cost { estimated: self.estimated, settled }),
            duration_ms: Some(duration.min(9_007_199_254_740_991)),
        }
    }
}

/// A request that was answered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// The reply.
    pub reply: Reply,
    /// The model that gave it.
    pub model: ModelId,
    /// How the models were chosen.
    pub decision: Decision,
    /// All that was tried, in order; the last one gave the reply.
    pub attempts: Vec<CallAttempt>,
}

impl Outcome {
    /// What all attempts cost, each at its bound where its cost is not known.
    pub fn spent(&self) -> Usd {
        spent(&self.attempts)
    }
}

pub(super) fn spent(attempts: &[CallAttempt]) -> Usd {
    attempts.iter().fold(Usd::ZERO, |sum, attempt| sum.saturating_add(attempt.charge.most()))
}
