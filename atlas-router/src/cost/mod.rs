//! What a call may cost, will likely cost, and did cost.
//!
//! Three figures, never mixed: the [`upper_bound`] is what a budget holds before the call, the [`expected`] cost is what
//! people are told, and [`settle`] turns the provider's usage into the cost after it. All are exact integers and round up, so
//! that `settle <= upper_bound` for any usage within what the bound was made for. How usage is read from providers'
//! answers is in [`TokenUsage`]; how prompts are counted in [`tokens`](crate::tokens).

mod bound;
mod settle;
mod usage;

pub use bound::{Expectation, expected, upper_bound};
pub use settle::{Settled, settle};
pub use usage::{Consistency, TokenUsage};

use crate::catalogue::{Factor, Model, ModelId};
use serde::{Deserialize, Serialize};

/// Which service tier a request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ServiceTier {
    /// The normal one.
    #[default]
    Default,
    /// Whatever the account is set to, so the bound takes the dearest that the model has.
    Auto,
    /// One of the model's own, such as `priority`.
    Named(String),
}

impl ServiceTier {
    /// As providers write it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Default => "default",
            Self::Auto => "auto",
            Self::Named(name) => name,
        }
    }
}

/// How long what is written to the provider's prompt cache is to stay there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CacheTime {
    /// Minutes: what providers do unasked.
    #[default]
    Short,
    /// Over twelve hours, at a higher price.
    Long,
}

/// All of a request that its price depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Billing {
    /// Most tokens that the provider can count in the prompt, tools and schemas included.
    pub input_tokens: u64,
    /// Most tokens per reply, reasoning included: the cap that the request carries.
    pub output_cap: u64,
    /// How many replies are asked for, at least one.
    pub replies: u32,
    /// Which service tier.
    pub service_tier: ServiceTier,
    /// Whether the request must stay in one region.
    pub regional: bool,
    /// How long the prompt cache is to keep it.
    pub cache_time: CacheTime,
    /// Most web searches that the model may make.
    pub web_searches: u32,
}

impl Billing {
    /// One reply in the normal service tier, without web searches.
    pub const fn new(input_tokens: u64, output_cap: u64) -> Self {
        Self {
            input_tokens,
            output_cap,
            replies: 1,
            service_tier: ServiceTier::Default,
            regional: false,
            cache_time: CacheTime::Short,
            web_searches: 0,
        }
    }

    fn region(&self, model: &Model) -> Result<Factor, CostError> {
        if !self.regional {
            return Ok(Factor::ONE);
        }
        model.regional.ok_or_else(|| CostError::Regional { model: model.id.clone() })
    }
}

/// Why a cost can't be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CostError {
    /// The row has no such service tier.
    #[error("{model} has no service tier of that name: use default or one of its row in the catalogue")]
    ServiceTier {
        /// Which model.
        model: ModelId,
    },
    /// The row has no price for requests that stay in one region.
    #[error("{model} has no regional price: add `regional` to its row in the catalogue, or leave the region open")]
    Regional {
        /// Which model.
        model: ModelId,
    },
    /// The row has no price for web searches.
    #[error("{model} has no price for web searches: add `web_search` to its row in the catalogue, or allow none")]
    WebSearch {
        /// Which model.
        model: ModelId,
    },
    /// The prompt is larger than the model's window.
    #[error(
        "the prompt may have {tokens} tokens and {model} takes {max}: shorten it or take a model with a larger window"
    )]
    Window {
        /// Which model.
        model: ModelId,
        /// Most tokens of the prompt.
        tokens: u64,
        /// What the model takes.
        max: u64,
    },
    /// The output cap is over what the model can write, or zero.
    #[error("the output cap must be from 1 to {max} for {model}")]
    OutputCap {
        /// Which model.
        model: ModelId,
        /// What the model can write.
        max: u64,
    },
    /// No reply is asked for.
    #[error("ask for at least one reply")]
    NoReply,
}
