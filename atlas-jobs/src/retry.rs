//! When a failed attempt is tried again: a pure rule of attempt number and random bits.

use std::time::Duration;

/// Exponential backoff with jitter.
///
/// The wait after attempt `n` is drawn evenly from the upper half of `first * 2^(n-1)`, capped at `most`: never less
/// than half the nominal wait, so that a struggling host gets its rest, and never in step with other jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The nominal wait after the first attempt. Default 1 s.
    pub first: Duration,
    /// The longest nominal wait. Default 5 min.
    pub most: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), most: Duration::from_mins(5) }
    }
}

impl RetryPolicy {
    /// Backoff that begins at `first` and doubles up to `most`.
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most }
    }

    /// The wait after attempt `attempt` (from 1), given 64 random bits.
    pub fn delay(&self, attempt: u32, random: u64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let nominal = self.first.saturating_mul(1 << doublings).min(self.most);
        let half = u64::try_from(nominal.as_millis() / 2).unwrap_or(u64::MAX / 2);
        let jitter = random % half.saturating_add(1);
        nominal.saturating_sub(Duration::from_millis(half)).saturating_add(Duration::from_millis(jitter))
    }
}
