//! The time of day, passed in.

use atlas_schema::Timestamp;
use std::fmt;
use std::time::SystemTime;

/// Tells the time of day: which month a reservation counts in, which models still answer. Waits and time limits go by tokio's
/// clock, which only grows.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock. A time before September 2001 reads as [`Timestamp::MIN`].
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// The clock.
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::MIN)
    }
}
