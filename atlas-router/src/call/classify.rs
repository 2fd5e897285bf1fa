//! What a failure means: one table of names, one of statuses, and what follows from each reason.
//!
//! The error's `code` is looked up first, then its `type`, then the status: a spent quota also comes as status 429, and some
//! of those say `insufficient_quota` as type with another code. Sources: the error pages of `OpenAI` and `Anthropic`, the
//! retry rules of `openai-python`, and answers of llama.cpp's server, read in November 2026.

use super::fault::{Answer, Fault};
use atlas_schema::ErrorCategory;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is to be done after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The same model may answer later.
    Retry,
    /// Another model may answer.
    NextModel,
    /// No model of this provider's account will answer; another provider's may.
    NextProvider,
    /// The same call fails everywhere, or someone has to mend something first.
    GiveUp,
}

/// Whether a failed call costs anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Billed {
    /// The request never left, or the provider refused it.
    Nothing,
    /// The provider may have done the work: up to the call's upper bound.
    Unknown,
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verdict {
    /// What is to be done.
    pub class: Class,
    /// Why.
    pub reason: Reason,
    /// What it cost.
    pub billed: Billed,
}

/// Why a call failed, as far as a decision depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// Too many requests or tokens for now.
    RateLimited,
    /// The provider has too much to do.
    Overloaded,
    /// A fault of the provider.
    ServerFault,
    /// The provider was busy with the same thing (409).
    Conflict,
    /// No whole answer in time.
    TimedOut,
    /// No connection.
    NoConnection,
    /// The connection broke.
    Broken,
    /// The account's money or quota is used up.
    Quota,
    /// The provider has no such model, or not for this account.
    NoSuchModel,
    /// The prompt is larger than the model's window.
    TooLong,
    /// The answer was larger than allowed.
    TooLarge,
    /// The answer could not be understood.
    Garbled,
    /// The client can't say this to its provider.
    Unsupported,
    /// The credentials are missing or wrong.
    Authentication,
    /// The account may not do that.
    Denied,
    /// The provider refuses what the prompt is about.
    ContentPolicy,
    /// The request is malformed in the provider's eyes.
    Malformed,
    /// There is nothing at that address.
    NotFound,
    /// Our own policy does not allow the address.
    Forbidden,
    /// Someone asked for it to stop.
    Cancelled,
    /// A status that this table does not know.
    Unexpected,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 21] = [
        Self::RateLimited,
        Self::Overloaded,
        Self::ServerFault,
        Self::Conflict,
        Self::TimedOut,
        Self::NoConnection,
        Self::Broken,
        Self::Quota,
        Self::NoSuchModel,
        Self::TooLong,
        Self::TooLarge,
        Self::Garbled,
        Self::Unsupported,
        Self::Authentication,
        Self::Denied,
        Self::ContentPolicy,
        Self::Malformed,
        Self::NotFound,
        Self::Forbidden,
        Self::Cancelled,
        Self::Unexpected,
    ];

    /// What is to be done.
    pub const fn class(self) -> Class {
        match self {
            Self::RateLimited
            | Self::Overloaded
            | Self::ServerFault
            | Self::Conflict
            | Self::TimedOut
            | Self::NoConnection
            | Self::Broken => Class::Retry,
            // A provider that answers nonsense would likely do so again, and each time costs.
            Self::NoSuchModel | Self::TooLong | Self::TooLarge | Self::Garbled | Self::Unsupported => Class::NextModel,
            Self::Quota => Class::NextProvider,
            Self::Authentication
            | Self::Denied
            | Self::ContentPolicy
            | Self::Malformed
            | Self::NotFound
            | Self::Forbidden
            | Self::Cancelled
            | Self::Unexpected => Class::GiveUp,
        }
    }

    /// What the failure means for whoever decides what happens next.
    pub const fn category(self) -> ErrorCategory {
        match self {
            Self::RateLimited | Self::Overloaded => ErrorCategory::RateLimit,
            Self::ServerFault | Self::Conflict | Self::NoConnection | Self::Broken | Self::Garbled | Self::TooLarge => {
                ErrorCategory::Network
            }
            Self::TimedOut => ErrorCategory::Timeout,
            Self::Quota => ErrorCategory::Quota,
            Self::NoSuchModel | Self::NotFound => ErrorCategory::NotFound,
            Self::TooLong | Self::Malformed | Self::Unsupported | Self::Unexpected => ErrorCategory::InvalidInput,
            Self::Authentication => ErrorCategory::Authentication,
            Self::Denied | Self::ContentPolicy | Self::Forbidden => ErrorCategory::Forbidden,
            Self::Cancelled => ErrorCategory::Cancelled,
        }
    }

    /// What happened and what to do next, in words.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::RateLimited => "too many requests or tokens for now: ask less often, or raise the account's limits",
            Self::Overloaded => "the provider has too much to do: try later",
            Self::ServerFault => "a fault of the provider: try later",
            Self::Conflict => "the provider was busy with the same thing: try again",
            Self::TimedOut => "no whole answer came in time: raise the time limit or ask for a shorter reply",
            Self::NoConnection => "no connection: check the address and that the server is up",
            Self::Broken => "the connection broke: try again",
            Self::Quota => "the account's money or quota is used up: add to it, or bring another provider",
            Self::NoSuchModel => "the provider has no such model for this account: take its successor",
            Self::TooLong => "the prompt is larger than the model's window: shorten it or take a larger model",
            Self::TooLarge => "the answer is larger than allowed: raise the client's limit",
            Self::Garbled => "the answer can't be understood: check that the address is that of a model server",
            Self::Unsupported => "the client can't say this to its provider: ask for another form of reply",
            Self::Authentication => "the credentials are missing or wrong: check the key",
            Self::Denied => "the account may not do that: check its permissions and region",
            Self::ContentPolicy => "the provider refuses what the prompt is about: change the prompt",
            Self::Malformed => "the provider finds the request malformed: check schema and parameters",
            Self::NotFound => "there is nothing at that address: check the client's base URL",
            Self::Forbidden => "the policy does not allow the address: allow it, or give another",
            Self::Cancelled => "it was cancelled",
            Self::Unexpected => "the provider answered with a status that means nothing here: check the base URL",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.advice())
    }
}

