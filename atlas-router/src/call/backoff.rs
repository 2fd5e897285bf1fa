//! How long is waited before the same model is tried again.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Exponential backoff with full jitter: before retry `n`, counted from 0, anything from nothing to `base` x 2^`n`, at most `cap`.
///
/// Full jitter spreads callers that failed together best ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015). The
/// defaults, half a second and 8 seconds, are those of `openai-python`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Backoff {
    /// The most before the first retry.
    pub base: Duration,
    /// The most before any.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(500), cap: Duration::from_secs(8) }
    }
}

impl Backoff {
    /// With these bounds.
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap }
    }

    /// The most that is waited before a retry.
    pub fn ceiling(&self, retry: u32) -> Duration {
        let grown = 1_u32.checked_shl(retry).and_then(|factor| self.base.checked_mul(factor));
        grown.map_or(self.cap, |grown| grown.min(self.cap))
    }

    /// The wait before a retry; `random` is any number, all equally likely.
    pub fn wait(&self, retry: u32, random: u64) -> Duration {
        let most = self.ceiling(retry).as_nanos();
        // The high half of the product: the number as a fraction of 2^64, without a float.
        let nanos = (most.min(u128::from(u64::MAX)) * u128::from(random)) >> 64;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
