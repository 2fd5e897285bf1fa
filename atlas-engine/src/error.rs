//! What can go wrong before any strategy runs. A strategy's own failure is an attempt in the result, not an error.

use crate::fetch::FetchError;
use crate::page::PageError;
use crate::shape::SchemaError;
use atlas_schema::{ErrorCategory, StrategyName};

/// Why a request gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The schema cannot be used; every fault is listed.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The request has neither a schema nor a strategy that could do without one.
    #[error("give the request a `schema` of one record: plain instructions need a model, which this engine has not")]
    NoSchema,
    /// The address is not one.
    #[error("give an absolute address with a scheme, such as https://example.com/page, as `{field}`")]
    Address {
        /// Which field of the request.
        field: &'static str,
    },
    /// The strategy asked for does not exist here.
    #[error("there is no strategy of that name: use one of {}", .known.iter().map(StrategyName::as_str).collect::<Vec<_>>().join(", "))]
    UnknownStrategy {
        /// The strategies of this engine.
        known: Vec<StrategyName>,
    },
    /// The engine was built without a fetcher.
    #[error("build the engine with a fetcher, or hand it a parsed page")]
    NoFetcher,
    /// The page could not be fetched.
    #[error(transparent)]
    Fetch(FetchError),
    /// The page could not be parsed.
    #[error("the page could not be parsed")]
    Page(#[source] PageError),
    /// The server answered with a status that carries no page.
    #[error("the server answered with status {status} instead of the page")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The record type does not describe an object.
    #[error("the type's schema cannot be used")]
    Type(#[source] SchemaError),
    /// A record that satisfies the schema is refused by the type.
    #[error("record {index} satisfies the schema but not the type: let `JsonSchema` and `Deserialize` agree")]
    Deserialize {
        /// Which record.
        index: usize,
        /// What the type said.
        #[source]
        source: serde_json::Error,
    },
    /// The time that the request allows ran out before there was data.
    #[error(
        "the time allowed ran out: allow more (`timeoutMs` of the request), or check what the page's server is doing"
    )]
    Timeout,
    /// The engine could not be built.
    #[error("two strategies are called `{name}`: give one another name")]
    DuplicateStrategy {
        /// The name.
        name: StrategyName,
    },
}

impl EngineError {
    /// What the failure means for whoever decides what happens next.
    pub fn category(&self) -> ErrorCategory {
        match self {
            Self::Schema(_) | Self::NoSchema | Self::Address { .. } | Self::UnknownStrategy { .. } | Self::Type(_) => {
                ErrorCategory::InvalidInput
            }
            Self::NoFetcher | Self::DuplicateStrategy { .. } => ErrorCategory::Internal,
            Self::Fetch(error) => error.category(),
            Self::Page(error) => error.category(),
            Self::Status { status: 401 | 407 } => ErrorCategory::Authentication,
            Self::Status { status: 403 | 451 } => ErrorCategory::Forbidden,
            Self::Status { status: 429 } => ErrorCategory::RateLimit,
            Self::Status { status: 408 | 425 | 500.. } => ErrorCategory::Network,
            Self::Status { .. } => ErrorCategory::NotFound,
            Self::Deserialize { .. } => ErrorCategory::SchemaMismatch,
            Self::Timeout => ErrorCategory::Timeout,
        }
    }
}
