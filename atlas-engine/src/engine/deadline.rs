//! The end of the time that a request allows.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant, Duration);

impl Deadline {
    pub(super) fn after(milliseconds: u32) -> Self {
        let allowed = Duration::from_millis(milliseconds.into());
        Self(Instant::now() + allowed, allowed)
    }

    /// The end of the time for judging what was found: what was found in time is to be kept.
    pub(super) fn for_judging(self) -> Self {
        Self(self.0 + self.1 / 8, self.1)
    }

    pub(super) fn passed(self) -> bool {
        Instant::now() >= self.0
    }

    /// What `work` gives; `None` if the time runs out first, and then the work is dropped.
    pub(super) async fn bound<F: Future>(self, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        // Work that never waits needs no timer, so pages in hand can be read on a runtime that has none.
        if let Poll::Ready(done) = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
            return Some(done);
        }
        timeout_at(self.0, work).await.ok()
    }
}
