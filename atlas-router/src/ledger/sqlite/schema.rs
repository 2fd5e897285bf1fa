//! Opening the file and its tables.

use super::{BACKEND, failed};
use crate::ledger::error::{Kind, LedgerError};
use atlas_schema::Stage;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use std::path::Path;
use std::time::{Duration, Instant};

/// The format of the tables. A newer one is refused.
const VERSION: i64 = 1;
/// How long a call waits for commits of other processes.
const BUSY: Duration = Duration::from_secs(30);
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS atlas_router_meta (version INTEGER NOT NULL, stage TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS atlas_router_limit (scope TEXT PRIMARY KEY, amount INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS atlas_router_balance (
    scope TEXT NOT NULL, month INTEGER NOT NULL, held INTEGER NOT NULL, settled INTEGER NOT NULL, alerted INTEGER NOT NULL,
    PRIMARY KEY (scope, month)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS atlas_router_hold (
    id BLOB PRIMARY KEY, month INTEGER NOT NULL, scopes TEXT NOT NULL, amount INTEGER NOT NULL, state INTEGER NOT NULL,
    cost INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, model TEXT NOT NULL, strategy TEXT,
    correlation_id TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS atlas_router_hold_unsent ON atlas_router_hold (expires_at, id) WHERE state = 0;
CREATE INDEX IF NOT EXISTS atlas_router_hold_sent ON atlas_router_hold (expires_at, id) WHERE state = 1;
CREATE INDEX IF NOT EXISTS atlas_router_hold_month ON atlas_router_hold (month);
";

pub(super) fn open(path: &Path, stage: Stage) -> Result<Connection, LedgerError> {
    const OPERATION: &str = "open";
    let fail = |error: rusqlite::Error| failed(&error, OPERATION);
    let mut connection = Connection::open(path).map_err(fail)?;
    connection.busy_timeout(BUSY).map_err(fail)?;
    write_ahead(&connection).map_err(fail)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(fail)?;
    // Many processes may make the tables at once: the first one does, under the lock.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
    transaction.execute_batch(TABLES).map_err(fail)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let found =
        transaction.query_row("SELECT version, stage FROM atlas_router_meta", [], read).optional().map_err(fail)?;
    match found {
        None => {
            let made = transaction.execute("INSERT INTO atlas_router_meta VALUES (?1, ?2)", (VERSION, stage.as_str()));
            made.map_err(fail)?;
        }
        Some((version, _)) if version > VERSION => {
            return Err(LedgerError::new(Kind::NewerVersion, BACKEND, OPERATION));
        }
        Some((_, found)) if found != stage.as_str() => {
            return Err(LedgerError::new(Kind::WrongStage, BACKEND, OPERATION));
        }
        Some(_) => {}
    }
    transaction.commit().map_err(fail)?;
    Ok(connection)
}

/// Turns the write-ahead log on, asking again while another connection is doing the same to a new file.
///
/// `SQLite` answers this one lock with "busy" at once, without regard to its busy timeout.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let start = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) && start.elapsed() < BUSY =>
            {
                std::thread::sleep(Duration::from_millis(2));
            }
            done => return done,
        }
    }
}
