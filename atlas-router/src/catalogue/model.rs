//! One row of the catalogue: what a model takes, gives and costs, and how long it lives.

use super::day::Day;
use super::price::{Factor, Rate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes a name as it is; whether the catalogue knows it shows when it is used.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.into())
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// The name by which a provider knows a model, such as `gpt-6-luna`.
    ModelId
);
name!(
    /// A name that selection speaks of, such as `nano`, bound to models by the catalogue.
    Tier
);
name!(
    /// Whose client and account a model is called through, such as `openai`.
    Provider
);

/// How a model's text becomes tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Encoding {
    /// `gpt-4o` and everything of `OpenAI` since.
    O200kBase,
    /// `gpt-4` and `gpt-3.5`.
    Cl100kBase,
    /// Not public. A byte is taken for a token: byte-level vocabularies never need more.
    Bytes,
}

/// How much reasoning a model does before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// None at all.
    None,
    /// As little as the model can.
    Minimal,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// Very much.
    Xhigh,
    /// All that the model can.
    Max,
}

/// What form of reply a model can be held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Structured {
    /// Words only.
    None,
    /// Some JSON object.
    JsonObject,
    /// JSON of a given schema.
    #[default]
    JsonSchema,
}

/// Prices of a token by what happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prices {
    /// Read from the prompt.
    pub input: Rate,
    /// Read from the provider's prompt cache: `input` where the row names none.
    pub cached: Rate,
    /// Written to the cache for minutes: `input` where the row names none.
    pub cache_write: Rate,
    /// Written to the cache for many hours: `cache_write` where the row names none.
    pub cache_write_long: Rate,
    /// Written by the model, reasoning included.
    pub output: Rate,
}

/// Tokens that are billed beside the words of a prompt: the marks that a provider puts around them. They are not counted in
/// [`TokenCounter`](crate::tokens::TokenCounter)s, which see the words alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Around {
    /// Once, for the beginning of the prompt and that of the reply.
    pub prompt: u64,
    /// For each message.
    pub message: u64,
}

impl Default for Around {
    /// 3 and 3, as `OpenAI` counts (its cookbook, "How to count tokens with tiktoken").
    fn default() -> Self {
        Self { prompt: 3, message: 3 }
    }
}

/// A request whose prompt is over so many tokens costs more, as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LongContext {
    /// Prompts of more tokens than this.
    pub above: u64,
    /// On all prices of the prompt.
    pub input: Factor,
    /// On the price of the reply.
    pub output: Factor,
}

/// Where and when prices were read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PriceSource {
    /// The page.
    pub url: String,
    /// The day.
    pub day: Day,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Model {
    /// Its name at the provider.
    pub id: ModelId,
    /// Whose it is.
    pub provider: Provider,
    /// Its generation, such as `gpt-6`: what a rule that forbids a generation speaks of.
    pub family: String,
    /// How its text becomes tokens.
    pub encoding: Encoding,
    /// What counts are multiplied by in a bound, for an encoding that is assumed rather than published.
    pub encoding_margin: Option<Factor>,
    /// What is counted beside the words of a prompt: by a model's chat template. Default: as `OpenAI`.
    pub around: Around,
    /// Most tokens of a prompt.
    pub max_input: u64,
    /// Most tokens of a reply, reasoning included.
    pub max_output: u64,
    /// Efforts it takes, from the least to the most. Empty: it does not reason.
    pub efforts: Vec<Effort>,
    /// The effort of a request that names none.
    pub default_effort: Option<Effort>,
    /// What form of reply it can be held to.
    pub structured: Structured,
    /// What a token costs.
    pub prices: Prices,
    /// Where those prices were read.
    pub source: PriceSource,
    /// What longer prompts cost.
    pub long: Option<LongContext>,
    /// Factors by service tier, `default` aside. A request may ask for these and no others.
    pub service_tiers: BTreeMap<String, Factor>,
    /// What a request costs that must stay in one region.
    pub regional: Option<Factor>,
    /// Nano-dollars per web search that the model makes.
    pub web_search: Option<u64>,
    /// The first day on which it no longer answers.
    pub shutdown: Option<Day>,
    /// What to ask for instead.
    pub successor: Option<ModelId>,
}

impl Model {
    /// Whether it still answers on that day.
    pub fn lives_on(&self, day: Day) -> bool {
        self.shutdown.is_none_or(|shutdown| day < shutdown)
    }

    /// The effort a request has in the end: what it names, or the model's own.
    pub fn effort(&self, asked: Option<Effort>) -> Option<Effort> {
        asked.or(self.default_effort)
    }

    /// Whether a request may set temperature and the like: reasoning models take them only when they don't reason.
    pub fn takes_sampling(&self, asked: Option<Effort>) -> bool {
        self.efforts.is_empty() || self.effort(asked) == Some(Effort::None)
    }
}
