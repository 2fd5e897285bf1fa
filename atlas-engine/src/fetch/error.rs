//! Why a document could not be fetched.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use atlas_schema::ErrorCategory;
use url::Url;

use super::document::Place;

/// A failure to fetch a document. It shows the address without user, password, query and fragment.
#[derive(Debug, thiserror::Error)]
#[error("fetching {place} failed: {kind}{}", .advice.map(|advice| format!(" ({advice})")).unwrap_or_default())]
pub struct FetchError {
    kind: Kind,
    place: String,
    advice: Option<&'static str>,
    retry_after: Option<Duration>,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The address is not one that this fetcher serves, such as another scheme.
    Unsupported,
    /// The policy does not allow the address, or one it led to.
    Forbidden,
    /// There is no such document (HTTP 404 and 410).
    NotFound,
    /// The document is there, but not for us: no permission (HTTP 401 and 403).
    Denied,
    /// Too many requests for now (HTTP 429).
    RateLimited,
    /// The server answered with another error status.
    Status(u16),
    /// The document is larger than asked for.
    TooLarge,
    /// It took longer than allowed.
    Timeout,
    /// More redirects than allowed, or one that leads nowhere.
    Redirects,
    /// No connection, or it broke before the document was complete.
    Network,
    /// The answer broke the protocol: a bad header, a broken compression.
    Protocol,
    /// Reading failed for another reason, such as a disk error.
    Io,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsupported => "this kind of address is not served",
            Self::Forbidden => "the policy does not allow this address",
            Self::NotFound => "there is no such document",
            Self::Denied => "access was refused",
            Self::RateLimited => "too many requests for now",
            Self::Status(status) => return write!(f, "the server answered with status {status}"),
            Self::TooLarge => "the document is larger than allowed",
            Self::Timeout => "it took longer than allowed",
            Self::Redirects => "the redirects did not lead to a document",
            Self::Network => "the connection failed",
            Self::Protocol => "the answer could not be understood",
            Self::Io => "reading failed",
        })
    }
}

impl FetchError {
    /// A failure of that kind at that address.
    pub fn new(kind: Kind, url: &Url) -> Self {
        Self { kind, place: Place(url).to_string(), advice: None, retry_after: None, source: None }
    }

    /// Adds what the user can do: a lower-case fragment.
    #[must_use]
    pub const fn with_advice(mut self, advice: &'static str) -> Self {
        self.advice = Some(advice);
        self
    }

    /// Adds how long to wait before another try.
    #[must_use]
    pub const fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Adds what caused it. Its text must not hold more of an address than [`FetchError`] shows.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure it was.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the same request may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self.kind {
            Kind::RateLimited | Kind::Timeout | Kind::Network | Kind::Io => true,
            // Request Timeout, Too Early and the server's own faults, but not "not implemented" and the like.
            Kind::Status(status) => matches!(status, 408 | 425 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// How long the server asks to wait before another try, at most one day.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What the failure means for a caller who decides what happens next.
    pub const fn category(&self) -> ErrorCategory {
        match self.kind {
            Kind::Unsupported | Kind::TooLarge | Kind::Protocol => ErrorCategory::InvalidInput,
            Kind::Forbidden => ErrorCategory::Forbidden,
            Kind::RateLimited => ErrorCategory::RateLimit,
            Kind::Timeout => ErrorCategory::Timeout,
            Kind::Network | Kind::Io => ErrorCategory::Network,
            Kind::Status(_) if self.is_retryable() => ErrorCategory::Network,
            Kind::NotFound | Kind::Denied | Kind::Redirects | Kind::Status(_) => ErrorCategory::NotFound,
        }
    }
}
