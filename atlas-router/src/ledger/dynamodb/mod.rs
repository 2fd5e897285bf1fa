//! A ledger on Amazon `DynamoDB`, for any number of processes and machines, over a client of the host's.
//!
//! # The table
//!
//! | Item | Key `pk` | Holds |
//! |---|---|---|
//! | hold | `H#id` | the hold |
//! | scope | `S#scope` | its limit, what it has used in each month, and a version |
//! | meta | `META` | format, stage, spread |
//!
//! Index `atlas-1` (`g1p`, `g1s`, keys only) holds open holds by the time they expire, unsent and sent ones apart; `atlas-2` (`g2p`,
//! `g2s`, everything) the holds of a month. Each is spread over several partitions.
//!
//! # What holds, and why
//!
//! - A call is one transaction: its hold on condition of the state that was read, each scope on condition of its version. What the
//!   rules that all ledgers share decided on is what is written, in all scopes or in none.
//! - Who is refused because others wrote in between reads again after a random wait, 16 times at most; then the call is
//!   [`Busy`](super::Kind::Busy). Calls of one process that come at the same time share a transaction, so that they
//!   do not get in each other's way.
//! - Every transaction carries a request token, so the client's own retries may stay on; and a call that is repeated knows itself
//!   again by the hold's id and state.
//! - What an index says is a hint, since it may lag: holds that look expired are judged by their own items. Reports are
//!   sums over an index and may miss what happened in the last moments.

mod desk;
mod error;
mod item;
mod purge;
mod table;

use super::error::{Kind, LedgerError};
use super::group::Group;
use super::hold::{Hold, HoldId, HoldState, Reserve};
use super::scope::{Balance, Month, Scope};
use super::{BudgetLedger, GroupBy, Line, MAX_BATCH, Reserved, report, rules};
use crate::random::Random;
use async_trait::async_trait;
use atlas_schema::{Alert, Stage, Timestamp, Usd};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use desk::{Db, MAX_ITEMS};
use error::{BACKEND, broken};
use item::{MONTHS, PK, month_partition, number, scope_key, text};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// A ledger in a table of `DynamoDB`. Clones share one client. Needs a Tokio runtime with timers.
#[derive(Clone)]
pub struct DynamoLedger {
    group: Arc<Group<Db>>,
}

impl fmt::Debug for DynamoLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoLedger")
            .field("table", &self.group.desk.table)
            .field("stage", &self.group.desk.stage)
            .finish_non_exhaustive()
    }
}

impl DynamoLedger {
    /// Makes the table for development and tests, and waits until it is there. A table of that name is left as it is.
    ///
    /// A deployment declares the same in its template: the string key `pk` (hash); the global secondary indexes `atlas-1` (`g1p`,
    /// `g1s`, projecting `KEYS_ONLY`) and `atlas-2` (`g2p`, `g2s`, projecting `ALL`), all strings; on-demand billing; no stream and
    /// no time to live.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Kind::Unavailable`] if the table is not there within a minute.
    pub async fn create_table(client: &Client, table: &str) -> Result<(), LedgerError> {
        table::create(client, table).await
    }

    /// Opens a table that [`create_table`](Self::create_table) or a deployment has made, and marks it if it is new. It
    /// must be the ledger's own.
    ///
    /// The client brings region, credentials, timeouts and retries; standard retries are safe. It needs the rights to `GetItem`,
    /// `BatchGetItem`, `PutItem` and `UpdateItem` on the table, to `DeleteItem` for [`purge`](BudgetLedger::purge), and to `Query` its
    /// indexes.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if there is no such table, no way to it or no right, [`Kind::WrongStage`], [`Kind::NewerVersion`],
    /// [`Kind::Busy`]. Nothing is changed then.
    pub async fn open(client: Client, table: impl Into<String>, stage: Stage) -> Result<Self, LedgerError> {
        let table = table.into();
        let random =
            Random::from_os().map_err(|error| LedgerError::new(Kind::Internal, BACKEND, "open").with_source(error))?;
        let spread = table::prepare(&client, &table, stage).await?;
        Ok(Self { group: Arc::new(Group::new(Db { client, table, stage, spread, random })) })
    }

