//! The engine as a job handler of `atlas-jobs`: jobs of kind `extract`.
//!
//! The payload is an [`ExtractionRequest`], the result an [`ExtractionResult`]. A page without the wanted data is a
//! completed job whose result says so; a page that could not be read at all is a failed one. What may be tried again, and
//! when, is the job manager's decision, by the error's category. Both sides are held to the rules of their format: a
//! payload that breaks one is refused before anything is fetched, a result that breaks one is never stored.

use crate::engine::Engine;
use crate::error::EngineError;
use async_trait::async_trait;
use atlas_jobs::{AfterError, HandlerError, JobContext, JobHandler, JobSpec};
use atlas_schema::read::{self, Faults};
use atlas_schema::{ErrorCategory, ExtractionRequest, ExtractionResult, JobKind, Outcome};
use serde_json::Value;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Runs jobs of kind `extract` on an engine. Clones share it.
///
/// Reading a page keeps a thread busy, so each job runs on one of the runtime's threads for blocking work. Cancellation
/// and dropping the handler's future end it: at its next await point, or where a strategy looks whether it is to stop.
/// Nothing is half written, since the result is the job's.
#[derive(Debug, Clone)]
pub struct ExtractHandler {
    engine: Arc<Engine>,
}

impl ExtractHandler {
    /// The kind of job it runs.
    pub const KIND: &'static str = "extract";

    /// A handler for `engine`, which needs a fetcher.
    pub fn new(engine: impl Into<Arc<Engine>>) -> Self {
        Self { engine: engine.into() }
    }

    /// A job that asks for `request`: its kind, its cost cap, and a little more than its time for one attempt, so that
    /// the engine's own time limit answers first.
    ///
    /// # Errors
    /// [`HandlerError`] of category `invalid_input` if the request has no JSON form.
    pub fn job(request: &ExtractionRequest) -> Result<JobSpec, HandlerError> {
        let invalid =
            |_| HandlerError::new(ErrorCategory::InvalidInput, "the request has no JSON form: check its schema");
        let kind =
            JobKind::new(Self::KIND).map_err(|error| HandlerError::new(ErrorCategory::Internal, error.to_string()))?;
        let limit = Duration::from_millis(u64::from(request.timeout_ms)) + GRACE;
        let spec = JobSpec::new(kind, request).map_err(invalid)?.with_attempt_timeout(limit);
        Ok(match request.cost_cap {
            Some(cap) => spec.with_cost_cap(cap),
            None => spec,
        })
    }
}

/// What an attempt may take beyond the request's own limit: fetching stops by that limit, parsing a page of the largest
/// allowed size takes about a second.
const GRACE: Duration = Duration::from_secs(5);

#[async_trait]
impl JobHandler for ExtractHandler {
    async fn run(&self, job: JobContext) -> Result<Value, HandlerError> {
        let request: ExtractionRequest = read::from_value(job.record().payload.clone()).map_err(|faults| {
            let message = format!("the payload is no extraction request: {}", brief(&faults));
            HandlerError::new(ErrorCategory::InvalidInput, message)
        })?;
        let stop = job.cancelled().child_token();
        // Fires when this future is dropped, too.
        let _guard = stop.clone().drop_guard();
        let (engine, left, runtime) = (Arc::clone(&self.engine), stop.clone(), Handle::current());
        let work = tokio::task::spawn_blocking(move || {
            let told = || left.is_cancelled();
            let extracted = runtime.block_on(left.run_until_cancelled(engine.extract_unless(&request, &told)))?;
            // What a cancel cut short looks like a page read in too little time: a failure to try again, or half a result.
            if left.is_cancelled() {
                return None;
            }
            // A result can be as large as its page: its JSON form is made and checked here, too.
            let error = |error| HandlerError::new(EngineError::category(&error), chain(&error));
            Some(extracted.map_err(error).and_then(|result| checked(&result)))
        });
        match stop.run_until_cancelled(work).await {
            Some(Ok(Some(value))) => value,
            // A panic is the worker's to catch and to record.
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            None | Some(Ok(None) | Err(_)) => Err(HandlerError::cancelled()),
        }
    }
}

/// The result in its JSON form, if it is one to be stored.
fn checked(result: &ExtractionResult) -> Result<Value, HandlerError> {
    if result.outcome == Some(Outcome::Failed) {
        return Err(failed(result));
    }
    let value = serde_json::to_value(result).map_err(|_| bad_result("it has no JSON form"))?;
    read::validate::<ExtractionResult>(&value).map_err(|faults| bad_result(&brief(&faults)))?;
    Ok(value)
}

/// A fault of a strategy: the page would give the same again.
fn bad_result(why: &str) -> HandlerError {
    let message = format!("the result is not fit to be stored; report it: {why}");
    HandlerError::new(ErrorCategory::Internal, message).with_after(AfterError::Fail)
}

/// The first faults, by place and rule.
fn brief(faults: &Faults) -> String {
    let shown = faults.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    match faults.total().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

/// How many faults an error shows.
const SHOWN: usize = 5;

/// A result in which every strategy failed, as an error of the last one's category.
fn failed(result: &ExtractionResult) -> HandlerError {
    let category = result.attempts.iter().rev().find_map(|attempt| attempt.category);
    let message = result.error.clone().unwrap_or_else(|| "no strategy could read the page".into());
    HandlerError::new(category.unwrap_or(ErrorCategory::Internal), message)
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let message = inner.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = inner.source();
    }
    text
}
