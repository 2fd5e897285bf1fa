//! What failures mean: the matrix, and what holds for all of it.

use crate::{Rng, cases};
use atlas_router::call::{Answer, Billed, Class, ErrorCode, Fault, Reason, classify};

/// Status, `code`, `type`, `x-should-retry`, and what that must mean.
type Row = (u16, &'static str, &'static str, Option<bool>, Class, Reason);

const MATRIX: &[Row] = &[
    (429, "rate_limit_exceeded", "requests", None, Class::Retry, Reason::RateLimited),
    (429, "rate_limit_exceeded", "tokens", None, Class::Retry, Reason::RateLimited),
    (429, "slow_down", "insufficient_quota", None, Class::Retry, Reason::RateLimited),
    (503, "slow_down", "", None, Class::Retry, Reason::RateLimited),
    (429, "", "rate_limit_error", None, Class::Retry, Reason::RateLimited),
    (429, "", "", None, Class::Retry, Reason::RateLimited),
    (429, "insufficient_quota", "insufficient_quota", None, Class::NextProvider, Reason::Quota),
    (429, "", "insufficient_quota", None, Class::NextProvider, Reason::Quota),
    (429, "credit_balance_exhausted", "insufficient_quota", None, Class::NextProvider, Reason::Quota),
    (429, "organization_spend_limit_exceeded", "", None, Class::NextProvider, Reason::Quota),
    (429, "project_spend_limit_exceeded", "", None, Class::NextProvider, Reason::Quota),
    (429, "organization_usage_limit_exceeded", "", None, Class::NextProvider, Reason::Quota),
    (429, "insufficient_quota", "", Some(true), Class::NextProvider, Reason::Quota),
    (403, "", "billing_error", None, Class::NextProvider, Reason::Quota),
    (402, "", "", None, Class::NextProvider, Reason::Quota),
    (408, "", "", None, Class::Retry, Reason::TimedOut),
    (409, "", "", None, Class::Retry, Reason::Conflict),
    (500, "", "server_error", None, Class::Retry, Reason::ServerFault),
    (500, "", "api_error", None, Class::Retry, Reason::ServerFault),
    (500, "", "", Some(false), Class::NextModel, Reason::ServerFault),
    (502, "", "", None, Class::Retry, Reason::ServerFault),
    (503, "server_is_overloaded", "", None, Class::Retry, Reason::Overloaded),
    (503, "", "", None, Class::Retry, Reason::Overloaded),
    (504, "", "timeout_error", None, Class::Retry, Reason::TimedOut),
    (529, "", "overloaded_error", None, Class::Retry, Reason::Overloaded),
    (400, "", "invalid_request_error", None, Class::GiveUp, Reason::Malformed),
    (400, "context_length_exceeded", "invalid_request_error", None, Class::NextModel, Reason::TooLong),
    (400, "400", "exceed_context_size_error", None, Class::NextModel, Reason::TooLong),
    (400, "content_policy_violation", "", None, Class::GiveUp, Reason::ContentPolicy),
    (400, "", "invalid_request_error", Some(true), Class::GiveUp, Reason::Malformed),
    (401, "invalid_api_key", "invalid_request_error", None, Class::GiveUp, Reason::Authentication),
    (401, "", "authentication_error", Some(true), Class::GiveUp, Reason::Authentication),
    (403, "", "permission_error", None, Class::GiveUp, Reason::Denied),
    (404, "model_not_found", "invalid_request_error", None, Class::NextModel, Reason::NoSuchModel),
    (404, "", "not_found_error", None, Class::NextModel, Reason::NoSuchModel),
    (404, "", "", None, Class::GiveUp, Reason::NotFound),
    (413, "", "request_too_large", None, Class::GiveUp, Reason::Malformed),
    (422, "", "", None, Class::GiveUp, Reason::Malformed),
    (302, "", "", None, Class::GiveUp, Reason::Unexpected),
    (418, "", "", Some(true), Class::Retry, Reason::Unexpected),
    (200, "", "", None, Class::Retry, Reason::ServerFault),
    (200, "insufficient_quota", "", None, Class::NextProvider, Reason::Quota),
    (200, "", "overloaded_error", None, Class::Retry, Reason::Overloaded),
];

