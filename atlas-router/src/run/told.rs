//! A call that has left: told once, in its span and in metrics, whatever becomes of the future that carries it.

use super::attempt::{CallAttempt, Charge, End};
use super::trace;
use std::time::Duration;
use tokio::time::Instant;
use tracing::Span;

/// The attempt as it stands; told when this is dropped.
pub(super) struct Told {
    pub(super) attempt: CallAttempt,
    pub(super) span: Span,
    sent: Instant,
    /// What of the time since then was not the model's.
    away: Duration,
    has_ended: bool,
}

impl Told {
    /// If nothing more is heard of it, it was cancelled, and what it cost is not known.
    pub(super) fn new(mut attempt: CallAttempt, span: Span) -> Self {
        (attempt.end, attempt.charge) = (End::Cancelled, Charge::Open(attempt.bound));
        Self { attempt, span, sent: Instant::now(), away: Duration::ZERO, has_ended: false }
    }

    /// So long the model waited for whoever reads its reply.
    pub(super) fn kept_waiting(&mut self, time: Duration) {
        self.away = self.away.saturating_add(time);
    }

    /// The call has ended; what comes now is the ledger's time.
    pub(super) fn ended(&mut self) {
        self.attempt.took = self.sent.elapsed().saturating_sub(self.away);
        self.has_ended = true;
    }

    /// Tells it now.
    pub(super) fn tell(mut self) -> CallAttempt {
        if !self.has_ended {
            self.ended();
        }
        self.attempt.clone()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if !self.has_ended {
            self.ended();
        }
        trace::called(&self.span, &self.attempt);
    }
}
