//! Whose time passes while a reply is read: the model's while a part is asked for and not there, the reader's in between. A part that is
//! asked for by a future that nobody polls is the reader's too, from when its task was woken.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// Time that has passed.
#[derive(Default)]
pub(super) struct Passed {
    /// Nobody asked for more.
    pub(super) away: Duration,
    /// The model was waited for.
    pub(super) waited: Duration,
}

pub(super) struct Reading {
    since: Instant,
    /// Who is waited for since then; without one it is the reader's turn.
    woken: Option<Arc<Woken>>,
}

impl Reading {
    /// It is the reader's turn.
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), woken: None }
    }

    /// What has passed since this was asked before.
    pub(super) fn passed(&mut self) -> Passed {
        let (now, since) = (Instant::now(), self.since);
        let woken = self.woken.take().map_or(since, |woken| woken.at().unwrap_or(now)).max(since);
        self.since = now;
        Passed { away: now.saturating_duration_since(woken), waited: woken.saturating_duration_since(since) }
    }

    /// From now on the model is waited for, until this waker is woken.
    pub(super) fn waits(&mut self, waker: &Waker) -> Waker {
        let woken = Arc::new(Woken { at: Mutex::default(), waker: waker.clone() });
        self.woken = Some(Arc::clone(&woken));
        Waker::from(woken)
    }

    /// From now on it is the reader's turn.
    pub(super) fn stops(&self) {
        if let Some(woken) = &self.woken {
            woken.note();
        }
    }
}

/// A waker that notes when it was woken first.
struct Woken {
    at: Mutex<Option<Instant>>,
    waker: Waker,
}

impl Woken {
    fn note(&self) {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
    }

    fn at(&self) -> Option<Instant> {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.note();
        self.waker.wake_by_ref();
    }
}
