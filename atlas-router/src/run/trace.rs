//! Spans, one for each request and within it one for each call, and (feature `metrics`) metrics of both.
//!
//! Names are those of OpenTelemetry's conventions for generative AI, as of [`SCHEMA_URL`]; ours begin with `atlas.`. Prompts and
//! replies are never recorded. Field names must stand in the macros as they are, so this is the one file that has them; those of
//! metrics stand beside them, in [`metric`].

use super::attempt::{CallAttempt, Charge, End};
use super::error::RunError;
use super::request::Request;
use crate::client::{Finish, Reply};
use crate::ledger::HoldId;
use atlas_schema::ErrorCategory;
use tracing::Span;
use tracing::field::Empty;

/// The conventions that the names of spans and fields follow.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";

/// A request that is under way, however often it is asked. One whose future is dropped is told as cancelled, without its calls: they are
/// told by themselves.
pub(super) struct Route {
    span: Span,
    is_over: bool,
}

impl Route {
    pub(super) fn of(request: &Request) -> Self {
        Self { span: self::request(request), is_over: false }
    }

    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// It came to that end.
    pub(super) fn ended(mut self, end: Result<&super::Outcome, &RunError>) {
        self.is_over = true;
        ended(&self.span, end);
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        if !self.is_over {
            self.span.record("error.type", tracing::field::debug(ErrorCategory::Cancelled));
            #[cfg(feature = "metrics")]
            metric::ended(Some(ErrorCategory::Cancelled));
        }
    }
}

/// A request, with all its attempts.
fn request(request: &Request) -> Span {
    let span = tracing::info_span!(
        "atlas.route",
        atlas.correlation_id = Empty,
        atlas.strategy = Empty,
        atlas.rule = Empty,
        atlas.attempts = Empty,
        atlas.spent_usd = Empty,
        error.type = Empty,
    );
    if let Some(id) = &request.correlation_id {
        span.record("atlas.correlation_id", id.as_str());
    }
    if let Some(strategy) = &request.strategy {
        span.record("atlas.strategy", strategy.as_str());
    }
    span
}

/// How a request ended.
fn ended(span: &Span, end: Result<&super::Outcome, &RunError>) {
    let (attempts, decision) = match end {
        Ok(outcome) => (outcome.attempts.as_slice(), Some(&outcome.decision)),
        Err(error) => (error.attempts(), error.decision()),
    };
    span.record("atlas.attempts", attempts.len());
    span.record("atlas.spent_usd", super::attempt::spent(attempts).to_string());
    if let Some(decision) = decision {
        span.record("atlas.rule", decision.rule.as_str());
    }
    if let Err(error) = end {
        span.record("error.type", tracing::field::debug(error.category()));
    }
    #[cfg(feature = "metrics")]
    metric::request(attempts, end.err());
}

/// A call of a model.
pub(super) fn call(request: &Request, attempt: &CallAttempt, hold: HoldId) -> Span {
    let span = tracing::info_span!(
        "chat",
        otel.name = format!("chat {}", attempt.model),
        otel.kind = "client",
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = %attempt.provider,
        gen_ai.request.model = %attempt.model,
        gen_ai.request.max_tokens = request.output_cap,
        gen_ai.response.model = Empty,
        gen_ai.response.finish_reasons = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        error.type = Empty,
        atlas.correlation_id = Empty,
        atlas.hold = %hold,
        atlas.bound_usd = %attempt.bound,
        atlas.cost_usd = Empty,
    );
    if let Some(id) = &request.correlation_id {
        span.record("atlas.correlation_id", id.as_str());
    }
    span
}

/// What a call was answered with.
pub(super) fn replied(span: &Span, reply: &Reply) {
    let reason = match reply.finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::Refused => "refusal",
        Finish::Filtered => "content_filter",
        Finish::Other => "other",
    };
    span.record("gen_ai.response.finish_reasons", reason);
    if let Some(model) = &reply.model {
        span.record("gen_ai.response.model", model.as_str());
    }
}

/// How a call ended.
pub(super) fn called(span: &Span, attempt: &CallAttempt) {
    if let Some(usage) = attempt.usage {
        span.record("gen_ai.usage.input_tokens", usage.prompt());
        span.record("gen_ai.usage.output_tokens", usage.completion());
    }
    match &attempt.end {
        End::Failed { verdict, .. } => {
            span.record("error.type", tracing::field::debug(verdict.reason));
        }
        End::Cancelled => {
            span.record("error.type", "Cancelled");
        }
        End::Answered | End::PassedOver(_) => {}
    }
    match attempt.charge {
        Charge::Nothing => span.record("atlas.cost_usd", "0"),
        Charge::Settled(cost) => span.record("atlas.cost_usd", cost.to_string()),
        // Nobody knows it yet.
        Charge::Open(_) => span,
    };
    #[cfg(feature = "metrics")]
    metric::call(attempt);
}

/// Metrics, through the `metrics` facade: whoever installs a recorder gets them. Names of models and providers are labels; ids,
/// words and addresses never are.
#[cfg(feature = "metrics")]
pub mod metric {
    use super::{CallAttempt, Charge, End, ErrorCategory, RunError};
    use metrics::{Label, Unit, counter, describe_counter, describe_histogram, histogram};

