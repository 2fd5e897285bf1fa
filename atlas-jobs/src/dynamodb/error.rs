//! What the answers of DynamoDB mean to a caller.

use crate::error::{Kind, StoreError};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use std::fmt;

pub(super) const BACKEND: &str = "dynamodb";

/// What went wrong, without a word of the request: codes only, since messages may name values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

/// Another transaction is writing the item of a single write.
pub(super) const CONFLICT: &str = "TransactionConflictException";

/// What an error code means. Codes: Amazon DynamoDB Developer Guide, "Error handling with DynamoDB".
pub(super) fn kind_of(code: &str) -> Kind {
    match code {
        "ProvisionedThroughputExceededException"
        | "ProvisionedThroughputExceeded"
        | "ThrottlingException"
        | "ThrottlingError"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | CONFLICT
        | "TransactionConflict"
        | "TransactionInProgressException" => Kind::Busy,
        "ResourceNotFoundException" => Kind::NotFound,
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignatureException"
        | "InvalidSignatureException"
        | "ExpiredTokenException" => Kind::PermissionDenied,
        "ItemCollectionSizeLimitExceededException" | "ItemCollectionSizeLimitExceeded" => Kind::TooLarge,
        "InternalServerError" | "InternalFailure" | "ServiceUnavailable" | "ServiceUnavailableException" => {
            Kind::Unavailable
        }
        "ConditionalCheckFailedException" => Kind::Conflict,
        _ => Kind::Internal,
    }
}

/// The error code of an answer, if there is one.
pub(super) fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

/// Whether a single write met its condition.
pub(super) fn is_refused<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    code(error) == Some("ConditionalCheckFailedException")
}

pub(super) fn failed<E: ProvideErrorMetadata>(
    operation: &'static str,
    error: &SdkError<E, aws_sdk_dynamodb::config::http::HttpResponse>,
) -> StoreError {
    let (kind, fault) = match error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status();
            match answer.err().code() {
                Some(code) if kind_of(code) != Kind::Internal => (kind_of(code), code.to_owned()),
                code => {
                    let kind = if status.is_server_error() { Kind::Unavailable } else { Kind::Internal };
                    (kind, format!("{} (HTTP {})", code.unwrap_or("no error code"), status.as_u16()))
                }
            }
        }
        SdkError::ConstructionFailure(_) => (Kind::Internal, "the request could not be built".into()),
        SdkError::TimeoutError(_) => (Kind::Unavailable, "no answer in time".into()),
        SdkError::DispatchFailure(_) => (Kind::Unavailable, "the request could not be sent".into()),
        SdkError::ResponseError(_) => (Kind::Unavailable, "the answer broke off or made no sense".into()),
        _ => (Kind::Unavailable, "the request failed".into()),
    };
    StoreError::new(kind, BACKEND, operation).with_source(Fault(fault))
}

/// A fault that the reasons of a cancelled transaction name.
pub(super) fn cancelled(operation: &'static str, code: &str) -> StoreError {
    StoreError::new(kind_of(code), BACKEND, operation).with_source(Fault(format!("transaction cancelled: {code}")))
}

pub(super) fn corrupt(operation: &'static str, what: &'static str) -> StoreError {
    StoreError::new(Kind::Corrupt, BACKEND, operation).with_source(what)
}

/// Others write the same items all the time: nothing is wrong, and later it will pass.
pub(super) fn contended(operation: &'static str) -> StoreError {
    let wait = std::time::Duration::from_millis(50);
    StoreError::new(Kind::Busy, BACKEND, operation)
        .with_retry_after(wait)
        .with_source("other writers kept coming first")
}
