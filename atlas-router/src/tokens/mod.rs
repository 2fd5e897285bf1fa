//! How many tokens a prompt has: exactly where the encoding is public, at most where it is not.

#[cfg(feature = "tokenizer")]
mod bpe;

#[cfg(feature = "tokenizer")]
pub use bpe::BpeCounter;

use crate::catalogue::{Encoding, Model};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Counts the tokens of a text.
///
/// # Contract
///
/// - **Never too few.** A count is at least what the provider bills for this text by itself.
/// - **Pure.** The same text in the same encoding has the same count, whoever asks and whenever.
pub trait TokenCounter: fmt::Debug + Send + Sync + 'static {
    /// The count of `text` in `encoding`.
    fn count(&self, encoding: Encoding, text: &str) -> Count;
}

/// A number of tokens, and whether it is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// How many.
    pub tokens: u64,
    /// Whether that is what the provider counts. Otherwise it is more or the same.
    pub exact: bool,
}

/// Takes a byte for a token. Byte-level vocabularies never need more, so this bounds any text of any such model; for English it
/// is about four times too much.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ByteCounter;

impl ByteCounter {
    /// The counter.
    pub const fn new() -> Self {
        Self
    }
}

impl TokenCounter for ByteCounter {
    fn count(&self, _: Encoding, text: &str) -> Count {
        Count { tokens: text.len() as u64, exact: text.is_empty() }
    }
}

/// A part of a prompt, as far as its tokens go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part<'a> {
    /// A message: its role's name if it has one, and its text.
    Message {
        /// The name of who speaks, where one is given.
        name: Option<&'a str>,
        /// What is said.
        text: &'a str,
    },
    /// A schema or the description of a tool, as JSON.
    Definition(&'a str),
}

/// A token where a message carries a name (`OpenAI` cookbook, "How to count tokens with tiktoken").
const PER_NAME: u64 = 1;
/// Providers rewrite schemas and tools in a form of their own, which is not published: this much for each, and their own text in
/// full.
const PER_DEFINITION: u64 = 16;

/// The tokens of a prompt: as counted, and at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PromptTokens {
    /// As counted: what an estimate is made of.
    pub counted: u64,
    /// The most that the provider can count: what a bound is made of. Larger than `counted` where the encoding is assumed.
    pub most: u64,
    /// Whether the encoding is known and was counted.
    pub exact: bool,
}

/// Counts a prompt for a model.
pub fn prompt(counter: &dyn TokenCounter, model: &Model, parts: &[Part<'_>]) -> PromptTokens {
    Sum::of(counter, model.encoding, parts).for_model(model)
}

/// The tokens of a prompt in one encoding: the same for all models that share it, whatever their margins and templates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sum {
    texts: u64,
    bytes: u64,
    messages: u64,
    /// Around names and definitions.
    around: u64,
    exact: bool,
}

impl Sum {
    pub(crate) fn of(counter: &dyn TokenCounter, encoding: Encoding, parts: &[Part<'_>]) -> Self {
        let mut sum = Self { texts: 0, bytes: 0, messages: 0, around: 0, exact: true };
        for part in parts {
            match part {
                Part::Message { name, text } => {
                    sum.messages += 1;
                    sum.add(counter, encoding, text, 0);
                    if let Some(name) = name {
                        sum.add(counter, encoding, name, PER_NAME);
                    }
                }
                Part::Definition(text) => sum.add(counter, encoding, text, PER_DEFINITION),
            }
        }
        sum
    }

    fn add(&mut self, counter: &dyn TokenCounter, encoding: Encoding, text: &str, around: u64) {
        let count = counter.count(encoding, text);
        self.texts = self.texts.saturating_add(count.tokens);
        self.bytes = self.bytes.saturating_add(text.len() as u64);
        self.around = self.around.saturating_add(around);
        self.exact &= count.exact;
    }

    /// What they are for a model of that encoding.
    pub(crate) fn for_model(self, model: &Model) -> PromptTokens {
        let Self { texts, bytes, messages, around, exact } = self;
        let of_messages = messages.saturating_mul(model.around.message);
        let around = around.saturating_add(model.around.prompt).saturating_add(of_messages);
        // A text never has more tokens than bytes, so a margin need not go beyond that.
        let most = model.encoding_margin.map_or(texts, |margin| margin.of_tokens(texts).min(bytes.max(texts)));
        PromptTokens {
            counted: texts.saturating_add(around),
            most: most.saturating_add(around),
            exact: exact && model.encoding_margin.is_none(),
        }
    }
}
