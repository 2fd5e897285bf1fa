//! Spans: one for each request, and within it one for each call.
//!
//! Names are those of OpenTelemetry's conventions for generative AI, as of [`SCHEMA_URL`]; ours begin with `atlas.`. Prompts and
//! replies are never recorded. Field names must stand in the macros as they are, so this is the one file that has them.

use super::attempt::{CallAttempt, Charge, End};
use super::error::RunError;
use super::request::Request;
use crate::client::{Finish, Reply};
use crate::ledger::HoldId;
use tracing::Span;
use tracing::field::Empty;

/// The conventions that the names of spans and fields follow.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";

/// A request, with all its attempts.
pub(super) fn request(request: &Request) -> Span {
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
pub(super) fn ended(span: &Span, end: Result<&super::Outcome, &RunError>) {
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

/// How a call ended.
pub(super) fn called(span: &Span, attempt: &CallAttempt, reply: Option<&Reply>) {
    if let Some(usage) = attempt.usage {
        span.record("gen_ai.usage.input_tokens", usage.prompt());
        span.record("gen_ai.usage.output_tokens", usage.completion());
    }
    if let Some(reply) = reply {
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
}
