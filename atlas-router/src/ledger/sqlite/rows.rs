//! Rows as SQL.

use super::{BACKEND, failed};
use crate::ledger::error::{Kind, LedgerError};
use crate::ledger::hold::{Hold, HoldId, HoldState};
use crate::ledger::rules::{Rows, pass_over};
use crate::ledger::scope::{Balance, Month, Scope};
use crate::ledger::stored::{StoredHold, counted, number};
use crate::ledger::{GroupBy, Line};
use atlas_schema::{Timestamp, Usd};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// The rows within the transaction of a connection.
pub(super) struct SqliteRows<'a> {
    pub(super) connection: &'a Connection,
    pub(super) operation: &'static str,
}

const COLUMNS: &str = "id, month, scopes, amount, state, cost, created_at, expires_at, model, strategy, correlation_id";

impl SqliteRows<'_> {
    fn fail(&self) -> impl Fn(rusqlite::Error) -> LedgerError + use<> {
        let operation = self.operation;
        move |error| failed(&error, operation)
    }

    pub(super) fn limit(&self, limits: &[(Scope, Option<Usd>)]) -> Result<(), LedgerError> {
        for (scope, limit) in limits {
            let key = scope.to_string();
            let done = match limit {
                Some(limit) => self.connection.execute(
                    "INSERT OR REPLACE INTO atlas_router_limit VALUES (?1, ?2)",
                    params![key, limit.as_nanos()],
                ),
                None => self.connection.execute("DELETE FROM atlas_router_limit WHERE scope = ?1", [key]),
            };
            done.map_err(self.fail())?;
        }
        Ok(())
    }

    /// Forgets holds of a month that are no longer open.
    pub(super) fn purge(&self, month: Month, limit: usize) -> Result<usize, LedgerError> {
        let sql = "DELETE FROM atlas_router_hold WHERE id IN
            (SELECT id FROM atlas_router_hold WHERE month = ?1 AND state IN (2, 3) LIMIT ?2)";
        let mut statement = self.connection.prepare_cached(sql).map_err(self.fail())?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        statement.execute(params![month.as_number(), limit]).map_err(self.fail())
    }

    /// Holds in a state that expire at `now` or before, oldest first.
    pub(super) fn due(&self, state: HoldState, now: Timestamp, limit: usize) -> Result<Vec<Hold>, LedgerError> {
        // The state is written out, so that the partial index serves.
        let sql = format!(
            "SELECT {COLUMNS} FROM atlas_router_hold WHERE state = {} AND expires_at <= ?1 ORDER BY expires_at, id LIMIT ?2",
            number(state)
        );
        let mut statement = self.connection.prepare_cached(&sql).map_err(self.fail())?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = statement.query_map(params![now.as_millis(), limit], read).map_err(self.fail())?;
        let rows: Vec<StoredHold> = found.collect::<Result<_, _>>().map_err(self.fail())?;
        let readable = |row: StoredHold| {
            let id = HoldId::from_bytes(row.id);
            match row.check(BACKEND, self.operation) {
                Err(error) if error.kind() == Kind::Corrupt => {
                    pass_over(BACKEND, &id);
                    None
                }
                hold => Some(hold),
            }
        };
        rows.into_iter().filter_map(readable).collect()
    }

    pub(super) fn report(&self, month: Month, by: GroupBy) -> Result<Vec<Line>, LedgerError> {
        let name = match by {
            GroupBy::CorrelationId => "coalesce(correlation_id, '')",
            GroupBy::Model => "model",
            GroupBy::Strategy => "coalesce(strategy, '')",
            GroupBy::Day => "date(created_at / 1000, 'unixepoch')",
        };
        // Whole dollars and the rest apart: a sum past the range of its numbers is an error of SQLite's.
        let sum = |column: &str, states: &str| {
            let part = |part: &str| format!("coalesce(sum({column} {part} {DOLLAR}) FILTER (WHERE {states}), 0)");
            format!("{}, {}", part("/"), part("%"))
        };
        let sql = format!(
            "SELECT {name}, count(*) FILTER (WHERE state = 2), {}, {}
             FROM atlas_router_hold WHERE month = ?1 AND state < 3 GROUP BY 1 ORDER BY 1",
            sum("cost", "state = 2"),
            sum("amount", "state < 2")
        );
        let mut statement = self.connection.prepare_cached(&sql).map_err(self.fail())?;
        let line = |row: &Row<'_>| {
            Ok(Line {
                name: row.get(0)?,
                calls: u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
                settled: money(row.get(2)?, row.get(3)?),
                held: money(row.get(4)?, row.get(5)?),
            })
        };
        let found = statement.query_map([month.as_number()], line).map_err(self.fail())?;
        found.collect::<Result<_, _>>().map_err(self.fail())
    }
}