    /// Histogram, seconds: how long a call took, from when it was sent, without what a reader of its stream took. Labels: `gen_ai.operation.name`, `gen_ai.provider.name`,
    /// `gen_ai.request.model`, and `error.type` if it failed.
    pub const CALL_SECONDS: &str = "gen_ai.client.operation.duration";
    /// Histogram, tokens: what a call used, where the provider says it. Labels as above without the error, and `gen_ai.token.type`:
    /// `input` or `output`.
    pub const TOKENS: &str = "gen_ai.client.token.usage";
    /// Counter, nano-dollars. Labels: `gen_ai.provider.name`, `gen_ai.request.model`, and `atlas.charge`: `settled`, or `open` for what
    /// stays counted at its bound until it is reconciled.
    pub const COST: &str = "atlas.router.cost";
    /// Histogram, seconds: how long a call waited before it was sent. Labels: `gen_ai.provider.name`, `gen_ai.request.model`.
    pub const WAIT_SECONDS: &str = "atlas.router.wait.duration";
    /// Counter: models that were passed over. Labels: `gen_ai.provider.name`, `gen_ai.request.model`, and `atlas.reason`.
    pub const PASSED_OVER: &str = "atlas.router.passed_over";
    /// Counter: requests, each once however often it is asked. Label: `error.type` if it was not answered; `Cancelled` also if its future
    /// was dropped.
    pub const REQUESTS: &str = "atlas.router.requests";
    /// Histogram: calls of a request whose future was not dropped.
    pub const CALLS: &str = "atlas.router.request.calls";
    /// Counter: structured replies. Label: `atlas.reply`: `fits`, `repaired` for one that fits after repairs, or `rejected`.
    #[cfg(feature = "structured")]
    pub const REPLIES: &str = "atlas.router.structured.replies";

    /// Tells the recorder that is installed what each metric means. Once, after it was installed; metrics come without it, too.
    pub fn describe() {
        describe_histogram!(CALL_SECONDS, Unit::Seconds, "how long calls of models took");
        describe_histogram!(TOKENS, Unit::Count, "tokens that calls of models used");
        describe_counter!(
            COST,
            Unit::Count,
            "nano-dollars that calls of models cost, at their bound where that is not known"
        );
        describe_histogram!(WAIT_SECONDS, Unit::Seconds, "how long calls of models waited before they were sent");
        describe_counter!(PASSED_OVER, Unit::Count, "models that were passed over for now");
        describe_counter!(REQUESTS, Unit::Count, "requests");
        describe_histogram!(CALLS, Unit::Count, "calls of models per request");
        #[cfg(feature = "structured")]
        describe_counter!(REPLIES, Unit::Count, "structured replies and whether they fitted");
    }

    fn labels(attempt: &CallAttempt) -> Vec<Label> {
        let provider = Label::new("gen_ai.provider.name", attempt.provider.to_string());
        vec![provider, Label::new("gen_ai.request.model", attempt.model.to_string())]
    }

    fn and(labels: &[Label], key: &'static str, value: impl Into<metrics::SharedString>) -> Vec<Label> {
        labels.iter().cloned().chain([Label::new(key, value)]).collect()
    }

    pub(super) fn call(attempt: &CallAttempt) {
        let of = labels(attempt);
        let chat = and(&of, "gen_ai.operation.name", "chat");
        let timed = match &attempt.end {
            End::Failed { verdict, .. } => and(&chat, "error.type", format!("{:?}", verdict.reason)),
            End::Cancelled => and(&chat, "error.type", "Cancelled"),
            End::Answered | End::PassedOver(_) => chat.clone(),
        };
        histogram!(CALL_SECONDS, timed).record(attempt.took);
        histogram!(WAIT_SECONDS, of.clone()).record(attempt.waited);
        if let Some(usage) = attempt.usage {
            for (kind, tokens) in [("input", usage.prompt()), ("output", usage.completion())] {
                // A recorder takes doubles; no call has as many tokens as they cannot hold.
                let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
                histogram!(TOKENS, and(&chat, "gen_ai.token.type", kind)).record(tokens);
            }
        }
        let (charge, cost) = match attempt.charge {
            Charge::Nothing => return,
            Charge::Settled(cost) => ("settled", cost),
            Charge::Open(cost) => ("open", cost),
        };
        counter!(COST, and(&of, "atlas.charge", charge)).increment(u64::try_from(cost.as_nanos()).unwrap_or(0));
    }

    pub(super) fn ended(error: Option<ErrorCategory>) {
        let of = error.map(|category| Label::new("error.type", format!("{category:?}")));
        counter!(REQUESTS, of.into_iter().collect::<Vec<_>>()).increment(1);
    }

    pub(super) fn request(attempts: &[CallAttempt], error: Option<&RunError>) {
        ended(error.map(RunError::category));
        let calls = attempts.iter().filter(|attempt| attempt.hold.is_some()).count();
        histogram!(CALLS).record(u32::try_from(calls).unwrap_or(u32::MAX));
        for attempt in attempts {
            if let End::PassedOver(why) = attempt.end {
                counter!(PASSED_OVER, and(&labels(attempt), "atlas.reason", format!("{why:?}"))).increment(1);
            }
        }
    }

    #[cfg(feature = "structured")]
    pub(in super::super) fn reply(what: &'static str) {
        counter!(REPLIES, "atlas.reply" => what).increment(1);
    }
}
