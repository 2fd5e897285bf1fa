//! The cross-field rules: what users expect of a record and no type or JSON Schema of one field can say.
//!
//! Rules look at the JSON, not at the typed record, so that a document with a wrong type here and a broken rule there
//! hears of both at once. A rule whose fields are absent or of the wrong type holds: the schema speaks of those.

use super::fault::FaultKind;
use super::path::{Path, Sink};
use serde_json::Value;
use std::borrow::Cow;
use std::ops::ControlFlow;
use url::Url;

type Flow = ControlFlow<()>;

macro_rules! rules {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal: $text:literal,)*) => {
        /// A rule over several fields, or one that a JSON Schema cannot state.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Rule {
            /// Every rule of this release.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// A stable name in `snake_case`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The rule in words that follow a pointer.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

rules! {
    /// An address that the `url` crate reads, with a host (but for `file`) and without credentials.
    UrlIsUsable = "url_is_usable": "must parse as an absolute URL with a host, without user name, password or backslash",
    /// A request says what it wants.
    RequestSaysWhat = "request_says_what": "needs a schema or instructions",
    /// A completed job has a result. An extraction that completed may have found nothing, and then says so.
    CompletedNeedsResult = "completed_needs_result": "must be a success or without data, as the job is completed",
    /// A completed job has no error.
    CompletedHasNoError = "completed_has_no_error": "must be absent or null, as the job is completed",
    /// A stored job that is not completed has no result.
    ResultOnlyWhenCompleted = "result_only_when_completed": "must be absent, as the job is not completed",
    /// A failed job says why, a stored one that ran out of time too.
    FailedNeedsError = "failed_needs_error": "is required, as the job failed",
    /// A result without success says why, itself or through its job.
    UnsuccessfulNeedsError = "unsuccessful_needs_error": "is required, as `success` is false",
    /// Nothing changes before it was made.
    UpdatedAfterCreated = "updated_after_created": "must not be before `createdAt`",
    /// A lease stands exactly while the job is processing.
    LeaseWhileProcessing = "lease_while_processing": "must be there exactly while the status is processing",
    /// An end has a time, and nothing else has.
    FinishedWhenEnded = "finished_when_ended": "must be there exactly when the status is an end",
    /// Attempts are claims, so there are at least as many epochs.
    AttemptWithinEpoch = "attempt_within_epoch": "must not exceed `epoch`",
    /// Nobody gets an attempt too many.
    AttemptWithinMax = "attempt_within_max": "must not exceed `maxAttempts`",
    /// No more is done than there is.
    DoneWithinTotal = "done_within_total": "must not exceed `total`",
    /// `start <= end`.
    SpanInOrder = "span_in_order": "must not be before `start`",
    /// The key of evidence points at a value of `data`.
    EvidenceHasValue = "evidence_has_value": "must point at a value in `data`",
    /// Evidence names a document of `pages`, if there are pages.
    EvidenceHasPage = "evidence_has_page": "must be an index into `pages`",
    /// Derived values name what they come from.
    DerivedHasInputs = "derived_has_inputs": "must point at values in `data`, at least one",
    /// The outcome agrees with `success` and `data`.
    OutcomeFitsData = "outcome_fits_data": "must agree with `success` and `data`",
    /// The strategy named is one whose attempt was used.
    StrategyWasUsed = "strategy_was_used": "must be the strategy of an attempt with outcome used",
    /// A job's first event has no status before it, all others do.
    FirstEventHasNoFrom = "first_event_has_no_from": "must be absent exactly when the job was made",
    /// The event of a failure says why.
    FailureEventNeedsError = "failure_event_needs_error": "is required for this kind of event",
}

fn broken<S: Sink>(sink: &mut S, at: &Path<'_>, rule: Rule) -> Flow {
    sink.fault(at, FaultKind::Rule(rule), || Cow::Borrowed(rule.text()))
}

fn require<S: Sink>(holds: bool, sink: &mut S, at: &Path<'_>, rule: Rule) -> Flow {
    if holds { Flow::Continue(()) } else { broken(sink, at, rule) }
}

/// Present and not null: null is another spelling of absent wherever a field may be absent.
fn given<'a>(record: &'a Value, field: &str) -> Option<&'a Value> {
    record.get(field).filter(|value| !value.is_null())
}

fn number(record: &Value, field: &str) -> Option<f64> {
    record.get(field)?.as_f64()
}

fn text<'a>(record: &'a Value, field: &str) -> Option<&'a str> {
    record.get(field)?.as_str()
}

/// Whether `a <= b`, as far as both are numbers. Doubles hold every integer that the schemas allow.
fn ordered(a: Option<f64>, b: Option<f64>) -> bool {
    a.zip(b).is_none_or(|(a, b)| a <= b)
}

