//! A ledger in a PostgreSQL database, for any number of processes and machines.
//!
//! The host passes in its own pool. What becomes of holds and balances is decided by the rules that all ledgers share, on rows
//! that are locked in one order, so that no two transactions block each other for good. Calls of one process that come at the
//! same time share a transaction, at most 256. A call has answered when its transaction is as durable as the server's
//! `synchronous_commit` says: leave that at its default, or a crash of the server can forget what was reserved.
//!
//! A connection that breaks in the middle loses no money: what was not committed is rolled back by the server, and the call is
//! [`Unavailable`](super::Kind::Unavailable), which is to be repeated. So is one that has no answer, or no connection, after 20
//! seconds, a report after two and a half minutes; its connection does not go back to the pool.

mod alone;
mod desk;
mod error;
mod rows;
mod schema;

use super::error::{Kind, LedgerError};
use super::group::Group;
use super::hold::{Hold, HoldId, Reserve};
use super::scope::{Balance, Month, Scope};
use super::{BudgetLedger, GroupBy, Line, MAX_BATCH, Reserved, rules};
use async_trait::async_trait;
use atlas_schema::{Alert, Stage, Timestamp, Usd};
use deadpool_postgres::Pool;
use desk::{Db, month_number};
use error::BACKEND;
use rows::{COLUMNS, get, most};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A ledger in a PostgreSQL database, version 14 or later. Clones share one pool. Needs a Tokio runtime with timers.
#[derive(Clone)]
pub struct PostgresLedger {
    group: Arc<Group<Db>>,
}

impl fmt::Debug for PostgresLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLedger").field("stage", &self.group.desk.stage).finish_non_exhaustive()
    }
}

impl PostgresLedger {
    /// Opens the ledger in the database that `pool` leads to, in the first schema of its search path, and makes or upgrades
    /// its tables. Any number of processes may do so at once.
    ///
    /// # Errors
    /// [`Kind::Unavailable`](super::Kind::Unavailable) if there is no connection or no right to create tables that are missing,
    /// [`Kind::NewerVersion`](super::Kind::NewerVersion), [`Kind::WrongStage`](super::Kind::WrongStage),
    /// [`Kind::Corrupt`](super::Kind::Corrupt) if its own notes make no sense. Nothing is changed then.
    pub async fn open(pool: Pool, stage: Stage) -> Result<Self, LedgerError> {
        let db = Db { pool, stage };
        schema::prepare(&mut db.client("open").await?, stage).await?;
        Ok(Self { group: Arc::new(Group::new(db)) })
    }

    fn db(&self) -> &Db {
        &self.group.desk
    }
}

#[async_trait]
impl BudgetLedger for PostgresLedger {
    fn stage(&self) -> Stage {
        self.group.desk.stage
    }

