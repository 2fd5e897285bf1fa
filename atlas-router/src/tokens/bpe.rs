//! Exact counts by the `bpe-openai` crate, whose counts are compared with tiktoken's in our tests.

use super::{ByteCounter, Count, TokenCounter};
use crate::catalogue::Encoding;

/// Counts as `OpenAI` does; a text in an unknown encoding is counted by its bytes.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct BpeCounter;

impl BpeCounter {
    /// The counter. The first count of an encoding builds its tables, some tens of milliseconds.
    pub const fn new() -> Self {
        Self
    }
}

impl TokenCounter for BpeCounter {
    fn count(&self, encoding: Encoding, text: &str) -> Count {
        let tokenizer = match encoding {
            Encoding::O200kBase => bpe_openai::o200k_base(),
            Encoding::Cl100kBase => bpe_openai::cl100k_base(),
            Encoding::Bytes => return ByteCounter::new().count(encoding, text),
        };
        Count { tokens: tokenizer.count(text) as u64, exact: true }
    }
}