impl Rows for SqliteRows<'_> {
    fn backend(&self) -> &'static str {
        BACKEND
    }

    fn hold(&mut self, id: HoldId) -> Result<Option<Hold>, LedgerError> {
        let sql = format!("SELECT {COLUMNS} FROM atlas_router_hold WHERE id = ?1");
        let mut statement = self.connection.prepare_cached(&sql).map_err(self.fail())?;
        let found = statement.query_row([id.as_bytes()], read).optional().map_err(self.fail())?;
        found.map(|row| row.check(BACKEND, self.operation)).transpose()
    }

    fn put_hold(&mut self, hold: &Hold) -> Result<(), LedgerError> {
        let row = StoredHold::of(hold, BACKEND, self.operation)?;
        let sql = format!(
            "INSERT INTO atlas_router_hold ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (id) DO UPDATE SET state = excluded.state, cost = excluded.cost"
        );
        let mut statement = self.connection.prepare_cached(&sql).map_err(self.fail())?;
        let done = statement.execute(params![
            row.id,
            row.month,
            row.scopes,
            row.amount,
            row.state,
            row.cost,
            row.created_at,
            row.expires_at,
            row.model,
            row.strategy,
            row.correlation_id,
        ]);
        done.map(|_| ()).map_err(self.fail())
    }

    fn balance(&mut self, scope: &Scope, month: Month) -> Result<Balance, LedgerError> {
        let sql = "SELECT l.amount, coalesce(b.held, 0), coalesce(b.settled, 0), coalesce(b.alerted, 0)
             FROM (SELECT ?1 AS scope) asked LEFT JOIN atlas_router_limit l ON l.scope = asked.scope
             LEFT JOIN atlas_router_balance b ON b.scope = asked.scope AND b.month = ?2";
        let mut statement = self.connection.prepare_cached(sql).map_err(self.fail())?;
        let balance = |row: &Row<'_>| {
            Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, u8>(3)?))
        };
        let found = statement.query_row(params![scope.to_string(), month.as_number()], balance);
        let (limit, held, settled, alerted) = found.map_err(self.fail())?;
        Ok(Balance {
            limit: limit.map(Usd::from_nanos),
            held: counted(held, BACKEND, self.operation)?,
            settled: counted(settled, BACKEND, self.operation)?,
            alerted,
        })
    }

    fn put_balance(&mut self, scope: &Scope, month: Month, balance: &Balance) -> Result<(), LedgerError> {
        let sql = "INSERT OR REPLACE INTO atlas_router_balance VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut statement = self.connection.prepare_cached(sql).map_err(self.fail())?;
        let done = statement.execute(params![
            scope.to_string(),
            month.as_number(),
            balance.held.as_nanos(),
            balance.settled.as_nanos(),
            balance.alerted,
        ]);
        done.map(|_| ()).map_err(self.fail())
    }

    fn expired(&mut self, now: Timestamp, limit: usize) -> Result<Vec<Hold>, LedgerError> {
        self.due(HoldState::Held, now, limit)
    }
}

/// A dollar in nano-dollars.
const DOLLAR: i64 = 1_000_000_000;

/// A sum that stops at the end of the range of money.
const fn money(dollars: i64, rest: i64) -> Usd {
    Usd::from_nanos(dollars.saturating_mul(DOLLAR).saturating_add(rest))
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredHold> {
    Ok(StoredHold {
        id: row.get(0)?,
        month: row.get(1)?,
        scopes: row.get(2)?,
        amount: row.get(3)?,
        state: row.get(4)?,
        cost: row.get(5)?,
        created_at: row.get(6)?,
        expires_at: row.get(7)?,
        model: row.get(8)?,
        strategy: row.get(9)?,
        correlation_id: row.get(10)?,
    })
}
