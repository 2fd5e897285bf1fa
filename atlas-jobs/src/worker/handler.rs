//! What a host writes: a handler per kind of job.

use super::context::JobContext;
use crate::state::MAX_ERROR_CHARS;
use async_trait::async_trait;
use atlas_schema::{ErrorCategory, JobError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

/// Does the work of one kind of job, implemented by the host application.
///
/// # Contract
///
/// - **At least once.** A job may run again after a crash or a lost lease: effects outside the store must stand that,
///   for which [`JobContext::fencing_key`] names the attempt.
/// - **Cancellation is asked for.** Watch [`JobContext::cancelled`]; a handler that returns after it fired counts as
///   cancelled unless it returns a result. One that does not return is dropped once its lease or time is over.
/// - **Panics are caught** and count as a failure of category `internal` that may be tried again, also those of a drop.
///   A panic during a panic ends the process, as everywhere in Rust; others take over its jobs.
/// - **It may be dropped** at any await point, on timeout and shutdown.
/// - **It yields.** One that blocks its thread can't be stopped: a second after its time is over the worker records its
///   end and its slot stays taken until it returns; a shutdown leaves it behind, and its job goes to others once the
///   lease is over. Put blocking work into `tokio::task::spawn_blocking`. On a runtime of one thread it also stops the
///   heartbeats: the leases end by silence, and what it records later is lost.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait JobHandler: fmt::Debug + Send + Sync + 'static {
    /// Runs one attempt and gives the job's result.
    async fn run(&self, job: JobContext) -> Result<Value, HandlerError>;
}

/// What the worker does after a handler's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AfterError {
    /// Another attempt after the wait of the retry policy, if attempts are left.
    Retry,
    /// Another attempt after this wait, if attempts are left.
    RetryAfter(Duration),
    /// No other attempt.
    Fail,
    /// Again after this wait; the attempt does not count and the message is not kept.
    Snooze(Duration),
}

/// Why an attempt has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", error.message)]
pub struct HandlerError {
    error: JobError,
    after: AfterError,
}

impl HandlerError {
    /// A failure that is tried again if its category is [retryable](ErrorCategory::is_retryable).
    ///
    /// A message of more than 5000 characters is cut, and says so at its end. Keep page text and secrets out of it.
    pub fn new(category: ErrorCategory, message: impl Into<String>) -> Self {
        let after = if category.is_retryable() { AfterError::Retry } else { AfterError::Fail };
        Self { error: JobError { category, message: cut(message.into(), MAX_ERROR_CHARS) }, after }
    }

    /// The handler stopped because it was asked to.
    pub fn cancelled() -> Self {
        Self::new(ErrorCategory::Cancelled, "stopped on request")
    }

    /// No failure: the job is to be looked at again after `wait`.
    pub fn snooze(wait: Duration) -> Self {
        Self::new(ErrorCategory::Internal, "put off").with_after(AfterError::Snooze(wait))
    }

    /// With another decision than the category's.
    #[must_use]
    pub const fn with_after(mut self, after: AfterError) -> Self {
        self.after = after;
        self
    }

    /// What is recorded.
    pub const fn error(&self) -> &JobError {
        &self.error
    }

    /// What follows.
    pub const fn after(&self) -> AfterError {
        self.after
    }

    pub(crate) fn into_parts(self) -> (JobError, AfterError) {
        (self.error, self.after)
    }
}

/// Cuts a text to `most` characters, the mark that tells so included.
pub(crate) fn cut(text: String, most: usize) -> String {
    let chars = text.chars().count();
    if chars <= most {
        return text;
    }
    let mark = format!(" [cut: {chars} characters]");
    let kept: String = text.chars().take(most.saturating_sub(mark.chars().count())).collect();
    kept + &mark
}

/// Makes a handler of an async function over typed parameters.
///
/// A payload that is not a `P` fails the job for good, as category `invalid_input`.
///
/// # Example: parameters in, result out
/// ```
/// use atlas_jobs::{HandlerError, JobContext, handler_fn};
/// # #[derive(serde::Deserialize)] struct Greet { name: String }
/// let handler = handler_fn(|_job: JobContext, greet: Greet| async move {
///     Ok::<_, HandlerError>(format!("hello {}", greet.name))
/// });
/// # let _: std::sync::Arc<dyn atlas_jobs::JobHandler> = std::sync::Arc::new(handler);
/// ```
pub fn handler_fn<P, R, F, Fut>(run: F) -> HandlerFn<P, R, F>
where
    P: DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
    F: Fn(JobContext, P) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, HandlerError>> + Send,
{
    HandlerFn { run, types: PhantomData }
}

/// An async function as a handler: see [`handler_fn`].
pub struct HandlerFn<P, R, F> {
    run: F,
    types: PhantomData<fn(P) -> R>,
}

impl<P, R, F> fmt::Debug for HandlerFn<P, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerFn").finish_non_exhaustive()
    }
}

#[async_trait]
impl<P, R, F, Fut> JobHandler for HandlerFn<P, R, F>
where
    P: DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
    F: Fn(JobContext, P) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, HandlerError>> + Send,
{
    async fn run(&self, job: JobContext) -> Result<Value, HandlerError> {
        let params = job.params::<P>()?;
        let result = (self.run)(job, params).await?;
        serde_json::to_value(result)
            .map_err(|_| HandlerError::new(ErrorCategory::InvalidInput, "the result has no JSON form"))
    }
}
