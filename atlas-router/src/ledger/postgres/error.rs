//! What PostgreSQL's error codes mean to a caller.

use crate::ledger::error::{Kind, LedgerError};
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
    what: &'static str,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
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
        // A character that no text of the database may hold.
        "22021" | "22P05" => Kind::InvalidInput,
        // Something of ours is not there, or is not ours.
        "42P01" | "42703" | "42883" | "42804" | "3F000" | "XX001" | "XX002" => Kind::Corrupt,
        "23505" => Kind::Conflict,
        // No rights, read-only, shutting down, the connection or the server's means.
        "42501" | "25006" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Kind::Unavailable,
        code if ["08", "28", "53"].iter().any(|class| code.starts_with(class)) => Kind::Unavailable,
        _ => Kind::Internal,
    }
}

pub(super) fn failed(operation: &'static str, error: &tokio_postgres::Error) -> LedgerError {
    let Some(server) = error.as_db_error() else {
        // Without a code it is the connection, and the request may have been carried out or not, or a value of a wrong type.
        let text = error.to_string();
        let of_the_driver =
            text.starts_with("error deserializing column") || text.starts_with("error serializing parameter");
        let (kind, what) = if of_the_driver {
            (Kind::Corrupt, "a column does not hold what this release writes there")
        } else {
            (Kind::Unavailable, "the connection was lost or could not be made")
        };
        return LedgerError::new(kind, BACKEND, operation).with_source(Cause { code: None, object: None, what });
    };
    let object = server.constraint().or(server.table()).map(Into::into);
    let cause = Cause { code: Some(server.code().code().into()), object, what: "the server refused" };
    LedgerError::new(kind_of(server.code()), BACKEND, operation).with_source(cause)
}

pub(super) fn no_connection(operation: &'static str, error: &PoolError) -> LedgerError {
    let unavailable = |why: &'static str| LedgerError::new(Kind::Unavailable, BACKEND, operation).with_source(why);
    match error {
        PoolError::Backend(error) => {
            let mapped = failed(operation, error);
            match mapped.kind() {
                Kind::Internal => LedgerError::new(Kind::Unavailable, BACKEND, operation).with_source(mapped),
                _ => mapped,
            }
        }
        PoolError::NoRuntimeSpecified => LedgerError::new(Kind::InvalidInput, BACKEND, operation)
            .with_source("the pool has timeouts but no runtime: name one when it is built"),
        PoolError::Timeout(_) => {
            unavailable("no connection of the pool became free in time: make the pool larger, or its users quicker")
        }
        PoolError::Closed | PoolError::PostCreateHook(_) => unavailable("the pool gave no connection"),
    }
}

pub(super) fn corrupt(operation: &'static str, what: &'static str) -> LedgerError {
    LedgerError::new(Kind::Corrupt, BACKEND, operation).with_source(what)
}