fn url<S: Sink>(record: &Value, at: &Path<'_>, field: &'static str, sink: &mut S) -> Flow {
    let Some(given) = text(record, field) else { return Flow::Continue(()) };
    // Browsers read `http:///a` and `http://a\@b` leniently and other parsers otherwise: no host may depend on that.
    let lenient = given.contains('\\') || given.starts_with("http:///") || given.starts_with("https:///");
    let usable = !lenient
        && Url::parse(given).is_ok_and(|url| {
            let host = url.host_str().is_some_and(|host| !host.is_empty()) || url.scheme() == "file";
            host && url.username().is_empty() && url.password().is_none()
        });
    require(usable, sink, &Path::Key(at, field), Rule::UrlIsUsable)
}

fn times<S: Sink>(record: &Value, sink: &mut S) -> Flow {
    let holds = ordered(number(record, "createdAt"), number(record, "updatedAt"));
    require(holds, sink, &Path::Key(&Path::Root, "updatedAt"), Rule::UpdatedAfterCreated)
}

pub(super) fn extraction_job<S: Sink>(job: &Value, sink: &mut S) -> Flow {
    let result_at = Path::Key(&Path::Root, "result");
    let error_at = Path::Key(&Path::Root, "error");
    let (result, error) = (given(job, "result"), given(job, "error"));
    url(job, &Path::Root, "url", sink)?;
    times(job, sink)?;
    match text(job, "status") {
        Some("completed") => {
            let fits = result.is_some_and(|result| {
                let empty = result.get("data").and_then(Value::as_array).is_none_or(Vec::is_empty);
                empty || result.get("success") != Some(&Value::Bool(false))
            });
            require(fits, sink, &result_at, Rule::CompletedNeedsResult)?;
            require(error.is_none(), sink, &error_at, Rule::CompletedHasNoError)?;
        }
        Some("failed") => require(error.is_some(), sink, &error_at, Rule::FailedNeedsError)?,
        _ => {}
    }
    result.map_or(Flow::Continue(()), |result| result_within(result, &result_at, error.is_some(), sink))
}

pub(super) fn extraction_request<S: Sink>(request: &Value, sink: &mut S) -> Flow {
    url(request, &Path::Root, "url", sink)?;
    url(request, &Path::Root, "baseUrl", sink)?;
    let says = given(request, "schema").is_some() || given(request, "instructions").is_some();
    require(says, sink, &Path::Root, Rule::RequestSaysWhat)
}

pub(super) fn extraction_result<S: Sink>(result: &Value, sink: &mut S) -> Flow {
    result_within(result, &Path::Root, false, sink)
}

fn result_within<S: Sink>(result: &Value, at: &Path<'_>, explained: bool, sink: &mut S) -> Flow {
    let success = result.get("success").and_then(Value::as_bool);
    if success == Some(false) {
        let says = explained || given(result, "error").is_some();
        require(says, sink, &Path::Key(at, "error"), Rule::UnsuccessfulNeedsError)?;
    }
    let data = result.get("data");
    let empty = data.and_then(Value::as_array).map(Vec::is_empty);
    let fits = match text(result, "outcome") {
        Some("complete" | "partial") => success != Some(false) && empty != Some(true),
        Some("empty") => empty != Some(false),
        Some("failed") => success != Some(true),
        _ => true,
    };
    require(fits, sink, &Path::Key(at, "outcome"), Rule::OutcomeFitsData)?;
    strategy(result, at, sink)?;
    let pages = given(result, "pages").and_then(Value::as_array).map_or(0, Vec::len);
    let pages = u32::try_from(pages).unwrap_or(u32::MAX);
    let Some(evidence) = result.get("evidence").and_then(Value::as_object) else { return Flow::Continue(()) };
    let evidence_at = Path::Key(at, "evidence");
    for (pointer, sightings) in evidence {
        let here = Path::Key(&evidence_at, pointer);
        let has_value = data.is_none_or(|data| points_at_value(data, pointer));
        require(has_value, sink, &here, Rule::EvidenceHasValue)?;
        for (index, sighting) in sightings.as_array().into_iter().flatten().enumerate() {
            evidence_within(sighting, data, pages, &Path::Index(&here, index), sink)?;
        }
    }
    Flow::Continue(())
}

/// The original named the planned processor even when another one had run.
fn strategy<S: Sink>(result: &Value, at: &Path<'_>, sink: &mut S) -> Flow {
    let attempts = result.get("attempts").and_then(Value::as_array);
    let (Some(name), Some(attempts)) = (text(result, "strategy"), attempts) else { return Flow::Continue(()) };
    let used = |attempt: &Value| text(attempt, "outcome") == Some("used") && text(attempt, "strategy") == Some(name);
    let holds = attempts.is_empty() || attempts.iter().any(used);
    require(holds, sink, &Path::Key(at, "strategy"), Rule::StrategyWasUsed)
}

pub(super) fn evidence<S: Sink>(sighting: &Value, sink: &mut S) -> Flow {
    evidence_within(sighting, None, 0, &Path::Root, sink)
}

