//! The limits in time of a request: whatever waits is raced against them.

use super::request::Request;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// The request with its limits in time.
pub(super) struct Job<'a> {
    pub(super) request: &'a Request,
    pub(super) cancel: &'a CancellationToken,
    pub(super) deadline: Instant,
}

/// Why waiting ended early.
pub(super) enum Early {
    Cancelled,
    Deadline,
}

impl Job<'_> {
    /// Refuses to begin anything once it is cancelled or the time is over.
    pub(super) fn check(&self, until: Instant) -> Result<(), Early> {
        if self.cancel.is_cancelled() {
            Err(Early::Cancelled)
        } else if Instant::now() >= until {
            Err(Early::Deadline)
        } else {
            Ok(())
        }
    }

    /// Begins something and waits for it unless it is cancelled or too late first. What is there already is taken.
    pub(super) async fn race<T>(&self, until: Instant, future: impl Future<Output = T>) -> Result<T, Early> {
        tokio::select! {
            biased;
            value = future => Ok(value),
            () = self.cancel.cancelled() => Err(Early::Cancelled),
            () = sleep_until(until) => Err(Early::Deadline),
        }
    }

    /// The same, and what is cancelled or too late already is not begun.
    pub(super) async fn unless<T>(&self, until: Instant, future: impl Future<Output = T>) -> Result<T, Early> {
        self.check(until)?;
        self.race(until, future).await
    }
}

/// The moment after so long. What lies beyond the clock's range is a year away, which no call lasts.
pub(super) fn after(time: Duration) -> Instant {
    const YEAR: Duration = Duration::from_hours(24 * 365);
    Instant::now() + time.min(YEAR)
}
