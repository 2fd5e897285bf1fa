//! Error categories: what a failure means for whoever decides what happens next.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why something failed, as far as a decision depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCategory {
    /// The request itself is wrong: no retry can help.
    InvalidInput,
    /// A page or a host refused or was not found.
    NotFound,
    /// A policy forbids it: private address, robots rule, forbidden model.
    Forbidden,
    /// Credentials are missing or wrong.
    Authentication,
    /// Too many requests for now; a later one may pass.
    RateLimit,
    /// The account's quota is used up; a later try will not pass by itself.
    Quota,
    /// The cost cap or the budget leaves no room.
    Budget,
    /// A deadline passed.
    Timeout,
    /// The network or a server failed; a later try may pass.
    Network,
    /// The page holds no such data.
    NoData,
    /// Values were found that the schema does not allow.
    SchemaMismatch,
    /// Someone asked for it to stop.
    Cancelled,
    /// The store failed.
    Storage,
    /// A fault of the program itself, such as a panic in a handler.
    Internal,
}

impl ErrorCategory {
    /// Whether the same request may succeed later without anyone changing anything.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::RateLimit | Self::Timeout | Self::Network | Self::Storage | Self::Internal)
    }
}