    fn db(&self) -> &Db {
        &self.group.desk
    }
}

#[async_trait]
impl BudgetLedger for DynamoLedger {
    fn stage(&self) -> Stage {
        self.db().stage
    }

    /// More than 100 limits are several transactions, each whole.
    async fn limit(&self, limits: Vec<(Scope, Option<Usd>)>) -> Result<(), LedgerError> {
        const OPERATION: &str = "limit";
        rules::check_limits(self.db().stage, &limits, BACKEND)?;
        // The last word on a scope counts.
        let limits: BTreeMap<String, Option<Usd>> =
            limits.into_iter().map(|(scope, limit)| (scope_key(&scope.to_string()), limit)).collect();
        let mut items = Vec::new();
        for (key, limit) in limits {
            let update = Update::builder().table_name(&self.db().table).key(PK, text(key));
            let update =
                update.expression_attribute_values(":one", number(1)).expression_attribute_values(":zero", number(0));
            let update = match limit {
                Some(limit) => update
                    .update_expression("SET cap = :cap, v = if_not_exists(v, :zero) + :one")
                    .expression_attribute_values(":cap", number(limit.as_nanos())),
                None => update.update_expression("SET v = if_not_exists(v, :zero) + :one REMOVE cap"),
            };
            let update = update.build().map_err(|_| broken(OPERATION))?;
            items.push(TransactWriteItem::builder().update(update).build());
        }
        for items in items.chunks(MAX_ITEMS) {
            self.db().write_surely(items.to_vec(), OPERATION).await?;
        }
        Ok(())
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
        let due = self.db().due(HoldState::Sent, now, limit.min(MAX_BATCH), OPERATION).await?;
        let found = self.db().read(due.into_iter().map(item::hold_key).collect(), OPERATION).await?;
        let mut holds = Vec::new();
        for (key, found) in &found {
            match item::hold(found, OPERATION) {
                Err(error) if error.kind() == Kind::Corrupt => rules::pass_over(BACKEND, key),
                hold => holds.push(hold?),
            }
        }
        holds.retain(|hold| hold.state == HoldState::Sent && hold.expires_at <= now);
        holds.sort_unstable_by_key(|hold| (hold.expires_at, hold.id));
        Ok(holds)
    }

    async fn hold(&self, id: HoldId) -> Result<Option<Hold>, LedgerError> {
        Ok(self.db().holds(&BTreeSet::from([id]), "hold").await?.pop())
    }

    async fn balance(&self, scope: &Scope, month: Month) -> Result<Balance, LedgerError> {
        const OPERATION: &str = "balance";
        let key = scope_key(&scope.to_string());
        let found = self.db().read(BTreeSet::from([key.clone()]), OPERATION).await?;
        item::balance(found.get(&key), month, OPERATION)
    }

    async fn report(&self, month: Month, by: GroupBy) -> Result<Vec<Line>, LedgerError> {
        const OPERATION: &str = "report";
        let mut holds = Vec::new();
        for shard in self.db().spread.shards() {
            let partition = month_partition(month, shard);
            for found in self.db().query(MONTHS, partition, None, usize::MAX, OPERATION).await? {
                holds.push(item::hold(&found, OPERATION)?);
            }
        }
        Ok(report::add_up(holds, by))
    }

    /// An index may lag: what ended in the last moments may be left for the next call.
    async fn purge(&self, month: Month, now: Timestamp, limit: usize) -> Result<usize, LedgerError> {
        rules::check_purge(month, now, BACKEND)?;
        self.db().purge(month, limit.min(MAX_BATCH)).await
    }
}
