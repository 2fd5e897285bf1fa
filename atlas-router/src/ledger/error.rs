//! What a ledger reports when it refuses or fails.

use super::scope::Scope;
use atlas_schema::{ErrorCategory, Usd};
use std::fmt;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What sort of failure: what a caller branches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// There is no room in a scope: see [`LedgerError::exceeded`].
    Exceeded,
    /// The hold is not in the state that the call needs.
    NotHeld,
    /// There is no such hold.
    NotFound,
    /// The id or the settlement is another one's.
    Conflict,
    /// The request is malformed.
    InvalidInput,
    /// The ledger is of another stage.
    WrongStage,
    /// The stored data was written by a newer release.
    NewerVersion,
    /// The stored data is damaged, or no ledger.
    Corrupt,
    /// Another process holds it for too long.
    Busy,
    /// It can't be reached or written.
    Unavailable,
    /// A fault of the ledger itself.
    Internal,
}

impl Kind {
    /// What happened and what to do next, in words.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Exceeded => "the budget leaves no room: raise the limit, wait for the next month or ask for less",
            Self::NotHeld => "the hold was refunded, released, sent or settled: reserve again before anything is sent",
            Self::NotFound => "there is no such hold: check its id and which ledger it was taken in",
            Self::Conflict => "it was reserved or settled otherwise before: draw a new id, or look at the hold",
            Self::InvalidInput => "the request is malformed: see the source of this error",
            Self::WrongStage => "it belongs to another stage: open the ledger of that stage",
            Self::NewerVersion => "it was written by a newer release: upgrade this program",
            Self::Corrupt => "the data is damaged or no ledger: restore a backup or name another one",
            Self::Busy => "another process holds it: try again",
            Self::Unavailable => {
                "it can't be reached or written: check that its path or server is there, may be written and has room"
            }
            Self::Internal => "a fault of the ledger: see the source of this error and report it",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.advice())
    }
}

/// The scope that left no room.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exceeded {
    /// Which.
    pub scope: Scope,
    /// Its limit; without one, the end of the range of money.
    pub limit: Usd,
    /// Held and settled in it.
    pub used: Usd,
    /// What was asked for.
    pub asked: Usd,
}

/// A failure of a ledger. The call had no effect, unless [`is_retryable`](Self::is_retryable): then either may hold if it is not
/// [known](Self::had_no_effect), and repeating it is safe.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed in the {backend} ledger: {kind}{}", .exceeded.as_deref().map(told).unwrap_or_default())]
pub struct LedgerError {
    kind: Kind,
    backend: &'static str,
    operation: &'static str,
    exceeded: Option<Box<Exceeded>>,
    is_untouched: bool,
    #[source]
    source: Option<BoxError>,
}

fn told(exceeded: &Exceeded) -> String {
    let Exceeded { scope, limit, used, asked } = exceeded;
    format!(" ({scope} has used ${used} of ${limit} and ${asked} more was asked for)")
}

impl LedgerError {
    /// A failure of that kind.
    pub const fn new(kind: Kind, backend: &'static str, operation: &'static str) -> Self {
        Self { kind, backend, operation, exceeded: None, is_untouched: false, source: None }
    }

    /// A refusal for want of room.
    pub fn of_exceeded(exceeded: Exceeded, backend: &'static str) -> Self {
        Self { exceeded: Some(Box::new(exceeded)), ..Self::new(Kind::Exceeded, backend, "reserve") }
    }

    /// Adds what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says that the call had no effect, of a failure that is retryable all the same.
    #[must_use]
    pub const fn without_effect(mut self) -> Self {
        self.is_untouched = true;
        self
    }

    /// What sort of failure.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whose: `sqlite`, `postgres` and so on.
    pub const fn backend(&self) -> &'static str {
        self.backend
    }

    /// The scope that left no room, if that was it.
    pub fn exceeded(&self) -> Option<&Exceeded> {
        self.exceeded.as_deref()
    }

    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, Kind::Busy | Kind::Unavailable)
    }

    /// Whether the call is known to have had no effect: then there is nothing to take back.
    pub const fn had_no_effect(&self) -> bool {
        self.is_untouched || !self.is_retryable()
    }

    /// What the failure means for whoever decides what happens next.
    pub const fn category(&self) -> ErrorCategory {
        match self.kind {
            Kind::Exceeded => ErrorCategory::Budget,
            Kind::InvalidInput => ErrorCategory::InvalidInput,
            Kind::NotFound | Kind::NotHeld | Kind::Conflict | Kind::Internal => ErrorCategory::Internal,
            Kind::WrongStage => ErrorCategory::Forbidden,
            Kind::NewerVersion | Kind::Corrupt | Kind::Busy | Kind::Unavailable => ErrorCategory::Storage,
        }
    }
}
