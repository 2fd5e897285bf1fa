//! What the answers of DynamoDB mean to a caller.

use crate::ledger::error::{Kind, LedgerError};
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

pub(super) const BACKEND: &str = "dynamodb";

/// What an error code means. Codes: Amazon DynamoDB Developer Guide, "Error handling with DynamoDB".
pub(super) fn kind_of(code: &str) -> Kind {
    match code {
        "ProvisionedThroughputExceededException"
        | "ProvisionedThroughputExceeded"
        | "ThrottlingException"
        | "ThrottlingError"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | "TransactionConflictException"
        | "TransactionConflict"
        | "TransactionInProgressException" => Kind::Busy,
        "ResourceNotFoundException"
        | "AccessDeniedException"
        | "AccessDenied"
        | "UnrecognizedClientException"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignatureException"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "InternalServerError"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => Kind::Unavailable,
        _ => Kind::Internal,
    }
}

/// The error code of an answer, if there is one.
pub(super) fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

/// Codes only: messages may name values.
pub(super) fn failed<E: ProvideErrorMetadata>(
    operation: &'static str,
    error: &SdkError<E, HttpResponse>,
) -> LedgerError {
    let (kind, what) = match error {
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
    LedgerError::new(kind, BACKEND, operation).with_source(what)
}

pub(super) fn corrupt(operation: &'static str) -> LedgerError {
    LedgerError::new(Kind::Corrupt, BACKEND, operation).with_source("an item is not one that this release writes")
}

/// A request of ours that does not hold together.
pub(super) fn broken(operation: &'static str) -> LedgerError {
    LedgerError::new(Kind::Internal, BACKEND, operation).with_source("a request could not be built")
}
