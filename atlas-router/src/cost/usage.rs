//! Tokens as providers bill them, each counted once.

use atlas_schema::Usage;
use serde::{Deserialize, Serialize};

/// What a call used up. No token is in two of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenUsage {
    /// Prompt tokens neither read from nor written to a cache.
    pub input: u64,
    /// Prompt tokens read from a cache.
    pub cached: u64,
    /// Prompt tokens written to a cache for minutes.
    pub cache_write: u64,
    /// Prompt tokens written to a cache for many hours.
    pub cache_write_long: u64,
    /// Reply tokens without the reasoning.
    pub output: u64,
    /// Reasoning tokens.
    pub reasoning: u64,
    /// Web searches made.
    pub web_searches: u64,
}

/// Whether a provider's numbers agree with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// They do.
    Consistent,
    /// Parts were larger than their whole. No token of the whole is left out; none beyond it is counted.
    PartsOverWhole,
}

impl TokenUsage {
    /// From the usage of Chat Completions and Responses, where the prompt's count *includes* cached and cache-write tokens, and
    /// the reply's *includes* reasoning and rejected predictions.
    pub fn of_wholes(
        prompt: u64,
        cached: u64,
        cache_write: u64,
        completion: u64,
        reasoning: u64,
    ) -> (Self, Consistency) {
        let write = cache_write.min(prompt);
        let read = cached.min(prompt - write);
        let thought = reasoning.min(completion);
        let usage = Self {
            input: prompt - write - read,
            cached: read,
            cache_write: write,
            output: completion - thought,
            reasoning: thought,
            ..Self::default()
        };
        let fits = cached.checked_add(cache_write).is_some_and(|parts| parts <= prompt) && reasoning <= completion;
        (usage, if fits { Consistency::Consistent } else { Consistency::PartsOverWhole })
    }

    /// From Anthropic's usage, where `input` *excludes* what went through the cache, and the reply is one count.
    pub const fn of_parts(input: u64, cached: u64, cache_write: u64, output: u64) -> Self {
        Self { input, cached, cache_write, cache_write_long: 0, output, reasoning: 0, web_searches: 0 }
    }

    /// All tokens of the prompt.
    pub const fn prompt(&self) -> u64 {
        let written = self.cache_write.saturating_add(self.cache_write_long);
        self.input.saturating_add(self.cached).saturating_add(written)
    }

    /// All tokens of the reply, reasoning included.
    pub const fn completion(&self) -> u64 {
        self.output.saturating_add(self.reasoning)
    }

    /// Both together, as a record carries it: one call, no pages.
    pub fn to_record(self) -> Usage {
        /// The most that a record can state.
        const MOST: u64 = 9_007_199_254_740_991;
        Usage {
            pages: 0,
            requests: 1,
            input_tokens: self.input.min(MOST),
            cached_input_tokens: self.cached.min(MOST),
            cache_write_tokens: self.cache_write.saturating_add(self.cache_write_long).min(MOST),
            output_tokens: self.output.min(MOST),
            reasoning_tokens: self.reasoning.min(MOST),
        }
    }
}
