//! What a store reports when it fails.

use std::fmt;
use std::time::Duration;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What sort of failure: what a caller branches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Someone else's write came first.
    Conflict,
    /// What was named is not there.
    NotFound,
    /// The store has no such ability; see its capabilities.
    Unsupported,
    /// The request is malformed: a bad cursor, a limit of zero, an impossible time.
    InvalidInput,
    /// A payload or a result is larger than the store takes.
    TooLarge,
    /// The record or the store belongs to another stage.
    WrongStage,
    /// The stored data was written by a newer release.
    NewerVersion,
    /// The stored data is damaged, or is no store of this crate.
    Corrupt,
    /// The store may be read, not written.
    ReadOnly,
    /// The store may not be opened with the rights of this process.
    PermissionDenied,
    /// Another process holds the store.
    Busy,
    /// There is no room left.
    Full,
    /// The store can't be reached, or went away.
    Unavailable,
    /// A fault of the store itself.
    Internal,
}

impl Kind {
    /// What happened and what to do next, in words.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Conflict => "another writer came first: read the present state and decide again",
            Self::NotFound => "it is not in this store: check the id and the stage",
            Self::Unsupported => "this store can't do that: ask its capabilities, or use another store",
            Self::InvalidInput => "the request is malformed: see the source of this error",
            Self::TooLarge => "it is larger than this store takes: keep large data elsewhere and store its address",
            Self::WrongStage => "it belongs to another stage: open the store of that stage",
            Self::NewerVersion => "it was written by a newer release: upgrade this program",
            Self::Corrupt => "the data is damaged or no store of this program: restore a backup or name another file",
            Self::ReadOnly => "the store is read-only: make it writable or name another one",
            Self::PermissionDenied => "this user may not open it: check the rights of the file and its folder",
            Self::Busy => "another process holds it: wait, or stop that process",
            Self::Full => "there is no room left: free some space, then run again",
            Self::Unavailable => "it can't be reached: check that its path or address exists and is up",
            Self::Internal => "a fault of the store: see the source of this error and report it",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.advice())
    }
}

/// A failure reported by a storage backend. The call it answers had no effect, unless [`is_retryable`] is true: then
/// either may hold, and repeating the call is safe.
///
/// [`is_retryable`]: Self::is_retryable
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed in the {backend} store: {kind}")]
pub struct StoreError {
    kind: Kind,
    backend: &'static str,
    operation: &'static str,
    retry_after: Option<Duration>,
    in_one_row: bool,
    #[source]
    source: Option<BoxError>,
}

impl StoreError {
    /// A failure of `operation` in `backend`.
    pub const fn new(kind: Kind, backend: &'static str, operation: &'static str) -> Self {
        Self { kind, backend, operation, retry_after: None, in_one_row: false, source: None }
    }

    /// With its cause, which must hold no payload and no secret.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// With the wait that the backend asks for.
    #[must_use]
    pub const fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Of one stored row, which does not say what this release writes there: all others may be as they should.
    #[must_use]
    pub const fn in_one_row(mut self) -> Self {
        self.in_one_row = true;
        self
    }

    /// What sort of failure.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Which backend, such as `sqlite`.
    pub const fn backend(&self) -> &'static str {
        self.backend
    }

    /// Which method of the trait, such as `exchange`, or `open`.
    pub const fn operation(&self) -> &'static str {
        self.operation
    }

    /// Whether the same call may pass later without anyone changing anything.
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, Kind::Busy | Kind::Unavailable)
    }

    /// Whether one stored row is at fault, so that the others may be served. False for a fault of the file, the tables or the
    /// server, whatever its kind.
    pub const fn is_in_one_row(&self) -> bool {
        self.in_one_row
    }

    /// How long the backend asks to wait, if it said so.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}
