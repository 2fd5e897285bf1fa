//! Hints that there may be work.

use tokio::sync::watch;

/// The end of the hints that a store holds.
#[derive(Debug)]
pub struct Waker(watch::Sender<u64>);

/// The end of the hints that a worker waits on.
#[derive(Debug, Clone)]
pub struct Wakeups(watch::Receiver<u64>);

impl Waker {
    /// Nobody waits yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Wakes everyone who waits, or will wait next.
    pub fn wake(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Whether anyone waits at all.
    pub fn is_awaited(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Someone who waits from now on.
    pub fn subscribe(&self) -> Wakeups {
        Wakeups(self.0.subscribe())
    }
}

impl Default for Waker {
    fn default() -> Self {
        Self::new()
    }
}

impl Wakeups {
    /// Returns at the next hint, or at once if there was one since the last call. Never returns once the store is
    /// gone: polling is the floor. Cancel safe.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