    async fn limit(&self, limits: Vec<(Scope, Option<Usd>)>) -> Result<(), LedgerError> {
        const OPERATION: &str = "limit";
        rules::check_limits(self.group.desk.stage, &limits, BACKEND)?;
        // The last word on a scope counts, and rows are locked in order.
        let limits: BTreeMap<String, Option<i64>> =
            limits.into_iter().map(|(scope, limit)| (scope.to_string(), limit.map(Usd::as_nanos))).collect();
        let (scopes, amounts): (Vec<String>, Vec<Option<i64>>) = limits.into_iter().unzip();
        let sql = "WITH asked AS MATERIALIZED (
                SELECT scope, amount FROM unnest($1::text[], $2::int8[]) AS asked (scope, amount)
            ), taken_away AS (
                DELETE FROM atlas_router_limit l USING asked a WHERE l.scope = a.scope AND a.amount IS NULL
            )
            INSERT INTO atlas_router_limit (scope, amount)
            SELECT scope, amount FROM asked WHERE amount IS NOT NULL ORDER BY scope COLLATE \"C\"
            ON CONFLICT (scope) DO UPDATE SET amount = excluded.amount";
        self.db().query(OPERATION, sql, &[&scopes, &amounts]).await.map(|_| ())
    }

    async fn reserve(&self, request: Reserve, now: Timestamp) -> Result<Reserved, LedgerError> {
        self.group.reserve(request, now).await
    }

    async fn send(&self, hold: HoldId, _: Timestamp) -> Result<(), LedgerError> {
        self.group.send(hold).await
    }

    async fn settle(&self, hold: HoldId, cost: Usd, now: Timestamp) -> Result<Vec<Alert>, LedgerError> {
        self.group.settle(hold, cost, now).await
    }

    async fn release(&self, hold: HoldId, _: Timestamp) -> Result<(), LedgerError> {
        self.group.release(hold).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, LedgerError> {
        self.group.sweep(now, limit).await
    }

    async fn unreconciled(&self, now: Timestamp, limit: usize) -> Result<Vec<Hold>, LedgerError> {
        const OPERATION: &str = "unreconciled";
        let sql = format!(
            "SELECT {COLUMNS} FROM atlas_router_hold WHERE state = 1 AND expires_at <= $1
             ORDER BY expires_at, id LIMIT $2"
        );
        let rows = self.db().query(OPERATION, &sql, &[&now.as_millis(), &most(limit.min(MAX_BATCH))]).await?;
        let readable = |row: &tokio_postgres::Row| match rows::hold(row, OPERATION) {
            Err(error) if error.kind() == Kind::Corrupt => {
                let id = rows::id(row, 0, OPERATION).map_or_else(|_| "without an id".into(), |id| id.to_string());
                rules::pass_over(BACKEND, &id);
                None
            }
            hold => Some(hold),
        };
        rows.iter().filter_map(readable).collect()
    }

    async fn hold(&self, id: HoldId) -> Result<Option<Hold>, LedgerError> {
        const OPERATION: &str = "hold";
        let sql = format!("SELECT {COLUMNS} FROM atlas_router_hold WHERE id = $1");
        let rows = self.db().query(OPERATION, &sql, &[&&id.as_bytes()[..]]).await?;
        rows.first().map(|row| rows::hold(row, OPERATION)).transpose()
    }

    async fn balance(&self, scope: &Scope, month: Month) -> Result<Balance, LedgerError> {
        const OPERATION: &str = "balance";
        let sql = "SELECT l.amount, coalesce(b.held, 0), coalesce(b.settled, 0), coalesce(b.alerted, 0::int2)
             FROM (SELECT $1::text COLLATE \"C\" AS scope) asked
             LEFT JOIN atlas_router_limit l ON l.scope = asked.scope
             LEFT JOIN atlas_router_balance b ON b.scope = asked.scope AND b.month = $2";
        let rows = self.db().query(OPERATION, sql, &[&scope.to_string(), &month_number(month)]).await?;
        let Some(row) = rows.first() else { return Ok(Balance::default()) };
        rows::balance(row, 1, get(row, 0, OPERATION)?, OPERATION)
    }

    async fn report(&self, month: Month, by: GroupBy) -> Result<Vec<Line>, LedgerError> {
        const OPERATION: &str = "report";
        let name = match by {
            GroupBy::CorrelationId => "coalesce(correlation_id, '')",
            GroupBy::Model => "model",
            GroupBy::Strategy => "coalesce(strategy, '')",
            GroupBy::Day => "to_char(to_timestamp(created_at / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD') COLLATE \"C\"",
        };
        // Sums stop at the end of the range of money, as everywhere.
        let sum = |column: &str, states: &str| {
            format!("least(coalesce(sum({column}) FILTER (WHERE {states}), 0), {})::int8", i64::MAX)
        };
        let sql = format!(
            "SELECT {name}, count(*) FILTER (WHERE state = 2), {}, {}
             FROM atlas_router_hold WHERE month = $1 AND state < 3 GROUP BY 1 ORDER BY 1",
            sum("cost", "state = 2"),
            sum("amount", "state < 2")
        );
        let rows = self.db().query_at_length(OPERATION, &sql, &[&month_number(month)]).await?;
        let line = |row: &tokio_postgres::Row| {
            Ok(Line {
                name: get(row, 0, OPERATION)?,
                calls: get::<i64>(row, 1, OPERATION)?.unsigned_abs(),
                settled: Usd::from_nanos(get(row, 2, OPERATION)?),
                held: Usd::from_nanos(get(row, 3, OPERATION)?),
            })
        };
        rows.iter().map(line).collect()
    }

    async fn purge(&self, month: Month, now: Timestamp, limit: usize) -> Result<usize, LedgerError> {
        rules::check_purge(month, now, BACKEND)?;
        // Past those that someone is at work on, in the order of the index of just these holds: a month is not sorted or walked for a
        // part of it. They are chosen once, as an array, and then found by their keys whatever the planner thinks of their number.
        let sql = "DELETE FROM atlas_router_hold WHERE id = ANY (ARRAY (
                SELECT id FROM atlas_router_hold WHERE month = $1 AND state IN (2, 3) LIMIT $2 FOR UPDATE SKIP LOCKED
            )) RETURNING 1";
        let rows = self.db().query("purge", sql, &[&month_number(month), &most(limit.min(MAX_BATCH))]).await?;
        Ok(rows.len())
    }
}
