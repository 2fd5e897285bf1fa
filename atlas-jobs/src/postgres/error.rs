//! What PostgreSQL's error codes mean to a caller.

use crate::error::{Kind, StoreError};
use deadpool_postgres::PoolError;
use std::fmt;
use tokio_postgres::error::SqlState;

pub(super) const BACKEND: &str = "postgres";

/// What can be said of a failure without saying too much: messages and details of the server quote values, and a
/// connection's failure may quote its address.
#[derive(Debug)]
struct Cause {
    code: Option<String>,
    object: Option<String>,
    what: String,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(code) = &self.code {
            write!(f, ": SQLSTATE {code}")?;
        }
        if let Some(object) = &self.object {
            write!(f, " on {object}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Cause {}

/// The codes are at <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn kind_of(code: &SqlState) -> Kind {
    match code.code() {
        // Serialization, deadlock, a lock or a statement that was given up on: nothing happened, and it may pass next time.
        "40001" | "40P01" | "55P03" | "57014" => Kind::Busy,
        "53100" => Kind::Full,
        "25006" => Kind::ReadOnly,
        "42501" => Kind::PermissionDenied,
        "54000" | "54001" => Kind::TooLarge,
        // Something of ours is not there, or is not ours.
        "42P01" | "42703" | "42883" | "42804" | "3F000" | "XX001" | "XX002" => Kind::Corrupt,
        "23505" => Kind::Conflict,
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Kind::Unavailable,
        code if code.starts_with("08") || code.starts_with("53") => Kind::Unavailable,
        code if code.starts_with("28") => Kind::PermissionDenied,
        _ => Kind::Internal,
    }
}

pub(super) fn failed(operation: &'static str, error: &tokio_postgres::Error) -> StoreError {
    let Some(server) = error.as_db_error() else {
        // Without a code it is the connection: the request may have been carried out, or not.
        let kind = if is_of_the_client(error) { Kind::Corrupt } else { Kind::Unavailable };
        let what = if kind == Kind::Corrupt {
            "a column does not hold what this release writes there"
        } else {
            "the connection was lost or could not be made"
        };
        return StoreError::new(kind, BACKEND, operation).with_source(Cause {
            code: None,
            object: None,
            what: what.into(),
        });
    };
    let object = server.constraint().or(server.table()).map(Into::into);
    let what = "the server refused".into();
    let cause = Cause { code: Some(server.code().code().into()), object, what };
    StoreError::new(kind_of(server.code()), BACKEND, operation).with_source(cause)
}

/// Whether the driver itself could not make sense of a value.
fn is_of_the_client(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    text.starts_with("error deserializing column") || text.starts_with("error serializing parameter")
}

pub(super) fn no_connection(operation: &'static str, error: &PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => {
            let mut mapped = failed(operation, error);
            if mapped.kind() == Kind::Internal {
                mapped = StoreError::new(Kind::Unavailable, BACKEND, operation).with_source(mapped);
            }
            mapped
        }
        PoolError::NoRuntimeSpecified => {
            let rule = "the pool has timeouts but no runtime: name one when it is built";
            StoreError::new(Kind::InvalidInput, BACKEND, operation).with_source(rule)
        }
        PoolError::Timeout(_) => StoreError::new(Kind::Unavailable, BACKEND, operation)
            .with_source("no connection of the pool became free in time: make the pool larger, or its users quicker"),
        PoolError::Closed | PoolError::PostCreateHook(_) => {
            StoreError::new(Kind::Unavailable, BACKEND, operation).with_source("the pool gave no connection")
        }
    }
}

pub(super) fn corrupt(operation: &'static str, what: &'static str) -> StoreError {
    StoreError::new(Kind::Corrupt, BACKEND, operation).with_source(what)
}
