//! A ledger in an SQLite file, for one process or several of one machine.
//!
//! Durable: write-ahead log, `synchronous=FULL`; what a call answered survives the loss of power. Calls that arrive while a commit
//! is under way go into the next one together, at most 256, each within a savepoint of its own. Between processes SQLite's
//! own lock serialises the commits.

mod rows;
mod schema;
mod writer;

use super::error::{Kind, LedgerError};
use super::hold::{Hold, HoldId, HoldState, Reserve};
use super::rules::{self, Rows};
use super::scope::{Balance, Month, Scope};
use super::{BudgetLedger, GroupBy, Line, MAX_BATCH, Reserved};
use async_trait::async_trait;
use atlas_schema::{Alert, Stage, Timestamp, Usd};
use rows::SqliteRows;
use std::path::Path;
use writer::Writer;

const BACKEND: &str = "sqlite";

/// A ledger in a file. Clones share one writing thread.
#[derive(Debug, Clone)]
pub struct SqliteLedger {
    stage: Stage,
    writer: Writer,
}

impl SqliteLedger {
    /// Opens the ledger in a file, or makes it there. The file may hold tables of others, such as a job store's. Blocks for as
    /// long as the file takes to open.
    ///
    /// # Errors
    /// [`LedgerError`]: no folder, no permission, no database, of another stage, of a newer release.
    pub fn open(path: impl AsRef<Path>, stage: Stage) -> Result<Self, LedgerError> {
        let connection = schema::open(path.as_ref(), stage)?;
        Ok(Self { stage, writer: Writer::start(connection)? })
    }
}

#[async_trait]
impl BudgetLedger for SqliteLedger {
    fn stage(&self) -> Stage {
        self.stage
    }

    async fn limit(&self, limits: Vec<(Scope, Option<Usd>)>) -> Result<(), LedgerError> {
        rules::check_limits(self.stage, &limits, BACKEND)?;
        self.writer.call("limit", move |rows| rows.limit(&limits)).await
    }

    async fn reserve(&self, request: Reserve, now: Timestamp) -> Result<Reserved, LedgerError> {
        let stage = self.stage;
        // Refused for want of room, it wrote nothing but refunds, which stand.
        let reserve = move |rows: &mut SqliteRows<'_>| match rules::reserve(rows, stage, request, now) {
            Err(error) if error.kind() == Kind::Exceeded => Ok(Err(error)),
            other => other.map(Ok),
        };
        self.writer.call("reserve", reserve).await?
    }

    async fn send(&self, hold: HoldId, _: Timestamp) -> Result<(), LedgerError> {
        self.writer.call("send", move |rows| rules::send(rows, hold)).await
    }

    async fn settle(&self, hold: HoldId, cost: Usd, now: Timestamp) -> Result<Vec<Alert>, LedgerError> {
        let stage = self.stage;
        self.writer.call("settle", move |rows| rules::settle(rows, stage, hold, cost, now)).await
    }

    async fn release(&self, hold: HoldId, _: Timestamp) -> Result<(), LedgerError> {
        self.writer.call("release", move |rows| rules::release(rows, hold)).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, LedgerError> {
        self.writer.call("sweep", move |rows| rules::sweep(rows, now, limit)).await
    }

    async fn unreconciled(&self, now: Timestamp, limit: usize) -> Result<Vec<Hold>, LedgerError> {
        let limit = limit.min(MAX_BATCH);
        self.writer.call("unreconciled", move |rows| rows.due(HoldState::Sent, now, limit)).await
    }

    async fn hold(&self, id: HoldId) -> Result<Option<Hold>, LedgerError> {
        self.writer.call("hold", move |rows| rows.hold(id)).await
    }

    async fn balance(&self, scope: &Scope, month: Month) -> Result<Balance, LedgerError> {
        let scope = scope.clone();
        self.writer.call("balance", move |rows| rows.balance(&scope, month)).await
    }

    async fn report(&self, month: Month, by: GroupBy) -> Result<Vec<Line>, LedgerError> {
        self.writer.call("report", move |rows| rows.report(month, by)).await
    }

    async fn purge(&self, month: Month, now: Timestamp, limit: usize) -> Result<usize, LedgerError> {
        rules::check_purge(month, now, BACKEND)?;
        self.writer.call("purge", move |rows| rows.purge(month, limit.min(MAX_BATCH))).await
    }
}

/// What a failure of SQLite is to a caller.
fn failed(error: &rusqlite::Error, operation: &'static str) -> LedgerError {
    use rusqlite::ErrorCode as Code;
    let kind = match error.sqlite_error_code() {
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => Kind::Busy,
        Some(Code::NotADatabase | Code::DatabaseCorrupt) => Kind::Corrupt,
        Some(Code::CannotOpen | Code::ReadOnly | Code::DiskFull | Code::PermissionDenied | Code::SystemIoFailure) => {
            Kind::Unavailable
        }
        _ => Kind::Internal,
    };
    LedgerError::new(kind, BACKEND, operation).with_source(error.to_string())
}
