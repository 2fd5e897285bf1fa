//! Pausing and limiting queues.

use atlas_schema::QueueName;

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
    /// At most so many claims per second over all workers; `Some(None)` lifts the limit, `None` leaves it.
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
