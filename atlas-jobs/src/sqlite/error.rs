//! What SQLite's result codes mean to a caller.

use crate::error::{Kind, StoreError};
use rusqlite::ErrorCode;

pub(super) const BACKEND: &str = "sqlite";

/// What a result code means. The codes are at <https://www.sqlite.org/rescode.html>.
pub(super) fn kind_of(error: &rusqlite::Error) -> Kind {
    let Some(code) = error.sqlite_error_code() else {
        // Not from SQLite itself: a column did not hold what this release writes there.
        return Kind::Corrupt;
    };
    if error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE) {
        // The file that connections share beside the log could not grow: SQLite calls it an I/O error, whatever the reason.
        return Kind::Full;
    }
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Kind::Busy,
        ErrorCode::DiskFull => Kind::Full,
        ErrorCode::ReadOnly => Kind::ReadOnly,
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => Kind::PermissionDenied,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Kind::Corrupt,
        ErrorCode::CannotOpen | ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed => Kind::Unavailable,
        ErrorCode::TooBig => Kind::TooLarge,
        _ => Kind::Internal,
    }
}

/// SQLite's own message names tables and rules, never values.
pub(super) fn failed(operation: &'static str, error: rusqlite::Error) -> StoreError {
    StoreError::new(kind_of(&error), BACKEND, operation).with_source(error)
}

pub(super) fn corrupt(operation: &'static str, what: &'static str) -> StoreError {
    StoreError::new(Kind::Corrupt, BACKEND, operation).with_source(what)
}
