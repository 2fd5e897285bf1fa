//! A decision with all its reasons, which can be made again and must come out the same.

use super::policy::Policy;
use super::score::Score;
use super::task::{Situation, Task};
use crate::catalogue::{Catalogue, CatalogueVersion, Day, ModelId, Provider, Structured, Tier};
use atlas_schema::{ErrorCategory, Usd};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which models to try, and everything that led there: inputs, score, rule, what was left out and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Decision {
    /// The catalogue it was made with.
    pub catalogue: CatalogueVersion,
    /// The policy's name.
    pub policy: String,
    /// The rule that chose the tier; `wanted` if the caller insisted.
    pub rule: String,
    /// The tier or model that the chain starts from.
    pub tier: Tier,
    /// What the task scored.
    pub score: Score,
    /// The models to try, in order; never empty.
    pub chain: Vec<Link>,
    /// The models that were left out.
    pub skipped: Vec<Skipped>,
    /// What was asked.
    pub task: Task,
    /// In which situation.
    pub situation: Situation,
}

/// A model to try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Link {
    /// Which.
    pub model: ModelId,
    /// Whose client calls it.
    pub provider: Provider,
    /// The most that the call can cost there, where the situation knows the call.
    pub bound: Option<Usd>,
    /// It ends soon.
    pub notice: Option<Notice>,
}

/// The end of a model is near.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Notice {
    /// Its first day without an answer.
    pub shutdown: Day,
    /// How many days are left.
    pub days_left: i32,
    /// What to ask for instead, if anything then lives.
    pub successor: Option<ModelId>,
}

/// A model that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Skipped {
    /// Which.
    pub model: ModelId,
    /// Why.
    pub reason: Skip,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.model, self.reason)
    }
}

/// Why a model was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Skip {
    /// It no longer answers.
    Retired {
        /// What to ask for instead.
        successor: Option<ModelId>,
    },
    /// Only the stable family may be used.
    NotStable,
    /// It is of the stable family, and a call that begins with another does not fall back to that.
    StableFallback,
    /// It can't be held to the form of reply that is needed.
    Structured {
        /// What it can be held to.
        can: Structured,
    },
    /// It does not take the effort that is asked for.
    Effort,
    /// The call does not fit it, or its row has no price for what is asked.
    Unpriced {
        /// What exactly.
        why: String,
    },
    /// Nobody calls its provider's models here.
    NoClient {
        /// Whose.
        provider: Provider,
    },
    /// The call could cost more than the task's cap.
    OverCap {
        /// The most that it could cost.
        bound: Usd,
    },
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retired { successor: Some(successor) } => write!(f, "no longer answers; ask for {successor}"),
            Self::Retired { successor: None } => f.write_str("no longer answers"),
            Self::NotStable => f.write_str("not of the stable family, and only that is allowed here"),
            Self::StableFallback => f.write_str("of the stable family, and falling back to that is turned off"),
            Self::Structured { .. } => f.write_str("can't be held to the form of reply that is needed"),
            Self::Effort => f.write_str("does not take the effort that is asked for"),
            Self::Unpriced { why } => f.write_str(why),
            Self::NoClient { provider } => write!(f, "no client for {provider}: add one"),
            Self::OverCap { bound } => write!(f, "could cost ${bound}, over the cap"),
        }
    }
}

/// Why nothing was chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// No model or tier bears the name.
    #[error("no model or tier of the catalogue is named {name:?}: use one of its names or add a row to it")]
    UnknownName {
        /// The name.
        name: String,
    },
    /// What the caller insists on is past its day.
    #[error("{model} does not answer since {shutdown}{}", .successor.as_ref().map(|id| format!(": ask for {id}")).unwrap_or_default())]
    Retired {
        /// Which model.
        model: ModelId,
        /// Its first day without an answer.
        shutdown: Day,
        /// What to ask for instead.
        successor: Option<ModelId>,
    },
    /// What the caller insists on is not allowed here.
    #[error(
        "{model} is not of the stable family, and only that is allowed here: ask for a stable model or change the strategy"
    )]
    Forbidden {
        /// Which model.
        model: ModelId,
    },
    /// All models of the chain were left out.
    #[error("no model can be used from {from:?} on:{}", crate::text::lines(.skipped))]
    NoModel {
        /// Where the chain starts.
        from: String,
        /// Each with its reason.
        skipped: Vec<Skipped>,
    },
}

impl SelectError {
    /// What the failure means for a caller.
    pub fn category(&self) -> ErrorCategory {
        match self {
            Self::UnknownName { .. } | Self::Retired { .. } => ErrorCategory::InvalidInput,
            Self::Forbidden { .. } => ErrorCategory::Forbidden,
            Self::NoModel { skipped, .. } => {
                let over = |one: &Skipped| matches!(one.reason, Skip::OverCap { .. });
                if skipped.iter().any(over) { ErrorCategory::Budget } else { ErrorCategory::InvalidInput }
            }
        }
    }
}

/// Makes a decision again from what it carries. The result equals the decision, bit for bit, as long as the catalogue and the
/// policy are the ones it names.
///
/// # Errors
/// As [`select`](super::select()).
pub fn replay(decision: &Decision, catalogue: &Catalogue, policy: &dyn Policy) -> Result<Decision, SelectError> {
    super::select(catalogue, policy, &decision.task, &decision.situation)
}
