//! Pausing and limiting queues.

use atlas_schema::{QueueName, Timestamp};

/// A change of one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueChange {
    /// Which queue.
    pub queue: QueueName,
    /// Whether claims get nothing from it; `None` leaves it.
    pub paused: Option<bool>,
    /// At most so many running jobs over all workers; `Some(None)` lifts the limit, `None` leaves it.
    pub max_running: Option<Option<u32>>,
    /// At most so many claims per second over all workers, with bursts of one second's worth: see [`Pace`].
    /// `Some(None)` lifts the limit, `None` leaves it.
    pub max_per_second: Option<Option<u32>>,
}

impl QueueChange {
    /// No change yet.
    pub const fn new(queue: QueueName) -> Self {
        Self { queue, paused: None, max_running: None, max_per_second: None }
    }

    /// Pauses or resumes it. Running jobs go on.
    #[must_use]
    pub const fn with_paused(mut self, paused: bool) -> Self {
        self.paused = Some(paused);
        self
    }

    /// Limits its running jobs, or lifts the limit.
    #[must_use]
    pub const fn with_max_running(mut self, limit: Option<u32>) -> Self {
        self.max_running = Some(limit);
        self
    }

    /// Limits its claims per second, or lifts the limit.
    #[must_use]
    pub const fn with_max_per_second(mut self, limit: Option<u32>) -> Self {
        self.max_per_second = Some(limit);
        self
    }
}

/// For stores: how far the claims of a queue with a rate limit have used it up, as a token bucket.
///
/// The bucket holds one second of claims and is full at first, so any `t` seconds see at most `t + 1` times the limit.
/// Units are thousandths of a claim: a limit of `n` per second refills `n` of them each millisecond, without rounding.
/// A clock that is set back refills nothing; one that jumps ahead fills the bucket at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Thousandths of a claim that are left.
    pub left: u64,
    /// As of then.
    pub at: Timestamp,
}

impl Pace {
    const CLAIM: u64 = 1000;

    /// A full bucket.
    pub fn full(per_second: u32, at: Timestamp) -> Self {
        Self { left: u64::from(per_second) * Self::CLAIM, at }
    }

    /// The bucket at `now`.
    #[must_use]
    pub fn refilled(self, per_second: u32, now: Timestamp) -> Self {
        let elapsed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let refill = elapsed.saturating_mul(u64::from(per_second));
        let most = Self::full(per_second, now).left;
        Self { left: self.left.saturating_add(refill).min(most), at: now }
    }

    /// How many whole claims it allows.
    pub fn claims(self) -> usize {
        usize::try_from(self.left / Self::CLAIM).unwrap_or(usize::MAX)
    }

    /// After so many claims.
    #[must_use]
    pub fn spent(self, claims: usize) -> Self {
        let used = u64::try_from(claims).unwrap_or(u64::MAX).saturating_mul(Self::CLAIM);
        Self { left: self.left.saturating_sub(used), at: self.at }
    }
}

/// A queue as it is controlled now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueState {
    /// Which queue.
    pub queue: QueueName,
    /// Whether claims get nothing from it.
    pub paused: bool,
    /// At most so many running jobs over all workers.
    pub max_running: Option<u32>,
    /// At most so many claims per second over all workers.
    pub max_per_second: Option<u32>,
}

impl QueueState {
    /// A queue that nobody controls.
    pub const fn new(queue: QueueName) -> Self {
        Self { queue, paused: false, max_running: None, max_per_second: None }
    }

    /// After a change.
    #[must_use]
    pub fn changed(mut self, change: &QueueChange) -> Self {
        self.paused = change.paused.unwrap_or(self.paused);
        self.max_running = change.max_running.unwrap_or(self.max_running);
        self.max_per_second = change.max_per_second.unwrap_or(self.max_per_second);
        self
    }
}
