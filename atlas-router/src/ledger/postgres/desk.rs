//! A group of calls in one transaction: read and lock, decide on a sheet, write.
//!
//! No two transactions wait for each other in a circle: each locks the holds that it is about by their ids, then the balances by
//! scope and month, then makes new holds by their ids, all in one order.

use super::error::{BACKEND, failed, no_connection};
use super::rows::{COLUMNS, balance, hold};
use crate::ledger::error::{Kind, LedgerError};
use crate::ledger::group::{Desk, PATIENCE};
use crate::ledger::hold::{Hold, HoldId};
use crate::ledger::rules::pass_over;
use crate::ledger::scope::Month;
use crate::ledger::sheet::{Answer, Call, Place, Sheet};
use crate::ledger::stored::{StoredHold, number};
use atlas_schema::{Stage, Timestamp};
use deadpool_postgres::{Client, Object, Pool, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// For the length of a transaction, tables are read along their indexes, whatever the planner last saw of them. A process that
/// stops in the middle keeps its locks for 10 seconds only: the server ends it then. Who waits for a lock waits for longer
/// than that, and then gives up: the call is `Busy`.
const PLAN: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_hashjoin = off; \
    SET LOCAL enable_mergejoin = off; SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_generic_plan; \
    SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL lock_timeout = '15s'";

/// How often a call is tried whose new hold someone else has made in the meantime: the next time it is there to be read.
const TRIES: u32 = 3;

/// Balances that are locked, made where there are none. The rows come in the order of the keys and are locked one by one.
const LOCK: &str = "INSERT INTO atlas_router_balance AS b (scope, month, held, settled, alerted)
    SELECT scope, month, 0, 0, 0 FROM unnest($1::text[], $2::int4[]) AS asked (scope, month)
    ORDER BY scope COLLATE \"C\", month
    ON CONFLICT (scope, month) DO UPDATE SET alerted = b.alerted
    RETURNING scope, month, held, settled, alerted";

/// Asked for after the locks were had, so that no limit is older than they are.
const LIMITS: &str = "SELECT scope, amount FROM atlas_router_limit WHERE scope = ANY ($1::text[])";

const ADD: &str = "INSERT INTO atlas_router_hold
    (id, month, scopes, amount, state, cost, created_at, expires_at, model, strategy, correlation_id)
    SELECT * FROM unnest($1::bytea[], $2::int4[], $3::text[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::int8[],
        $9::text[], $10::text[], $11::text[])";

const CHANGE: &str = "UPDATE atlas_router_hold h SET state = c.state, cost = c.cost
    FROM unnest($1::bytea[], $2::int8[], $3::int8[]) AS c (id, state, cost) WHERE h.id = c.id";

const COUNT: &str = "UPDATE atlas_router_balance b SET held = c.held, settled = c.settled, alerted = c.alerted
    FROM unnest($1::text[], $2::int4[], $3::int8[], $4::int8[], $5::int2[]) AS c (scope, month, held, settled, alerted)
    WHERE b.scope = c.scope AND b.month = c.month";

/// The database and whose it is.
pub(super) struct Db {
    pub(super) pool: Pool,
    pub(super) stage: Stage,
}

impl Db {
    pub(super) async fn client(&self, operation: &'static str) -> Result<Client, LedgerError> {
        // A pool without timeouts of its own would wait for ever.
        let late =
            || LedgerError::new(Kind::Unavailable, BACKEND, operation).with_source("no connection in 20 seconds");
        let got = tokio::time::timeout(PATIENCE, self.pool.get()).await.map_err(|_| late())?;
        got.map_err(|error| no_connection(operation, &error))
    }

    async fn once(&self, calls: &[Call]) -> Result<Vec<Result<Answer, LedgerError>>, LedgerError> {
        let operation = calls.first().map_or("call", Call::operation);
        let mut lent = Lent(Some(self.client(operation).await?));
        let answers = match &mut lent.0 {
            Some(client) => self.within(client, calls, operation).await,
            None => Ok(Vec::new()),
        };
        lent.give_back();
        answers
    }

    async fn within(
        &self,
        client: &mut Client,
        calls: &[Call],
        operation: &'static str,
    ) -> Result<Vec<Result<Answer, LedgerError>>, LedgerError> {
        let transaction = client.transaction().await.map_err(|error| failed(operation, &error))?;
        let session = Session { transaction: &transaction, operation };
        let mut sheet = session.copy_out(self.stage, calls).await?;
        let answers = calls.iter().map(|call| sheet.decide(self.stage, call)).collect();
        if sheet.is_unchanged() {
            // What was made to be locked goes again, and nothing waits for the disk.
            transaction.rollback().await.map_err(|error| failed(operation, &error))?;
        } else {
            session.copy_back(&sheet).await?;
            transaction.commit().await.map_err(|error| failed(operation, &error))?;
        }
        Ok(answers)
    }
}

impl Desk for Db {
    const BACKEND: &'static str = BACKEND;
    const GROUP: usize = 256;

    async fn carry_out(&self, calls: &[Call]) -> Result<Vec<Result<Answer, LedgerError>>, LedgerError> {
        let mut tries = 1;
        loop {
            match self.once(calls).await {
                Err(error) if error.kind() == Kind::Conflict && tries < TRIES => tries += 1,
                answers => return answers,
            }
        }
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<HoldId>, LedgerError> {
        let sql =
            "SELECT id FROM atlas_router_hold WHERE state = 0 AND expires_at <= $1 ORDER BY expires_at, id LIMIT $2";
        let rows = self.query("sweep", sql, &[&now.as_millis(), &super::rows::most(limit)]).await?;
        let readable = |row: &Row| match super::rows::id(row, 0, "sweep") {
            Err(error) if error.kind() == Kind::Corrupt => {
                pass_over(BACKEND, &"without an id");
                None
            }
            id => Some(id),
        };
        rows.iter().filter_map(readable).collect()
    }
}

/// A connection that goes back to its pool only once it has answered: who gave up on it must not hand it to the next.
pub(super) struct Lent(pub(super) Option<Client>);

impl Lent {
    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        drop(self.0.take().map(Object::take));
    }
}

struct Session<'a> {
    transaction: &'a Transaction<'a>,
    operation: &'static str,
}

impl Session<'_> {
    async fn query(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, LedgerError> {
        let fail = |error: tokio_postgres::Error| failed(self.operation, &error);
        let statement = self.transaction.prepare_cached(sql).await.map_err(fail)?;
        self.transaction.query(&statement, params).await.map_err(fail)
    }

    /// Locks and reads what the calls need.
    async fn copy_out(&self, stage: Stage, calls: &[Call]) -> Result<Sheet, LedgerError> {
        self.transaction.batch_execute(PLAN).await.map_err(|error| failed(self.operation, &error))?;
        let ids: BTreeSet<HoldId> = calls.iter().map(Call::hold).collect();
        let ids: Vec<&[u8]> = ids.iter().map(|id| &id.as_bytes()[..]).collect();
        let sql =
            format!("SELECT {COLUMNS} FROM atlas_router_hold WHERE id = ANY ($1::bytea[]) ORDER BY id FOR UPDATE");
        let rows = self.query(&sql, &[&ids]).await?;
        let holds: Vec<Hold> = rows.iter().map(|row| hold(row, self.operation)).collect::<Result<_, _>>()?;
        let mut sheet = Sheet::new(BACKEND, holds);
        let places: BTreeSet<Place> = calls.iter().flat_map(|call| sheet.needs(call, stage)).collect();
        if places.is_empty() {
            return Ok(sheet);
        }
        let scopes: Vec<&str> = places.iter().map(|(scope, _)| scope.as_str()).collect();
        let months: Vec<i32> = places.iter().map(|(_, month)| month_number(*month)).collect();
        // Both are under way at once, and the server takes them in this order.
        let locked_params: [&(dyn ToSql + Sync); 2] = [&scopes, &months];
        let limit_params: [&(dyn ToSql + Sync); 1] = [&scopes];
        let (locked, limits) = tokio::try_join!(self.query(LOCK, &locked_params), self.query(LIMITS, &limit_params))?;
        let fail = |error: tokio_postgres::Error| failed(self.operation, &error);
        let mut limit_of = BTreeMap::new();
        for row in &limits {
            limit_of.insert(row.try_get::<_, String>(0).map_err(fail)?, row.try_get::<_, i64>(1).map_err(fail)?);
        }
        for row in &locked {
            let scope: String = row.try_get(0).map_err(fail)?;
            let month: i32 = row.try_get(1).map_err(fail)?;
            let balance = balance(row, 2, limit_of.get(&scope).copied(), self.operation)?;
            sheet.add_balance((scope, Month::from_number(month.unsigned_abs())), balance);
        }
        Ok(sheet)
    }

    async fn copy_back(&self, sheet: &Sheet) -> Result<(), LedgerError> {
        let mut added = Vec::new();
        let (mut ids, mut states, mut costs): (Vec<&[u8]>, Vec<i64>, Vec<i64>) = Default::default();
        for (hold, before) in sheet.changed_holds() {
            if before.is_none() {
                added.push(StoredHold::of(hold, BACKEND, self.operation)?);
            } else {
                ids.push(hold.id.as_bytes());
                states.push(number(hold.state));
                costs.push(hold.cost.as_nanos());
            }
        }
        self.add(&added).await?;
        if !ids.is_empty() {
            self.query(CHANGE, &[&ids, &states, &costs]).await?;
        }
        let places: Vec<_> = sheet.changed_balances().collect();
        if !places.is_empty() {
            let scopes: Vec<&str> = places.iter().map(|((scope, _), _)| scope.as_str()).collect();
            let months: Vec<i32> = places.iter().map(|((_, month), _)| month_number(*month)).collect();
            let held: Vec<i64> = places.iter().map(|(_, balance)| balance.held.as_nanos()).collect();
            let settled: Vec<i64> = places.iter().map(|(_, balance)| balance.settled.as_nanos()).collect();
            let alerted: Vec<i16> = places.iter().map(|(_, balance)| i16::from(balance.alerted)).collect();
            self.query(COUNT, &[&scopes, &months, &held, &settled, &alerted]).await?;
        }
        Ok(())
    }

    async fn add(&self, added: &[StoredHold]) -> Result<(), LedgerError> {
        if added.is_empty() {
            return Ok(());
        }
        let numbers = |of: fn(&StoredHold) -> i64| -> Vec<i64> { added.iter().map(of).collect() };
        let ids: Vec<&[u8]> = added.iter().map(|row| &row.id[..]).collect();
        let months: Vec<i32> = added.iter().map(|row| month_number(Month::from_number(row.month))).collect();
        let scopes: Vec<&str> = added.iter().map(|row| row.scopes.as_str()).collect();
        let models: Vec<&str> = added.iter().map(|row| row.model.as_str()).collect();
        let strategies: Vec<Option<&str>> = added.iter().map(|row| row.strategy.as_deref()).collect();
        let correlations: Vec<Option<&str>> = added.iter().map(|row| row.correlation_id.as_deref()).collect();
        let [amounts, states, costs, created, expires] = [
            numbers(|row| row.amount),
            numbers(|row| row.state),
            numbers(|row| row.cost),
            numbers(|row| row.created_at),
            numbers(|row| row.expires_at),
        ];
        let params: [&(dyn ToSql + Sync); 11] = [
            &ids,
            &months,
            &scopes,
            &amounts,
            &states,
            &costs,
            &created,
            &expires,
            &models,
            &strategies,
            &correlations,
        ];
        self.query(ADD, &params).await.map(|_| ())
    }
}

/// Months since the year zero: records carry no time past the year 9999.
pub(super) fn month_number(month: Month) -> i32 {
    i32::try_from(month.as_number()).unwrap_or(i32::MAX)
}