fn answer(status: u16, code: &str, kind: &str, should_retry: Option<bool>) -> Fault {
    Fault::Answered(Answer::new(status).with_code(code).with_kind(kind).with_should_retry(should_retry))
}

#[test]
fn each_row_of_the_error_matrix_means_what_the_providers_say_it_means() {
    for (status, code, kind, should_retry, class, reason) in MATRIX {
        let verdict = classify(&answer(*status, code, kind, *should_retry));
        assert_eq!((verdict.class, verdict.reason), (*class, *reason), "{status} {code} {kind}");
    }
}

#[test]
fn what_never_left_costs_nothing_and_what_may_have_been_done_may_have_to_be_paid() {
    let billed = |fault: &Fault| classify(fault).billed;
    for fault in [Fault::Forbidden, Fault::Unsupported, Fault::Connect] {
        assert_eq!(billed(&fault), Billed::Nothing, "{fault}");
    }
    for fault in [Fault::Broken, Fault::Timeout, Fault::TooLarge, Fault::Garbled, Fault::Cancelled] {
        assert_eq!(billed(&fault), Billed::Unknown, "{fault}");
    }
    for (status, want) in [
        (200, Billed::Unknown),
        (400, Billed::Nothing),
        (408, Billed::Unknown),
        (429, Billed::Nothing),
        (500, Billed::Nothing),
        (502, Billed::Unknown),
        (503, Billed::Nothing),
        (504, Billed::Unknown),
        (524, Billed::Unknown),
        (529, Billed::Nothing),
    ] {
        assert_eq!(billed(&answer(status, "", "", None)), want, "{status}");
    }
}

#[test]
fn no_header_makes_a_quota_a_key_or_a_malformed_request_worth_another_try() {
    let mut rng = Rng::new(20);
    for _ in 0..cases(20_000) {
        let status = u16::try_from(rng.below(700)).unwrap();
        let row = rng.pick(MATRIX);
        let fault = answer(status, row.1, row.2, *rng.pick(&[None, Some(true), Some(false)]));
        let verdict = classify(&fault);
        if verdict.class == Class::Retry {
            let of_itself = verdict.reason.class() == Class::Retry || verdict.reason == Reason::Unexpected;
            assert!(of_itself, "{fault}: {verdict:?}");
        }
        assert_eq!(classify(&fault), verdict);
    }
}

#[test]
fn an_error_code_that_does_not_read_like_a_name_is_not_kept() {
    for text in ["", "sk-proj-abc", "Your prompt was: hello", "käse", "line\nbreak", &"a".repeat(65)] {
        assert_eq!(ErrorCode::new(text), None, "{text:?}");
        let read = serde_json::from_value::<ErrorCode>(text.into()).unwrap_err();
        assert!(text.is_empty() || !read.to_string().contains(text), "{read}");
    }
    assert_eq!(ErrorCode::new("insufficient_quota").unwrap().as_str(), "insufficient_quota");
    let shown = answer(400, "the secret page said", "invalid_request_error", None).to_string();
    assert_eq!(shown, "the provider answered with status 400 and invalid_request_error");
}

#[test]
fn every_reason_says_what_to_do_and_is_one_of_the_list() {
    let mut seen = std::collections::BTreeSet::new();
    for reason in Reason::ALL {
        assert!(seen.insert(reason) && !reason.advice().is_empty());
        // What is tried again later must be of a category that may pass by itself.
        if reason.class() == Class::Retry {
            assert!(reason.category().is_retryable(), "{reason:?}");
        }
    }
    for (.., reason) in MATRIX {
        assert!(seen.contains(reason));
    }
}
