//! Statements outside of a group: reads, limits, purges. Each ends within a set time, and a connection that does not answer leaves the pool.

use super::desk::{Db, Lent};
use super::error::{BACKEND, failed};
use crate::ledger::error::{Kind, LedgerError};
use crate::ledger::group::in_time;
use deadpool_postgres::Client;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// How long the server works at one of them, less than its caller waits for it.
const BRIEF: &str = "BEGIN; SET LOCAL statement_timeout = '15s'; SET LOCAL lock_timeout = '15s'";
/// A report adds up a month: it may take longer.
const LONG: &str = "BEGIN; SET LOCAL statement_timeout = '2min'";
const LONG_PATIENCE: Duration = Duration::from_secs(150);

impl Db {
    /// One statement, within 20 seconds.
    pub(super) async fn query(
        &self,
        operation: &'static str,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, LedgerError> {
        in_time::<Self, _>(operation, self.lend(operation, BRIEF, sql, params)).await
    }

    /// One statement, within two minutes or so.
    pub(super) async fn query_at_length(
        &self,
        operation: &'static str,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, LedgerError> {
        let late =
            || LedgerError::new(Kind::Unavailable, BACKEND, operation).with_source("no answer within two minutes");
        let answer = tokio::time::timeout(LONG_PATIENCE, self.lend(operation, LONG, sql, params)).await;
        answer.unwrap_or_else(|_| Err(late()))
    }

    async fn lend(
        &self,
        operation: &'static str,
        begin: &str,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, LedgerError> {
        let lent = Lent(Some(self.client(operation).await?));
        let answer = match &lent.0 {
            Some(client) => within(client, operation, begin, sql, params).await,
            None => Ok(Vec::new()),
        };
        lent.give_back();
        answer
    }
}

async fn within(
    client: &Client,
    operation: &'static str,
    begin: &str,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, LedgerError> {
    let fail = |error: tokio_postgres::Error| failed(operation, &error);
    let statement = client.prepare_cached(sql).await.map_err(fail)?;
    // All are under way at once, and the server takes them in this order.
    let (begun, rows, ended) = tokio::join!(
        biased;
        client.batch_execute(begin),
        client.query(&statement, params),
        client.batch_execute("COMMIT")
    );
    begun.map_err(fail)?;
    let rows = rows.map_err(fail)?;
    ended.map_err(fail)?;
    Ok(rows)
}
