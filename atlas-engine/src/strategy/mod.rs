//! Strategies: ways to get records out of a page, behind one trait.
//!
//! A strategy drafts records with evidence; it decides nothing else. Which strategies run, and in which order, is
//! [`select`]'s pure decision; checking evidence and schema, and saying how much was found, is the
//! [engine's](crate::Engine).

pub mod direct;
#[cfg(feature = "mock")]
mod mock;
mod select;

#[cfg(feature = "mock")]
pub use mock::MockStrategy;
pub use select::{Choice, Selection, select};

use crate::evidence::Reading;
use crate::shape::Shape;
use async_trait::async_trait;
use atlas_schema::{Cost, ErrorCategory, Evidence, ExtractionRequest, JsonPointer, StrategyName, Usage, Warning};
use serde_json::Value;
use std::fmt;

/// A way to get records out of a page, built in or implemented by the host.
///
/// # Contract
///
/// - **Only what was seen.** Every value carries evidence that names its source; the engine checks each piece again and drops
///   values that do not pass, so inventing one gains nothing.
/// - **Empty is a draft.** Finding nothing is `Ok` with no records; an error means that the strategy could not look.
/// - **Pure choice.** [`fit`](Self::fit) looks at the request alone, fast and without I/O, and gives its reason.
/// - **Within limits.** The request's limits on pages and money bind the strategy; when the time is up, the engine drops
///   the future. A future that does not wait can't be dropped: work that may take long asks [`Task::should_stop`] now and
///   then, and ends with what it has.
/// - **Cancel safe.** Dropping the future leaves nothing half done.
///
/// A name is unique in an engine; the built-in one is `direct`. Feature `mock` has `MockStrategy`.
#[async_trait]
pub trait Strategy: fmt::Debug + Send + Sync + 'static {
    /// The name that results and attempts carry.
    fn name(&self) -> StrategyName;

    /// Whether, how well and why this strategy suits the request.
    fn fit(&self, request: &ExtractionRequest) -> Fit;

    /// Drafts records from the page.
    ///
    /// # Errors
    /// [`StrategyError`] if it could not look; the engine records the attempt and tries the next strategy.
    async fn extract(&self, task: &Task<'_>) -> Result<Draft, StrategyError>;
}

/// What a strategy is given.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Task<'a> {
    /// The request.
    pub request: &'a ExtractionRequest,
    /// The shape of one record.
    pub shape: &'a Shape,
    /// The page.
    pub reading: &'a Reading<'a>,
    stop: Stop<'a>,
}

/// Tells whether the work is to end.
#[derive(Clone, Copy)]
struct Stop<'a>(&'a (dyn Fn() -> bool + Sync));

impl fmt::Debug for Stop<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stop")
    }
}

impl<'a> Task<'a> {
    /// A task without an end, for calling a strategy without an engine.
    pub const fn new(request: &'a ExtractionRequest, shape: &'a Shape, reading: &'a Reading<'a>) -> Self {
        Self { request, shape, reading, stop: Stop(&|| false) }
    }

    /// A task that is to end once `stop` says so. It is asked some thousand times a second.
    #[must_use]
    pub const fn with_stop(mut self, stop: &'a (dyn Fn() -> bool + Sync)) -> Self {
        self.stop = Stop(stop);
        self
    }

    /// Whether the strategy is to end with what it has: the time is up, or nobody waits for the result any more.
    pub fn should_stop(&self) -> bool {
        (self.stop.0)()
    }
}

/// What a strategy found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Draft {
    /// The records, in page order.
    pub records: Vec<DraftRecord>,
    /// What a reader of the result should know.
    pub warnings: Vec<Warning>,
    /// The model called, if any.
    pub model: Option<String>,
    /// What was used up.
    pub usage: Usage,
    /// What it cost, if money was involved.
    pub cost: Option<Cost>,
}

/// One record with the evidence of its values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DraftRecord {
    /// The record.
    pub data: Value,
    /// Evidence of each leaf of `data`, by pointers into it. `verified` is left to the engine.
    pub evidence: Vec<(JsonPointer, Evidence)>,
}

/// How well a strategy suits a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// From 0 (not at all: it is skipped) to 100; higher runs earlier.
    pub score: u8,
    /// Why, in words, without page text.
    pub reason: String,
}

impl Fit {
    /// Suits, as well as `score` says (at most 100).
    pub fn suits(score: u8, reason: impl Into<String>) -> Self {
        Self { score: score.min(100), reason: reason.into() }
    }

    /// Does not suit.
    pub fn unfit(reason: impl Into<String>) -> Self {
        Self { score: 0, reason: reason.into() }
    }
}

/// A strategy that could not look.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StrategyError {
    category: ErrorCategory,
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StrategyError {
    /// A failure; `message` says what to do and holds no page text and no secret.
    pub fn new(category: ErrorCategory, message: impl Into<String>) -> Self {
        Self { category, message: message.into(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What sort of failure.
    pub const fn category(&self) -> ErrorCategory {
        self.category
    }
}

/// The words of a name, lower case: `totalTime`, `total_time` and `Total-Time` are the same two.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    let mut chars = name.chars().peekable();
    let mut before_lower = false;
    while let Some(c) = chars.next() {
        if !c.is_alphanumeric() {
            open = false;
            before_lower = false;
            continue;
        }
        // A capital starts a word after a small letter (`totalTime`) and before one (`URLPath`).
        let starts = c.is_uppercase() && (before_lower || chars.peek().is_some_and(|next| next.is_lowercase()));
        if !open || starts {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
        open = true;
        before_lower = c.is_lowercase() || c.is_numeric();
    }
    words
}
