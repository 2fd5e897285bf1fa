//! Why a call failed, as a client reports it.

use crate::call::{Fault, classify};
use crate::cost::TokenUsage;
use atlas_schema::ErrorCategory;
use std::time::Duration;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A call that failed. It shows neither prompt nor reply nor secrets; a source must not either.
#[derive(Debug, thiserror::Error)]
#[error("the call failed: {} ({})", .facts.fault, classify(&.facts.fault).reason.advice())]
pub struct ClientError {
    facts: Box<Facts>,
    #[source]
    source: Option<BoxError>,
}

#[derive(Debug)]
struct Facts {
    fault: Fault,
    retry_after: Option<Duration>,
    usage: Option<TokenUsage>,
    request_id: Option<String>,
}

impl ClientError {
    /// A failure of that kind.
    pub fn new(fault: Fault) -> Self {
        let facts = Facts { fault, retry_after: None, usage: None, request_id: None };
        Self { facts: Box::new(facts), source: None }
    }

    /// Adds how long the provider asks to wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.facts.retry_after = wait;
        self
    }

    /// Adds what the provider billed all the same: then that is the cost, whatever the fault says.
    #[must_use]
    pub fn with_usage(mut self, usage: Option<TokenUsage>) -> Self {
        self.facts.usage = usage;
        self
    }

    /// Adds the provider's name for the request, for its support.
    #[must_use]
    pub fn with_request_id(mut self, id: Option<String>) -> Self {
        self.facts.request_id = id;
        self
    }

    /// Adds what caused it. Its text must not hold more than this error shows.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What happened.
    pub fn fault(&self) -> &Fault {
        &self.facts.fault
    }

    /// How long the provider asks to wait before another call.
    pub fn retry_after(&self) -> Option<Duration> {
        self.facts.retry_after
    }

    /// What the provider billed, if it says.
    pub fn usage(&self) -> Option<TokenUsage> {
        self.facts.usage
    }

    /// The provider's name for the request.
    pub fn request_id(&self) -> Option<&str> {
        self.facts.request_id.as_deref()
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        classify(&self.facts.fault).class == crate::call::Class::Retry
    }

    /// What the failure means for whoever decides what happens next.
    pub fn category(&self) -> ErrorCategory {
        classify(&self.facts.fault).reason.category()
    }
}