/// What an error's `code` or `type` means, whatever its status.
const NAMES: &[(&str, Reason)] = &[
    ("insufficient_quota", Reason::Quota),
    ("credit_balance_exhausted", Reason::Quota),
    ("organization_spend_limit_exceeded", Reason::Quota),
    ("project_spend_limit_exceeded", Reason::Quota),
    ("organization_usage_limit_exceeded", Reason::Quota),
    ("billing_hard_limit_reached", Reason::Quota),
    ("billing_not_active", Reason::Quota),
    ("billing_error", Reason::Quota),
    ("rate_limit_exceeded", Reason::RateLimited),
    ("rate_limit_error", Reason::RateLimited),
    ("slow_down", Reason::RateLimited),
    ("server_is_overloaded", Reason::Overloaded),
    ("overloaded_error", Reason::Overloaded),
    ("server_error", Reason::ServerFault),
    ("api_error", Reason::ServerFault),
    ("timeout_error", Reason::TimedOut),
    ("model_not_found", Reason::NoSuchModel),
    ("not_found_error", Reason::NoSuchModel),
    ("context_length_exceeded", Reason::TooLong),
    ("exceed_context_size_error", Reason::TooLong),
    ("request_too_large", Reason::Malformed),
    ("invalid_api_key", Reason::Authentication),
    ("authentication_error", Reason::Authentication),
    ("permission_error", Reason::Denied),
    ("content_filter", Reason::ContentPolicy),
    ("content_policy_violation", Reason::ContentPolicy),
];

const fn of_status(status: u16) -> Reason {
    match status {
        400 | 405 | 406 | 411 | 413 | 414 | 415 | 422 => Reason::Malformed,
        401 | 407 => Reason::Authentication,
        402 => Reason::Quota,
        403 | 451 => Reason::Denied,
        404 | 410 => Reason::NotFound,
        408 | 504 | 522 | 524 => Reason::TimedOut,
        409 => Reason::Conflict,
        425 | 429 => Reason::RateLimited,
        503 | 529 => Reason::Overloaded,
        501 | 505 => Reason::Unexpected,
        // Also an error in the body of a success that names nothing known.
        200..300 | 500..600 => Reason::ServerFault,
        _ => Reason::Unexpected,
    }
}

/// What a failure means. Total: there is a verdict for every fault.
pub fn classify(fault: &Fault) -> Verdict {
    let (reason, billed) = match fault {
        Fault::Forbidden => (Reason::Forbidden, Billed::Nothing),
        Fault::Unsupported => (Reason::Unsupported, Billed::Nothing),
        Fault::Connect => (Reason::NoConnection, Billed::Nothing),
        Fault::Broken => (Reason::Broken, Billed::Unknown),
        Fault::Timeout => (Reason::TimedOut, Billed::Unknown),
        Fault::TooLarge => (Reason::TooLarge, Billed::Unknown),
        Fault::Garbled => (Reason::Garbled, Billed::Unknown),
        Fault::Cancelled => (Reason::Cancelled, Billed::Unknown),
        Fault::Answered(answer) => return answered(answer),
    };
    Verdict { class: reason.class(), reason, billed }
}

fn answered(answer: &Answer) -> Verdict {
    let named =
        |name: &super::ErrorCode| NAMES.iter().find(|(known, _)| *known == name.as_str()).map(|(_, reason)| *reason);
    let reason = (answer.code.as_ref().and_then(named))
        .or_else(|| answer.kind.as_ref().and_then(named))
        .unwrap_or_else(|| of_status(answer.meant.unwrap_or(answer.status)));
    // The provider knows better whether its own fault may pass, but no header makes a spent quota or a wrong key worth a try.
    let class = match (reason.class(), answer.should_retry) {
        (Class::Retry, Some(false)) => Class::NextModel,
        (Class::GiveUp, Some(true)) if reason == Reason::Unexpected => Class::Retry,
        (class, _) => class,
    };
    // A refusal costs nothing. What is before the provider may have given up on work that was done, and an error within a
    // success may come after some of it, whatever status it says it means.
    let billed = match answer.status {
        200..300 | 408 | 502 | 504 | 520..=524 => Billed::Unknown,
        _ => Billed::Nothing,
    };
    Verdict { class, reason, billed }
}
