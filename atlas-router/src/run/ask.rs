//! A governed request whose reply must fit a schema, asked again with what was wrong until it does or it is enough.

use super::attempt::{CallAttempt, Outcome, spent};
use super::error::{Kind, RunError};
use super::request::Request;
use super::time::{Job, after};
use super::{Router, trace};
use crate::call::Limits;
use crate::client::{Finish, Format, Message};
use crate::structured::{Rejected, Repairs, Shape, Structured, Why};
use atlas_schema::Usd;
use serde_json::Value;
use std::fmt;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// A reply up to so many bytes is shown to the model again; of a longer one it is told only what was wrong.
const MOST_SHOWN: usize = 16 * 1024;

/// How a structured reply is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AskOptions {
    /// How often it is asked at most, the first time included. Default 3; 0 counts as 1.
    pub asks: u32,
    /// Whether a reply that was cut off is an answer if what there is of it fits. Default: no, it is asked for again.
    pub accept_truncated: bool,
}

impl Default for AskOptions {
    fn default() -> Self {
        Self { asks: 3, accept_truncated: false }
    }
}

/// An answer that fits its schema. `Debug` does not show what it says.
#[derive(Clone)]
#[non_exhaustive]
pub struct Answer {
    /// What it says.
    pub value: Value,
    /// What was repaired and coerced to get it.
    pub repairs: Repairs,
    /// How often it was asked.
    pub asks: u32,
    /// The last reply, with the attempts of all asks.
    pub outcome: Outcome,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("repairs", &self.repairs)
            .field("asks", &self.asks)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

impl Router {
    /// Answers a request with a document that fits `shape`, whose schema takes the place of the request's format. A reply that
    /// does not fit is asked for again, with the places and rules that it breaks (see [`Rejected`]), as often as `options` says.
    ///
    /// Each ask is held, sent and settled as in [`run`](Self::run). All asks together have the one limit of attempts, of money and of
    /// time that a single one has.
    ///
    /// # Errors
    /// [`RunError`] with the attempts of all asks: [`Kind::Unusable`] with a [`Rejected`] as its source if the last reply did not fit,
    /// [`Kind::Refused`] if the model refused, and all that [`run`](Self::run) fails with. If it can't be asked again for want of attempts,
    /// money or time, the error is that.
    pub async fn ask(
        &self,
        request: &Request,
        shape: &Shape,
        options: AskOptions,
        cancel: &CancellationToken,
    ) -> Result<Answer, RunError> {
        let route = trace::Route::of(request);
        let answer = self.answer(request, shape, options, cancel).instrument(route.span()).await;
        route.ended(answer.as_ref().map(|answer| &answer.outcome));
        answer
    }

    async fn answer(
        &self,
        request: &Request,
        shape: &Shape,
        options: AskOptions,
        cancel: &CancellationToken,
    ) -> Result<Answer, RunError> {
        let deadline = after(request.timeout);
        let whole = self.limits(request);
        let mut request = request.clone();
        request.format = Format::JsonSchema(shape.schema().clone());
        let words = request.messages.len();
        let mut earlier = Vec::new();
        let mut asks = 0;
        loop {
            asks += 1;
            let job = Job { request: &request, cancel, deadline };
            let outcome = match self.whole(&job, left(whole, &earlier)).await {
                Ok(outcome) => outcome,
                Err(error) => return Err(error.after(earlier)),
            };
            let Outcome { reply, model, decision, attempts } = outcome;
            earlier.extend(attempts);
            if matches!(reply.finish, Finish::Refused | Finish::Filtered) {
                return Err(RunError::new(Kind::Refused, earlier).with_decision(decision));
            }
            let read = shape.read(&reply.text);
            #[cfg(feature = "metrics")]
            super::metric::reply(match &read {
                Ok(read) if read.repairs.is_empty() => "fits",
                Ok(_) => "repaired",
                Err(_) => "rejected",
            });
            let rejected = match read.map(|read| cut_off(read, reply.finish)) {
                Ok(read) if read.repairs.is_truncated && !options.accept_truncated => Rejected::truncated(),
                Ok(read) => {
                    let outcome = Outcome { reply, model, decision, attempts: earlier };
                    return Ok(Answer { value: read.value, repairs: read.repairs, asks, outcome });
                }
                Err(rejected) => rejected,
            };
            if asks >= options.asks {
                return Err(RunError::new(Kind::Unusable, earlier).with_decision(decision).with_source(rejected));
            }
            // Only the last reply is shown, so that the prompt does not grow with each ask.
            request.messages.truncate(words);
            if !reply.text.trim().is_empty() && reply.text.len() <= MOST_SHOWN {
                request.messages.push(Message::assistant(reply.text));
            }
            request.messages.push(Message::user(complaint(&rejected)));
        }
    }
}

/// With the cut told that the text does not show: of a reply that came to its limit, a document that had to be repaired or taken out of
/// words may be a draft, and a number or a word may have gone on.
fn cut_off(mut read: Structured, finish: Finish) -> Structured {
    let is_whole = read.repairs.is_empty() && (read.value.is_object() || read.value.is_array());
    if finish == Finish::Length && !is_whole {
        read.repairs.cut();
    }
    read
}

/// What is left of the limits after those attempts.
fn left(mut limits: Limits, earlier: &[CallAttempt]) -> Limits {
    let calls = earlier.iter().filter(|attempt| attempt.hold.is_some()).count();
    limits.attempts = limits.attempts.saturating_sub(u32::try_from(calls).unwrap_or(u32::MAX));
    limits.max_spend = limits.max_spend.map(|most| most.checked_sub(spent(earlier)).unwrap_or(Usd::ZERO));
    limits
}

/// What was wrong, in words for the model: places and rules, at most some 10 KB.
fn complaint(rejected: &Rejected) -> String {
    let wrong = rejected.why.for_model();
    let cut =
        if rejected.is_truncated && rejected.why != Why::Truncated { " It was cut off before its end." } else { "" };
    format!(
        "Your last reply can't be used: {wrong}\n{cut}Reply again with the whole JSON document, mended, and with nothing \
         before or after it."
    )
}