/// Most of a large record is evidence, so its fields are met in passing rather than looked up.
fn evidence_within<S: Sink>(sighting: &Value, data: Option<&Value>, pages: u32, at: &Path<'_>, sink: &mut S) -> Flow {
    for (field, value) in sighting.as_object().into_iter().flatten() {
        let here = Path::Key(at, field);
        match (field.as_str(), value) {
            ("document", Value::Number(page)) => {
                let there = pages == 0 || page.as_f64().is_none_or(|page| page < f64::from(pages));
                require(there, sink, &here, Rule::EvidenceHasPage)?;
            }
            ("spans", Value::Array(spans)) => {
                for (index, span) in spans.iter().enumerate() {
                    require(in_order(span), sink, &Path::Key(&Path::Index(&here, index), "end"), Rule::SpanInOrder)?;
                }
            }
            ("source", Value::Object(source)) => {
                let inputs = source.iter().find_map(|(key, value)| (key == "inputs").then_some(value));
                let Some(inputs) = inputs.and_then(Value::as_array) else { continue };
                let there = |input: &Value| {
                    data.zip(input.as_str()).is_none_or(|(data, pointer)| points_at_value(data, pointer))
                };
                let holds = !inputs.is_empty() && inputs.iter().all(there);
                require(holds, sink, &Path::Key(&here, "inputs"), Rule::DerivedHasInputs)?;
            }
            _ => {}
        }
    }
    Flow::Continue(())
}

fn in_order(span: &Value) -> bool {
    let (mut start, mut end) = (None, None);
    for (key, value) in span.as_object().into_iter().flatten() {
        match key.as_str() {
            "start" => start = value.as_f64(),
            "end" => end = value.as_f64(),
            _ => {}
        }
    }
    ordered(start, end)
}

/// RFC 6901 evaluation. A malformed pointer is the schema's to refuse, so it passes here.
fn points_at_value(data: &Value, pointer: &str) -> bool {
    if pointer.is_empty() {
        return true;
    }
    let Some(parts) = pointer.strip_prefix('/') else { return true };
    let mut here = data;
    for part in parts.split('/') {
        let next = match here {
            Value::Array(items) => index(part).and_then(|index| items.get(index)),
            Value::Object(map) if part.contains('~') => map.get(&part.replace("~1", "/").replace("~0", "~")),
            Value::Object(map) => map.get(part),
            _ => None,
        };
        match next {
            Some(next) => here = next,
            None => return false,
        }
    }
    true
}

/// Digits without leading zeros (RFC 6901, section 4).
fn index(part: &str) -> Option<usize> {
    let plain = part == "0" || part.starts_with(|c: char| ('1'..='9').contains(&c));
    if plain { part.parse().ok() } else { None }
}

pub(super) fn job_record<S: Sink>(job: &Value, sink: &mut S) -> Flow {
    let at = |field| Path::Key(&Path::Root, field);
    times(job, sink)?;
    if let Some(callback) = given(job, "callback") {
        url(callback, &at("callback"), "url", sink)?;
    }
    let within = ordered(number(job, "attempt"), number(job, "epoch"));
    require(within, sink, &at("attempt"), Rule::AttemptWithinEpoch)?;
    let within = ordered(number(job, "attempt"), number(job, "maxAttempts"));
    require(within, sink, &at("attempt"), Rule::AttemptWithinMax)?;
    if let Some(progress) = given(job, "progress") {
        let within = ordered(number(progress, "done"), number(progress, "total"));
        require(within, sink, &Path::Key(&at("progress"), "done"), Rule::DoneWithinTotal)?;
    }
    let Some(status) = text(job, "status") else { return Flow::Continue(()) };
    let error = given(job, "error").is_some();
    let leased = given(job, "lease").is_some();
    require(leased == (status == "processing"), sink, &at("lease"), Rule::LeaseWhileProcessing)?;
    let ended = matches!(status, "completed" | "failed" | "cancelled" | "timeout");
    require(ended == given(job, "finishedAt").is_some(), sink, &at("finishedAt"), Rule::FinishedWhenEnded)?;
    // Null is a result here: what a handler with nothing to say returns.
    let result = job.get("result").is_some();
    if status == "completed" {
        require(result, sink, &at("result"), Rule::CompletedNeedsResult)?;
        require(!error, sink, &at("error"), Rule::CompletedHasNoError)
    } else {
        require(!result, sink, &at("result"), Rule::ResultOnlyWhenCompleted)?;
        let says = error || !matches!(status, "failed" | "timeout");
        require(says, sink, &at("error"), Rule::FailedNeedsError)
    }
}

pub(super) fn audit_event<S: Sink>(event: &Value, sink: &mut S) -> Flow {
    let at = |field| Path::Key(&Path::Root, field);
    let within = ordered(number(event, "attempt"), number(event, "epoch"));
    require(within, sink, &at("attempt"), Rule::AttemptWithinEpoch)?;
    let Some(kind) = text(event, "kind") else { return Flow::Continue(()) };
    let first = matches!(kind, "enqueued" | "migrated");
    require(first != given(event, "from").is_some(), sink, &at("from"), Rule::FirstEventHasNoFrom)?;
    let says = given(event, "error").is_some() || !matches!(kind, "failed" | "retried");
    require(says, sink, &at("error"), Rule::FailureEventNeedsError)
}
